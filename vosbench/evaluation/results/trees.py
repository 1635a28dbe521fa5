"""Files of results in a folder or a zip archive, read in place."""

from __future__ import annotations

import lzma
import os
import struct
import tokenize
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from vosbench.errors import InputError, one_line

MOST_BYTES = 256 * 2**20
"""Largest file of one frame: no mask is so large, but a damaged archive may claim it."""

_ENCRYPTED = 1


class Listing(NamedTuple):
    """Names of the folders and of the files inside one folder, sorted; hidden ones are left out."""

    folders: tuple[str, ...]
    files: tuple[str, ...]


class Tree(ABC):
    """Read-only files below one path; names inside are relative, with ``/``. Can be pickled.

    Attributes:
        path: the folder or the archive.
    """

    path: Path

    @abstractmethod
    def listing(self, folder: str) -> Listing:
        """Return what is in `folder`, ``""`` for the root; nothing where there is no such folder."""

    @abstractmethod
    def is_folder(self, folder: str) -> bool:
        """Return whether there is such a folder."""

    @abstractmethod
    def is_file(self, file: str) -> bool:
        """Return whether there is such a file."""

    @abstractmethod
    def size(self, file: str) -> int:
        """Return the number of bytes of `file`."""

    @abstractmethod
    def open(self, file: str) -> IO[bytes]:
        """Open `file`, seekable, for reading.

        Raises:
            InputError: it cannot be read.
        """

    def where(self, name: str) -> Path:
        """Return the path of a file or folder for messages."""
        return self.path / name

    def read(self, file: str) -> bytes:
        """Return the bytes of a file of one frame.

        Raises:
            InputError: it cannot be read, is damaged, or larger than any mask.
        """
        size = self.size(file)
        if size > MOST_BYTES:
            raise InputError(
                f"{self.where(file)}: {size >> 20} MB for one frame, more than the {MOST_BYTES >> 20} "
                "a mask may have; write it again"
            )
        with self.open(file) as opened, ReadErrors(self.where(file)):
            return opened.read(size)


_DAMAGE = (
    ArithmeticError,
    EOFError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What damaged archives and headers of NumPy's arrays raise."""


class ReadErrors:
    """Turn what goes wrong while reading bytes into an `InputError` that names the file."""

    def __init__(self, where: Path) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, OSError) and error.strerror:
            raise InputError(f"{self._where}: cannot be read ({error.strerror})") from None
        if isinstance(error, _DAMAGE):
            reason = one_line(error)
            raise InputError(f"{self._where}: damaged ({reason}); copy or write it again") from None


@dataclass(frozen=True)
class FolderTree(Tree):
    """Files of a folder."""

    path: Path

    def listing(self, folder: str) -> Listing:
        """Return what is in `folder`."""
        location = self.path / folder
        if not location.is_dir():
            return Listing((), ())
        # scandir separates folders from files without a look at each: sequences have thousands of files
        with ReadErrors(location), os.scandir(location) as entries:
            shown = sorted((item.name, item.is_dir()) for item in entries if not item.name.startswith("."))
        return Listing(
            tuple(name for name, is_folder in shown if is_folder),
            tuple(name for name, is_folder in shown if not is_folder),
        )

    def is_folder(self, folder: str) -> bool:
        """Return whether there is such a folder."""
        return (self.path / folder).is_dir()

    def is_file(self, file: str) -> bool:
        """Return whether there is such a file."""
        return (self.path / file).is_file()

    def size(self, file: str) -> int:
        """Return the number of bytes."""
        with ReadErrors(self.where(file)):
            return (self.path / file).stat().st_size

    def open(self, file: str) -> IO[bytes]:
        """Open `file`, seekable."""
        with ReadErrors(self.where(file)):
            return (self.path / file).open("rb")


@dataclass(frozen=True)
class ZipTree(Tree):
    """Files of a zip archive, read in place: nothing is unpacked to disk."""

    path: Path

    def listing(self, folder: str) -> Listing:
        """Return what is in `folder`."""
        return _archive(self.path).folders.get(folder, Listing((), ()))

    def is_folder(self, folder: str) -> bool:
        """Return whether there is such a folder."""
        return folder in _archive(self.path).folders

    def is_file(self, file: str) -> bool:
        """Return whether there is such a file."""
        return file in _archive(self.path).members

    def size(self, file: str) -> int:
        """Return the number of bytes."""
        return _archive(self.path).members[file].file_size

    def open(self, file: str) -> IO[bytes]:
        """Open `file`, seekable."""
        archive = _archive(self.path)
        member = archive.members[file]
        if member.flag_bits & _ENCRYPTED:
            raise InputError(f"{self.where(file)}: is encrypted; unpack the archive and give the folder")
        try:
            with ReadErrors(self.where(file)):
                return archive.file.open(member)
        except NotImplementedError as error:
            raise InputError(
                f"{self.where(file)}: {one_line(error)}; pack the archive again as an ordinary zip"
            ) from None


class _Archive:
    """An opened zip and its table of contents."""

    def __init__(self, path: Path) -> None:
        try:
            self.file = zipfile.ZipFile(path)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise InputError(
                f"{path}: damaged zip archive ({one_line(error)}); copy or pack it again"
            ) from None
        members = {_normal(item.filename): item for item in self.file.infolist()}
        self.members = {name: item for name, item in members.items() if _is_content(name)}

    @cached_property
    def folders(self) -> Mapping[str, Listing]:
        """Content of every folder."""
        content: dict[str, tuple[set[str], set[str]]] = {"": (set(), set())}
        for name in self.members:
            location = PurePosixPath(name)
            content.setdefault(_key(location.parent), (set(), set()))[1].add(location.name)
            for parent in location.parents:
                if parent != PurePosixPath("."):
                    content.setdefault(_key(parent), (set(), set()))
                    content.setdefault(_key(parent.parent), (set(), set()))[0].add(parent.name)
        return {name: Listing(tuple(sorted(f)), tuple(sorted(g))) for name, (f, g) in content.items()}


def _normal(name: str) -> str:
    # Archives written on Windows have backslashes, some others begin every name with ./
    return name.replace("\\", "/").removeprefix("./").lstrip("/")


def _key(folder: PurePosixPath) -> str:
    return "" if folder == PurePosixPath(".") else str(folder)


def _is_content(name: str) -> bool:
    parts = name.split("/")
    # Archives made on a Mac carry a twin of every file that holds no pixels
    return bool(parts[-1]) and "__MACOSX" not in parts and not any(part.startswith(".") for part in parts)


@lru_cache(maxsize=4)
def _archive(path: Path) -> _Archive:
    # Kept open per process: the table of contents is long, and every frame is a look-up in it
    return _Archive(path)


if hasattr(os, "register_at_fork"):
    # A forked process shares the position in an open file with its parent: it opens its own
    os.register_at_fork(after_in_child=_archive.cache_clear)


def open_tree(path: Path) -> Tree:
    """Open a folder or a zip archive of results.

    Raises:
        InputError: neither of the two, or the archive is damaged.
    """
    if path.is_dir():
        return FolderTree(path)
    if not path.is_file():
        raise InputError(f"{path}: no such folder of results")
    if not zipfile.is_zipfile(path):
        damaged = path.suffix.lower() == ".zip"
        reason = (
            "damaged zip archive; copy or pack it again" if damaged else "is no folder and no zip archive"
        )
        raise InputError(f"{path}: {reason}")
    _archive.cache_clear()
    _archive(path)
    return ZipTree(path)
