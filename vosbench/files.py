"""Whole files: reading, and atomic writing of files and folders."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import IO

from vosbench.errors import InputError

_PIECE = 1 << 20


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


def read_bytes(path: Traversable, most: int | None = None) -> bytes:
    """Return the content of a file.

    Args:
        path: the file.
        most: number of bytes from which on it is another file than the one expected; None for any number.

    Raises:
        InputError: missing, unreadable, or larger than `most`.
    """
    try:
        with path.open("rb") as file:
            content = b"".join(_pieces(file, most))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        # a name with a null character is a ValueError
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', error)})") from None
    if most is not None and len(content) > most:
        raise InputError(f"{path}: larger than {most >> 20} MiB, which this file never is; copy it again")
    return content


def _pieces(file: IO[bytes], most: int | None) -> Iterator[bytes]:
    """Yield a file that may be a device or a pipe, which have no size beforehand, until beyond `most`."""
    size = 0
    while (most is None or size <= most) and (piece := file.read(_PIECE)):
        size += len(piece)
        yield piece


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, UTF-8 with Unix line ends."""
    write_bytes(path, text.encode())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
