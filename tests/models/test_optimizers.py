import pytest
import torch
from torch import nn

from vosbench.config import OptimizerConfig, ScheduleConfig
from vosbench.errors import InputError
from vosbench.models.optimizers import ParameterGroup, build_optimizer


def rates(schedule, steps, optimizer=None):
    configured = build_optimizer(
        [nn.Parameter(torch.zeros(1))], optimizer or OptimizerConfig(lr=1.0), schedule, steps
    )
    scheduler = configured["lr_scheduler"]["scheduler"]
    seen = []
    for _ in range(steps):
        seen.append(configured["optimizer"].param_groups[0]["lr"])
        configured["optimizer"].step()
        scheduler.step()
    return seen, configured["lr_scheduler"]["interval"]


def test_exponential_falls_after_every_epoch():
    assert rates(ScheduleConfig("exponential", gamma=0.95), 3) == (
        pytest.approx([1, 0.95, 0.9025]),
        "epoch",
    )


def test_multistep_leaves_the_weight_decay_alone():
    schedule = ScheduleConfig("multistep", milestones=[1, 3], gamma=0.1)
    optimizer = OptimizerConfig(lr=1.0, weight_decay=0.5)
    assert rates(schedule, 4, optimizer) == (pytest.approx([1, 0.1, 0.1, 0.01]), "epoch")
    built = build_optimizer([nn.Parameter(torch.zeros(1))], optimizer, schedule, 4)
    for _ in range(3):
        built["optimizer"].step()
        built["lr_scheduler"]["scheduler"].step()
    assert built["optimizer"].param_groups[0]["weight_decay"] == 0.5


def test_poly_ends_at_nothing():
    seen, interval = rates(ScheduleConfig("poly", power=0.9), 4)
    assert seen == pytest.approx([1, 0.75**0.9, 0.5**0.9, 0.25**0.9])
    assert interval == "step"


def test_constant_has_no_schedule():
    assert set(build_optimizer([nn.Parameter(torch.zeros(1))], OptimizerConfig(), ScheduleConfig(), 1)) == {
        "optimizer"
    }


def test_rmsprop_is_torchs_with_the_given_settings():
    settings = OptimizerConfig("rmsprop", lr=1e-4, momentum=0.0, weight_decay=0.005, alpha=0.99, eps=1e-8)
    built = build_optimizer([nn.Parameter(torch.zeros(1))], settings, ScheduleConfig(), 1)["optimizer"]
    assert isinstance(built, torch.optim.RMSprop)
    group = built.param_groups[0]
    assert (group["lr"], group["alpha"], group["eps"], group["momentum"], group["weight_decay"]) == (
        1e-4,
        0.99,
        1e-8,
        0,
        0.005,
    )


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop"])
def test_every_optimiser_makes_a_step_against_the_gradient(name):
    weight = nn.Parameter(torch.ones(1))
    built = build_optimizer([weight], OptimizerConfig(name, lr=0.1), ScheduleConfig(), 1)["optimizer"]
    weight.grad = torch.ones(1)
    built.step()
    assert weight < 1


def test_unknown_names():
    with pytest.raises(InputError, match="did you mean poly"):
        rates(ScheduleConfig("polly"), 1)
    with pytest.raises(InputError, match="did you mean rmsprop"):
        rates(ScheduleConfig(), 1, OptimizerConfig("rmsprob"))


def test_groups_have_factors_of_their_own_and_one_schedule():
    body, head, bias = (nn.Parameter(torch.zeros(1)) for _ in range(3))
    groups = [
        body,
        ParameterGroup([head], lr=10),
        ParameterGroup([bias], lr=20, weight_decay=0),
        ParameterGroup([]),
    ]
    settings = OptimizerConfig(lr=1.0, weight_decay=0.5)
    configured = build_optimizer(groups, settings, ScheduleConfig("poly", power=1.0), 4)
    optimizer, scheduler = configured["optimizer"], configured["lr_scheduler"]["scheduler"]
    found = optimizer.param_groups
    assert [group["params"] for group in found] == [[body], [head], [bias]]
    assert [group["lr"] for group in found] == [1, 10, 20]
    assert [group["weight_decay"] for group in found] == [0.5, 0.5, 0]
    optimizer.step()
    scheduler.step()
    assert [group["lr"] for group in found] == [0.75, 7.5, 15]
    assert [group["weight_decay"] for group in found] == [0.5, 0.5, 0]


def test_the_weight_decay_of_groups_falls_with_step():
    groups = [ParameterGroup([nn.Parameter(torch.zeros(1))], lr=2, weight_decay=3)]
    schedule = ScheduleConfig("step", milestones=[1], gamma=0.1)
    configured = build_optimizer(groups, OptimizerConfig(lr=1.0, weight_decay=0.5), schedule, 4)
    configured["optimizer"].step()
    configured["lr_scheduler"]["scheduler"].step()
    (group,) = configured["optimizer"].param_groups
    assert (group["lr"], group["weight_decay"]) == pytest.approx((0.2, 0.15))


def test_nothing_to_train_is_an_error():
    with pytest.raises(ValueError, match="empty"):
        build_optimizer([], OptimizerConfig(), ScheduleConfig(), 1)
