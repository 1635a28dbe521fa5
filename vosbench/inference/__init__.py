"""Prediction: masks, overlays and panels of videos."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vosbench.faces import lazy

if TYPE_CHECKING:
    from vosbench.inference.mask_writer import MaskWriter
    from vosbench.inference.prediction import PredictedVideo, predict

__all__ = ["MaskWriter", "PredictedVideo", "predict"]

__getattr__, __dir__ = lazy(
    "vosbench.inference",
    {
        "MaskWriter": "vosbench.inference.mask_writer",
        "PredictedVideo": "vosbench.inference.prediction",
        "predict": "vosbench.inference.prediction",
    },
)
