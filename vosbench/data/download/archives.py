"""Safe unpacking of zip and tar archives: within the folder, within limits, whole or not at all."""

from __future__ import annotations

import bz2
import errno
import gzip
import json
import lzma
import os
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import IO, Any, cast

from vosbench.errors import InputError, one_line, shown
from vosbench.files import write_text
from vosbench.plain_data import read_json

_CHUNK = 1 << 20
_LARGEST_READ = 1 << 26
"""Headers of tar files are read at once; none of an honest archive is larger."""

_NOTES = ".vosbench"
_DESKTOP_FILES = frozenset({"__MACOSX", ".DS_Store", "Thumbs.db"})
_BLOCK = 512

_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
    ValueError,
    OverflowError,
    struct.error,
)


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


def unpack(
    archive: Path,
    folder: Path,
    limits: Limits | None = None,
    *,
    inner: str | None = None,
    checksum: str | None = None,
    progress: Callable[[int, int | None, str], None] | None = None,
) -> None:
    """Unpack a zip or tar archive (plain, gzip, bzip2 or xz) into a folder that may have content.

    Everything is unpacked into a hidden folder first; when all of it is right, its entries are moved
    into place, file by file only where folders of both have one name. A note in ``.vosbench`` makes a
    second call do nothing (`is_unpacked`). Permissions, owners and times are not kept.

    Args:
        archive: file; its content tells the format, not its name.
        folder: made when missing.
        limits: against archives made to fill the disk.
        inner: name of a file or folder that shall be directly in `folder`; what is above it in the
            archive is dropped.
        checksum: of the archive, remembered in the note.
        progress: called with (bytes of the archive read, its size, its name).

    Raises:
        InputError: no archive, damaged, encrypted, too large, a member that would leave the folder, no
            `inner`, or no space left.
    """
    if is_unpacked(archive.name, folder, checksum):
        return
    hidden = folder / _NOTES / f"{archive.name}.unpacking"
    if hidden.exists():
        shutil.rmtree(hidden)
    try:
        with _explained(archive, folder):
            hidden.mkdir(parents=True)
            job = _Unpacking(archive, hidden, limits or Limits(), progress)
            job.run()
            content = _content(archive, hidden, inner)
            job.link(content)
            entries = sorted(path.name for path in content.iterdir())
            _merge(content, folder)
        note = {"archive": archive.name, "checksum": checksum, "entries": entries}
        write_text(_note(archive.name, folder), json.dumps(note, indent=1) + "\n")
    finally:
        shutil.rmtree(hidden, ignore_errors=True)


def is_unpacked(name: str, folder: Path, checksum: str | None = None) -> bool:
    """Return whether the archive `name` is unpacked in `folder` with all of its entries.

    Args:
        name: file name of the archive.
        folder: as given to `unpack`.
        checksum: if given, of the archive that was unpacked.
    """
    try:
        note = read_json(_note(name, folder))
        entries = [str(entry) for entry in note["entries"]]
        same = checksum is None or note["checksum"] == checksum
    except (InputError, KeyError, TypeError):
        return False
    return same and all((folder / entry).exists() for entry in entries)


def _note(name: str, folder: Path) -> Path:
    return folder / _NOTES / f"{name}.json"


@contextmanager
def _explained(archive: Path, folder: Path) -> Iterator[None]:
    """Turn the errors of damaged archives and full disks into InputError."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(f"{folder}: no space left to unpack {archive.name}; make room") from None
        if error.errno is None:
            raise _damaged(archive, error) from None
        where = error.filename or folder
        raise InputError(f"{archive}: cannot be unpacked to {where} ({error.strerror})") from None
    except _DAMAGE as error:
        raise _damaged(archive, error) from None


def _damaged(archive: Path, error: Exception) -> InputError:
    return InputError(
        f"{archive}: damaged or truncated archive ({one_line(error)}); remove it and fetch it again"
    )


class _Unpacking:
    """Unpacking of one archive into the hidden folder."""

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
        with self.archive.open("rb") as file:
            start = file.read(8)
            file.seek(0)
            if start.startswith(b"PK"):
                self.unzip(file)
            else:
                self.untar(file, start)

    def unzip(self, file: IO[bytes]) -> None:
        with zipfile.ZipFile(file) as opened:
            members = opened.infolist()
            needed = sum(member.file_size for member in members)
            self.bound(len(members), needed)
            self.check_space(needed)
            for member in members:
                if member.flag_bits & 0x1:
                    raise InputError(
                        f"{self.archive}: encrypted archive; unpack it by hand with its password"
                    )
                path = self.member_path(member.filename)
                if path is None:
                    continue
                mode = member.external_attr >> 16
                if member.is_dir():
                    path.mkdir(parents=True, exist_ok=True)
                elif stat.S_ISLNK(mode):
                    self.add_link(member.filename, self.target(opened, member))
                else:
                    with opened.open(member) as content:
                        self.write(path, content, file)

    def target(self, opened: zipfile.ZipFile, member: zipfile.ZipInfo) -> str:
        if member.file_size > 4096:
            raise InputError(f"{self.archive}: the target of the link {shown(member.filename)} is too long")
        return opened.read(member).decode("utf-8", errors="surrogateescape")

    def untar(self, file: IO[bytes], start: bytes) -> None:
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
                    self.untar_member(opened, member, file)
            # tarfile takes a broken header for the end
            if guarded.last != bytes(_BLOCK):
                raise EOFError("it ends before its end mark")
            while guarded.read(_CHUNK):
                """Compressed files check themselves at their end."""

    def untar_member(self, opened: tarfile.TarFile, member: tarfile.TarInfo, file: IO[bytes]) -> None:
        path = self.member_path(member.name)
        if path is None:
            return
        if member.isdir():
            path.mkdir(parents=True, exist_ok=True)
        elif member.issym():
            self.add_link(member.name, member.linkname)
        elif member.islnk():
            self.copy_earlier(path, member)
        elif member.isreg():
            content = opened.extractfile(member)
            assert content is not None  # it is a regular file
            self.write(path, content, file)
        else:
            raise InputError(
                f"{self.archive}: {shown(member.name)} is no file, folder or link; unpack it by hand"
            )

    def copy_earlier(self, path: Path, member: tarfile.TarInfo) -> None:
        """Copy the member that a hard link names."""
        source = self.member_path(member.linkname)
        if source is None or not source.is_file():
            raise InputError(
                f"{self.archive}: {shown(member.name)} links to {shown(member.linkname)}, which is not in it"
            )
        with source.open("rb") as content:
            self.write(path, content, None)

    def member_path(self, name: str) -> Path | None:
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
        if parts[0] == _NOTES:
            raise InputError(f"{self.archive}: its member {shown(name)} would overwrite notes of vosbench")
        return self.hidden.joinpath(*parts)

    def write(self, path: Path, content: IO[bytes], file: IO[bytes] | None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            target = path.open("xb")
        except FileExistsError:
            raise self.twice(path) from None
        with target:
            while chunk := content.read(_CHUNK):
                self.written += len(chunk)
                self.bound(self.members, self.written)
                target.write(chunk)
        if self.progress is not None and file is not None:
            self.progress(file.tell(), self.size, self.archive.name)

    def add_link(self, name: str, target: str) -> None:
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

    def check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.hidden).free
        if needed > free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def link(self, content: Path) -> None:
        """Make the symbolic links, after everything else, so that no file is written through one."""
        root = content.resolve()
        made: list[tuple[Path, str, str]] = []
        for name, target in self.links:
            path = self.member_path(name)
            if path is None or not path.is_relative_to(content):
                continue
            self.check_link(root, path.parent, name, target)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                path.symlink_to(target)
            except FileExistsError:
                raise self.twice(path) from None
            self.check_link(root, path, name, target)
            made.append((path, name, target))
        # a later link may have changed where an earlier one leads
        for path, name, target in made:
            self.check_link(root, path, name, target)

    def twice(self, path: Path) -> InputError:
        """Return the error for a second member of one name: which of them counts is not known."""
        name = path.relative_to(self.hidden)
        return InputError(f"{self.archive}: its member {shown(f'{name}')} is there twice; do not trust it")

    def check_link(self, root: Path, path: Path, name: str, target: str) -> None:
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

    def __init__(self, stream: IO[bytes], job: _Unpacking) -> None:
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


def _content(archive: Path, hidden: Path, inner: str | None) -> Path:
    """Return the highest folder that holds `inner`."""
    if inner is None:
        return hidden
    level = [hidden]
    while level:
        for folder in level:
            if (folder / inner).exists():
                return folder
        level = [child for folder in level for child in sorted(folder.iterdir()) if child.is_dir()]
    raise InputError(f"{archive}: no '{inner}' in it, so this is another archive; fetch the right one")


def _merge(source: Path, target: Path) -> None:
    """Move every entry of `source` into `target`; folders that both have are merged."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        destination = target / path.name
        if path.is_dir() and not path.is_symlink() and destination.is_dir():
            _merge(path, destination)
        else:
            path.replace(destination)
