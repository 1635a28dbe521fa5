"""Training: stages, their data, checkpoints, loggers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vosbench.faces import lazy

if TYPE_CHECKING:
    from vosbench.training.run import fit

__all__ = ["fit"]

__getattr__, __dir__ = lazy("vosbench.training", {"fit": "vosbench.training.run"})
