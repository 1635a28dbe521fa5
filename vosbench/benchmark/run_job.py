"""Running a job: every model segments the sequence once and is scored under its protocols."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from vosbench.benchmark.job import Contestant, Job, Outcome, Rules, State, fail, say
from vosbench.benchmark.sequence import Scene, given_mask, open_scene
from vosbench.environment.load import LoadMeter
from vosbench.evaluation.detecting import detect, detections_path, score_detections
from vosbench.evaluation.record import Record
from vosbench.evaluation.store import content_hash, current_record, environment, now
from vosbench.given import Given
from vosbench.method import Method
from vosbench.models.evaluate import segmented
from vosbench.models.pretrained.zoo import move_to
from vosbench.scoring.predictions import PredictionNote, PredictionStore, ids_hash, masks_path
from vosbench.scoring.sequence import METRIC_VERSION, SequenceScore, score_sequence, without_nan

_LOADED = 16
"""Methods a process keeps; a suite of full-size networks would not fit into memory as a whole."""


@dataclass(frozen=True)
class _Trial:
    """A method on the sequence of a job.

    `training` is how weights of one's own were trained, as far as it is told; `given` is where a
    semi-supervised method starts; `seen` is a hash of everything the method is given.
    """

    job: Job
    scene: Scene
    model: Contestant
    method: Method
    weights: dict[str, Any]
    training: Mapping[str, Any]
    flow: dict[str, Any] | None
    given: Given | None
    seen: str

    @property
    def frame_size(self) -> tuple[int, int]:
        height, width = self.scene.video.frames[0].shape[:2]
        return height, width

    def outcome(self, rules: Rules, state: State, record: Record | None = None) -> Outcome:
        place = (self.job.label, self.job.sequence, self.model.label, rules.protocol.id)
        if state != "planned":
            return Outcome(*place, state, record)
        frames, pixels = len(self.scene.video), math.prod(self.frame_size)
        return Outcome(*place, state, frames=frames, pixels=pixels, needs_flow=self.method.needs_flow)


def run_job(job: Job) -> list[Outcome]:
    """Run every model of a job that has no equal record yet; one failing does not stop the others."""
    try:
        with open_scene(job) as scene:
            return [outcome for model in job.models for outcome in _run_isolated(job, scene, model)]
    except Exception as error:  # a damaged frame must not stop the other sequences
        return [fail(job, model, rules, say(error)) for model in job.models for rules in job.rules_of(model)]


def _run_isolated(job: Job, scene: Scene, model: Contestant) -> list[Outcome]:
    kinds: dict[Path, list[Rules]] = {}
    for rules in job.rules_of(model):
        # what starts from other masks is another segmentation
        given = rules.protocol.given
        label = f"{job.label}-given-{given['dataset']}" if given else job.label
        masks = masks_path(job.out, label, model.label, job.sequence)
        path = detections_path(masks) if rules.protocol.objects == "detections" else masks
        kinds.setdefault(path, []).append(rules)
    found = []
    for path, together in kinds.items():
        try:
            trial = _trial(job, scene, model, together[0])
            found += _run(trial, PredictionStore(path, scene.video.frame_names), together)
        except Exception as error:  # whatever a model raises is its own result; the others go on
            found += [fail(job, model, rules, say(error)) for rules in together]
    order = [protocol for label, protocol in job.cells if label == model.label]
    return sorted(found, key=lambda outcome: order.index(outcome.protocol))


def _trial(job: Job, scene: Scene, model: Contestant, rules: Rules) -> _Trial:
    method, weights, training = _load(model, job.device)
    flow = scene.describe_flow() if method.needs_flow else None
    inputs: dict[str, Any] = {"model": model.method, "weights": weights, "flow": flow}
    inputs["frames"] = next(iter(scene.hashes.values())).frames
    given = given_mask(job, scene, rules) if method.task == "semi-supervised" else None
    if given is not None:
        inputs["first_mask"] = ids_hash([job.sequence], [given.ids])
        # left out where it is 0, as in the notes beside masks that are there
        inputs |= {"first_frame": given.frame} if given.frame else {}
    return _Trial(job, scene, model, method, weights, training, flow, given, content_hash(inputs))


@lru_cache(_LOADED)
def _load(model: Contestant, device: str) -> tuple[Method, dict[str, Any], dict[str, Any]]:
    method, weights = model.load()
    training = weights.pop("training", {})
    # How the zoo was trained is told once, beside its weights; their hash leads there.
    return move_to(method, device), weights, training if model.checkpoint else {}


def _run(trial: _Trial, made: PredictionStore, together: Sequence[Rules]) -> list[Outcome]:
    """Make what is not there, and score it under the rules that have no current record of it."""
    content = made.content()
    found: dict[str, Outcome] = {}
    for rules in together:
        path = trial.job.path("records", trial.model, rules.protocol.id)
        record = current_record(path, _key(trial, rules), content)
        if record is not None:
            _forget_failure(trial, rules)
            found[rules.protocol.id] = trial.outcome(rules, "kept", record)
    due = [rules for rules in together if rules.protocol.id not in found]
    if trial.job.dry_run or not due:
        return [*found.values(), *(trial.outcome(rules, "planned") for rules in due)]
    for rules in due:
        # A record of other settings must not stay in the table if this model now fails.
        trial.job.path("records", trial.model, rules.protocol.id).unlink(missing_ok=True)
    state: State = "rescored"
    origin = made.origin(trial.seen, content)
    if origin is None:
        state = "computed"
        origin = _make(trial, made)
        due = due if origin.content == content else list(together)
    for rules in due:
        found[rules.protocol.id] = _score_isolated(trial, made, origin, rules, state)
    return list(found.values())


def _make(trial: _Trial, made: PredictionStore) -> PredictionNote:
    """Run the method and keep what it predicts."""
    meter = LoadMeter()
    seconds = trial.scene.compute_flow() if trial.method.needs_flow else {}
    started = time.perf_counter()
    video = trial.scene.video
    if made.path.suffix == ".json":
        # a method never sees the ground truth
        blind = replace(video, annotations={}, flow=video.flow if trial.method.needs_flow else None)
        detect(trial.model.method, trial.method, blind, made.path)
        content = made.content()
    else:
        content = made.save_ids(segmented(trial.method, video, trial.given))
    seconds["segment"] = (time.perf_counter() - started) / len(video)
    load = meter.read()
    assert content is not None
    provenance = {
        "time": now(),
        **_device(trial.method),
        **environment(),
        "peak_memory": _peak_memory(),
        "load": load,
    }
    origin = PredictionNote(trial.seen, content, seconds, provenance)
    made.finish(origin)
    return origin


def _score_isolated(
    trial: _Trial, made: PredictionStore, origin: PredictionNote, rules: Rules, state: State
) -> Outcome:
    try:
        video = trial.scene.truths[rules.protocol.id]
        started = time.perf_counter()
        if made.path.suffix == ".json":
            score = score_detections(made.path, video, rules.protocol)
        else:
            score = score_sequence(made.read_ids(), video.annotations, rules.protocol, rules.metrics)
        seconds = {"score": (time.perf_counter() - started) / len(video)}
        record = _record(trial, rules, score, origin, seconds, rescored=state == "rescored")
        record.write(trial.job.path("records", trial.model, rules.protocol.id))
    except Exception as error:  # one protocol that cannot be met leaves the others theirs
        return fail(trial.job, trial.model, rules, say(error))
    _forget_failure(trial, rules)
    return trial.outcome(rules, state, record)


def _forget_failure(trial: _Trial, rules: Rules) -> None:
    """Where there is a record there is no hole, even if a process was killed between the two."""
    if not trial.job.dry_run:
        trial.job.path("failures", trial.model, rules.protocol.id).unlink(missing_ok=True)


def _config(trial: _Trial, rules: Rules) -> dict[str, Any]:
    return {
        "model": trial.model.method,
        "weights": trial.weights,
        "flow": trial.flow,
        "protocol": rules.protocol.definition(),
        "metrics": list(rules.metrics),
        "metric_version": METRIC_VERSION,
        **_given_elsewhere(trial, rules),
    }


def _given_elsewhere(trial: _Trial, rules: Rules) -> dict[str, Any]:
    """What the hash of the data does not cover: a first mask that is no part of the ground truth."""
    if trial.given is None or not rules.protocol.given:
        return {}
    return {"given": {**rules.protocol.given, "content": ids_hash([trial.job.sequence], [trial.given.ids])}}


def _key(trial: _Trial, rules: Rules) -> str:
    data = trial.scene.hashes[rules.protocol.id].everything
    return content_hash({**_config(trial, rules), "edition": trial.job.edition, "data": data})


def _record(
    trial: _Trial,
    rules: Rules,
    score: SequenceScore,
    origin: PredictionNote,
    seconds: Mapping[str, float],
    *,
    rescored: bool,
) -> Record:
    job, config = trial.job, _config(trial, rules)
    hashes = trial.scene.hashes[rules.protocol.id]
    again = {"time": now(), **{name: environment()[name] for name in ("versions", "git")}}
    return Record(
        model=trial.model.label,
        size=str(trial.weights.get("size", "")),
        dataset=job.dataset,
        edition=job.edition,
        split=rules.split,
        sequence=job.sequence,
        protocol=rules.protocol.id,
        frames=len(trial.scene.video),
        key=_key(trial, rules),
        values=without_nan(score.values),
        per_frame={
            letter: [None if value is None or math.isnan(value) else value for value in values]
            for letter, values in score.per_frame.items()
        },
        seconds_per_frame={**origin.seconds_per_frame, **seconds},
        provenance={
            **origin.provenance,
            "command": job.command,
            "config": config,
            "config_hash": content_hash(config),
            "weights": trial.weights,
            **({"training": dict(trial.training)} if trial.training else {}),
            "data_hash": hashes.everything,
            "flow": trial.flow,
            "objects": score.objects,
            "frame_size": list(trial.frame_size),
            "content": {
                "masks": origin.content,
                "truth": hashes.truth,
                "protocol": content_hash(config["protocol"]),
                "metric_version": METRIC_VERSION,
            },
            **({"scored": again} if rescored else {}),
        },
    )


def _device(method: Method) -> dict[str, Any]:
    import torch

    device, precision = "cpu", "float32"
    if isinstance(method, torch.nn.Module):
        weight = next(method.parameters())
        device, precision = str(weight.device), str(weight.dtype).removeprefix("torch.")
    return {"device": device, "precision": precision, "threads": torch.get_num_threads()}


def _peak_memory() -> int:
    """Return the most bytes this process has held at once; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
