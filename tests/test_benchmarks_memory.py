"""Memory benchmark: all programs compute the same states; its report."""

import pytest
import torch

from vosbench.models.layers import fast_convolution
from vosbench.models.layers.recurrent import ConvGRU


@pytest.fixture(scope="module")
def speed(speed_program):
    return speed_program("memory")


@pytest.fixture
def example():
    torch.manual_seed(0)
    memory = ConvGRU(17, 16, 7)
    torch.nn.init.normal_(memory.inputs.bias)
    return memory, torch.randn(1, 3, 17, 40, 27)


def test_all_programs_compute_the_same(speed, example, monkeypatch):
    monkeypatch.setattr(fast_convolution, "pays", lambda x, weight: True)
    gaps = speed.differences(*example)
    assert set(gaps) == {"vosbench", "direct", "fused"}
    assert all(gap <= speed.AGREE for found in gaps.values() for gap in found.values())
    # the transform is not the library's convolution to the last bit: it really was at work
    assert gaps["vosbench"] != gaps["direct"]


def test_other_weights_are_noticed(speed, example, monkeypatch):
    def module_of(program, memory):
        module = speed_module_of(program, memory)
        if program == "naive":
            torch.nn.init.zeros_(module.hidden[2].weight)
        return module

    speed_module_of = speed.module_of
    monkeypatch.setattr(speed, "module_of", module_of)
    gaps = speed.differences(*example)
    assert all(found["states"] > 1e-3 for found in gaps.values())


def test_operations_are_those_of_the_formula_without_the_transform(speed):
    memory, x = speed.example(frames=2)
    with speed.library_only():
        assert 7 * speed.operations(memory, x) == speed.direct_operations(speed.INFERENCE)
    assert 2 < speed.direct_operations(speed.INFERENCE) / (7 * speed.operations(memory, x)) < 4
    assert speed.direct_operations(speed.INFERENCE) == pytest.approx(326e9, rel=0.01)


def test_every_task_runs(speed, example):
    memory, x = example
    for name in speed.TASKS:
        shapes = {
            tuple(speed.task(name, program, speed.module_of(program, memory), x)().shape)
            for program in speed.PROGRAMS
        }
        assert shapes == {(1, 3, 32 if name == speed.BOTH else 16, 40, 27)}


def test_a_process_remembers_its_most_memory(speed):
    before = speed.most_memory()
    torch.ones(2**26)
    # what the process once held counts, so an earlier test may have held more
    assert max(before, 256) <= speed.most_memory() < before + 600


def report(speed, ours):
    runs, seconds = [], {"vosbench": ours, "direct": 1.8, "fused": 1.9, "naive": 2.0}
    for name in speed.TASKS:
        for round_, factor in ((1, 1.0), (2, 3.0), (3, 2.0)):
            for program, value in seconds.items():
                run = {"task": name, "program": program, "threads": 2, "round": round_}
                runs.append({**run, "seconds": value * factor, "frames": 14})
    return {
        "runs": runs,
        "limits": [
            {"what": "convolution", "round": 1, "threads": 2, "rate": 300e9},
            {"what": "product", "round": 1, "threads": 2, "rate": 200e9},
            {"what": "convolution", "round": 1, "threads": 1, "rate": 900e9},
        ],
        "peaks": {name: dict.fromkeys(seconds, 123.4) for name in speed.TASKS},
        "operations": 150e9,
        "differences": {"vosbench": {"states": 1e-6, "gradients": 2e-6}},
        "machine": {
            "processor": "P",
            "cores": 2,
            "system": "S",
            "load_before": 0.1,
            "load_after": 0.2,
            "versions": {"torch": "1"},
            "commit": "0" * 40,
            "changed": False,
            "date": "2026-01-01",
        },
    }


@pytest.mark.parametrize(
    ("seconds", "inference", "training"), [(1.0, "yes", "yes"), (1.25, "no", "yes"), (1.6, "no", "no")]
)
def test_the_report_says_which_targets_are_met(speed, seconds, inference, training):
    text = speed.to_markdown(report(speed, seconds))
    ratio = f"{2 / seconds:.2f}"
    assert f"| naive / vosbench, inference | 2 | {ratio} | >= 1.8 | {inference} |" in text
    assert f"| naive / vosbench, training step | 2 | {ratio} | >= 1.3 | {training} |" in text


def test_the_report_counts_what_the_formula_and_what_the_transform_take(speed):
    text = speed.to_markdown(report(speed, 1.0))
    # 326 GFLOP in a median of two seconds
    assert "| inference | vosbench | 2.000 | 163 | 0.54 | 2.00 (2.00 to 2.00) | 123 |" in text
    assert "Limit: 300 GFLOP/s (convolution)." in text
    assert "really does 75 GFLOP/s, 0.25 of the limit" in text
    assert "All agree within 1e-05." in text


def test_values_that_differ_are_reported(speed):
    found = report(speed, 1.0)
    found["differences"]["vosbench"]["gradients"] = float("nan")
    assert "vosbench differ by more than 1e-05." in speed.to_markdown(found)
