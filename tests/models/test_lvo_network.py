import math

import pytest
import torch
from torch import nn

from tests.rounding import assert_rounded
from vosbench.models.layers.deeplab import grid
from vosbench.models.layers.recurrent import ConvGRU
from vosbench.models.lvo.network import APPEARANCES, LITE, TINY, LVONet, LVOWidths

SMALL = LVOWidths(motion=4, appearance=4, blocks=(1, 1, 1, 1), reduction=(8, 6), memory=4)


def parameters(module):
    return 0 if module is None else sum(parameter.numel() for parameter in module.parameters())


def trained(network):
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def meta(*arguments, **keys):
    with torch.device("meta"):
        return LVONet(*arguments, **keys)


def small(**keys):
    torch.manual_seed(0)
    return LVONet(**{"appearance": "rgb", "widths": SMALL} | keys).eval()


def features(network, frames=5, batch=1, size=(6, 7)):
    return torch.randn(batch, frames, network.in_channels, *size)


@pytest.mark.parametrize(
    ("appearance", "bidirectional", "count"),
    [
        ("deeplab_v1_fc6", True, 2_185_154),
        ("deeplab_v1_fc6", False, 2_111_362),
        ("deeplab_v1_fc7", True, 2_185_154),
        ("deeplab_v2", True, 2_054_082),
    ],
)
def test_what_is_trained_has_the_published_number_of_parameters(appearance, bidirectional, count):
    assert trained(meta(appearance, bidirectional=bidirectional)) == count


@pytest.mark.parametrize(
    ("keys", "channels", "count"),
    [
        ({}, 129, 1_815_936),
        ({"appearance": "none"}, 1, 611_712),
        ({"appearance": "rgb"}, 4, 639_936),
        ({"appearance": "cnn2"}, 129, 1_815_936),
        ({"appearance": "deeplab_v1_conv5"}, 129, 1_815_936),
        ({"motion": "none"}, 128, 1_806_528),
        ({"memory": "convrnn"}, 129, 605_312),
        ({"memory": "convlstm"}, 129, 2_421_248),
        ({"memory": "none"}, 129, 1_812_214),
    ],
)
def test_memory_counts_of_table_4(keys, channels, count):
    network = meta(**keys)
    assert (network.in_channels, parameters(network.memory)) == (channels, count)


def test_counts_of_the_other_trained_parts():
    assert parameters(meta("deeplab_v1_fc6").reduction) == 295_296
    network = meta("deeplab_v2")
    assert parameters(network.reduction) == 164_224
    assert parameters(network.merge) == 73_792
    assert parameters(network.classifier) == 130
    assert parameters(meta("cnn2").appearance) == 75_648
    assert meta(bidirectional=False).merge is None


def test_counts_of_the_streams():
    assert parameters(meta("rgb").motion) == 10_774_209
    # ResNet-101, four convolutions before the maximum, prediction
    assert parameters(meta("deeplab_v2").appearance) == 42_500_160 + 37_750_784 + 10_773


def test_six_convolutions_have_widths_75():
    convolutions = [m for m in meta(memory="none").memory.modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convolutions] == [75, 75, 75, 75, 75, 64]
    assert {c.kernel_size for c in convolutions} == {(7, 7)}


def test_reduction_has_a_tanh_after_each_convolution():
    kinds = [type(layer) for layer in meta("deeplab_v2").reduction]
    assert kinds == [nn.Conv2d, nn.Tanh, nn.Conv2d, nn.Tanh]


@pytest.mark.parametrize(
    ("size", "expected"), [((480, 854), (60, 107)), ((97, 131), (12, 16)), ((2, 3), (1, 1))]
)
def test_grid_is_an_eighth_rounded(size, expected):
    assert grid(*size) == expected


@pytest.mark.parametrize("appearance", [name for name in APPEARANCES if name != LITE])
def test_every_appearance_comes_to_the_grid_of_odd_frames(appearance):
    network = LVONet(appearance, widths=SMALL).eval()
    with torch.no_grad():
        x = network.features(torch.randn(2, 3, 97, 131), torch.rand(2, 1, 48, 65))
        assert x.shape == (2, network.in_channels, 12, 16)
        assert network.remember(x[None]).shape == (1, 2, 2, 12, 16)


def test_davis_frames_come_to_60x107():
    network = LVONet("rgb", widths=SMALL).eval()
    x = network.features(torch.randn(1, 3, 480, 854), torch.rand(1, 1, 116, 212))
    assert x.shape == (1, 4, 60, 107)


def test_streams_and_memory_together_are_streams_then_memory():
    network = small(appearance="cnn2")
    frames, code = torch.randn(2, 3, 3, 40, 48), torch.randn(2, 3, 2, 32, 40)
    motion = network.motion_probability(code.flatten(0, 1))
    x = network.features(frames.flatten(0, 1), motion).unflatten(0, (2, 3))
    assert_rounded(network(frames, code), network.remember(x))


def test_motion_is_the_last_channel_resized_corner_to_corner():
    network = small(appearance="none")
    ramp = torch.linspace(0, 1, 9).expand(1, 1, 9, 9)
    x = network.features(torch.zeros(1, 3, 40, 40), ramp)
    assert_rounded(x[0, 0, 0], torch.linspace(0, 1, 5), 8)


@pytest.mark.parametrize("memory", ["convgru", "convlstm", "convrnn"])
def test_state_is_zero_before_every_video(memory):
    network = small(memory=memory)
    first, second = features(network), features(network)
    with torch.no_grad():
        alone = network.remember(second)
        network.remember(first)
        assert torch.equal(network.remember(second), alone)


def test_forward_only_memory_does_not_know_the_future():
    network = small(bidirectional=False)
    x = features(network)
    other = x.clone()
    other[:, 3:] = torch.randn_like(other[:, 3:])
    with torch.no_grad():
        before, after = network.remember(x), network.remember(other)
    assert torch.equal(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


def test_memory_in_both_directions_knows_the_future():
    network = small()
    x = features(network)
    other = x.clone()
    other[:, -1] += 1
    with torch.no_grad():
        assert not torch.allclose(network.remember(x)[:, 0], network.remember(other)[:, 0], atol=1e-6)


def test_without_memory_every_frame_is_alone():
    network = small(memory="none")
    x = features(network)
    other = x.clone()
    other[:, 2] += 1
    with torch.no_grad():
        same = (network.remember(x) == network.remember(other)).flatten(2).all(dim=2)[0]
    assert same.tolist() == [True, True, False, True, True]
    assert network.merge is None


def test_time_reversal_is_swapping_the_halves_of_the_merge():
    network = small().double()
    x = features(network).double()
    with torch.no_grad():
        y = network.remember(x)
        unswapped = network.remember(x.flip(1))
        forward, backward = network.merge.weight.chunk(2, dim=1)
        network.merge.weight.copy_(torch.cat([backward, forward], dim=1))
        reversed_ = network.remember(x.flip(1))
    assert_rounded(reversed_.flip(1), y)
    assert (unswapped.flip(1) - y).abs().max() > 1e-3


def scalar_gru(update_bias=0.0, reset_bias=0.0):
    """A ConvGRU of one channel with 1x1 kernels and all weights 1."""
    gru = ConvGRU(1, 1, kernel=1)
    for convolution in (gru.inputs, gru.hidden):
        nn.init.ones_(convolution.weight)
    with torch.no_grad():
        gru.inputs.bias.zero_()
        gru.inputs.bias[gru.rows("update")] = update_bias
        gru.inputs.bias[gru.rows("reset")] = reset_bias
    return gru


def one(value):
    return torch.full((1, 1, 1, 1), float(value))


def test_gates_by_hand():
    """x = 1, h = 0.5: z = r = sigmoid(1.5), c = tanh(1 + 0.5 r), h' = (1 - z) 0.5 + z c."""
    seen = {}
    gru = scalar_gru()
    with torch.no_grad():
        hidden, _ = gru(one(1)[None], one(0.5), watch=lambda t, gates: seen.update(gates))
    assert seen["reset"].item() == pytest.approx(0.817574, abs=1e-6)
    assert seen["update"].item() == pytest.approx(0.817574, abs=1e-6)
    assert hidden.item() == pytest.approx(0.816595, abs=1e-6)


@pytest.mark.parametrize("state", [-0.7, 0.0, 0.5])
def test_closed_and_open_gates(state):
    with torch.no_grad():
        kept, _ = scalar_gru(update_bias=-50)(one(1)[None], one(state))
        replaced, _ = scalar_gru(update_bias=50, reset_bias=-50)(one(1)[None], one(state))
    assert kept.item() == pytest.approx(state, abs=1e-6)
    assert replaced.item() == pytest.approx(math.tanh(1), abs=1e-6)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_gates_of_every_step_can_be_watched(bidirectional):
    network = small(bidirectional=bidirectional)
    x = features(network, frames=3)
    steps = []
    with torch.no_grad():
        seen = network.remember(x, lambda t, gates: steps.append((t, {k: v.shape for k, v in gates.items()})))
        assert torch.equal(seen, network.remember(x))
    assert [t for t, _ in steps] == [0, 1, 2]
    shape = (1, SMALL.memory, 6, 7)
    assert all(gates == {"reset": shape, "update": shape} for _, gates in steps)


@pytest.mark.parametrize("appearance", [name for name in APPEARANCES if name != LITE])
def test_streams_are_frozen(appearance):
    network = LVONet(appearance, widths=SMALL)
    names = {
        name for name, part in network.named_children() if any(p.requires_grad for p in part.parameters())
    }
    head = {"appearance"} if appearance == "cnn2" else {"reduction"} if "deeplab" in appearance else set()
    assert names == {"memory", "merge", "classifier"} | head


def test_frozen_batch_normalisation_stays_in_eval_mode():
    network = LVONet(widths=SMALL).train()
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [norm.running_mean.clone() for norm in norms]
    network(torch.randn(1, 2, 3, 32, 40), torch.randn(1, 2, 2, 32, 32)).sum().backward()
    assert network.memory.training
    assert not any(norm.training for norm in norms)
    assert all(torch.equal(norm.running_mean, mean) for norm, mean in zip(norms, before, strict=True))
    assert all((p.grad is not None) == p.requires_grad for p in network.parameters())


def test_the_appearance_stage_trains_the_deeplab_alone():
    network = LVONet(widths=SMALL).train()
    network.train_stage("appearance")
    assert {n.split(".")[0] for n, p in network.named_parameters() if p.requires_grad} == {"appearance"}
    assert network.scores(torch.randn(2, 3, 33, 41)).shape == (2, 21, 4, 5)


@pytest.mark.parametrize("frozen", [True, False])
def test_batch_normalisation_of_the_appearance_stage(frozen):
    network = LVONet(widths=SMALL)
    network.train_stage("appearance", frozen_norm=frozen)
    norms = [m for m in network.train().appearance.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert {norm.training for norm in norms} == {not frozen}


def test_xavier_outside_the_recurrence():
    torch.manual_seed(0)
    network = LVONet("cnn2")
    for convolution in (network.merge, network.classifier, network.appearance[1]):
        area = convolution.kernel_size[0] ** 2
        bound = math.sqrt(6 / (area * (convolution.in_channels + convolution.out_channels)))
        assert 0.9 * bound < convolution.weight.abs().max() <= bound
        assert not convolution.bias.any()


def test_streams_say_what_they_miss():
    with pytest.raises(ValueError, match="needs motion"):
        small().features(torch.randn(1, 3, 32, 32))
    with pytest.raises(ValueError, match="no motion stream"):
        small(motion="none").motion_probability(torch.randn(1, 2, 32, 32))
    with pytest.raises(ValueError, match="no DeepLab"):
        small().scores(torch.randn(1, 3, 32, 32))


def test_tiny_keeps_the_topology():
    tiny, full = LVONet(widths=TINY), meta()
    convolutions = [
        [m.kernel_size for m in network.memory.modules() if isinstance(m, nn.Conv2d)]
        for network in (tiny, full)
    ]
    assert convolutions[0] == convolutions[1]
    assert parameters(tiny) < 2_000_000
