"""From nothing to a data set that opens: download, check, unpack, prove."""

from __future__ import annotations

from pathlib import Path

from vosbench.data.catalogue import CATALOGUE, open_dataset
from vosbench.data.download.archives import is_unpacked, unpack
from vosbench.data.download.download import Progress, Retries, download
from vosbench.data.download.locks import claimed
from vosbench.data.download.sources import Source, sources_of
from vosbench.errors import InputError

DOWNLOADS = ".downloads"
"""Folder of the data root that holds archives until their data set has been opened."""

_MADE = {"fusionseg_vid": "ilsvrc_vid"}
"""Data sets that are made on this machine -> what they are made from."""


def fetch(
    name: str,
    root: Path,
    progress: Progress | None = None,
    *,
    keep_archives: bool = False,
    retries: Retries | None = None,
) -> Path:
    """Download a data set and unpack it into its official layout; what is done already is not done again.

    Archives come to ``<root>/.downloads/<name>`` and are unpacked to ``<root>/<name>``. An archive that
    a person has put there under its name is used like a downloaded one. In the end the reader opens
    the data set; only then the archives are removed.

    Args:
        name: data set.
        root: the data root; made when missing.
        progress: told about downloading and unpacking, in bytes.
        keep_archives: leave the archives where they are.
        retries: of broken connections.

    Returns:
        ``root / name``.

    Raises:
        InputError: unknown name, a part that only a person can fetch (nothing is downloaded then), no
            connection, no space, a wrong or damaged file, another process at it, or the reader refuses the
            result.
    """
    if name in _MADE:
        raise InputError(
            f"{name}: not published; download {_MADE[name]} and run 'vosbench data prepare {name}'"
        )
    sources = sources_of(name)
    folder, archives = root / name, root / DOWNLOADS / name
    if (folder / "MINI.json").is_file():
        raise InputError(f"{folder}: holds the miniature edition; remove it or give another data root")
    for source in sources:
        if source.manual is not None and not _done(source, folder):
            _ask(name, source, folder, archives)
    with claimed(root, name):
        for source in sources:
            if not _done(source, folder):
                _bring(source, folder, archives, progress, retries)
        if name in CATALOGUE:
            open_dataset(name, root)
        if not keep_archives:
            for source in sources:
                (archives / source.filename).unlink(missing_ok=True)
    return folder


def _done(source: Source, folder: Path) -> bool:
    home = folder / source.unpack_into
    if source.manual is not None and source.inner is not None and (home / source.inner).exists():
        return True
    return is_unpacked(source.filename, home, source.checksum)


def _ask(name: str, source: Source, folder: Path, archives: Path) -> None:
    """Raise the error that tells a person what to do, unless the archive has been put in its place."""
    place = archives / source.filename
    if place.is_file():
        return
    inner = folder / source.unpack_into / (source.inner or "")
    raise InputError(
        f"{name}: {source.manual}; get {source.filename} from {source.url} and either put it at {place} and "
        f"call this again, or unpack it so that there is {inner}"
    )


def _bring(
    source: Source, folder: Path, archives: Path, progress: Progress | None, retries: Retries | None
) -> None:
    home = folder / source.unpack_into
    if source.manual is None:
        path = download(source, archives, progress, retries)
    else:
        path = archives / source.filename
    unpack(path, home, inner=source.inner, checksum=source.checksum, progress=progress)
