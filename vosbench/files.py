"""Whole files: reading, and atomic writing of files and folders."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vosbench.errors import InputError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds.

    Missing parent folders are made. The temporary file keeps the suffix of `path` (image and
    video writers choose their format by it) and is removed when the block raises.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; give them the permissions an ordinary write would.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty hidden folder beside `folder`; put it in the place of `folder` when the block succeeds.

    Missing parents are made. What was in `folder` before is removed then, not earlier; when the
    block raises, it stays.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as hidden:
        # The hidden folder is private; one made inside it has ordinary permissions.
        new = Path(hidden) / "new"
        new.mkdir()
        yield new
        if folder.exists():
            folder.rename(Path(hidden) / "old")
        new.rename(folder)


def read_bytes(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        InputError: missing or unreadable.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, UTF-8 with Unix line ends."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
