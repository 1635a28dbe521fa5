"""Names of result files that differ from the names of the frames by one rule."""

import pytest

from vosbench.evaluation.results.frame_names import naming_difference

FRAMES = [f"{t:05}" for t in range(5)]


def found(names, frames=FRAMES, needed=None):
    return naming_difference(frames, names, frames if needed is None else needed)


@pytest.mark.parametrize(
    ("names", "offset"),
    [
        ([f"{t:05}" for t in range(1, 6)], 1),
        ([f"{t:05}" for t in range(10, 15)], 10),
        ([f"{t}" for t in range(1, 6)], 1),
        ([f"frame_{t:04}" for t in range(1, 6)], 1),
        ([f"{t:05}" for t in range(1, 5)] + ["00005"], 1),
        ([f"{t:05}" for t in range(3, 6)], 1),
    ],
)
def test_a_constant_offset(names, offset):
    rule = found(names)
    assert (rule.kind, rule.offset) == ("offset", offset)
    assert f"{offset:+d}" in rule.text


def test_a_negative_offset():
    frames = [f"{t:05}" for t in range(1, 6)]
    rule = found([f"{t:05}" for t in range(5)], frames)
    assert (rule.kind, rule.offset) == ("offset", -1)


@pytest.mark.parametrize("names", [[f"{t:04}" for t in range(5)], [str(t) for t in range(5)]])
def test_other_padding(names):
    assert found(names).kind == "padding"


@pytest.mark.parametrize("form", ["{}_mask", "mask_{}", "dog-{}-out", "frame{}"])
def test_something_before_or_behind(form):
    assert found([form.format(name) for name in FRAMES]).kind == "affix"


@pytest.mark.parametrize(
    "names",
    [
        FRAMES,
        FRAMES[:3],
        [*FRAMES, "00005"],
        [],
        ["cover", "notes"],
        [*FRAMES[:2], "00077"],
        ["00000", "00002", "00003", "00004", "overview"],
    ],
)
def test_no_rule(names):
    assert found(names) is None


def test_part_of_a_number_is_no_name():
    frames = [str(t) for t in range(10)]
    assert found([*(str(t) for t in range(10) if t != 1), "10"], frames) is None


def test_few_labelled_frames_among_all():
    frames = [f"car_{t:02}" for t in range(40)]
    needed = ["car_00", "car_19", "car_38"]
    assert found(["car_01", "car_20", "car_39"], frames, needed).offset == 1
    assert found(needed, frames, needed) is None
    assert found(frames, frames, needed) is None
    assert found(["car_00", "car_19", "car_37"], frames, needed) is None
