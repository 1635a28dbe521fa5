import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from tests.rounding import assert_rounded
from vosbench.errors import InputError
from vosbench.method import Inspectable, Inspection, Method
from vosbench.models import build
from vosbench.models.mpnet.network import MotionPatternNet
from vosbench.video import Video


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def video(frames=3, height=64, width=96, flow=True):
    random = np.random.default_rng(0)
    fields = [random.normal(size=(2, height, width)).astype(np.float32) for _ in range(frames - 1)]
    images = [random.integers(0, 255, (height, width, 3), dtype=np.uint8) for _ in range(frames)]
    return Video("v", images, tuple("abcdefgh"[:frames]), flow=fields if flow else None)


@pytest.mark.parametrize(
    ("channels", "units", "count"),
    [
        (3, 4, 10_777_345),
        (6, 4, 10_786_753),
        (2, 4, 10_774_209),
        (5, 4, 10_783_617),
        (3, 1, 5_759_233),
        (6, 1, 5_768_641),
        (2, 1, 5_756_097),
        (5, 1, 5_765_505),
    ],
)
def test_parameter_counts_are_the_released_models(channels, units, count):
    with torch.device("meta"):
        assert parameters(MotionPatternNet(channels, decoder_units=units)) == count


def test_encoder_and_classifier_counts():
    with torch.device("meta"):
        network = MotionPatternNet(2)
    assert parameters(network.input) + parameters(network.encoder) == 3_393_984
    assert parameters(network.classifier) == 513


def test_every_convolution_but_the_classifier_is_normalised():
    with torch.device("meta"):
        network = MotionPatternNet(2)
    kinds = [type(module) for module in network.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]
    assert kinds == [nn.Conv2d, nn.BatchNorm2d] * 15 + [nn.Conv2d]
    assert network.input[1].eps == 1e-4


@pytest.mark.parametrize(("units", "divisor"), [(1, 16), (2, 8), (3, 4), (4, 2)])
def test_output_size_by_decoder_units(units, divisor):
    network = MotionPatternNet(2, width=4, decoder_units=units).eval()
    assert network(torch.zeros(2, 2, 64, 96)).shape == (2, 1, 64 // divisor, 96 // divisor)


@pytest.mark.parametrize(
    ("size", "expected"), [((232, 424), (116, 212)), ((97, 131), (48, 65)), ((32, 32), (16, 16))]
)
def test_output_size_of_odd_inputs(size, expected):
    network = MotionPatternNet(2, width=4).eval()
    assert network(torch.zeros(1, 2, *size)).shape[-2:] == expected


@pytest.mark.parametrize("name", ["rgb", "rgb_pair", "flow", "angle_field", "rgb_angle"])
def test_every_input_trains_and_segments(name):
    model = build("mpnet", "tiny", input=name, test_short_side=48)
    assert model.needs_flow == (name not in ("rgb", "rgb_pair"))
    batch = {
        "frames": torch.randint(0, 255, (2, 2, 3, 48, 64), dtype=torch.uint8),
        "flow": torch.randn(2, 1, 2, 48, 64),
        "masks": torch.randint(0, 2, (2, 2, 48, 64), dtype=torch.uint8),
    }
    loss = model.training_step(batch, 0)
    loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    masks = model.segment(video(flow=model.needs_flow)).stack()
    assert masks.shape == (3, 64, 96)
    assert set(np.unique(masks)) <= {0, 1}


def test_void_pixels_do_not_count():
    model = build("mpnet", "tiny").eval()
    frames, flow = torch.zeros(1, 2, 3, 32, 32, dtype=torch.uint8), torch.randn(1, 1, 2, 32, 32)
    masks = torch.zeros(1, 2, 32, 32, dtype=torch.uint8)
    masks[..., 16:] = 255
    with torch.no_grad():
        logits = model(frames, flow[:, 0])[0, 0]
        loss = model.training_step({"frames": frames, "flow": flow, "masks": masks}, 0)
    assert_rounded(loss, nn.functional.softplus(logits[:, :8]).mean())


def test_it_is_a_method():
    model = build("mpnet", "tiny")
    assert isinstance(model, Method)
    assert (model.task, model.needs_flow) == ("unsupervised", True)


class LeftwardMotion(nn.Module):
    """A network whose answer is plain from the angle field."""

    def forward(self, code):
        return code[:, :1] - torch.pi / 2


class Everywhere(nn.Module):
    """A network that finds motion of probability 0.6 everywhere."""

    def forward(self, code):
        return torch.full_like(code[:, :1], 0.6).logit()


def test_last_frame_keeps_the_mask_before_it():
    model = build("mpnet", "tiny", test_short_side=64)
    model.network = LeftwardMotion()
    masks = model.segment(video()).stack()
    assert np.array_equal(masks[-1], masks[-2])
    for mask, flow in zip(masks, video().flow, strict=False):
        assert np.array_equal(mask, flow[0] < 0)


def test_rgb_segments_the_last_frame_and_a_single_frame_itself():
    model = build("mpnet", "tiny", input="rgb", test_short_side=48)
    assert len(model.segment(video(frames=1, flow=False)).stack()) == 1


def test_segmenting_streams():
    class Counting(list):
        reads = 0

        def __getitem__(self, index):
            type(self).reads += 1
            return super().__getitem__(index)

    source = video(frames=6)
    flow = Counting(source.flow)
    masks = iter(
        build("mpnet", "tiny", test_short_side=48).segment(
            Video("v", source.frames, source.frame_names, flow=flow)
        )
    )
    next(masks)
    assert Counting.reads == 1


def test_a_missing_crf_library_is_said_before_anything_is_segmented(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydensecrf.densecrf", None)
    with pytest.raises(InputError, match=r"vosbench\[crf\]"):
        build("mpnet", "tiny", crf=True).segment(video())


def test_the_crf_refines_the_probability_of_each_frame(monkeypatch):
    refined = []

    def refine(frame, probability, settings):
        refined.append((frame.shape, probability.shape, settings.iterations))
        return np.ones_like(probability)

    monkeypatch.setattr("vosbench.models.mpnet.module.refine", refine)
    monkeypatch.setattr("vosbench.models.mpnet.module.require_crf", lambda: None)
    masks = build("mpnet", "tiny", test_short_side=48, crf={"iterations": 2}).segment(video()).stack()
    assert masks.all()
    assert refined == [((64, 96, 3), (64, 96), 2)] * 2


def test_objectness_halves_motion_where_nothing_looks_like_an_object(tmp_path):
    folder = tmp_path / "v"
    folder.mkdir()
    left = np.zeros((64, 96), np.uint8)
    left[:, :48] = 255
    for name in video().frame_names:
        Image.fromarray(left).save(folder / f"{name}.png")
    model = build("mpnet", "tiny", test_short_side=64, threshold=0.4, objectness=str(tmp_path))
    model.network = Everywhere()
    masks = model.segment(video()).stack()
    # 0.6 (0.5 + 1) on the left, 0.6 (0.5 + 0) on the right
    assert masks[:, :, :48].all()
    assert not masks[:, :, 48:].any()
    checkpoint = {}
    model.on_save_checkpoint(checkpoint)
    assert "objectness" not in checkpoint["vosbench"]["variant"]


def test_it_shows_the_motion_it_found():
    model = build("mpnet", "tiny", test_short_side=48)
    assert isinstance(model, Inspectable)
    shown = {}
    show = lambda t, title, values: shown.update({(t, title): values})  # noqa: E731
    model.inspection = Inspection(("motion",), (), show)
    masks = model.segment(video()).stack()
    assert sorted(shown) == [(0, "motion"), (1, "motion")]
    assert np.array_equal(shown[1, "motion"] > 0.5, masks[1])


def test_flow_of_any_size_of_grid_gives_the_same_mask():
    """Vectors are scaled with the grid: a field twice as large with vectors twice as long is the same."""
    model = build("mpnet", "tiny", test_short_side=32)
    field = np.zeros((2, 32, 32), np.float32)
    field[0, 8:20, 8:20] = 3
    small = Video("s", [np.zeros((32, 32, 3), np.uint8)] * 2, ("a", "b"), flow=[field])
    large = Video(
        "l", [np.zeros((64, 64, 3), np.uint8)] * 2, ("a", "b"), flow=[2 * field.repeat(2, 1).repeat(2, 2)]
    )
    model.eval()
    probability = model.probability(large, 0)[1::2, 1::2]
    assert np.abs(probability - model.probability(small, 0)).mean() < 0.01


@pytest.mark.parametrize("order", [False, True])
def test_both_orders_of_resizing_and_encoding_run(order):
    masks = build("mpnet", "tiny", encode_then_resize=order, test_short_side=40).segment(video())
    assert masks.stack().shape == (3, 64, 96)


def test_missing_flow_and_single_frames_are_errors():
    model = build("mpnet", "tiny")
    with pytest.raises(InputError, match=r"video v: .* needs optical flow"):
        model.segment(video(flow=False))
    with pytest.raises(InputError, match="video v has one frame"):
        model.segment(video(frames=1))


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"input": "angle"}, "did you mean .*angle_field"),
        ({"inputs": "rgb"}, "did you mean input"),
        ({"decoder_units": 5}, "decoder_units is 5, choose from 1, 2, 3, 4"),
        ({"decoder_units": True}, "decoder_units is True"),
        ({"angle": "sined"}, "did you mean signed"),
        ({"threshold": 2}, "between 0 and 1"),
        ({"test_short_side": 8}, "at least 32"),
        ({"encode_then_resize": 1}, "choose from False, True"),
        ({"crf": {"iteration": 3}}, "did you mean iterations"),
    ],
)
def test_unknown_switches_and_values(variant, message):
    with pytest.raises(InputError, match=message):
        build("mpnet", **variant)


def test_unknown_names():
    with pytest.raises(InputError, match="did you mean mpnet"):
        build("mp-net")
    with pytest.raises(InputError, match="unknown size 'small'"):
        build("mpnet", "small")


def test_schedule_is_the_papers():
    model = build("mpnet", "tiny")
    model.configure_stage("A")
    configured = model.configure_optimizers()
    optimizer, scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    seen = []
    for _ in range(27):
        group = optimizer.param_groups[0]
        seen.append((group["lr"], group["weight_decay"], group["momentum"]))
        optimizer.step()
        scheduler.step()
    assert configured["lr_scheduler"]["interval"] == "epoch"
    for epochs, factor in ((slice(0, 9), 1), (slice(9, 18), 0.1), (slice(18, 27), 0.01)):
        assert seen[epochs] == [pytest.approx((0.003 * factor, 0.005 * factor, 0.9))] * 9
    group = optimizer.param_groups[0]
    assert (group["dampening"], group["nesterov"]) == (0, False)


def test_tiny_is_small():
    model = build("mpnet", "tiny")
    assert parameters(model) == 676_785
    assert model.test_short_side == 144
