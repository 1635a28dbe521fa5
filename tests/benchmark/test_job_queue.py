"""Order of a comparison: what is rendered, run and handed over when."""

from dataclasses import replace
from pathlib import Path

import pytest

import vosbench.data.mini
from vosbench.benchmark import compare, plan
from vosbench.benchmark.job import Job, ProtocolRun, outcome
from vosbench.benchmark.job_queue import JobQueue
from vosbench.benchmark.method_spec import MethodSpec
from vosbench.benchmark.miniatures import Rendered, RenderJob, render_jobs
from vosbench.data.catalogue import CATALOGUE
from vosbench.data.evaluation_sets import EVALUATION_SETS
from vosbench.data.mini import ensure_mini
from vosbench.errors import InputError
from vosbench.scoring.protocol import load_protocol

METHODS = tuple(MethodSpec(name, name) for name in ("all_foreground", "centre_box"))
SMALL = RenderJob("segtrack", Path("mini"), {})
LARGE = RenderJob("davis16", Path("mini"), {"scenes": 40})


def job(sequence, frames):
    rules = load_protocol("davis16-unsupervised")
    return Job(
        dataset="davis16",
        root=Path("data"),
        edition="mini",
        sequence=sequence,
        runs=(ProtocolRun(rules, rules.metrics, "val", METHODS),),
        device="cpu",
        flow="dis",
        flow_settings={},
        cache=None,
        out=Path("out"),
        command="",
        dry_run=False,
        frames=frames,
    )


def names(queue):
    return [item.dataset if isinstance(item, RenderJob) else item.sequence for item in queue.tasks]


def outcomes_of(item):
    return [outcome(item, spec, run, "computed") for spec, run in item.cells]


def test_the_longest_sequences_are_started_first_and_their_outcomes_keep_the_order_of_the_jobs():
    jobs = [job("short", 3), job("long", 9), job("middle", 5)]
    queue = JobQueue(jobs, rendered=pytest.fail, progress=None)
    assert names(queue) == ["long", "middle", "short"]
    for item in queue.tasks:
        for found in outcomes_of(item):
            queue.finished(found)
    assert [found.sequence for found in queue.outcomes] == ["short"] * 2 + ["long"] * 2 + ["middle"] * 2


def test_one_short_sequence_goes_before_the_other_miniatures_and_all_others_after_them():
    added = {"segtrack": [job("a", 4), job("b", 3)], "davis16": [job("c", 9), job("d", 2)]}
    totals = []
    queue = JobQueue(
        [SMALL, LARGE], lambda found: added[found.job.dataset], lambda done, total, last: totals.append(total)
    )
    queue.tasks.popleft()
    queue.finished(Rendered(SMALL))
    assert names(queue) == ["b", "davis16", "a"]
    first = queue.tasks.popleft()
    queue.tasks.popleft()
    queue.finished(outcomes_of(first)[0])
    queue.finished(Rendered(LARGE))
    assert names(queue) == ["c", "a", "d"]
    queue.finished(outcomes_of(first)[1])
    assert totals == [4, 8]


def test_of_a_killed_process_only_the_methods_without_an_outcome_run_again():
    killed = job("dog", 5)
    queue = JobQueue([killed], rendered=pytest.fail, progress=None)
    queue.finished(outcomes_of(killed)[0])
    [again] = queue.lost(killed)
    assert [spec.label for spec in again.methods] == ["centre_box"]
    assert again.retried


def test_a_miniature_whose_process_is_killed_twice_is_handed_over_as_not_rendered():
    found = []
    queue = JobQueue([SMALL], lambda rendered: found.append(rendered) or [], progress=None)
    [again] = queue.lost(SMALL)
    assert queue.lost(again) == []
    assert [(item.job.dataset, "killed twice" in item.error) for item in found] == [("segtrack", True)]


def test_the_smallest_miniature_is_rendered_first_and_that_of_davis_16_has_forty_sequences():
    jobs = render_jobs(EVALUATION_SETS)
    assert jobs[0].dataset == "segtrack"
    assert (jobs[-1].dataset, jobs[-1].settings["scenes"]) == ("davis16", 40)


@pytest.fixture
def without_data(tmp_path, monkeypatch):
    """Return a function: options of a comparison -> its result on two miniatures, much smaller than usual."""
    known = {name: CATALOGUE[name] for name in ("davis16", "segtrack")}
    monkeypatch.setattr(plan, "catalogue", lambda: known)
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))

    def tiny(specs):
        return tuple(
            replace(item, settings={**item.settings, "scenes": scenes, "frames": 4, "size": (32, 48)})
            for item, scenes in zip(render_jobs(specs), (2, 3), strict=True)
        )

    monkeypatch.setattr(plan, "render_jobs", tiny)

    def run(**options):
        usual = {"models": ["all_foreground", "centre_box"], "workers": 1, "out": tmp_path / "out"}
        return compare(data_root=tmp_path / "none", **usual | options)

    return run


def test_the_first_record_is_there_before_the_second_miniature_is_rendered(without_data, monkeypatch):
    events = []

    def render(name, root, **settings):
        ensure_mini(name, root, **settings)
        events.append(f"{name} rendered")

    def progress(done, total, last):
        assert last.path.is_file()
        events.append(f"{last.dataset} {last.model}")

    monkeypatch.setattr(vosbench.data.mini, "ensure_mini", render)
    result = without_data(progress=progress, waiting=lambda *what: events.append(what))
    first = ["segtrack-mini all_foreground", "segtrack-mini centre_box"]
    start = events.index(("rendering miniatures", 0, 2))
    assert events[start + 1 : start + 6] == [
        "segtrack rendered",
        ("rendering miniatures", 1, 2),
        *first,
        "davis16 rendered",
    ]
    assert [item.dataset for item in result.outcomes] == ["davis16-mini"] * 6 + ["segtrack-mini"] * 4
    assert "using the mini edition of davis16, segtrack in " in result.notes[0]
    assert result.counts == {"computed": 10}
    assert result.coverage == {"davis16-mini": (3, 3), "segtrack-mini": (2, 2)}


def test_workers_render_and_give_the_same_records(without_data, tmp_path):
    one = without_data()
    several = without_data(workers=2, out=tmp_path / "several")
    assert [(item.sequence, item.model, item.record.key) for item in several.outcomes] == [
        (item.sequence, item.model, item.record.key) for item in one.outcomes
    ]
    assert several.lengths == one.lengths


def test_unknown_metrics_are_refused_before_anything_is_rendered(without_data, monkeypatch):
    monkeypatch.setattr(RenderJob, "render", pytest.fail)
    with pytest.raises(InputError, match="metric 'k'"):
        without_data(metrics=["k"])


def test_metrics_that_one_miniature_lacks_leave_it_out(without_data):
    result = without_data(metrics=["j"])
    assert {item.dataset for item in result.outcomes} == {"davis16-mini"}
    assert "segtrack-mini left out: none of its protocols has the metrics j" in result.notes
