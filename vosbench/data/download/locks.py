"""Locks, so that one process at a time writes a data set."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vosbench.errors import InputError

LOCKS = ".locks"
"""Folder of the data root with an empty file per data set that was ever written."""


@contextmanager
def claimed(root: Path, name: str, *, wait: bool = False) -> Iterator[None]:
    """Keep other processes from writing ``root / name``; the system ends the claim with the process.

    Not for nested use: the second claim would wait for the first.

    Args:
        root: the data root; made when missing.
        name: the data set.
        wait: for the other process to finish, instead of an error.

    Raises:
        InputError: another process has it, or the data root cannot be written.
    """
    from filelock import FileLock, Timeout

    path = root / LOCKS / f"{name}.lock"
    lock = FileLock(path, timeout=-1 if wait else 0)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise InputError(f"{root / name}: another process is writing it; wait until that has ended") from None
    except OSError as error:
        raise InputError(f"{root}: cannot be written ({error.strerror}); give another data root") from None
    try:
        yield
    finally:
        lock.release()
