"""Train, run, score and compare video object segmentation methods.

The functions below are imported on first use; ``import vosbench`` alone imports neither NumPy nor PyTorch.

Example:
    >>> from pathlib import Path
    >>> import vosbench
    >>> network = vosbench.load("mpnet")  # with its packaged weights
    >>> written = vosbench.predict("davis16", network, Path("masks"), data_root=Path("data"))
    >>> sum(video.frames for video in written)
    16
    >>> result = vosbench.score(Path("results"), "davis16", data_root=Path("data"), metrics=["j"], workers=1)
    >>> round(result.overall["J_mean"], 3)
    0.818
    >>> [protocol.id for protocol in vosbench.protocols("segtrack")]
    ['segtrack-iou']

Data sets and DataModules are in `vosbench.data`, methods and `VOSModule` in `vosbench.models`, metrics as
torchmetrics in `vosbench.metrics`. The same on the command line: ``vosbench --help``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vosbench.faces import lazy

if TYPE_CHECKING:
    from vosbench import benchmark, data, evaluation, inference, metrics, models, training
    from vosbench.benchmark import compare
    from vosbench.data import open_dataset
    from vosbench.errors import InputError
    from vosbench.evaluation import protocols, score
    from vosbench.inference import predict
    from vosbench.models import build, load
    from vosbench.training import fit

__version__ = "0.1.0"

__all__ = [
    "InputError",
    "benchmark",
    "build",
    "compare",
    "data",
    "evaluation",
    "fit",
    "inference",
    "load",
    "metrics",
    "models",
    "open_dataset",
    "predict",
    "protocols",
    "score",
    "training",
]

_SUBPACKAGES = ("benchmark", "data", "evaluation", "inference", "metrics", "models", "training")

__getattr__, __dir__ = lazy(
    "vosbench",
    {
        "InputError": "vosbench.errors",
        "build": "vosbench.models",
        "compare": "vosbench.benchmark",
        "fit": "vosbench.training.run",
        "load": "vosbench.models",
        "open_dataset": "vosbench.data",
        "predict": "vosbench.inference",
        "protocols": "vosbench.evaluation",
        "score": "vosbench.evaluation",
        **{name: f"vosbench.{name}" for name in _SUBPACKAGES},
    },
)
