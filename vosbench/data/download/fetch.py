"""Download of a data set: fetch its archives, check, unpack, open."""

from __future__ import annotations

from pathlib import Path

from vosbench.data.catalogue import dataset_spec, open_dataset
from vosbench.data.datasets.base import edition_of
from vosbench.data.download.archives import is_unpacked, unpack
from vosbench.data.download.download import Progress, Retries, download
from vosbench.data.spec import Archive
from vosbench.errors import InputError
from vosbench.locks import claimed

DOWNLOADS = ".downloads"
"""Folder of the data root that holds archives until their data set has been opened."""


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
        progress: called while downloading and unpacking, in bytes.
        keep_archives: leave the archives where they are.
        retries: of broken connections.

    Returns:
        ``root / name``.

    Raises:
        InputError: unknown name, a part that only a person can fetch (nothing is downloaded then), no
            connection, no space, a wrong or damaged file, another process at it, or the reader refuses the
            result.
    """
    spec = dataset_spec(name)
    if spec.made_from is not None:
        raise InputError(
            f"{name}: not published; download {spec.made_from} and run 'vosbench data prepare {name}'"
        )
    if not spec.archives:
        raise InputError(f"{name}: no archives are known; get it from {spec.url}")
    folder, downloads = root / name, root / DOWNLOADS / name
    if edition_of(root, name) == "mini":
        raise InputError(f"{folder}: holds the miniature edition; remove it or give another data root")
    for archive in spec.archives:
        if archive.manual is not None and not _done(archive, folder):
            _ask(name, archive, folder, downloads)
    with claimed(root, name):
        for archive in spec.archives:
            if not _done(archive, folder):
                _download_and_unpack(archive, folder, downloads, progress, retries)
        open_dataset(name, root)
        if not keep_archives:
            for archive in spec.archives:
                (downloads / archive.filename).unlink(missing_ok=True)
    return folder


def _done(archive: Archive, folder: Path) -> bool:
    parent = folder / archive.unpack_into
    if archive.manual is not None and archive.inner is not None and (parent / archive.inner).exists():
        return True
    return is_unpacked(archive.filename, parent, archive.checksum)


def _ask(name: str, archive: Archive, folder: Path, downloads: Path) -> None:
    """Raise the error that tells a person what to do, unless the archive has been put in its path."""
    path = downloads / archive.filename
    if path.is_file():
        return
    inner = folder / archive.unpack_into / (archive.inner or "")
    raise InputError(
        f"{name}: {archive.manual}; get {archive.filename} from {archive.url} and either put it at {path} "
        f"and call this again, or unpack it so that there is {inner}"
    )


def _download_and_unpack(
    archive: Archive, folder: Path, downloads: Path, progress: Progress | None, retries: Retries | None
) -> None:
    if archive.manual is None:
        download(archive, downloads, progress, retries)
    path, parent = downloads / archive.filename, folder / archive.unpack_into
    unpack(path, parent, inner=archive.inner, checksum=archive.checksum, progress=progress)
