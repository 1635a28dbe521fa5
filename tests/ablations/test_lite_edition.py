"""The lite edition: real video less what is held out to learn from, what is held out to test on."""

import json
from dataclasses import replace

import pytest

from tests.ablations.suites import changed
from vosbench.ablations import run as suite_run
from vosbench.ablations.load import parse_suite
from vosbench.ablations.report import LITE_REMARK, as_json, markdown
from vosbench.ablations.run import SuiteOptions, run_suite
from vosbench.ablations.training_plan import plan_trainings
from vosbench.data.splits import shipped_split
from vosbench.errors import InputError

HELD_OUT = shipped_split("davis16_held_out")

SUITE = """
id: small
title: A small table
paper: Somebody et al.
table: 1
method: MP-Net
varies: the input
flows:
  exact: {title: ground-truth flow, official: ground_truth, mini: ground_truth}
  ldof: {title: LDOF, official: "precomputed:${LDOF}", mini: dis, lite: "${LITE_FLOW}"}
columns:
  j:
    dataset: davis16
    split: val
    protocol: davis16-unsupervised
    metric: J_mean
    flow: ldof
    lite: {split: train, sequences: davis16_held_out}
  t:
    dataset: davis16
    split: val
    protocol: davis16-unsupervised
    metric: T_mean
    flow: ldof
    without: {lite: it counts sequences of val}
editions:
  official: {size: full}
  mini: {size: tiny}
  lite: {size: tiny, seeds: [0, 1], set: {mpnet: {recipe: mpnet_davis}}}
trainings:
  exact: {model: mpnet, stage: A, flow: {A: [exact]}}
  real: {model: mpnet, stage: C, init: exact, flow: {C: [ldof]}, lite: {init: null, recipe.C.epochs: 1}}
rows:
  real: {title: real, training: real, variant: null}
  box:
    title: a box
    training: exact
    variant: null
    lite: {title: a box in the centre, training: null, model: centre_box}
  other: {title: other, training: exact, variant: null, without: {lite: it needs rendered scenes}}
orderings:
  - {expect: real > box, column: j, source: section 1}
  - {expect: real > box, column: t, source: section 1}
"""


def content(**changes):
    return changed(SUITE, **changes)


@pytest.fixture
def suite(monkeypatch):
    monkeypatch.setenv("VOSBENCH_FLOW_LITE_FLOW", "farneback")
    return parse_suite(content(), "small.yaml")


@pytest.fixture
def root(tmp_path, make_davis):
    """A data root whose split train has the held-out sequences and two others."""
    make_davis(tmp_path / "data", dict.fromkeys((*HELD_OUT, "bear", "zebra"), 3))
    lists = tmp_path / "data/davis16/ImageSets/480p"
    (lists / "val.txt").rename(lists / "train.txt")
    return tmp_path / "data"


def lite(root, tmp_path, **given):
    return SuiteOptions(
        edition="lite", out=tmp_path / "out", data_root=root, workers=1, device="cpu", rows=["box"], **given
    )


# -- the table of an edition ------------------------------------------------------------------------


def test_columns_and_rows_are_other_ones_in_the_edition_alone(suite):
    for edition, columns, split, title in (
        ("mini", ["j", "t"], "val", "a box"),
        ("official", ["j", "t"], "val", "a box"),
        ("lite", ["j"], "train", "a box in the centre"),
    ):
        view = suite.in_edition(edition)
        assert list(view.columns) == columns
        assert view.columns["j"].split == split
        assert view.rows["box"].title == title
        assert [ordering.column for ordering in view.orderings] == columns
    assert suite.in_edition("lite").columns["j"].sequences == "davis16_held_out"
    assert suite.columns["j"].sequences is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"columns__j__lite": {"sequences": "davis16_heldout"}},
            "unknown list of sequences in small.yaml, edition lite: columns.j 'davis16_heldout'",
        ),
        ({"columns__j__lite": {"spilt": "train"}}, "unknown key of small.yaml: columns.j.lite 'spilt'"),
        ({"columns__j__lite": {"limit": 0}}, "columns.j.lite.limit: give 1 or more"),
        ({"columns__j__lite": ["train"]}, "columns.j.lite: expected a mapping"),
        ({"columns__t__without": {"small": "x"}}, "unknown edition in small.yaml: columns.t.without"),
        (
            {"rows__box__lite": {"training": "exakt"}},
            "unknown training in small.yaml, edition lite: rows.box",
        ),
        ({"rows__box__lite": {"model": "centre_box"}}, "rows.box: give either training or model"),
        ({"rows__box__lite": {"name": "x"}}, "unknown key of small.yaml: rows.box.lite 'name'"),
        ({"trainings__real__lite": {"size": "tiny"}}, "trainings.real: the edition sets size and edition"),
        ({"orderings": [{"expect": "real > box", "column": "f", "source": "x"}]}, "unknown column"),
    ],
)
def test_mistakes_are_one_line_that_names_file_and_key(changes, message):
    with pytest.raises(InputError) as error:
        parse_suite(content(**changes), "small.yaml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_flow_that_the_edition_lacks_is_one_line(suite):
    assert suite.flows["ldof"].text("lite") == "farneback"
    with pytest.raises(InputError, match=r"flow exact \(ground-truth flow\) is not in the lite edition"):
        suite.flows["exact"].text("lite")


# -- what is trained --------------------------------------------------------------------------------


def test_trainings_leave_out_what_the_data_sets_hold_out(suite, tmp_path):
    plan = plan_trainings(suite, "lite", ["real"], [0], tmp_path / "runs", tmp_path)
    # without the training on exact flow, which the edition does without
    assert list(plan.tasks) == [("real", 0)]
    lines = plan.tasks["real", 0].overrides
    assert "init=null" in lines
    assert not [line for line in lines if line.startswith(("data.val_split", "data.edition"))]
    official = (
        plan_trainings(suite, "mini", ["real"], [0], tmp_path / "runs", None).tasks["real", 0].overrides
    )
    assert "data.val_split=null" in official


def test_an_edition_that_would_learn_what_it_tests_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("VOSBENCH_FLOW_LITE_FLOW", "dis")
    keys = {"recipe": "mpnet_davis", "trainer.limit_val_batches": 0}
    suite = parse_suite(content(editions__lite__set={"mpnet": keys}), "small.yaml")
    with pytest.raises(InputError, match=r"trainings\.real: trainer\.limit_val_batches=0 holds nothing out"):
        plan_trainings(suite, "lite", ["real"], [0], tmp_path / "runs", tmp_path)


def test_two_rows_that_learn_nothing_are_judged_over_the_sequences(suite, root, tmp_path):
    changed = content(rows__real__lite={"training": None, "model": "flow_threshold"})
    changed["orderings"] = [{"expect": "real > box", "column": "j", "source": "x"}]
    options = replace(lite(root, tmp_path), rows=["box", "real"])
    result = run_suite(parse_suite(changed, "small.yaml"), options)
    [judged] = result.orderings
    assert judged.difference.by_seed.keys() == {0, 1}
    # the same with every seed: the interval is over the sequences, and says something
    assert len({*judged.difference.by_seed.values()}) == 1
    assert judged.difference.interval.low > 0
    assert judged.verdict == "yes"


# -- what is tested ---------------------------------------------------------------------------------


def test_the_sequences_of_the_list_are_tested_and_no_others(suite, root, tmp_path):
    result = run_suite(suite, lite(root, tmp_path))
    assert result.failures == ()
    assert sorted(result.cells["box", "j"].by_seed[0]) == sorted(HELD_OUT)
    assert result.cells["box", "j"].expected == len(HELD_OUT)
    folder = result.folder / "j/records/davis16/davis16-unsupervised/box"
    assert sorted(path.stem for path in folder.glob("*.json")) == sorted(HELD_OUT)
    assert result.folder.name == "small-lite"


def test_the_table_says_what_the_edition_is_and_no_value_of_the_environment(suite, root, tmp_path):
    result = run_suite(suite, lite(root, tmp_path))
    text = markdown(result, {})
    assert LITE_REMARK in text
    assert "DAVIS 2016 davis16_held_out, J_mean" in text
    assert "flow at test, j: ${LITE_FLOW}" in text
    assert "LDOF is replaced by ${LITE_FLOW}" in text
    assert "farneback" not in text + json.dumps(as_json(result, {}))


def test_a_sequence_that_is_not_there_is_one_line_before_anything_is_trained(suite, root, tmp_path):
    lines = (root / "davis16/ImageSets/480p/train.txt").read_text().splitlines()
    kept = [line for line in lines if "/bus/" not in line]
    (root / "davis16/ImageSets/480p/train.txt").write_text("\n".join(kept) + "\n")
    with pytest.raises(InputError, match="unknown sequence of davis16 train 'bus'"):
        run_suite(suite, lite(root, tmp_path))


def test_a_row_that_was_trained_on_what_it_is_tested_on_is_named(suite, root, tmp_path, monkeypatch):
    before = suite_run.run_jobs

    def learnt(*arguments):
        outcomes = before(*arguments)
        training = {"data": {"name": "davis16", "sequences": ["bus", "zebra"]}}
        return [
            replace(
                item, record=replace(item.record, provenance=item.record.provenance | {"training": training})
            )
            for item in outcomes
        ]

    assert not [note for note in run_suite(suite, lite(root, tmp_path)).notes if "trained on" in note]
    monkeypatch.setattr(suite_run, "run_jobs", learnt)
    notes = run_suite(suite, lite(root, tmp_path)).notes
    assert [note for note in notes if "box on davis16 is scored on what it was trained on: bus;" in note]
