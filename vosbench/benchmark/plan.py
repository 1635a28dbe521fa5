"""Plan of a comparison: which methods run on which sequences, under which protocols."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vosbench.benchmark.job import Job, ProtocolRun
from vosbench.benchmark.method_spec import MethodSpec, choose_methods, network_modules
from vosbench.data.catalogue import (
    catalogue,
    compared_protocols,
    dataset_spec,
    evaluation_sets,
    is_own,
    open_dataset,
    scoring_protocols,
)
from vosbench.data.datasets.base import Dataset
from vosbench.data.given_mask import gives_other_masks
from vosbench.data.places import find_folder, link_hints
from vosbench.data.roots import mini_root
from vosbench.data.spec import DatasetSpec
from vosbench.errors import InputError
from vosbench.executors.local import preload
from vosbench.method import Method, Size
from vosbench.scoring.protocol import Protocol, load_protocol
from vosbench.scoring.sequence import check_detection_library
from vosbench.video import Video
from vosbench.waiting import Waiting, unreported

Splits = tuple[tuple[ProtocolRun, Dataset], ...]
"""Protocols of a data set, and the split that each scores, annotated as the protocol wants it."""


@dataclass(frozen=True)
class Plan:
    """Everything that a comparison computes.

    Attributes:
        methods: the methods.
        splits: data set label -> its protocols and their splits.
        notes: one line each on what was left out or replaced.
    """

    methods: tuple[MethodSpec, ...]
    splits: Mapping[str, Splits]
    notes: tuple[str, ...] = field(default=())

    @property
    def videos(self) -> dict[str, list[Video]]:
        """Data set label -> the sequences of all its splits, each once."""
        return {label: list(_by_name(splits).values()) for label, splits in self.splits.items()}

    @property
    def lengths(self) -> dict[tuple[str, str], int]:
        """Data set label and split -> number of sequences."""
        return {
            (label, run.split): len(dataset)
            for label, splits in self.splits.items()
            for run, dataset in splits
        }

    def jobs(self, limit: int | None, **common: Any) -> list[Job]:
        """Return one job per sequence with a protocol that fits a method.

        Args:
            limit: number of sequences of each data set; all when None.
            common: the other fields of `Job`.
        """
        call = uuid.uuid4().hex
        jobs = []
        for splits in self.splits.values():
            names = [{video.name for video in dataset} for _, dataset in splits]
            dataset = splits[0][1]
            for name in list(_by_name(splits))[:limit]:
                runs = tuple(
                    run
                    for (run, _), known in zip(splits, names, strict=True)
                    if run.methods and name in known
                )
                job = Job(
                    dataset=dataset.reference,
                    root=dataset.root,
                    edition=dataset.edition,
                    sequence=name,
                    runs=runs,
                    call=call,
                    **common,
                )
                jobs += [job] if runs else []
        return jobs


def make_plan(
    models: Sequence[str | Method],
    datasets: Sequence[str],
    root: Path,
    *,
    protocols: Sequence[str] | None = None,
    metrics: Sequence[str] | None,
    size: Size | None,
    settings: Mapping[str, Any],
    device: str,
    dry_run: bool,
    workers: int = 1,
    waiting: Waiting = unreported,
) -> Plan:
    """Choose methods and data sets; a method runs on a data set under the protocols that fit both.

    Args:
        models: names of methods, see `vosbench.benchmark.method_spec.choose_methods`.
        datasets: evaluation sets by name, or data of one's own by path; ``"all"`` takes those found under
            `root`, else their miniatures, and leaves out what cannot be opened or rendered.
        root: folder that holds the data sets.
        protocols: ids of the protocols of each data set; those that it is usually compared under when None.
        metrics: of each protocol those of these names; all of the protocol when None.
        size: network size; the largest that has weights when None.
        settings: switches to change for inference, see `choose_methods`.
        device: where networks run, see `vosbench.models.pretrained.zoo.move_to`.
        dry_run: render no miniature.
        workers: processes that render miniatures, and run methods later: with more than one, these import
            what networks need while this process imports it.
        waiting: called with the methods that are loaded, the data sets that are rendered and opened.

    Raises:
        InputError: unknown names, a data set that is not there, or no method fits any protocol.
    """
    named = [dataset_spec(name).reference for name in dict.fromkeys(datasets) if name != "all"]
    _check_sets(named, everything="all" in datasets)
    if workers > 1:
        preload(network_modules(models))
    methods, method_notes = choose_methods(models, size, settings, device, waiting)
    roots, data_notes = _choose_datasets(named, root, dry_run, workers, waiting, everything="all" in datasets)
    splits, split_notes = _open_all(roots, methods, protocols, set(named), waiting)
    splits, metric_notes = _with_metrics(splits, metrics)
    unfit_notes = _unfit_notes(methods, splits)
    if splits and not any(run.methods for runs in splits.values() for run, _ in runs):
        raise InputError(f"nothing to compare: {'; '.join(unfit_notes)}")
    notes = (*method_notes, *data_notes, *split_notes, *metric_notes, *unfit_notes)
    return Plan(methods, splits, notes)


def _by_name(splits: Splits) -> dict[str, Video]:
    videos: dict[str, Video] = {}
    for _, dataset in splits:
        for video in dataset:
            videos.setdefault(video.name, video)
    return videos


def _check_sets(named: Sequence[str], *, everything: bool) -> None:
    """Refuse data sets that there is no comparison on, before methods are loaded."""
    if not named and not everything:
        raise InputError("no data set named: give names, or all")
    for name in named:
        if dataset_spec(name).protocol is None:
            raise InputError(f"{name} is a training set; methods are compared on evaluation sets")


def _choose_datasets(
    named: Sequence[str], root: Path, dry_run: bool, workers: int, waiting: Waiting, *, everything: bool
) -> tuple[dict[str, Path], list[str]]:
    """Return data set -> its data root, and a line on each that is left out or replaced."""
    if not everything:
        return dict.fromkeys(named, root), []
    evaluation = evaluation_sets(catalogue())
    present = [name for name in evaluation if name not in named and find_folder(root, name).is_dir()]
    present = [*named, *present]
    hints = link_hints(root, evaluation)
    if present:
        return dict.fromkeys(present, root), hints
    roots, notes = _mini_editions(evaluation, root, dry_run, workers, waiting)
    return roots, [*hints, *notes]


def _mini_editions(
    names: list[str], root: Path, dry_run: bool, workers: int, waiting: Waiting
) -> tuple[dict[str, Path], list[str]]:
    # Rendering needs more than reading: it is imported only where it is used.
    from vosbench.data.mini import ensure_mini

    known = catalogue()
    rendered = [name for name in names if known[name].mini is not None]
    settings = {name: _mini_settings(known[name]) for name in rendered}
    roots = {name: mini_root(kept.get("scenes"), *kept.get("splits", ())) for name, kept in settings.items()}
    why = f"no evaluation data set found under {root}"
    notes = [f"{name} left out: {why}, and it has no mini edition" for name in names if name not in roots]
    missing = [name for name, folder in roots.items() if not (folder / name).is_dir()]
    if dry_run and missing:
        where = _listed(roots[name] for name in missing)
        note = f"{why}: a real run would render the mini edition of {', '.join(missing)} into {where}"
        return {}, [note, *notes]
    for name, folder in [] if dry_run else list(roots.items()):
        try:
            ensure_mini(name, folder, workers=workers, waiting=waiting, **settings[name])
        except InputError as error:
            notes.append(f"{name} left out: {error}")
            del roots[name]
    if not roots:
        raise InputError("; ".join(notes))
    where = _listed(roots.values())
    note = f"{why}: using the mini edition of {', '.join(roots)} in {where}, a test bed and no benchmark"
    return roots, [note, *notes]


def _mini_settings(spec: DatasetSpec) -> dict[str, Any]:
    """Return the settings of the miniature that methods are compared on."""
    return {} if spec.mini_scenes is None else {"scenes": spec.mini_scenes, "splits": (spec.split,)}


def _listed(folders: Iterable[Path]) -> str:
    return ", ".join(map(str, dict.fromkeys(folders)))


def _open_all(
    roots: Mapping[str, Path],
    methods: Sequence[MethodSpec],
    protocols: Sequence[str] | None,
    required: set[str],
    waiting: Waiting,
) -> tuple[dict[str, Splits], list[str]]:
    """Open data sets; one that cannot be opened is left out unless it is required or the last."""
    splits: dict[str, Splits] = {}
    notes: list[str] = []
    for done, (name, root) in enumerate(roots.items()):
        waiting("opening data sets", done, len(roots))
        try:
            opened, left_out = _open(name, root, methods, protocols)
        except InputError as error:
            if name in required:
                raise
            notes.append(f"{name} left out: {error}")
            continue
        label = opened[0][1].label
        if label in splits:
            raise InputError(f"two data sets are called {label}: write LABEL={name}")
        splits[label] = opened
        notes += left_out
        if is_own(name) and protocols is None:
            ids = ", ".join(run.protocol.id for run, _ in opened)
            notes.append(f"{label} is scored under {ids}; --protocol names others")
    if roots and not splits:
        raise InputError("; ".join(notes))
    return splits, notes


def _open(
    name: str, root: Path, methods: Sequence[MethodSpec], protocols: Sequence[str] | None
) -> tuple[Splits, list[str]]:
    """Open a data set under each of its protocols; only labels of its usual protocol must be there."""
    splits, notes = [], []
    chosen = compared_protocols(name) if protocols is None else _chosen_protocols(name, protocols)
    for protocol in chosen:
        fitting = tuple(spec for spec in methods if spec.fits(protocol))
        if protocol.given and not fitting:
            continue
        try:
            if protocol.objects == "detections":
                check_detection_library()
            dataset = open_dataset(name, root, protocol.split, **protocol.reader_options(name))
            if protocol.given and not gives_other_masks(protocol, dataset):
                continue
            _check_given(protocol, dataset)
        except InputError as error:
            if protocols is not None or protocol.id == dataset_spec(name).protocol:
                raise
            notes.append(f"{protocol.id} left out: {error}")
            continue
        splits.append((ProtocolRun(protocol, protocol.metrics, dataset.split, fitting), dataset))
    if not splits:
        raise InputError(f"{name}: no method fits {', '.join(protocol.id for protocol in chosen)}")
    return tuple(splits), notes


def _chosen_protocols(name: str, ids: Sequence[str]) -> list[Protocol]:
    known = scoring_protocols(name)
    chosen = [protocol for protocol in map(load_protocol, dict.fromkeys(ids)) if protocol.id in known]
    if not chosen:
        raise InputError(
            f"{name}: protocol {', '.join(ids) or 'none'} is not made for it; choose from {', '.join(known)}"
        )
    return chosen


def _check_given(protocol: Protocol, dataset: Dataset) -> None:
    """Refuse a protocol whose first masks are those of another data set, where that lacks a sequence."""
    if not protocol.given:
        return
    other = open_dataset(protocol.given["dataset"], dataset.root, protocol.given["split"])
    missing = sorted({video.name for video in dataset} - {video.name for video in other})
    if missing:
        raise InputError(
            f"its first masks are those of {other.label} {other.split}, which lacks {', '.join(missing)}"
        )


def _with_metrics(
    splits: Mapping[str, Splits], metrics: Sequence[str] | None
) -> tuple[dict[str, Splits], list[str]]:
    """Leave out protocols without any of the metrics, with a note on data sets; not all can be left out."""
    if metrics is None or not splits:
        return dict(splits), []
    protocols = [run.protocol for runs in splits.values() for run, _ in runs]
    for name in metrics:
        if not any(name in protocol.metrics for protocol in protocols):
            # the message of the first protocol names what there is
            protocols[0].choose_metrics((name,))
    selected: dict[str, Splits] = {}
    notes = []
    for label, runs in splits.items():
        kept = tuple(
            (replace(run, metrics=run.protocol.choose_metrics(shared)), dataset)
            for run, dataset in runs
            if (shared := tuple(name for name in metrics if name in run.protocol.metrics))
        )
        if kept:
            selected[label] = kept
        else:
            notes.append(f"{label} left out: none of its protocols has the metrics {', '.join(metrics)}")
    if not selected:
        raise InputError("no metric chosen: name some, or leave the option out for all")
    return selected, notes


def _unfit_notes(methods: Sequence[MethodSpec], splits: Mapping[str, Splits]) -> list[str]:
    """Return a line on every method that no protocol of a data set is made for."""
    notes = []
    for label, runs in splits.items():
        for spec in methods:
            if not any(spec in run.methods for run, _ in runs):
                ids = ", ".join(run.protocol.id for run, _ in runs)
                notes.append(
                    f"{spec.label} left out on {label}: it is {spec.task}, and no protocol there "
                    f"({ids}) is for such methods"
                )
    return notes
