"""The suites of this project: sound, composable, and run from training to table."""

import shlex
from pathlib import Path

import pytest
import yaml

from vosbench.ablations import testing as suite_testing
from vosbench.ablations.load import load_suite
from vosbench.ablations.run import SuiteOptions, run_suite
from vosbench.ablations.training_plan import plan_trainings
from vosbench.scoring.protocol import load_protocol

ABLATIONS = Path(__file__).parents[2] / "benchmarks" / "ablations"
FOLDERS = tuple(
    f"VOSBENCH_FLOW_{name}" for name in ("LDOF", "EPICFLOW", "FLOWNET2", "LITEFLOWNET", "LIUFLOW", "RAFT")
)
"""Environment variables that name folders of flow, or weights."""


DAVIS16 = {f"{letter}_{kind}" for letter in "JF" for kind in ("mean", "recall", "decay")} | {"T_mean"}
METRICS = {
    "davis16-unsupervised": DAVIS16,
    "davis16-semi-supervised": DAVIS16 | {"JF_mean"},
    "davis16-instances-semi-supervised": DAVIS16 | {"JF_mean"},
    "davis17-semi-supervised": (DAVIS16 - {"T_mean"}) | {"JF_mean"},
    "youtube-objects-semi-supervised": {"iou_mean"},
    "davis16-map50": {"map50_det", "map50_seg"},
    "davis17-proposed": {"precision", "recall", "f_measure"},
    "fbms-official": {"precision", "recall", "f_measure", "n_objects"},
    "fbms-proposed": {"precision", "recall", "f_measure"},
    "fbms-moving": {"precision", "recall", "f_measure", "delta_obj"},
    "segtrack-iou": {"iou_mean"},
    "youtube-objects-unsupervised": {"iou_mean"},
    "ft3d-iou": {"iou_mean"},
}
"""What tables show of each protocol."""


@pytest.mark.parametrize("path", sorted(ABLATIONS.glob("*.yaml")), ids=lambda path: path.stem)
def test_packaged_suites_are_sound(path, tmp_path, monkeypatch):
    suite = load_suite(path)
    assert suite.id == path.stem
    for name in FOLDERS:
        monkeypatch.setenv(name, str(tmp_path))
    for edition in suite.editions:
        view = suite.in_edition(edition)
        for column in view.columns.values():
            protocol = load_protocol(column.protocol)
            assert column.dataset in protocol.datasets
            assert column.value in METRICS[protocol.id]
            # a test set is for the official edition alone
            assert edition != "lite" or (column.split, column.sequences) == ("train", "davis16_held_out")
        rows = rows_in(suite, edition)
        suite_testing.read_flows(view, rows, edition) if edition == "mini" else None
        for name in [name for row in rows for name in row.needs]:
            for names in suite.trainings[name].flow.values():
                assert all(suite.flows[name].text(edition) for name in names)
        assert edition == "official" or len(suite.editions[edition].seeds) >= 3


def rows_in(suite, edition):
    return [row for row in suite.in_edition(edition).rows.values() if edition not in row.without]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "edition"),
    [
        pytest.param(path, edition, id=f"{path.stem}-{edition}")
        for path in sorted(ABLATIONS.glob("*.yaml"))
        for edition in yaml.safe_load(path.read_text())["editions"]
    ],
)
def test_every_training_of_the_packaged_suites_can_be_composed(path, edition, tmp_path, monkeypatch):
    for name in FOLDERS:
        monkeypatch.setenv(name, str(tmp_path))
    suite = load_suite(path)
    needed = {name for row in rows_in(suite, edition) for name in row.needs}
    found = plan_trainings(suite, edition, needed, [0], tmp_path, tmp_path)
    assert {name for name, _ in found.tasks} >= needed
    for task in found.tasks.values():
        assert shlex.join(task.overrides)


@pytest.mark.slow
def test_two_rows_of_a_suite_from_training_to_table(tmp_path):
    from vosbench.ablations.report import markdown

    suite = load_suite(ABLATIONS / "mpnet_table1.yaml")
    text = (ABLATIONS / "mpnet_table1.yaml").read_text().replace("recipe.A.epochs: 45", "recipe.A.epochs: 1")
    (tmp_path / "short.yaml").write_text(text)
    short = load_suite(tmp_path / "short.yaml")
    options = SuiteOptions(edition="mini", out=tmp_path, rows=["rgb", "angle"], seeds=[0, 1], workers=2)
    result = run_suite(short, options)
    assert result.failures == ()
    assert {tested.sequences for tested in result.cells.values()} == {10, 12}
    again = run_suite(short, options)
    assert again.cells == result.cells
    assert "| 1 unit, GT angle field" in markdown(again, {})
    assert suite.rows.keys() == short.rows.keys()
