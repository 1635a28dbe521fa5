"""Checkpoints on disk: whole or absent, whatever ends the training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from vosbench.files import atomic_path, check_marker
from vosbench.training.run_folder import CONFIG_FILE, MEANWHILE


class WholeCheckpoints(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it.

    Lightning writes to the temporary folder of the system first. Where that is another file system, a killed
    process leaves half a checkpoint in the place of the last whole one, and a copy in the temporary folder.

    Args:
        run: folder of the run.
    """

    def __init__(self, run: Path) -> None:
        super().__init__()
        self._config = run / CONFIG_FILE

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint.

        Raises:
            InputError: the file cannot be written, or the run has no configuration any longer.
        """
        # before: what an earlier epoch left stays; after: the folder may have been removed meanwhile
        check_marker(self._config, MEANWHILE)
        advice = "make room, and go on with resume=auto"
        with atomic_path(Path(path), advice) as temporary, temporary.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:
                # closing the archive fails, too, and hides the error of the system
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise
        check_marker(self._config, MEANWHILE, Path(path))
