"""One job of a comparison: one sequence, all models; one record per model."""

from __future__ import annotations

import hashlib
import math
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from vosbench.benchmark.detecting import detect, detections_path
from vosbench.benchmark.evaluate import METRIC_VERSION, SequenceScore, score_sequence, without_nan
from vosbench.benchmark.protocols import Protocol
from vosbench.benchmark.record import Record, record_path
from vosbench.benchmark.store import content_hash, current_record, environment, now, video_hash
from vosbench.data.catalogue import open_dataset
from vosbench.data.formats.png import write_ids
from vosbench.data.video import FlowField, Frame, IdMap, Video
from vosbench.errors import InputError
from vosbench.flow.cache import attach_flow
from vosbench.flow.estimators import FlowEstimator, Precomputed, build_estimator
from vosbench.models.base import Method, Size
from vosbench.models.zoo import load_method, move_to

State = Literal["computed", "kept", "planned", "failed"]


GROUND_TRUTH = "ground_truth"
"""Flow of a job that the data set brings along, as FlyingThings3D does."""

_LOADED = 16
"""Methods a process keeps; a suite of full-size networks would not fit into memory as a whole."""


@dataclass(frozen=True)
class Contestant:
    """A method as it enters a comparison.

    Attributes:
        method: name of the method.
        label: what records, masks and tables call it.
        size: network size, the largest with weights when None.
        checkpoint: weights to use instead of the zoo's.
        settings: switches changed for inference, see `vosbench.models.zoo.load_method`.
    """

    method: str
    label: str
    size: Size | None = None
    checkpoint: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def load(self) -> tuple[Method, dict[str, Any]]:
        """Return the method and where its weights come from; see `vosbench.models.zoo.load_method`."""
        if self.checkpoint is None and not self.settings:
            return load_method(self.method, self.size)
        return load_method(self.method, self.size, self.checkpoint, self.settings)


@dataclass(frozen=True)
class Job:
    """One sequence and the models to run on it; plain data, so that it can be sent to a process.

    Attributes:
        dataset, root, split, index: where the sequence is.
        sequence: its name.
        models: the methods.
        device: where networks run, see `vosbench.models.zoo.move_to`.
        protocol: the rules.
        metrics: letters out of ``j f t``.
        flow, flow_settings: the flow estimator and the arguments of its class, or `GROUND_TRUTH`.
        cache: where flow is kept; only for the duration of the job when None.
        out: folder of records and masks.
        command: what the user ran.
        dry_run: only say what would be computed.
        options: of the reader of the data set.
    """

    dataset: str
    root: Path
    split: str
    index: int
    sequence: str
    models: tuple[Contestant, ...]
    device: str
    protocol: Protocol
    metrics: tuple[str, ...]
    flow: str
    flow_settings: Mapping[str, Any]
    cache: Path | None
    out: Path
    command: str
    dry_run: bool
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of one model on one sequence.

    Attributes:
        dataset: label of the data set's edition, e.g. ``"davis16-mini"``.
        sequence, model: which one; the model by its label.
        state: ``"kept"`` when an equal record was there; ``"planned"`` in a dry run.
        record: the record, when there is one.
        message: why it failed.
    """

    dataset: str
    sequence: str
    model: str
    state: State
    record: Record | None = None
    message: str = ""


@dataclass(frozen=True)
class _Input:
    """What all models of a job share."""

    job: Job
    video: Video
    label: str
    edition: str
    data_hash: str
    estimator: _TimedEstimator | Precomputed | None
    """None: the flow the video has."""


@dataclass(frozen=True)
class _Plan:
    """One model on the sequence: what identifies its record, and where that goes."""

    label: str
    method: Method
    config: dict[str, Any]
    weights: dict[str, Any]
    key: str
    path: Path


class _TimedEstimator:
    """A flow estimator that knows how long it took: cached fields cost nothing and do not count."""

    def __init__(self, estimator: FlowEstimator) -> None:
        self._estimator = estimator
        self.name = estimator.name
        self.settings = estimator.settings
        self.pairs = 0
        self.seconds = 0.0

    def __call__(self, first: Frame, second: Frame) -> FlowField:
        start = time.perf_counter()
        field = self._estimator(first, second)
        self.seconds += time.perf_counter() - start
        self.pairs += 1
        return field


def run_job(job: Job) -> list[Outcome]:
    """Run every model of a job that has no equal record yet; one failing does not stop the others."""
    opened = open_dataset(job.dataset, job.root, job.split, **job.options)
    video = opened[job.index]
    try:
        shared = _Input(
            job,
            video,
            opened.label,
            opened.edition,
            video_hash(video),
            _estimator(job),
        )
    except Exception as error:  # a damaged frame must not stop the other sequences
        return [
            Outcome(opened.label, job.sequence, model.label, "failed", message=_say(error))
            for model in job.models
        ]
    if shared.estimator is None:
        return [_run_isolated(shared, model) for model in job.models]
    with _flow_folder(job.cache) as folder:
        shared = replace(shared, video=attach_flow(video, shared.estimator, folder, overwrite=True))
        return [_run_isolated(shared, model) for model in job.models]


def masks_path(out: Path, label: str, model: str, sequence: str) -> Path:
    """Return the folder of the masks of one model on one sequence; complete or absent."""
    return out / "masks" / label / model / sequence


def _run_isolated(shared: _Input, model: Contestant) -> Outcome:
    try:
        return _run_model(shared, model)
    except Exception as error:  # whatever a model raises is its own result; the others go on
        return Outcome(shared.label, shared.job.sequence, model.label, "failed", message=_say(error))


def _say(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"


def _run_model(shared: _Input, model: Contestant) -> Outcome:
    job = shared.job
    plan = _plan(shared, model)
    masks = masks_path(job.out, shared.label, model.label, job.sequence)
    detects = job.protocol.objects == "detections"
    record = current_record(plan.path, plan.key)
    # values of single sequences cannot be pooled: a record of detections is worth nothing without them
    if record is not None and (not detects or detections_path(masks).is_file()):
        return Outcome(shared.label, job.sequence, model.label, "kept", record)
    if job.dry_run:
        return Outcome(shared.label, job.sequence, model.label, "planned")
    # A record of other settings must not stay in the table if this model now fails.
    plan.path.unlink(missing_ok=True)
    seconds: dict[str, float] = {}
    if plan.method.needs_flow:
        seconds |= _compute_flow(shared)
    if detects:
        file = detections_path(masks)
        score, spent = detect(model.method, plan.method, shared.video, job.protocol, file)
    else:
        score, spent = _segment_and_score(shared, plan.method, masks)
    record = _record(shared, plan, score, seconds | spent)
    record.write(plan.path)
    return Outcome(shared.label, job.sequence, model.label, "computed", record)


def _segment_and_score(shared: _Input, method: Method, masks: Path) -> tuple[SequenceScore, dict[str, float]]:
    """Write the masks; return their score, and step -> seconds per frame."""
    job = shared.job
    started = time.perf_counter()
    ids = _segment(method, shared.video)
    segmented = time.perf_counter()
    score = score_sequence(ids, shared.video.annotations, job.protocol, job.metrics)
    scored = time.perf_counter()
    _save_masks(masks, shared.video.frame_names, ids)
    return score, {"segment": (segmented - started) / len(ids), "score": (scored - segmented) / len(ids)}


@lru_cache(_LOADED)
def _load(model: Contestant, device: str) -> tuple[Method, dict[str, Any]]:
    method, weights = model.load()
    # How they were trained is told once, beside the weights; their hash leads there.
    identity = {key: value for key, value in weights.items() if key != "training"}
    return move_to(method, device), identity


def _plan(shared: _Input, model: Contestant) -> _Plan:
    job = shared.job
    method, weights = _load(model, job.device)
    flow = _describe_flow(shared) if method.needs_flow else None
    config = {
        "model": model.method,
        "weights": weights,
        "flow": flow,
        "protocol": job.protocol.definition(),
        "metrics": list(job.metrics),
        "metric_version": METRIC_VERSION,
    }
    key = content_hash({**config, "edition": shared.edition, "data": shared.data_hash})
    path = record_path(job.out / "records", shared.label, job.protocol.id, model.label, job.sequence)
    return _Plan(model.label, method, config, weights, key, path)


def _describe_flow(shared: _Input) -> dict[str, Any]:
    if shared.estimator is None:
        return {"estimator": GROUND_TRUTH, "content": _flow_hash(shared.video)}
    described = {"estimator": shared.estimator.name, **shared.estimator.settings}
    if isinstance(shared.estimator, Precomputed):
        # Files of the same name may hold other flow tomorrow.
        described["content"] = shared.estimator.content_hash(shared.video)
    return described


def _flow_hash(video: Video) -> str:
    if video.flow is None:
        raise InputError(f"{video.name}: there is no ground-truth flow; choose a flow estimator")
    digest = hashlib.sha256()
    for pair in video.flow:
        digest.update(np.ascontiguousarray(pair).data)
    return digest.hexdigest()


def _estimator(job: Job) -> _TimedEstimator | Precomputed | None:
    if job.flow == GROUND_TRUTH:
        return None
    estimator = build_estimator(job.flow, **job.flow_settings)
    return estimator if isinstance(estimator, Precomputed) else _TimedEstimator(estimator)


def _compute_flow(shared: _Input) -> dict[str, float]:
    """Fill the flow cache, so that the time of a model does not depend on who came first."""
    video, estimator = shared.video, shared.estimator
    assert video.flow is not None
    for _ in video.flow:
        pass
    if estimator is None or isinstance(estimator, Precomputed):
        return {}
    if not estimator.pairs and len(video) > 1:
        # All came from an earlier run's cache: one pair tells what computing it costs here.
        estimator(video.frames[0], video.frames[1])
    return {"flow": estimator.seconds / estimator.pairs} if estimator.pairs else {}


def _segment(method: Method, video: Video) -> NDArray[np.uint8]:
    # A method never sees the ground truth, except the first mask when its task gives it that.
    blind = replace(video, annotations={}, flow=video.flow if method.needs_flow else None)
    first_mask = _first_mask(video) if method.task == "semi-supervised" else None
    ids = np.zeros((len(video), *video.frames[0].shape[:2]), np.uint8)
    for index, mask in enumerate(method.segment(blind, first_mask)):
        if mask.shape != ids.shape[1:] or mask.dtype != np.uint8:
            raise ValueError(
                f"frame {index}: the method returned {mask.dtype} {mask.shape}, not uint8 {ids.shape[1:]}"
            )
        ids[index] = mask
    return ids


def _first_mask(video: Video) -> IdMap:
    if 0 not in video.annotations:
        raise InputError(
            f"{video.name}: frame 0 has no ground truth, which a semi-supervised method is given"
        )
    return video.annotations[0]


def _save_masks(folder: Path, names: tuple[str, ...], ids: NDArray[np.uint8]) -> None:
    # One fixed name, unlike `whole_folder`: the run after a kill clears what the killed one left.
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for name, mask in zip(names, ids, strict=True):
        write_ids(partial / f"{name}.png", mask)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def _record(shared: _Input, plan: _Plan, score: SequenceScore, seconds: dict[str, float]) -> Record:
    job = shared.job
    return Record(
        model=plan.label,
        size=str(plan.weights.get("size", "")),
        dataset=job.dataset,
        edition=shared.edition,
        split=job.split,
        sequence=job.sequence,
        protocol=job.protocol.id,
        frames=len(shared.video),
        key=plan.key,
        values=without_nan(score.values),
        per_frame={
            letter: [None if value is None or math.isnan(value) else value for value in values]
            for letter, values in score.per_frame.items()
        },
        seconds_per_frame=seconds,
        provenance={
            "command": job.command,
            "config": plan.config,
            "config_hash": content_hash(plan.config),
            "weights": plan.weights,
            "data_hash": shared.data_hash,
            "flow": plan.config["flow"],
            "objects": score.objects,
            "time": now(),
            **_device(plan.method),
            **environment(),
        },
    )


def _device(method: Method) -> dict[str, Any]:
    import torch

    device, precision = "cpu", "float32"
    if isinstance(method, torch.nn.Module):
        weight = next(method.parameters())
        device, precision = str(weight.device), str(weight.dtype).removeprefix("torch.")
    return {"device": device, "precision": precision, "threads": torch.get_num_threads()}


@contextmanager
def _flow_folder(cache: Path | None) -> Iterator[Path]:
    """Yield the flow cache; without one, a folder that lives as long as the job."""
    if cache is not None:
        yield cache
        return
    with tempfile.TemporaryDirectory(prefix="vosbench-flow-") as folder:
        yield Path(folder)
