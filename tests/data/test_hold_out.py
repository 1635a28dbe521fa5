"""Which videos are kept for validation: by their names alone, and never what is trained on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vosbench.composition import compose_fit, group_options
from vosbench.data.hold_out import held_out
from vosbench.data.splits import shipped_split
from vosbench.errors import InputError

DAVIS16_TRAIN = shipped_split("davis16_train")
NAMES = st.lists(st.text("abcdef/-", min_size=1, max_size=6), unique=True)


DAVIS = [name for name in group_options("data") if name.startswith("davis")]


@pytest.mark.parametrize("name", DAVIS)
def test_of_davis_2016_train_the_listed_videos_are_held_out_and_no_others(name):
    listed = shipped_split("davis16_held_out")
    assert len(listed) == 6
    assert held_out(DAVIS16_TRAIN, compose_fit(["model=mpnet", f"data={name}"]).data.hold_out) == set(listed)


@given(names=NAMES, others=NAMES, share=st.floats(0.05, 0.95))
def test_a_name_decides_whatever_other_videos_there_are(names, others, share):
    """But where all, or none, would be held out."""
    together = list(dict.fromkeys([*names, *others, *(f"{number}" for number in range(200))]))
    many = [*names, *(f"{number}" for number in range(200))]
    assert held_out(many, share) == held_out(together, share) & set(many)


@given(
    names=st.lists(st.text("abcdef", min_size=1, max_size=6), unique=True, min_size=2),
    share=st.floats(0.01, 0.99),
)
def test_something_is_held_out_and_something_left(names, share):
    found = held_out(names, share)
    assert found < set(names)
    assert found
    assert held_out(names[::-1], share) == found


def test_a_larger_share_holds_out_those_of_a_smaller_one_and_more():
    names = [f"video{number}" for number in range(1000)]
    few, many = held_out(names, 0.1), held_out(names, 0.3)
    assert few < many
    assert abs(len(few) - 100) < 40
    assert abs(len(many) - 300) < 60


def test_views_of_a_scene_stay_together():
    names = [f"A/{number:04d}/{view}" for number in range(40) for view in ("left", "right")]
    found = held_out(names, 0.2)
    assert {name.replace("left", "right") for name in found} == {n for n in found if n.endswith("right")}
    assert len(found) % 2 == 0


def test_names_are_taken_as_they_are():
    assert held_out(DAVIS16_TRAIN, ["bear", "train"]) == {"bear", "train"}


@pytest.mark.parametrize(
    ("names", "wanted", "said"),
    [
        (DAVIS16_TRAIN, ["baer"], "unknown video to hold out 'baer': did you mean bear"),
        (["bear", "boat"], ["bear", "boat"], "nothing is left to train on"),
        (["bear"], 0.5, r"of a single video: write data\.val_split=null"),
        (["A/1/left", "A/1/right"], 0.5, "nothing can be held out"),
    ],
)
def test_what_cannot_be_held_out(names, wanted, said):
    with pytest.raises(InputError, match=said):
        held_out(names, wanted)
