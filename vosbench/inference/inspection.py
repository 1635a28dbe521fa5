"""Inspection of a method: its internal maps beside the frame and the mask.

After figures of Tokmakov et al., "Learning to segment moving objects", IJCV 2019, section 6.6, which show
gates of a ConvGRU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vosbench.errors import InputError, unknown_name
from vosbench.formats.image import write_frame
from vosbench.inference.overlay import overlay
from vosbench.method import Inspectable, Inspection, Method
from vosbench.video import Frame, IdMap, Video

LONGEST_SIDE = 480
"""Pixels of the longer side of one picture of a panel; larger frames are reduced to it."""

MOST_COLUMNS = 8
"""Pictures side by side before a row is broken."""

_TITLE = 20
_GAP = 4
_GROUND = 32
_INK = (235, 235, 235)
_ABSENT = "not computed"


@dataclass(frozen=True)
class InspectionRequest:
    """Maps to draw and their folder.

    Attributes:
        maps: names of maps, see the method's `inspectable`.
        folder: gets ``SEQUENCE/FRAME.png``.
        channels: of maps that have many; None: not chosen.
    """

    maps: tuple[str, ...]
    folder: Path
    channels: tuple[int, ...] | None = None


def beside(out: Path) -> Path:
    """Return the usual folder for pictures of a run that writes masks to `out`: ``OUT-inspect``.

    Not inside `out`, whose folders are taken for sequences.
    """
    named = out if out.name not in ("", "..") else out.resolve()
    return named.parent / f"{named.name}-inspect"


def parse_request(
    inspect: str | None, channels: str | None, folder: Path | None, out: Path
) -> InspectionRequest | None:
    """Return the request that the options of the command line make.

    Args:
        inspect: names of maps, separated by commas; None for nothing.
        channels: whole numbers, separated by commas; None: not chosen.
        folder: for the panels; `beside` the masks when None.
        out: folder of the masks.

    Raises:
        InputError: channels that are no numbers, or options that need `inspect`.
    """
    if inspect is None:
        for option, value in (("--channels", channels), ("--inspect-out", folder)):
            if value is not None:
                raise InputError(f"{option} goes with --inspect; give --inspect too")
        return None
    return InspectionRequest(
        maps=tuple(dict.fromkeys(_parts(inspect))),
        folder=beside(out) if folder is None else folder,
        channels=None if channels is None else _numbers(channels),
    )


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _numbers(text: str) -> tuple[int, ...]:
    parts = _parts(text)
    if not parts or not all(part.isascii() and part.isdigit() for part in parts):
        raise InputError(f"--channels {text}: give whole numbers separated by commas, e.g. 3,12,40")
    return tuple(dict.fromkeys(map(int, parts)))


def check_request(method: Method, request: InspectionRequest) -> Inspectable:
    """Return `method` as one that can be inspected so.

    Raises:
        InputError: it has no maps, or none of that name, or nothing is asked for.
    """
    if not isinstance(method, Inspectable) or not method.inspectable:
        raise InputError("this method has no maps to inspect; leave out inspect")
    if not request.maps:
        raise InputError(f"no map to inspect is named; choose from {', '.join(sorted(method.inspectable))}")
    for name in request.maps:
        if name not in method.inspectable:
            raise unknown_name("map to inspect", name, method.inspectable)
    for channel in request.channels or ():
        if channel < 0:
            raise InputError(f"channel {channel} to inspect: channels count from 0")
    return method


@contextmanager
def inspecting(method: Method, request: InspectionRequest, panels: Panels) -> Iterator[None]:
    """Have `method` show its maps to `panels` while it segments in this block.

    Raises:
        InputError: as `check_request`.
    """
    inspected = check_request(method, request)
    inspected.inspection = Inspection(request.maps, request.channels, panels.show)
    try:
        yield
    finally:
        inspected.inspection = None


class _Heat(NamedTuple):
    levels: NDArray[np.uint8]
    low: float
    high: float


class Panels:
    """Collects the maps of a video and draws one panel per frame.

    Maps wait as bytes, none larger than its picture, until the ids of their frame are there.

    Args:
        video: whose frames are shown.
        start: index of the frame that the method calls 0.
    """

    def __init__(self, video: Video, start: int = 0) -> None:
        height, width = video.frames[0].shape[:2]
        scale = min(1.0, LONGEST_SIDE / max(height, width))
        self._video = video
        self._start = start
        self._size = (max(1, round(height * scale)), max(1, round(width * scale)))
        self._waiting: dict[int, dict[str, _Heat]] = {}
        # a dictionary, for the order: a frame that lacks a map keeps a place for it
        self._titles: dict[str, None] = {}

    def show(self, index: int, title: str, values: NDArray[np.float32]) -> None:
        """Take a map of frame `index` of the method; see `vosbench.method.Inspection`.

        Raises:
            ValueError: it is not (h, w).
        """
        if values.ndim != 2 or not values.size:
            raise ValueError(f"map '{title}' is (h, w), not {values.shape}")
        self._titles.setdefault(title)
        low, high = float(values.min()), float(values.max())
        levels = (np.clip(np.nan_to_num(values), 0, 1) * 255).round().astype(np.uint8)
        if levels.shape[0] > self._size[0] or levels.shape[1] > self._size[1]:
            levels = _resized(levels, self._size, cv2.INTER_AREA)
        self._waiting.setdefault(self._start + index, {})[title] = _Heat(levels, low, high)

    def draw(self, index: int, ids: IdMap) -> Frame:
        """Return the panel of a frame and forget its maps; (height, width, 3) uint8 RGB."""
        heats = self._waiting.pop(index, {})
        frame = self._video.frames[index]
        small = _resized(frame, self._size, cv2.INTER_AREA)
        drawn = _resized(overlay(frame, ids), self._size, cv2.INTER_AREA)
        pictures = {"frame": small, "mask": drawn}
        pictures |= {title: self._coloured(heats.get(title)) for title in self._titles}
        captions = {title: title for title in pictures}
        for title in self._titles:
            heat = heats.get(title)
            captions[title] += f"  {heat.low:.2f} to {heat.high:.2f}" if heat else f"  {_ABSENT}"
        return _arranged([[(captions[t], pictures[t]) for t in row] for row in arrange(list(self._titles))])

    def write(self, folder: Path, index: int, ids: IdMap) -> None:
        """Write the panel of a frame, ``FRAME.png``."""
        write_frame(folder / f"{self._video.frame_names[index]}.png", self.draw(index, ids))

    def _coloured(self, heat: _Heat | None) -> Frame:
        if heat is None:
            return np.full((*self._size, 3), _GROUND, np.uint8)
        # cells of a coarse map stay visible as such
        levels = _resized(heat.levels, self._size, cv2.INTER_NEAREST)
        return np.ascontiguousarray(cv2.applyColorMap(levels, cv2.COLORMAP_VIRIDIS)[..., ::-1])


def arrange(titles: Sequence[str]) -> list[list[str]]:
    """Return rows of titles: frame, whole maps and mask first, then a row per kind of numbered map.

    ``reset 3`` and ``reset 12`` are numbered maps of one kind. Rows beyond `MOST_COLUMNS` are broken.
    """
    first: list[str] = []
    numbered: dict[str, list[str]] = {}
    for title in titles:
        kind, _, number = title.rpartition(" ")
        if kind and number.isdigit():
            numbered.setdefault(kind, []).append(title)
        else:
            first.append(title)
    rows = [["frame", *first, "mask"], *numbered.values()]
    return [row[i : i + MOST_COLUMNS] for row in rows for i in range(0, len(row), MOST_COLUMNS)]


def _arranged(rows: Sequence[Sequence[tuple[str, Frame]]]) -> Frame:
    height, width = rows[0][0][1].shape[:2]
    step_y, step_x = height + _TITLE + _GAP, width + _GAP
    columns = max(len(row) for row in rows)
    canvas = Image.new("RGB", (columns * step_x + _GAP, len(rows) * step_y + _GAP), (_GROUND,) * 3)
    ink = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(_TITLE - 7)
    for i, row in enumerate(rows):
        for j, (caption, picture) in enumerate(row):
            x, y = _GAP + j * step_x, _GAP + i * step_y
            ink.text((x + 2, y + 1), _fitting(caption, font, width), fill=_INK, font=font)
            canvas.paste(Image.fromarray(picture), (x, y + _TITLE))
    return np.array(canvas)


def _fitting(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    """As much of a text as a picture is wide."""
    while text and font.getlength(text) > width - 2:
        text = text[:-1]
    return text


def _resized(values: NDArray[np.uint8], size: tuple[int, int], interpolation: int) -> NDArray[np.uint8]:
    if values.shape[:2] == size:
        return values
    return np.asarray(cv2.resize(values, (size[1], size[0]), interpolation=interpolation), np.uint8)
