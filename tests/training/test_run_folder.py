"""Checkpoints of a run folder, by the order of stages and not by the times of files."""

import os

import pytest
import yaml

from vosbench.composition import compose_fit
from vosbench.errors import InputError
from vosbench.training.run_folder import resumed_checkpoint, what_to_test

STAGES = ["appearance", "memory"]


def checkpoints(run, *stages):
    """Write checkpoints, each with an earlier time than the one before, as after the clock was set back."""
    for number, stage in enumerate(stages):
        path = run / stage / "checkpoints/last.ckpt"
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (1000 - number, 1000 - number))


def config(runs, **keys):
    composed = compose_fit(["model=lvo", "size=tiny", f"runs={runs}"])
    for key, value in keys.items():
        setattr(composed, key, value)
    return composed


def test_a_run_goes_on_at_its_last_stage_whatever_the_times_of_files(tmp_path):
    checkpoints(tmp_path / "lvo-tiny/000", *STAGES)
    last = resumed_checkpoint(config(tmp_path, resume="auto"), STAGES)
    assert last == tmp_path / "lvo-tiny/000/memory/checkpoints/last.ckpt"


def test_a_run_goes_on_at_a_stage_that_is_to_be_trained(tmp_path):
    checkpoints(tmp_path / "lvo-tiny/000", *STAGES)
    last = resumed_checkpoint(config(tmp_path, resume="auto"), ["appearance"])
    assert last == tmp_path / "lvo-tiny/000/appearance/checkpoints/last.ckpt"


def test_the_newest_run_with_a_checkpoint_of_these_stages_is_resumed(tmp_path):
    checkpoints(tmp_path / "lvo-tiny/000", "memory")
    checkpoints(tmp_path / "lvo-tiny/001", "appearance")
    last = resumed_checkpoint(config(tmp_path, resume="auto"), ["memory"])
    assert last == tmp_path / "lvo-tiny/000/memory/checkpoints/last.ckpt"
    with pytest.raises(InputError, match=r"no run with a checkpoint of joint under .*lvo-tiny"):
        resumed_checkpoint(config(tmp_path, resume="auto"), ["joint"])


def test_a_checkpoint_of_a_stage_that_is_not_to_be_trained_is_refused(tmp_path):
    composed = config(tmp_path)
    first, second = list(composed.recipe)[:2]
    checkpoints(tmp_path / "run", first, second)
    composed.resume = str(tmp_path / "run" / second / "checkpoints/last.ckpt")
    message = f"is of stage {second}, and {first} is to be trained: write stage={second} or stage=all"
    with pytest.raises(InputError, match=message):
        resumed_checkpoint(composed, [first])
    assert str(resumed_checkpoint(composed, [first, second])) == composed.resume


@pytest.mark.parametrize(
    ("stage", "expected"), [("all", "memory"), (None, "memory"), ("appearance", "appearance")]
)
def test_the_checkpoint_to_test_is_that_of_the_last_stage(tmp_path, stage, expected):
    checkpoints(tmp_path, *STAGES)
    content = {"stage": stage, "recipe": dict.fromkeys([*STAGES, "joint"])}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    assert what_to_test(tmp_path) == [f"to test: {tmp_path}/{expected}/checkpoints/last.ckpt"]


def test_a_checkpoint_that_was_removed_after_training_is_named(tmp_path):
    (tmp_path / "config.yaml").write_text("stage: A\nrecipe: {A: {}}\n")
    with pytest.raises(InputError, match="the checkpoint just written was removed; run it again"):
        what_to_test(tmp_path)
