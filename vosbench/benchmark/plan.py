"""What a comparison consists of: which methods meet which sequences, under which protocols."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vosbench.benchmark.entrants import Entrant, choose_entrants
from vosbench.benchmark.job import Contestant, Job, Rules
from vosbench.data.catalogue import CATALOGUE, compared_protocols, dataset_spec, open_dataset
from vosbench.data.datasets.base import Dataset, edition_of
from vosbench.data.roots import mini_root
from vosbench.errors import InputError
from vosbench.method import Size
from vosbench.scoring.protocol import Protocol
from vosbench.scoring.sequence import check_detection_library
from vosbench.video import Video


@dataclass(frozen=True)
class View:
    """A split of a data set under one protocol.

    Attributes:
        dataset: the split, annotated as the protocol wants it.
        protocol: the rules.
        metrics: what is computed.
    """

    dataset: Dataset
    protocol: Protocol
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Matrix:
    """Everything that a comparison computes.

    Attributes:
        entrants: the methods.
        views: data set label -> its protocols.
        notes: one line each on what was left out or replaced.
    """

    entrants: tuple[Entrant, ...]
    views: Mapping[str, tuple[View, ...]]
    notes: tuple[str, ...] = field(default=())

    @property
    def videos(self) -> dict[str, list[Video]]:
        """Data set label -> the sequences of all its splits, each once."""
        return {label: list(_by_name(views).values()) for label, views in self.views.items()}

    @property
    def lengths(self) -> dict[tuple[str, str], int]:
        """Data set label and split -> number of sequences."""
        return {
            (label, view.dataset.split): len(view.dataset)
            for label, views in self.views.items()
            for view in views
        }

    def jobs(self, limit: int | None, **common: Any) -> list[Job]:
        """Return one job per sequence that any method fits, of every data set the first `limit`.

        Args:
            limit: number of sequences; all when None.
            common: the other fields of `Job`.
        """
        call = uuid.uuid4().hex
        jobs = []
        for views in self.views.values():
            fitting = [(view, self._fitting(view)) for view in views]
            positions = [{video.name: i for i, video in enumerate(view.dataset)} for view in views]
            for name in list(_by_name(views))[:limit]:
                rules = tuple(
                    Rules(view.protocol, view.metrics, view.dataset.split, where[name], models)
                    for (view, models), where in zip(fitting, positions, strict=True)
                    if models and name in where
                )
                home = views[0].dataset
                job = Job(
                    dataset=home.name,
                    root=home.root,
                    edition=home.edition,
                    sequence=name,
                    rules=rules,
                    call=call,
                    **common,
                )
                jobs += [job] if rules else []
        return jobs

    def _fitting(self, view: View) -> tuple[Contestant, ...]:
        return tuple(each.contestant for each in self.entrants if each.fits(view.protocol))


def make_matrix(
    models: Sequence[str],
    datasets: Sequence[str],
    root: Path,
    *,
    metrics: Sequence[str] | None,
    size: Size | None,
    settings: Mapping[str, Any],
    device: str,
    dry_run: bool,
) -> Matrix:
    """Choose methods and data sets; a method and a data set meet under the protocols that fit both.

    Args:
        models: who takes part, see `vosbench.benchmark.entrants.choose_entrants`.
        datasets: evaluation sets; ``"all"`` takes those found under `root`, else their miniatures, and
            leaves out what cannot be opened or rendered.
        root: folder that holds the data sets.
        metrics: of each protocol those of these names; all of the protocol when None.
        size: network size; the largest that has weights when None.
        settings: switches to change for inference, see `choose_entrants`.
        device: where networks run, see `vosbench.models.pretrained.zoo.move_to`.
        dry_run: render no miniature.

    Raises:
        InputError: unknown names, a data set that is not there, or no method fits any protocol.
    """
    entrants, model_notes = choose_entrants(models, size, settings, device)
    homes, data_notes = _choose_datasets(datasets, root, dry_run)
    views, view_notes = _open_all(homes, entrants, needed=set(datasets))
    views, metric_notes = _with_metrics(views, metrics)
    matrix = Matrix(entrants, views)
    fit_notes = _unfitting(matrix)
    if views and not any(matrix._fitting(view) for each in views.values() for view in each):
        raise InputError(f"nothing to compare: {'; '.join(fit_notes)}")
    return replace(matrix, notes=(*model_notes, *data_notes, *view_notes, *metric_notes, *fit_notes))


def _by_name(views: Sequence[View]) -> dict[str, Video]:
    found: dict[str, Video] = {}
    for view in views:
        for video in view.dataset:
            found.setdefault(video.name, video)
    return found


def _choose_datasets(asked: Sequence[str], root: Path, dry_run: bool) -> tuple[dict[str, Path], list[str]]:
    """Return data set -> the data root where it is."""
    if not asked:
        raise InputError("no data set named: give names, or all")
    named = [name for name in dict.fromkeys(asked) if name != "all"]
    for name in named:
        if dataset_spec(name).protocol is None:
            raise InputError(f"{name} is a training set; methods are compared on evaluation sets")
    if "all" not in asked:
        return dict.fromkeys(named, root), []
    evaluation = [name for name, known in CATALOGUE.items() if known.kind == "evaluation"]
    found = [name for name in evaluation if name in named or (root / name).is_dir()]
    if found:
        return dict.fromkeys(found, root), []
    return _mini_editions(evaluation, root, dry_run)


def _mini_editions(names: list[str], root: Path, dry_run: bool) -> tuple[dict[str, Path], list[str]]:
    # Rendering needs more than reading: it is imported only where it is used.
    from vosbench.data.mini import ensure_mini

    scenes = {name: CATALOGUE[name].mini_scenes for name in names if CATALOGUE[name].mini is not None}
    homes = {name: mini_root(count) for name, count in scenes.items()}
    why = f"no evaluation data set found under {root}"
    notes = [f"{name} left out: {why}, and it has no mini edition" for name in names if name not in homes]
    missing = [name for name, home in homes.items() if not (home / name).is_dir()]
    if dry_run and missing:
        where = _listed(homes[name] for name in missing)
        note = f"{why}: a real run would render the mini edition of {', '.join(missing)} into {where}"
        return {}, [note, *notes]
    for name, home in [] if dry_run else list(homes.items()):
        try:
            ensure_mini(name, home, scenes=scenes[name])
        except InputError as error:
            notes.append(f"{name} left out: {error}")
            del homes[name]
    if not homes:
        raise InputError("; ".join(notes))
    where = _listed(homes.values())
    note = f"{why}: using the mini edition of {', '.join(homes)} in {where}, a test bed and no benchmark"
    return homes, [note, *notes]


def _listed(folders: Iterable[Path]) -> str:
    return ", ".join(map(str, dict.fromkeys(folders)))


def _open_all(
    homes: Mapping[str, Path], entrants: Sequence[Entrant], needed: set[str]
) -> tuple[dict[str, tuple[View, ...]], list[str]]:
    """Open data sets; one that cannot be opened is left out unless it is needed or the last."""
    views: dict[str, tuple[View, ...]] = {}
    notes: list[str] = []
    for name, home in homes.items():
        try:
            opened, left_out = _open(name, home, entrants)
        except InputError as error:
            if name in needed:
                raise
            notes.append(f"{name} left out: {error}")
            continue
        views[opened[0].dataset.label] = tuple(opened)
        notes += left_out
    if homes and not views:
        raise InputError("; ".join(notes))
    return views, notes


def _open(name: str, root: Path, entrants: Sequence[Entrant]) -> tuple[list[View], list[str]]:
    """Open a data set under each of its protocols; only labels of its usual protocol must be there."""
    views, notes = [], []
    for protocol in compared_protocols(name):
        if protocol.given and not _gives_more(protocol, name, root, entrants):
            continue
        try:
            if protocol.objects == "detections":
                check_detection_library()
            dataset = open_dataset(name, root, protocol.split, **protocol.reader_options(name))
            _check_given(protocol, dataset)
        except InputError as error:
            if protocol.id == dataset_spec(name).protocol:
                raise
            notes.append(f"{protocol.id} left out: {error}")
            continue
        views.append(View(dataset, protocol, protocol.metrics))
    return views, notes


def _gives_more(protocol: Protocol, name: str, root: Path, entrants: Sequence[Entrant]) -> bool:
    """Return whether anybody is given other masks: sequences of a miniature have one object each."""
    return edition_of(root, name) == "official" and any(each.fits(protocol) for each in entrants)


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
    views: Mapping[str, tuple[View, ...]], metrics: Sequence[str] | None
) -> tuple[dict[str, tuple[View, ...]], list[str]]:
    """Leave out the protocols without any of the metrics, and say so of data sets; all cannot be left out."""
    if metrics is None or not views:
        return dict(views), []
    everything = [view.protocol for each in views.values() for view in each]
    for name in metrics:
        if not any(name in protocol.metrics for protocol in everything):
            # the message of the first protocol names what there is
            everything[0].choose_metrics((name,))
    chosen: dict[str, tuple[View, ...]] = {}
    notes = []
    for label, each in views.items():
        kept = [view for view in each if set(metrics) & set(view.protocol.metrics)]
        if not kept:
            notes.append(f"{label} left out: none of its protocols has the metrics {', '.join(metrics)}")
            continue
        chosen[label] = tuple(replace(view, metrics=_chosen(view.protocol, metrics)) for view in kept)
    if not chosen:
        raise InputError("no metric chosen: name some, or leave the option out for all")
    return chosen, notes


def _chosen(protocol: Protocol, metrics: Sequence[str]) -> tuple[str, ...]:
    return protocol.choose_metrics(tuple(name for name in metrics if name in protocol.metrics))


def _unfitting(matrix: Matrix) -> list[str]:
    """Say which methods no protocol of a data set is made for."""
    notes = []
    for label, views in matrix.views.items():
        for each in matrix.entrants:
            if not any(each.fits(view.protocol) for view in views):
                ids = ", ".join(view.protocol.id for view in views)
                notes.append(
                    f"{each.contestant.label} left out on {label}: it is {each.task}, and no protocol there "
                    f"({ids}) is for such methods"
                )
    return notes
