"""Plan of a comparison: which methods run on which sequences, under which protocols."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vosbench.benchmark.job import Job, ProtocolRun
from vosbench.benchmark.method_spec import MethodSpec, choose_methods, network_modules
from vosbench.benchmark.miniatures import Rendered, RenderJob, render_jobs
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
from vosbench.errors import InputError
from vosbench.executors.local import preload
from vosbench.method import Method, Precision, Size
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
        missing: miniatures that are to be rendered first, see `with_miniature`.
        protocols, metrics: as for `make_plan`, of the miniatures.
    """

    methods: tuple[MethodSpec, ...]
    splits: Mapping[str, Splits]
    notes: tuple[str, ...] = field(default=())
    missing: tuple[RenderJob, ...] = field(default=())
    protocols: Sequence[str] | None = None
    metrics: Sequence[str] | None = None

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

    def with_miniature(self, rendered: Rendered) -> Plan:
        """Return the plan with a miniature; one that cannot be rendered or opened is left out.

        Raises:
            InputError: this was the last one, and there is nothing to compare on.
        """
        job = rendered.job
        missing = tuple(other for other in self.missing if other.dataset != job.dataset)
        splits, notes = self._open_miniature(rendered)
        # in the order of the catalogue, whichever is rendered first
        ranks = {name: rank for rank, name in enumerate(catalogue())}
        together = sorted((dict(self.splits) | splits).items(), key=lambda item: ranks[item[1][0][1].name])
        plan = replace(self, splits=dict(together), notes=(*self.notes, *notes), missing=missing)
        if missing:
            return plan
        if not plan.splits:
            raise InputError("; ".join(note for note in plan.notes if " left out: " in note))
        return plan.checked()

    def _open_miniature(self, rendered: Rendered) -> tuple[dict[str, Splits], list[str]]:
        job = rendered.job
        if rendered.error:
            return {}, [f"{job.dataset} left out: {rendered.error}"]
        splits, notes = _open_all({job.dataset: job.root}, self.methods, self.protocols, set(), unreported)
        splits, metric_notes = _with_metrics(splits, self.metrics)
        return splits, [*notes, *metric_notes]

    def checked(self) -> Plan:
        """Return the plan with a line on every method that no protocol of a data set is made for.

        Raises:
            InputError: no method fits any protocol.
        """
        unfit = _unfit_notes(self.methods, self.splits)
        if self.splits and not any(run.methods for runs in self.splits.values() for run, _ in runs):
            raise InputError(f"nothing to compare: {'; '.join(unfit)}")
        return replace(self, notes=(*self.notes, *unfit))

    def jobs(self, limit: int | None, **common: Any) -> list[Job]:
        """Return one job per sequence with a protocol that fits a method.

        Args:
            limit: number of sequences of each data set; all when None.
            common: the other fields of `Job`.
        """
        jobs = []
        for splits in self.splits.values():
            names = [{video.name for video in dataset} for _, dataset in splits]
            dataset = splits[0][1]
            for name, video in list(_by_name(splits).items())[:limit]:
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
                    frames=len(video),
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
    precision: Precision = "32",
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
        dry_run: no miniature is to be rendered.
        precision: that networks compute in, see `vosbench.models.pretrained.zoo.move_to`.
        workers: processes that run methods later: more than one import what networks need while this process
            imports it.
        waiting: called with the methods that are loaded, the data sets that are opened.

    Returns:
        The plan; without data sets as long as miniatures are `missing`.

    Raises:
        InputError: unknown names, a data set that is not there, or no method fits any protocol.
    """
    named = [dataset_spec(name).reference for name in dict.fromkeys(datasets) if name != "all"]
    _check_sets(named, everything="all" in datasets)
    if workers > 1:
        preload(network_modules(models))
    methods, method_notes = choose_methods(models, size, settings, device, waiting, precision)
    roots, missing, data_notes = _choose_datasets(named, root, dry_run, everything="all" in datasets)
    splits, split_notes = _open_all(roots, methods, protocols, set(named), waiting)
    if roots and not splits:
        raise InputError("; ".join(split_notes))
    _check_metrics(splits, missing, protocols, metrics)
    splits, metric_notes = _with_metrics(splits, metrics)
    notes = (*method_notes, *data_notes, *split_notes, *metric_notes)
    plan = Plan(methods, splits, notes, missing, protocols, metrics)
    return plan if missing else plan.checked()


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
    named: Sequence[str], root: Path, dry_run: bool, *, everything: bool
) -> tuple[dict[str, Path], tuple[RenderJob, ...], list[str]]:
    """Return data set -> its data root, or miniatures instead, and a line on what is left out or replaced."""
    if not everything:
        return dict.fromkeys(named, root), (), []
    known = catalogue()
    evaluation = evaluation_sets(known)
    present = [name for name in evaluation if name not in named and find_folder(root, name).is_dir()]
    present = [*named, *present]
    hints = link_hints(root, evaluation)
    if present:
        return dict.fromkeys(present, root), (), hints
    jobs = render_jobs(known[name] for name in evaluation)
    found = {job.dataset: job.root for job in jobs}
    roots = {name: found[name] for name in evaluation if name in found}
    why = f"no evaluation data set found under {root}"
    left_out = [
        f"{name} left out: {why}, and it has no mini edition" for name in evaluation if name not in roots
    ]
    missing = [name for name, folder in roots.items() if not (folder / name).is_dir()]
    if dry_run and missing:
        where = _listed(roots[name] for name in missing)
        note = f"{why}: a real run would render the mini edition of {', '.join(missing)} into {where}"
        return {}, (), [*hints, note, *left_out]
    if not roots:
        raise InputError("; ".join(left_out))
    where = _listed(roots.values())
    note = f"{why}: using the mini edition of {', '.join(roots)} in {where}, a test bed and no benchmark"
    notes = [*hints, note, *left_out]
    return (roots, (), notes) if dry_run else ({}, jobs, notes)


def _listed(folders: Iterable[Path]) -> str:
    return ", ".join(map(str, dict.fromkeys(folders)))


def _open_all(
    roots: Mapping[str, Path],
    methods: Sequence[MethodSpec],
    protocols: Sequence[str] | None,
    required: set[str],
    waiting: Waiting,
) -> tuple[dict[str, Splits], list[str]]:
    """Open data sets; one that cannot be opened is left out unless it is required."""
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


def _check_metrics(
    splits: Mapping[str, Splits],
    missing: Sequence[RenderJob],
    ids: Sequence[str] | None,
    metrics: Sequence[str] | None,
) -> None:
    """Refuse metrics that no protocol has, before anything is rendered."""
    if metrics is None or not (splits or missing):
        return
    protocols = [run.protocol for runs in splits.values() for run, _ in runs]
    for job in missing:
        protocols += compared_protocols(job.dataset) if ids is None else map(load_protocol, ids)
    for name in metrics:
        if not any(name in protocol.metrics for protocol in protocols):
            # the message of the first protocol names what there is
            protocols[0].choose_metrics((name,))
    if not metrics:
        raise InputError("no metric chosen: name some, or leave the option out for all")


def _with_metrics(
    splits: Mapping[str, Splits], metrics: Sequence[str] | None
) -> tuple[dict[str, Splits], list[str]]:
    """Leave out protocols without any of the metrics, with a note on data sets."""
    if metrics is None:
        return dict(splits), []
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
