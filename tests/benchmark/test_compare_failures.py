"""Methods that fail: what is left of them, and what is not touched by them."""

import inspect
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import vosbench
from vosbench.benchmark import method_spec, run_job
from vosbench.evaluation.record import record_path
from vosbench.evaluation.store import read_failures
from vosbench.video import Segmentation

RULES = "davis16-unsupervised"


class FailsOnDog:
    task = "unsupervised"
    needs_flow = False

    def segment(self, video, first_mask=None):
        assert not video.annotations, "a method must not see the ground truth"
        if video.name == "dog":
            raise MemoryError("no room\nfor a dog")
        return Segmentation((np.zeros((32, 48), np.uint8) for _ in video.frames), len(video))


class Empty(FailsOnDog):
    def segment(self, video, first_mask=None):
        return Segmentation((np.zeros((32, 48), np.uint8) for _ in video.frames), len(video))


class GivenTheFirstMask(FailsOnDog):
    task = "semi-supervised"

    def segment(self, video, first_mask=None):
        return Segmentation((first_mask for _ in video.frames), len(video))


class WrongSize(FailsOnDog):
    def segment(self, video, first_mask=None):
        return Segmentation((np.zeros((2, 2), np.uint8) for _ in video.frames), len(video))


@pytest.fixture
def fake_model(monkeypatch):
    real = method_spec.load_method

    def use(fake, weights="none"):
        def load(name, size=None):
            return (fake(), {"weights": weights}) if name == "mpnet" else real(name, size)

        monkeypatch.setattr(method_spec, "load_method", load)
        run_job._load.cache_clear()

    yield use
    run_job._load.cache_clear()


def test_a_model_failing_on_one_sequence_stops_nothing_else(run, fake_model):
    fake_model(FailsOnDog)
    result = run(models=["mpnet", "centre_box"])
    assert result.counts == {"computed": 5, "failed": 1}
    [failure] = result.failures
    assert (failure.model, failure.dataset, failure.sequence) == ("mpnet", "davis16", "dog")
    assert failure.message == "MemoryError: no room for a dog"
    assert result.exit_status == 1


def test_a_record_of_other_settings_does_not_outlive_a_failure(run, fake_model):
    fake_model(Empty)
    path = record_path(run(models=["mpnet"]).out / "records", "davis16", RULES, "mpnet", "dog")
    assert path.is_file()
    fake_model(FailsOnDog, weights="other")
    run(models=["mpnet"])
    assert not path.exists()


def test_a_failure_leaves_a_marked_hole_until_it_is_made_good(run, fake_model):
    fake_model(FailsOnDog)
    out = run(models=["mpnet"]).out
    [hole] = read_failures(out)
    assert (hole.model, hole.dataset, hole.protocol, hole.sequence) == ("mpnet", "davis16", RULES, "dog")
    assert hole.error == "MemoryError: no room for a dog"
    fake_model(Empty)
    assert run(models=["mpnet"]).counts == {"kept": 2, "computed": 1}
    assert read_failures(out) == []
    # a process that is killed after writing the record leaves both
    hole.write(record_path(out / "failures", "davis16", RULES, "mpnet", "dog"))
    assert run(models=["mpnet"]).counts == {"kept": 3}
    assert read_failures(out) == []


def test_an_undefined_value_is_none_now_and_when_read_again(run, fake_model):
    fake_model(Empty)
    for _ in range(2):
        record = run(models=["mpnet"], metrics=["t"]).records[0]
        assert record.values == {"T_mean": None}
        assert record.per_frame == {"T": [None] * 3}


def test_semi_supervised_methods_get_the_first_mask(run, fake_model):
    fake_model(GivenTheFirstMask)
    result = run(models=["mpnet"], metrics=["j"])
    assert {record.protocol for record in result.records} == {"davis16-semi-supervised"}
    found = {(item.model, item.sequence): item.values for item in result.records}
    # the square moves two pixels per frame
    overlap = [10 * (10 - 2 * t) for t in (1, 2, 3)]
    assert found["mpnet", "dog"]["J_mean"] == pytest.approx(np.mean([i / (200 - i) for i in overlap]))


def test_masks_of_another_size_fail(run, fake_model):
    fake_model(WrongSize)
    [failure, *_] = run(models=["mpnet"]).failures
    assert "frame 0: the method returned uint8 (2, 2), not uint8 (32, 48)" in failure.message


def test_a_damaged_frame_fails_its_sequence_only(run, root):
    (root / "davis16/JPEGImages/480p/dog/00002.jpg").write_bytes(b"no picture")
    result = run()
    assert result.counts == {"computed": 6, "failed": 3}
    assert all("00002.jpg" in failure.message for failure in result.failures)


def test_a_method_that_no_protocol_fits_is_a_note_where_others_run(run, fake_model, root):
    from vosbench.data.mini import write_mini
    from vosbench.errors import InputError

    write_mini("segtrack", root, scenes=1)
    fake_model(GivenTheFirstMask)
    result = run(models=["mpnet", "centre_box"], metrics=["iou"])
    assert {item.model for item in result.outcomes} == {"centre_box"}
    [note] = [note for note in result.notes if note.startswith("mpnet left out on segtrack-mini")]
    assert "it is semi-supervised, and no protocol there (segtrack-iou) is for such methods" in note
    with pytest.raises(InputError, match="nothing to compare: mpnet left out on segtrack-mini"):
        run(models=["mpnet"], metrics=["iou"])


class LooksUp(FailsOnDog):
    """Notes the functions of vosbench between `compare` and itself."""

    stack: ClassVar[list[str]] = []

    def segment(self, video, first_mask=None):
        frames = inspect.stack(context=0)
        package = Path(vosbench.__file__).parent
        own = [frame.function for frame in frames if package in Path(frame.filename).parents]
        self.stack[:] = own[::-1]
        return Segmentation((np.zeros((32, 48), np.uint8) for _ in video.frames), len(video))


def test_six_functions_lie_between_compare_and_the_method(run, fake_model):
    fake_model(LooksUp)
    run(models=["mpnet"])
    assert LooksUp.stack == ["compare", "run_jobs", "run", "run_job", "evaluate_sequence", "segment"]
