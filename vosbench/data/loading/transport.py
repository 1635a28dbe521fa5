"""Transport of batches from worker processes, without new shared memory for each batch.

Pages of fresh memory are handed out by the system one by one, which may take longer than decoding the
pictures that are put there; and a batch of many small tensors, the targets of detectors, is as many files
to open. Here workers write into slots that stay, and the main process gives a slot
back when nothing refers to the batch any more; without a free slot a batch travels as usual.
"""

from __future__ import annotations

import ctypes
import mmap
import weakref
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import get_worker_info

Empty = Callable[[Sequence[int], torch.dtype], Tensor]
"""(shape, dtype) -> a tensor to be written to."""

Collate = Callable[[Sequence[Mapping[str, Tensor]], Empty], dict[str, Any]]
"""(items, where to get memory from) -> tensors in dicts and lists; those of other memory are copied."""

_ALIGNED = 64
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Options of glibc's mallopt."""
_KEPT_BYTES = 2**30


def start_worker(_worker: int = 0) -> None:
    """Prepare a process for reading clips: it keeps memory that pictures needed for those that follow."""
    # workers share the cores among themselves; OpenCV's threads do not survive a fork
    cv2.setNumThreads(0)
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:
        tune(_MMAP_THRESHOLD, _KEPT_BYTES)
        tune(_TRIM_THRESHOLD, _KEPT_BYTES)


class _TensorView(NamedTuple):
    """Tensor in a slot: first byte, type, shape and strides."""

    offset: int
    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def of(self, memory: Tensor) -> Tensor:
        start = self.offset // self.dtype.itemsize
        return memory.view(self.dtype).as_strided(self.shape, self.stride, start)


class SlotCollate:
    """Collates in a worker, into memory shared with the process that made this object and forked the worker.

    Args:
        collate: takes items and where to get memory from.
        workers: number of workers.
        slots: batches of one worker that may be under way or in use at a time.
        size: bytes of a batch; memory is taken when it is first written to.
    """

    def __init__(self, collate: Collate, workers: int, slots: int, size: int) -> None:
        size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        self._collate = collate
        self._slots = slots
        self._size = size
        self._memory = np.frombuffer(mmap.mmap(-1, workers * slots * size), np.uint8)
        self._busy = np.frombuffer(mmap.mmap(-1, workers * slots), np.uint8)
        _KNOWN[id(self)] = self

    def __call__(self, items: Sequence[Mapping[str, Tensor]]) -> _SlotBatch | dict[str, Any]:
        """Return a batch that becomes the dict of the tensors on its way to the main process."""
        slot = self._free_slot()
        if slot is None:
            return self._collate(items, new_tensor)
        room = _Room(torch.from_numpy(self._bytes(slot)))
        batch = self._collate(items, room.empty)
        self._busy[slot] = 1
        return _SlotBatch(id(self), slot, batch, room)

    def unpack(self, slot: int, views: Any) -> Any:
        """Return the tensors of a slot, which is free again when the last of them is gone."""
        array = self._bytes(slot)
        weakref.finalize(array, self._busy.__setitem__, slot, 0).atexit = False
        memory = torch.from_numpy(array)
        return _each(views, lambda view: view if isinstance(view, Tensor) else view.of(memory))

    def _free_slot(self) -> int | None:
        worker = get_worker_info()
        if worker is None:
            return None
        mine = range(worker.id * self._slots, (worker.id + 1) * self._slots)
        return next((slot for slot in mine if not self._busy[slot]), None)

    def _bytes(self, slot: int) -> NDArray[np.uint8]:
        return self._memory[slot * self._size : (slot + 1) * self._size]


_KNOWN: weakref.WeakValueDictionary[int, SlotCollate] = weakref.WeakValueDictionary()
"""By id, which is the same in a forked worker."""


def new_tensor(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """Return a tensor in memory that no other tensor shares."""
    return torch.empty(tuple(shape), dtype=dtype)


class _Room:
    """Gives out the memory of a slot, piece by piece, and new memory once that is full."""

    def __init__(self, memory: Tensor) -> None:
        self._memory = memory
        self._used = 0

    def empty(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        size = prod(shape) * dtype.itemsize
        start = -(-self._used // _ALIGNED) * _ALIGNED
        if start + size > len(self._memory):
            return new_tensor(shape, dtype)
        self._used = start + size
        return self._memory[start : start + size].view(dtype).view(tuple(shape))

    def locate(self, tensor: Tensor) -> _TensorView | Tensor:
        """Return the place of a tensor, copied here if there is room; the tensor if there is none."""
        if not self._holds(tensor):
            # in the order of its memory, on which the last bit of a convolution may depend
            if not tensor.numel() or not _is_dense(tensor):
                return tensor
            copy = self.empty((tensor.numel(),), tensor.dtype)
            if not self._holds(copy):
                return tensor
            tensor = copy.as_strided(tensor.shape, tensor.stride()).copy_(tensor)
        offset = tensor.data_ptr() - self._memory.data_ptr()
        return _TensorView(offset, tensor.dtype, tuple(tensor.shape), tensor.stride())

    def _holds(self, tensor: Tensor) -> bool:
        return 0 <= tensor.data_ptr() - self._memory.data_ptr() < len(self._memory)


def _is_dense(tensor: Tensor) -> bool:
    """Return whether a tensor takes as much memory as it has elements."""
    last = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    return last + 1 == tensor.numel()


def _each(batch: Any, change: Callable[[Any], Any]) -> Any:
    """Return dicts and lists like those of a batch, what is in them changed."""
    if isinstance(batch, Mapping):
        return {key: _each(item, change) for key, item in batch.items()}
    if isinstance(batch, list):
        return [_each(item, change) for item in batch]
    return change(batch)


class _SlotBatch:
    """Batch in a slot, whose pickle holds the positions of its tensors."""

    def __init__(self, pool: int, slot: int, batch: Mapping[str, Any], room: _Room) -> None:
        self._address = pool, slot, _each(batch, room.locate)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _unpack, self._address


def _unpack(pool: int, slot: int, views: Any) -> Any:
    return _KNOWN[pool].unpack(slot, views)
