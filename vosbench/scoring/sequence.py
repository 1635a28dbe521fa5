"""Metric values of one sequence under a protocol, and of a data set from its sequences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vosbench.errors import InputError
from vosbench.metrics.kernels.aggregation import Aggregation, aggregate
from vosbench.metrics.kernels.detection import DetectionPool, require_library
from vosbench.metrics.kernels.fbms import VolumeOverlap, check_f_rule
from vosbench.metrics.kernels.overlap import OverlapSeries, object_count
from vosbench.metrics.kernels.statistics import nan_mean, sequence_statistics
from vosbench.metrics.kernels.temporal import T_SCALE, PairValues
from vosbench.metrics.specs import METRICS, MetricSpec, metric_of, value_spec
from vosbench.scoring.protocol import Protocol, VoidRule
from vosbench.video import VOID, IdMap

METRIC_VERSION = 1
"""Part of every record's key: raise it when the meaning of any value changes."""

_OBJECTS = "objects"
"""Column of the number of objects, beside the values of a sequence."""


@dataclass(frozen=True)
class SequenceScore:
    """Score of one sequence.

    Attributes:
        values: metric name -> value as a fraction, NaN where undefined (None in records); a mean
            over objects when the protocol has several.
        per_frame: ``"J"``, ``"F"``: value of every evaluated frame (mean over objects); ``"T"``:
            value of every pair of evaluated frames (and of frame 0 and the first of them, where the
            protocol has the T of MATLAB), scaled so that its mean is T_mean.
        objects: number of ground-truth objects, the weight of this sequence in a mean over objects.
        evidence: records of a `DetectionPool`, for protocols that pool the frames of all sequences.
    """

    values: Mapping[str, float | None]
    per_frame: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    objects: int = 1
    evidence: tuple[str, ...] = ()


def score_sequence(
    pred_ids: Sequence[IdMap] | NDArray[np.uint8],
    target_ids: Mapping[int, IdMap],
    protocol: Protocol,
    metrics: Sequence[str] | None = None,
    *,
    partial: bool = False,
) -> SequenceScore:
    """Score one sequence, frame by frame: memory does not grow with its length.

    Args:
        pred_ids: T predicted (H, W) uint8 id maps, 0 = background; an array or made when indexed. Only
            those of evaluated frames are asked for, in order and once.
        target_ids: frame index -> (H, W) uint8 ground truth; every evaluated frame must be there.
        protocol: the rules, not those of detections.
        metrics: some of the protocol's; all when None.
        partial: id 255 of the prediction is a pixel without a prediction (sparse tracks).

    Raises:
        InputError: sizes differ, ground truth or ids are missing, or ids the protocol does not allow.
    """
    selected = protocol.choose_metrics(None if metrics is None else tuple(metrics))
    if protocol.objects == "detections":
        raise InputError(f"protocol {protocol.id} scores detections, not masks of ids")
    pairs = _pairs(pred_ids, target_ids, protocol)
    if protocol.objects == "volumes":
        return _score_volumes(pairs, protocol, selected, partial)
    return _score_frames(pairs, target_ids, protocol, selected)


def check_detection_library() -> None:
    """Refuse to score detections without the library that matches them.

    Raises:
        InputError: it is not installed.
    """
    try:
        require_library()
    except ImportError as error:
        raise InputError(str(error)) from None


def overall(scores: Mapping[str, SequenceScore], protocol: Protocol) -> dict[str, float]:
    """Return the data-set value of every metric, a fraction, NaN where no sequence has one.

    The mean runs over sequences, objects or classes, as the protocol says; with classes their own
    means are there too, as ``iou_mean/CLASS``; pooled values come from all frames at once. T counts
    only the protocol's stability sequences, when the data set has any of them. Undefined values (T of
    empty masks) are left out.

    Raises:
        InputError: detections are pooled, and the library that matches them is not installed.
    """
    if protocol.average == "pooled":
        check_detection_library()
        return DetectionPool(record for score in scores.values() for record in score.evidence).compute()
    values = {}
    for name in metric_names(scores):
        rows = counted_rows(scores, name, protocol)
        values[name] = aggregate(rows, aggregation(name, rows, protocol))
        if protocol.average == "classes":
            for label in sorted({class_of(sequence) for sequence in rows}):
                of_class = {sequence: row for sequence, row in rows.items() if class_of(sequence) == label}
                values[f"{name}/{label}"] = aggregate(of_class, Aggregation("mean", (name,)))
    return values


def metric_names(scores: Mapping[str, SequenceScore]) -> list[str]:
    """Return the names of all values, in their order."""
    return list(dict.fromkeys(name for score in scores.values() for name in score.values))


def counted_rows(
    scores: Mapping[str, SequenceScore], name: str, protocol: Protocol
) -> dict[str, dict[str, float | None]]:
    """Return the values of the sequences that count for a data-set value, with their numbers of objects."""
    metric = metric_of(name)
    stable_only = metric is not None and METRICS[metric].stable_sequences
    counted = stability_counts(scores, protocol) if stable_only else list(scores)
    return {sequence: {**scores[sequence].values, _OBJECTS: scores[sequence].objects} for sequence in counted}


def aggregation(name: str, sequences: Iterable[str], protocol: Protocol) -> Aggregation:
    """Return how the data-set value of a metric follows from those of its sequences.

    Args:
        name: of the value, e.g. ``"J_mean"``.
        sequences: those that count.
        protocol: the rules.
    """
    value = value_spec(name)
    within = value.within
    if value.summed:
        return Aggregation("sum", (name,), within=within)
    if (
        value.harmonic_of
        and protocol.variant
        and check_f_rule(protocol.variant, protocol.f_rule) == "harmonic"
    ):
        return Aggregation("harmonic", value.harmonic_of, within=within)
    if protocol.average == "classes":
        labels = {sequence: class_of(sequence) for sequence in sequences}
        return Aggregation("classes", (name,), classes=labels, within=within)
    weights = _OBJECTS if protocol.average == "objects" else None
    return Aggregation("mean", (name,), weights=weights, within=within)


def class_of(sequence: str) -> str:
    """Return the class of a sequence of YouTube-Objects, e.g. ``"car"`` of ``"car_0003"``."""
    return sequence.partition("_")[0]


def stability_counts(sequences: Iterable[str], protocol: Protocol) -> list[str]:
    """Return those of `sequences` that count for the data-set value of T."""
    names = list(sequences)
    listed = [name for name in names if name in protocol.stability_sequences]
    return listed or names


def stability_note(scores: Mapping[str, SequenceScore], protocol: Protocol) -> str | None:
    """Return one line on the sequences behind the data-set value of T; None without T."""
    with_t = [name for name, score in scores.items() if "T_mean" in score.values]
    if not with_t:
        return None
    counted = stability_counts(with_t, protocol)
    listed = any(name in protocol.stability_sequences for name in counted)
    valued = [name for name in counted if _is_number(scores[name].values["T_mean"])]
    text = (
        f"T_mean: over {len(counted)} of {len(with_t)} sequences, those {protocol.id} counts for T"
        if listed
        else f"T_mean: over all {len(with_t)} sequences (none is on the list of {protocol.id})"
    )
    absent = sorted(set(counted) - set(valued))
    return text if not absent else f"{text}; undefined (empty masks), left out: {', '.join(absent)}"


def summary_notes(scores: Mapping[str, SequenceScore], protocol: Protocol) -> list[str]:
    """Return one line for each data-set value that is not over everything."""
    notes = [] if (note := stability_note(scores, protocol)) is None else [note]
    if "n_objects" in metric_names(scores):
        notes.append(f"n_objects: of {sum(score.objects for score in scores.values())} in the ground truth")
    return notes


def without_nan(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return the values with None for what is undefined, as JSON and records have it."""
    return {name: value if _is_number(value) else None for name, value in values.items()}


def _pairs(
    pred_ids: Sequence[IdMap] | NDArray[np.uint8], target_ids: Mapping[int, IdMap], protocol: Protocol
) -> Iterator[tuple[IdMap, IdMap]]:
    """Yield prediction and ground truth of the evaluated frames."""
    for frame in protocol.evaluated(len(pred_ids), target_ids):
        if frame not in target_ids:
            raise InputError(f"no ground truth for frame {frame}, which protocol {protocol.id} evaluates")
        pred, target = pred_ids[frame], target_ids[frame]
        if pred.shape != target.shape:
            raise InputError(
                f"frame {frame}: the prediction is {_size(pred.shape)}, the ground truth "
                f"{_size(target.shape)} (width x height); masks are never resized: write them at the size of "
                "the frames"
            )
        yield pred, target


def _score_frames(
    pairs: Iterable[tuple[IdMap, IdMap]],
    target_ids: Mapping[int, IdMap],
    protocol: Protocol,
    metrics: Sequence[str],
) -> SequenceScore:
    objects = _object_count(target_ids, protocol)
    specs = [METRICS[name] for name in metrics]
    measures = list(dict.fromkeys(metric.measure for metric in specs if metric.measure))
    assert protocol.objects in ("union", "ids", "match")
    series = OverlapSeries(measures, protocol.objects, objects)
    stability = _pair_values(target_ids, protocol) if "t" in metrics else None
    for pred, target in pairs:
        _check_highest_id(pred, series.highest_id, protocol)
        truth, void = _without_void(target, protocol.void)
        if measures:
            series.add(pred, truth, void)
        if stability is not None:
            stability.add(pred != 0)
    per_object = series.finish()
    per_frame = {name: np.mean([values[name] for values in per_object], axis=0).tolist() for name in measures}
    values = _means(per_object, [metric for metric in specs if metric.measure])
    for metric in specs:
        if metric.mean_of:
            parts = [values[METRICS[name].values[0].name] for name in metric.mean_of]
            values[metric.values[0].name] = sum(parts) / len(parts)
    if stability is not None:
        per_frame["T"] = [T_SCALE * value for value in stability.values]
        values["T_mean"] = nan_mean(np.array(per_frame["T"]))
    return SequenceScore(values, per_frame, objects)


def _pair_values(target_ids: Mapping[int, IdMap], protocol: Protocol) -> PairValues:
    """Return T of a sequence before its first evaluated frame."""
    stability = PairValues(protocol.stability)
    if protocol.stability == "matlab":
        if 0 not in target_ids:
            raise InputError(f"no ground truth for frame 0, where T of protocol {protocol.id} begins")
        stability.add(target_ids[0] != 0)
    return stability


def _means(
    per_object: Sequence[Mapping[str, NDArray[np.float64]]], metrics: Sequence[MetricSpec]
) -> dict[str, float]:
    """Mean over objects of the statistics of their frames."""
    means: dict[str, float] = {}
    for metric in metrics:
        statistics = [sequence_statistics(values[metric.measure]) for values in per_object]
        for value in metric.values:
            means[value.name] = float(np.mean([item[value.statistic] for item in statistics]))
    return means


def _score_volumes(
    pairs: Iterable[tuple[IdMap, IdMap]], protocol: Protocol, metrics: Sequence[str], partial: bool
) -> SequenceScore:
    overlap = VolumeOverlap()
    for pred, target in pairs:
        truth, void = _without_void(target, protocol.void)
        overlap.add(pred, truth, void, uncovered=pred == VOID if partial else None)
    values: dict[str, float] = {}
    if "fbms" in metrics:
        assert protocol.variant is not None
        values |= overlap.measure(protocol.variant)
    if "delta_obj" in metrics:
        values["delta_obj"] = float(overlap.count_error())
    return SequenceScore(values, objects=overlap.objects)


def _without_void(target: IdMap, rule: VoidRule) -> tuple[IdMap, NDArray[np.bool_] | None]:
    """Return the ids of the ground truth, and the pixels to leave out when there are any."""
    if rule == "foreground":
        return target, None
    void = target == VOID
    if not void.any():
        return target, None
    return np.where(void, 0, target).astype(np.uint8), void if rule == "ignore" else None


def _object_count(target_ids: Mapping[int, IdMap], protocol: Protocol) -> int:
    if protocol.objects == "union":
        return 1
    if 0 not in target_ids:
        raise InputError(f"no ground truth for frame 0, whose ids protocol {protocol.id} needs")
    objects = object_count(target_ids[0])
    if not objects:
        raise InputError(f"ground-truth frame 0 has no object: protocol {protocol.id} needs its ids")
    return objects


def _check_highest_id(pred: IdMap, allowed: int | None, protocol: Protocol) -> None:
    if allowed is None or (highest := int(pred.max(initial=0))) <= allowed:
        return
    reason = "the ids of ground-truth frame 0" if protocol.objects == "ids" else "the most proposals it takes"
    raise InputError(
        f"the prediction has id {highest}; protocol {protocol.id} allows 1..{allowed} ({reason})"
    )


def _is_number(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"
