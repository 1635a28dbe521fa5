"""Convolutional memories: their formulas step by step, their state, their gates, their sizes."""

import copy
import os
import shutil
import weakref

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.rounding import assert_rounded
from vosbench.models.layers import fast_convolution, recurrent
from vosbench.models.layers.recurrent import MEMORIES, ConvGRU, ConvLSTM, both_directions


def conv(x, weight):
    return F.conv2d(x, weight, padding=weight.shape[-1] // 2)


def sums(memory, x, h, gate):
    """Wx x + Wh h + b of one gate."""
    rows = memory.rows(gate)
    found = conv(x, memory.inputs.weight[rows]) + conv(h, memory.hidden.weight[rows])
    if memory.inputs.bias is not None:
        found = found + memory.inputs.bias[rows][:, None, None]
    return memory.norms[memory.gates.index(gate)](found) if memory.norms else found


def gru_by_the_formula(memory, x, state):
    (h,) = state
    z, r = (torch.sigmoid(sums(memory, x, h, gate)) for gate in ("update", "reset"))
    c = torch.tanh(sums(memory, x, r * h, "candidate"))
    return ((1 - z) * h + z * c,)


def lstm_by_the_formula(memory, x, state):
    h, cell = state
    i, f, o = (torch.sigmoid(sums(memory, x, h, gate)) for gate in ("input", "forget", "output"))
    cell = f * cell + i * torch.tanh(sums(memory, x, h, "candidate"))
    return (o * torch.tanh(cell), cell)


def rnn_by_the_formula(memory, x, state):
    return (torch.tanh(sums(memory, x, state[0], "candidate")),)


FORMULAS = {"convgru": gru_by_the_formula, "convlstm": lstm_by_the_formula, "convrnn": rnn_by_the_formula}


def by_the_formula(kind, memory, x):
    state = (x.new_zeros(x.shape[0], memory.channels, *x.shape[-2:]),) * memory.states
    outputs = []
    for t in range(x.shape[1]):
        state = FORMULAS[kind](memory, x[:, t], state)
        outputs.append(state[0])
    return torch.stack(outputs, dim=1)


@pytest.fixture(params=sorted(MEMORIES))
def kind(request):
    return request.param


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize(("kernel", "norm"), [(1, None), (3, lambda n: nn.GroupNorm(2, n)), (7, None)])
def test_values_and_gradients_are_those_of_the_formula(kind, kernel, norm):
    memory = MEMORIES[kind](5, 4, kernel, norm=norm).double()
    plain = copy.deepcopy(memory)
    x = torch.randn(2, 4, 5, 9, 11, dtype=torch.float64, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    found, expected = memory(x)[0], by_the_formula(kind, plain, y)
    assert_rounded(found, expected)
    with torch.no_grad():
        assert_rounded(memory(x)[0], expected)

    weights = torch.randn_like(found)
    gradients = torch.autograd.grad((found * weights).sum(), [x, *memory.parameters()])
    others = torch.autograd.grad((expected * weights).sum(), [y, *plain.parameters()])
    for gradient, other in zip(gradients, others, strict=True):
        assert_rounded(gradient, other)


def test_the_sizes_are_those_of_the_papers():
    def count(module):
        return sum(parameter.numel() for parameter in module.parameters())

    assert {kind: count(memory(129)) for kind, memory in MEMORIES.items()} == {
        "convgru": 1_815_936,
        "convlstm": 2_421_248,
        "convrnn": 605_312,
    }
    assert count(ConvGRU(1)) == 611_712
    # the memory of LIP: a normalisation of the sum takes the place of the bias
    assert count(ConvGRU(256, 256, 3, bias=False, norm=lambda n: nn.GroupNorm(32, n))) == 3_540_480


def test_weights_start_uniform_and_biases_at_zero(kind):
    memory = MEMORIES[kind](6, 8, 5)
    assert not memory.inputs.bias.any()
    for layer, inputs in ((memory.inputs, 6), (memory.hidden, 8)):
        bound = (inputs * 25) ** -0.5
        assert 0.95 * bound < float(layer.weight.detach().abs().max()) <= bound


def test_kernels_have_a_centre():
    with pytest.raises(ValueError, match="odd, got 4"):
        ConvGRU(2, 3, 4)


def test_a_gated_step_by_hand():
    memory = ConvGRU(1, 1, 1)
    with torch.no_grad():
        memory.inputs.weight.fill_(1.0)
        memory.hidden.weight.fill_(1.0)
        seen = {}
        hidden, last = memory(
            torch.ones(1, 1, 1, 1, 1),
            torch.full((1, 1, 1, 1), 0.5),
            watch=lambda t, gates: seen.update(gates),
        )
    assert hidden.item() == pytest.approx(0.816595, abs=1e-6)
    assert last.item() == hidden.item()
    assert {gate: value.item() for gate, value in seen.items()} == {
        "reset": pytest.approx(0.817574, abs=1e-6),
        "update": pytest.approx(0.817574, abs=1e-6),
    }


def test_a_closed_update_gate_keeps_the_state():
    memory = ConvGRU(3, 4)
    h = torch.randn(1, 4, 8, 8)
    with torch.no_grad():
        memory.inputs.bias[memory.rows("update")] = -80.0
        hidden, _ = memory(torch.randn(1, 2, 3, 8, 8), h)
    assert torch.equal(hidden[0, 1], h[0])


def test_an_open_update_gate_without_reset_forgets_the_state():
    memory = ConvGRU(3, 4)
    x = torch.randn(1, 1, 3, 8, 8)
    with torch.no_grad():
        memory.inputs.bias[memory.rows("update")] = 80.0
        memory.inputs.bias[memory.rows("reset")] = -200.0
        hidden, _ = memory(x, torch.randn(1, 4, 8, 8))
        assert_rounded(
            hidden[:, 0], torch.tanh(conv(x[:, 0], memory.inputs.weight[memory.rows("candidate")]))
        )


def test_the_state_carries_over_and_resets(kind):
    memory = MEMORIES[kind](3, 4, 5)
    x = torch.randn(1, 6, 3, 9, 7)
    with torch.no_grad():
        whole, end = memory(x)
        first, state = memory(x[:, :2])
        rest, last = memory(x[:, 2:], state)
        assert_rounded(torch.cat([first, rest], dim=1), whole)
        again, _ = memory(x)
    for found, expected in [(last, end)] if memory.states == 1 else zip(last, end, strict=True):
        assert_rounded(found, expected)
    # nothing of the videos before is left
    assert torch.equal(again, whole)


def test_gates_are_watched_step_by_step():
    seen = []
    memory = ConvLSTM(3, 4, 3)
    memory(torch.randn(2, 3, 3, 6, 5), watch=lambda t, gates: seen.append((t, gates)))
    assert [t for t, _ in seen] == [0, 1, 2]
    assert all(set(gates) == {"input", "forget", "output"} for _, gates in seen)
    assert all(value.shape == (2, 4, 6, 5) for _, gates in seen for value in gates.values())


def test_both_directions_let_go_of_the_inputs_of_a_frame_that_both_have_seen(monkeypatch):
    projected, alive = [], []
    memory, length = ConvGRU(3, 4, 5), 7
    in_parts = memory.project_in_parts

    def watched(x):
        for frame in in_parts(x):
            copied = frame.clone()
            projected.append(weakref.ref(copied))
            yield copied

    monkeypatch.setattr(memory, "project_in_parts", watched)
    with torch.no_grad():
        both_directions(
            memory,
            torch.randn(1, length, 3, 9, 7),
            watch=lambda t, gates: alive.append(sum(frame() is not None for frame in projected)),
        )
    # the frames of a step and of those before it in the second half are waited for no more
    assert alive[-1] == 2
    assert alive == sorted(alive, reverse=True)
    assert max(alive) == length


def test_both_directions_are_two_runs_of_the_same_weights(kind):
    memory = MEMORIES[kind](3, 4, 5)
    x = torch.randn(2, 5, 3, 7, 9)
    with torch.no_grad():
        found = both_directions(memory, x)
        assert_rounded(found[:, :, :4], memory(x)[0])
        assert_rounded(found[:, :, 4:], memory(x.flip(1))[0].flip(1))


def test_the_forward_direction_is_watched():
    memory = ConvGRU(3, 4, 3)
    x = torch.randn(2, 3, 3, 6, 5)
    alone, batched = [], []
    with torch.no_grad():
        memory(x, watch=lambda t, gates: alone.append((t, gates)))
        both_directions(memory, x, watch=lambda t, gates: batched.append((t, gates)))
    for (t, gates), (t_batched, gates_batched) in zip(alone, batched, strict=True):
        assert t == t_batched
        assert gates.keys() == gates_batched.keys()
        for gate, value in gates.items():
            assert_rounded(gates_batched[gate], value)


def test_half_precision_runs_and_keeps_a_full_precision_state(kind):
    memory = MEMORIES[kind](3, 4, 7)
    x = torch.randn(1, 3, 3, 12, 10)
    exact = memory(x)[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, _ = memory(x)
    assert found.dtype == torch.float32
    assert 0 < float((found - exact).detach().abs().max()) < 0.03
    found.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in memory.parameters())


@pytest.mark.slow
def test_it_runs_as_one_graph():
    memory = ConvGRU(16, 16, 5)
    x = torch.randn(1, 2, 16, 32, 33)
    with torch.no_grad():
        compiled = torch.compile(memory, backend="eager", fullgraph=True)
        assert_rounded(compiled(x)[0], memory(x)[0])


@pytest.mark.slow
def test_it_compiles(kind):
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        pytest.skip("torch.compile needs a C++ compiler")
    memory = MEMORIES[kind](16, 16, 5)
    x = torch.randn(1, 2, 16, 32, 33)
    compiled = torch.compile(memory)
    found, expected = compiled(x)[0], memory(x)[0]
    assert_rounded(found, expected)
    upstream = torch.randn_like(found)
    gradients = torch.autograd.grad(found, list(memory.parameters()), upstream)
    others = torch.autograd.grad(expected, list(memory.parameters()), upstream)
    for gradient, other in zip(gradients, others, strict=True):
        assert_rounded(gradient, other)


def test_large_maps_are_exact_too(kind, monkeypatch):
    monkeypatch.setattr(fast_convolution, "pays", lambda x, weight: True)
    memory = MEMORIES[kind](17, 16, 7).double()
    plain = copy.deepcopy(memory)
    x = torch.randn(1, 3, 17, 45, 29, dtype=torch.float64, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    with torch.no_grad():
        assert_rounded(memory(x)[0], by_the_formula(kind, plain, x))
    found, expected = memory(x)[0], by_the_formula(kind, plain, y)
    assert_rounded(found, expected)
    upstream = torch.randn_like(found)
    gradients = torch.autograd.grad(found, [x, *memory.parameters()], upstream)
    others = torch.autograd.grad(expected, [y, *plain.parameters()], upstream)
    for gradient, other in zip(gradients, others, strict=True):
        assert_rounded(gradient, other)


def test_few_frames_at_a_time_are_all_frames(kind, monkeypatch):
    memory = MEMORIES[kind](3, 4, 5)
    x = torch.randn(2, 5, 3, 9, 7)
    with torch.no_grad():
        expected = memory(x)[0]
        monkeypatch.setattr(recurrent, "PROJECTED_BYTES", 1)
        assert_rounded(memory(x)[0], expected)


def test_no_frames_are_no_video(kind):
    with pytest.raises(ValueError, match="at least one frame"):
        both_directions(MEMORIES[kind](3, 4, 5), torch.zeros(1, 0, 3, 9, 7))
