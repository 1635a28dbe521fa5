"""Committed results of suites have the intervals and verdicts of the present statistics."""

import json
from pathlib import Path

import pytest

from vosbench.ablations.load import load_suite
from vosbench.ablations.published import published_values
from vosbench.ablations.report import SUMMARY, as_json, markdown, summary

ABLATIONS = Path(__file__).parents[1] / "benchmarks" / "ablations"
KEPT = sorted((ABLATIONS / "results").glob("*.json"))


@pytest.fixture(scope="module")
def rejudge(ablations_program):
    return ablations_program("rejudge")


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_a_kept_table_follows_from_the_values_in_it(rejudge, path):
    content = json.loads(path.read_text())
    suite = load_suite(ABLATIONS / f"{content['suite']}.yaml")
    if rejudge.pooled(suite):
        pytest.skip("average precision: the detections are not kept")
    result, published = rejudge.read(suite, content), published_values(suite)
    judged = json.loads(json.dumps(as_json(result, published)))
    for row, content_of_row in content["rows"].items():
        for column, cell in content_of_row["columns"].items():
            ends = judged["rows"][row]["columns"][column]
            for key in ("mean", "low", "high"):
                assert ends[key] == pytest.approx(cell[key], abs=2e-6)
    assert [each["holds"] for each in judged["orderings"]] == [each["holds"] for each in content["orderings"]]
    assert markdown(result, published) == path.with_suffix(".md").read_text()


def test_the_table_of_all_orderings_is_that_of_the_kept_tables():
    assert summary(ABLATIONS / "results") == (ABLATIONS / "results" / SUMMARY).read_text()
