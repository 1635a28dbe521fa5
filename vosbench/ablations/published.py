"""Published values of a suite: the paper's number of every cell, looked up and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vosbench.ablations.schema import Column, Ordering, Suite, SuiteRow
from vosbench.errors import InputError
from vosbench.leaderboard.reported import Reported, load_reported
from vosbench.metrics.specs import value_spec

Published = Mapping[tuple[str, str], float]
"""(row, column) -> value, a fraction."""


def published_values(
    suite: Suite, reported: Sequence[Reported] | None = None
) -> dict[tuple[str, str], float]:
    """Return the paper's value of every cell that has one.

    Args:
        suite: the table.
        reported: published numbers; those vosbench ships when None.

    Raises:
        InputError: a row does not name exactly one published value in a column, or an ordering is not
            what the paper's values show.
    """
    entries = [e for e in (load_reported() if reported is None else reported) if e.source == suite.source]
    values = {
        (row.name, column.name): _published(suite, row, column, entries)
        for row in suite.rows.values()
        if row.variant is not None
        for column in suite.columns_of(row)
        if column.variant is not None
    }
    for ordering in suite.orderings:
        _check_ordering(suite, ordering, values)
    return values


def _published(suite: Suite, row: SuiteRow, column: Column, entries: Sequence[Reported]) -> float:
    parts = _parts(row.variant or "") | _parts(column.variant or "")
    split, dataset = column.published_split or column.split, column.published_dataset or column.dataset
    method = row.method or suite.method
    matches = [
        entry.value
        for entry in entries
        if (entry.method, entry.dataset, entry.split, entry.metric) == (method, dataset, split, column.value)
        and _parts(entry.variant) == parts
    ]
    if len(matches) == 1:
        return matches[0]
    raise InputError(
        f"{suite.id}: row {row.name}, column {column.name}: {len(matches) or 'no'} values of {method} in "
        f"{suite.source} on {dataset} {split} have the variant '{'; '.join(sorted(parts))}'"
    )


def _parts(variant: str) -> set[str]:
    return {part.strip() for part in variant.split(";") if part.strip()}


def _check_ordering(suite: Suite, ordering: Ordering, published: Published) -> None:
    difference = published_difference(suite, ordering, published)
    if difference is not None and (difference < 0 or (ordering.strict and difference == 0)):
        raise InputError(
            f"{suite.id}: the paper's values are the opposite of '{ordering.expect}' in {ordering.column}"
        )


def published_difference(suite: Suite, ordering: Ordering, published: Published) -> float | None:
    """Return first minus second, above 0 when the first is better; None without both values."""
    values = [published.get((name, ordering.column)) for name in (ordering.first, ordering.second)]
    if values[0] is None or values[1] is None:
        return None
    sign = 1 if value_spec(suite.columns[ordering.column].metric).higher_is_better else -1
    return round(sign * (values[0] - values[1]), 10)
