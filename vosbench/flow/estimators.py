"""Where optical flow comes from: computed between two frames, or read from files."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np

from vosbench.data.formats.flo import read_flo
from vosbench.data.video import FlowField, Frame, LazySequence, Video
from vosbench.errors import InputError, unknown_name

_DIS_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}


@runtime_checkable
class FlowEstimator(Protocol):
    """Computes the flow from one frame to another.

    Attributes:
        name: the estimator, e.g. ``"dis"``.
        settings: everything that changes its output, library versions included; JSON values. Cached
            fields are found by it and records quote it.
    """

    @property
    def name(self) -> str:
        """Which estimator."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """What determines its output."""
        ...

    def __call__(self, first: Frame, second: Frame) -> FlowField:
        """Return the (2, H, W) float32 flow in pixels from `first` to `second`, (H, W, 3) uint8 each."""
        ...


class DIS:
    """Dense Inverse Search (Kroeger et al., ECCV 2016) as implemented by OpenCV, on grey frames.

    The result does not depend on the number of threads. Frames of fewer than 32 pixels a side are
    padded by repeating their last row and column.

    Args:
        preset: ``"ultrafast"``, ``"fast"`` or ``"medium"``: OpenCV's names, from fast to accurate.

    Raises:
        InputError: unknown preset.
    """

    name = "dis"

    def __init__(self, preset: str = "medium") -> None:
        if preset not in _DIS_PRESETS:
            raise unknown_name("preset of dis", preset, _DIS_PRESETS)
        self.settings: dict[str, Any] = {"preset": preset, "opencv": cv2.__version__}
        self._preset = _DIS_PRESETS[preset]

    def __call__(self, first: Frame, second: Frame) -> FlowField:
        """Return the (2, H, W) float32 flow in pixels from `first` to `second`, (H, W, 3) uint8 each."""
        height, width = first.shape[:2]
        greys = [_padded(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)) for frame in (first, second)]
        start = np.zeros((*greys[0].shape, 2), np.float32)
        # A new solver per call: it holds buffers, so one cannot be shared by threads or pickled.
        flow = np.asarray(cv2.DISOpticalFlow.create(self._preset).calc(greys[0], greys[1], start))
        return np.ascontiguousarray(flow[:height, :width].transpose(2, 0, 1), dtype=np.float32)


def _padded(grey: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    # OpenCV picks its scales by the width when a side is shorter than a patch (8 pixels) at the
    # finest scale (a quarter, in the fast presets), and then crashes on wide, low frames.
    height, width = grey.shape
    below, right = max(32 - height, 0), max(32 - width, 0)
    return cv2.copyMakeBorder(grey, 0, below, 0, right, cv2.BORDER_REPLICATE)


class Precomputed:
    """Flow that another program wrote: ``FOLDER/SEQUENCE/FRAME.flo``, from FRAME to the next frame.

    Args:
        folder: holds a folder per sequence.

    Raises:
        InputError: no such folder.
    """

    name = "precomputed"

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder)
        if not self._folder.is_dir():
            raise InputError(f"{folder}: no such folder of precomputed flow")
        self.settings: dict[str, Any] = {"folder": str(folder)}

    def read(self, video: Video) -> LazySequence[FlowField]:
        """Return the T-1 fields of a video, read when indexed.

        Raises:
            InputError: a file is missing; when indexed, broken or of another size than the frames.
        """
        paths = self._files(video)

        def load(index: int) -> FlowField:
            flow = read_flo(paths[index])
            height, width = video.frames[index].shape[:2]
            if flow.shape[1:] != (height, width):
                raise InputError(
                    f"{paths[index]}: flow is {flow.shape[2]}x{flow.shape[1]}, "
                    f"the frames of {video.name} are {width}x{height}"
                )
            return flow

        return LazySequence(load, len(paths))

    def content_hash(self, video: Video) -> str:
        """Return a SHA-256 over the files of a video.

        Raises:
            InputError: a file is missing.
        """
        digest = hashlib.sha256()
        for path in self._files(video):
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def _files(self, video: Video) -> list[Path]:
        paths = [self._folder / video.name / f"{name}.flo" for name in video.frame_names[:-1]]
        for path in paths:
            if not path.is_file():
                raise InputError(
                    f"{path}: missing; precomputed flow needs a file for every frame but the last"
                )
        return paths


ESTIMATORS: Mapping[str, Callable[..., FlowEstimator | Precomputed]] = {
    "dis": DIS,
    "precomputed": Precomputed,
}


def build_estimator(name: str, **settings: Any) -> FlowEstimator | Precomputed:
    """Build an estimator from its name and the arguments of its class.

    Raises:
        InputError: unknown name, setting or value.
    """
    if name not in ESTIMATORS:
        raise unknown_name("flow estimator", name, ESTIMATORS)
    accepted = inspect.signature(ESTIMATORS[name]).parameters
    for setting in settings:
        if setting not in accepted:
            raise unknown_name(f"setting of flow estimator {name}", setting, accepted)
    missing = [key for key, value in accepted.items() if value.default is value.empty and key not in settings]
    if missing:
        raise InputError(f"flow estimator {name} needs '{missing[0]}'")
    return ESTIMATORS[name](**settings)
