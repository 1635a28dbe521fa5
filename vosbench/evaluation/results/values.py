"""Meaning of the values of a mask file under a protocol: ids, one foreground, or soft levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vosbench.errors import InputError
from vosbench.evaluation.results.arrays import Values
from vosbench.formats.png_palette import HIGHEST_ID
from vosbench.scoring.protocol import Protocol
from vosbench.video import VOID, IdMap

MOST_IDS = 2 * HIGHEST_ID
"""Masks with more different values may be soft, although every one could be an id."""

NEGATIVE = "negative ids"
NEGATIVE_FIX = "save ids + 1 if -1 is the background, ids * (ids > 0) if 0 is and -1 stands for nothing"

NOT_FINITE = "values that are not a number or infinite"
NOT_FINITE_FIX = "write the masks again, e.g. numpy.nan_to_num(masks)"

_EIGHT_BITS = 256
_SURELY_SIXTEEN_BITS = 4096
"""From here on, levels of 16 bits are not on the scale of 8 bits."""


def merges(protocol: Protocol) -> bool:
    """Return whether all objects count as one foreground."""
    return protocol.objects == "union" or protocol.variant == "binary"


def check_threshold(threshold: float | None, protocol: Protocol) -> None:
    """Refuse a threshold where objects are distinguished, and one that is no number.

    Raises:
        InputError: saying why.
    """
    if threshold is None:
        return
    if not merges(protocol):
        raise InputError(f"a threshold makes binary masks, but protocol {protocol.id} needs object ids")
    if isinstance(threshold, bool) or not math.isfinite(threshold) or threshold < 0:
        raise InputError(
            f"threshold is {threshold}: give a grey level 0..254, or a number in the unit of npy files; "
            "larger values are foreground"
        )


def middle(low: float, high: float, *, fractions: bool) -> str:
    """Return the threshold to try on soft masks: half of what their kind of number can hold.

    Args:
        low: smallest value.
        high: largest value.
        fractions: whether they are floats.
    """
    if fractions:
        return "0.5" if low >= 0 and high <= 1 else f"{max(low + high, 0) / 2:.3g}"
    for bits in (8, 16):
        if low >= 0 and 2 ** (bits - 1) <= high < 2**bits:
            return str(2 ** (bits - 1) - 1)
    return str(int(low + high) // 2)


def interpret(
    values: Values, where: Path, protocol: Protocol, threshold: float | None = None
) -> tuple[IdMap, str | None]:
    """Return the ids of one frame under `protocol`, and a note when they were not taken as they are.

    Args:
        values: (H, W) bool, integers or floats.
        where: the file, for messages.
        protocol: decides whether ids are distinguished.
        threshold: values above are foreground.

    Raises:
        InputError: values this protocol cannot take.
    """
    if threshold is not None:
        return _cut(values, where, threshold)
    raw = _as_bytes(values, where, protocol)
    highest = int(raw.max(initial=0))
    if highest <= 1:
        return raw, None
    if not merges(protocol):
        many = highest > MOST_IDS and np.count_nonzero(np.bincount(raw.ravel())) > MOST_IDS
        remark = f"more than {MOST_IDS} ids in a frame: are they grey levels?" if many else None
        return _object_ids(raw, highest, where, protocol), remark
    if highest == VOID and bool(((raw == 0) | (raw == VOID)).all()):
        return (raw != 0).astype(np.uint8), "0/255 masks read as background/foreground"
    if highest <= HIGHEST_ID:
        return (raw != 0).astype(np.uint8), "several ids read as one foreground"
    levels = np.count_nonzero(np.bincount(raw.ravel(), minlength=_EIGHT_BITS))
    raise InputError(
        f"{where}: {levels} grey levels up to {highest} are neither a mask (0/1 or 0/255) nor object "
        "ids; give a threshold (a grey level; brighter is foreground), or write binary masks"
    )


def check_unit(probes: Sequence[Values], threshold: float, where: Path) -> None:
    """Refuse a threshold that cannot be in the unit of the files, judged from some frames.

    Raises:
        InputError: the masks are 0/1 already, or fractions that never reach the threshold.
    """
    if threshold < 1 or not probes:
        return
    highest = max(float(values.max(initial=0)) for values in probes)
    if not 0 < highest <= 1:
        return
    if all(values.dtype.kind == "f" for values in probes):
        raise InputError(
            f"{where}: values up to {highest:g} never exceed the threshold {threshold:g}; "
            "give it in the unit of the files, e.g. 0.5"
        )
    raise InputError(f"{where}: the masks are 0/1 already; leave out the threshold")


def _cut(values: Values, where: Path, threshold: float) -> tuple[IdMap, str]:
    kind = values.dtype.kind
    if kind == "b":
        raise InputError(f"{where}: the masks are false/true already; leave out the threshold")
    if values.dtype == np.uint8 and not (threshold == int(threshold) and threshold < VOID):
        raise InputError(
            f"threshold is {threshold}: give a grey level 0..254; brighter pixels are foreground ({where})"
        )
    is_deep = values.dtype == np.uint16 and int(values.max(initial=0)) >= _SURELY_SIXTEEN_BITS
    if is_deep and threshold < _EIGHT_BITS:
        raise InputError(
            f"{where}: 16 bits per pixel, but threshold {threshold:g} is a level of 8 bits; "
            f"give one of 0..65535, e.g. {int(threshold) * 257}"
        )
    if kind == "f" and bool(np.isnan(values).any()):
        raise InputError(f"{where}: holds values that are not a number; write the masks again")
    unit = "grey" if values.dtype == np.uint8 else "value"
    return (values > threshold).astype(np.uint8), f"foreground where {unit} > {threshold:g}"


def _as_bytes(values: Values, where: Path, protocol: Protocol) -> IdMap:
    """Return the values as uint8 where they are whole numbers that fit."""
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind == "b":
        return values.astype(np.uint8)
    if values.dtype.kind == "f" and not bool(np.isfinite(values).all()):
        raise InputError(f"{where}: {NOT_FINITE}; {NOT_FINITE_FIX}")
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if values.dtype.kind == "i" and low < 0:
        raise InputError(f"{where}: {NEGATIVE}, values from {low:.0f} to {high:.0f}; {NEGATIVE_FIX}")
    soft = f"protocol {protocol.id} needs object ids 1, 2, ..., 0 for background"
    if merges(protocol):
        example = middle(low, high, fractions=values.dtype.kind == "f")
        soft = (
            f"give a threshold in the unit of the file (e.g. {example}; larger is foreground), "
            "or write binary masks"
        )
    if values.dtype.kind == "f" and not bool((values == np.trunc(values)).all()):
        raise InputError(f"{where}: fractions between {values.min():g} and {high:g} are no mask; {soft}")
    if low < 0 or high > VOID:
        bits = "16 bits per pixel, " if values.dtype == np.uint16 else ""
        raise InputError(
            f"{where}: {bits}values from {low:.0f} to {high:.0f} are neither a mask nor object ids; {soft}"
        )
    return values.astype(np.uint8)


def _object_ids(raw: IdMap, highest: int, where: Path, protocol: Protocol) -> IdMap:
    if highest < VOID:
        return raw
    if bool(((raw == 0) | (raw == VOID)).all()):
        raise InputError(
            f"{where}: values 0 and 255 are a binary mask, but protocol {protocol.id} distinguishes objects: "
            "write object ids 1, 2, ... (a single object is id 1)"
        )
    raise InputError(
        f"{where}: id 255 means void and cannot be predicted; write object ids 1, 2, ..., 0 for background"
    )
