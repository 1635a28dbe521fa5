"""Plan of a comparison: methods, sequences, protocols."""

from pathlib import Path

import numpy as np
import pytest

from vosbench.benchmark.job import ProtocolRun
from vosbench.benchmark.method_spec import MethodSpec
from vosbench.benchmark.plan import Plan
from vosbench.data.catalogue import CATALOGUE
from vosbench.data.datasets.base import Dataset
from vosbench.scoring.protocol import load_protocol, protocols, protocols_made_for
from vosbench.video import Video

GIVEN = MethodSpec("given", "given", task="semi-supervised")
BLIND = MethodSpec("blind", "blind", task="unsupervised")
FINDER = MethodSpec("finder", "finder", task="unsupervised", detects=True)


def split_of(protocol, names, methods, split="val"):
    videos = [Video(name, [np.zeros((2, 2, 3), np.uint8)], ("0",)) for name in names]
    rules = load_protocol(protocol)
    fitting = tuple(spec for spec in methods if spec.fits(rules))
    run = ProtocolRun(rules, rules.metrics, split, fitting)
    return run, Dataset(rules.datasets[0], Path("data"), split, videos)


def davis17(*methods):
    splits = (
        split_of("davis17-semi-supervised", "ab", methods),
        split_of("davis17-unsupervised", "ab", methods),
        split_of("davis17-proposed", "bc", methods, split="moving_val"),
        split_of("davis16-map50", "a", methods, split="davis16_val"),
    )
    return Plan(methods, {"davis17": splits})


def cells(plan, limit=None):
    common = {"device": "cpu", "flow": "dis", "flow_settings": {}, "cache": None, "out": Path("out")}
    jobs = plan.jobs(limit, command="", dry_run=False, **common)
    return [(job.sequence, spec.label, run.protocol.id) for job in jobs for spec, run in job.cells]


def test_every_evaluation_set_is_compared_under_what_was_made_for_it():
    found = {
        name: [each.id for each in protocols_made_for(name)]
        for name, known in CATALOGUE.items()
        if known.kind == "evaluation"
    }
    assert found == {
        "davis16": [
            "davis16-unsupervised",
            "davis16-semi-supervised",
            "davis16-instances-semi-supervised",
        ],
        "davis17": [
            "davis16-map50",
            "davis17-semi-supervised",
            "davis17-unsupervised",
            "davis17-proposed",
        ],
        "fbms": ["fbms-official", "fbms-proposed", "fbms-moving", "fbms-binary"],
        "segtrack": ["segtrack-iou"],
        "youtube_objects": ["youtube-objects-unsupervised", "youtube-objects-semi-supervised"],
    }


@pytest.mark.parametrize("protocol", protocols(), ids=lambda protocol: protocol.id)
def test_the_task_of_a_protocol_is_in_its_name_and_not_in_its_rules(protocol):
    assert (protocol.task == "semi-supervised") == protocol.id.endswith("-semi-supervised")
    # the keys of records that are there must not move
    assert "task" not in protocol.definition()


def test_a_method_meets_the_protocols_of_its_task():
    plan = davis17(GIVEN, BLIND, FINDER)
    assert cells(plan) == [
        ("a", "given", "davis17-semi-supervised"),
        ("a", "blind", "davis17-unsupervised"),
        ("a", "finder", "davis17-unsupervised"),
        ("a", "finder", "davis16-map50"),
        ("b", "given", "davis17-semi-supervised"),
        ("b", "blind", "davis17-unsupervised"),
        ("b", "blind", "davis17-proposed"),
        ("b", "finder", "davis17-unsupervised"),
        ("b", "finder", "davis17-proposed"),
        # a sequence of another split
        ("c", "blind", "davis17-proposed"),
        ("c", "finder", "davis17-proposed"),
    ]
    assert [cell[0] for cell in cells(plan, limit=1)] == ["a"] * 4


def test_lengths_are_those_of_splits_and_videos_those_of_all():
    plan = davis17()
    assert plan.lengths == {
        ("davis17", "val"): 2,
        ("davis17", "moving_val"): 2,
        ("davis17", "davis16_val"): 1,
    }
    assert [video.name for video in plan.videos["davis17"]] == ["a", "b", "c"]


def test_a_sequence_that_nothing_fits_is_no_job():
    only = {"davis17": (split_of("davis17-semi-supervised", "ab", [BLIND]),)}
    assert cells(Plan((BLIND,), only)) == []
