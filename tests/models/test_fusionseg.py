import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.rounding import assert_decided, assert_rounded
from vosbench.composition import load_stage
from vosbench.config import StageConfig
from vosbench.data.transforms.clip_transforms import resize_flow
from vosbench.errors import InputError
from vosbench.flow.encodings import colour_wheel
from vosbench.method import Inspectable, Inspection, Method
from vosbench.models import build
from vosbench.models.fusionseg.inputs import every_field, fitted_size, flow_picture, padded
from vosbench.models.fusionseg.module import FusionSeg
from vosbench.models.fusionseg.network import TINY, Stream
from vosbench.models.layers.preprocessing import normalise
from vosbench.models.pretrained.author_weights import import_state
from vosbench.models.pretrained.zoo import load_method
from vosbench.models.validated import foreground_similarity
from vosbench.video import LazySequence, Video

LAYOUTS = Path(__file__).parents[1] / "golden" / "checkpoints"
STAGES = ("appearance", "motion", "joint")


def tiny(**variant):
    torch.manual_seed(0)
    return build("fusionseg", "tiny", **variant)


def decided(**variant):
    """A small network whose masks have foreground and background, so that they can be compared."""
    model = tiny(**variant)
    torch.manual_seed(2)
    for stream in model.network.streams.values():
        for classifier in stream.head:
            nn.init.normal_(classifier.weight, std=1.0)
    return model


def video(frames=4, height=41, width=61, flow=True, fields=None, seed=0):
    random = np.random.default_rng(seed)
    count = frames - 1 if fields is None else fields
    found = [3 * random.normal(size=(2, height, width)).astype(np.float32) for _ in range(count)]
    images = [random.integers(0, 255, (height, width, 3), dtype=np.uint8) for _ in range(frames)]
    names = tuple(f"{index:05d}" for index in range(frames))
    return Video("v", images, names, flow=found if flow else None)


def clips(batch=2, frames=1, fields=None, height=65, width=97):
    torch.manual_seed(1)
    return {
        "frames": torch.randint(0, 255, (batch, frames, 3, height, width), dtype=torch.uint8),
        "flow": torch.randn(batch, frames if fields is None else fields, 2, height, width),
        "masks": torch.randint(0, 2, (batch, frames, height, width), dtype=torch.uint8),
    }


def as_tensors(of):
    frames = torch.from_numpy(np.stack(of.frames)).permute(0, 3, 1, 2)[None]
    return frames, None if of.flow is None else torch.from_numpy(np.stack(of.flow))[None]


def checkpoint(path, model):
    content = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(content)
    torch.save(content, path)
    return str(path)


def test_it_is_a_method_that_can_be_inspected():
    model = tiny()
    assert isinstance(model, Method)
    assert isinstance(model, Inspectable)
    assert (model.task, set(model.inspectable)) == ("unsupervised", {"appearance", "motion", "branches"})
    assert [tiny(stream=name).needs_flow for name in STAGES] == [False, True, True]


@pytest.mark.parametrize(
    "variant",
    [
        *({"stream": name} for name in STAGES),
        {"fusion": "released", "convention": "caffe"},
        {"norm": "frozen"},
        {"pad": True},
        {"longest_side": 40, "last_flow": "repeated"},
        {"longest_side": None},
    ],
    ids=str,
)
def test_every_switch_trains_and_segments(variant):
    model = tiny(**variant).train()
    model.training_step(clips(), 0).backward()
    assert all((p.grad is not None) == p.requires_grad for p in model.parameters())
    masks = model.segment(video(flow=model.needs_flow)).stack()
    assert masks.shape == (4, 41, 61)
    assert set(np.unique(masks)) <= {0, 1}


@pytest.mark.parametrize("stream", STAGES)
def test_every_frame_is_judged_by_itself_as_in_training(stream):
    """The last frame has no successor and is given its last field, turned round."""
    source = video()
    model = decided(stream=stream).eval()
    frames, flow = as_tensors(source)
    with torch.no_grad():
        logits = model(frames, flow if model.needs_flow else None)[0]
    masks = model.segment(source).stack()
    assert 0 < masks.mean() < 1
    assert_decided(masks, logits.softmax(1)[:, 1])


def test_the_last_field():
    flow = torch.randn(2, 3, 2, 4, 5)
    assert torch.equal(every_field(flow, 3, "negated"), flow)
    assert torch.equal(every_field(flow, 4, "negated")[:, 3], -flow[:, 2])
    assert torch.equal(every_field(flow, 4, "repeated")[:, 3], flow[:, 2])
    with pytest.raises(InputError, match=r"clip\.flow_beyond=true"):
        every_field(flow[:, :0], 1, "negated")


def test_a_field_for_the_last_frame_is_used_where_the_video_has_one():
    """The released code takes the flow from the last frame to the one before."""
    whole = video(fields=4)
    turned = Video("v", whole.frames, whole.frame_names, flow=[*whole.flow[:3], -whole.flow[2]])
    short = Video("v", whole.frames, whole.frame_names, flow=whole.flow[:3])
    model = tiny(stream="motion")
    with_field, negated = (model.probability(each, 3) for each in (turned, short))
    assert np.array_equal(with_field, negated)
    assert not np.array_equal(with_field, model.probability(whole, 3))
    assert not np.array_equal(with_field, tiny(stream="motion", last_flow="repeated").probability(short, 3))


def test_the_flow_is_seen_as_a_picture_that_no_constant_factor_changes():
    flow = torch.randn(2, 2, 30, 40)
    pictures = flow_picture(flow)
    assert pictures.dtype == torch.uint8
    assert (pictures.int() - flow_picture(7 * flow).int()).abs().max() <= 1
    assert flow_picture(torch.zeros(1, 2, 5, 5)).unique().tolist() == [255]
    right = torch.zeros(1, 2, 1, 2)
    right[0, 0] = torch.tensor([1.0, 0.0])
    assert flow_picture(right)[0, :, 0].T.tolist() == [[255, 0, 0], [255, 255, 255]]


def test_flow_is_resized_before_it_is_painted():
    flow = torch.randn(1, 2, 30, 40)
    assert torch.equal(flow_picture(flow, (15, 20)), colour_wheel(resize_flow(flow, 15, 20)))


def test_frames_and_pictures_of_flow_go_through_the_same_convention():
    """Caffe: BGR minus the mean, both; the two streams see them apart."""
    model = tiny(convention="caffe").eval()
    seen = {}
    for name, stream in model.network.streams.items():
        stream.register_forward_pre_hook(lambda _, given, name=name: seen.update({name: given[0]}))
    batch = clips()
    model(batch["frames"], batch["flow"])
    mean = torch.tensor([104.008, 116.669, 122.675])[:, None, None]
    torch.testing.assert_close(seen["appearance"], batch["frames"][:, 0].flip(1) - mean)
    torch.testing.assert_close(seen["motion"], colour_wheel(batch["flow"][:, 0]).flip(1) - mean)


def test_black_is_added_before_the_mean_is_subtracted():
    frames = torch.full((1, 3, 200, 300), 9)
    black = padded(frames, (289, 513))
    assert black.shape == (1, 3, 289, 513)
    assert torch.equal(black[..., :200, :300], frames)
    assert black.sum() == frames.sum()
    assert padded(frames, (100, 400)).shape == (1, 3, 200, 400)


@pytest.mark.parametrize("stream", ["appearance", "joint"])
def test_padding_is_cut_off_again(stream):
    source = video(frames=2)
    model = decided(stream=stream, pad=True).eval()
    frames, flow = as_tensors(source)
    black = padded(frames[0], (289, 513))
    pictures = padded(colour_wheel(every_field(flow, 2, "negated")[0]), (289, 513))
    with torch.no_grad():
        inputs = (normalise(each, "torchvision") for each in (black, pictures))
        probability = model.network(*inputs).softmax(1)[:, 1, :41, :61].numpy()
    found = np.stack([model.probability(source, index) for index in range(2)])
    assert_rounded(found, probability)


def test_only_the_full_size_is_padded_unless_told():
    with torch.device("meta"):
        assert build("fusionseg").pad
    assert not tiny().pad


def test_large_frames_are_made_smaller():
    assert fitted_size(480, 854, 513) == (288, 513)
    assert fitted_size(854, 480, 513) == (513, 288)
    assert fitted_size(300, 400, 513) == (300, 400)
    assert fitted_size(480, 854, None) == (480, 854)
    source = video(frames=2, height=40, width=80)
    model, sizes = tiny(longest_side=40), []
    for stream in model.network.streams.values():
        stream.register_forward_pre_hook(lambda _, given: sizes.append(tuple(given[0].shape[-2:])))
    assert model.segment(source).stack().shape == (2, 40, 80)
    assert sizes == [(20, 40)] * 4


@pytest.mark.parametrize("stage", ["appearance", "motion"])
def test_loss_of_a_stream_is_the_cross_entropy_of_known_pixels_on_the_grid(stage):
    model = decided().eval()
    model.configure_stage(stage)
    batch = clips()
    batch["masks"][..., 64:] = 255
    seen = batch["frames"] if stage == "appearance" else colour_wheel(batch["flow"])
    with torch.no_grad():
        scores = model.network.streams[stage].scores(normalise(seen[:, 0], "torchvision"))
        loss = model.training_step(batch, 0)
    assert scores.shape == (2, 2, 9, 13)
    rows = ((torch.arange(9) + 0.5) * 65 / 9).long()
    columns = ((torch.arange(13) + 0.5) * 97 / 13).long()
    target = batch["masks"][:, 0][:, rows][:, :, columns].long()
    expected = nn.functional.cross_entropy(scores, target, ignore_index=255)
    assert 0.5 < (target != 255).float().mean() < 0.8
    assert_rounded(loss, expected)


def test_loss_of_the_fusion_is_that_of_all_pixels():
    model = decided().eval()
    model.configure_stage("joint")
    batch = clips()
    batch["masks"][..., 64:] = 255
    with torch.no_grad():
        logits = model(batch["frames"], batch["flow"])[:, 0]
        loss = model.training_step(batch, 0)
    assert logits.shape == (2, 2, 65, 97)
    expected = nn.functional.cross_entropy(logits, batch["masks"][:, 0].long(), ignore_index=255)
    assert_rounded(loss, expected)


@pytest.mark.parametrize("stage", STAGES)
def test_any_object_is_foreground(stage):
    model = tiny().eval()
    model.configure_stage(stage)
    batch = clips()
    with torch.no_grad():
        one = model.training_step(batch, 0)
        many = model.training_step(batch | {"masks": batch["masks"] * 7}, 0)
    assert torch.equal(one, many)


def test_stages_say_whether_they_read_flow():
    model = tiny()
    found = []
    for stage in STAGES:
        model.configure_stage(stage)
        found.append(model.needs_flow)
    assert found == [False, True, True]


def rates(model, stage):
    model.configure_stage(stage, StageConfig())
    return {
        parameter: group["lr"] / StageConfig().optimizer.lr
        for group in model.configure_optimizers()["optimizer"].param_groups
        for parameter in group["params"]
    }


def test_classifiers_and_fusion_learn_faster():
    model = tiny(head_lr=3, fusion_lr=5, fusion_bias_lr=7)
    names = {parameter: name for name, parameter in model.network.named_parameters()}
    for stage in ("appearance", "motion"):
        found = {names[p]: factor for p, factor in rates(model, stage).items()}
        assert {name.split(".")[0] for name in found} == {stage}
        for name, factor in found.items():
            assert factor == pytest.approx(3 if ".head." in name else 1)
    found = {names[p]: factor for p, factor in rates(model, "joint").items()}
    assert len(found) == 8
    for name, factor in found.items():
        assert factor == pytest.approx(7 if name.endswith("bias") else 5)


def test_the_recipe_is_the_papers():
    for stage in STAGES:
        settings = load_stage("fusionseg", stage)
        assert settings.epochs * settings.epoch_length // settings.batch_size == 20_000
        assert (settings.optimizer.name, settings.optimizer.momentum, settings.optimizer.weight_decay) == (
            "sgd",
            0.9,
            5e-4,
        )
        assert (settings.schedule.name, settings.schedule.power) == ("poly", 0.9)
        assert settings.clip.flow_beyond == bool(settings.flow) == (stage != "appearance")


def test_one_stream_of_a_joint_checkpoint(tmp_path):
    """Tables 1 to 3 compare A, M and Joint of one training."""
    model = decided()
    path = tmp_path / "joint.ckpt"
    checkpoint(path, model)
    source = video()
    frames, flow = as_tensors(source)
    for name in ("appearance", "motion"):
        alone, provenance = load_method("fusionseg", checkpoint=path, settings={"stream": name})
        assert provenance["variant"]["stream"] == name
        seen = frames if name == "appearance" else colour_wheel(every_field(flow, 4, "negated"))
        with torch.no_grad():
            logits = model.eval().network.streams[name](normalise(seen[0], "torchvision"))
        assert_decided(alone.segment(source).stack(), logits.softmax(1)[:, 1])


def test_the_other_fusion_is_another_network(tmp_path):
    checkpoint(tmp_path / "joint.ckpt", tiny())
    with pytest.raises(InputError, match="do not fit a network with fusion=released"):
        load_method("fusionseg", checkpoint=tmp_path / "joint.ckpt", settings={"fusion": "released"})


def test_streams_are_taken_from_their_own_checkpoints(tmp_path):
    parts = {name: tiny(stream=name) for name in ("appearance", "motion")}
    for number, part in enumerate(parts.values()):
        nn.init.constant_(part.network.streams[part.stage_name].head[0].bias, number + 1.0)
    weights = {f"{n}_weights": checkpoint(tmp_path / f"{n}.ckpt", part) for n, part in parts.items()}
    model = tiny(**weights)
    model.configure_stage("joint")
    for name, part in parts.items():
        expected = part.network.streams[name].state_dict()
        own = model.network.streams[name].state_dict()
        assert all(torch.equal(value, expected[key]) for key, value in own.items())
    with pytest.raises(InputError, match=r"appearance\.ckpt: has no motion stream"):
        tiny(motion_weights=weights["appearance_weights"]).configure_stage("motion")


def test_weights_of_a_residual_network_leave_the_classifiers_alone(tmp_path):
    body = Stream(TINY).body
    nn.init.constant_(body.bn1.bias, 3.0)
    torch.save(body.state_dict(), tmp_path / "resnet.pth")
    model = tiny(motion_weights=str(tmp_path / "resnet.pth"))
    before = model.network.motion.head[0].weight.clone()
    model.configure_stage("motion")
    assert (model.network.motion.body.bn1.bias == 3).all()
    assert not (model.network.appearance.body.bn1.bias == 3).any()
    assert torch.equal(model.network.motion.head[0].weight, before)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (lambda: build("mpnet", "tiny"), "name=mpnet, fusionseg needs name=fusionseg"),
        (lambda: tiny(convention="caffe"), "convention=caffe, fusionseg needs convention=torchvision"),
    ],
)
def test_weights_of_something_else(tmp_path, other, message):
    weights = checkpoint(tmp_path / "other.ckpt", other())
    with pytest.raises(InputError, match=rf"other\.ckpt: .*{message}"):
        tiny(appearance_weights=weights).configure_stage("appearance")


def test_missing_weights(tmp_path):
    with pytest.raises(InputError, match="no such file of weights"):
        tiny(motion_weights="nowhere.ckpt").configure_stage("motion")
    with pytest.raises(InputError, match="unknown weights"):
        tiny(appearance_weights="ResNet_Weights").configure_stage("appearance")
    model = tiny(appearance_weights="random")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.configure_stage("appearance")
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_checkpoint_holds_all_weights_and_no_paths(tmp_path):
    weights = checkpoint(tmp_path / "first.ckpt", tiny())
    model = tiny(appearance_weights=weights, longest_side=200, fusion="released")
    model.configure_stage("joint")
    checkpoint(tmp_path / "joint.ckpt", model)
    (tmp_path / "first.ckpt").unlink()
    loaded, provenance = load_method("fusionseg", checkpoint=tmp_path / "joint.ckpt")
    assert str(tmp_path) not in str(provenance)
    assert loaded.longest_side == 200
    own = model.state_dict()
    assert all(torch.equal(value, own[key]) for key, value in loaded.state_dict().items())


def inspected(model, source, maps, channels=()):
    seen = []
    model.inspection = Inspection(maps, channels, lambda *shown: seen.append(shown))
    model.segment(source).stack()
    return seen


def test_streams_can_be_looked_at():
    source = video()
    seen = inspected(decided(pad=True), source, ("appearance", "motion"))
    titles = ["appearance", "motion"]
    assert [(index, title) for index, title, _ in seen] == [(i, title) for i in range(4) for title in titles]
    assert all(0 <= values.min() <= values.max() <= 1 and values.shape == (41, 61) for _, _, values in seen)


def test_a_stream_of_the_joint_model_is_shown_as_it_would_decide_alone():
    source, model = video(), decided().eval()
    frames, _ = as_tensors(source)
    with torch.no_grad():
        wanted = model.network.appearance(normalise(frames[0], "torchvision")).softmax(1)[:, 1].numpy()
    shown = [values for _, _, values in inspected(model, source, ("appearance",))]
    assert_rounded(shown, wanted)


@pytest.mark.parametrize(
    ("fusion", "branches"),
    [("paper", ["appearance", "motion", "product"]), ("released", ["both", "appearance", "motion"])],
)
def test_branches_of_the_fusion_can_be_looked_at(fusion, branches):
    seen = inspected(decided(fusion=fusion), video(frames=2), ("branches",), (0, 1))
    wanted = [(i, f"branch {name} {c}") for i in range(2) for c in (0, 1) for name in branches]
    assert [(index, title) for index, title, _ in seen] == wanted
    for start in range(0, len(seen), 3):
        assert max(values.max() for _, _, values in seen[start : start + 3]) in (0, 1)
    assert min(values.min() for _, _, values in seen) >= 0


def test_looking_inside_changes_nothing():
    source, model = video(), decided()
    plain = model.segment(source).stack()
    inspected(model, source, ("appearance", "motion", "branches"), (1,))
    assert np.array_equal(model.segment(source).stack(), plain)


def test_maps_that_are_not_there():
    with pytest.raises(InputError, match="nothing to inspect but 'motion'"):
        inspected(tiny(stream="motion"), video(), ("appearance",))
    with pytest.raises(InputError, match="channels of branches are 0 to 1, not"):
        inspected(tiny(), video(), ("branches",), (2,))


def test_a_long_video_is_held_in_bounded_memory():
    """Nothing of a frame is read before its mask is wanted."""
    short, read = video(frames=3, height=16, width=16), []

    def frame(index):
        read.append(index)
        return short.frames[index % 3]

    long = Video("long", LazySequence(frame, 2000), tuple(map(str, range(2000))))
    masks = iter(tiny(stream="appearance").segment(long))
    next(masks)
    next(masks)
    assert read == [0, 1]


def test_missing_flow_and_single_frames_are_errors():
    with pytest.raises(InputError, match=r"video v: .* needs optical flow"):
        tiny().segment(video(flow=False))
    with pytest.raises(InputError, match="video v has one frame"):
        tiny(stream="motion").segment(video(frames=1))
    assert len(tiny(stream="appearance").segment(video(frames=1, flow=False)).stack()) == 1


def test_stages_that_a_variant_does_not_have():
    with pytest.raises(InputError, match="write stage=appearance"):
        tiny(stream="appearance").configure_stage("joint")
    with pytest.raises(InputError, match="did you mean motion"):
        tiny().configure_stage("moton")


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"stream": "appearence"}, "did you mean appearance"),
        ({"fusion": "release"}, "did you mean released"),
        ({"fusion_start": "randm"}, "did you mean random"),
        ({"fusion": "released", "fusion_start": "identity"}, "has no identity"),
        ({"norm": "freeze"}, "did you mean frozen"),
        ({"convention": "cafe"}, "did you mean caffe"),
        ({"pad": 1}, "choose from False, True"),
        ({"longest_side": 8}, "at least 32 pixels"),
        ({"last_flow": "negate"}, "did you mean negated"),
        ({"head_lr": "fast"}, "must be a number from 0 on"),
        ({"threshold": 2}, "between 0 and 1"),
        ({"fusions": "paper"}, "did you mean fusion"),
    ],
)
def test_unknown_switches_and_values(variant, message):
    with pytest.raises(InputError, match=message):
        tiny(**variant)


def test_released_weights_fit_the_switches_that_are_set_for_them():
    with torch.device("meta"):
        model = build("fusionseg", **FusionSeg.released_switches)
        shapes = {key: value.shape for key, value in model.state_dict().items()}
    released = {}
    for part in ("appearance", "motion", "joint_released"):
        layout = json.loads((LAYOUTS / f"fusionseg_{part}.json").read_text(encoding="utf-8"))
        blobs = {name: torch.empty(shape, device="meta") for name, shape in layout.items()}
        released |= import_state("fusionseg", blobs)
    assert {key: value.shape for key, value in released.items()} == shapes


def test_how_the_fusion_starts():
    def first(size="tiny", **variant):
        return build("fusionseg", size, **variant).network.fusion.motion.weight[:, :, 0, 0].tolist()

    identity = [[1, 0], [0, 1]]
    assert first() == first(fusion_start="identity") == identity
    assert first(fusion_start="random") != identity


def test_tiny_is_small():
    assert sum(parameter.numel() for parameter in tiny().parameters()) < 2_000_000


class Says(nn.Module):
    """A stream that is sure of what it reads off the red of its picture."""

    def __init__(self, sign):
        super().__init__()
        self.sign = sign

    def forward(self, picture):
        margin = 4 * self.sign * torch.tanh(picture[:, 0])
        return torch.stack([-margin, margin], dim=1)


def scene(count, seed):
    """Pictures of which one stream mistakes what stands still, the other what moves but is no object."""
    random = torch.Generator().manual_seed(seed)
    looks, moves = ((torch.rand(count, 1, 1, 8, 8, generator=random) > 0.5) for _ in range(2))
    looks, moves = (each.repeat_interleave(8, 3).repeat_interleave(8, 4) for each in (looks, moves))
    frames = 255 * looks.expand(-1, -1, 3, -1, -1).to(torch.uint8)
    # still parts are white; the fastest ones move to the left, which is cyan: without red
    flow = torch.cat([torch.where(moves, -5.0, 0.0), torch.zeros(moves.shape)], dim=2)
    return {"frames": frames, "flow": flow, "masks": (looks & moves)[:, :, 0].to(torch.uint8)}


@pytest.mark.parametrize("fusion", ["paper", "released"])
def test_the_fusion_learns_what_neither_stream_knows(fusion):
    """An object is what looks like one and moves: each stream alone is right about two thirds of it."""
    model = tiny(fusion=fusion)
    model.network.appearance, model.network.motion = Says(1), Says(-1)
    model.configure_stage("joint", load_stage("fusionseg_tiny", "joint"))
    optimizer = model.configure_optimizers()["optimizer"]
    for step in range(100):
        optimizer.zero_grad()
        model.training_step(scene(4, step), step).backward()
        optimizer.step()
    batch = scene(8, -1)
    with torch.no_grad():
        found = model(batch["frames"], batch["flow"])[:, 0].argmax(dim=1)
    pictures = model._pictures(batch["frames"], batch["flow"])
    alone = [model.network.logits(name, pictures[name]).argmax(dim=1) for name in ("appearance", "motion")]
    scores = [foreground_similarity(each, batch["masks"][:, 0]).mean() for each in (found, *alone)]
    assert scores[0] > 0.9
    assert max(scores[1:]) < 0.7
