"""Members of zip and tar archives, written into a folder that they cannot leave, within limits."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import IO, Any, cast

from vosbench.errors import InputError, one_line, shown

NOTES = ".vosbench"
"""Folder beside what is unpacked; no member may be in it."""

_CHUNK = 1 << 20
_LARGEST_READ = 1 << 26
"""Headers of tar files are read at once; none of an honest archive is larger."""

_DESKTOP_FILES = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db"})
_BLOCK = 512


@dataclass(frozen=True)
class Limits:
    """Limits of an archive, generous for the largest data sets (FlyingThings3D: about 1.5 TB).

    Attributes:
        total: bytes.
        members: files, folders and links.
        links: symbolic links.
        ratio: unpacked bytes per byte of the archive, once more than `small` bytes are unpacked.
        small: bytes to which no ratio applies: masks of one colour shrink a thousandfold.
    """

    total: int = 4 << 40
    members: int = 10_000_000
    links: int = 100_000
    ratio: float = 200.0
    small: int = 1 << 28


class Unpacking:
    """Unpacking of one archive into a hidden folder.

    Args:
        archive: file.
        hidden: folder, there and empty.
        limits: against archives made to fill the disk.
        progress: called with (bytes of the archive read, its size, its name).

    Raises:
        InputError: the archive cannot be read.
    """

    def __init__(
        self,
        archive: Path,
        hidden: Path,
        limits: Limits,
        progress: Callable[[int, int | None, str], None] | None,
    ) -> None:
        self.archive = archive
        self.hidden = hidden
        self.limits = limits
        self.progress = progress
        try:
            self.size = archive.stat().st_size
        except OSError as error:
            raise InputError(f"{archive}: cannot be read ({error.strerror})") from None
        self.members = 0
        self.written = 0
        self.links: list[tuple[str, str]] = []

    def run(self) -> None:
        """Write the members, all but symbolic links.

        Raises:
            InputError: no archive, encrypted, beyond a limit, or a member that does not belong into a folder.
            OSError: no space left, among others.
        """
        with self.archive.open("rb") as file:
            start = file.read(8)
            file.seek(0)
            if start.startswith(b"PK"):
                self._unzip(file)
            else:
                self._untar(file, start)

    def _unzip(self, file: IO[bytes]) -> None:
        with zipfile.ZipFile(file) as opened:
            members = opened.infolist()
            needed = sum(member.file_size for member in members)
            self.bound(len(members), needed)
            self._check_space(needed)
            for member in members:
                if member.flag_bits & 0x1:
                    raise InputError(
                        f"{self.archive}: encrypted archive; unpack it by hand with its password"
                    )
                path = self._member_path(member.filename)
                if path is None:
                    continue
                mode = member.external_attr >> 16
                if member.is_dir():
                    path.mkdir(parents=True, exist_ok=True)
                elif stat.S_ISLNK(mode):
                    self._add_link(member.filename, self._target(opened, member))
                else:
                    with opened.open(member) as content:
                        self._write(path, content, file)

    def _target(self, opened: zipfile.ZipFile, member: zipfile.ZipInfo) -> str:
        if member.file_size > 4096:
            raise InputError(f"{self.archive}: the target of the link {shown(member.filename)} is too long")
        return opened.read(member).decode("utf-8", errors="surrogateescape")

    def _untar(self, file: IO[bytes], start: bytes) -> None:
        with _decompressed(file, start) as stream:
            guarded = _Guarded(stream, self)
            try:
                opened = tarfile.open(fileobj=cast(IO[bytes], guarded), mode="r:")  # noqa: SIM115
            except tarfile.ReadError as error:
                raise InputError(
                    f"{self.archive}: not a zip or tar archive, or damaged ({one_line(error)}); "
                    "fetch it again"
                ) from None
            with opened:
                for member in opened:
                    self._untar_member(opened, member, file)
            # tarfile takes a broken header for the end
            if guarded.last != bytes(_BLOCK):
                raise EOFError("it ends before its end mark")
            while guarded.read(_CHUNK):
                """Compressed files check themselves at their end."""

    def _untar_member(self, opened: tarfile.TarFile, member: tarfile.TarInfo, file: IO[bytes]) -> None:
        path = self._member_path(member.name)
        if path is None:
            return
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
        elif member.issym():
            self._add_link(member.name, member.linkname)
        elif member.islnk():
            self._copy_earlier(path, member)
        elif member.isreg():
            content = opened.extractfile(member)
            assert content is not None  # it is a regular file
            self._write(path, content, file)
        else:
            raise InputError(
                f"{self.archive}: {shown(member.name)} is no file, folder or link; unpack it by hand"
            )

    def _copy_earlier(self, path: Path, member: tarfile.TarInfo) -> None:
        """Copy the member that a hard link names."""
        source = self._member_path(member.linkname)
        if source is None or not source.is_file():
            raise InputError(
                f"{self.archive}: {shown(member.name)} links to {shown(member.linkname)}, which is not in it"
            )
        with source.open("rb") as content:
            self._write(path, content, None)

    def _member_path(self, name: str) -> Path | None:
        """Return the path of a member; None for files that desktop systems leave behind."""
        self.members += 1
        self.bound(self.members, self.written)
        parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".")]
        outside = name.startswith(("/", "\\")) or ".." in parts or PureWindowsPath(name).drive
        if outside or "\0" in name:
            raise InputError(
                f"{self.archive}: its member {shown(name)} would leave the folder; do not trust it"
            )
        if not parts or any(part in _DESKTOP_FILES or part.startswith("._") for part in parts):
            return None
        if parts[0] == NOTES:
            raise InputError(f"{self.archive}: its member {shown(name)} would overwrite notes of vosbench")
        return self.hidden.joinpath(*parts)

    def _write(self, path: Path, content: IO[bytes], file: IO[bytes] | None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            target = path.open("xb")
        except FileExistsError:
            raise self._twice(path) from None
        with target:
            while chunk := content.read(_CHUNK):
                self.written += len(chunk)
                self.bound(self.members, self.written)
                target.write(chunk)
        if self.progress is not None and file is not None:
            self.progress(file.tell(), self.size, self.archive.name)

    def _add_link(self, name: str, target: str) -> None:
        """Keep a link for the end."""
        if len(self.links) >= self.limits.links:
            raise InputError(f"{self.archive}: more than {self.limits.links} links; do not trust it")
        self.links.append((name, target))

    def bound(self, members: int, size: int) -> None:
        """Refuse an archive with too many members or too much content."""
        limits = self.limits
        if members > limits.members:
            raise InputError(f"{self.archive}: more than {limits.members} members; do not trust it")
        if size > limits.total or (size > limits.small and size > limits.ratio * self.size):
            raise InputError(
                f"{self.archive}: {self.size} bytes that unpack to {size} or more; do not trust it"
            )

    def _check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.hidden).free
        if needed > free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def link(self, content: Path) -> None:
        """Make the symbolic links within a folder, after everything else: no file is written through one.

        Raises:
            InputError: a link that leads out of the folder, or a second member of its name.
        """
        root = content.resolve()
        made: list[tuple[Path, str, str]] = []
        for name, target in self.links:
            path = self._member_path(name)
            if path is None or not path.is_relative_to(content):
                continue
            self._check_link(root, path.parent, name, target)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.symlink_to(target)
            except FileExistsError:
                raise self._twice(path) from None
            self._check_link(root, path, name, target)
            made.append((path, name, target))
        # a later link may have changed where an earlier one leads
        for path, name, target in made:
            self._check_link(root, path, name, target)

    def _twice(self, path: Path) -> InputError:
        """Return the error for a second member of one name: which of them counts is not known."""
        name = path.relative_to(self.hidden)
        return InputError(f"{self.archive}: its member {shown(f'{name}')} is there twice; do not trust it")

    def _check_link(self, root: Path, path: Path, name: str, target: str) -> None:
        if Path(target).is_absolute() or not path.resolve().is_relative_to(root):
            raise InputError(
                f"{self.archive}: its link {shown(name)} to {shown(target)} would leave the folder; "
                "do not trust it"
            )


class _Guarded:
    """Stream for tarfile with bounds on one read and on all reads.

    Attributes:
        last: what was read last.
    """

    def __init__(self, stream: IO[bytes], job: Unpacking) -> None:
        self.stream = stream
        self.job = job
        self.last = b""

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > _LARGEST_READ:
            raise ValueError("a header of impossible size")
        self.last = self.stream.read(size)
        self.job.bound(self.job.members, self.stream.tell())
        return self.last

    def seek(self, offset: int) -> int:
        # forward seeks decompress; in steps, so that the bound is seen in time
        while self.stream.tell() + _LARGEST_READ < offset:
            if not self.stream.read(_CHUNK):
                break
            self.job.bound(self.job.members, self.stream.tell())
        return self.stream.seek(offset)

    def tell(self) -> int:
        return self.stream.tell()


@contextmanager
def _decompressed(file: IO[bytes], start: bytes) -> Iterator[IO[bytes]]:
    openers: dict[bytes, Callable[[IO[bytes]], Any]] = {
        b"\x1f\x8b": lambda raw: gzip.GzipFile(fileobj=raw),
        b"BZh": bz2.BZ2File,
        b"\xfd7zXZ\0": lzma.LZMAFile,
    }
    for magic, opener in openers.items():
        if start.startswith(magic):
            with opener(file) as stream:
                yield stream
            return
    yield file
