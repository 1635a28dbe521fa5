"""Closed polygons around the regions of a mask: crack following and polyline simplification.

Corners where two pixels touch diagonally decide how contours are cut, joined and numbered. The rules
for them are those of the contour tool of the released DAVIS 2016 code, restated and measured against
its values; they are conventions, not consequences of a definition.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Curve = NDArray[np.float64]
"""(n, 2) float64 closed curve (first point = last point): x to the right and y down, in pixels;
pixel (0, 0) lies between the corners 0 and 1."""

TOLERANCES = (0.1, 3.0)
"""Tolerances of the two simplification passes, in half pixels: the released code doubles coordinates."""

# The four pixels around a corner as bits of one number.
_UPPER_LEFT, _UPPER_RIGHT, _LOWER_LEFT, _LOWER_RIGHT = 8, 4, 2, 1
_TOUCHES = (_UPPER_LEFT | _LOWER_RIGHT, _UPPER_RIGHT | _LOWER_LEFT)
# The topmost, then leftmost corner of a curve that touches nothing: of a region and of a hole.
_TOPS = (_LOWER_RIGHT, _UPPER_LEFT | _UPPER_RIGHT | _LOWER_LEFT)

# Directions right, down, left, up: clockwise on screen, so that direction d + 1 is a right turn.
_RIGHT, _DOWN, _LEFT, _UP = range(4)
_AHEAD_RIGHT = (_LOWER_RIGHT, _LOWER_LEFT, _UPPER_LEFT, _UPPER_RIGHT)
_AHEAD_LEFT = (_UPPER_RIGHT, _LOWER_RIGHT, _LOWER_LEFT, _UPPER_LEFT)
_NUMBERING = (_UP, _LEFT, _DOWN, _RIGHT)
_STOP = 4

# Numbers of buckets that a hash table of the C++ library of GCC may have, up to the junctions of 8K frames.
# fmt: off
_BUCKETS = frozenset((
    2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 103,
    109, 113, 127, 137, 139, 149, 157, 167, 179, 193, 199, 211, 227, 241, 257, 277, 293, 313, 337, 359, 383,
    409, 439, 467, 503, 541, 577, 619, 661, 709, 761, 823, 887, 953, 1031, 1109, 1193, 1289, 1381, 1493,
    1613, 1741, 1879, 2029, 2179, 2357, 2549, 2753, 2971, 3209, 3469, 3739, 4027, 4349, 4703, 5087, 5503,
    5953, 6427, 6949, 7517, 8123, 8783, 9497, 10273, 11113, 12011, 12983, 14033, 15173, 16411, 17749, 19183,
    20753, 22447, 24281, 26267, 28411, 30727, 33223, 35933, 38873, 42043, 45481, 49201, 53201, 57557, 62233,
    67307, 72817, 78779, 85229, 92203, 99733, 107897, 116731, 126271, 136607, 147793, 159871, 172933,
    187091, 202409, 218971, 236897, 256279, 277261, 299951, 324503, 351061, 379787, 410857, 444487, 480881,
    520241, 562841, 608903, 658753, 712697, 771049, 834181, 902483, 976369, 1056323, 1142821, 1236397,
    1337629, 1447153, 1565659, 1693859, 1832561, 1982627, 2144977, 2320627, 2510653, 2716249, 2938679,
    3179303, 3439651, 3721303,
))
# fmt: on


def _turn(code: int, direction: int) -> int:
    """Direction of the one crack that continues a curve at a corner; `_STOP` at a touch."""
    if code in _TOUCHES:
        return _STOP
    for turned in (direction, (direction + 1) % 4, (direction - 1) % 4):
        if bool(code & _AHEAD_RIGHT[turned]) != bool(code & _AHEAD_LEFT[turned]):
            return turned
    return _STOP


_TURNS = [bytes(_turn(code, direction) for direction in range(4)) for code in range(16)]


class Contour(NamedTuple):
    """A contour, and from which end it is simplified.

    Attributes:
        curve: unit steps with the foreground on their right.
        backwards: whether the simplification walks from the last point to the first.
    """

    curve: Curve
    backwards: bool


Piece = list[int]
"""Flat numbers of the corners from one junction to the next, both included."""


def trace(mask: NDArray[np.bool_], *, matlab: bool = False) -> list[Contour]:
    """Follow the cracks between the foreground and background pixels of a mask.

    Outside the image is background, so the image border yields contour. The corners where two
    pixels touch diagonally are junctions, which cut the cracks into pieces:

    1. Pieces are numbered: from the last junction in raster order to the first, and at each up,
       left, down, right, every crack not yet in a piece starts the next one. Then follow the closed
       curves without a junction, by their first corner in raster order, which becomes the junction
       of their one piece, walked downwards.
    2. Pieces are joined: from the last junction to the first, a walk leaves along the piece of
       lowest number. At the next junction it turns into the piece of lowest number that does not
       go straight on. Whenever it is at a junction again, what it walked since is a curve, which
       starts there; the walk goes on with the rest.

    So no curve visits a corner twice or crosses another.

    The order of the junctions in rule 2 is that of a hash table. The MATLAB build of the tool has an older
    C++ library, whose table grows one entry too early: with as many junctions as buckets, the last one
    makes it grow, and that turns the order of the others around. Walks then start from the last junction,
    next from the first, and so on to the last but one.

    Args:
        mask: (H, W) bool.
        matlab: take the order of the MATLAB toolkit's build; of the Python toolkit's otherwise.

    Returns:
        Outer contours clockwise on screen, holes the other way, in the order of the walks.
    """
    if not mask.any():
        return []
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = rows[0], columns[0]
    inside = np.pad(mask[top : rows[-1] + 1, left : columns[-1] + 1], 2).astype(np.uint8)
    around = (
        _UPPER_LEFT * inside[:-1, :-1]
        + _UPPER_RIGHT * inside[:-1, 1:]
        + _LOWER_LEFT * inside[1:, :-1]
        + _LOWER_RIGHT * inside[1:, 1:]
    )
    width = around.shape[1]
    codes = around.ravel()
    offset = np.array([left - 1, top - 1])
    junctions, pieces = _pieces(codes, width)
    contours = []
    turned = matlab and len(junctions) in _BUCKETS
    starts = [junctions[-1], *junctions[:-1]] if turned else junctions[::-1]
    for loop in _join(starts, pieces):
        y, x = np.divmod(np.array(loop), width)
        curve = np.stack([x, y], axis=1) + offset + 0.0
        backwards = not codes[loop[0]] & _AHEAD_RIGHT[_steps(width).index(loop[1] - loop[0])]
        contours.append(Contour(curve[::-1] if backwards else curve, backwards))
    return contours


def _steps(width: int) -> tuple[int, int, int, int]:
    """Step of a flat corner number in each direction."""
    return 1, width, -1, -width


def _pieces(codes: NDArray[np.uint8], width: int) -> tuple[list[int], list[Piece]]:
    """Cut all cracks into pieces: rule 1 of `trace`. Returns the junctions in their order as well."""
    steps = _steps(width)
    stops = bytearray(codes)
    junctions = np.flatnonzero(_either(codes, _TOUCHES)).tolist()
    pieces = []

    def walk(start: int, direction: int) -> Piece:
        piece = [start]
        corner = start
        while direction != _STOP:
            corner += steps[direction]
            piece.append(corner)
            direction = _TURNS[stops[corner]][direction]
        pieces.append(piece)
        return piece

    ends = set()
    for start in reversed(junctions):
        for direction in _NUMBERING:
            if (start, start + steps[direction]) not in ends:
                piece = walk(start, direction)
                ends |= {(piece[0], piece[1]), (piece[-1], piece[-2])}
    tops = _either(codes, _TOPS)
    for piece in pieces:
        tops[piece] = False
    for start in np.flatnonzero(tops).tolist():
        if tops[start]:
            stops[start] = _TOUCHES[0]
            tops[walk(start, _DOWN)] = False
            junctions.append(start)
    return junctions, pieces


def _either(codes: NDArray[np.uint8], values: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which codes are one of two; ten times as fast as `np.isin`."""
    found: NDArray[np.bool_] = codes == values[0]
    found |= codes == values[1]
    return found


def _join(starts: list[int], pieces: list[Piece]) -> Iterator[Piece]:
    """Join pieces to closed curves: rule 2 of `trace`, given the junctions in their order."""
    unused: dict[int, list[int]] = {junction: [] for junction in starts}
    for number, piece in enumerate(pieces):
        for junction in {piece[0], piece[-1]}:
            unused[junction].append(number)
    for start in starts:
        while unused[start]:
            yield from _loops(start, unused, pieces)


def _loops(junction: int, unused: dict[int, list[int]], pieces: list[Piece]) -> Iterator[Piece]:
    """Walk from a junction until every piece walked is in a closed curve."""
    walked: list[Piece] = []
    while True:
        for number in unused[junction]:
            piece = pieces[number] if pieces[number][0] == junction else pieces[number][::-1]
            if not walked or walked[-1][-2] + piece[1] != 2 * junction:
                break
        walked.append(piece)
        for end in {piece[0], piece[-1]}:
            unused[end].remove(number)
        junction = piece[-1]
        at = next((i for i, earlier in enumerate(walked) if earlier[0] == junction), None)
        if at is None:
            continue
        yield [corner for part in walked[at:] for corner in part[:-1]] + [junction]
        del walked[at:]
        if not walked:
            return


def simplify(contours: Sequence[Contour]) -> list[Curve]:
    """Drop the points of contours that their shapes do not need.

    Two passes of a radial filter and Douglas-Peucker, with `TOLERANCES`. The direction of the walk
    decides between equal distances; the result has the orientation of the contour again.

    Args:
        contours: as from `trace`; several at once take less time than one after the other.

    Returns:
        Closed curves of some of the points, in their order, the start corner first and last.
    """
    curves = [2 * (curve[::-1] if backwards else curve) for curve, backwards in contours]
    for tolerance in TOLERANCES:
        curves = _douglas_peucker([_radial_filter(curve, tolerance) for curve in curves], tolerance)
    return [
        (curve[::-1] if contour.backwards else curve) / 2
        for curve, contour in zip(curves, contours, strict=True)
    ]


def most_vertices(contour: Contour) -> int:
    """No more points than these are left by `simplify`: kept ones are a tolerance apart, save the last."""
    return math.floor(2 * (len(contour.curve) - 1) / TOLERANCES[-1]) + 2


def _radial_filter(points: Curve, tolerance: float) -> Curve:
    """Drop every point closer than `tolerance` to the last kept one; keep the first and the last."""
    squared = tolerance**2
    x, y = points.T
    steps = (x[1:-1] - x[:-2]) ** 2 + (y[1:-1] - y[:-2]) ** 2
    if (steps >= squared).all():
        return points  # none is close even to its neighbour
    kept = [0]
    coordinates = points.tolist()
    last_x, last_y = coordinates[0]
    for index, (next_x, next_y) in enumerate(coordinates[1:-1], start=1):
        if (next_x - last_x) ** 2 + (next_y - last_y) ** 2 >= squared:
            kept.append(index)
            last_x, last_y = next_x, next_y
    return points[[*kept, len(points) - 1]]


def _douglas_peucker(curves: list[Curve], tolerance: float) -> list[Curve]:
    """Keep the farthest point of every segment until none is farther than `tolerance`.

    All segments of one depth are treated at once. Among equal distances the last point wins.
    """
    if not curves:
        return []
    points = np.concatenate(curves)
    places = points.view(np.complex128)[:, 0]
    lengths = np.array([len(curve) for curve in curves])
    last = np.cumsum(lengths) - 1
    first = last - lengths + 1
    kept = np.zeros(len(points), dtype=bool)
    kept[first] = kept[last] = True
    # the points that are still inside a segment, and of which
    inner = np.flatnonzero(~kept)
    filled = lengths > 2
    segment = np.repeat(np.arange(np.count_nonzero(filled)), lengths[filled] - 2)
    starts, ends = places[first[filled]], places[last[filled]]
    while inner.size:
        here = places[inner]
        distance = _squared_distance(here, starts, ends, segment)
        farthest = np.maximum.reduceat(distance, np.searchsorted(segment, np.arange(len(starts))))
        at_most = np.flatnonzero(distance == farthest[segment])
        winner = np.empty(len(starts), dtype=np.intp)
        winner[segment[at_most]] = at_most  # the last one stays
        divide = farthest > tolerance**2
        kept[inner[winner[divide]]] = True
        pending = divide[segment]
        pending[winner] = False
        left = np.flatnonzero(pending)
        half = 2 * segment[left] + (left > winner[segment[left]])
        new = np.empty(len(half), dtype=bool)
        new[:1] = True
        np.not_equal(half[1:], half[:-1], out=new[1:])
        parent, second = np.divmod(half[new], 2)
        middle = here[winner[parent]]
        starts, ends = np.where(second, middle, starts[parent]), np.where(second, ends[parent], middle)
        inner, segment = inner[left], np.cumsum(new) - 1
    return [curve[here] for curve, here in zip(curves, np.split(kept, last[:-1] + 1), strict=True)]


def _squared_distance(
    points: NDArray[np.complex128],
    starts: NDArray[np.complex128],
    ends: NDArray[np.complex128],
    segment: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Squared distance of every point to its segment; the projection fraction is a float32."""
    edges = ends - starts
    # no length is below that of a step, unless it is zero, and then the fraction plays no part
    lengths = np.maximum(edges.real**2 + edges.imag**2, 1.0)
    start, along = starts[segment], edges[segment]
    from_start = points - start
    projection = from_start.real * along.real + from_start.imag * along.imag
    fraction = projection.astype(np.float32) / lengths.astype(np.float32)[segment]
    fraction = np.clip(fraction, 0.0, 1.0)
    along *= fraction
    along += start
    offset = (points - along).view(np.float64)
    offset *= offset
    distance: NDArray[np.float64] = offset[::2] + offset[1::2]
    return distance
