"""Callback that writes when training steps began and ended, for `measure.py`."""

import json
import time
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.callbacks import Callback


class StepTimes(Callback):
    """Seconds that every step waits for its batch, and that the step takes.

    Args:
        file: JSON that is written at the end.
    """

    def __init__(self, file: str) -> None:
        self._file = Path(file)
        self._waits: list[float] = []
        self._steps: list[float] = []
        self._ended = time.perf_counter()
        self._began = self._ended

    def on_train_epoch_start(self, *_: Any) -> None:
        """Begin with the first wait of an epoch, which starts the processes of the loader."""
        self._ended = time.perf_counter()

    def on_train_batch_start(self, *_: Any) -> None:
        """End the wait."""
        self._began = time.perf_counter()
        self._waits.append(self._began - self._ended)

    def on_train_batch_end(self, *_: Any) -> None:
        """End the step, the work on the device included."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self._ended = time.perf_counter()
        self._steps.append(self._ended - self._began)

    def on_train_end(self, *_: Any) -> None:
        """Write the file."""
        self._file.write_text(json.dumps({"waits": self._waits, "steps": self._steps}), encoding="utf-8")
