"""Masks of the COCO format: run lengths, compressed or not, and polygons.

Runs go down the columns, the first one outside the mask (Lin et al., Microsoft COCO, ECCV 2014, and the
masks that its tool makes).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vosbench.errors import shown

Mask = NDArray[np.bool_]
"""(H, W) bool."""

MOST_PIXELS = 2**27

_FINENESS = 5
"""Outlines are drawn on a grid this many times finer than the pixels, ..."""

_MIDDLE = 2
"""... of which this row or column is the middle of its pixel."""

_LONGEST_OUTLINE = 2**22
"""Points of the fine grid; a real outline has some thousands."""


def decode_segmentation(segmentation: Any, height: int, width: int) -> Mask:
    """Return the mask of a ``segmentation`` of a COCO annotation, as its tool makes it.

    Args:
        segmentation: a list of polygons ``[x0, y0, x1, y1, ...]`` in pixels, whose union is the mask; or
            ``{"size": [height, width], "counts": [...]}`` or the same with compressed counts.
        height: of the image.
        width: of the image.

    Returns:
        (H, W) bool.

    Raises:
        ValueError: neither, another size, or runs that do not fill the image; in a few words.
    """
    if not 0 < height * width <= MOST_PIXELS:
        raise ValueError(f"an image of {width}x{height} pixels")
    if isinstance(segmentation, list):
        if not segmentation:
            raise ValueError("no polygon")
        columns = np.zeros((width, height), np.bool_)
        for polygon in segmentation:
            columns |= fill_polygon(polygon, height, width).T
        return columns.T
    if not isinstance(segmentation, dict):
        raise ValueError("neither polygons nor run lengths")
    if segmentation.get("size") != [height, width]:
        raise ValueError(
            f"run lengths of size {shown(segmentation.get('size'))}, but the image is [{height}, {width}]"
        )
    counts = segmentation.get("counts")
    if isinstance(counts, str):
        counts = decompress(counts)
    return fill_runs(counts, height, width)


def decompress(text: str) -> list[int]:
    """Return the run lengths of a compressed string.

    A character holds five bits of a number, lowest first, and a bit that is set while more follow; the
    highest bit of the last five is the sign. From the fourth on a number is added to the run two before.

    Raises:
        ValueError: other characters, an unfinished number, or a negative run.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        code = ord(character) - 48
        if not 0 <= code < 64 or shift > 40:
            raise ValueError("damaged run lengths")
        value |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            value -= 1 << shift
        run = value + (runs[-2] if len(runs) > 2 else 0)
        if run < 0:
            raise ValueError("a negative run length")
        runs.append(run)
        value = shift = 0
    if shift:
        raise ValueError("truncated run lengths")
    return runs


def compress(runs: Sequence[int]) -> str:
    """Return run lengths as a string, see `decompress`."""
    text = []
    for index, run in enumerate(runs):
        value = run - (runs[index - 2] if index > 2 else 0)
        more = True
        while more:
            code = value & 31
            value >>= 5
            more = value != (-1 if code & 16 else 0)
            text.append(chr((code | (32 if more else 0)) + 48))
    return "".join(text)


def run_lengths(mask: Mask) -> list[int]:
    """Return the run lengths of a (H, W) mask."""
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(edges, prepend=0, append=flat.size).tolist()
    return [0, *runs] if flat[0] else runs


def fill_runs(counts: Any, height: int, width: int) -> Mask:
    """Return the (H, W) mask of run lengths that fill it exactly.

    Raises:
        ValueError: no whole numbers of at least 0, or another sum.
    """
    if not isinstance(counts, list) or not all(type(run) is int and run >= 0 for run in counts):
        raise ValueError("run lengths that are no whole numbers")
    if sum(counts) != height * width:
        raise ValueError(f"run lengths of {sum(counts)} pixels for an image of {height * width}")
    return _filled(list(accumulate(counts)), height, width)


def _filled(edges: list[int], height: int, width: int) -> Mask:
    """Return the mask that begins and ends in turn at `edges`, positions down the columns."""
    columns = np.zeros(height * width, np.bool_)
    for start, end in zip(edges[::2], edges[1::2], strict=False):
        columns[start:end] = True
    return columns.reshape(width, height).T


def fill_polygon(polygon: Any, height: int, width: int) -> Mask:
    """Return the (H, W) mask of one polygon, equal to that of the COCO tool.

    The outline is drawn on a grid five times finer. Where it crosses the middle of a column of pixels,
    the column changes between outside and inside at the nearest pixel border below.

    Args:
        polygon: ``[x0, y0, x1, y1, ...]`` in pixels, at least three points; it is closed.
        height: of the image.
        width: of the image.

    Raises:
        ValueError: fewer points, no numbers, or far outside of any image.
    """
    if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
        raise ValueError("a polygon without three points x, y")
    if not all(type(value) in (int, float) and abs(value) < _LONGEST_OUTLINE for value in polygon):
        raise ValueError("a polygon whose points are no numbers or far outside of any image")
    points = np.asarray(polygon, np.float64).reshape(-1, 2)
    columns, rows = _crossings(np.trunc(_FINENESS * points + 0.5).astype(np.int64), width)
    rows = np.clip((rows - _MIDDLE + _FINENESS - 1) // _FINENESS, 0, height)
    # a closed outline crosses a column an even number of times, so that no pair spans two columns
    return _filled(np.sort(columns * height + rows).tolist(), height, width)


def _crossings(points: NDArray[np.int64], width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where a closed outline of (N, 2) fine points crosses middles of columns: column, fine row."""
    x, y = _outline(points)
    left, upper = np.minimum(x[1:], x[:-1]), np.minimum(y[1:], y[:-1])
    column, remainder = np.divmod(left, _FINENESS)
    crosses = (x[1:] != x[:-1]) & (remainder == _MIDDLE) & (column >= 0) & (column < width)
    return column[crosses], upper[crosses]


def _outline(points: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """All fine points on the sides of a polygon, in order: x and y.

    A side takes one step in its longer direction at a time, and is drawn from its lower to its higher
    end, so that a side shared by two polygons is drawn the same in both.
    """
    start, end = points, np.roll(points, -1, axis=0)
    differs = (start != end).any(axis=1)
    start, end = start[differs], end[differs]
    length = np.abs(end - start)
    if not len(start):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    if (total := int((length.max(axis=1) + 1).sum())) > _LONGEST_OUTLINE:
        raise ValueError(f"a polygon with an outline of {total // _FINENESS} pixels")
    steep = length[:, 1] > length[:, 0]
    side = np.arange(len(start))
    # (x, y) -> (longer, shorter) direction
    longer, shorter = np.where(steep, 1, 0), np.where(steep, 0, 1)
    backwards = start[side, longer] > end[side, longer]
    low, high = np.where(backwards[:, None], end, start), np.where(backwards[:, None], start, end)
    steps = length.max(axis=1)
    slope = (high - low)[side, shorter] / steps

    of = np.repeat(side, steps + 1)
    first = np.cumsum(steps + 1) - (steps + 1)
    step = np.arange(total) - first[of]
    step = np.where(backwards[of], steps[of] - step, step)
    along = low[side, longer][of] + step
    across = np.trunc(low[side, shorter][of] + slope[of] * step + 0.5).astype(np.int64)
    return np.where(steep[of], across, along), np.where(steep[of], along, across)
