"""Description of a data set: reader, archives, miniature, splits, names in papers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple


@dataclass(frozen=True)
class Archive:
    """One file of a data set on the web.

    Attributes:
        url: its address; of a manual archive, the page where to ask for it.
        filename: its name.
        size: in bytes; None when not published.
        checksum: ``"sha256:..."`` or ``"md5:..."``; None when not published.
        unpack_into: folder below ``<root>/<name>``, ``""`` for that folder itself.
        manual: why it cannot be fetched without a person, and what that person does; None when it can.
        inner: a folder or file of the official layout that is directly in ``unpack_into`` afterwards;
            folders of the archive above it are dropped. None takes the archive as it is.
    """

    url: str
    filename: str
    size: int | None = None
    checksum: str | None = None
    unpack_into: str = ""
    manual: str | None = None
    inner: str | None = None

    def __str__(self) -> str:
        known = [] if self.size is None else [f"{self.size} bytes"]
        known += [words for words in (self.checksum, self.manual) if words is not None]
        address = self.url if self.manual is None else f"{self.filename} from {self.url}"
        return f"{address} ({', '.join(known)})" if known else address


class SplitCounts(NamedTuple):
    """Published size of a complete split.

    Attributes:
        sequences: number of videos, or of still images.
        frames: number of frames; None where it is not checked.
    """

    sequences: int
    frames: int | None = None


@dataclass(frozen=True)
class DatasetSpec:
    """Description of one data set: everything that is known before it is opened.

    Import paths are written ``"module:name"``, so that a description imports nothing.

    Attributes:
        name: catalogue name, and the folder below the data root.
        title: name in papers.
        reader: import path of a `vosbench.data.datasets.base.Dataset` subclass.
        split: the split used when none is chosen.
        size: sequences and frames of the default split, and megabytes, in words.
        layout: the files inside ``<root>/<name>``.
        licence: the terms of the data.
        citation: authors, title, venue, year.
        url: where to get it.
        protocol: id of the default protocol; None for training sets, which are not compared on.
        train_split: split that the DataModule trains on; None for a test set.
        test_split: split that the DataModule tests on where the protocol names none; `split` when None.
        files: import path of the list of expected files, (data root, split) -> `Inventory`; None: the check
            of files reads every video as the reader does.
        mini: import path of the settings of the miniature edition; None without one.
        mini_scenes: sequences of the miniature that methods are compared on, which then has no other split
            than `split`; None for the usual miniature.
        counts: split -> published size.
        archives: what a download fetches, in this order.
        made_from: data set from which this one is computed instead of downloaded.
        folders: other names that its folder has where people unpacked or copied the archives.
        marks: paths inside the folder; one under another name than `name` has at least one of them.
        weak_marks: paths inside folders that can be read as this data set, but are made for another one.
        options: further arguments of the reader.
        reference: text that names it where a data set is asked for; `name` for those of the catalogue.
        published: names of this data set in ``leaderboards/reported.yaml``.
        published_splits: name of a split there -> split of the reader, where it is another.
    """

    name: str
    title: str
    reader: str
    split: str
    size: str
    layout: str
    licence: str
    citation: str
    url: str
    protocol: str | None = None
    train_split: str | None = None
    test_split: str | None = None
    files: str | None = None
    mini: str | None = None
    mini_scenes: int | None = None
    counts: Mapping[str, SplitCounts] = field(default_factory=dict)
    archives: tuple[Archive, ...] = ()
    made_from: str | None = None
    folders: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()
    weak_marks: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    reference: str = ""
    published: tuple[str, ...] = ()
    published_splits: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.reference:
            object.__setattr__(self, "reference", self.name)

    @property
    def kind(self) -> Literal["evaluation", "training"]:
        """``"evaluation"`` sets appear in comparisons; ``"training"`` sets only feed `fit`."""
        return "training" if self.protocol is None else "evaluation"
