import weakref

import numpy as np
import pytest
import torch
from torch import nn

from tests.rounding import assert_rounded
from vosbench.errors import InputError
from vosbench.method import Inspectable, Inspection, Method
from vosbench.models import build
from vosbench.models.layers.preprocessing import normalise
from vosbench.models.lvo import module as lvo
from vosbench.models.lvo.network import APPEARANCES, LITE
from vosbench.models.lvo.streams import field_of_every_frame, motion_code
from vosbench.models.postprocessing.windows import plan_windows
from vosbench.video import LazySequence, Video


def tiny(**variant):
    """A small LVO with random weights; by default its appearance is cheap."""
    torch.manual_seed(0)
    return build("lvo", "tiny", **{"appearance": "rgb", "motion_short_side": 32} | variant)


def video(frames=4, height=48, width=64, flow=True, seed=0):
    random = np.random.default_rng(seed)
    fields = [3 * random.normal(size=(2, height, width)).astype(np.float32) for _ in range(frames - 1)]
    images = [random.integers(0, 255, (height, width, 3), dtype=np.uint8) for _ in range(frames)]
    names = tuple(f"{index:05d}" for index in range(frames))
    return Video("v", images, names, flow=fields if flow else None)


def clips(batch=1, frames=3, fields=None, height=48, width=64):
    torch.manual_seed(1)
    return {
        "frames": torch.randint(0, 255, (batch, frames, 3, height, width), dtype=torch.uint8),
        "flow": torch.randn(batch, frames if fields is None else fields, 2, height, width),
        "masks": torch.randint(0, 2, (batch, frames, height, width), dtype=torch.uint8),
    }


def as_tensors(of):
    frames = torch.from_numpy(np.stack(of.frames)).permute(0, 3, 1, 2)[None]
    return frames, torch.from_numpy(np.stack(of.flow))[None]


def test_it_is_a_method_that_can_be_inspected():
    model = tiny()
    assert isinstance(model, Method)
    assert isinstance(model, Inspectable)
    assert (model.task, model.needs_flow, set(model.inspectable)) == (
        "unsupervised",
        True,
        {"gates", "motion"},
    )
    assert not tiny(motion="none").needs_flow


@pytest.mark.parametrize(
    "variant",
    [
        *({"appearance": name} for name in APPEARANCES if name != LITE),
        *({"memory": name} for name in ("convlstm", "convrnn", "none")),
        {"motion": "none"},
        {"bidirectional": False},
        {"angle": "signed", "convention": "caffe"},
    ],
    ids=str,
)
def test_every_switch_trains_and_segments(variant):
    model = tiny(**variant).train()
    model.training_step(clips(), 0).backward()
    assert all((p.grad is not None) == p.requires_grad for p in model.parameters())
    masks = model.segment(video(height=41, width=61, flow=model.needs_flow)).stack()
    assert masks.shape == (4, 41, 61)
    assert set(np.unique(masks)) <= {0, 1}


def test_one_field_less_than_frames_keeps_the_last():
    flow = torch.randn(2, 3, 2, 4, 5)
    assert torch.equal(field_of_every_frame(flow, 3), flow)
    longer = field_of_every_frame(flow, 4)
    assert longer.shape == (2, 4, 2, 4, 5)
    assert torch.equal(longer[:, 3], flow[:, 2])


def test_flow_is_resized_with_its_vectors_before_it_is_encoded():
    flow = torch.zeros(1, 2, 96, 128)
    flow[:, 0] = -9
    code = motion_code(flow, 32, "unsigned")
    assert code.shape == (1, 2, 32, 43)
    assert_rounded(code[:, 0], torch.full((1, 32, 43), torch.pi))
    speed = 9 * 43 / 128
    assert_rounded(code[:, 1], torch.full((1, 32, 43), 6 * speed / (32**2 + 43**2) ** 0.5))


def test_still_copies_of_a_frame_pass_through_the_motion_network():
    """Zero flow is encoded and judged by MP-Net, not replaced by a zero map."""
    model = build("lvo", "tiny", appearance="none")
    model.configure_stage("memory")
    probability = model.eval().network.motion_probability(
        motion_code(torch.zeros(1, 2, 48, 64), 144, "unsigned")
    )
    assert 0 < probability.max() < 0.5


def test_loss_is_the_cross_entropy_of_known_pixels_on_the_grid():
    model = tiny().eval()
    batch = clips()
    batch["masks"][..., 32:] = 255
    with torch.no_grad():
        logits = model(batch["frames"], batch["flow"])[0]
        loss = model.training_step(batch, 0)
    target = batch["masks"][0, :, 4::8, 4::8].float()
    margin = logits[:, 1] - logits[:, 0]
    assert margin.shape == target.shape
    expected = nn.functional.softplus(torch.where(target == 1, -margin, margin))[..., :4].mean()
    assert_rounded(loss, expected)


def test_any_object_is_foreground():
    model = tiny().eval()
    batch = clips()
    with torch.no_grad():
        one = model.training_step(batch, 0)
        many = model.training_step(batch | {"masks": batch["masks"] * 7}, 0)
    assert torch.equal(one, many)


def test_a_short_video_is_seen_as_a_whole():
    source = video(frames=5)
    model = tiny().eval()
    with torch.no_grad():
        logits = model(*as_tensors(source))[0]
    probability = nn.functional.interpolate(logits.softmax(1)[:, 1:], (48, 64), mode="bilinear")[:, 0]
    assert np.array_equal(model.segment(source).stack(), (probability > 0.5).numpy())


def test_windows_are_averaged():
    source = video(frames=9)
    model = tiny(window=4, step=3).eval()
    frames, flow = as_tensors(source)
    flow = field_of_every_frame(flow, 9)
    total, count = torch.zeros(9, 6, 8), torch.zeros(9, 1, 1)
    with torch.no_grad():
        for window in plan_windows(9, 4, 3):
            seen = slice(window.start, window.stop)
            total[seen] += model(frames[:, seen], flow[:, seen])[0].softmax(1)[:, 1]
            count[seen] += 1
    expected = nn.functional.interpolate((total / count)[:, None], (48, 64), mode="bilinear")[:, 0] > 0.5
    assert np.array_equal(model.segment(source).stack(), expected.numpy())


def test_every_window_starts_with_a_zero_state_and_so_does_every_video():
    model = tiny(window=4, step=4)
    first, second = video(frames=4), video(frames=4, seed=1)
    model.segment(first).stack()
    after = model.segment(second).stack()
    assert np.array_equal(after, tiny(window=4, step=4).segment(second).stack())


def test_a_long_video_is_held_in_bounded_memory():
    """2000 frames, of which never more than a window's features are alive."""
    short = video(frames=3, height=16, width=16)
    long = Video(
        "long",
        LazySequence(lambda index: short.frames[index % 3], 2000),
        tuple(map(str, range(2000))),
    )
    model = tiny(window=20, step=10, motion="none")
    alive, most = weakref.WeakSet(), []
    seen = model._seen

    def counting(frame, motion):
        features = seen(frame, motion)
        alive.add(features)
        most.append(len(alive))
        return features

    model._seen = counting
    masks = iter(model.segment(long))
    next(masks)
    assert len(most) == 20
    assert sum(1 for _ in masks) == 1999
    assert (len(most), max(most)) == (2000, 20)


class LeftwardMotion(nn.Module):
    """A motion network whose answer is plain from the angle field."""

    def forward(self, code):
        return 10 * (code[:, :1] - torch.pi / 2)


def inspected(model, source, maps, channels=()):
    seen = []
    model.inspection = Inspection(maps, channels, lambda *shown: seen.append(shown))
    model.segment(source).stack()
    return seen


def test_motion_is_shown_once_per_frame_and_the_last_frame_keeps_the_one_before():
    model = tiny(window=4, step=2)
    model.network.motion = LeftwardMotion()
    source = video(frames=8, height=32, width=40)
    seen = inspected(model, source, ("motion",))
    assert [(index, title) for index, title, _ in seen] == [(index, "motion") for index in range(8)]
    for (_, _, shown), field in zip(seen, source.flow, strict=False):
        assert shown.shape == (32, 40)
        assert shown.dtype == np.float32
        assert np.array_equal(shown > 0.5, field[0] < 0)
    assert np.array_equal(seen[-1][2], seen[-2][2])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_gates_of_chosen_channels_are_shown_once_per_frame(bidirectional):
    seen = inspected(tiny(window=4, step=2, bidirectional=bidirectional), video(frames=7), ("gates",), (3, 5))
    titles = ["reset 3", "update 3", "reset 5", "update 5"]
    assert [(index, title) for index, title, _ in seen] == [(i, title) for i in range(7) for title in titles]
    assert all(shown.shape == (6, 8) and 0 <= shown.min() <= shown.max() <= 1 for _, _, shown in seen)


def test_looking_inside_changes_nothing():
    source = video()
    plain = tiny().segment(source).stack()
    model = tiny()
    inspected(model, source, ("gates", "motion"), (0,))
    assert np.array_equal(model.segment(source).stack(), plain)


def test_maps_that_are_not_there():
    with pytest.raises(InputError, match="channels of gates are 0 to 15, not"):
        inspected(tiny(), video(), ("gates",), (16,))
    for memory in ("none", "convrnn"):
        with pytest.raises(InputError, match=f"memory={memory} has no gates"):
            inspected(tiny(memory=memory), video(), ("gates",), (0,))


def test_crf_refines_what_is_cut(monkeypatch):
    seen = []

    def refine(image, probability, settings):
        seen.append((image, probability, settings))
        return (image[..., 0] > 127).astype(np.float32)

    monkeypatch.setattr(lvo, "refine", refine)
    monkeypatch.setattr(lvo, "require_crf", lambda: None)
    source = video()
    masks = tiny(crf={"iterations": 2}).segment(source).stack()
    assert np.array_equal(masks, [frame[..., 0] > 127 for frame in source.frames])
    assert len(seen) == 4
    assert seen[0][1].shape == (48, 64)
    assert seen[0][2].iterations == 2


def test_missing_flow_and_single_frames_are_errors():
    with pytest.raises(InputError, match=r"video v: .* needs optical flow"):
        tiny().segment(video(flow=False))
    with pytest.raises(InputError, match="video v has one frame"):
        tiny().segment(video(frames=1))
    assert len(tiny(motion="none").segment(video(frames=1, flow=False)).stack()) == 1


def test_appearance_stage_learns_classes():
    model = tiny(appearance="deeplab_v2", appearance_norm="trained")
    model.configure_stage("appearance")
    assert not model.needs_flow
    batch = {
        "frames": torch.randint(0, 255, (2, 1, 3, 48, 64), dtype=torch.uint8),
        "masks": torch.randint(0, 21, (2, 1, 48, 64), dtype=torch.uint8),
    }
    batch["masks"][..., :32] = 255
    model.eval()
    with torch.no_grad():
        scores = model.network.scores(normalise(batch["frames"][:, 0], "torchvision"))
        target = batch["masks"][:, 0, 4::8, 4::8].long()
        loss = model.training_step(batch, 0)
    assert scores.shape == (2, 21, 6, 8)
    assert_rounded(loss, nn.functional.cross_entropy(scores[..., 4:], target[..., 4:]))


@pytest.mark.parametrize("variant", [{"appearance_pretrain": "imagenet"}, {"appearance": "cnn2"}])
def test_variants_without_appearance_stage(variant):
    with pytest.raises(InputError, match="write stage=memory"):
        build("lvo", "tiny", **variant).configure_stage("appearance")


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"appearance": "deeplab_v3"}, "did you mean deeplab_v2"),
        ({"apearance": "rgb"}, "did you mean appearance"),
        ({"appearance_pretrain": "imagnet"}, "did you mean imagenet"),
        ({"appearance_norm": "freeze"}, "did you mean frozen"),
        ({"appearance": "rgb", "appearance_weights": "x.pth"}, "appearance=rgb has no weights to load"),
        ({"appearance": "none", "motion": "none"}, "the memory would see nothing"),
        ({"convention": "cafe"}, "did you mean caffe"),
        ({"motion": "mp-net"}, "did you mean mpnet"),
        ({"motion_short_side": 8}, "at least 32 pixels"),
        ({"angle": "sined"}, "did you mean signed"),
        ({"memory": "gru"}, "did you mean convgru"),
        ({"bidirectional": 1}, "choose from False, True"),
        ({"threshold": 2}, "between 0 and 1"),
        ({"crf": {"iteration": 5}}, "did you mean iterations"),
        ({"window": 0}, "window is 0, at least 1"),
        ({"window": 10, "step": 11}, "step is 11, at most the window of 10"),
    ],
)
def test_unknown_switches_and_values(variant, message):
    with pytest.raises(InputError, match=message):
        build("lvo", "tiny", **variant)


def test_unknown_stages():
    with pytest.raises(InputError, match="did you mean memory"):
        tiny().configure_stage("memry")


def test_tiny_is_small():
    assert sum(parameter.numel() for parameter in build("lvo", "tiny").parameters()) < 2_000_000
