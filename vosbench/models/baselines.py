"""Baselines: methods without weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from vosbench.errors import InputError
from vosbench.method import Method, Task
from vosbench.video import FlowField, IdMap, Segmentation, Video


class AllForeground:
    """Baseline whose object is every pixel."""

    task: Task = "unsupervised"
    needs_flow = False

    def segment(self, video: Video, first_mask: IdMap | None = None) -> Segmentation:
        """Return id 1 everywhere."""
        return Segmentation((np.ones(_size(video), np.uint8) for _ in range(len(video))), len(video))


class CentreBox:
    """Baseline whose object is a centred box of half the width and half the height of the frame."""

    task: Task = "unsupervised"
    needs_flow = False

    def segment(self, video: Video, first_mask: IdMap | None = None) -> Segmentation:
        """Return id 1 in the box: rows H//4 .. H - H//4, columns likewise."""
        return Segmentation((_centre_box(*_size(video)) for _ in range(len(video))), len(video))


class FlowThreshold:
    """Threshold on the norm of the flow: Flow-Th of FusionSeg (Jain et al., CVPR 2017).

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
        return Segmentation(_per_field(video, "flow_threshold", _fast_part), len(video))


class FlowSaliency:
    """Threshold on the saliency of the picture of the flow: Flow-Sal of FusionSeg (CVPR 2017).

    Foreground where the saliency of the colour wheel picture exceeds its mean over the frame. The
    paper's saliency method is cited only; here it is `vosbench.models.saliency` ([ours]). The last
    frame, which has no forward flow, repeats the mask before it.
    """

    task: Task = "unsupervised"
    needs_flow = True

    def segment(self, video: Video, first_mask: IdMap | None = None) -> Segmentation:
        """Return id 1 where the picture of the flow is salient.

        Raises:
            InputError: the video has no flow.
        """
        return Segmentation(_per_field(video, "flow_saliency", _salient_part), len(video))


BASELINES: Mapping[str, Callable[[], Method]] = {
    "all_foreground": AllForeground,
    "centre_box": CentreBox,
    "flow_saliency": FlowSaliency,
    "flow_threshold": FlowThreshold,
}


def _size(video: Video) -> tuple[int, int]:
    height, width = video.frames[0].shape[:2]
    return height, width


def _centre_box(height: int, width: int) -> IdMap:
    ids = np.zeros((height, width), np.uint8)
    ids[height // 4 : height - height // 4, width // 4 : width - width // 4] = 1
    return ids


def _per_field(video: Video, name: str, part: Callable[[FlowField], IdMap]) -> Iterator[IdMap]:
    if video.flow is None:
        raise InputError(f"{name} needs the optical flow of {video.name}; choose a flow estimator")
    return _parts(video, video.flow, part)


def _parts(video: Video, fields: Sequence[FlowField], part: Callable[[FlowField], IdMap]) -> Iterator[IdMap]:
    ids = np.zeros(_size(video), np.uint8)
    for flow in fields:
        ids = part(flow)
        yield ids
    yield ids


def _fast_part(flow: FlowField) -> IdMap:
    norm = np.hypot(flow[0], flow[1], dtype=np.float64)
    ids: IdMap = (norm > norm.mean() + norm.std()).astype(np.uint8)
    return ids


def _salient_part(flow: FlowField) -> IdMap:
    # here, so that the other baselines start without them
    import torch

    from vosbench.flow.encodings import colour_wheel
    from vosbench.models.saliency import absorption_saliency

    picture = colour_wheel(torch.from_numpy(np.array(flow))).permute(1, 2, 0).numpy()
    saliency = absorption_saliency(np.ascontiguousarray(picture))
    ids: IdMap = (saliency > saliency.mean()).astype(np.uint8)
    return ids
