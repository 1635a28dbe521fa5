"""What stays float32 under mixed precision: boxes, anchors, flow, losses, and learning from one video."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork

from vosbench.data.loading.collate import detection_collate, pad_collate
from vosbench.data.transforms.augmentation import ClipTransform
from vosbench.data.transforms.clip_transforms import Clip
from vosbench.models import build
from vosbench.models.layers.detection import region_pool, region_proposals
from vosbench.models.lip import widths as lip_widths
from vosbench.models.lip.adaptation import IdTuning, tune_ids
from vosbench.models.lip.network import LIPNet
from vosbench.models.motion_maskrcnn import network as motion_maskrcnn
from vosbench.models.postprocessing.online import adapted
from vosbench.models.stcnn.discriminator import Discriminator

HEIGHT, WIDTH = 64, 96
WIDE = (128, 1984)
LEVELS = ("0", "1", "2", "3", "pool")

mixed = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])


def reduced(dtype):
    return torch.autocast("cpu", dtype=dtype)


@pytest.fixture
def proposed(monkeypatch):
    """Collect what every region proposal network makes of its anchors, all of it, before any is left out."""
    found = []
    plain = RegionProposalNetwork.filter_proposals

    def spy(self, proposals, *others):
        found.append(proposals.detach())
        return plain(self, proposals, *others)

    monkeypatch.setattr(RegionProposalNetwork, "filter_proposals", spy)
    return found


def proposal_network():
    torch.manual_seed(0)
    network = region_proposals(8, (32, 64, 128, 256, 512), (0.5, 1.0, 2.0), (50, 50, 50, 50), 64)
    nn.init.normal_(network.head.bbox_pred.weight, std=0.1)
    return network


def wide_features(channels=8):
    generator = torch.Generator().manual_seed(1)
    sizes = [(WIDE[0] // side, WIDE[1] // side) for side in (4, 8, 16, 32, 64)]
    return {
        name: torch.randn(1, channels, *size, generator=generator)
        for name, size in zip(LEVELS, sizes, strict=True)
    }


def pictures():
    return ImageList(torch.zeros(1, 3, *WIDE), [WIDE])


def off_the_grid(boxes):
    """Whether left sides beyond 1024 pixels are between the multiples of 8 that bfloat16 has there."""
    beyond = boxes[..., 0][boxes[..., 0] > 1024]
    return len(beyond) > 100 and (beyond % 8 != 0).double().mean() > 0.8


@mixed
def test_proposals_are_where_the_anchors_and_the_rounded_deltas_put_them(dtype, proposed):
    network, features, deltas = proposal_network().eval(), wide_features(), []
    network.head.register_forward_hook(lambda _head, _given, out: deltas.append(out[1]))
    network(pictures(), features)
    with reduced(dtype):
        network(pictures(), {name: each.to(dtype) for name, each in features.items()})
    exact, rounded = (each.flatten(0, 1) for each in proposed)
    assert rounded.dtype == torch.float32
    assert off_the_grid(rounded)
    flat = [
        torch.cat([level.reshape(3, 4, -1).permute(2, 0, 1).reshape(-1, 4) for level in each])
        for each in deltas
    ]
    # a corner moves by what the centre and half the side do, both in units of the anchor's side
    anchors = BoxCoder((1.0, 1.0, 1.0, 1.0)).encode([exact], [exact])
    assert torch.cat(anchors).abs().max() < 1e-3
    sides = (exact[:, 2:] - exact[:, :2]) / flat[0][:, 2:].exp()
    moved = (flat[1] - flat[0]).abs()
    allowed = sides * (moved[:, :2] + 0.5 * flat[0][:, 2:].exp() * moved[:, 2:].expm1())
    slack = 4 * torch.finfo(torch.float32).eps * WIDE[1]
    assert ((rounded - exact).abs() <= allowed.repeat(1, 2) * 1.001 + slack).all()


@mixed
def test_a_pass_in_reduced_precision_leaves_the_anchors_as_they_were(dtype):
    network, features = proposal_network().eval(), wide_features()
    before = network.anchor_generator(pictures(), list(features.values()))[0]
    with reduced(dtype):
        after = network.anchor_generator(pictures(), [each.to(dtype) for each in features.values()])[0]
    assert after.dtype == torch.float32
    assert torch.equal(before, after)


@mixed
def test_losses_of_proposals_are_float32(dtype):
    network = proposal_network().train()
    targets = [{"boxes": torch.tensor([[1501.0, 20.0, 1607.0, 101.0]])}]
    with reduced(dtype):
        features = {name: each.to(dtype) for name, each in wide_features().items()}
        boxes, losses = network(pictures(), features, targets)
    assert boxes[0].dtype == torch.float32
    assert {name: loss.dtype for name, loss in losses.items()} == dict.fromkeys(
        ("loss_objectness", "loss_rpn_box_reg"), torch.float32
    )


@mixed
def test_regions_are_pooled_where_they_are(dtype):
    features = wide_features(2)
    # a ramp: what is pooled of it tells the place
    features["0"] = torch.arange(WIDE[1] // 4).expand(1, 2, WIDE[0] // 4, -1) / 512
    boxes = [torch.tensor([[1501.0, 20.0, 1529.0, 48.0]])]
    with reduced(dtype):
        rounded = {name: each.to(dtype) for name, each in features.items()}
        pooled = region_pool(7, 224)(rounded, boxes, [WIDE])
    expected = region_pool(7, 224)({name: each.float() for name, each in rounded.items()}, boxes, [WIDE])
    assert pooled.dtype == torch.float32
    assert torch.equal(pooled, expected)


def lip_network():
    widths = replace(lip_widths.TINY, short_side=WIDE[0], long_side=WIDE[1])
    return LIPNet(3, widths=widths)


def motion_network(stream="joint"):
    widths = replace(motion_maskrcnn.TINY, short_side=WIDE[0], long_side=WIDE[1])
    return motion_maskrcnn.MotionMaskRCNNNet(stream, widths=widths)


def wide_target():
    masks = torch.zeros(1, *WIDE, dtype=torch.uint8)
    masks[0, 30:100, 1301:1409] = 1
    return {
        "boxes": torch.tensor([[1301.0, 30.0, 1409.0, 100.0]]),
        "labels": torch.tensor([1]),
        "masks": masks,
    }


@pytest.mark.parametrize("make", [motion_network, lip_network], ids=["motion_maskrcnn", "lip"])
def test_detectors_propose_beyond_the_grid_of_bfloat16(make, proposed):
    torch.manual_seed(0)
    network = make()
    picture = torch.randn(6 if make is motion_network else 3, *WIDE)
    with reduced(torch.bfloat16):
        if make is motion_network:
            losses = network.train().losses([picture], [wide_target()])
            found = network.eval()([picture])[0]
        else:
            losses = network.train().losses(picture[None, None], [[wide_target()]])
            found = network.eval()(picture).found
    assert {loss.dtype for loss in losses.values()} == {torch.float32}
    assert {found[name].dtype for name in ("boxes", "scores", "masks")} == {torch.float32}
    assert len(proposed) == 2
    assert all(off_the_grid(boxes) for boxes in proposed)


def clip(frames):
    generator = torch.Generator().manual_seed(0)
    masks = torch.zeros(frames, HEIGHT, WIDTH, dtype=torch.uint8)
    masks[:, 10:40, 10:50] = 1
    return {
        "frames": torch.randint(0, 255, (frames, 3, HEIGHT, WIDTH), generator=generator, dtype=torch.uint8),
        "masks": masks,
        "flow": 5 * torch.randn(frames - 1, 2, HEIGHT, WIDTH, generator=generator),
    }


STAGES = [
    ("mpnet", "A", 2, pad_collate),
    ("lvo", "appearance", 1, pad_collate),
    ("lvo", "memory", 3, pad_collate),
    ("fusionseg", "appearance", 1, pad_collate),
    ("fusionseg", "motion", 2, pad_collate),
    ("fusionseg", "joint", 2, pad_collate),
    ("stcnn", "spatial", 5, pad_collate),
    ("motion_maskrcnn", "A", 3, detection_collate),
    ("motion_maskrcnn", "M1", 3, detection_collate),
    ("motion_maskrcnn", "J1", 3, detection_collate),
    ("lip", "coco", 1, detection_collate),
    ("lip", "vos", 2, detection_collate),
]


@pytest.mark.parametrize(("name", "stage", "frames", "collate"), STAGES)
def test_every_loss_is_float32(name, stage, frames, collate, monkeypatch):
    torch.manual_seed(0)
    module = build(name, "tiny")
    module.configure_stage(stage)
    batch = collate([clip(frames)])
    if name == "lip":
        module.network.heads.replace_ids(144)
        batch["video"] = [torch.tensor(0)]
    logged = {}
    monkeypatch.setattr(module, "log", lambda key, value, **_: logged.update({key: value}))
    monkeypatch.setattr(module, "log_dict", lambda named, **_: logged.update(named))
    with reduced(torch.bfloat16):
        loss = module.train().training_step(batch, 0)
    loss.backward()
    assert {value.dtype for value in logged.values()} == {loss.dtype} == {torch.float32}
    assert all(value.isfinite() for value in logged.values())


@mixed
@pytest.mark.parametrize("name", ["mpnet", "lvo", "fusionseg", "stcnn"])
def test_what_is_made_of_pixels_is_decided_in_float32(name, dtype):
    torch.manual_seed(0)
    module = build(name, "tiny").eval()
    batch = pad_collate([clip(2 if name != "stcnn" else 5)])
    with torch.no_grad(), reduced(dtype):
        if name == "stcnn":
            logits, predicted = module(batch["frames"])
            assert {each.dtype for each in (*logits, predicted)} == {torch.float32}
        else:
            flow = batch["flow"][:, 0] if name == "mpnet" else batch["flow"]
            assert module(batch["frames"], flow).dtype == torch.float32


@mixed
def test_the_discriminator_of_stcnn_judges_in_float32(dtype):
    with reduced(dtype):
        assert Discriminator(width=4)(torch.randn(2, 3, 16, 16)).dtype == torch.float32


@mixed
def test_flow_reaches_the_networks_unrounded(dtype):
    fields = clip(3)["flow"] * 40
    mpnet, detector = build("mpnet", "tiny"), build("motion_maskrcnn", "tiny", stream="motion")
    fusionseg = build("fusionseg", "tiny")
    frames = torch.zeros(1, 2, 3, HEIGHT, WIDTH, dtype=torch.uint8)

    def seen():
        pictures = fusionseg._pictures(frames, fields[None])
        return [mpnet.encode(None, fields), detector.picture(frames[0, 0], fields[0]), pictures["motion"]]

    plain = seen()
    with reduced(dtype):
        under = seen()
    assert all(a.dtype == torch.float32 and torch.equal(a, b) for a, b in zip(under, plain, strict=True))


@mixed
def test_flow_of_training_clips_turns_and_blurs_in_float32(dtype):
    item = clip(2)
    frames, masks, flow = item["frames"], item["masks"], 40 * item["flow"]
    change = ClipTransform(rotate=30, degrade=1.0)

    def changed():
        torch.manual_seed(3)
        return change(Clip(frames, masks, flow)).flow

    plain = changed()
    with reduced(dtype):
        assert torch.equal(changed(), plain)


@mixed
def test_learning_from_a_video_is_float32_and_lasts(dtype):
    torch.manual_seed(0)
    layer, inputs, wanted = nn.Linear(8, 2), torch.randn(64, 8), torch.randn(64, 2)

    def learn(copied):
        optimizer = torch.optim.SGD(copied.parameters(), 0.1)
        for _ in range(20):
            optimizer.zero_grad()
            (copied(inputs) - wanted).square().mean().backward()
            optimizer.step()

    plain = adapted(layer, learn)
    with reduced(dtype):
        layer(inputs)  # autocast keeps what it makes of the weights
        learned = adapted(layer, learn)
    assert torch.equal(plain.weight, learned.weight)


@mixed
def test_a_tuned_layer_of_ids_is_used_as_it_is_at_once(dtype):
    torch.manual_seed(0)
    layer, labels = nn.Linear(8, 3), torch.arange(48) % 3
    vectors = torch.eye(8)[labels] + 0.1 * torch.randn(48, 8)
    plain = nn.Linear(8, 3)
    plain.load_state_dict(layer.state_dict())
    settings = IdTuning(iterations=20, lr=1.0)
    tune_ids(plain, vectors, labels, settings)
    with torch.no_grad(), reduced(dtype):
        before = layer(vectors)
        tune_ids(layer, vectors, labels, settings)
        after = layer(vectors)
    assert torch.equal(layer.weight, plain.weight)
    assert (after - before).abs().max() > 0.1
    assert (after.float() - plain(vectors)).abs().max() < 0.05 * plain(vectors).abs().max()
