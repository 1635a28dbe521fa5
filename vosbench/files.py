"""Whole files: reading, and atomic writing of files and folders."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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


def read_bytes(path: Path, most: int | None = None) -> bytes:
    """Return the content of a file.

    Args:
        path: the file.
        most: number of bytes from which on it is another file than the one expected; None for any number.

    Raises:
        InputError: missing, unreadable, or larger than `most`.
    """
    try:
        if most is not None and path.stat().st_size > most:
            raise InputError(f"{path}: larger than {most >> 20} MiB, which this file never is; copy it again")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of at most 256 MiB whose outermost value is an object.

    Raises:
        InputError: missing, larger, no JSON, or another value.
    """
    try:
        value = json.loads(read_bytes(path, 1 << 28))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a JSON file ({error}); copy it again") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds no JSON object {{...}}; copy it again")
    return value


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
