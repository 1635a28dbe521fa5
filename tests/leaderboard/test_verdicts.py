from dataclasses import replace

import pytest

from vosbench.errors import InputError
from vosbench.leaderboard.reported import Reported
from vosbench.leaderboard.verdicts import LEAK, Deviation, Measured, Tolerance, judge, load_deviations

PUBLISHED = Reported(
    paper="Doe et al., Title",
    table="table 1",
    method="M",
    dataset="davis16",
    split="val",
    metric="J_mean",
    value=0.6,
    variant="",
    note="",
    own=True,
    protocol="davis16-unsupervised",
)
MEASURED = Measured(
    value=0.6,
    protocol="davis16-unsupervised",
    dataset="davis16",
    split="val",
    model="mpnet",
    size="tiny",
    metric="J_mean",
    sequences=20,
)
DEVIATION = Deviation("davis16-unsupervised", "davis16", "mpnet", "tiny", "J_mean", "narrow network")


def kind(value, **changes):
    return judge(replace(MEASURED, value=value, **changes), PUBLISHED).kind


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.6, "reproduced"),
        (0.605, "reproduced"),
        (0.595, "reproduced"),
        (0.606, "close"),
        (0.58, "close"),
        (0.579, "differs"),
        (0.7, "differs"),
    ],
)
def test_half_a_point_reproduces_two_points_are_close(value, expected):
    assert kind(value) == expected


def test_the_tolerance_is_a_choice():
    loose = Tolerance(reproduced=0.1, close=0.2)
    assert judge(replace(MEASURED, value=0.5), PUBLISHED, tolerance=loose).kind == "reproduced"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"split": "trainval"}, "published on val, measured on trainval"),
        ({"sequences": 3}, "3 of 20 sequences measured"),
        (
            {"protocol": "davis17-unsupervised"},
            "published under davis16-unsupervised, measured under davis17-unsupervised",
        ),
        ({"value": None}, "undefined here"),
    ],
)
def test_numbers_that_measure_something_else_are_not_compared(changes, reason):
    verdict = judge(replace(MEASURED, **changes), PUBLISHED)
    assert (verdict.kind, verdict.reason) == ("not comparable", reason)


def test_a_difference_needs_a_reason():
    measured = replace(MEASURED, value=0.4)
    assert judge(measured, PUBLISHED).unexplained
    explained = judge(measured, PUBLISHED, [DEVIATION])
    assert (explained.kind, explained.reason, explained.unexplained) == ("differs", "narrow network", False)


@pytest.mark.parametrize(
    "change",
    [{"size": "full"}, {"model": "lvo"}, {"metric": "F_mean"}, {"dataset": "davis17"}, {"protocol": "other"}],
)
def test_a_deviation_excuses_its_own_cell_only(change):
    assert not replace(DEVIATION, **change).covers(MEASURED)


def test_a_deviation_is_not_shown_on_a_number_that_is_close():
    assert judge(replace(MEASURED, value=0.59), PUBLISHED, [DEVIATION]).reason == ""


def test_the_shipped_deviations_explain_the_tiny_mpnet():
    deviations = [d for d in load_deviations() if d.model == "mpnet" and d.size == "tiny"]
    (deviation,) = [d for d in deviations if d.metric != LEAK]
    assert deviation.covers(MEASURED)
    assert "256x144" in deviation.reason


def test_one_reason_may_stand_for_several_metrics(tmp_path):
    path = tmp_path / "deviations.yaml"
    entry = "{protocol: p, dataset: d, model: m, size: '', metric: [J_mean, F_mean], reason: r}"
    path.write_text(f"deviations: [{entry}]")
    assert [each.metric for each in load_deviations(path)] == ["J_mean", "F_mean"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("reasons: []", "needs 'deviations'"),
        ("deviations: [{model: mpnet}]", "entry 1 must have exactly the keys"),
        (
            "deviations: [{protocol: p, dataset: d, model: m, size: '', metric: J_mean, reason: ' '}]",
            "entry 1 gives no reason",
        ),
        ("- a", "the top level must be a mapping"),
    ],
)
def test_a_deviation_file_that_cannot_be_used_says_why(tmp_path, text, complaint):
    path = tmp_path / "deviations.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=complaint):
        load_deviations(path)


def test_what_moves_in_steps_may_move_further():
    limits = Tolerance(moved=0.01, cell=0.04)
    assert (limits.moved_by("J_mean"), limits.cell_moved_by("f_measure")) == (0.01, 0.04)
    assert [limits.moved_by(name) for name in ("J_recall", "F_decay", "T_mean")] == [0.05, 0.05, 0.05]
    assert limits.cell_moved_by("J_recall") == 0.2
    assert limits.moved_by("recall") == 0.01
    assert limits.moved_by("n_objects") == 0.5
