"""Point tracks of the Freiburg-Berkeley motion segmentation tools, drawn as id maps.

The text file (read by MoSegEval, Ochs, Malik and Brox, TPAMI 2014) holds numbers between blanks: how
many frames were tracked, how many tracks follow, and for each its label, its number of points and
these points as ``x y frame``, frames counted from 0. Coordinates are rounded as the released program
does, truncated after adding a half; points outside the image are passed over. A label is the id, so
label 0 is drawn as background; the official measure treats the background as a region like the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from vosbench.errors import InputError
from vosbench.video import IdMap

UNCOVERED = 255
"""Value of the pixels no track runs through."""

_CHUNK = 2**20
_LONGEST_WORD = 64
_ROWS = 4096


@dataclass(frozen=True)
class TrackMaps:
    """Tracks as id maps.

    Attributes:
        maps: frame index -> (H, W) uint8: the label of the track through the pixel, `UNCOVERED` elsewhere.
        covered: share of the pixels of these frames that a track runs through.
        shared: points on a pixel that a point of another label had taken; the last one counts.
    """

    maps: Mapping[int, IdMap]
    covered: float
    shared: int


def draw_tracks(
    stream: IO[bytes], where: Path, frames: Collection[int], length: int, size: tuple[int, int]
) -> TrackMaps:
    """Read a track file and draw the frames asked for.

    Args:
        stream: the opened file; read once, in pieces.
        where: its name for messages.
        frames: indices of the frames to draw.
        length: number of frames of the video.
        size: height and width.

    Raises:
        InputError: no such file, cut off, made for another number of frames, or labels beyond 0..254.
    """
    reader = _Numbers(stream, where)
    tracked, count = (int(value) for value in reader.take(2))
    if tracked != length:
        raise InputError(
            f"{where}: tracks of {tracked} frames for a video of {length}; "
            "only tracks over all frames can be scored"
        )
    maps = {frame: np.full(size, UNCOVERED, np.uint8) for frame in sorted(frames)}
    canvas = _Canvas(maps, size)
    for labels, points in _tracks(reader, count, length, where):
        canvas.draw(labels, points)
    total = sum(ids.size for ids in maps.values())
    filled = sum(int((ids != UNCOVERED).sum()) for ids in maps.values())
    return TrackMaps(maps, filled / total if total else 0.0, canvas.shared)


class _Canvas:
    def __init__(self, maps: dict[int, IdMap], size: tuple[int, int]) -> None:
        self._maps = maps
        self._size = size
        self.shared = 0

    def draw(self, labels: NDArray[np.uint8], points: NDArray[np.float64]) -> None:
        """Draw (N, 3) points x, y, frame of the N labels; later ones lie on top."""
        # The released program stores single precision; adding a half there may round up
        x, y = np.trunc(points[:, :2].astype(np.float32) + np.float32(0.5)).astype(np.int64).T
        frame = points[:, 2].astype(np.int64)
        height, width = self._size
        inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        for index in np.unique(frame[inside]).tolist():
            if index not in self._maps:
                continue
            drawn = inside & (frame == index)
            self._draw_frame(self._maps[index].reshape(-1), y[drawn] * width + x[drawn], labels[drawn])

    def _draw_frame(
        self, pixels: NDArray[np.uint8], positions: NDArray[np.int64], labels: NDArray[np.uint8]
    ) -> None:
        before = pixels[positions]
        pixels[positions] = labels
        self.shared += int(((before != UNCOVERED) & (before != labels)).sum())
        # Two points of one call on one pixel: all but the last have lost it
        self.shared += int((pixels[positions] != labels).sum())


def _tracks(
    reader: _Numbers, count: int, length: int, where: Path
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float64]]]:
    """Yield labels (N,) and points (N, 3) of some thousand points at a time."""
    labels: list[NDArray[np.float64]] = []
    points: list[NDArray[np.float64]] = []
    left, gathered = count, 0
    while left:
        rows = reader.take_points(left)
        if not len(rows):
            rows = _one_track(reader, length, where)
            left -= 1
        else:
            left -= len(rows)
        labels.append(rows[:, 0])
        points.append(rows[:, 2:])
        gathered += len(rows)
        if gathered >= _CHUNK // 16 or not left:
            yield _checked_labels(np.concatenate(labels), where), np.concatenate(points)
            labels, points, gathered = [], [], 0


def _one_track(reader: _Numbers, length: int, where: Path) -> NDArray[np.float64]:
    """Return (N, 5): label, 1, x, y, frame of the N points of the next track."""
    label, number = reader.take(2)
    if not (1 <= number <= length and number == int(number)):
        raise InputError(f"{where}: a track of {number:g} points in {length} frames; write the file again")
    rows = np.ones((int(number), 5))
    rows[:, 0] = label
    rows[:, 2:] = reader.take(3 * int(number)).reshape(-1, 3)
    return rows


def _checked_labels(labels: NDArray[np.float64], where: Path) -> NDArray[np.uint8]:
    wrong = labels[(labels < 0) | (labels >= UNCOVERED) | (labels != np.trunc(labels))]
    if len(wrong):
        raise InputError(f"{where}: track label {wrong[0]:g}; labels are 0..{UNCOVERED - 1}")
    return labels.astype(np.uint8)


class _Numbers:
    """The numbers of a text file, read in pieces."""

    def __init__(self, stream: IO[bytes], where: Path) -> None:
        self._stream = stream
        self._where = where
        self._rest = b""
        self._values = np.zeros(0)
        self._next = 0

    def take(self, count: int) -> NDArray[np.float64]:
        """Return the next `count` numbers.

        Raises:
            InputError: the file ends before, or something else than a finite number stands there.
        """
        while len(self._values) - self._next < count:
            more = self._more()
            if more is None:
                raise InputError(f"{self._where}: track file ends too early; copy or write it again")
            self._values = np.concatenate([self._values[self._next :], more])
            self._next = 0
        taken = self._values[self._next : self._next + count]
        self._next += count
        return taken

    def take_points(self, most: int) -> NDArray[np.float64]:
        """Return the next tracks as (N, 5) label, 1, x, y, frame, as far as they have one point each.

        Dense results come as one track per pixel; taking those one by one would be slow. N may be 0
        although such tracks follow.
        """
        rows = self._values[self._next : self._next + 5 * min(most, _ROWS)]
        rows = rows[: len(rows) // 5 * 5].reshape(-1, 5)
        if not len(rows) or rows[0, 1] != 1:
            return rows[:0]
        longer = np.flatnonzero(rows[:, 1] != 1)
        rows = rows[: longer[0]] if len(longer) else rows
        self._next += rows.size
        return rows

    def _more(self) -> NDArray[np.float64] | None:
        data = self._stream.read(_CHUNK)
        text = self._rest + data
        if not text:
            return None
        # The last word may go on in the next piece
        whole = text if not data else text[: 1 + max(text.rfind(blank) for blank in (b" ", b"\n", b"\t"))]
        self._rest = text[len(whole) :]
        if len(self._rest) > _LONGEST_WORD:
            raise InputError(f"{self._where}: not a track file (text of numbers)")
        try:
            values = np.array(whole.split(), np.float64)
        except ValueError:
            raise InputError(f"{self._where}: not a track file (text of numbers)") from None
        if not np.isfinite(values).all():
            raise InputError(f"{self._where}: a number is not finite; write the tracks again")
        return values
