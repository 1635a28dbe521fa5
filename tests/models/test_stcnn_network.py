import json
import math
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.models import resnet101

from tests.rounding import assert_rounded
from vosbench.models.layers.resnet import ResNet
from vosbench.models.pretrained.author_weights import translate
from vosbench.models.stcnn.blocks import TINY, STCNNWidths, crop_to, start_as_bilinear
from vosbench.models.stcnn.discriminator import Discriminator
from vosbench.models.stcnn.generator import Generator
from vosbench.models.stcnn.network import STCNNNet
from vosbench.models.stcnn.segmentation import Attention, SpatialBranch

GOLDEN = Path(__file__).parents[1] / "golden" / "stcnn"
LAYOUTS = GOLDEN.parent / "checkpoints"
LARGEST = 4096 * 256 * 9
"""Numbers of the largest tensor."""


def size(module):
    return sum(parameter.numel() for parameter in module.parameters())


def picture(shape, phase):
    """The input of the goldens."""
    i = np.arange(math.prod(shape), dtype=np.float64)
    waves = np.sin(0.05 * i + phase) + 0.5 * np.cos(0.0031 * i * (1 + phase))
    return torch.from_numpy(waves.astype(np.float32)).reshape(shape)


def filled(kind):
    """A released file of that layout, its tensors with the goldens' values."""
    layout = json.loads((LAYOUTS / f"stcnn_{kind}.json").read_text(encoding="utf-8"))
    i = np.arange(LARGEST, dtype=np.int64)
    angle = 0.37 + 0.618034 * i + 1.7 * ((i * i) % 97) / 97
    norms = {name.rpartition(".")[0] for name in layout if name.endswith("running_mean")}

    def value(name, shape):
        module, _, tensor = name.rpartition(".")
        if tensor == "num_batches_tracked":
            return torch.tensor(0)
        key = zlib.crc32(name.encode()) % 1000003
        v = np.sin(angle[: math.prod(shape)] + 0.001 * key)
        if tensor == "running_var":
            v = 1 + 0.2 * np.abs(v)
        elif tensor == "weight" and module in norms:
            v = (1 + 0.1 * v) * (0.25 if module.endswith("bn3") else 1)
        elif tensor == "weight":
            v *= math.sqrt(2 / math.prod(shape[1:]))
        else:
            v *= 0.05
        return torch.from_numpy(v.astype(np.float32)).reshape(tuple(shape))

    return {name: value(name, shape) for name, shape in layout.items()}


def empty(**switches):
    """A network of full size without numbers."""
    with torch.device("meta"):
        return STCNNNet(**switches)


def as_released(kind, **switches):
    """The network of the authors in a test, with the goldens' weights."""
    net = empty(released=True, **switches)
    expected = {f"network.{name}": value for name, value in net.state_dict().items()}
    state, accounting = translate("stcnn", filled(kind), expected)
    assert accounting.complete
    assert state.keys() == expected.keys()
    net.load_state_dict({name.removeprefix("network."): each for name, each in state.items()}, assign=True)
    return net.eval()


def assert_golden(found, wanted):
    assert found.shape == wanted.shape
    assert np.abs(found.numpy() - wanted).max() <= 1e-4 * np.abs(wanted).max()


def tiny(**switches):
    torch.manual_seed(0)
    return STCNNNet(widths=TINY, **switches)


def inputs(height=33, width=49, delta=4, count=1):
    torch.manual_seed(1)
    return torch.rand(count, 3 * delta, height, width) * 2 - 1, torch.randn(count, 3, height, width)


def test_computes_what_the_released_joint_network_does():
    net = as_released("joint")
    golden = np.load(GOLDEN / "stcnn_joint_64x96.npz")
    past, frame = picture((1, 12, 64, 96), 0.1), picture((1, 3, 64, 96), 0.9)
    with torch.inference_mode():
        output = net(past, frame)
    for index, logits in enumerate(output.logits):
        assert_golden(logits, golden[f"out{index}"])
    assert_golden(output.predicted, golden["predicted_frame"])
    # the weights of the temporal branch by itself have the same names, so the same values
    assert_golden(output.predicted, np.load(GOLDEN / "stcnn_pred_branch_64x96.npz")["out0"])


@pytest.mark.slow
def test_computes_what_the_released_spatial_branch_does():
    net = as_released("seg_branch", tcb=False)
    golden = np.load(GOLDEN / "stcnn_seg_branch_64x96.npz")
    with torch.inference_mode():
        output = net(None, picture((1, 3, 64, 96), 0.9))
    for index, logits in enumerate(output.logits):
        assert_golden(logits, golden[f"out{index}"])
    assert output.predicted is None


def test_parameters_as_published():
    net = empty()
    assert size(net) == 129_662_792
    assert size(net.generator) == 57_966_595
    assert size(net.generator.decoder) == 15_438_211
    assert size(net.segmentation.encoder) == 42_500_160
    assert size(net.segmentation.decoder) == 29_196_037
    assert [size(each) for each in net.segmentation.decoder.attentions] == [1_181_184] * 3
    alone = empty(tcb=False)
    assert size(alone) == 69_779_269
    assert size(alone.segmentation.decoder) == 27_279_109
    assert size(net) - size(empty(attention=False)) == 3 * 1_181_184
    assert size(empty(released=True)) == 129_662_792


@pytest.mark.parametrize(
    ("delta", "count"), [(3, 42_518_976), (4, 42_528_384), (5, 42_537_792), (6, 42_547_200)]
)
def test_parameters_of_the_temporal_encoder(delta, count):
    with torch.device("meta"):
        assert size(Generator(delta).encoder) == count


@pytest.mark.parametrize(("outputs", "count"), [(1, 21_787_617), (2, 21_789_666)])
def test_parameters_of_the_discriminator(outputs, count):
    with torch.device("meta"):
        assert size(Discriminator(outputs)) == count


def test_strides_and_dilations_as_published():
    net = empty()
    for branch, strides, dilations in (
        (net.generator, (1, 2, 2, 2), ({1}, {1}, {1}, {1})),
        (net.segmentation, (1, 2, 1, 1), ({1}, {1}, {2}, {2, 4})),
    ):
        stages = [getattr(branch.encoder, f"layer{number}") for number in (1, 2, 3, 4)]
        assert tuple(stage[0].conv1.stride[0] for stage in stages) == strides
        assert {block.conv2.stride for stage in stages for block in stage} == {(1, 1)}
        assert tuple({block.conv2.dilation[0] for block in stage} for stage in stages) == dilations
    assert [block.conv2.dilation[0] for block in net.segmentation.encoder.layer4] == [2, 4, 2]
    assert net.segmentation.encoder.maxpool.ceil_mode
    assert not net.generator.encoder.maxpool.ceil_mode


@pytest.mark.parametrize("switches", [{}, {"released": True}, {"topdown": "code_crop"}])
def test_sizes_of_the_maps(switches):
    net = tiny(**switches).eval()
    with torch.inference_mode():
        output = net(*inputs(97, 131, count=2))
    assert [each.shape for each in output.logits] == [(2, 1, 97, 131)] * 5
    assert output.predicted.shape == (2, 3, 25, 33)
    assert output.predicted.abs().max() <= 1


def test_sizes_of_the_maps_at_480p():
    with torch.device("meta"):
        net = STCNNNet(widths=TINY).eval()
        prediction = net.predict(torch.empty(1, 12, 480, 854))
        logits = net.segment(torch.empty(1, 3, 480, 854), prediction.features)
    assert prediction.frame.shape == (1, 3, 120, 214)
    assert [tuple(each.shape[2:]) for each in prediction.features] == [(30, 54), (60, 107), (120, 214)]
    # the pooling of this branch rounds up
    eighth, quarter = (61, 107), (121, 214)
    assert [tuple(each.shape[2:]) for each in logits] == [eighth, eighth, eighth, quarter, quarter]


@pytest.mark.parametrize("delta", [3, 4, 5, 6])
def test_any_number_of_past_frames(delta):
    net = tiny(delta=delta).eval()
    assert net(*inputs(delta=delta)).predicted.shape == (1, 3, 9, 13)


def test_mixed_precision():
    net = tiny()
    net.eval()
    past, frame = inputs()
    with torch.no_grad():
        wanted = net(past, frame)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = net(past, frame)
    for ours, theirs in zip(
        (*found.logits, found.predicted), (*wanted.logits, wanted.predicted), strict=True
    ):
        assert (ours.float() - theirs).abs().max() <= 0.05 * theirs.abs().max()


def gradients(net):
    return {name for name, parameter in net.named_parameters() if parameter.grad is not None}


def test_segmentation_gives_no_gradient_to_the_temporal_branch():
    net = tiny()
    output = net(*inputs())
    sum(each.sum() for each in output.logits).backward(retain_graph=True)
    own = {name for name, _ in net.named_parameters() if name.startswith("segmentation.")}
    assert gradients(net) == own
    output.predicted.sum().backward()
    assert gradients(net) == {name for name, _ in net.named_parameters()}


def test_segmentation_gives_a_gradient_to_the_temporal_branch_when_it_may():
    net = tiny(detach_tcb=False)
    sum(each.sum() for each in net(*inputs()).logits).backward()
    missing = {name for name, _ in net.named_parameters()} - gradients(net)
    assert missing == {"generator.decoder.predict.weight", "generator.decoder.predict.bias"}


def test_past_frames_matter_with_a_temporal_branch_only():
    past, frame = inputs()
    for tcb in (True, False):
        net = tiny(tcb=tcb).eval()
        with torch.no_grad():
            same = torch.equal(net(past, frame).logits[-1], net(-past, frame).logits[-1])
        assert same == (not tcb)
    with pytest.raises(ValueError, match="no temporal branch"):
        net.predict(past)


def test_without_past_frames_temporal_features_are_zero():
    net = tiny().eval()
    past, frame = inputs()
    with torch.no_grad():
        zeros = [torch.zeros_like(each) for each in net.predict(past).features]
        assert torch.equal(net.segment(frame)[-1], net.segment(frame, zeros)[-1])


def test_so_the_branch_by_itself_is_part_of_the_joint_network():
    joint, alone = tiny().eval(), tiny(tcb=False).eval()
    own = joint.segmentation.state_dict()
    state = {
        name: value[:, : alone.segmentation.state_dict()[name].shape[1]] if value.ndim == 4 else value
        for name, value in own.items()
    }
    alone.segmentation.load_state_dict(state)
    _, frame = inputs()
    with torch.no_grad():
        both = (net.double().segment(frame.double()) for net in (alone, joint))
        for ours, theirs in zip(*both, strict=True):
            assert_rounded(ours, theirs)


def test_attention_by_hand():
    torch.manual_seed(0)
    block, x = Attention(8).eval(), torch.randn(2, 8, 5, 7)
    none, whole = torch.zeros(2, 1, 5, 7), torch.ones(2, 1, 5, 7)
    with torch.no_grad():
        assert torch.equal(block(x, none), x)
        added = block(x, whole) - x
        assert_rounded(block(x, 0.5 * whole), x + 0.5 * added)
        assert added.abs().max() > 0.01
        block.conv2.weight.zero_()
        block.conv2.bias.zero_()
        assert torch.equal(block(x, whole), x)


def test_without_attention_features_stay_as_they_are():
    """Where no coarser map lets anything through, attention is as if it were not there."""
    net, plain = tiny().eval(), tiny(attention=False).eval()
    plain.load_state_dict({name: each for name, each in net.state_dict().items() if "attentions" not in name})
    past, frame = inputs()
    with torch.no_grad():
        assert not torch.equal(net(past, frame).logits[1], plain(past, frame).logits[1])
        for block in net.segmentation.decoder.attentions:
            block.conv2.weight.zero_()
            block.conv2.bias.zero_()
        assert torch.equal(net(past, frame).logits[-1], plain(past, frame).logits[-1])


def test_resized_features_stay_where_they_are_on_the_way_down():
    """The released crop shows the middle of the coarser map, twice as large, where the sizes are equal."""
    ramp = torch.arange(16.0).expand(1, 32, 16, 16)
    for topdown, second in (("resize", 1.0), ("code_crop", 4.25)):
        decoder = SpatialBranch(topdown=topdown, widths=TINY).decoder
        start_as_bilinear(decoder.enlarge[2])
        with torch.no_grad():
            row = decoder._down(2, ramp, torch.Size([16, 16]))[0, 0, 8]
        assert row[1].item() == pytest.approx(second, abs=0.01)


def test_crop_by_the_released_rule():
    x = torch.arange(1.0, 8).expand(1, 1, 7, 7)
    assert crop_to(x, (7, 4))[0, 0, 0].tolist() == [2, 3, 4, 5]
    assert crop_to(x, (7, 8))[0, 0, 0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert crop_to(x, (5, 9)).shape == (1, 1, 5, 9)


def test_the_temporal_branch_starts_by_enlarging_bilinearly():
    stage = Generator(widths=TINY).decoder.stages[1]
    x = torch.randn(1, stage.deconv.in_channels, 6, 8)
    wanted = torch.nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    with torch.no_grad():
        found = stage.deconv(x)[..., 1:-1, 1:-1]
    assert_rounded(found[..., 1:-1, 1:-1], wanted[..., 1:-1, 1:-1])


def test_stem_of_the_temporal_branch_is_that_of_one_frame_repeated(tmp_path):
    torch.manual_seed(0)
    one = ResNet(TINY.blocks, TINY.width)
    torch.save(one.state_dict(), tmp_path / "resnet.pth")
    net = tiny(delta=3)
    loaded = net.load_encoders(tmp_path / "resnet.pth")
    assert {name: each.fresh for name, each in loaded.items()} == {"generator": (), "segmentation": ()}
    assert torch.equal(net.generator.encoder.conv1.weight, torch.cat([one.conv1.weight] * 3, dim=1))
    assert torch.equal(net.segmentation.encoder.conv1.weight, one.conv1.weight)
    assert list(tiny(tcb=False).load_encoders(tmp_path / "resnet.pth")) == ["segmentation"]


def test_weights_of_torchvision_have_the_names_of_both_branches():
    with torch.device("meta"):
        published = {name for name in resnet101().state_dict() if not name.startswith("fc.")}
    net = empty()
    for branch in (net.generator, net.segmentation):
        assert branch.encoder.state_dict().keys() == published


@pytest.mark.parametrize(
    ("stage", "trained"),
    [
        ("temporal", {"generator"}),
        ("spatial", {"segmentation"}),
        ("joint", {"generator", "segmentation"}),
        ("online", {"segmentation"}),
    ],
)
@pytest.mark.parametrize("frozen", [True, False])
def test_a_stage_trains_its_part_only(stage, trained, frozen):
    net = tiny()
    net.train_stage(stage, frozen_norm=frozen)
    net.train()
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    output = net(*inputs(count=2))
    (sum(each.sum() for each in output.logits) + output.predicted.sum()).backward()
    assert {name.split(".")[0] for name in gradients(net)} == trained
    moved = {name for name, buffer in net.named_buffers() if not torch.equal(buffer, before[name])}
    assert {name.split(".")[0] for name in moved} == trained - ({"segmentation"} if frozen else set())
    norms = {name for name in gradients(net) if name.startswith("segmentation.") and ".bn1." in name}
    assert bool(norms) == ("segmentation" in trained)


def test_statistics_of_the_frames_themselves_in_a_test_leave_no_trace():
    stored, batch = tiny(), tiny(tcb_bn_test_mode="batch")
    batch.load_state_dict(stored.state_dict())
    past, frame = inputs()
    before = {name: value.clone() for name, value in batch.state_dict().items()}
    with torch.no_grad():
        in_training = batch.train().predict(past).frame
        batch.load_state_dict(before)
        in_test = batch.eval().predict(past).frame
        assert torch.equal(in_test, in_training)
        assert not torch.equal(in_test, stored.eval().predict(past).frame)
        stored.segment(frame)
    after = batch.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    batch.train()
    batch.predict(past)
    assert batch.generator.encoder.bn1.num_batches_tracked == 1


def test_widths_of_tiny_are_the_published_ones_over_eight():
    wide, small = empty().state_dict(), tiny().state_dict()
    assert STCNNWidths().width == 8 * TINY.width
    assert small.keys() <= wide.keys()
    name = "segmentation.decoder.joins.2.0.weight"
    assert wide[name].shape == (256, 768, 3, 3)
    assert small[name].shape == (32, 96, 3, 3)
