"""Classical flow estimators of OpenCV, on grey frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import cv2
import numpy as np

from vosbench.errors import InputError, check_name
from vosbench.video import FlowField, Frame

_DIS_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
_CONTRIB = "opencv-contrib-python-headless"


class DIS:
    """Dense Inverse Search (Kroeger et al., ECCV 2016).

    The result does not depend on the number of threads. Frames of fewer than 32 pixels a side are
    padded by repeating their last row and column.

    Args:
        preset: ``"ultrafast"``, ``"fast"`` or ``"medium"``: OpenCV's names, from fast to accurate.

    Raises:
        InputError: unknown preset.
    """

    name = "dis"

    def __init__(self, preset: str = "medium") -> None:
        check_name("preset of dis", preset, _DIS_PRESETS)
        self.settings: dict[str, Any] = {"preset": preset, "opencv": cv2.__version__}
        self._preset = _DIS_PRESETS[preset]

    def __call__(self, first: Frame, second: Frame) -> FlowField:
        """Return the (2, H, W) float32 flow in pixels from `first` to `second`, (H, W, 3) uint8 each."""
        height, width = first.shape[:2]
        greys = [_padded(_grey(frame)) for frame in (first, second)]
        start = np.zeros((*greys[0].shape, 2), np.float32)
        # A new solver per call: it holds buffers, so one cannot be shared by threads or pickled.
        flow = np.asarray(cv2.DISOpticalFlow.create(self._preset).calc(greys[0], greys[1], start))
        return _channels_first(flow[:height, :width])


class Farneback:
    """Polynomial expansion (Farneback, SCIA 2003), OpenCV's default parameters; fast and smooth."""

    name = "farneback"

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {"opencv": cv2.__version__}

    def __call__(self, first: Frame, second: Frame) -> FlowField:
        """Return the (2, H, W) float32 flow in pixels from `first` to `second`, (H, W, 3) uint8 each."""
        start = np.zeros((*first.shape[:2], 2), np.float32)
        flow = cv2.FarnebackOpticalFlow.create().calc(_grey(first), _grey(second), start)
        return _channels_first(np.asarray(flow))


class _Contributed:
    """An estimator of OpenCV's contributed modules, which the plain packages leave out."""

    name: ClassVar[str]
    _function: ClassVar[str]

    def __init__(self) -> None:
        if self._solver() is None:
            raise InputError(
                f"flow estimator {self.name} is not in this OpenCV: install {_CONTRIB} "
                "in place of opencv-python-headless"
            )
        self.settings: dict[str, Any] = {"opencv": cv2.__version__}

    def __call__(self, first: Frame, second: Frame) -> FlowField:
        """Return the (2, H, W) float32 flow in pixels from `first` to `second`, (H, W, 3) uint8 each."""
        create = self._solver()
        assert create is not None
        start = np.zeros((*first.shape[:2], 2), np.float32)
        return _channels_first(np.asarray(create().calc(_grey(first), _grey(second), start)))

    def _solver(self) -> Callable[[], Any] | None:
        return getattr(getattr(cv2, "optflow", None), self._function, None)


class DeepFlow(_Contributed):
    """DeepFlow (Weinzaepfel et al., ICCV 2013): its variational part; OpenCV has no DeepMatching.

    Raises:
        InputError: this OpenCV comes without its contributed modules.
    """

    name = "deepflow"
    _function = "createOptFlow_DeepFlow"


class TVL1(_Contributed):
    """Dual TV-L1 (Zach et al., DAGM 2007), OpenCV's default parameters.

    Raises:
        InputError: this OpenCV comes without its contributed modules.
    """

    name = "tvl1"
    _function = "createOptFlow_DualTVL1"


def _grey(frame: Frame) -> np.ndarray[Any, Any]:
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)


def _padded(grey: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    # OpenCV picks its scales by the width when a side is shorter than a patch (8 pixels) at the
    # finest scale (a quarter, in the fast presets), and then crashes on wide, low frames.
    height, width = grey.shape
    below, right = max(32 - height, 0), max(32 - width, 0)
    return cv2.copyMakeBorder(grey, 0, below, 0, right, cv2.BORDER_REPLICATE)


def _channels_first(flow: np.ndarray[Any, Any]) -> FlowField:
    return np.ascontiguousarray(flow.transpose(2, 0, 1), dtype=np.float32)
