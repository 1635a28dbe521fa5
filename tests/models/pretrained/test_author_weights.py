"""Released weights: every tensor of every published layout has its place, and files of all kinds are read."""

import json
import math
import os
import pickle
import struct
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet50, resnet101
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FrozenBatchNorm2d

from vosbench.errors import InputError
from vosbench.models.pretrained.author_weight_names import layouts
from vosbench.models.pretrained.author_weights import Accounting, import_state, translate
from vosbench.models.pretrained.released_files import read_released

GOLDEN = Path(__file__).parents[2] / "golden" / "checkpoints"
FILES = {
    "fusionseg_appearance": ("fusionseg", "appearance", "network.appearance."),
    "fusionseg_motion": ("fusionseg", "motion", "network.motion."),
    "fusionseg_joint_released": ("fusionseg", "fusion", "network.fusion."),
    "motion_maskrcnn_single": ("motion_maskrcnn", "single stream", "network."),
    "motion_maskrcnn_joint": ("motion_maskrcnn", "joint", "network."),
    "stcnn_joint": ("stcnn", "joint", "network."),
    "stcnn_pred_branch": ("stcnn", "temporal branch", "network.generator."),
    "stcnn_seg_branch": ("stcnn", "spatial branch", "network.segmentation."),
}


def layout(file):
    """Tensors of the shapes in a layout, without memory."""
    shapes = json.loads((GOLDEN / f"{file}.json").read_text())
    return {
        name: torch.empty(shape, device="meta", dtype=torch.int64 if "num_batches" in name else torch.float32)
        for name, shape in shapes.items()
    }


def numbers(state, *without):
    return sum(value.numel() for name, value in state.items() if not name.endswith(without))


STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


@pytest.mark.parametrize("file", FILES)
def test_every_tensor_of_a_published_layout_is_used_once(file):
    method, kind, part = FILES[file]
    released = layout(file)
    state, accounting = translate(method, released)
    assert (accounting.kind, accounting.part) == (kind, part)
    assert accounting.complete
    assert accounting.used.keys() == released.keys()
    assert len(set(accounting.used.values())) == len(released)
    assert all(name.startswith(part) for name in state)
    assert accounting.numbers == numbers(released, "num_batches_tracked")
    assert import_state(method, released).keys() == state.keys()
    assert all(state[ours].shape == released[theirs].shape for theirs, ours in accounting.used.items())


@pytest.mark.parametrize(
    ("file", "parameters", "statistics"),
    [
        ("fusionseg_appearance", 42_647_624, 105_344),
        ("fusionseg_motion", 42_647_624, 105_344),
        ("fusionseg_joint_released", 374, 0),
        # weight and bias of norms counted; two statistics are added for each of the 26 560 channels
        ("motion_maskrcnn_single", 43_975_515, 53_120),
        ("motion_maskrcnn_joint", 73_187_995, 2 * 53_120),
        ("stcnn_joint", 129_662_792, None),
        ("stcnn_seg_branch", 69_779_269, None),
        ("stcnn_pred_branch", 57_966_595, None),
    ],
)
def test_as_many_numbers_as_the_specification_counts(file, parameters, statistics):
    state = import_state(FILES[file][0], layout(file))
    assert numbers(state, *STATISTICS) == parameters
    if statistics is not None:
        assert numbers(state, "num_batches_tracked") - parameters == statistics


@pytest.mark.parametrize("method", ["fusionseg", "motion_maskrcnn", "stcnn"])
def test_names_are_one_to_one(method):
    for kind in layouts(method):
        assert len(set(kind.names.values())) == len(kind.names)


def without_classes(network, prefix):
    return {
        f"{prefix}{name}": value for name, value in network.state_dict().items() if not name.startswith("fc.")
    }


@pytest.mark.parametrize(
    ("file", "prefixes"),
    [
        ("fusionseg_appearance", ["network.appearance.body."]),
        ("fusionseg_motion", ["network.motion.body."]),
        ("stcnn_joint", ["network.generator.encoder.", "network.segmentation.encoder."]),
    ],
)
def test_residual_networks_have_the_names_and_shapes_of_torchvision(file, prefixes):
    with torch.device("meta"):
        theirs = resnet101()
    state = import_state(FILES[file][0], layout(file))
    for prefix in prefixes:
        wanted = without_classes(theirs, prefix)
        found = {name: value for name, value in state.items() if name.startswith(prefix)}
        assert found.keys() == wanted.keys()
        stem = f"{prefix}conv1.weight"
        assert all(found[name].shape == wanted[name].shape for name in wanted if name != stem)
        assert found[stem].shape[1] == (12 if "generator" in prefix else 3)


def torchvision_mask_rcnn(classes):
    with torch.device("meta"):
        backbone = resnet_fpn_backbone(
            backbone_name="resnet50", weights=None, norm_layer=FrozenBatchNorm2d, trainable_layers=5
        )
        return MaskRCNN(backbone, classes)


def test_a_single_stream_fills_the_mask_rcnn_of_torchvision():
    network = {f"network.{name}": value for name, value in torchvision_mask_rcnn(2).state_dict().items()}
    state, accounting = translate("motion_maskrcnn", layout("motion_maskrcnn_single"), network)
    assert accounting.complete
    assert state.keys() == network.keys()


def test_a_network_of_more_classes_conflicts_in_what_depends_on_classes():
    network = {f"network.{name}": value for name, value in torchvision_mask_rcnn(81).state_dict().items()}
    state, accounting = translate("motion_maskrcnn", layout("motion_maskrcnn_single"), network)
    assert {conflict.name.removeprefix("network.roi_heads.") for conflict in accounting.conflicts} == {
        f"{module}.{tensor}"
        for module in ("box_predictor.cls_score", "box_predictor.bbox_pred", "mask_predictor.mask_fcn_logits")
        for tensor in ("weight", "bias")
    }
    assert not accounting.missing
    assert not accounting.unexpected
    assert len(state) + len(accounting.conflicts) == len(network)
    bias = "network.roi_heads.box_predictor.cls_score.bias"
    assert f"another shape: {bias} is (2,) in the file, (81,) in the network" in list(accounting.lines())


def test_the_joint_network_has_two_backbones_and_one_merge():
    _, accounting = translate("motion_maskrcnn", layout("motion_maskrcnn_joint"))
    used = accounting.used
    first, second = "Conv_Body.bodies.0.", "Conv_Body.bodies.1."
    assert used[f"{first}conv_body.res1.conv1.weight"] == "network.backbone.appearance.body.conv1.weight"
    assert used[f"{second}conv_body.res5.2.bn3.bias"] == "network.backbone.motion.body.layer4.2.bn3.bias"
    assert used["Conv_Body.adaptor.4.bias"] == "network.backbone.merge.4.bias"
    appearance = {name for name in used.values() if ".appearance." in name}
    assert {name.replace(".appearance.", ".motion.") for name in appearance} < set(used.values())


def test_pyramid_levels_are_counted_from_the_finest():
    state, accounting = translate("motion_maskrcnn", layout("motion_maskrcnn_single"))
    inputs = [state[f"network.backbone.fpn.inner_blocks.{level}.0.weight"].shape[1] for level in range(4)]
    assert inputs == [256, 512, 1024, 2048]
    assert accounting.used["Conv_Body.posthoc_modules.0.bias"] == "network.backbone.fpn.layer_blocks.3.0.bias"


def test_blocks_of_caffe_are_counted_from_zero():
    used = translate("fusionseg", layout("fusionseg_motion"))[1].used
    body = "network.motion.body."
    assert used["res2c_branch2a_motion/0"] == f"{body}layer1.2.conv1.weight"
    assert used["bn3a_branch1_motion/1"] == f"{body}layer2.0.downsample.1.running_var"
    assert used["scale4b22_branch2c_motion/1"] == f"{body}layer3.22.bn3.bias"
    assert used["fc1_binary_seg_flow_c3_motion/1"] == "network.motion.head.3.bias"


def test_names_of_stcnn():
    used = translate("stcnn", layout("stcnn_joint"))[1].used
    assert (
        used["pred_encoder.layer3.22.bn2.running_var"]
        == "network.generator.encoder.layer3.22.bn2.running_var"
    )
    decoder = "network.generator.decoder."
    assert used["pred_decoder.convC_1.bias"] == f"{decoder}reduce.0.bias"
    assert used["pred_decoder.de_layer2.1.running_mean"] == f"{decoder}stages.1.norm.running_mean"
    assert used["pred_decoder.de_layer3.2.weight"] == f"{decoder}stages.2.deconv.weight"
    assert used["pred_decoder.de_layer3.3.bias"] == f"{decoder}predict.bias"
    decoder = "network.segmentation.decoder."
    assert used["seg_decoder.ppm_conv.3.0.weight"] == f"{decoder}pyramid.3.0.weight"
    assert used["seg_decoder.joint_fpn_out.0.0.0.weight"] == f"{decoder}joins.0.0.weight"
    assert used["seg_decoder.att_out.2.rgConv_list.0.conv2.bias"] == f"{decoder}attentions.2.conv2.bias"
    assert used["seg_decoder.upscale.1.weight"] == f"{decoder}enlarge.1.weight"
    assert used["seg_decoder.conv_last.1.bias"] == f"{decoder}fuse.1.bias"
    alone = translate("stcnn", layout("stcnn_seg_branch"))[1].used
    assert alone["decoder.fpn_out.0.0.0.weight"] == f"{decoder}joins.0.0.weight"
    assert set(alone.values()) | set(translate("stcnn", layout("stcnn_pred_branch"))[1].used.values()) == set(
        used.values()
    )


def caffe2_names():
    """What Detectron's own tables say, spelled out for one tensor of each kind."""
    return {
        "conv1_w": "backbone.body.conv1.weight",
        "res_conv1_bn_s": "backbone.body.bn1.weight",
        "res4_5_branch2c_bn_b": "backbone.body.layer3.5.bn3.bias",
        "res3_0_branch1_w": "backbone.body.layer2.0.downsample.0.weight",
        "fpn_inner_res5_2_sum_b": "backbone.fpn.inner_blocks.3.0.bias",
        "fpn_inner_res2_2_sum_lateral_w": "backbone.fpn.inner_blocks.0.0.weight",
        "fpn_res4_5_sum_w": "backbone.fpn.layer_blocks.2.0.weight",
        "conv_rpn_fpn2_w": "rpn.head.conv.0.0.weight",
        "fc7_b": "roi_heads.box_head.fc7.bias",
        "_[mask]_fcn4_w": "roi_heads.mask_head.3.0.weight",
        "mask_fcn_logits_b": "roi_heads.mask_predictor.mask_fcn_logits.bias",
    }


def test_a_pickle_of_caffe2_fills_a_single_stream_too(tmp_path):
    by_kind = {kind.kind: kind.names for kind in layouts("motion_maskrcnn")}
    names = by_kind["single stream of Caffe2"]
    assert {key: names[key].removeprefix("network.") for key in caffe2_names()} == caffe2_names()
    assert set(names.values()) == set(by_kind["single stream"].values())
    blobs = {name: np.full(2, index, np.float32) for index, name in enumerate(names)}
    spare = {name: np.zeros(2, np.float32) for name in ("conv1_w_momentum", "res2_0_branch1_b", "pred_w")}
    path = tmp_path / "model_final.pkl"
    path.write_bytes(pickle.dumps({"blobs": blobs | spare, "cfg": "a: 1"}, 2))
    state, accounting = translate("motion_maskrcnn", read_released(path))
    assert accounting.complete
    assert accounting.spare == tuple(spare)
    assert "3 tensors left out, which no network needs" in list(accounting.lines())
    assert state["network.backbone.body.layer1.0.bn1.running_var"].tolist() == [1, 1]


def test_norms_of_detectron_have_mean_0_and_variance_1():
    values = {"weight": torch.tensor([2.0, 0.5]), "bias": torch.tensor([1.0, -3.0])}
    released = {f"Conv_Body.conv_body.res1.bn1.{name}": value for name, value in values.items()}
    state, _ = translate("motion_maskrcnn", released)
    norm = FrozenBatchNorm2d(2, eps=0.0)
    prefix = "network.backbone.body.bn1."
    norm.load_state_dict({name.removeprefix(prefix): value for name, value in state.items()})
    x = torch.randn(1, 2, 3, 3)
    expected = x * values["weight"][:, None, None] + values["bias"][:, None, None]
    torch.testing.assert_close(norm(x), expected, rtol=0, atol=0)


def test_statistics_of_caffe_are_divided_by_their_factor():
    released = {
        "bn_conv1/0": torch.tensor([2.0, 4.0]),
        "bn_conv1/1": torch.tensor([1.0, 3.0]),
        "bn_conv1/2": torch.tensor([4.0]),
        "scale_conv1/0": torch.tensor([5.0, 6.0]),
    }
    state, accounting = translate("fusionseg", released)
    prefix = "network.appearance.body.bn1."
    assert state[f"{prefix}running_mean"].tolist() == [0.5, 1.0]
    assert state[f"{prefix}running_var"].tolist() == [0.25, 0.75]
    assert state[f"{prefix}weight"].tolist() == [5, 6]
    assert accounting.factors == ("bn_conv1/2",)
    assert "bn_conv1/2" not in accounting.unexpected
    assert released["bn_conv1/0"].tolist() == [2, 4]


@pytest.mark.parametrize("factor", [[0.0], [-1.0], [1.0, 1.0], [math.nan]])
def test_a_factor_that_divides_nothing(factor):
    released = {"bn_conv1/0": torch.ones(2), "bn_conv1/2": torch.tensor(factor)}
    with pytest.raises(InputError, match="bn_conv1/2 is no factor of statistics"):
        translate("fusionseg", released)


def test_biases_from_before_caffe_had_shapes_are_vectors():
    state, _ = translate("fusionseg", {"conva/1": torch.arange(4.0).reshape(1, 1, 1, 4)})
    assert state["network.fusion.appearance.bias"].shape == (4,)


def test_doubles_and_halves_become_single_and_counters_stay():
    released = {
        "pred_encoder.conv1.weight": torch.ones(1, dtype=torch.float64),
        "pred_encoder.bn1.weight": torch.ones(1, dtype=torch.float16),
        "pred_encoder.bn1.num_batches_tracked": torch.tensor(7),
    }
    state, _ = translate("stcnn", released)
    encoder = "network.generator.encoder."
    assert state[f"{encoder}conv1.weight"].dtype == state[f"{encoder}bn1.weight"].dtype == torch.float32
    assert state[f"{encoder}bn1.num_batches_tracked"].dtype == torch.int64
    assert state[f"{encoder}bn1.num_batches_tracked"] == 7


def test_counters_that_old_files_lack_are_zero():
    old = {name: value for name, value in layout("stcnn_joint").items() if "num_batches" not in name}
    state, accounting = translate("stcnn", old)
    assert accounting.complete
    assert state.keys() == import_state("stcnn", layout("stcnn_joint")).keys()
    assert state["network.segmentation.decoder.fuse.0.1.num_batches_tracked"] == 0


def test_parts_of_one_network_share_no_names():
    parts = [import_state("fusionseg", layout(file)) for file in FILES if file.startswith("fusionseg")]
    assert len(parts) == 3
    assert len(parts[0] | parts[1] | parts[2]) == sum(map(len, parts))


def test_what_lacks_and_what_is_left_over_is_named():
    released = layout("fusionseg_joint_released")
    del released["conv2/1"]
    released["conv3/0"] = torch.empty(1)
    state, accounting = translate("fusionseg", released)
    assert not accounting.complete
    assert accounting.missing == ("network.fusion.output.bias",)
    assert accounting.unexpected == ("conv3/0",)
    assert len(state) == len(accounting.used) == 7
    assert list(accounting.lines()) == [
        "fusionseg, fusion: 7 tensors used, 372 numbers",
        "7 of them under another name, at network.fusion.",
        "missing: network.fusion.output.bias",
        "unexpected: conv3/0",
    ]
    with pytest.raises(
        InputError,
        match=r"^weights of fusionseg \(fusion\): 1 missing \(network\.fusion\.output\.bias\); "
        r"1 unexpected \(conv3/0\)$",
    ):
        import_state("fusionseg", released)


def test_every_tensor_is_in_one_place_of_the_account():
    released = layout("motion_maskrcnn_joint") | {"extra": torch.empty(1)}
    del released["RPN.FPN_RPN_conv.bias"]
    full, _ = translate("motion_maskrcnn", layout("motion_maskrcnn_joint"))
    network = dict(full)
    network["network.backbone.merge.0.weight"] = torch.empty(256, 512, 1, 1)
    del network["network.backbone.merge.4.bias"]
    _, accounting = translate("motion_maskrcnn", released, network)
    assert accounting.missing == ("network.rpn.head.conv.0.0.bias",)
    assert accounting.unexpected == ("Conv_Body.adaptor.4.bias", "extra")
    assert [conflict.name for conflict in accounting.conflicts] == ["network.backbone.merge.0.weight"]
    assert len(accounting.used) + len(accounting.unexpected) + len(accounting.conflicts) == len(released)


def test_many_names_are_cut_short_in_an_error():
    released = dict(list(layout("stcnn_joint").items())[:100])
    with pytest.raises(
        InputError, match=r"\d+ missing \((network\.generator\.[\w.]+, ){4}.* and \d+ more\)$"
    ):
        import_state("stcnn", released)


def test_weights_of_another_network():
    state = resnet50(weights=None).state_dict()
    with pytest.raises(
        InputError, match=r"none of these 320 tensors \(conv1\.weight, .* and 315 more\) is of stcnn"
    ):
        import_state("stcnn", state)


def test_a_method_without_released_weights():
    with pytest.raises(
        InputError, match=r"unknown method with released weights 'fusionsag': did you mean fusionseg"
    ):
        import_state("fusionsag", {})


# files


TENSORS = {"conv1.weight": torch.randn(2, 3), "bn1.num_batches_tracked": torch.tensor(3)}


def same(found, expected=TENSORS):
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_state_dict_of_pytorch(tmp_path):
    torch.save(TENSORS, tmp_path / "a.pth")
    same(read_released(tmp_path / "a.pth"))


@pytest.mark.parametrize("entry", ["model", "state_dict"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_with_an_optimiser_and_numbers_of_numpy(tmp_path, entry, zipped):
    weight = torch.nn.Parameter(torch.zeros(2))
    optimiser = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    content = {
        "step": np.int64(4999),
        "lr": np.float64(0.02),
        "train_size": 10,
        "optimizer": optimiser.state_dict(),
        entry: {f"module.{name}": value for name, value in TENSORS.items()},
    }
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    same(read_released(tmp_path / "a.pth"))


def test_the_kind_of_file_is_seen_from_its_content(tmp_path):
    torch.save(TENSORS, tmp_path / "a.pkl")
    same(read_released(tmp_path / "a.pkl"))
    save_file(TENSORS, tmp_path / "b.weights")
    assert read_released(tmp_path / "b.weights").keys() == TENSORS.keys()


def message(field, content):
    def varint(value):
        return bytes([value & 0x7F | 0x80]) + varint(value >> 7) if value > 0x7F else bytes([value])

    return varint(field << 3 | 2) + varint(len(content)) + content


def caffe_layer(name, *blobs):
    def dimension(side):
        return b"\x08" + (bytes([side]) if side < 128 else bytes([side & 127 | 128, side >> 7]))

    return message(
        100,
        message(1, name.encode())
        + b"".join(
            message(
                7, message(7, b"".join(map(dimension, blob.shape))) + message(5, blob.astype("<f4").tobytes())
            )
            for blob in blobs
        ),
    )


def caffe_model(released, suffix=""):
    layers = {}
    for name, value in released.items():
        layers.setdefault(name.rpartition("/")[0], {})[int(name.rpartition("/")[2])] = value
    return message(1, b"net") + b"".join(
        caffe_layer(name + suffix, *(blobs[index] for index in sorted(blobs)))
        for name, blobs in layers.items()
    )


def test_a_caffe_model(tmp_path):
    random = np.random.default_rng(0)
    released = {
        name: random.normal(size=value.shape) for name, value in layout("fusionseg_joint_released").items()
    }
    path = tmp_path / "joint.caffemodel"
    path.write_bytes(caffe_model(released))
    state = import_state("fusionseg", read_released(path))
    parts = {"both": (4, 4), "appearance": (4, 2), "motion": (4, 2), "output": (2, 4)}
    assert {name: tuple(value.shape) for name, value in state.items()} == {
        **{f"network.fusion.{part}.weight": (*sides, 3, 3) for part, sides in parts.items()},
        **{f"network.fusion.{part}.bias": sides[:1] for part, sides in parts.items()},
    }
    expected = torch.from_numpy(released["convm/0"]).float()
    assert torch.equal(state["network.fusion.motion.weight"], expected)


@pytest.mark.slow
def test_a_stream_of_full_size_is_read_in_seconds_and_in_its_own_memory(tmp_path):
    released = {
        name: np.ones(value.shape, np.float32) for name, value in layout("fusionseg_appearance").items()
    }
    path = tmp_path / "stream.caffemodel"
    path.write_bytes(caffe_model(released))
    size = path.stat().st_size
    del released
    tracemalloc.start()
    started = time.perf_counter()
    state = import_state("fusionseg", read_released(path))
    took = time.perf_counter() - started
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert numbers(state, "num_batches_tracked") == 42_752_968
    assert took < 10
    assert peak < 1.25 * size


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_that_would_run_something_is_refused(tmp_path, zipped):
    content = {"model": TENSORS, "args": Malicious(tmp_path / "made")}
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    with pytest.raises(
        InputError, match=r"a\.pth: .*damaged, or it holds more than data, which is never run"
    ) as raised:
        read_released(tmp_path / "a.pth")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "made").exists()


def test_a_whole_network_instead_of_its_weights_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "a.pth")
    with pytest.raises(InputError, match="more than data"):
        read_released(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "content", [{}, [torch.ones(1)], {"a": 3}, {"model": {"a": [1]}}, {3: torch.ones(1)}]
)
def test_a_file_of_pytorch_without_weights(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"a\.pth: .*state dict"):
        read_released(tmp_path / "a.pth")


def test_numbers_that_are_not_finite(tmp_path):
    torch.save({"a": torch.tensor([1, math.inf])}, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"a\.pth: 'a' holds numbers that are not finite"):
        read_released(tmp_path / "a.pth")


@pytest.mark.parametrize("suffix", [".pth", ".pkl", ".safetensors", ".caffemodel", ".txt"])
def test_noise_of_any_name(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"weights of nothing" * 9)
    with pytest.raises(InputError, match=rf"a\{suffix}: "):
        read_released(path)


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"a\.pth: cannot be read \(No such file"):
        read_released(tmp_path / "a.pth")


def files(path):
    torch.save({"model": TENSORS, "lr": np.float64(1)}, path)
    yield path.read_bytes()
    torch.save({"model": TENSORS}, path, _use_new_zipfile_serialization=False)
    yield path.read_bytes()
    save_file(TENSORS, path)
    yield path.read_bytes()
    yield pickle.dumps({"blobs": {"a": np.ones(3)}}, 2)


def test_files_that_are_cut_off_or_changed_are_named_or_read(tmp_path):
    path = tmp_path / "a.pth"
    random = np.random.default_rng(0)
    for content in files(tmp_path / "sound.pth"):
        damaged = [content[:end] for end in random.integers(0, len(content), 20)]
        for _ in range(60):
            changed = bytearray(content)
            changed[random.integers(len(content))] ^= 1 << int(random.integers(8))
            damaged.append(bytes(changed))
        for index, data in enumerate(damaged):
            path.write_bytes(data)
            try:
                found = read_released(path)
            except InputError as error:
                text = str(error)
                assert path.name in text, text
                assert "\n" not in text, text
            else:
                assert index >= 20, "a file that is cut off"
                assert all(isinstance(value, torch.Tensor) for value in found.values())


def test_a_complete_account_says_so():
    accounting = translate("fusionseg", layout("fusionseg_joint_released"))[1]
    assert isinstance(accounting, Accounting)
    assert accounting.summary() == "weights of fusionseg (fusion): all tensors have a place"
    assert accounting.renamed["conva/0"] == "network.fusion.appearance.weight"


def test_files_of_python_2_and_pytorch_0_4(tmp_path):
    """Texts were bytes then; the weights follow the pickles."""
    weight = np.arange(6, dtype="<f4").reshape(2, 3)

    def text(value):
        return b"U" + bytes([len(value)]) + value

    storage = b"(" + text(b"storage") + b"ctorch\nFloatStorage\n" + text(b"7") + text(b"cpu") + b"K\x06NtQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00K\x02K\x03\x86K\x03K\x01\x86\x89"
    tensor += b"ccollections\nOrderedDict\n)RtR"
    header = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."
    system = b"\x80\x02}(" + text(b"little_endian") + b"\x88u."
    state = b"\x80\x02ccollections\nOrderedDict\n)R(" + text(b"pred_encoder.conv1.weight") + tensor + b"u."
    keys = b"\x80\x02]" + text(b"7") + b"a."
    path = tmp_path / "old.pth"
    path.write_bytes(header + system + state + keys + struct.pack("<q", 6) + weight.tobytes())
    same(read_released(path), {"pred_encoder.conv1.weight": torch.from_numpy(weight)})
