"""Locks, so that one process at a time writes a data set, a run or a prediction."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vosbench.errors import InputError
from vosbench.files import writing

LOCKS = ".locks"
"""Folder of the root with an empty file per name that was ever written."""


@contextmanager
def claimed(root: Path, name: str, *, wait: float = 0) -> Iterator[None]:
    """Keep other processes from writing ``root / name``; the system ends the claim with the process.

    Not for nested use of one name: the second claim would wait for the first.

    Args:
        root: the folder that the processes share, such as the data root; made when missing.
        name: of what is written there, e.g. the data set; may be a path.
        wait: seconds to wait for the other process before the error; ``math.inf`` waits until it has ended.

    Raises:
        InputError: another process has it, or the root cannot be written.
    """
    from filelock import FileLock, Timeout

    path = root / LOCKS / f"{name}.lock"
    lock = FileLock(path, timeout=-1 if wait == math.inf else wait)
    with writing(root):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout:
            message = f"{root / name}: another process is writing it; wait until that has ended"
            raise InputError(message) from None
    try:
        yield
    finally:
        lock.release()
