"""Whole files: reading, and atomic writing of files and folders."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from importlib.resources.abc import Traversable
from itertools import count
from pathlib import Path
from threading import Lock
from typing import IO

from vosbench.errors import InputError
from vosbench.temporary import temporary_file, temporary_folder


class WriteError(InputError):
    """File or folder that cannot be written.

    Attributes:
        fault: the path and the reason.
        remedy: what to do.
    """

    def __init__(self, fault: str, remedy: str) -> None:
        super().__init__(f"{fault}; {remedy}")
        self.fault = fault
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[WriteError], tuple[str, str]]:
        # errors come back from worker processes
        return WriteError, (self.fault, self.remedy)


_PIECE = 1 << 20
_ASKING = Lock()


@contextmanager
def writing(path: Path, remedy: str | None = None) -> Iterator[None]:
    """Turn the errors of the system in a block that writes into the error of a user.

    Args:
        path: what is written, for the message.
        remedy: what to do, also where the block has a remedy of its own; None for the usual advice.

    Raises:
        WriteError: the disk is full, the place is read-only, a file is in the place of a folder, ...
    """
    try:
        yield
    except OSError as error:
        raise WriteError(f"{path}: cannot be written ({_reason(error)})", remedy or _advice(error)) from None
    except WriteError as error:
        raise WriteError(error.fault, remedy or error.remedy) from None


@contextmanager
def atomic_path(path: Path, remedy: str | None = None) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds.

    Missing parent folders are made. The temporary file keeps the suffix of `path` (image and
    video writers choose their format by it) and is removed when the block raises.

    Args:
        path: the file.
        remedy: see `writing`.

    Raises:
        InputError: the file cannot be written.
    """
    with writing(path, remedy):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_file(path) as temporary:
            with _named(temporary, path):
                yield temporary
            # a temporary file is private; give it the permissions an ordinary write would
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)


@contextmanager
def whole_folder(folder: Path, remedy: str | None = None) -> Iterator[Path]:
    """Yield an empty hidden folder beside `folder`; put it in the place of `folder` when the block succeeds.

    Missing parents are made. What was in `folder` before is removed then, not earlier; when the
    block raises, it stays. Of several processes that write the same folder, the last one stays.

    Args:
        folder: made when missing.
        remedy: see `writing`.

    Raises:
        InputError: the folder cannot be written; errors of the block are left as they are, but for the name
            of the hidden folder, which becomes that of `folder`.
    """
    with ExitStack() as stack:
        with writing(folder, remedy):
            folder.parent.mkdir(parents=True, exist_ok=True)
            hidden = stack.enter_context(temporary_folder(folder))
            # The hidden folder is private; one made inside it has ordinary permissions.
            new = hidden / "new"
            new.mkdir()
        with _named(new, folder):
            yield new
        with writing(folder, remedy):
            _put(new, folder, hidden)


@contextmanager
def _named(temporary: Path, path: Path) -> Iterator[None]:
    """Name `path` in the errors of a block that name the temporary path in its place."""

    def renamed(text: str) -> str:
        return text.replace(str(temporary), str(path))

    try:
        yield
    except InputError as error:
        error.args = tuple(map(renamed, error.args))
        if isinstance(error, WriteError):
            error.fault = renamed(error.fault)
        raise


def _put(new: Path, folder: Path, hidden: Path) -> None:
    """Rename a folder, and what is in its place into `hidden`, until no other process comes between."""
    for attempt in count():
        with suppress(FileNotFoundError):
            folder.rename(hidden / f"old{attempt}")
        try:
            new.rename(folder)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        else:
            return


def check_marker(marker: Path, meanwhile: str, written: Path | None = None) -> None:
    """Notice that somebody removed a folder in mid-run, which would be made anew without its earlier files.

    Args:
        marker: file that is written to the folder before any other.
        meanwhile: what was done in the meantime, for the message.
        written: file that was written just now, and does not stay where the marker is gone.

    Raises:
        InputError: the marker is not there.
    """
    if marker.is_file():
        return
    if written is not None:
        written.unlink(missing_ok=True)
    raise InputError(f"{marker.parent}: was removed while {meanwhile}; run it again")


def expanded(path: str | Path) -> Path:
    """Return a path in which ``~`` or ``~USER`` at the beginning is the home folder.

    Raises:
        InputError: there is no such user, or the system knows no home folder of this one.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        user = Path(path).parts[0]
        raise InputError(
            f"{path}: no home folder is known for {user}: write the whole path, or set HOME"
        ) from None


def check_folder(folder: Path) -> None:
    """Make sure that files can be written to a folder, which need not be there, before long work.

    Raises:
        InputError: they cannot.
    """
    with writing(folder):
        _try(folder)


def check_file(path: Path) -> None:
    """Make sure that a file can be written, before long work.

    Raises:
        InputError: it cannot.
    """
    with writing(path):
        if _exists(path) and path.is_dir():
            raise InputError(f"{path}: is a folder; name a file")
        _try(path.parent)


def _try(folder: Path) -> None:
    """Write a file to a folder, or where the folder would be made, and remove it."""
    place = folder.absolute()
    existing = next(path for path in (place, *place.parents) if _exists(path))
    with temporary_file(existing / "check") as temporary:
        # an empty file needs no space
        temporary.write_bytes(bytes(1))


def _exists(path: Path) -> bool:
    # `Path.exists` of Python 3.14 takes a name that is too long for a missing file
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


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
    """Write a file atomically.

    Raises:
        InputError: the file cannot be written.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, UTF-8 with Unix line ends.

    Raises:
        InputError: the file cannot be written.
    """
    write_bytes(path, text.encode())


def _umask() -> int:
    # the system tells it only in exchange for another one, which holds for all threads
    with _ASKING:
        return _asked_umask()


@cache
def _asked_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _reason(error: OSError) -> str:
    if isinstance(error, FileExistsError | NotADirectoryError):
        return "a file is in the place of a folder"
    return error.strerror or " ".join(str(error).split())


def _advice(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "make room and run it again"
    return "choose another place"
