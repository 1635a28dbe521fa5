"""A verdict is about numbers reached under the same conditions; else it says which differ."""

from dataclasses import replace

import pytest

from vosbench.errors import InputError
from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.conditions import Conditions, differing, measured_conditions
from vosbench.leaderboard.reported import PUBLISHED_NAMES, load_reported, select
from vosbench.leaderboard.verdicts import Deviation, Measured, judge
from vosbench.models import METHODS

PAPER = Conditions(training=frozenset({"ft3d"}), flow="FlowNet2")
WEIGHTS = {"name": "mpnet", "sha256": "ab", "size": "full", "variant": {"threshold": 0.5, "crf": False}}


@pytest.fixture
def conditions_of(make_record):
    """The conditions of a record with a provenance of its own."""

    def conditions(size="full", zoo=None, **provenance):
        told = {"config": {"model": "mpnet"}, "weights": WEIGHTS, "flow": {"estimator": "flownet2"}}
        return measured_conditions([make_record(size=size, provenance=told | provenance)], zoo or {})

    return conditions


def learnt(name, edition="official"):
    return {"data": {"name": name, "edition": edition}}


MIXED = learnt("ft3d, davis16", "mini, official")


def test_the_same_network_data_flow_and_switches_are_the_same_conditions(conditions_of):
    assert differing(conditions_of(training=learnt("ft3d")), PAPER) == []


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"size": "tiny"}, "network tiny, not full"),
        ({"training": learnt("ft3d", "mini")}, "trained on rendered scenes of ft3d, not on ft3d"),
        ({"training": learnt("ft3d, davis16 train")}, "trained on davis16, ft3d, not on ft3d"),
        (
            {
                "training": {
                    "data": learnt("ft3d, davis16", "mini, official")["data"] | {"rendered": ["ft3d"]}
                }
            },
            "trained on davis16, rendered scenes of ft3d, not on ft3d",
        ),
        ({"training": MIXED}, "trained on unknown data, not on ft3d"),
        ({"training": {}}, "trained on unknown data, not on ft3d"),
        ({"flow": {"estimator": "dis"}}, "flow dis, not FlowNet2"),
        ({"flow": None}, "flow none, not FlowNet2"),
        (
            {"weights": {**WEIGHTS, "variant": {"threshold": 0.4, "crf": True}}},
            "switches crf=true, threshold=0.4",
        ),
    ],
)
def test_a_condition_that_differs_is_named(conditions_of, changes, difference):
    assert differing(conditions_of(**{"training": learnt("ft3d"), **changes}), PAPER) == [difference]


def test_flow_from_files_is_called_as_its_folder(conditions_of):
    files = {"estimator": "precomputed", "folder": "/flows/FlowNet-2", "content": "ab"}
    assert differing(conditions_of(training=learnt("ft3d"), flow=files), PAPER) == []


def test_switches_that_a_row_asks_for_are_wanted(conditions_of):
    asked = replace(PAPER, switches={"crf": True})
    assert differing(conditions_of(training=learnt("ft3d")), asked) == ["switches crf=false instead of true"]


def test_training_of_packaged_weights_is_told_by_the_zoo(conditions_of):
    found = conditions_of(zoo={"ab": {"training": learnt("ft3d", "mini")}})
    assert found.training == {"rendered scenes of ft3d"}


def test_the_authors_own_weights_have_their_network_and_training_but_not_their_flow(conditions_of):
    released = {**WEIGHTS, "released": [{"file": "a.caffemodel"}], "variant": {"threshold": 0.4}}
    found = conditions_of(weights=released, flow={"estimator": "dis"})
    assert differing(found, PAPER) == ["flow dis, not FlowNet2"]


def test_masks_of_others_were_made_elsewhere(conditions_of):
    assert conditions_of(masks={"sha256": "ab"}) is None


def test_what_nobody_looked_up_is_no_agreement(conditions_of):
    found = differing(conditions_of(training=learnt("ft3d")), None)
    assert found == ["conditions of the published number not stated"]


def test_baselines_learn_nothing(conditions_of):
    found = conditions_of(size="", weights={"weights": "none"}, flow={"estimator": "dis"})
    paper = Conditions(network="", training=frozenset(), flow="Liu")
    assert differing(found, paper) == ["flow dis, not Liu"]


def test_a_number_under_other_conditions_is_neither_close_nor_different(make_reported):
    tiny = Conditions("tiny", frozenset({"rendered scenes of ft3d"}), "raft")
    measured = Measured(
        0.63, "davis16-unsupervised", "davis16", "val", "mpnet-raft", "tiny", "J_mean", 20, tiny
    )
    verdict = judge(measured, make_reported(0.626, conditions=PAPER))
    assert verdict.kind == "other conditions"
    assert verdict.reason == (
        "network tiny, not full; trained on rendered scenes of ft3d, not on ft3d; flow raft, not FlowNet2"
    )
    assert not verdict.unexplained
    remark = Deviation(
        "davis16-unsupervised", "davis16", "mpnet-raft", "tiny", "J_mean", "thin things are lost"
    )
    assert judge(measured, make_reported(0.626, conditions=PAPER), [remark]).reason.endswith(
        "; thin things are lost"
    )


def test_on_a_board_the_verdict_follows_the_records(val_records, make_reported):
    def verdict(conditions):
        (board,) = make_boards(val_records, [make_reported(0.6, conditions=conditions)])
        return board.rows[0].headline("J_mean").verdict.kind

    same = make_reported().conditions
    assert verdict(same) == "reproduced"
    assert verdict(replace(same, flow="FlowNet2")) == "other conditions"
    assert verdict(None) == "other conditions"


def test_conditions_are_stated_for_whatever_may_stand_beside_a_method_of_this_project():
    reported = load_reported()
    names = {PUBLISHED_NAMES[name].name if name in PUBLISHED_NAMES else name for name in METHODS}
    entries = [
        e for e in reported if e.method.casefold() in {name.casefold() for name in names} and e.protocol
    ]
    shown = {
        id(each)
        for name in METHODS
        for e in entries
        for each in select(reported, dataset=e.dataset, metric=e.metric, model=name, split=e.split)
        # of joint training, table 3 varies what is frozen and does not say on which data
        if not (each.table == "table 3" and each.method == "Motion Mask R-CNN")
    }
    unstated = [e for e in entries if id(e) in shown and e.conditions is None]
    assert shown
    assert unstated == []


def test_the_flow_of_a_row_is_that_of_its_variant():
    (entry,) = [e for e in load_reported() if e.method == "MP-Net" and e.split == "val" and e.value == 0.626]
    assert entry.conditions == Conditions(training=frozenset({"ft3d"}), flow="FlowNet2")


def test_conditions_that_cannot_be_used_say_why(tmp_path):
    file = tmp_path / "reported.yaml"
    file.write_text("papers: {a: A}\nentries: []\nconditions: [{paper: a, method: m, trained: []}]")
    with pytest.raises(InputError, match="conditions 1 must have method, paper, training, and may have flow"):
        load_reported(file)
