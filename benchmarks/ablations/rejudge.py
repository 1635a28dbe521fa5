"""Intervals and verdicts of results that are kept, again, from the values of every seed and sequence in them.

    python benchmarks/ablations/rejudge.py        # after a change of vosbench.ablations.statistics

Nothing is trained or tested. A table of average precision stays as it is: its intervals need the detections,
which are not kept.
"""

import json
from pathlib import Path
from typing import Any

from vosbench.ablations.cells import CellResult, rule_of
from vosbench.ablations.load import load_suite
from vosbench.ablations.published import published_values
from vosbench.ablations.report import SUMMARY, as_json, markdown, summary
from vosbench.ablations.run import SuiteResult, judge_orderings
from vosbench.ablations.schema import Suite
from vosbench.ablations.statistics import seeded_value
from vosbench.files import write_text
from vosbench.scoring.protocol import load_protocol

SUITES = Path(__file__).parent
RESULTS = SUITES / "results"


def read(suite: Suite, content: dict[str, Any]) -> SuiteResult:
    """A kept result as running the suite gave it, with the statistics of today."""
    suite = suite.in_edition(content["edition"])
    rows = tuple(suite.rows[name] for name in content["rows"])
    cells = {
        (row, column): _cell(suite, column, cell)
        for row, told in content["rows"].items()
        for column, cell in told["columns"].items()
    }
    return SuiteResult(
        suite=suite,
        edition=content["edition"],
        seeds=tuple(content["seeds"]),
        folder=RESULTS,
        rows=rows,
        cells=cells,
        orderings=tuple(judge_orderings(suite, rows, content["seeds"], cells)),
        trainings={},
        failures=tuple(content["failures"]),
        notes=tuple(content["notes"]),
    )


def _cell(suite: Suite, column: str, cell: dict[str, Any]) -> CellResult:
    by_seed = {int(seed): rows for seed, rows in cell["values"].items()}
    value = seeded_value(by_seed, rule_of(suite.columns[column])) if any(by_seed.values()) else None
    return CellResult(value, by_seed, cell["expected_sequences"], cell["flow"])


def pooled(suite: Suite) -> bool:
    return any(load_protocol(column.protocol).average == "pooled" for column in suite.columns.values())


def main() -> None:
    for path in sorted(RESULTS.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        suite = load_suite(SUITES / f"{content['suite']}.yaml")
        if pooled(suite):
            print(f"{path.name}: left as it is")
            continue
        result, published = read(suite, content), published_values(suite)
        judged = as_json(result, published)
        write_text(path.with_suffix(".md"), markdown(result, published))
        kept = content | {key: judged[key] for key in ("rows", "orderings")}
        write_text(path, json.dumps(kept, indent=1) + "\n")
    write_text(RESULTS / SUMMARY, summary(RESULTS))


if __name__ == "__main__":
    main()
