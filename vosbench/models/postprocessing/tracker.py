"""Tracker of Dave et al.: objects of a video from the detections of single frames.

Source: Dave, Tokmakov and Ramanan, "Towards segmenting anything that moves", ICCV workshops 2019,
section 3.3, with the details of the code released with it.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from vosbench.errors import InputError, shown
from vosbench.models.postprocessing.tracker_masks import PackedMask, overlaps
from vosbench.video import VOID, IdMap

Values = NDArray[Any] | torch.Tensor

Detections = tuple[Values, Values] | tuple[Values, Values, Values]
"""Of one frame: masks (N, H, W) bool, scores (N,) and, optionally, may_start (N,) bool, in any memory."""

MOST_TRACKS = VOID - 1
"""Ids that an id map has room for."""


@dataclass(frozen=True)
class OverlapTracker:
    """Links detections whose masks overlap from frame to frame.

    Forward in time, a track goes on with the detection that overlaps its last mask; tracks seen most
    recently choose first, all tracks of one age at once, so that their overlaps add up to the most.
    What no track wants may start one. Going back, tracks collect earlier detections that were left over,
    such as an object's before it is found to move. Every comparison is strict: a value equal to its
    threshold does not pass. No motion, class or appearance is looked at.

    Detections may come from any iterable, one frame after the other, and are not kept: a bidirectional
    tracker holds their packed masks until the end of the video, otherwise those of the last
    `t_inactive` frames. Time grows with the length of the video, not faster.

    Args:
        alpha_high: a detection starts a track if its score is above, and if it may.
        alpha_low: detections with scores up to this do not exist.
        t_inactive: frames from a track's last detection within which it can go on. Backward, a track is
            extended to frame t if it starts less than that after t.
        bidirectional: go back as well. The paper does so for FBMS only, the released code always.
        iou_min: pairs that overlap up to this are no match; only in the code.

    Raises:
        InputError: a setting out of range.

    Example:
        >>> import numpy as np
        >>> mask = np.zeros((1, 4, 6), bool)
        >>> mask[0, 1:3, 1:4] = True
        >>> ids = OverlapTracker()([(mask, np.array([0.95])), (mask, np.array([0.8]))])
        >>> ids.shape, ids[1].max()
        ((2, 4, 6), np.uint8(1))
    """

    alpha_high: float = 0.9
    alpha_low: float = 0.7
    t_inactive: int = 10
    bidirectional: bool = True
    iou_min: float = 0.1

    def __post_init__(self) -> None:
        numbers = {item.name: getattr(self, item.name) for item in fields(self)}
        for name in ("alpha_high", "alpha_low"):
            _require(_is_number(numbers[name]), name, numbers[name], "a number")
        at_least_low = self.alpha_high >= self.alpha_low
        _require(at_least_low, "alpha_high", self.alpha_high, f"at least alpha_low ({self.alpha_low})")
        whole = type(self.t_inactive) is int and self.t_inactive >= 0
        _require(whole, "t_inactive", self.t_inactive, "a whole number of frames")
        _require(isinstance(self.bidirectional, bool), "bidirectional", self.bidirectional, "true or false")
        share = _is_number(self.iou_min) and 0 <= self.iou_min < 1
        _require(share, "iou_min", self.iou_min, "at least 0 and below 1")

    def __call__(self, detections: Iterable[Detections]) -> NDArray[np.uint8]:
        """Return the ids of all frames, (T, H, W) uint8; see `track`.

        Raises:
            ValueError: as `track`, and for no frames at all, whose size nobody knows.
        """
        maps = list(self.track(detections))
        if not maps:
            raise ValueError("no frames; give a frame without detections as masks (0, H, W) and scores (0,)")
        return np.stack(maps)

    def track(self, detections: Iterable[Detections]) -> Iterator[IdMap]:
        """Yield an id map per frame: 0 is background, tracks count from 1 in the order they start.

        Where masks of a frame overlap the higher score is seen, on equal scores the later track. A
        forward tracker yields a frame as soon as it has its detections, a bidirectional one all of them
        after the last.

        Args:
            detections: per frame masks (N, H, W) bool and scores (N,), and may_start (N,) bool, all
                true when left out; numpy arrays or tensors on any device. N may be 0.

        Raises:
            InputError: more tracks start than an id map has ids (254).
            ValueError: a frame whose arrays have other shapes or types, or another size than the first.
        """
        for frame in self._tracked(detections, most=MOST_TRACKS):
            ids = np.zeros(frame.size, np.uint8)
            painted = (detection for detection in frame.detections if detection.track)
            for detection in sorted(painted, key=lambda item: (item.score, item.track)):
                detection.mask.paint(ids, detection.track)
            yield ids

    def assign(self, detections: Iterable[Detections]) -> list[NDArray[np.int64]]:
        """Return per frame the track of each detection, (N,) int64, 0 where it has none.

        Tracks are numbered as in `track`, and there may be any number of them.

        Raises:
            ValueError: as `track`.
        """
        numbers = []
        for frame in self._tracked(detections):
            found = np.zeros(frame.given, np.int64)
            for detection in frame.detections:
                found[detection.index] = detection.track
            numbers.append(found)
        return numbers

    def _tracked(self, detections: Iterable[Detections], most: int | None = None) -> Iterator[_Frame]:
        """The frames in order, their tracks final."""
        begun: dict[int, int] = {}
        frames = self._forward(self._read(detections), begun, most)
        if not self.bidirectional:
            yield from frames
            return
        history: list[_Frame] = []
        for frame in frames:
            history.append(frame)
            if frame.index >= self.t_inactive:
                # too old for the frames that are still to come
                history[frame.index - self.t_inactive].rest()
        self._backward(history, begun)
        yield from history

    def _forward(self, frames: Iterable[_Frame], begun: dict[int, int], most: int | None) -> Iterator[_Frame]:
        """Extend and start tracks; `begun` learns the frame in which each starts."""
        latest: dict[int, _Detection] = {}
        for frame in frames:
            t = frame.index
            latest = {track: last for track, last in latest.items() if t - last.frame <= self.t_inactive}
            self._match(latest.values(), frame.detections, t)
            for detection in frame.detections:
                if not detection.track and detection.starts:
                    detection.track = len(begun) + 1
                    self._check_number(detection.track, t, most)
                    begun[detection.track] = t
                if detection.track:
                    latest[detection.track] = detection
            yield frame

    def _backward(self, history: list[_Frame], begun: dict[int, int]) -> None:
        """Extend tracks to what is left over, last frame first; `begun` is kept up to date."""
        nearest: dict[int, _Detection] = {}
        for frame in reversed(history):
            t = frame.index
            # a track that starts too late for this frame does so for all earlier ones
            nearest = {track: near for track, near in nearest.items() if begun[track] < t + self.t_inactive}
            here = {detection.track for detection in frame.detections}
            left_over = [detection for detection in frame.detections if not detection.track]
            self._match([near for track, near in nearest.items() if track not in here], left_over, t)
            for detection in frame.detections:
                if detection.track:
                    nearest[detection.track] = detection
                    begun[detection.track] = min(begun[detection.track], t)

    def _match(self, anchors: Iterable[_Detection], found: Iterable[_Detection], t: int) -> None:
        """Give detections of frame t the tracks of the anchors they overlap, nearest frame first."""
        groups: dict[int, list[_Detection]] = defaultdict(list)
        for anchor in anchors:
            groups[abs(t - anchor.frame)].append(anchor)
        # between equal assignments the order of rows and columns decides
        free = sorted(found, key=lambda item: -item.score)
        for gap in sorted(groups):
            if not free:
                return
            group = sorted(groups[gap], key=lambda item: (-item.score, item.track))
            shares = overlaps([item.mask for item in group], [item.mask for item in free])
            for row, column in zip(*linear_sum_assignment(shares, maximize=True), strict=True):
                if shares[row, column] > self.iou_min:
                    free[column].track = group[row].track
            free = [item for item in free if not item.track]

    def _check_number(self, track: int, t: int, most: int | None) -> None:
        if most is not None and track > most:
            raise InputError(
                f"frame {t} starts track {track}, but an id map has {most} ids: raise alpha_high "
                f"({self.alpha_high}) so that fewer detections start tracks, or track a shorter part"
            )

    def _read(self, detections: Iterable[Detections]) -> Iterator[_Frame]:
        """Check frames and pack what counts of them."""
        size = None
        for t, given in enumerate(detections):
            where = f"frame {t}"
            masks, scores, *rest = _arrays(given, where, most=3)
            may_start = rest[0] if rest else np.ones(len(scores), np.bool_)
            size = size or masks.shape[1:]
            if masks.shape[1:] != size:
                raise ValueError(f"{where}: masks are {masks.shape[1:]}, those of frame 0 {size}")
            # compared as they are: rounding a threshold to the type of the scores keeps equal ones equal
            starts = (scores > self.alpha_high) & may_start
            kept = np.flatnonzero(scores > self.alpha_low).tolist()
            packed = [_Detection(t, i, float(scores[i]), bool(starts[i]), PackedMask(masks[i])) for i in kept]
            yield _Frame(t, size, len(scores), packed)


def merge_static(
    moving: tuple[Values, Values],
    static: tuple[Values, Values],
    *,
    alpha_low: float = 0.7,
    iou_max: float = 0.1,
) -> tuple[NDArray[np.bool_], NDArray[Any], NDArray[np.bool_]]:
    """Join the detections of moving objects in a frame with those of any object, for `OverlapTracker`.

    An object that stands still continues a track, so that nothing is lost when a moving one stops, but
    never starts one. Static detections that overlap a moving one are the same object and left out.

    Args:
        moving: masks (N, H, W) bool and scores (N,), numpy arrays or tensors on any device.
        static: the same, (M, H, W) and (M,).
        alpha_low: moving detections with scores up to this hide no static one.
        iou_max: static detections that overlap a moving one by this or more are left out. The paper has
            any overlap, the released code 0.1.

    Returns:
        Masks (K, H, W) bool, moving ones first, scores (K,), and may_start (K,) bool, true for those.

    Raises:
        ValueError: other shapes or types, or masks of different sizes.
    """
    masks, scores = _arrays(moving, "moving detections", most=2)
    static_masks, static_scores = _arrays(static, "static detections", most=2)
    if masks.shape[1:] != static_masks.shape[1:]:
        raise ValueError(f"moving masks are {masks.shape[1:]}, static ones {static_masks.shape[1:]}")
    seen = [PackedMask(mask) for mask in masks[scores > alpha_low]]
    shares = overlaps([PackedMask(mask) for mask in static_masks], seen)
    kept = (shares < iou_max).all(axis=1)
    joined = np.concatenate([masks, static_masks[kept]])
    may_start = np.arange(len(joined)) < len(masks)
    return joined, np.concatenate([scores, static_scores[kept]]), may_start


@dataclass(slots=True, eq=False)
class _Detection:
    """A detection that counts.

    Attributes:
        frame: where it is.
        index: its place among all detections of the frame.
        score: the detector's.
        starts: whether it starts a track when none wants it.
        mask: its pixels.
        track: number of its track; 0 for none.
    """

    frame: int
    index: int
    score: float
    starts: bool
    mask: PackedMask
    track: int = 0


@dataclass(slots=True, eq=False)
class _Frame:
    """The detections of a frame.

    Attributes:
        index: counted from 0.
        size: (H, W).
        given: number of detections, with those that do not count.
        detections: those that count, in the order they were given.
    """

    index: int
    size: tuple[int, ...]
    given: int
    detections: list[_Detection]

    def rest(self) -> None:
        """Keep masks compressed."""
        for detection in self.detections:
            detection.mask.rest()


def _arrays(given: Sequence[Values], where: str, most: int) -> list[NDArray[Any]]:
    """Masks, scores and, if given, may_start as arrays, checked."""
    if not 2 <= len(given) <= most:
        extra = " and, where wanted, may_start" if most > 2 else ""
        raise ValueError(f"{where}: {len(given)} arrays; give masks and scores{extra}")
    masks, scores, *rest = map(_array, given)
    if masks.ndim != 3 or not masks.shape[1] or not masks.shape[2]:
        raise ValueError(f"{where}: masks are (N, H, W), (0, H, W) without detections, not {masks.shape}")
    if masks.dtype != np.bool_:
        raise ValueError(f"{where}: masks are bool, not {masks.dtype}; give mask > 0.5 or the like")
    for name, values in zip(("scores", "may_start"), (scores, *rest), strict=False):
        if values.shape != masks.shape[:1]:
            raise ValueError(f"{where}: {name} are {values.shape} for {len(masks)} masks")
    if scores.dtype.kind not in "fiu" or np.isnan(scores).any():
        raise ValueError(f"{where}: scores are numbers, not {scores.dtype} or NaN")
    if rest and len(masks) and rest[0].dtype != np.bool_:
        raise ValueError(f"{where}: may_start is bool, not {rest[0].dtype}")
    return [masks, scores, *(item.astype(np.bool_, copy=False) for item in rest)]


def _array(values: Values) -> NDArray[Any]:
    if not isinstance(values, torch.Tensor):
        return np.asarray(values)
    # numpy has no bfloat16
    values = values.float() if values.dtype == torch.bfloat16 else values
    return values.numpy(force=True)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _require(met: bool, name: str, value: object, wanted: str) -> None:
    if not met:
        raise InputError(f"tracker: {name} is {shown(value)}, give {wanted}")
