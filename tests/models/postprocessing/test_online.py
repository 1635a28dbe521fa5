"""Online adaptation leaves no trace, and follows from its seed."""

import random
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn

from vosbench.models.postprocessing.online import adapted, draws


def network():
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 1))


def learn(module):
    """Trains everything there is: weights, statistics of normalisation, and with random dropout."""
    module.train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    for _ in range(3):
        loss = module(torch.randn(8, 4)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def equal(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


def test_the_copy_has_learned_and_the_given_network_is_as_it_was():
    module = network().train()
    module[0].requires_grad_(False)
    module(torch.randn(8, 4)).sum().backward()
    before, gradient = state(module), module[3].weight.grad.clone()
    copied = adapted(module, learn)
    assert equal(state(module), before)
    assert torch.equal(module[3].weight.grad, gradient)
    assert module.training
    assert [each.requires_grad for each in module.parameters()] == [False, False, True, True, True, True]
    learned = state(copied)
    assert all(not torch.equal(learned[name], before[name]) for name in before if "weight" in name)
    assert not torch.equal(learned["1.running_mean"], before["1.running_mean"])
    assert not copied.training
    assert not any(each.requires_grad for each in copied.parameters())
    assert all(each.grad is None for each in copied.parameters())


def test_an_exception_while_learning_leaves_no_trace():
    module = network()
    before, drawn = state(module), torch.get_rng_state()

    def fail(copied):
        learn(copied)
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        adapted(module, fail)
    assert equal(state(module), before)
    assert torch.equal(torch.get_rng_state(), drawn)


def test_learning_follows_from_the_seed_alone():
    module = network()
    first = adapted(module, learn, seed=1)
    torch.manual_seed(77)
    random.seed(5)
    assert equal(state(adapted(module, learn, seed=1)), state(first))
    assert not equal(state(adapted(module, learn, seed=2)), state(first))


def test_random_numbers_go_on_as_if_nothing_had_been_drawn():
    module = network()

    def draw(copied):
        torch.rand(1), np.random.rand(), random.random()  # noqa: NPY002

    def following():
        return torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random()  # noqa: NPY002

    torch.manual_seed(9), np.random.seed(9), random.seed(9)  # noqa: NPY002
    expected = following()
    torch.manual_seed(9), np.random.seed(9), random.seed(9)  # noqa: NPY002
    adapted(module, draw, seed=4)
    assert following() == expected


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_learning_works_where_the_caller_has_switched_gradients_off(mode):
    module = network()
    with mode():
        copied = adapted(module, learn)
        assert not torch.is_grad_enabled()
    assert equal(state(copied), state(adapted(module, learn)))


def test_everything_is_drawn_once_before_anything_comes_again():
    found = list(draws(5, 13, seed=1))
    assert len(found) == 13
    assert sorted(found[:5]) == sorted(found[5:10]) == list(range(5))
    assert max(Counter(found[10:]).values()) == 1
    assert found == list(draws(5, 13, seed=1))
    assert found != list(draws(5, 13, seed=2))
    assert list(draws(5, 0)) == []
    with pytest.raises(ValueError, match="0 things"):
        next(draws(0, 1))
