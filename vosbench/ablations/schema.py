"""Suites: tables of papers as data, with their rows, trainings and columns.

A suite is a YAML file::

    id: mpnet_table1
    title: MP-Net, what the network sees
    paper: Tokmakov et al.        # with the table: where leaderboards/reported.yaml has the numbers
    table: 1
    method: MP-Net                # the paper's name of the method
    varies: the input of the network, and how many decoder units it has
    flows:                        # name: what it is, and where each edition takes it from
      ldof: {title: LDOF, official: "precomputed:${LDOF}/davis16", mini: dis, lite: dis}
    columns:                      # measured where, under which rules, with which flow
      davis16:
        dataset: davis16
        split: trainval
        protocol: davis16-unsupervised
        metric: J_mean
        flow: ldof
        lite: {split: train, sequences: davis16_held_out}   # what is different in that edition
    editions:                     # keys of `vosbench fit` by model
      official: {size: full}
      mini: {size: tiny, set: {mpnet: {recipe: mpnet_tiny}}}
      lite: {size: tiny, set: {mpnet: {recipe: mpnet_davis, stage: C}}}
    trainings:                    # rows that name the same training share its runs
      rgb: {model: mpnet, stage: A, set: {model.input: rgb, model.decoder_units: 1}}
    rows:
      rgb: {title: RGB, training: rgb, variant: trained_on_ft3d_input=rgb_single}
    orderings:                    # as in the paper, judged again here
      - {expect: flow >= rgb, column: davis16, source: section 6.3.1}

Published values are never written here: the entry of ``reported.yaml`` has the `variant` of the row and of
the column.

Columns that differ in the metric only (precision, recall) are one test: sequences are segmented once.

Edition ``official`` has the paper's networks and data, ``mini`` tiny networks on rendered scenes, ``lite``
networks of size lite on real video: they learn from data sets less the videos that these hold out by default,
and are tested on what is held out, so that no test set is touched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar, get_args

from vosbench.errors import InputError
from vosbench.method import Size

Edition = Literal["official", "mini", "lite"]
EDITIONS: tuple[str, ...] = get_args(Edition)

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_PREFIX = "VOSBENCH_FLOW_"
"""Of the variables that suites can name: files of others must not read the rest of the environment."""


@dataclass(frozen=True)
class FlowChoice:
    """A flow that the paper names.

    Attributes:
        name: in the suite.
        title: in the paper.
        official, mini, lite: value of ``--flow``, or ``ground_truth``; ``${LDOF}`` stands for the folder or
            file that the environment variable ``VOSBENCH_FLOW_LDOF`` names when the flow is used. No other
            variable is read. None: the edition has no such flow.
    """

    name: str
    title: str
    official: str
    mini: str
    lite: str | None = None

    def text(self, edition: Edition) -> str:
        """Return the value of ``--flow`` in an edition.

        Raises:
            InputError: an environment variable in it is not set, or the edition has no such flow.
        """
        written = self.written(edition)

        def value(match: re.Match[str]) -> str:
            variable = f"{_PREFIX}{match[1]}"
            if variable not in os.environ:
                raise InputError(
                    f"flow {self.name} ({self.title}): set ${variable} to the folder or file in {written}"
                )
            return os.environ[variable]

        return _VARIABLE.sub(value, written)

    def written(self, edition: Edition) -> str:
        """Return the same as the suite has it, with the names of environment variables.

        Raises:
            InputError: the edition has no such flow.
        """
        flow: str | None = getattr(self, edition)
        if flow is None:
            raise InputError(f"flow {self.name} ({self.title}) is not in the {edition} edition")
        return flow


@dataclass(frozen=True)
class Column:
    """A column of the table: data, rules and metric.

    Attributes:
        name: in the suite.
        dataset, split, protocol: the sequences and the rules.
        metric: name of the value, e.g. ``"J_mean"``; ``"iou_mean/dog"`` counts one class of objects.
        flow: name of a flow of the suite; None for methods that see none.
        title: heading; None for data set, split and metric.
        variant: parts that all published values of this column have in their variant; None for a column
            that the paper does not have.
        published_split, published_dataset: of the published values, where they are others.
        limit: only the first sequences.
        sequences: only those of a list of `vosbench.data.splits`, e.g. ``"davis16_held_out"``.
        motion: ``"most"`` or ``"least"``: only the tenth of the frames that moves so, see
            `vosbench.ablations.motion_frames`; for protocols that keep values of frames.
        without: edition -> reason why it has no such column.
        lite: attributes that have another value in edition ``lite``.
    """

    name: str
    dataset: str
    split: str
    protocol: str
    metric: str
    flow: str | None = None
    title: str | None = None
    variant: str | None = ""
    published_split: str | None = None
    published_dataset: str | None = None
    limit: int | None = None
    sequences: str | None = None
    motion: str | None = None
    without: Mapping[str, str] = field(default_factory=dict)
    lite: Mapping[str, Any] = field(default_factory=dict)

    @property
    def value(self) -> str:
        """Name of the metric in records."""
        return self.metric.partition("/")[0]

    @property
    def only(self) -> str | None:
        """The class of objects that counts; None for all."""
        return self.metric.partition("/")[2] or None


@dataclass(frozen=True)
class Training:
    """A training, run once per seed.

    Attributes:
        name: in the suite.
        model: a network.
        stage: of its recipe, or ``"all"``.
        set: keys of `vosbench fit`.
        flow: stage -> flows of the suite that it trains on; stages not named keep those of the recipe.
        init: another training, whose weights this one starts from.
        weights: model switch -> training whose checkpoint it is given.
        official, mini, lite: further keys of `vosbench fit` in one edition; they go before all others, so
            that ``model.motion_weights: zoo`` spares the training in `weights` and ``init: null`` that in
            `init`.
    """

    name: str
    model: str
    stage: str = "all"
    set: Mapping[str, Any] = field(default_factory=dict)
    flow: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    init: str | None = None
    weights: Mapping[str, str] = field(default_factory=dict)
    official: Mapping[str, Any] = field(default_factory=dict)
    mini: Mapping[str, Any] = field(default_factory=dict)
    lite: Mapping[str, Any] = field(default_factory=dict)

    def keys_in(self, edition: Edition) -> Mapping[str, Any]:
        """Return the further keys of an edition."""
        keys: Mapping[str, Any] = getattr(self, edition)
        return keys

    def weights_in(self, edition: Edition) -> dict[str, str]:
        """Return `weights` without the switches that the edition gives another value."""
        own = self.keys_in(edition)
        return {switch: name for switch, name in self.weights.items() if f"model.{switch}" not in own}

    def init_in(self, edition: Edition) -> str | None:
        """Return `init`; None where the edition gives another value."""
        return None if "init" in self.keys_in(edition) else self.init

    def needs(self, edition: Edition) -> list[str]:
        """Return the trainings that must be finished before."""
        init = self.init_in(edition)
        return [*([init] if init else []), *self.weights_in(edition).values()]


@dataclass(frozen=True)
class SuiteRow:
    """One row of the table.

    Attributes:
        name: in the suite.
        title: in the table.
        training: whose weights it tests; None for a method that learns nothing here.
        model: that method, a baseline or one whose weights come with the package.
        variant: parts of the variant of its published values; None for a row the paper does not have.
        method: the paper's name of this row, where the rows of a table are methods.
        folds: split -> training that tests the sequences of that split, in place of `training`: what was
            learnt from one half of the data is tested on the other.
        settings: switches of the method at inference.
        weights: switch -> training whose checkpoint replaces that part at inference.
        flow: column -> flow, where it is not that of the column.
        columns: names of the columns it is measured in; empty for all.
        without: edition -> reason why the row cannot run there.
        note: remark for readers.
        lite: attributes that have another value in edition ``lite``.
    """

    name: str
    title: str
    training: str | None = None
    model: str | None = None
    variant: str | None = ""
    method: str | None = None
    folds: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    flow: Mapping[str, str] = field(default_factory=dict)
    columns: tuple[str, ...] = ()
    without: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    lite: Mapping[str, Any] = field(default_factory=dict)

    @property
    def needs(self) -> list[str]:
        """The trainings behind this row."""
        return [*([self.training] if self.training else []), *self.folds.values(), *self.weights.values()]


@dataclass(frozen=True)
class EditionSettings:
    """Training settings of one edition.

    Attributes:
        size: of the networks.
        set: model -> keys of `vosbench fit` for all of its trainings.
        seeds: one run each.
        note: remark on its numbers, for readers.
    """

    size: Size
    set: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seeds: tuple[int, ...] = (0,)
    note: str = ""


@dataclass(frozen=True)
class Ordering:
    """A relation between two rows, as found by the paper.

    Attributes:
        expect: ``"first >= second"`` or ``"first > second"``, better meaning more.
        column: where.
        source: place in the paper.
        first, strict, second: the parts of `expect`.
    """

    expect: str
    column: str
    source: str
    first: str
    strict: bool
    second: str


@dataclass(frozen=True)
class Suite:
    """A table of a paper; see the module for its form as YAML."""

    id: str
    title: str
    paper: str
    table: str
    method: str
    varies: str
    flows: Mapping[str, FlowChoice]
    columns: Mapping[str, Column]
    editions: Mapping[str, EditionSettings]
    trainings: Mapping[str, Training]
    rows: Mapping[str, SuiteRow]
    orderings: tuple[Ordering, ...]

    @property
    def source(self) -> str:
        """Paper and table as `vosbench.leaderboard.reported.Reported.source` has them."""
        section = self.table.removeprefix("text_")
        return (
            f"{self.paper}, table {self.table}"
            if section == self.table
            else f"{self.paper}, text, section {section}"
        )

    def in_edition(self, edition: Edition) -> Suite:
        """Return the table with the columns that an edition has, and their orderings.

        Rows stay; those that the edition cannot have name it in `SuiteRow.without`.
        """
        varied = self.varied(edition)
        columns = {name: item for name, item in varied.columns.items() if edition not in item.without}
        orderings = tuple(ordering for ordering in self.orderings if ordering.column in columns)
        return replace(varied, columns=columns, orderings=orderings)

    def varied(self, edition: Edition) -> Suite:
        """Return the table with the attributes that columns and rows have in an edition."""
        columns = {name: _of(item, edition) for name, item in self.columns.items()}
        rows = {name: _of(item, edition) for name, item in self.rows.items()}
        return replace(self, columns=columns, rows=rows)

    def columns_of(self, row: SuiteRow) -> list[Column]:
        """Return the columns a row is measured in."""
        return [column for name, column in self.columns.items() if not row.columns or name in row.columns]

    def flow_of(self, row: SuiteRow, column: Column) -> FlowChoice | None:
        """Return the flow a row is tested with; None for none."""
        name = row.flow.get(column.name, column.flow)
        return None if name is None else self.flows[name]


_Varying = TypeVar("_Varying", Column, SuiteRow)


def _of(item: _Varying, edition: Edition) -> _Varying:
    """Return a column or row as an edition has it."""
    return replace(item, **item.lite) if edition == "lite" else item


def training_order(suite: Suite, edition: Edition, wanted: Iterable[str], source: str = "") -> list[str]:
    """Return the trainings in `wanted` and those they need, each after what it needs.

    Raises:
        InputError: a training needs itself.
    """
    order: dict[str, None] = {}

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            raise InputError(f"{source or suite.id}: trainings.{name} needs itself")
        for needed in suite.trainings[name].needs(edition):
            visit(needed, (*path, name))
        order[name] = None

    for name in wanted:
        visit(name, ())
    return list(order)
