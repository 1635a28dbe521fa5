"""Long videos in overlapping windows, for networks that look at many frames at once.

Windows of 130 frames, each 50 after the last, are those of LVO (Tokmakov et al., "Learning to segment
moving objects", IJCV 2019, section 6). The paper is silent about frames seen by several windows; their
values are averaged here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")

WINDOW = 130
STEP = 50

_END = object()


def plan_windows(length: int, window: int = WINDOW, step: int = STEP) -> list[range]:
    """Return the frames of each window; together they cover the video.

    Every window is full, unless the video is shorter than one: the last is moved back to end with the
    video.

    Args:
        length: number of frames.
        window: frames in a window.
        step: from one start to the next, at most `window`.

    Raises:
        ValueError: a negative length, or windows that are empty or leave gaps.
    """
    if length < 0 or not 1 <= step <= window:
        raise ValueError(f"{length} frames in windows of {window} at steps of {step}")
    if not length:
        return []
    last = max(length - window, 0)
    starts = [*range(0, last, step), last]
    return [range(start, min(start + window, length)) for start in starts]


def stream_windows(
    items: Iterable[Item],
    length: int,
    run: Callable[[list[Item]], NDArray[np.floating]],
    *,
    window: int = WINDOW,
    step: int = STEP,
) -> Iterator[NDArray[np.floating]]:
    """Yield for every frame the average over the windows that contain the frame.

    A frame comes as soon as no later window sees it. Memory does not grow with the video: `items` is
    read as far as the next window needs, and at most `window` of them are held.

    Args:
        items: one per frame, of any kind.
        length: number of frames.
        run: called once per window of n items; returns n results, (n, ...) floating point.
        window: see `plan_windows`.
        step: see `plan_windows`.

    Yields:
        The result of each frame, (...) of the type that `run` returns.

    Raises:
        ValueError: as `plan_windows`, there are fewer or more items than `length`, or `run` returns
            another number of results than it was given items.
    """
    plan = plan_windows(length, window, step)
    source = iter(items)
    held: deque[Item] = deque()
    sums = _Sums()
    for number, frames in enumerate(plan, start=1):
        held.extend(islice(source, len(frames) - len(held)))
        if len(held) < len(frames):
            raise ValueError(f"{frames.start + len(held)} items for a video of {length} frames")
        sums.add(run(list(held)), len(frames))
        finished = (plan[number].start if number < len(plan) else length) - frames.start
        for _ in range(finished):
            held.popleft()
        for _ in range(finished):
            yield sums.pop()
    if next(source, _END) is not _END:
        raise ValueError(f"more than {length} items for a video of {length} frames")


class _Sums:
    """Sums of the results of the frames that are not finished, the earliest first."""

    def __init__(self) -> None:
        self._sums: deque[NDArray[np.floating]] = deque()
        self._counts: deque[int] = deque()

    def add(self, results: NDArray[np.floating], expected: int) -> None:
        if len(results) != expected:
            raise ValueError(f"{len(results)} results for a window of {expected} items")
        for index, result in enumerate(results):
            if index < len(self._sums):
                self._sums[index] += result
                self._counts[index] += 1
            else:
                # a view would keep the results of the whole window in memory
                self._sums.append(result.copy())
                self._counts.append(1)

    def pop(self) -> NDArray[np.floating]:
        total, count = self._sums.popleft(), self._counts.popleft()
        return total if count == 1 else total / count
