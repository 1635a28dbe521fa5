"""Motion Mask R-CNN's network: the counts of the specification, its routes, what is frozen."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.ops import FrozenBatchNorm2d

from vosbench.errors import InputError
from vosbench.models.motion_maskrcnn.network import PARTS, TINY, MotionMaskRCNNNet
from vosbench.models.motion_maskrcnn.weights import load_appearance, load_bodies, load_motion
from vosbench.models.pretrained.author_weights import translate

SIZE = (64, 96)
BOX = (20.0, 10.0, 60.0, 40.0)


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def trained(module):
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def meta(**keys):
    with torch.device("meta"):
        return MotionMaskRCNNNet(**keys)


def tiny(seed=0, **keys):
    torch.manual_seed(seed)
    return MotionMaskRCNNNet(widths=TINY, **keys).eval()


def target(objects=1):
    masks = torch.zeros(objects, *SIZE, dtype=torch.uint8)
    masks[:, 10:40, 20:60] = 1
    labels = torch.ones(objects, dtype=torch.int64)
    return {"boxes": torch.tensor([BOX] * objects).reshape(-1, 4), "labels": labels, "masks": masks}


def state_hash(module):
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(name.encode() + value.numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize(
    ("keys", "count"),
    [
        ({"stream": "appearance"}, 43_922_395),
        ({"stream": "motion"}, 43_922_395),
        ({"stream": "appearance", "classes": 81}, 44_347_573),
        ({"stream": "joint"}, 73_081_755),
        # with the static branch: the heads of the appearance model once more
        ({"stream": "joint", "static_classes": 2}, 73_081_755 + 17_123_099),
    ],
)
def test_counts_of_the_whole_network(keys, count):
    assert parameters(meta(**keys)) == count


def test_counts_of_the_parts():
    network = meta()
    body = network.backbone.motion.body
    # scale and shift of the norms, which are buffers, make it the 23 508 032 of ResNet-50
    affine = sum(value.numel() for name, value in body.named_buffers() if name.endswith(("weight", "bias")))
    assert (parameters(body), affine) == (23_508_032 - 53_120, 53_120)
    assert parameters(network.backbone.motion.fpn) == 3_344_384
    assert parameters(network.backbone.merge) == 2_360_064
    assert parameters(network.rpn) == 593_935
    heads = network.roi_heads
    assert parameters(heads.box_head) + parameters(heads.box_predictor) == 13_905_930
    assert parameters(heads.mask_head) + parameters(heads.mask_predictor) == 2_623_234


@pytest.mark.parametrize(
    ("merge", "count"), [("3convs", 2_360_064), ("concat_conv", 1_179_904), ("average", 0), ("concat", 0)]
)
def test_the_merge_is_one_module_for_all_levels(merge, count):
    assert parameters(meta(merge=merge).backbone.merge) == count


@pytest.mark.parametrize(
    ("freeze", "count"),
    [
        # all but stem (9 408) and res2 (212 992) of both bodies
        ((), 73_081_755 - 2 * 222_400),
        (("appearance",), 73_081_755 - 222_400 - 23_454_912 - 3_344_384),
        (("appearance", "motion"), 73_081_755 - 2 * (23_454_912 + 3_344_384)),
        (("appearance", "motion", "mask"), 16_859_929),
    ],
)
def test_what_each_variant_of_freezing_leaves_to_train(freeze, count):
    network = meta()
    network.train_route("main", freeze)
    assert trained(network) == count


def test_a_single_stream_trains_all_but_stem_and_res2():
    assert trained(meta(stream="appearance")) == 43_922_395 - 222_400


def test_the_stride_is_where_the_weights_expect_it():
    for stride_in, strides in (("1x1", (2, 1)), ("3x3", (1, 2))):
        block = meta(stream="motion", stride_in=stride_in).backbone.body.layer2[0]
        assert (block.conv1.stride[0], block.conv2.stride[0]) == strides


@pytest.mark.parametrize("stream", [0, 1])
def test_concat_conv_that_selects_a_stream_returns_its_features_exactly(stream):
    name = ("appearance", "motion")[stream]
    network = tiny(merge="concat_conv", merge_init=name)
    x = torch.randn(1, 6, 64, 96)
    with torch.no_grad():
        merged, _ = network.backbone(x)
        alone = getattr(network.backbone, name)(x[:, 3 * stream : 3 * stream + 3].contiguous())
    assert list(merged) == ["0", "1", "2", "3", "pool"]
    assert all(torch.equal(merged[level], alone[level]) for level in alone)


def test_average_and_concat_have_no_weights():
    x = torch.randn(1, 6, 64, 96)
    for merge in ("average", "concat"):
        network = tiny(merge=merge)
        with torch.no_grad():
            merged, seen = network.backbone(x)
            moved = network.backbone.motion(x[:, 3:].contiguous())
            wanted = (
                (seen["1"] + moved["1"]) / 2 if merge == "average" else torch.cat([seen["1"], moved["1"]], 1)
            )
            assert torch.equal(merged["1"], wanted)
            assert network([torch.randn(6, *SIZE)])[0]["masks"].shape[1:] == (1, *SIZE)


def test_only_a_single_convolution_can_start_as_a_copy():
    with pytest.raises(ValueError, match="merge '3convs' cannot start as a copy"):
        tiny(merge_init="appearance")


@pytest.mark.parametrize("freeze", [PARTS[:count] for count in range(4)])
def test_a_step_changes_what_is_trained_and_nothing_else(freeze):
    network = tiny(static_classes=2)
    network.train()
    network.train_route("main", freeze)
    parts = {
        "appearance": network.backbone.appearance,
        "motion": network.backbone.motion,
        "mask": nn.ModuleList([network.roi_heads.mask_head, network.roi_heads.mask_predictor]),
        "merge": network.backbone.merge,
        "rpn": network.rpn,
        "box": nn.ModuleList([network.roi_heads.box_head, network.roi_heads.box_predictor]),
        "static": network.static,
    }
    before = {name: state_hash(part) for name, part in parts.items()}
    optimizer = torch.optim.SGD(
        [p for p in network.parameters() if p.requires_grad], lr=0.01, weight_decay=1e-4
    )
    sum(network.losses([torch.randn(6, *SIZE)], [target()]).values()).backward()
    optimizer.step()
    same = {name for name, part in parts.items() if state_hash(part) == before[name]}
    assert same == {*freeze, "static"}


def test_the_static_branch_is_the_appearance_model():
    """On the same frame and with its weights, whatever moves; the body is unchanged, for it was frozen."""
    appearance, joint = tiny(1, stream="appearance"), tiny(2, static_classes=2)
    state = appearance.state_dict()
    joint.backbone.appearance.load_state_dict(appearance.backbone.state_dict())
    joint.static.load_state_dict(
        {key: value for key, value in state.items() if key.startswith(("rpn.", "roi_heads."))}
    )
    frame, flow = torch.randn(3, *SIZE), torch.randn(3, *SIZE)
    with torch.no_grad():
        expected = appearance([frame])[0]
        moving, static = joint.both([torch.cat([frame, flow])])
        alone = joint([frame], "appearance")[0]
    assert len(expected["scores"])
    for found in (static[0], alone):
        assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert not torch.equal(moving[0]["scores"], expected["scores"])
    with torch.no_grad():
        main = joint([torch.cat([frame, flow])])[0]
    assert all(torch.equal(main[key], moving[0][key]) for key in main)


@pytest.mark.parametrize(("mask_input", "same"), [("rgb", True), ("merged", False)])
def test_masks_from_rgb_do_not_depend_on_flow(mask_input, same):
    network = tiny(mask_input=mask_input)
    frame, boxes = torch.randn(3, *SIZE), [torch.tensor([BOX])]
    logits = []
    with torch.no_grad():
        for flow in (torch.zeros(3, *SIZE), torch.randn(3, *SIZE)):
            features, mask_features = network.features(torch.cat([frame, flow])[None], "main")
            logits.append(network.roi_heads.mask_logits(mask_features, boxes, [SIZE]))
            assert features["0"].shape == (1, TINY.pyramid, 16, 24)
    assert torch.equal(*logits) == same


def test_the_three_routes_of_a_joint_network_train_their_own_parts():
    network = tiny(static_classes=2)
    expected = {
        "appearance": {"backbone.appearance", "static"},
        "motion": {"backbone.motion", "rpn", "roi_heads"},
    }
    for route, names in expected.items():
        network.train()
        network.train_route(route)
        network.zero_grad()
        sum(network.losses([torch.randn(3, *SIZE)], [target()]).values()).backward()
        seen = {key for key, parameter in network.named_parameters() if parameter.grad is not None}
        assert seen
        assert all(key.startswith(tuple(names)) for key in seen)
        assert trained(network) == sum(network.get_parameter(key).numel() for key in seen)


def test_five_losses_and_none_of_objects_where_there_are_none():
    network = tiny(stream="appearance").train()
    losses = network.losses([torch.randn(3, *SIZE)] * 2, [target(1), target(2)])
    assert set(losses) == {
        "loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg", "loss_mask",
    }  # fmt: skip
    empty = network.losses([torch.randn(3, *SIZE)], [target(0)])
    assert empty["loss_classifier"] > 0
    assert [empty[key].item() for key in ("loss_rpn_box_reg", "loss_box_reg", "loss_mask")] == [0, 0, 0]


def test_the_box_loss_is_linear_from_one_on():
    heads = tiny(stream="appearance").roi_heads
    # background, then an object whose deltas are off by 3 and by 0.5; of its own class only
    deltas = torch.tensor([[9.0] * 8, [9, 9, 9, 9, 3, 0.5, 0, 0]])
    loss = heads.box_loss(deltas, torch.tensor([0, 1]), torch.zeros(2, 4))
    assert loss.item() == pytest.approx((2.5 + 0.125) / 2)


def test_low_scores_are_left_out_without_changing_the_rest():
    network = tiny(stream="motion")
    picture = torch.randn(3, *SIZE)
    with torch.no_grad():
        all_of_them = network([picture])[0]
        middle = float(all_of_them["scores"].median())
        some = network([picture], least_score=middle)[0]
    kept = all_of_them["scores"] > middle
    assert 0 < kept.sum() < len(kept)
    assert all(torch.equal(some[key], all_of_them[key][kept]) for key in some)


def test_pictures_are_resized_by_the_shorter_side_within_the_longer():
    network = meta(stream="appearance")
    for size, expected in (((480, 854), (749, 1333)), ((480, 640), (800, 1066)), ((640, 480), (1066, 800))):
        images, _ = network.prepare([torch.zeros(3, *size)])
        assert images.image_sizes == [expected]
        assert all(side % 32 == 0 for side in images.tensors.shape[-2:])


def test_flat_pictures_are_pooled_at_the_scale_of_their_features():
    """torchvision guesses the scale from the first picture, with its padding: 33 rows become 64."""
    pool = tiny(stream="appearance").roi_heads.box_roi_pool
    assert pool.scales == [1 / 4, 1 / 8, 1 / 16, 1 / 32]


CLASS_TENSORS = {
    f"roi_heads.{module}.{tensor}"
    for module in ("box_predictor.cls_score", "box_predictor.bbox_pred", "mask_predictor.mask_fcn_logits")
    for tensor in ("weight", "bias")
}


def old_names(state):
    """The names of 2019, which torchvision's published file has."""
    renamed = {}
    for key, value in state.items():
        for index in range(4):
            key = key.replace(f"mask_head.{index}.0.", f"mask_head.mask_fcn{index + 1}.")
            for blocks in ("inner_blocks", "layer_blocks"):
                key = key.replace(f"{blocks}.{index}.0.", f"{blocks}.{index}.")
        renamed[key.replace("rpn.head.conv.0.0.", "rpn.head.conv.")] = value
    return renamed


@pytest.mark.parametrize("names", ["today", "2019"])
def test_weights_of_coco_leave_over_what_depends_on_the_number_of_classes(tmp_path, names):
    """A state dict as ``MaskRCNN_ResNet50_FPN_Weights.COCO_V1`` has it; its 91 classes are more than two."""
    with torch.device("meta"):
        body = resnet_fpn_backbone(backbone_name="resnet50", weights=None, norm_layer=FrozenBatchNorm2d)
        shapes = MaskRCNN(body, 91).state_dict()
    # one number per tensor, spread without memory; files keep it that small
    state = {key: torch.full(value.shape, float(index)) for index, (key, value) in enumerate(shapes.items())}
    assert len(state) == 307
    torch.save(old_names(state) if names == "2019" else state, tmp_path / "coco.pth")
    network = meta(stream="appearance", stride_in="3x3").to_empty(device="cpu")
    loaded = load_appearance(network, tmp_path / "coco.pth")
    assert set(loaded.fresh) == set(loaded.unused) == CLASS_TENSORS
    filled = network.state_dict()
    assert loaded.tensors == len(filled) - len(CLASS_TENSORS)
    for index, key in enumerate(shapes):
        if key not in CLASS_TENSORS:
            assert filled[key].flatten()[0] == index


def test_a_network_of_as_many_classes_takes_every_tensor(tmp_path):
    donor = tiny(1, stream="appearance", classes=91)
    torch.save(donor.state_dict(), tmp_path / "coco.pth")
    network = tiny(2, stream="appearance", classes=91)
    loaded = load_appearance(network, tmp_path / "coco.pth")
    assert not loaded.fresh
    assert not loaded.unused
    assert state_hash(network) == state_hash(donor)


def test_streams_of_their_own_fill_a_joint_network(tmp_path):
    appearance, motion, joint = (
        tiny(1, stream="appearance"),
        tiny(2, stream="motion"),
        tiny(3, static_classes=2),
    )
    before = state_hash(joint.roi_heads), state_hash(joint.backbone.merge)
    for name, network in (("appearance", appearance), ("motion", motion)):
        state = {f"network.{key}": value for key, value in network.state_dict().items()}
        torch.save({"state_dict": state}, tmp_path / f"{name}.ckpt")
    load_appearance(joint, tmp_path / "appearance.ckpt")
    loaded = load_motion(joint, tmp_path / "motion.ckpt")
    assert all(name.startswith(("rpn.", "roi_heads.")) for name in loaded.unused)
    assert state_hash(joint.backbone.appearance) == state_hash(appearance.backbone)
    assert state_hash(joint.backbone.motion) == state_hash(motion.backbone)
    assert state_hash(joint.static.roi_heads) == state_hash(appearance.roi_heads)
    assert (state_hash(joint.roi_heads), state_hash(joint.backbone.merge)) == before
    joint.start_from_static()
    assert state_hash(joint.roi_heads) == state_hash(appearance.roi_heads)
    assert state_hash(joint.rpn) == state_hash(appearance.rpn)


def test_the_streams_of_a_joint_network_fill_another(tmp_path):
    donor, joint = tiny(1, static_classes=2), tiny(2, static_classes=2)
    torch.save({f"network.{key}": value for key, value in donor.state_dict().items()}, tmp_path / "joint.pth")
    load_appearance(joint, tmp_path / "joint.pth")
    load_motion(joint, tmp_path / "joint.pth")
    for part in ("backbone.appearance", "backbone.motion", "static"):
        assert state_hash(joint.get_submodule(part)) == state_hash(donor.get_submodule(part))
    assert state_hash(joint.rpn) != state_hash(donor.rpn)


def test_heads_of_a_class_specific_model_start_what_does_not_depend_on_classes():
    joint = tiny(static_classes=81)
    joint.start_from_static()
    assert state_hash(joint.rpn) == state_hash(joint.static.rpn)
    assert state_hash(joint.roi_heads.box_head) == state_hash(joint.static.roi_heads.box_head)
    assert joint.roi_heads.box_predictor.cls_score.out_features == 2


def test_weights_of_imagenet_fill_both_bodies(tmp_path):
    torch.save(ResNet(Bottleneck, [1, 1, 1, 1]).state_dict(), tmp_path / "resnet14.pth")
    network = MotionMaskRCNNNet(widths=replace(TINY, width=64, norm="frozen"), stride_in="3x3")
    loaded = load_bodies(network, tmp_path / "resnet14.pth")
    for each in loaded:
        assert not each.fresh
        assert {name for name in each.unused if "num_batches" not in name} == {"fc.weight", "fc.bias"}
    assert state_hash(network.backbone.motion.body) == state_hash(network.backbone.appearance.body)


def test_weights_of_something_else_are_refused(tmp_path):
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=r"other\.pth: not weights of AppearanceDetector"):
        load_appearance(tiny(stream="appearance"), tmp_path / "other.pth")


@pytest.mark.parametrize(
    ("file", "keys", "numbers"),
    [
        ("motion_maskrcnn_single", {"stream": "appearance"}, 43_975_515),
        ("motion_maskrcnn_single", {"stream": "motion"}, 43_975_515),
        ("motion_maskrcnn_joint", {}, 73_187_995),
    ],
)
def test_released_weights_fill_every_tensor(file, keys, numbers):
    layout = json.loads((Path(__file__).parents[1] / f"golden/checkpoints/{file}.json").read_text())
    released = {name: torch.empty(shape, device="meta") for name, shape in layout.items()}
    network = {f"network.{name}": value for name, value in meta(**keys).state_dict().items()}
    state, accounting = translate("motion_maskrcnn", released, network)
    assert accounting.complete
    assert accounting.numbers == numbers
    assert state.keys() == network.keys()
