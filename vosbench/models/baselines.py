"""Methods that see nothing or almost nothing: what a network has to beat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from vosbench.data.video import FlowField, IdMap, Segmentation, Video
from vosbench.errors import InputError
from vosbench.models.base import Method, Task


class AllForeground:
    """Every pixel is the object."""

    task: Task = "unsupervised"
    needs_flow = False

    def segment(self, video: Video, first_mask: IdMap | None = None) -> Segmentation:
        """Return id 1 everywhere."""
        return Segmentation((np.ones(_size(video), np.uint8) for _ in range(len(video))), len(video))


class CentreBox:
    """The object is a centred box of half the width and half the height of the frame."""

    task: Task = "unsupervised"
    needs_flow = False

    def segment(self, video: Video, first_mask: IdMap | None = None) -> Segmentation:
        """Return id 1 in the box: rows H//4 .. H - H//4, columns likewise."""
        return Segmentation((_centre_box(*_size(video)) for _ in range(len(video))), len(video))


class FlowThreshold:
    """The object is what moves more than usual in its frame: Flow-Th of FusionSeg (Jain et al., CVPR 2017).

    Foreground where the norm of the flow exceeds the mean plus one (population) standard deviation
    of the norms of that frame. The last frame, which has no forward flow, repeats the mask before it.
    """

    task: Task = "unsupervised"
    needs_flow = True

    def segment(self, video: Video, first_mask: IdMap | None = None) -> Segmentation:
        """Return id 1 where the flow is fast.

        Raises:
            InputError: the video has no flow.
        """
        if video.flow is None:
            raise InputError(
                f"flow_threshold needs the optical flow of {video.name}; choose a flow estimator"
            )
        return Segmentation(_fast_parts(video), len(video))


BASELINES: Mapping[str, Callable[[], Method]] = {
    "all_foreground": AllForeground,
    "centre_box": CentreBox,
    "flow_threshold": FlowThreshold,
}


def _size(video: Video) -> tuple[int, int]:
    height, width = video.frames[0].shape[:2]
    return height, width


def _centre_box(height: int, width: int) -> IdMap:
    ids = np.zeros((height, width), np.uint8)
    ids[height // 4 : height - height // 4, width // 4 : width - width // 4] = 1
    return ids


def _fast_parts(video: Video) -> Iterator[IdMap]:
    assert video.flow is not None
    ids = np.zeros(_size(video), np.uint8)
    for flow in video.flow:
        ids = _fast_part(flow)
        yield ids
    yield ids


def _fast_part(flow: FlowField) -> IdMap:
    norm = np.hypot(flow[0], flow[1], dtype=np.float64)
    ids: IdMap = (norm > norm.mean() + norm.std()).astype(np.uint8)
    return ids
