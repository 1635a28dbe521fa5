"""Video and Segmentation: input and output of every method."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from vosbench.errors import InputError, is_path_name, shown

Frame = NDArray[np.uint8]
"""(H, W, 3) uint8 RGB."""

IdMap = NDArray[np.uint8]
"""(H, W) uint8 object ids: 0 background, 1..254 objects, 255 void (ground truth only)."""

FlowField = NDArray[np.float32]
"""(2, H, W) float32, u to the right and v down, in pixels of this field's own grid."""

VOID = 255

T = TypeVar("T")


class LazySequence(Sequence[T], Generic[T]):
    """A sequence whose items are made when asked for and not kept.

    Args:
        load: index in ``0..length-1`` -> item.
        length: number of items.
    """

    def __init__(self, load: Callable[[int], T], length: int) -> None:
        self._load = load
        self._length = length

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> LazySequence[T]: ...
    def __getitem__(self, index: int | slice) -> T | LazySequence[T]:
        if isinstance(index, slice):
            indices = range(self._length)[index]
            return LazySequence(lambda i: self._load(indices[i]), len(indices))
        return self._load(range(self._length)[index])


class LazyMapping(Mapping[int, T], Generic[T]):
    """A mapping from frame index to an item that is made when asked for and not kept."""

    def __init__(self, load: Callable[[int], T], keys: Iterable[int]) -> None:
        self._load = load
        self._keys = dict.fromkeys(sorted(keys))

    def __getitem__(self, key: int) -> T:
        if key not in self._keys:
            raise KeyError(key)
        return self._load(key)

    def __iter__(self) -> Iterator[int]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, key: object) -> bool:
        return key in self._keys


class DeferredMapping(Mapping[int, T], Generic[T]):
    """A mapping that is made on its first use, and kept.

    Args:
        make: returns the mapping.
    """

    def __init__(self, make: Callable[[], Mapping[int, T]]) -> None:
        self._make = make

    @cached_property
    def _made(self) -> Mapping[int, T]:
        return self._make()

    def __getitem__(self, key: int) -> T:
        return self._made[key]

    def __iter__(self) -> Iterator[int]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


@dataclass(frozen=True)
class Box:
    """An upright box around an object in one frame.

    Attributes:
        id: of the object; in an id map of the same frame it has this value, where it is visible there.
        category: name of its class; empty when unknown.
        x, y: left and upper edge in pixels; (0, 0) is the upper left corner of the picture.
        width, height: in pixels.
    """

    id: int
    category: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Video:
    """A named video; nothing is read from disk before it is indexed. A still image is a video of one frame.

    Attributes:
        name: sequence name as the data set spells it.
        frames: T items, each (H, W, 3) uint8 RGB, all of one size.
        frame_names: T file stems, e.g. ``"00000"``; results are written under the same names.
        annotations: frame index -> (H, W) uint8 id map; sparse where the data set is.
        flow: T-1 items, item t from frame t to t+1, each (2, H, W) float32 pixels; None when not attached.
        categories: id -> class name, for the whole video; empty where the data set names no classes.
        boxes: frame index -> boxes in that frame; empty where the data set has none. A frame without an
            entry was not looked at; an empty tuple stands for a frame without objects.

    Raises:
        InputError: names that results cannot be written under, such as ``..``.
    """

    name: str
    frames: Sequence[Frame]
    frame_names: tuple[str, ...]
    annotations: Mapping[int, IdMap] = field(default_factory=dict)
    flow: Sequence[FlowField] | None = None
    categories: Mapping[int, str] = field(default_factory=dict)
    boxes: Mapping[int, tuple[Box, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse names that results cannot be written under.

        Raises:
            InputError: names the first one.
        """
        for kind, name in (("sequence", self.name), *(("frame", name) for name in self.frame_names)):
            if not is_path_name(name):
                raise InputError(f"{kind} {shown(name)}: results cannot have this name; rename it")

    def __len__(self) -> int:
        return len(self.frames)

    def since(self, start: int) -> Video:
        """Return the video from a frame on, which becomes frame 0.

        Args:
            start: index of that frame.
        """
        return replace(
            self,
            frames=self.frames[start:],
            frame_names=self.frame_names[start:],
            annotations=_since(self.annotations, start),
            flow=None if self.flow is None else self.flow[start:],
            boxes=_since(self.boxes, start),
        )


def _since(items: Mapping[int, T], start: int) -> LazyMapping[T]:
    return LazyMapping(
        lambda index: items[index + start], (index - start for index in items if index >= start)
    )


class Segmentation:
    """Id maps of a video in frame order, possibly still being computed.

    A method may hand in a generator, so that a long video is never held in memory; such a
    segmentation can be iterated once. `stack` gathers everything.

    Args:
        maps: (H, W) uint8 id maps, one per frame.
        length: number of frames.
    """

    def __init__(self, maps: Iterable[IdMap], length: int) -> None:
        self._maps = maps
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[IdMap]:
        """Yield every id map.

        Raises:
            RuntimeError: the method produced another number of maps than the video has frames.
        """
        count = 0
        for ids in self._maps:
            count += 1
            yield ids
        if count != self._length:
            raise RuntimeError(f"segmentation has {count} maps for {self._length} frames")

    def stack(self) -> NDArray[np.uint8]:
        """Return all maps as one (T, H, W) uint8 array."""
        return np.stack(list(self))
