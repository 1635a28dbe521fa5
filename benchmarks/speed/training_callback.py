"""Callback that times the steps of a training, and the same steps without Lightning, for `training.py`."""

import json
import time
from collections import deque
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Callback

KEPT = 12
"""Last batches, that a plain loop sees again."""


class LoopTimes(Callback):
    """Seconds of the last steps of a training, and of a plain loop on the same batches.

    The plain loop has its batches in memory: `training_step`, the backward pass, a step of the optimiser.

    Args:
        folder: gets one JSON file per stage.
    """

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)
        self._waits: deque[float] = deque(maxlen=KEPT)
        self._steps: deque[float] = deque(maxlen=KEPT)
        self._batches: deque[Any] = deque(maxlen=KEPT)
        self._ended = self._began = time.perf_counter()

    def on_train_epoch_start(self, *_: Any) -> None:
        """Begin with the first wait of an epoch."""
        self._ended = time.perf_counter()

    def on_train_batch_start(
        self, trainer: Trainer, module: LightningModule, batch: Any, number: int
    ) -> None:
        """End the wait."""
        self._began = time.perf_counter()
        self._waits.append(self._began - self._ended)
        self._batches.append(batch)

    def on_train_batch_end(self, *_: Any) -> None:
        """End the step."""
        self._ended = time.perf_counter()
        self._steps.append(self._ended - self._began)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Run the plain loop, and write the file."""
        plain = self._plain(trainer, module)
        found = {"waits": list(self._waits), "steps": list(self._steps), "plain": plain}
        stage = str(module.stage_name)
        (self._folder / f"{stage}.json").write_text(json.dumps(found), encoding="utf-8")

    def _plain(self, trainer: Trainer, module: LightningModule) -> list[float]:
        for name in ("log", "log_dict"):
            setattr(module, name, lambda *_, **__: None)
        seconds = []
        for number, batch in enumerate(self._batches):
            start = time.perf_counter()
            loss: Any = module.training_step(batch, number)
            if module.automatic_optimization:
                (optimizer,) = trainer.optimizers
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            seconds.append(time.perf_counter() - start)
        return seconds
