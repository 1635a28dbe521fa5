"""``--precision``: networks under autocast, what their masks, records and kept masks make of it."""

import numpy as np
import pytest
import torch
from torch import nn

from vosbench.benchmark import compare
from vosbench.errors import InputError
from vosbench.formats.image import write_frame
from vosbench.given import Given, segment
from vosbench.models import METHODS, build
from vosbench.models.baselines import CentreBox
from vosbench.models.pretrained.zoo import load_method, move_to
from vosbench.video import Video

HEIGHT, WIDTH, FRAMES = 64, 96, 3
LEARNING = ("lip", "stcnn")
"""Networks that learn from the first mask, which takes long."""

slow_when_learning = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LEARNING)) for name in METHODS]
)


def clip():
    random = np.random.default_rng(0)
    noise = random.integers(0, 120, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    flow = np.zeros((2, HEIGHT, WIDTH), np.float32)
    flow[0, 20:44, 10:60] = 6
    frames = []
    for t in range(FRAMES):
        frame = noise.copy()
        frame[20:44, 10 + 6 * t : 34 + 6 * t] = 220
        frames.append(frame)
    return Video("cat", frames, tuple(f"{t:05d}" for t in range(FRAMES)), flow=[flow] * (FRAMES - 1))


def maps_of(method):
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[20:44, 10:34] = 1
    return segment(method, clip(), Given(0, ids) if method.task == "semi-supervised" else None)


@slow_when_learning
@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_convolutions_compute_in_the_precision_and_who_takes_the_masks_does_not(name, precision):
    torch.manual_seed(0)
    method = move_to(build(name, "tiny").eval(), "cpu", precision)
    computed = set()
    for module in method.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _module, _given, out: computed.add(out.dtype))
    with torch.no_grad():
        for ids in maps_of(method):
            assert (ids.shape, ids.dtype) == ((HEIGHT, WIDTH), np.uint8)
            assert not torch.is_autocast_enabled("cpu")
    assert (torch.bfloat16 in computed) == (precision == "bf16")


def test_masks_are_nearly_those_of_float32():
    exact, _ = load_method("mpnet", "tiny")
    rounded = move_to(load_method("mpnet", "tiny")[0], "cpu", "bf16")
    with torch.no_grad():
        one, other = maps_of(exact).stack(), maps_of(rounded).stack()
    assert one.any()
    assert np.mean(one != other) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in METHODS if name != "mpnet"])
def test_masks_of_packaged_networks_are_nearly_those_of_float32(name):
    exact, _ = load_method(name, "lite")
    rounded = move_to(load_method(name, "lite")[0], "cpu", "bf16")
    with torch.no_grad():
        one, other = maps_of(exact).stack(), maps_of(rounded).stack()
    assert np.mean(one != other) < 0.03


def test_what_cannot_be_computed_is_refused():
    mpnet, _ = load_method("mpnet", "tiny")
    with pytest.raises(InputError, match="precision '16' is not available on cpu: choose 32 or bf16"):
        move_to(mpnet, "cpu", "16")
    with pytest.raises(InputError, match="half"):
        move_to(mpnet, "cpu", "half")
    with pytest.raises(InputError, match="precision 'bf16' is for networks, and this method is none"):
        move_to(CentreBox(), "auto", "bf16")


def test_a_record_states_a_precision_and_is_not_that_of_float32(tmp_path, make_davis):
    def records(**options):
        result = compare(
            models=["mpnet", "centre_box"],
            datasets=["davis16"],
            data_root=make_davis(tmp_path / "data", {"dog": 4}),
            out=tmp_path / "out",
            workers=1,
            metrics=("j",),
            size="tiny",
            device="cpu",
            cache=tmp_path / "cache",
            **options,
        )
        return {record.model: record for record in result.records}, {
            outcome.model: outcome.state for outcome in result.outcomes
        }

    exact, states = records()
    assert set(states.values()) == {"computed"}
    rounded, states = records(precision="bf16")
    # a baseline has nothing to round
    assert states == {"mpnet": "computed", "centre_box": "kept"}
    assert "precision" not in exact["mpnet"].provenance["config"]["weights"]
    assert rounded["mpnet"].provenance["config"]["weights"]["precision"] == "bf16"
    assert exact["mpnet"].provenance["precision"] == "float32"
    assert rounded["mpnet"].provenance["precision"] == "float32, autocast bfloat16"
    assert rounded["mpnet"].key != exact["mpnet"].key
    again, states = records()
    assert states == {"mpnet": "computed", "centre_box": "kept"}
    assert again["mpnet"].key == exact["mpnet"].key


def test_predict_keeps_masks_of_the_same_precision_only(run, tmp_path):
    for index, frame in enumerate(clip().frames):
        write_frame(tmp_path / f"cat/{index:05d}.png", frame)
    words = ("predict", tmp_path / "cat", "--model", "mpnet", "--size", "tiny", "--device", "cpu")
    kept = []
    for precision in ("32", "bf16", "bf16", "32"):
        status, out, err = run(*words, "--precision", precision, "--out", "mine")
        assert status == 0, err
        kept.append(out.strip().endswith("kept"))
    assert kept == [False, False, True, False]
    status, _, err = run(*words, "--precision", "16", "--out", "other")
    assert status == 2
    assert err.splitlines()[-1].endswith("precision '16' is not available on cpu: choose 32 or bf16")
    assert not (tmp_path / "other").exists()
