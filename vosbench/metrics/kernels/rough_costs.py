"""Chi-squared distances of shape contexts in single precision, where a search may need them."""

from __future__ import annotations

from typing import Any

import numpy as np

from vosbench.metrics.kernels.contexts import Histograms
from vosbench.metrics.kernels.path_totals import Cells, Units, units_of_one

ROUGH_ERROR = 1.2e-6
"""Largest error of a rough cost before rounding to an integer."""

_ROWS, _DIAGONALS = 128, 8  # of a tile: a path mostly follows the diagonals
_TILES = 4  # that are computed at a time, in the cache
_BOUND_ERROR = 1e-5  # of a lower bound, at most
_BLOCKS = 8  # of rows of lower bounds that are computed at a time,
_ONE_THREAD = 1 << 18  # a block by as many multiplications as no library spreads over threads


class RoughCosts:
    """Costs of all pairs of histograms: rough ones in some tiles, lower bounds in the others.

    As (a - b)^2 / (a + b) = a + b - 4 / (1 / a + 1 / b) and rows sum to 1, only bins count that are filled
    on both sides. Their sum is at most a half, so every addition is off by 2^-26 at most. Added up in two
    halves, 60 terms of four roundings each are off by less than 6e-7, and a distance by twice that.

    A harmonic mean is at most the geometric one, so a distance is at least one less the sum of sqrt(a b):
    a product of matrices, at a twentieth of the time.

    Args:
        first: (n1, k) rows of sum 1.
        second: (n2, k) rows of sum 1.

    Attributes:
        units: (n1, n2) uint32, in the units of the shape.
    """

    def __init__(self, first: Histograms, second: Histograms) -> None:
        self.units = _lower_bounds(first, second)
        with np.errstate(divide="ignore"):
            self._x = np.reciprocal(first.T, dtype=np.float32)
            self._y = np.reciprocal(second.T, dtype=np.float32)
        n1, n2 = self.units.shape
        tops = np.arange(0, n1, _ROWS)
        self._filled = np.logical_or.reduceat(first > 0, tops, axis=0) & second.any(0)
        # the columns again behind the last, as far as a tile goes
        self._y = self._y[:, np.arange(n2 + _ROWS + _TILES * _DIAGONALS) % n2]
        self._known = np.zeros((len(tops), -(-n2 // _DIAGONALS)), dtype=bool)

    def known(self, cells: Cells) -> bool:
        """Return whether the costs of all these (n, 2) cells are rough ones, not lower bounds."""
        return bool(self._known[self._tiles(cells)].all())

    def refine(self, cells: Cells, reach: int) -> None:
        """Compute the rough costs of (n, 2) cells and of those on the torus some steps across from them."""
        across = np.arange(-reach, reach + 1)[:, None, None] * (1, -1)
        wanted = np.zeros_like(self._known)
        wanted[self._tiles((cells + across) % self.units.shape)] = True
        wanted &= ~self._known
        self._known |= wanted
        for top in np.flatnonzero(wanted.any(1)).tolist():
            lefts = np.flatnonzero(wanted[top])
            gaps = np.flatnonzero(np.diff(lefts) > 1) + 1
            for run in np.split(lefts, gaps):
                for start in range(run[0], run[-1] + 1, _TILES):
                    self._compute(top, start, min(start + _TILES, run[-1] + 1))

    def _tiles(self, cells: Cells) -> tuple[Any, Any]:
        """Numbers of the tiles that cells are in: along the rows, and along the diagonals."""
        rows, columns = cells[..., 0], cells[..., 1]
        return rows // _ROWS, (columns - rows) % self.units.shape[1] // _DIAGONALS

    def _compute(self, top: int, left: int, right: int) -> None:
        """Compute the rough costs of neighbouring tiles of the same rows."""
        n1, n2 = self.units.shape
        rows = np.arange(top * _ROWS, min((top + 1) * _ROWS, n1))
        diagonals = np.arange(left * _DIAGONALS, min(right * _DIAGONALS, n2))
        bins = np.flatnonzero(self._filled[top])
        start = (rows[0] + diagonals[0]) % n2
        y = np.ascontiguousarray(self._y[bins, start : start + len(rows) + len(diagonals) - 1])
        shape = len(bins), len(diagonals), len(rows)
        windows = np.ndarray(shape, y.dtype, y, strides=(y.strides[0], *2 * y.strides[1:]))
        terms = windows + self._x[bins, None, rows[0] : rows[-1] + 1]
        np.divide(np.float32(1), terms, out=terms)
        half = len(bins) // 2
        cost = np.add.reduce(terms[:half], axis=0)
        cost += np.add.reduce(terms[half:], axis=0)
        scale = np.float32(units_of_one((n1, n2)))
        cost *= -2 * scale
        cost += scale
        np.rint(cost, out=cost)
        np.maximum(cost, 0, out=cost)
        self.units[rows, (rows + diagonals[:, None]) % n2] = cost


def _lower_bounds(first: Histograms, second: Histograms) -> Units:
    """Return one less the Bhattacharyya coefficient of every pair, and less by its error; in units."""
    n1, n2 = len(first), len(second)
    one = units_of_one((n1, n2))
    height = max(1, _ONE_THREAD // (n2 * (first.shape[1] + 1)))
    # one more bin for what the sums are taken from
    roots = np.ones((-(-n1 // height) * height, first.shape[1] + 1), dtype=np.float32)
    roots[:n1, :-1] = np.sqrt(first)
    others = np.full((first.shape[1] + 1, n2), (1 - _BOUND_ERROR) * one, dtype=np.float32)
    np.multiply(np.sqrt(second.T), -one, out=others[:-1], casting="same_kind")
    units = np.empty((n1, n2), dtype=np.uint32)
    for start in range(0, n1, height * _BLOCKS):
        rows = slice(start, start + height * _BLOCKS)
        bounds = (roots[rows].reshape(-1, height, roots.shape[1]) @ others).reshape(-1, n2)
        np.maximum(bounds, 0, out=bounds)
        units[rows] = bounds[: n1 - start]
    return units
