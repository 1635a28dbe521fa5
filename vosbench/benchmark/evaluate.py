"""Metric values of one sequence under a protocol, and of a data set from its sequences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from vosbench.benchmark.protocols import Protocol
from vosbench.data.video import VOID, IdMap
from vosbench.errors import InputError
from vosbench.metrics import functional
from vosbench.metrics.kernels.temporal import T_SCALE

METRIC_VERSION = 1
"""Part of every record's key: raise it when the meaning of any value changes."""

MAX_PROPOSALS = 20
"""Most object ids a prediction may use under matching (Caelles et al., 2019)."""

Masks = NDArray[np.bool_]
PerFrame = dict[str, list[float]]


@dataclass(frozen=True)
class SequenceScore:
    """What one sequence scored.

    Attributes:
        values: metric name -> value as a fraction, NaN where undefined (None in records); a mean
            over objects when the protocol has several.
        per_frame: ``"J"``, ``"F"``: value of every evaluated frame (mean over objects); ``"T"``:
            value of every pair of evaluated frames, scaled so that its mean is T_mean.
        objects: number of ground-truth objects, the weight of this sequence in a mean over objects.
    """

    values: Mapping[str, float | None]
    per_frame: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    objects: int = 1


def score_sequence(
    pred_ids: NDArray[np.uint8],
    target_ids: Mapping[int, IdMap],
    protocol: Protocol,
    metrics: Sequence[str] | None = None,
) -> SequenceScore:
    """Score one sequence.

    Args:
        pred_ids: (T, H, W) uint8 predicted ids, 0 = background.
        target_ids: frame index -> (H, W) uint8 ground truth; every evaluated frame must be there.
        protocol: the rules.
        metrics: letters out of ``j f t``; all of the protocol when None.

    Raises:
        InputError: sizes differ, ground truth or ids are missing, or ids the protocol does not allow.
    """
    letters = protocol.choose_metrics(None if metrics is None else tuple(metrics))
    frames = protocol.evaluated(len(pred_ids))
    target = _gather_target(target_ids, frames, pred_ids.shape, protocol)
    pred = pred_ids[frames.start : frames.stop]
    void = target == VOID if protocol.void == "ignore" else None
    if protocol.objects == "union":
        foreground = target != 0 if protocol.void == "foreground" else (target != 0) & (target != VOID)
        return _summary([_per_frame(pred != 0, foreground, void, letters)], protocol)
    first = _gather_target(target_ids, range(1), pred_ids.shape, protocol)[0]
    objects = _object_ids(first)
    if not objects:
        raise InputError(f"ground-truth frame 0 has no object: protocol {protocol.id} needs its ids")
    _check_prediction_ids(pred, len(objects), protocol)
    if protocol.objects == "ids":
        per_object = [_per_frame(pred == i, target == i, void, letters) for i in objects]
    else:
        per_object = _match(pred, target, objects, void, letters)
    return _summary(per_object, protocol)


def overall(scores: Mapping[str, SequenceScore], protocol: Protocol) -> dict[str, float]:
    """Return the data-set value of every metric, a fraction, NaN where no sequence has one.

    The mean runs over sequences, or over the objects of all sequences where the protocol says so.
    T counts only the protocol's stability sequences, when the data set has any of them. Undefined
    values (T of empty masks) are left out.
    """
    names = dict.fromkeys(name for score in scores.values() for name in score.values)
    return {name: _mean_over(scores, name, protocol) for name in names}


def stability_counts(sequences: Iterable[str], protocol: Protocol) -> list[str]:
    """Return those of `sequences` that count for the data-set value of T."""
    names = list(sequences)
    listed = [name for name in names if name in protocol.stability_sequences]
    return listed or names


def stability_note(scores: Mapping[str, SequenceScore], protocol: Protocol) -> str | None:
    """Say in one line what the data-set value of T was averaged over; None without T."""
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


def without_nan(values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return the values with None for what is undefined, as JSON and records have it."""
    return {name: value if _is_number(value) else None for name, value in values.items()}


def _mean_over(scores: Mapping[str, SequenceScore], name: str, protocol: Protocol) -> float:
    counted = stability_counts(scores, protocol) if name.startswith("T_") else list(scores)
    chosen = [scores[sequence] for sequence in counted]
    pairs = [(score.values.get(name), score.objects) for score in chosen]
    defined = [(value, weight) for value, weight in pairs if value is not None and not math.isnan(value)]
    if not defined:
        return math.nan
    if protocol.average == "sequences":
        return math.fsum(value for value, _ in defined) / len(defined)
    total = sum(weight for _, weight in defined)
    return math.fsum(value * weight for value, weight in defined) / total if total else math.nan


def _is_number(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _gather_target(
    target_ids: Mapping[int, IdMap], frames: Sequence[int], shape: tuple[int, ...], protocol: Protocol
) -> NDArray[np.uint8]:
    target = np.zeros((len(frames), *shape[1:]), np.uint8)
    for row, frame in enumerate(frames):
        if frame not in target_ids:
            raise InputError(f"no ground truth for frame {frame}, which protocol {protocol.id} evaluates")
        ids = target_ids[frame]
        if ids.shape != shape[1:]:
            raise InputError(
                f"frame {frame}: the prediction is {_size(shape[1:])}, the ground truth {_size(ids.shape)} "
                "(width x height); masks are never resized: write them at the size of the frames"
            )
        target[row] = ids
    return target


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


def _object_ids(first: IdMap) -> range:
    """Ids 1..K, K the largest id of ground-truth frame 0."""
    ids = first[first != VOID]
    return range(1, int(ids.max(initial=0)) + 1)


def _check_prediction_ids(pred: NDArray[np.uint8], objects: int, protocol: Protocol) -> None:
    most = objects if protocol.objects == "ids" else MAX_PROPOSALS
    highest = int(pred.max(initial=0))
    if highest <= most:
        return
    reason = "the ids of ground-truth frame 0" if protocol.objects == "ids" else "the most proposals it takes"
    raise InputError(f"the prediction has id {highest}; protocol {protocol.id} allows 1..{most} ({reason})")


def _match(
    pred: NDArray[np.uint8],
    target: NDArray[np.uint8],
    objects: range,
    void: Masks | None,
    letters: Sequence[str],
) -> list[PerFrame]:
    """Give every object the proposal of the best total J+F (of the one measure when only one is asked)."""
    # Only this protocol needs scipy, whose import takes longer than scoring a short sequence.
    from scipy.optimize import linear_sum_assignment

    proposals = [int(i) for i in np.unique(pred) if i != 0]
    # Objects without a proposal of their own are compared with empty masks.
    proposals += [MAX_PROPOSALS + 1 + extra for extra in range(max(len(objects) - len(proposals), 0))]
    table = [[_per_frame(pred == p, target == i, void, letters) for p in proposals] for i in objects]
    gain = [[np.mean([np.mean(values) for values in cell.values()]) for cell in row] for row in table]
    rows, columns = linear_sum_assignment(np.asarray(gain), maximize=True)
    return [table[row][column] for row, column in zip(rows, columns, strict=True)]


def _per_frame(pred: Masks, target: Masks, void: Masks | None, letters: Sequence[str]) -> PerFrame:
    """Return metric letter -> values, from (N, H, W) masks of the evaluated frames."""
    prediction, truth = torch.from_numpy(pred), torch.from_numpy(target)
    ignored = None if void is None else torch.from_numpy(void)
    values: PerFrame = {}
    if "j" in letters:
        values["J"] = functional.region_similarity(prediction, truth, ignored).tolist()
    if "f" in letters:
        values["F"] = functional.contour_accuracy(prediction, truth, ignored).tolist()
    if "t" in letters:
        values["T"] = (T_SCALE * functional.temporal_stability(prediction)).tolist()
    return values


def _summary(per_object: Sequence[PerFrame], protocol: Protocol) -> SequenceScore:
    statistics = [_statistics(per_frame) for per_frame in per_object]
    values = {name: float(np.mean([item[name] for item in statistics])) for name in statistics[0]}
    if protocol.average == "objects" and {"J_mean", "F_mean"} <= values.keys():
        values["JF_mean"] = (values["J_mean"] + values["F_mean"]) / 2
    per_frame = {
        letter: np.mean([item[letter] for item in per_object], axis=0).tolist() for letter in per_object[0]
    }
    return SequenceScore(values=values, per_frame=per_frame, objects=len(per_object))


def _statistics(per_frame: PerFrame) -> dict[str, float]:
    values: dict[str, float] = {}
    for letter in ("J", "F"):
        if letter in per_frame:
            statistics = functional.sequence_statistics(torch.tensor(per_frame[letter], dtype=torch.float64))
            values |= {f"{letter}_{name}": float(statistics[name]) for name in ("mean", "recall", "decay")}
    if "T" in per_frame:
        defined = [value for value in per_frame["T"] if not math.isnan(value)]
        values["T_mean"] = math.fsum(defined) / len(defined) if defined else math.nan
    return values
