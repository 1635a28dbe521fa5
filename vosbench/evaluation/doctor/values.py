"""Mistakes in the values of mask files: encodings, soft levels, ids out of range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vosbench.evaluation.doctor.findings import Finding, Severity
from vosbench.evaluation.results.arrays import Values
from vosbench.evaluation.results.values import (
    MOST_IDS,
    NEGATIVE,
    NEGATIVE_FIX,
    NOT_FINITE,
    NOT_FINITE_FIX,
    merges,
    middle,
)
from vosbench.formats.png_palette import HIGHEST_ID, davis_palette
from vosbench.metrics.kernels.overlap import MAX_PROPOSALS
from vosbench.scoring.protocol import Protocol
from vosbench.video import VOID

_LEVELS = 256
_SMALLEST_STEP = 10
"""Ids that were multiplied are at least this far apart; nearer levels are a soft mask."""

_REC601 = (19595, 38470, 7471)
"""Weights of red, green and blue in a grey level, times 65536 (ITU-R BT.601)."""


def levels_of(values: Values) -> NDArray[np.bool_] | None:
    """Return which of the values 0..255 occur, (256,) bool; None when there are others."""
    if values.dtype.kind == "f" and not bool((values == np.trunc(values)).all()):
        return None
    if values.dtype.itemsize > 1 and (values.min(initial=0) < 0 or values.max(initial=0) > VOID):
        return None
    return np.bincount(values.astype(np.uint8).ravel(), minlength=_LEVELS) > 0


def value_findings(
    levels: NDArray[np.bool_], objects: int, protocol: Protocol, *, one_object: bool
) -> list[Finding]:
    """Return the mistakes in the values of all frames of a sequence.

    Args:
        levels: (T, 256) bool, which values occur in each frame.
        objects: number of ids of the ground truth.
        protocol: decides whether ids are distinguished.
        one_object: whether the data set is known for one object per video, so that ids are suspicious.
    """
    used = np.flatnonzero(levels.any(axis=0))
    nonzero = [int(level) for level in used if level]
    if not nonzero or nonzero == [1]:
        return []
    encoded = _encoded_ids(nonzero)
    if merges(protocol):
        return _foreground_findings(levels, nonzero, encoded, one_object)
    return _id_findings(levels, nonzero, encoded, objects, protocol)


class ValueRange(NamedTuple):
    """Lowest and highest value of a frame, NaN if one is not a number, and whether its type has fractions."""

    low: float
    high: float
    fractions: bool


def range_of(values: Values) -> ValueRange:
    """Return the range of one frame."""
    return ValueRange(float(values.min(initial=0)), float(values.max(initial=0)), values.dtype.kind == "f")


def soft_value_findings(frames: Sequence[ValueRange], protocol: Protocol) -> list[Finding]:
    """Return the mistakes in frames whose values are no bytes: fractions, scores, 16 bits."""
    if not frames:
        return []
    strange = [frame for frame in frames if not math.isfinite(frame.low + frame.high)]
    if strange:
        return [Finding(len(strange), NOT_FINITE, NOT_FINITE_FIX)]
    if not frames[0].fractions and min(frame.low for frame in frames) < 0:
        return [Finding(sum(frame.low < 0 for frame in frames), NEGATIVE, NEGATIVE_FIX)]
    if not merges(protocol):
        problem = "soft values (fractions, scores or 16 bits) where object ids are needed"
        fix = "save the id of every pixel, e.g. scores.argmax(axis=0).astype('uint8')"
        return [Finding(len(frames), problem, fix)]
    low, high = min(frame.low for frame in frames), max(frame.high for frame in frames)
    problem = "soft values (fractions, scores or 16 bits), neither 0/1 nor 0/255"
    cut = middle(low, high, fractions=frames[0].fractions)
    return [Finding(len(frames), problem, f"vosbench score ... --threshold {cut}")]


class _EncodedIds(NamedTuple):
    """Ids that became grey levels, and the conversion back."""

    problem: str
    conversion: str


def _encoded_ids(nonzero: list[int]) -> _EncodedIds | None:
    """Recognise ids that became grey levels."""
    if nonzero == [VOID] or len(nonzero) > HIGHEST_ID or nonzero[-1] <= HIGHEST_ID:
        return None
    colours = davis_palette()[: HIGHEST_ID + 1].astype(np.int64) @ np.array(_REC601)
    grey: dict[int, int] = {}
    for i, level in enumerate((colours + 2**15) >> 16):
        grey.setdefault(int(level), i)
    if all(level in grey for level in nonzero):
        pairs = ", ".join(f"{level} -> {grey[level]}" for level in nonzero)
        return _EncodedIds(
            "the colours of a palette saved as grey levels instead of the ids",
            f"turn the levels back ({pairs}), or write ids without convert('L')",
        )
    step = math.gcd(*nonzero)
    if step >= _SMALLEST_STEP and nonzero[-1] // step <= HIGHEST_ID:
        return _EncodedIds("ids multiplied to be visible", f"divide by {step}: ids = mask // {step}")
    parts = len(nonzero)
    stretched = [VOID * i / parts for i in range(1, parts + 1)]
    if parts > 1 and all(abs(a - b) <= 1 for a, b in zip(nonzero, stretched, strict=True)):
        return _EncodedIds("ids stretched to 0..255", f"write ids = numpy.rint(mask / {VOID / parts:.4g})")
    return None


def _foreground_findings(
    levels: NDArray[np.bool_], nonzero: list[int], encoded: _EncodedIds | None, one_object: bool
) -> list[Finding]:
    if nonzero == [VOID]:
        return []
    if encoded is not None:
        frames = _frames_beyond(levels, 1)
        return [
            Finding(frames, encoded.problem, f"vosbench score ... --threshold 0, or {encoded.conversion}")
        ]
    if nonzero[-1] > HIGHEST_ID:
        grey = levels.copy()
        grey[:, [0, VOID]] = False
        frames = int(grey.any(axis=1).sum())
        return [
            Finding(frames, "soft grey levels, neither 0/1 nor 0/255", "vosbench score ... --threshold 127")
        ]
    if not one_object:
        return []
    return [
        Finding(
            _frames_beyond(levels, 1),
            "several object ids where the data set has one object (those of DAVIS 2017?)",
            "to score every object: vosbench score ... --dataset davis17; here all ids are one foreground",
            "warning",
        )
    ]


def _id_findings(
    levels: NDArray[np.bool_],
    nonzero: list[int],
    encoded: _EncodedIds | None,
    objects: int,
    protocol: Protocol,
) -> list[Finding]:
    if nonzero == [VOID]:
        problem = f"0/255 masks, but {protocol.id} distinguishes objects and needs their ids"
        fix = (
            "write ids 1, 2, ..., for a single object ids = mask // 255; "
            "merged masks go with vosbench score ... --dataset davis16"
        )
        return [Finding(int(levels[:, VOID].sum()), problem, fix)]
    # where regions are matched over the video, any numbers will do
    severity: Severity = "warning" if protocol.objects == "volumes" else "error"
    if encoded is not None:
        return [Finding(_frames_beyond(levels, 1), encoded.problem, encoded.conversion, severity)]
    if len(nonzero) > MOST_IDS:
        problem = "soft grey levels where object ids are needed"
        return [Finding(_frames_beyond(levels, HIGHEST_ID), problem, "write the id of every pixel", severity)]
    findings = []
    if nonzero[-1] == VOID:
        fix = "write 0 where nothing is predicted: ids[ids == 255] = 0"
        findings.append(Finding(int(levels[:, VOID].sum()), "id 255 is predicted, which means void", fix))
    if protocol.objects == "ids" and any(objects < level < VOID for level in nonzero):
        problem = "ids beyond those of the objects in the first ground-truth frame"
        fix = "use the ids of the first ground-truth frame for its objects, 0 for everything else"
        findings.append(Finding(_frames_beyond(levels[:, :VOID], objects), problem, fix))
    if protocol.objects == "match" and any(MAX_PROPOSALS < level < VOID for level in nonzero):
        problem = f"ids above {MAX_PROPOSALS}, the most proposals {protocol.id} takes"
        fix = f"keep the best {MAX_PROPOSALS} objects of the video and number them 1..{MAX_PROPOSALS}"
        findings.append(Finding(_frames_beyond(levels[:, :VOID], MAX_PROPOSALS), problem, fix))
    return findings


def _frames_beyond(levels: NDArray[np.bool_], level: int) -> int:
    """Count the frames with a value above `level`."""
    return int(levels[:, level + 1 :].any(axis=1).sum())
