"""Table of a suite: measured beside published values, and the paper's orderings."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vosbench.ablations.cells import CellResult
from vosbench.ablations.pooled import LARGEST
from vosbench.ablations.published import Published, published_difference
from vosbench.ablations.run import OrderingResult, SuiteResult
from vosbench.ablations.schema import Column, Suite
from vosbench.ablations.statistics import SeededDifference, SeededValue
from vosbench.data.catalogue import CATALOGUE
from vosbench.errors import InputError
from vosbench.evaluation.store import environment, now
from vosbench.files import write_text
from vosbench.leaderboard.tables import ABSENT, arrow, markdown_table, plain, show
from vosbench.plain_data import read_json
from vosbench.scoring.protocol import load_protocol

MINI_WARNING = (
    "The mini edition is a test bed of rendered scenes and small networks: its values are not comparable "
    "with those of the paper, orderings of rows are."
)
LITE_REMARK = (
    "The lite edition has networks of size lite that learn for minutes from 24 videos of DAVIS 2016 train "
    "and are tested on the six that are held out; its thresholds, those of the packaged weights, were "
    "chosen on these six."
)
REMARKS: Mapping[str, str] = {"mini": MINI_WARNING, "lite": LITE_REMARK}
HOW = (
    "Cells: mean over seeds, with a 95 % interval over seeds and sequences; differences of two rows are "
    "paired, on the sequences where both have a value. An ordering holds (yes) or does not (no) when its "
    "whole interval says so. With few seeds intervals are wide: two say little about a third."
)
POOLED = (
    "Average precision is that of the frames of all sequences at once: its intervals come from leaving out "
    "one sequence at a time, of seeds alone where that would take the matching of more than {largest} frames."
)
SUMMARY = "orderings.md"
ORDERING_COLUMNS = ("expected", "column", "source", "paper", "here [95 %]", "seeds that agree", "holds here")


def write_suite(result: SuiteResult, published: Published, results: Path | None = None) -> list[Path]:
    """Write ``suite.md`` and ``suite.json`` into the folder of the result.

    Args:
        result: of running the suite.
        published: from `published_values`.
        results: folder of results that are kept; there they are called ``<suite>-<edition>``, and the
            orderings of all suites in it are gathered in one table, ``orderings.md``.

    Returns:
        The files written.
    """
    text, content = markdown(result, published), json.dumps(as_json(result, published), indent=1) + "\n"
    names = [result.folder / "suite"]
    if results is not None:
        names.append(results / f"{result.suite.id}-{result.edition}")
    written = []
    for name in names:
        for suffix, body in ((".md", text), (".json", content)):
            path = name.with_name(name.name + suffix)
            write_text(path, body)
            written.append(path)
    if results is not None:
        write_text(results / SUMMARY, summary(results))
        written.append(results / SUMMARY)
    return written


def markdown(result: SuiteResult, published: Published) -> str:
    """Return the table of a suite as Markdown."""
    suite = result.suite
    parts = [
        f"# {plain(f'{suite.title}: {suite.source}')}, {result.edition} edition",
        f"Varied: {plain(suite.varies)}.",
        *([f"**{REMARKS[result.edition]}**"] if result.edition in REMARKS else []),
        _values_table(result, published),
        " ".join([HOW, *_how_pooled(suite)]),
    ]
    if result.orderings:
        parts += ["## Does the paper's ordering hold here?", _orderings_table(result, published)]
    notes = [f"seeds: {', '.join(map(str, result.seeds))}", *_flow_notes(result), *result.notes]
    parts += ["## Notes", "\n".join(f"* {plain(note)}" for note in notes)]
    if result.failures:
        parts += ["## Failures", "\n".join(f"* {plain(failure)}" for failure in result.failures)]
    return "\n\n".join(parts) + "\n"


def as_json(result: SuiteResult, published: Published) -> dict[str, Any]:
    """Return the content of the table as plain data."""
    suite = result.suite
    return {
        "suite": suite.id,
        "source": suite.source,
        "edition": result.edition,
        "seeds": list(result.seeds),
        "rows": {
            row.name: {
                "title": row.title,
                "columns": {
                    column.name: _cell_json(
                        result.cells[row.name, column.name], published.get((row.name, column.name))
                    )
                    for column in suite.columns_of(row)
                    if (row.name, column.name) in result.cells
                },
            }
            for row in result.rows
        },
        "orderings": [_ordering_json(suite, item, published) for item in result.orderings],
        "runs": {
            f"{name} seed {seed}": f"{outcome.task.folder.parent.name}/{outcome.task.folder.name}"
            for (name, seed), outcome in result.trainings.items()
        },
        "notes": list(result.notes),
        "failures": list(result.failures),
        "git": environment()["git"],
        "versions": environment()["versions"],
        "time": now(),
    }


def summary(results: Path) -> str:
    """Return one table of the orderings of every suite in a folder of results.

    Raises:
        InputError: a file there is not the result of a suite.
    """
    keys = ("expect", "column", "paper", "here", "agree", "holds")
    body = []
    editions = set()
    for path in sorted(results.glob("*.json")):
        try:
            content = read_json(path)
            editions.add(content["edition"])
            source = [f"{content['source']} ({content['suite']})", content["edition"]]
            body += [[*source, *(ordering[key] for key in keys)] for ordering in content["orderings"]]
        except (InputError, KeyError, TypeError):
            raise InputError(f"{path}: not the result of a suite; move it elsewhere") from None
    header = ["table", "edition", *(name for name in ORDERING_COLUMNS if name != "source")]
    table = markdown_table(header, body, "llllrrrl")
    remarks = [REMARKS[edition] for edition in REMARKS if edition in editions]
    return "\n\n".join(["# Do the papers' orderings hold here?", HOW, *remarks, table]) + "\n"


def _values_table(result: SuiteResult, published: Published) -> str:
    columns = list(result.suite.columns.values())
    header = ["row"]
    for column in columns:
        header += [_column_title(column), "paper"]
    body = []
    for row in result.rows:
        cells = [row.title]
        for column in columns:
            tested = result.cells.get((row.name, column.name))
            cells += [
                _cell(column, tested, len(result.seeds), learns=row.training is not None),
                show(column.metric, published.get((row.name, column.name))),
            ]
        body.append(cells)
    return markdown_table(header, body, "l" + "rr" * len(columns))


def _how_pooled(suite: Suite) -> list[str]:
    if all(load_protocol(column.protocol).average != "pooled" for column in suite.columns.values()):
        return []
    return [POOLED.format(largest=LARGEST)]


def _column_title(column: Column) -> str:
    where = f"{CATALOGUE[column.dataset].title} {column.sequences or column.split}"
    name = column.value if column.title else column.metric
    return f"{column.title or where}, {name} {arrow(column.metric)}"


def _cell(column: Column, tested: CellResult | None, seeds: int, *, learns: bool) -> str:
    if tested is None or tested.value is None:
        return ABSENT
    value = tested.value
    text = _with_interval(column.metric, value)
    remarks = []
    if learns and len(value.by_seed) < seeds:
        remarks.append(f"{len(value.by_seed)}/{seeds} seeds")
    if tested.sequences < tested.expected:
        remarks.append(f"{tested.sequences}/{tested.expected} sequences")
    return f"{text} ({', '.join(remarks)})" if remarks else text


def _with_interval(metric: str, value: SeededValue | SeededDifference, *, sign: bool = False) -> str:
    text = show(metric, _number(value.mean), sign=sign)
    low, high = (_number(end) for end in (value.interval.low, value.interval.high))
    if low is None or high is None:
        return text
    return f"{text} [{show(metric, low, sign=sign)}, {show(metric, high, sign=sign)}]"


def _orderings_table(result: SuiteResult, published: Published) -> str:
    keys = ("expect", "column", "source", "paper", "here", "agree", "holds")
    contents = [_ordering_json(result.suite, item, published) for item in result.orderings]
    return markdown_table(
        ORDERING_COLUMNS, [[content[key] for key in keys] for content in contents], "lllrrrl"
    )


def _flow_notes(result: SuiteResult) -> list[str]:
    rows: dict[tuple[str, str], list[str]] = {}
    for (row, column), tested in result.cells.items():
        if tested.flow:
            rows.setdefault((column, tested.flow), []).append(row)
    columns: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (column, flow), names in rows.items():
        columns.setdefault((flow, tuple(names)), []).append(column)
    everywhere = len(result.rows)
    return [
        f"flow at test, {', '.join(shown)}: {flow}"
        + ("" if len(names) == everywhere else f" ({', '.join(names)})")
        for (flow, names), shown in columns.items()
    ]


def _cell_json(tested: CellResult, published: float | None) -> dict[str, Any]:
    value = tested.value
    return {
        "mean": None if value is None else _number(value.mean),
        "low": None if value is None else _number(value.interval.low),
        "high": None if value is None else _number(value.interval.high),
        "by_seed": {} if value is None else {str(k): _number(v) for k, v in value.by_seed.items()},
        "sequences": tested.sequences,
        "expected_sequences": tested.expected,
        "flow": tested.flow,
        "paper": published,
        "values": {
            str(seed): {name: _finite(row) for name, row in rows.items()}
            for seed, rows in tested.by_seed.items()
        },
    }


def _ordering_json(suite: Suite, item: OrderingResult, published: Published) -> dict[str, Any]:
    ordering, difference = item.ordering, item.difference
    metric = suite.columns[ordering.column].metric
    content: dict[str, Any] = {
        "expect": ordering.expect,
        "column": ordering.column,
        "source": ordering.source,
        "paper": show(metric, published_difference(suite, ordering, published), sign=True),
        "here": ABSENT,
        "agree": ABSENT,
        "holds": item.verdict,
    }
    if difference is None:
        return content
    agreeing = sum(value > 0 or (value == 0 and not ordering.strict) for value in difference.by_seed.values())
    return content | {
        "here": _with_interval(metric, difference, sign=True),
        "agree": f"{agreeing} of {len(difference.by_seed)}",
        "mean": _number(difference.mean),
        "low": _number(difference.interval.low),
        "high": _number(difference.interval.high),
        "share": _number(difference.share),
        "by_seed": {str(seed): _number(value) for seed, value in difference.by_seed.items()},
    }


def _finite(row: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return the values of a sequence as JSON has them: NaN is no number there.

    By name: a record that was kept has another order than one that was just computed.
    """
    return {key: None if value is None or math.isnan(value) else value for key, value in sorted(row.items())}


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)
