"""Temporary files and folders beside their targets, known as stale once the process that made them is gone.

A process holds a lock on every temporary file and folder that it makes. The system ends the lock with the
process, however the process ends, on whatever machine. What is not locked was left by a killed process; it is
removed when a later process first makes a temporary file in the same folder.

Windows has no such locks on folders: there, what a killed process leaves stays.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_NAME = re.compile(r"\..*\.[a-z0-9_]{8}\.tmp(\.[^.]+)?", re.DOTALL)
_KEPT = 40
"""Characters of the target in the name of its temporary file: a file system takes 255 bytes."""

_swept: set[Path] = set()
"""Folders whose stale files this process has removed."""


@contextmanager
def temporary_file(target: Path) -> Iterator[Path]:
    """Yield an empty file in the folder of `target`, with the suffix of `target`; remove it after the block.

    Raises:
        OSError: the folder is missing or cannot be written.
    """
    suffix = f".tmp{target.suffix}" if len(target.suffix) < _KEPT else ".tmp"
    _remove_stale(target.parent)
    while True:
        handle, name = tempfile.mkstemp(prefix=_prefix(target), suffix=suffix, dir=target.parent)
        path = Path(name)
        if _is_held(handle, path):
            break
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        _release(handle)


@contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder, private to the user, in the folder of `target`; remove it after the block.

    Raises:
        OSError: the folder is missing or cannot be written.
    """
    _remove_stale(target.parent)
    while True:
        path = Path(tempfile.mkdtemp(prefix=_prefix(target), suffix=".tmp", dir=target.parent))
        if sys.platform == "win32":
            handle = None
            break
        # another process can take the folder for stale before it is open, as before the lock
        with suppress(FileNotFoundError):
            handle = os.open(path, os.O_RDONLY)
            if _is_held(handle, path):
                break
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if handle is not None:
            _release(handle)


def scratch_folder(name: str) -> AbstractContextManager[Path]:
    """Return the context of `temporary_folder` in the folder of the system for temporary files."""
    return temporary_folder(Path(tempfile.gettempdir()) / name)


def _prefix(target: Path) -> str:
    return f".{target.stem[:_KEPT]}."


def _is_held(handle: int, path: Path) -> bool:
    """Lock a new file or folder; return False if another process took it for stale before the lock."""
    if sys.platform == "win32":
        # an open file can be neither renamed nor removed there
        os.close(handle)
        return True
    # a file system without locks: another process cannot lock it either, and leaves it
    with suppress(OSError):
        fcntl.flock(handle, fcntl.LOCK_EX)
    if path.exists():
        return True
    os.close(handle)
    return False


def _release(handle: int) -> None:
    if sys.platform != "win32":
        os.close(handle)


def _remove_stale(folder: Path) -> None:
    """Remove what killed processes left in a folder, once per process and folder."""
    folder = folder.absolute()
    if sys.platform == "win32" or folder in _swept:
        return
    _swept.add(folder)
    with suppress(OSError), os.scandir(folder) as entries:
        for path in [Path(entry.path) for entry in entries if _NAME.fullmatch(entry.name)]:
            _remove_unheld(path)


def _remove_unheld(path: Path) -> None:
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            if sys.platform != "win32":
                # fails while a living process holds the file
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        finally:
            os.close(handle)
