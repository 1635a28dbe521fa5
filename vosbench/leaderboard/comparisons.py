"""Measured rows beside published numbers, with a verdict on every pair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vosbench.leaderboard.board import Board, BoardRow, PublishedComparison
from vosbench.leaderboard.conditions import Conditions, Zoo, measured_conditions
from vosbench.leaderboard.published import REPORTED, published_name
from vosbench.leaderboard.reported import Reported, select
from vosbench.leaderboard.status import status_of
from vosbench.leaderboard.verdicts import Deviation, Measured, Tolerance, Verdict, judge
from vosbench.metrics.specs import values_in_order


@dataclass(frozen=True)
class Context:
    """Published numbers, accepted differences and limits that all boards share."""

    reported: Sequence[Reported]
    deviations: Sequence[Deviation]
    tolerance: Tolerance
    split_sizes: Mapping[tuple[str, str], int]
    zoo: Zoo


def with_published(row: BoardRow, board: Board, context: Context) -> BoardRow:
    """Return a row with its published numbers and the status of its method."""
    if not board.mini and row.kind == "measured":
        of_same_masks = _same_masks(row, board)
        row = replace(
            row,
            title=f"{of_same_masks.title} (authors' masks)" if of_same_masks else "",
            comparisons=(
                *(_compare_same_masks(row, of_same_masks, board, context) if of_same_masks else ()),
                *_compare(row, board, context),
            ),
        )
    own = board.headline(row)
    reproduced = own is not None and own.published.own and own.verdict.kind == "reproduced"
    return replace(row, status=status_of(row.records.values(), context.zoo, reproduced))


def _same_masks(row: BoardRow, board: Board) -> BoardRow | None:
    """Return the reported row whose values come from the masks of `row`."""
    names = {published_name(record) for record in row.records.values()}
    return next((other for other in board.rows if other.kind == "reported" and names == {other.model}), None)


def _compare_same_masks(
    row: BoardRow, published: BoardRow, board: Board, context: Context
) -> Iterator[PublishedComparison]:
    source = next(iter(published.records.values())).provenance[REPORTED]
    for metric in values_in_order(row.values.keys() & source["table"].keys()):
        number = Reported(
            paper=source["source"],
            table=f"table of {board.split}",
            method=published.title,
            dataset=board.dataset,
            split=board.split,
            metric=metric,
            value=source["table"][metric],
            variant="",
            note="",
            own=True,
            protocol=board.protocol.id,
        )
        verdict = (
            Verdict("not comparable", published.remarks[metric])
            if metric in published.remarks
            else judge(_measured(row, board, metric, None), number, context.deviations, context.tolerance)
        )
        yield PublishedComparison(metric, row.values[metric], number, verdict)


def _compare(row: BoardRow, board: Board, context: Context) -> tuple[PublishedComparison, ...]:
    conditions = measured_conditions(row.records.values(), context.zoo)
    comparisons = []
    for metric in values_in_order(row.values):
        measured = _measured(row, board, metric, conditions)
        published = select(
            context.reported, dataset=board.dataset, metric=metric, model=row.method, split=board.split
        )
        comparisons += [
            PublishedComparison(
                metric, measured.value, number, judge(measured, number, context.deviations, context.tolerance)
            )
            for number in published
        ]
    return tuple(comparisons)


def _measured(row: BoardRow, board: Board, metric: str, conditions: Conditions | None) -> Measured:
    return Measured(
        value=row.values[metric],
        protocol=board.protocol.id,
        dataset=board.dataset,
        split=board.split,
        model=row.model,
        size=row.size,
        metric=metric,
        sequences=len(row.records),
        conditions=conditions,
    )
