"""Clips: a few consecutive frames of a video with masks and flow, as training reads them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from vosbench.data.transforms.clip_transforms import (
    Augmentation,
    Clip,
    resize_flow,
    resize_frames,
    resize_masks,
    scaled_size,
)
from vosbench.errors import InputError, check_name
from vosbench.flow.estimators import FlowEstimator
from vosbench.video import VOID, Frame, Video

Item = dict[str, Tensor]
MasksOf = Literal["none", "first", "last", "any", "all"]


@dataclass(frozen=True)
class ClipSettings:
    """Cutting of clips, and the parts of clips that are read.

    Attributes:
        length: frames of a clip (T).
        stride: frames between the starts of two clips; `length` reads every frame once.
        masks: ``"all"``: every frame of a clip is annotated. ``"any"``: at least one is. ``"first"``,
            ``"last"``: that one is, and only its mask is read. ``"none"``: no mask is read.
        flow: estimators, None for the video's own flow; every clip comes once with each. Empty: no flow.
        flow_beyond: also read the flow from the last frame to the one after the clip, T fields in all.
        backward: also read the flow from every frame to the one before, as time reversal needs.
        before: up to so many frames of a clip may lie before the video: its first frame, standing still.
        repeat: a video that is too short, such as a still, goes on with its last frame, standing still.
        classes: names of classes 1, 2, ..., for the class of every object; empty: no classes.
        scale: factor on frames, masks and flow.
        in_memory: keep every frame, mask and field once it was read and scaled; every worker keeps its own.

    Raises:
        InputError: a value that makes no sense.
    """

    length: int = 1
    stride: int = 1
    masks: MasksOf = "all"
    flow: tuple[FlowEstimator | None, ...] = ()
    flow_beyond: bool = False
    backward: bool = False
    before: int = 0
    repeat: bool = False
    classes: tuple[str, ...] = ()
    scale: float = 1.0
    in_memory: bool = False

    def __post_init__(self) -> None:
        check_name("masks of a clip", self.masks, get_args(MasksOf))
        for key in ("length", "stride"):
            if getattr(self, key) < 1:
                raise InputError(f"{key} of clips is {getattr(self, key)}: it must be at least 1")
        if not 0 <= self.before < self.length:
            raise InputError(f"before is {self.before}: it must be from 0 to length - 1 = {self.length - 1}")
        if self.scale <= 0:
            raise InputError(f"scale of clips is {self.scale}: it must be above 0")
        if self.backward and None in self.flow:
            raise InputError("backward: ground-truth flow leads forward only; name an estimator")
        if self.backward and self.flow_beyond:
            raise InputError("backward and flow_beyond exclude each other: a clip reversed ends at its start")

    @property
    def fields(self) -> int:
        """Flow fields of a clip."""
        if not self.flow:
            return 0
        return self.length if self.flow_beyond else self.length - 1


class ClipDataset(Dataset[Item]):
    """All clips of some videos, video after video.

    An item is a dict: ``frames`` (T, 3, H, W) uint8 RGB, laid out in memory as (T, H, W, 3) until a
    transform makes new ones; ``masks`` (T, H, W) uint8 ids, 255 where void or not annotated, unless
    none are read; ``flow`` (T-1, 2, H, W) float32 pixels, item t from frame t to t+1 (T fields with
    `flow_beyond`), and ``backward`` (T-1, 2, H, W), item t from frame t+1 to t, if asked for; ``video``
    () int64 index of the video; ``start`` () int64 index of the first frame, negative where the
    clip begins before the video; ``classes`` (256,) int64, id -> class, 0 unknown, if classes are named.

    Args:
        videos: any videos; stills are videos of one frame.
        settings: how clips are cut.
        transform: applied to each clip after scaling.

    Raises:
        InputError: no video has such a clip, or ground-truth flow is asked for and missing. When indexed:
            files are broken, or frames, masks and flow of a clip differ in size.
    """

    def __init__(
        self, videos: Sequence[Video], settings: ClipSettings, transform: Augmentation | None = None
    ) -> None:
        self._settings = settings
        self._transform = transform
        self._kept: dict[Hashable, Tensor] = {}
        self._videos: list[tuple[int, Video]] = []
        self._starts: list[Sequence[int]] = []
        for number, video in enumerate(videos):
            short = settings.repeat and len(video) == 1
            if None in settings.flow and video.flow is None and not short:
                raise InputError(
                    f"video {video.name} has no ground-truth flow: name an estimator, e.g. flow=[dis]"
                )
            starts = _starts(video, settings)
            if starts:
                self._videos.append((number, video))
                self._starts.append(starts)
        if not self._starts:
            raise InputError(_nothing(len(videos), settings))
        self._sources = settings.flow or (None,)
        self._ends = np.cumsum(self.clips_per_video).tolist()

    @property
    def clips_per_video(self) -> list[int]:
        """Number of clips of every video that has one; they follow each other in the dataset."""
        return [len(starts) * len(self._sources) for starts in self._starts]

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Item:
        position, start, _ = self._locate(index)
        clip = self.clip(index)
        if self._transform is not None:
            clip = self._transform(clip)
        number, video = self._videos[position]
        item = {"frames": clip.frames, "video": torch.tensor(number), "start": torch.tensor(start)}
        if len(clip.masks):
            item["masks"] = clip.masks
        if clip.flow is not None:
            item["flow"] = clip.flow
        if clip.backward is not None:
            item["backward"] = clip.backward
        if self._settings.classes:
            item["classes"] = _class_table(video, self._settings.classes)
        return item

    @property
    def item_bytes(self) -> int:
        """Bytes of an item of the first video, before the transform."""
        settings = self._settings
        height, width = scaled_size(self._videos[0][1].frames[0].shape, settings.scale)
        fields = settings.fields * (2 if settings.backward else 1)
        return height * width * (4 * settings.length + 8 * fields)

    def clip(self, index: int) -> Clip:
        """Return a clip as read and scaled, before the transform."""
        position, start, source = self._locate(index)
        video = self._videos[position][1]
        reader = _Reader(video, position, self._settings, self._kept if self._settings.in_memory else None)
        # one more than the clip has: flow may lead there
        shown = [min(max(start + step, 0), len(video) - 1) for step in range(self._settings.length + 1)]
        frames = reader.frames(shown[: self._settings.length])
        masks = reader.masks(shown[: self._settings.length], frames)
        if not self._settings.flow:
            return Clip(frames, masks)
        pairs = list(pairwise(shown))[: self._settings.fields]
        flow = reader.flow(pairs, source, frames)
        if not self._settings.backward:
            return Clip(frames, masks, flow)
        return Clip(frames, masks, flow, reader.flow([(b, a) for a, b in pairs], source, frames))

    def _locate(self, index: int) -> tuple[int, int, int]:
        """Return position of the video, start of the clip and number of the flow source."""
        if not 0 <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        position = bisect_right(self._ends, index)
        within = index - (self._ends[position - 1] if position else 0)
        clip, source = divmod(within, len(self._sources))
        return position, self._starts[position][clip], source


class _Reader:
    """Reader of one clip, every frame once; frames are kept as read only while flow may need the frames."""

    def __init__(
        self, video: Video, position: int, settings: ClipSettings, kept: dict[Hashable, Tensor] | None
    ) -> None:
        self._video = video
        self._position = position
        self._settings = settings
        self._kept = kept
        self._raw: dict[int, Frame] = {}

    def frames(self, shown: Sequence[int]) -> Tensor:
        """Return (T, 3, h, w) uint8."""
        rows = torch.empty(0, dtype=torch.uint8)
        for step, index in enumerate(shown):
            if step and index == shown[step - 1]:
                rows[step] = rows[step - 1]
                continue
            frame = self._once(("frame", index), self._frame, index)
            if not step:
                rows = frame.new_empty((len(shown), *frame.shape))
            if frame.shape != rows.shape[1:]:
                raise InputError(
                    f"video {self._video.name}: frame {self._video.frame_names[index]} is {_size(frame)}, "
                    f"frame {self._video.frame_names[shown[0]]} is {_size(rows[0])}; a video has one size"
                )
            rows[step] = frame
        # pixels stay as they were decoded: turning them into planes takes longer than copying them
        return rows.permute(0, 3, 1, 2)

    def masks(self, shown: Sequence[int], frames: Tensor) -> Tensor:
        """Return (T, h, w) uint8, 255 where nothing is known; none at all if none are read."""
        size = frames.shape[-2:]
        if self._settings.masks == "none":
            return torch.empty((0, *size), dtype=torch.uint8)
        masks = torch.full((len(shown), *size), VOID, dtype=torch.uint8)
        steps = {"first": [0], "last": [len(shown) - 1]}.get(self._settings.masks, range(len(shown)))
        for step in steps:
            if shown[step] not in self._video.annotations:
                continue
            mask = self._once(("mask", shown[step]), self._mask, shown[step])
            if mask.shape != size:
                raise InputError(self._other_size("annotation", shown[step], mask.shape, size))
            masks[step] = mask
        return masks

    def flow(self, pairs: Sequence[tuple[int, int]], source: int, frames: Tensor) -> Tensor:
        """Return (N, 2, h, w) float32; zero where a frame is followed by itself."""
        size = frames.shape[-2:]
        fields = torch.zeros((len(pairs), 2, *size))
        for field, (first, second) in zip(fields, pairs, strict=True):
            if first == second:
                continue
            values = self._once(("flow", first, second, source), self._field, first, second, source)
            if values.shape != field.shape:
                raise InputError(self._other_size("flow", first, values.shape[-2:], size))
            field.copy_(values)
        return fields

    def _once(self, key: tuple[Hashable, ...], make: Callable[..., Tensor], *arguments: int) -> Tensor:
        if self._kept is None:
            return make(*arguments)
        key = (self._position, *key)
        if key not in self._kept:
            self._kept[key] = make(*arguments)
        return self._kept[key]

    def _read(self, index: int) -> Frame:
        if not self._settings.flow:
            return self._video.frames[index]
        if index not in self._raw:
            self._raw[index] = self._video.frames[index]
        return self._raw[index]

    def _frame(self, index: int) -> Tensor:
        frame = _tensor(self._read(index))
        if self._settings.scale == 1:
            return frame
        size = scaled_size(frame.shape[:2], self._settings.scale)
        return resize_frames(frame.permute(2, 0, 1)[None], *size)[0].permute(1, 2, 0).contiguous()

    def _mask(self, index: int) -> Tensor:
        mask = _tensor(self._video.annotations[index])
        if self._settings.scale == 1:
            return mask
        return resize_masks(mask[None], *scaled_size(mask.shape, self._settings.scale))[0]

    def _field(self, first: int, second: int, source: int) -> Tensor:
        estimator = self._settings.flow[source]
        if estimator is not None:
            field = _tensor(estimator(self._read(first), self._read(second)))
        else:
            assert self._video.flow is not None
            field = _tensor(self._video.flow[first])
        if self._settings.scale == 1:
            return field
        return resize_flow(field[None], *scaled_size(field.shape[1:], self._settings.scale))[0]

    def _other_size(self, what: str, index: int, size: torch.Size, wanted: torch.Size) -> str:
        return (
            f"video {self._video.name}: {what} of frame {self._video.frame_names[index]} is "
            f"{size[1]}x{size[0]}, the frame {wanted[1]}x{wanted[0]}; copy the data set again"
        )


def _starts(video: Video, settings: ClipSettings) -> Sequence[int]:
    needed = settings.length + (settings.fields == settings.length)
    starts: Sequence[int] = range(-settings.before, len(video) - needed + 1, settings.stride)
    if not starts and settings.repeat and len(video):
        starts = range(1)
    if settings.masks == "none":
        return starts
    return [start for start in starts if _annotated(video, start, settings)]


def _annotated(video: Video, start: int, settings: ClipSettings) -> bool:
    first, last = start, start + settings.length - 1
    wanted = {"first": [first], "last": [last]}.get(settings.masks, range(first, last + 1))
    known = (min(max(index, 0), len(video) - 1) in video.annotations for index in wanted)
    return any(known) if settings.masks == "any" else all(known)


def _nothing(videos: int, settings: ClipSettings) -> str:
    beyond = " and one more" if settings.fields == settings.length else ""
    which = {"any": "one", "all": "all"}.get(settings.masks, f"the {settings.masks}")
    masks = "" if settings.masks == "none" else f", {which} of them annotated"
    return (
        f"none of the {videos} videos has {settings.length} frames{beyond} in a row{masks}; "
        "take shorter clips, other masks or another split"
    )


def _class_table(video: Video, classes: Sequence[str]) -> Tensor:
    table = torch.zeros(256, dtype=torch.int64)
    for number, name in video.categories.items():
        if name not in classes:
            raise InputError(f"video {video.name}: object {number} is of class '{name}', not in the classes")
        table[number] = 1 + classes.index(name)
    return table


def _tensor(values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> Tensor:
    # torch shares memory with arrays it may write to only
    return torch.from_numpy(np.require(values, requirements=["C", "W"]))


def _size(frame: Tensor) -> str:
    return f"{frame.shape[1]}x{frame.shape[0]}"
