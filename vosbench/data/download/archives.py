"""Safe unpacking of zip and tar archives: within the folder, within limits, whole or not at all."""

from __future__ import annotations

import errno
import json
import lzma
import shutil
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vosbench.data.download.unpacking import NOTES, Limits, Unpacking
from vosbench.errors import InputError, one_line
from vosbench.files import write_text
from vosbench.plain_data import read_json

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
    hidden = folder / NOTES / f"{archive.name}.unpacking"
    # members make the folders above them, also those that somebody removes meanwhile, but not this file
    begun = folder / NOTES / f"{archive.name}.begun"
    if hidden.exists():
        shutil.rmtree(hidden)
    try:
        with _explained(archive, folder):
            hidden.mkdir(parents=True)
            begun.touch()
            job = Unpacking(archive, hidden, limits or Limits(), progress)
            job.run()
            content = _content(archive, hidden, inner)
            job.link(content)
            entries = sorted(path.name for path in content.iterdir())
            _merge(content, folder)
        try:
            begun.unlink()
        except FileNotFoundError:
            message = f"{folder}: was removed while {archive.name} was unpacked to it; run it again"
            raise InputError(message) from None
        note = {"archive": archive.name, "checksum": checksum, "entries": entries}
        write_text(_note(archive.name, folder), json.dumps(note, indent=1) + "\n")
    finally:
        begun.unlink(missing_ok=True)
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
    return folder / NOTES / f"{name}.json"


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
