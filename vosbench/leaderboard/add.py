"""Records of a method that was run elsewhere, from its masks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vosbench.data.catalogue import open_dataset
from vosbench.data.datasets.base import Dataset
from vosbench.data.roots import data_root as find_data_root
from vosbench.errors import InputError, unknown_name
from vosbench.evaluation.record import Record, record_path
from vosbench.evaluation.record_template import build_record, scoring_config
from vosbench.evaluation.results.reader import Missing, ResultFolder
from vosbench.evaluation.score_results import Progress, score
from vosbench.evaluation.scores import Score
from vosbench.evaluation.selection import choose_protocol
from vosbench.evaluation.store import content_hash, environment, hash_videos, now
from vosbench.leaderboard.bibtex import parse_bibtex
from vosbench.leaderboard.published import SAME_MASKS, disagreements, load_published
from vosbench.models.pretrained.zoo import method_names
from vosbench.scoring.evaluate import ProtocolVideo
from vosbench.scoring.predictions import ids_hash
from vosbench.scoring.protocol import Protocol
from vosbench.video import Video

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True)
class Paper:
    """Publication of a method; unknown fields are None.

    Attributes:
        title: of the paper.
        url: of the paper or the masks.
        year: of the paper.
        bibtex: one entry.
        licence: of the masks, e.g. ``"none stated"``.
    """

    title: str | None = None
    url: str | None = None
    year: int | None = None
    bibtex: str | None = None
    licence: str | None = None


def add(
    results: Path,
    method: str,
    dataset: str,
    records_root: Path,
    *,
    split: str | None = None,
    protocol: str | None = None,
    data_root: Path | None = None,
    paper: Paper | None = None,
    published_as: str | None = None,
    missing: Missing = "error",
    threshold: float | None = None,
    workers: int | None = None,
    replace: bool = False,
    command: str = "",
    progress: Progress | None = None,
) -> Score:
    """Score masks and write a record of every sequence below `records_root`.

    Args:
        results: folder or zip of masks, see `vosbench.evaluation.results.reader.ResultFolder`.
        method: name of the row.
        dataset: catalogue name.
        records_root: folder of records, e.g. ``leaderboards/records``.
        split: that of the protocol, else the data set's usual one, when None.
        protocol: protocol id; the data set's default when None.
        data_root: folder that holds the data sets; see `vosbench.data.roots`.
        paper: where the method was published.
        published_as: the published method, see `vosbench.leaderboard.published.load_published`, whose values
            were computed from these masks: J and F of every frame have to be the published ones.
        missing: a missing frame is an error, or ``"empty"``.
        threshold: value above which a soft mask is foreground, in the unit of the file.
        workers: processes; one per core when None.
        replace: whether records of this method that are there already make way.
        command: what the user ran.
        progress: called after every sequence.

    Raises:
        InputError: a name that cannot be used, records that are there already, masks or data that
            cannot be read, or other values than those published of the masks.
    """
    _check_name(method)
    bibtex = paper.bibtex if paper else None
    if bibtex is not None and len(parse_bibtex(bibtex, "--bibtex")) != 1:
        raise InputError("--bibtex: give a file with exactly one entry, that of the method's paper")
    published = load_published()
    if published_as is not None and published_as not in (names := {record.model for record in published}):
        raise unknown_name("published method", published_as, sorted(names))
    rules = choose_protocol(dataset, protocol)
    if rules.average == "pooled":
        raise InputError(
            f"protocol {rules.id} pools the frames of all sequences, which records cannot hold; "
            "use vosbench score"
        )
    opened = open_dataset(
        dataset, find_data_root(data_root), split or rules.split, **rules.reader_options(dataset)
    )
    folder = record_path(records_root, opened.label, rules.id, method, "any").parent
    before = [path for path in sorted(folder.glob("*.json")) if Record.read(path).split == opened.split]
    if before and not replace:
        raise InputError(
            f"{folder} has {len(before)} records of {method} on {opened.split}: choose another name, "
            "or give --replace"
        )
    scored = score(
        results,
        dataset,
        split=opened.split,
        protocol=rules.id,
        data_root=data_root,
        workers=workers,
        missing=missing,
        threshold=threshold,
        progress=progress,
    )
    masks = ResultFolder.open(results, list(scored.sequences), rules, missing=missing, threshold=threshold)
    shared = {
        "command": command,
        "paper": None if paper is None else {k: v for k, v in asdict(paper).items() if v is not None},
        "reading": {"missing": missing, "threshold": threshold, "notes": list(scored.notes)},
        "time": now(),
        **environment(),
    }
    named = {} if published_as is None else {SAME_MASKS: published_as}
    # everything is read before anything is replaced
    records = list(_records(opened, scored, masks, method, rules, shared, named))
    if wrong := disagreements(records, published):
        raise InputError(f"--published-as {published_as}: {wrong[0]}: these are other masks")
    for path in before:
        path.unlink()
    for record in records:
        record.write(record_path(records_root, opened.label, rules.id, method, record.sequence))
    return scored


def _check_name(method: str) -> None:
    if not _NAME.fullmatch(method):
        raise InputError(f"--method '{method}': use letters, digits and . _ -, a letter or digit first")
    if method in method_names():
        raise InputError(f"--method {method}: vosbench has this method; name the results otherwise")


def _records(
    dataset: Dataset,
    scored: Score,
    masks: ResultFolder,
    method: str,
    rules: Protocol,
    shared: dict[str, Any],
    named: dict[str, str],
) -> Iterator[Record]:
    for video in dataset:
        (hashes,) = hash_videos([video])
        item = ProtocolVideo(video, rules, rules.metrics)
        config = scoring_config(item)
        content = _masks_hash(masks, video)
        yield build_record(
            item,
            scored.sequences[video.name],
            hashes,
            prediction=content,
            config=config,
            provenance={**shared, "masks": {"sha256": content, **named}},
            model=method,
            size="",
            dataset=dataset.name,
            edition=dataset.edition,
            split=dataset.split,
            key=content_hash({**config, "masks": content, "data": hashes.everything}),
            seconds_per_frame={},
        )


def _masks_hash(masks: ResultFolder, video: Video) -> str:
    """Return the hash of the ids that count: others may be absent."""
    counted = masks.evaluated(video)
    ids = masks.read(video).ids
    return ids_hash((video.frame_names[index] for index in counted), (ids[index] for index in counted))
