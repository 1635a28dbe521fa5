"""Conformance benchmark: videos, plain definitions, differences, report."""

import itertools
import json
import math
from dataclasses import replace
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

RESULTS = Path(__file__).parents[1] / "benchmarks/conformance/results"
VOLUMES = ("fbms-official", "fbms-moving", "fbms-proposed", "fbms-binary", "davis17-proposed")
FRAMES = ("segtrack-iou", "ft3d-iou", "youtube-objects-unsupervised", "youtube-objects-semi-supervised")


@pytest.fixture(scope="module")
def programs(conformance_program):
    return SimpleNamespace(
        **{name: conformance_program(name) for name in ("videos", "definitions", "ours", "fuzz")}
    )


class NoPeers:
    """Stand-in for released programs, which are not installed in tests."""

    def versions(self, folder):
        return {}


@pytest.mark.parametrize("protocol", [*VOLUMES, *FRAMES])
def test_the_plain_definitions_agree_with_every_way_to_score(programs, tmp_path, protocol):
    report = programs.fuzz.measure(protocol, 12, 7, NoPeers(), tmp_path)
    assert programs.fuzz.largest([report]) < 1e-12
    values = {row["value"]: row for row in report["rows"]}
    main = values["iou_mean" if protocol in FRAMES else "f_measure"]
    assert None not in (main["score"], main["overall"], main["metric"], main["collection"])


def test_a_wrong_value_is_found(programs, tmp_path, monkeypatch):
    right = programs.definitions.frame_iou
    monkeypatch.setattr(
        programs.definitions, "frame_iou", lambda case, labelled: right(case, labelled) + 1e-8
    )
    report = programs.fuzz.measure("ft3d-iou", 3, 7, NoPeers(), tmp_path)
    assert programs.fuzz.largest([report]) == pytest.approx(1e-8)


def test_a_missing_value_is_found(programs):
    with pytest.raises(SystemExit, match="compared"):
        programs.fuzz._apart({"J_mean": 1.0}, {"J_mean": 1.0, "F_mean": 1.0})
    assert programs.fuzz._apart({"a": math.nan, "b": math.nan}, {"a": math.nan, "b": 1.0}) == {
        "a": 0,
        "b": math.inf,
    }


def test_of_equally_good_assignments_all_outcomes_are_returned(programs):
    random = np.random.default_rng(0)
    for _ in range(100):
        shape = random.integers(0, 4, 2)
        worth, gain = random.integers(0, 3, (2, *shape)).tolist()
        pairs = [
            [((worth[r][c],), (Fraction(gain[r][c], 3),)) for c in range(shape[1])] for r in range(shape[0])
        ]
        few, many = sorted(shape.tolist())
        found: dict[int, set[tuple[Fraction | int, ...]]] = {}
        for chosen in itertools.permutations(range(many), few):
            cells = [(c, r) if shape[0] > shape[1] else (r, c) for r, c in enumerate(chosen)]
            total = sum(worth[r][c] for r, c in cells)
            found.setdefault(total, set()).add((sum(Fraction(gain[r][c], 3) for r, c in cells),))
        assert programs.definitions.best(pairs, 1) == found[max(found)]


@pytest.mark.parametrize("protocol", ["davis17-unsupervised", "davis17-semi-supervised"])
def test_the_videos_have_what_goes_wrong(programs, protocol):
    cases = programs.videos.cases(protocol, 150, 0)
    again = programs.videos.cases(protocol, 150, 0)
    assert all(np.array_equal(a.pred, b.pred) and a.name == b.name for a, b in zip(cases, again, strict=True))
    inner = slice(1, -1) if protocol == "davis17-semi-supervised" else slice(None)
    seen = set()
    for case in cases:
        pred, target = case.pred[inner], case.target
        ids, objects = set(np.unique(pred).tolist()) - {0}, int(target[0][target[0] != 255].max())
        assert objects
        assert pred.max() <= (objects if protocol == "davis17-semi-supervised" else 20)
        truth = set(np.unique(target).tolist()) - {0, 255}
        outside = set(np.unique(case.pred[inner][target[inner] != 255]).tolist())
        facts = {
            "gap in ids": ids and ids != set(range(1, max(ids) + 1)),
            "empty": not ids,
            "more objects than proposals": ids and max(ids) < objects,
            "void": (target == 255).any(),
            "void alone": (target == 255).all(axis=(1, 2)).any(),
            "id under void alone": ids - outside,
            "object that comes later": max(truth, default=0) > objects,
            "object that never comes": truth != set(range(1, objects + 1)),
            "many objects": objects > 10,
            "one row": min(target.shape[1:]) == 1,
            "large radius": math.hypot(*target.shape[1:]) * 0.008 > 1,
        }
        seen |= {fact for fact, holds in facts.items() if holds}
    assert seen == set(facts)


def test_run_lengths_are_read_as_the_mask(programs):
    random = np.random.default_rng(0)
    for density in (0, 0.3, 1):
        mask = random.random((5, 7)) < density
        values = np.repeat([0, 1] * 40, [*programs.ours.run_lengths(mask), *[0] * 80][:80])
        assert np.array_equal(values.reshape(7, 5).T, mask)


@pytest.mark.skipif(not find_spec("faster_coco_eval"), reason="the extra 'coco' is not installed")
def test_detections_are_scored_in_both_ways(programs, tmp_path):
    cases = programs.videos.cases("davis16-map50", 8, 3)
    scored = programs.ours.Scored("davis16-map50", cases, tmp_path)
    metric = programs.ours.Torchmetrics("davis16-map50", cases)
    assert list(map(pytest.approx, metric.videos())) == scored.videos()
    assert metric.whole() == pytest.approx(scored.whole())
    assert len({tuple(values.items()) for values in scored.videos()}) > 4
    # a crowd is no region to find
    (case,) = (replace(case, crowds=tuple(range(1, 21))) for case in cases[:1])
    assert programs.ours.Torchmetrics("davis16-map50-crowds", [case]).whole()["map50_seg"] == -1


def test_the_results_say_what_was_compared(programs):
    reports = [json.loads(file.read_text()) for file in sorted(RESULTS.glob("*.json"))]
    assert len(reports) >= 14
    for report in reports:
        assert report["videos"] >= 2000
        assert programs.fuzz.largest([report]) < programs.fuzz.TOLERANCE
    text = (RESULTS / "README.md").read_text()
    order = [check for check in programs.fuzz.CHECKS if (RESULTS / f"{check}.json").exists()]
    found = {report["protocol"]: report for report in reports}
    assert text == programs.fuzz.to_markdown([found[name] for name in order])
    assert "| davis17-unsupervised | 2000 | davis2017-evaluation | J_mean |" in text
