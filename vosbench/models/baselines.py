"""Baselines: methods without weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vosbench.errors import InputError
from vosbench.method import Method, Task
from vosbench.video import VOID, FlowField, IdMap, Segmentation, Video


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


class CopyFirst:
    """The first mask in every frame."""

    task: Task = "semi-supervised"
    needs_flow = False

    def segment(self, video: Video, first_mask: IdMap | None = None) -> Segmentation:
        """Return the first mask T times.

        Raises:
            InputError: there is no first mask.
        """
        ids = _first_of(video, first_mask, "copy_first")
        return Segmentation((ids.copy() for _ in range(len(video))), len(video))


class PropagateFlow:
    """The first mask carried from frame to frame by the flow, without looking at the frames.

    The forward flow is inverted by fixed-point iteration (Chen et al., A simple fixed-point approach to
    invert a deformation field, Medical Physics 2008). The share of every object in every pixel is sampled
    bilinearly, and a pixel belongs to the object with the largest share ([ours]: the best of four ways on
    DAVIS 2016 train).
    """

    task: Task = "semi-supervised"
    needs_flow = True

    def segment(self, video: Video, first_mask: IdMap | None = None) -> Segmentation:
        """Return the first mask moved along by the flow.

        Raises:
            InputError: there is no first mask, or the video has no flow.
        """
        ids = _first_of(video, first_mask, "propagate_flow")
        return Segmentation(_carried(ids, _flow_of(video, "propagate_flow")), len(video))


BASELINES: Mapping[str, Callable[[], Method]] = {
    "all_foreground": AllForeground,
    "centre_box": CentreBox,
    "copy_first": CopyFirst,
    "flow_saliency": FlowSaliency,
    "flow_threshold": FlowThreshold,
    "propagate_flow": PropagateFlow,
}


def _size(video: Video) -> tuple[int, int]:
    height, width = video.frames[0].shape[:2]
    return height, width


def _centre_box(height: int, width: int) -> IdMap:
    ids = np.zeros((height, width), np.uint8)
    ids[height // 4 : height - height // 4, width // 4 : width - width // 4] = 1
    return ids


def _flow_of(video: Video, name: str) -> Sequence[FlowField]:
    if video.flow is None:
        raise InputError(f"{name} needs the optical flow of {video.name}; choose a flow estimator")
    return video.flow


def _first_of(video: Video, first_mask: IdMap | None, name: str) -> IdMap:
    """Return the first mask; pixels that nobody labelled are background."""
    if first_mask is None:
        raise InputError(f"{name} needs the first mask of {video.name}")
    ids: IdMap = np.where(first_mask == VOID, np.uint8(0), first_mask)
    return ids


def _per_field(video: Video, name: str, part: Callable[[FlowField], IdMap]) -> Iterator[IdMap]:
    return _parts(video, _flow_of(video, name), part)


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


_INVERSION_STEPS = 5


def _carried(first: IdMap, fields: Sequence[FlowField]) -> Iterator[IdMap]:
    """Yield the first mask, then what every field makes of the mask before."""
    ids = np.unique(first)
    shares = [(first == value).astype(np.float32) for value in ids]
    yield first.copy()
    for flow in fields:
        columns, rows = _sources(flow)
        shares = [_sampled(share, columns, rows) for share in shares]
        yield ids[np.argmax(shares, axis=0)]


def _sources(flow: FlowField) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return where the pixels of the second frame were in the first: columns and rows, (H, W) float32."""
    rows, columns = np.mgrid[: flow.shape[1], : flow.shape[2]].astype(np.float32)
    u, v = flow
    for _ in range(_INVERSION_STEPS):
        # both of the same estimate: the second line must not see what the first has changed
        u, v = (_sampled(part, columns - u, rows - v) for part in flow)
    return columns - u, rows - v


def _sampled(
    values: NDArray[np.float32], columns: NDArray[np.float32], rows: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return values between pixels, bilinearly; beyond the border those of the border."""
    import cv2

    sampled = cv2.remap(values, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, np.float32)
