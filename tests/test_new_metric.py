"""A metric is described in one place: a new one is in scores, records, tables and on the page."""

import json

import pytest
import yaml

from vosbench.benchmark import compare
from vosbench.evaluation import compare_scores, score
from vosbench.evaluation.record import Record
from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.html.page import html
from vosbench.leaderboard.latex import latex
from vosbench.leaderboard.tables import overall_table
from vosbench.metrics.kernels.overlap import MEASURES
from vosbench.metrics.kernels.silhouette import count
from vosbench.metrics.specs import METRICS, MetricSpec, ValueSpec
from vosbench.scoring import protocol as protocol_module
from vosbench.scoring.protocol import FOLDER, load_protocol

ID = "davis16-unsupervised"
MISSED = MetricSpec(
    "vosbench.metrics.davis:RegionSimilarity",
    (ValueSpec("M_mean", "mean", higher_is_better=False, interval=True, per_sequence=True),),
    measure="M",
)
"""Share of the object that a mask misses: tables have it between J and F."""


@pytest.fixture(autouse=True)
def metric(monkeypatch, tmp_path):
    """Add the metric, and give it to a protocol."""
    monkeypatch.setitem(
        MEASURES, "M", lambda pred, target: 1 - count(pred.words & target.words) / target.area
    )
    usual = dict(METRICS)
    METRICS.clear()
    METRICS.update({"j": usual["j"], "missed": MISSED, **{k: v for k, v in usual.items() if k != "j"}})
    content = yaml.safe_load((FOLDER / f"{ID}.yaml").read_text()) | {"metrics": ["j", "missed", "f"]}
    folder = tmp_path / "protocols"
    folder.mkdir()
    (folder / f"{ID}.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.setattr(protocol_module, "FOLDER", folder)
    load_protocol.cache_clear()
    yield
    METRICS.clear()
    METRICS.update(usual)
    load_protocol.cache_clear()


@pytest.fixture
def root(tmp_path, make_davis):
    return make_davis(tmp_path / "data")


def test_score_has_the_value_its_interval_and_its_direction(tmp_path, root, write_results):
    same = write_results(tmp_path / "same", root)
    # squares of 10 x 10, moved by 5: half of each is missed
    shifted = write_results(tmp_path / "shifted", root, shift=5)
    first, second = (score(folder, "davis16", data_root=root, workers=1) for folder in (same, shifted))
    assert (first.overall["M_mean"], second.overall["M_mean"]) == (0.0, 0.5)
    assert "M_mean" in json.loads(second.to_json())["intervals"]
    # less is better: the first surely wins
    assert compare_scores(first, second).comparisons["M_mean"].win_probability == 1.0


def test_records_and_tables_of_a_comparison_have_the_metric_in_its_place(tmp_path, root):
    result = compare(
        models=("all_foreground", "centre_box"),
        datasets=["davis16"],
        data_root=root,
        out=tmp_path / "out",
        workers=1,
    )
    path = tmp_path / f"out/records/davis16/{ID}/all_foreground/dog.json"
    record = Record.read(path)
    assert record.values["M_mean"] == 0.0
    assert record.per_frame["M"] == [0.0] * len(record.per_frame["J"])
    [board] = make_boards(result.records)
    assert board.metrics == (*("J_mean", "J_recall", "J_decay"), "M_mean", *("F_mean", "F_recall", "F_decay"))
    header, _, *rows = overall_table(board).splitlines()
    assert "J_decay ↓ | M_mean ↓ |" in " ".join(header.split())
    assert any(" 0.0 " in row for row in rows)
    assert r"M\_mean $\downarrow$" in latex([board], {})
    page = html([board], "title").replace("<wbr>", "").replace("&nbsp;", " ")
    assert page.index("J_decay ↓") < page.index("M_mean ↓") < page.index("F_mean ↑")
    assert '<table class="sortable shaded cells" data-kind="sequence" data-metric="M_mean">' in page
    assert '"frames":{"J":' in page
    assert '"M":[0' in page
