"""Reading and writing beside the computation of a method, in threads with little in hand.

Files are decoded, flow is computed and masks are encoded in libraries that let other threads of Python run
meanwhile. Values and their order are those of the same program without threads.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

from vosbench.video import LazySequence

T = TypeVar("T")

AHEAD = 4
"""Items of a sequence that are read before they are asked for."""

BEHIND = 4
"""Items that wait to be written, before the method waits for the disk."""


class _Thread:
    """Thread for calls in their order; calls that have not begun at the end of the context are dropped."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)


class Reader(_Thread):
    """Thread that reads the items of sequences ahead of their use, for as long as they are read in order.

    One thread reads all sequences, so that their items may share state, such as the decoder of a video file.
    The first item of each is read as soon as the context begins. An error in reading an item is raised where
    the item is asked for.
    """

    def __init__(self) -> None:
        super().__init__()
        self._begin: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        for begin in self._begin:
            begin()
        return super().__enter__()

    def ahead(self, items: Sequence[T]) -> LazySequence[T]:
        """Return the same items; asking for one reads the next ones, at most `AHEAD`, which are then kept.

        Args:
            items: read in the thread of this reader only.
        """
        waiting: dict[int, Future[T]] = {}
        front = last = -1

        def load(index: int) -> T:
            nonlocal front, last
            found = waiting.pop(index, None) or self._pool.submit(items.__getitem__, index)
            # a look back, e.g. at the size of the first frame, is no new pass
            if index in (front + 1, last + 1):
                front = index
                ahead = range(front + 1, min(front + 1 + AHEAD, len(items)))
                for stale in waiting.keys() - set(ahead):
                    waiting.pop(stale).cancel()
                for position in ahead:
                    if position not in waiting:
                        waiting[position] = self._pool.submit(items.__getitem__, position)
            last = index
            return found.result()

        def begin() -> None:
            # a method that looks at the first frame for long has its flow when it asks for it
            if last < 0 and len(items):
                waiting[0] = self._pool.submit(items.__getitem__, 0)

        self._begin.append(begin)
        return LazySequence(load, len(items))


class Writer(_Thread):
    """Thread that makes calls, such as writing a mask, while the caller goes on.

    An error of a call is raised in one of the next calls, or at the end of the context, which waits for all.
    """

    def __init__(self) -> None:
        super().__init__()
        self._waiting: deque[Future[Any]] = deque()

    def call(self, function: Callable[..., Any], *arguments: Any) -> None:
        """Make a call soon, in the order of the calls; wait while `BEHIND` are to be made.

        Args:
            function: to call.
            arguments: not changed from now on.
        """
        self._waiting.append(self._pool.submit(function, *arguments))
        while len(self._waiting) > BEHIND or (self._waiting and self._waiting[0].done()):
            self._waiting.popleft().result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for all calls and raise the first error; after an error of the block, drop what is left."""
        try:
            while kind is None and self._waiting:
                self._waiting.popleft().result()
        finally:
            super().__exit__(kind, error, trace)
