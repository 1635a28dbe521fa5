"""Methods of a comparison: the zoo, own weights, and several of one method side by side."""

from pathlib import Path

import pytest

from vosbench.benchmark.method_spec import choose_methods
from vosbench.errors import InputError
from vosbench.models.pretrained.zoo import WEIGHTS

OWN = str(WEIGHTS / "mpnet-tiny.safetensors")


def choose(*names, settings=None, size=None):
    specs, _ = choose_methods(names, size, settings or {}, "cpu")
    return {spec.label: spec for spec in specs}


def test_a_name_alone_is_a_method_with_the_weights_of_the_zoo():
    found = choose("mpnet", "centre_box", "mpnet")
    assert list(found) == ["mpnet", "centre_box"]
    assert found["mpnet"].checkpoint is None


def test_a_colon_gives_a_method_other_weights():
    found = choose(f"mpnet:{OWN}")
    assert (found["mpnet"].name, found["mpnet"].checkpoint) == ("mpnet", Path(OWN))


def test_a_checkpoint_may_have_an_equals_sign_in_its_name(tmp_path):
    own = tmp_path / "epoch=3.safetensors"
    own.write_bytes(Path(OWN).read_bytes())
    for text, label in ((f"mpnet:{own}", "mpnet"), (f"mine=mpnet:{own}", "mine")):
        assert choose(text)[label].checkpoint == own


def test_a_label_lets_several_of_one_method_take_part():
    found = choose("mpnet", f"mine=mpnet:{OWN}", "sure=mpnet", settings={"sure.threshold": 0.9})
    assert {label: each.name for label, each in found.items()} == dict.fromkeys(
        ("mpnet", "mine", "sure"), "mpnet"
    )
    assert {label: dict(each.settings) for label, each in found.items()} == {
        "mpnet": {},
        "mine": {},
        "sure": {"threshold": 0.9},
    }


def test_a_setting_of_one_label_goes_before_one_for_all_in_either_order():
    for settings in ({"threshold": 0.3, "sure.threshold": 0.9}, {"sure.threshold": 0.9, "threshold": 0.3}):
        found = choose("mpnet", "sure=mpnet", "centre_box", settings=settings)
        assert [found[label].settings for label in found] == [{"threshold": 0.3}, {"threshold": 0.9}, {}]


def test_own_weights_take_the_place_of_those_of_the_zoo_among_all():
    found = choose("all", f"mpnet:{OWN}", f"mine=mpnet:{OWN}")
    assert found["mpnet"].checkpoint == found["mine"].checkpoint == Path(OWN)
    assert found["lvo"].checkpoint is None


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (["mine=mpnett"], "unknown model 'mpnett': did you mean mpnet"),
        (["mpnet:"], "no weights after the colon; write mpnet:FILE"),
        (["mpnet:gone.ckpt"], "no weights file gone.ckpt"),
        ([f"lvo:{OWN}"], "weights of mpnet, not of lvo"),
        (["lvo=mpnet"], "lvo is the name of something else"),
        (["all=mpnet"], "all is the name of something else"),
        (["a/b=mpnet"], "a name has letters, digits"),
        (["a.b=mpnet"], "a name has letters, digits"),
        (["=mpnet"], "a name has letters, digits"),
        (["mpnet", f"mpnet:{OWN}"], "'mpnet' is another one already; write LABEL=mpnet:"),
        (["centre_box:x.ckpt"], "a baseline without weights"),
    ],
)
def test_what_cannot_take_part_is_told_in_one_line(asked, message):
    with pytest.raises(InputError, match=message):
        choose(*asked)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("sur.threshold", "unknown model in --set sur.threshold 'sur': did you mean sure"),
        ("sure.treshold", "--set sure.treshold: none of sure has this switch"),
        ("treshold", "--set treshold: none of sure, centre_box has this switch"),
    ],
)
def test_a_setting_for_nobody_is_refused(setting, message):
    with pytest.raises(InputError, match=message):
        choose("sure=mpnet", "centre_box", settings={setting: 0.5})
