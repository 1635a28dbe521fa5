"""Chi-squared distances of shape contexts in single precision, along the diagonals that a search looks at."""

from __future__ import annotations

import numpy as np

from vosbench.metrics.kernels.contexts import Histograms
from vosbench.metrics.kernels.path_totals import BLOCK, Band, Cell, Units, units_of_one

ROUGH_ERROR = 1.2e-6
"""Largest error of a rough cost before rounding to an integer."""

_ROWS, _DIAGONALS = 256, 8  # of a tile
_TILES = 4  # that are computed at a time, in the cache
_BOUND_ERROR = 1e-5  # of a lower bound, at most
_ONE_THREAD = 1 << 18  # multiplications that no library spreads over threads,
_CHUNKS = 16  # so many times one after the other


class RoughCosts:
    """Costs of all pairs of histograms: lower bounds of blocks, and rough ones of some diagonals.

    As (a - b)^2 / (a + b) = a + b - 4 / (1 / a + 1 / b) and rows sum to 1, only bins count that are filled
    on both sides. Their sum is at most a half, so every addition is off by 2^-26 at most. Added up in two
    halves, 60 terms of four roundings each are off by less than 6e-7, and a distance by twice that.

    A harmonic mean is at most the geometric one, so a distance is at least one less the sum of sqrt(a b):
    a product of matrices, at a twentieth of the time.

    Args:
        first: (n1, k) rows of sum 1.
        second: (n2, k) rows of sum 1.

    Attributes:
        shape: n1 and n2.
        bounds: int32 lower bounds of the costs in each block of `BLOCK` rows and columns, in the units of the
            shape.
    """

    def __init__(self, first: Histograms, second: Histograms) -> None:
        self.shape = n1, n2 = len(first), len(second)
        self.bounds = _lower_bounds(first, second)
        with np.errstate(divide="ignore"):
            self._x = np.reciprocal(first.T, dtype=np.float32)
            self._y = np.reciprocal(second.T, dtype=np.float32)
        self._filled = np.logical_or.reduceat(first > 0, np.arange(0, n1, _ROWS), axis=0) & second.any(0)
        # the columns again behind the last, as far as a tile goes
        self._y = self._y[:, np.arange(n2 + _ROWS + _TILES * _DIAGONALS) % n2]
        self._costs = np.empty((n2, n1), dtype=np.int32)
        self._known = np.zeros(-(-n2 // _DIAGONALS), dtype=bool)

    def along(self, first: Cell, band: Band) -> Units:
        """Return (diagonals, n1) rough costs along the diagonals of a band, by rows from the first cell."""
        n1, n2 = self.shape
        diagonals = np.arange(band.low, band.high + 1) + first[1] - first[0]
        # behind the last row, the first one is on another diagonal of the torus
        before, behind = diagonals % n2, (diagonals + n1) % n2
        self._compute(np.concatenate([before, behind]) if first[0] else before)
        costs = np.empty((len(diagonals), n1), dtype=np.int32)
        costs[:, : n1 - first[0]] = self._costs[before, first[0] :]
        costs[:, n1 - first[0] :] = self._costs[behind, : first[0]]
        return costs

    def _compute(self, diagonals: np.ndarray) -> None:
        """Compute the costs of all diagonals of the torus that are in a tile with some."""
        wanted = np.zeros_like(self._known)
        wanted[diagonals // _DIAGONALS] = True
        wanted &= ~self._known
        self._known |= wanted
        lefts = np.flatnonzero(wanted)
        if not lefts.size:
            return
        for run in np.split(lefts, np.flatnonzero(np.diff(lefts) > 1) + 1):
            for start in range(run[0], run[-1] + 1, _TILES):
                for top in range(len(self._filled)):
                    self._compute_tiles(top, start, min(start + _TILES, run[-1] + 1))

    def _compute_tiles(self, top: int, left: int, right: int) -> None:
        """Compute the costs of neighbouring tiles of the same rows."""
        n1, n2 = self.shape
        rows = slice(top * _ROWS, min((top + 1) * _ROWS, n1))
        diagonals = slice(left * _DIAGONALS, min(right * _DIAGONALS, n2))
        bins = np.flatnonzero(self._filled[top])
        start = (rows.start + diagonals.start) % n2
        shape = len(bins), diagonals.stop - diagonals.start, rows.stop - rows.start
        y = np.ascontiguousarray(self._y[bins, start : start + shape[1] + shape[2] - 1])
        windows = np.ndarray(shape, y.dtype, y, strides=(y.strides[0], *2 * y.strides[1:]))
        terms = windows + self._x[bins, None, rows]
        np.divide(np.float32(1), terms, out=terms)
        half = len(bins) // 2
        cost = np.add.reduce(terms[:half], axis=0)
        cost += np.add.reduce(terms[half:], axis=0)
        scale = np.float32(units_of_one((n1, n2)))
        cost *= -2 * scale
        cost += scale
        np.rint(cost, out=cost)
        np.maximum(cost, 0, out=cost)
        self._costs[diagonals, rows] = cost


def _lower_bounds(first: Histograms, second: Histograms) -> Units:
    """Return one less the Bhattacharyya coefficient of the closest pair of each block, less its error."""
    one = units_of_one((len(first), len(second)))
    rows, columns = (-(-len(histograms) // BLOCK) for histograms in (first, second))
    height = max(1, _ONE_THREAD // (columns * BLOCK * BLOCK * (first.shape[1] + 1)))
    chunks = -(-rows // height)
    # one more bin for what the sums are taken from, the last histogram repeated
    rows_of = np.minimum(np.arange(chunks * height * BLOCK), len(first) - 1)
    roots = np.ones((chunks, height * BLOCK, first.shape[1] + 1), dtype=np.float32)
    roots[:, :, :-1] = np.sqrt(first)[rows_of].reshape(chunks, height * BLOCK, -1)
    # the first columns of all blocks, then the second ones
    columns_of = np.minimum(np.arange(columns * BLOCK), len(second) - 1).reshape(-1, BLOCK).T.ravel()
    others = np.full((first.shape[1] + 1, len(columns_of)), (1 - _BOUND_ERROR) * one, dtype=np.float32)
    np.multiply(np.sqrt(second.T)[:, columns_of], -one, out=others[:-1], casting="same_kind")
    bounds = np.empty((chunks * height, columns), dtype=np.float32)
    for start in range(0, chunks, _CHUNKS):
        products = (roots[start : start + _CHUNKS] @ others).reshape(-1, BLOCK * BLOCK, columns)
        np.min(products, axis=1, out=bounds[start * height : start * height + len(products)])
    units: Units = np.maximum(bounds[:rows], 0).astype(np.int32)
    return units
