"""Ground truth of FBMS-59: definition files (``*Def.dat``) and the maps of regions that they name.

The format is that of the evaluation program of Ochs, Malik and Brox (MoSegEval): headings, each with
its value on the next line. Region 0 is the background; the scale of a region is its colour in the
maps, ``red * 65536 + green * 256 + blue`` in PPM and the grey level in PGM. Frame numbers count from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

import numpy as np
from numpy.typing import NDArray

from vosbench.errors import InputError
from vosbench.files import read_bytes, write_text
from vosbench.formats.image import opened_image
from vosbench.formats.png import read_ids
from vosbench.formats.pnm import read_pnm
from vosbench.video import VOID, IdMap

_MOST_REGIONS = 255
"""Ids 0..254."""

_COLOURED = 1 << 24


@dataclass(frozen=True)
class LabelledFrame:
    """Labelled frame.

    Attributes:
        number: index of the frame in its shot, from 0.
        map: file name of the map of regions.
        frame: file name of the frame, which may have another suffix in the folder; may be empty.
    """

    number: int
    map: str
    frame: str


@dataclass(frozen=True)
class Definition:
    """A definition file.

    Attributes:
        colours: one per region, the background first.
        frames: number of frames of the shot.
        labelled: the labelled frames, as listed.
    """

    colours: tuple[int, ...]
    frames: int
    labelled: tuple[LabelledFrame, ...]


def read_definition(path: Path) -> Definition:
    """Read a definition file; blank lines and the confusion penalty matrix are passed over.

    Raises:
        InputError: missing, truncated, a heading or number is not where it should be, more than 255
            regions, or two maps for one frame.
    """
    return _Lines(path, read_bytes(path, 1 << 20).decode("latin-1")).definition()


def write_definition(path: Path, definition: Definition) -> None:
    """Write a definition file, atomically."""
    count = len(definition.colours)
    lines = ["Ground truth definition file; do not change!", "", "Total number of regions:", str(count)]
    for region, colour in enumerate(definition.colours):
        lines += [f"Scale of region {region}:", str(colour)]
    lines += ["", "Confusion penality matrix:"]
    lines += [" ".join(str(int(row != column)) for column in range(count)) for row in range(count)]
    lines += ["", "Total number of frames in this shot:", str(definition.frames)]
    lines += ["Total number of labeled frames for this shot:", str(len(definition.labelled))]
    for item in definition.labelled:
        lines += ["Frame number:", str(item.number), "File name:", item.map, "Input file name:", item.frame]
    write_text(path, "\n".join(lines) + "\n")


class _Lines:
    """The lines of a definition file that are not blank, read in order."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), start=1))
        self.lines = [item for item in lines if item[1]]
        self.position = 0

    def definition(self) -> Definition:
        self.skip_to("total number of regions")
        count = self.number("the number of regions")
        if not 1 <= count <= _MOST_REGIONS:
            raise self.error(f"{count} regions, but 1 to {_MOST_REGIONS} can be read")
        colours = tuple(self.colour() for _ in range(count))
        self.skip_to("total number of frames")
        frames = self.number("the number of frames")
        self.skip_to("total number of labeled frames", "total number of labelled frames")
        labelled: dict[int, LabelledFrame] = {}
        for _ in range(self.number("the number of labelled frames")):
            item = self.labelled()
            if item.number in labelled:
                raise self.error(f"frame {item.number} has a second map, {item.map}")
            labelled[item.number] = item
        return Definition(colours, frames, tuple(labelled.values()))

    def colour(self) -> int:
        self.heading("scale of region")
        value = self.number("the scale of a region")
        if value >= _COLOURED:
            raise self.error(f"scale {value} is no colour of 24 bits")
        return value

    def labelled(self) -> LabelledFrame:
        self.heading("frame number")
        number = self.number("a frame number")
        self.heading("file name")
        name = self.file_name()
        frame = ""
        if self.here().lower().startswith("input file name"):
            self.position += 1
            # a blank value leaves the next heading here
            if self.here() and not self.here().lower().startswith("frame number"):
                frame = self.file_name()
        return LabelledFrame(number, name, frame)

    def here(self) -> str:
        return self.lines[self.position][1] if self.position < len(self.lines) else ""

    def next(self, wanted: str) -> str:
        if self.position >= len(self.lines):
            raise InputError(f"{self.path}: truncated, it ends before {wanted}; copy it again")
        self.position += 1
        return self.lines[self.position - 1][1]

    def skip_to(self, *headings: str) -> None:
        while not self.next(f"'{headings[0]}'").lower().startswith(headings):
            pass

    def heading(self, heading: str) -> None:
        line = self.next(f"'{heading}'")
        if not line.lower().startswith(heading):
            raise self.error(f"expected '{heading}', found '{line[:60]}'")

    def number(self, what: str) -> int:
        word = self.next(what)
        if not (word.isascii() and word.isdigit()) or len(word) > 9:
            raise self.error(f"expected {what}, found '{word[:60]}'")
        return int(word)

    def file_name(self) -> str:
        """Return a bare file name, without the folders of the annotator."""
        name = PureWindowsPath(self.next("a file name")).name
        if not name or "\0" in name:
            raise self.error("expected a file name")
        return name

    def error(self, message: str) -> InputError:
        """Return the error about the line read last."""
        number = self.lines[self.position - 1][0]
        return InputError(f"{self.path}, line {number}: {message}")


def read_regions(path: Path, colours: Sequence[int], *, probabilities: bool = True) -> IdMap:
    """Read a map of regions as (H, W) uint8 ids: the index of the region, 255 for other colours.

    Args:
        path: PPM or PGM.
        colours: of the regions; of two with one colour the later counts, as in the released program.
        probabilities: beside a PPM, a PGM of the same name holds the annotation probability times
            255 (weight of the pixel in the official measure); make pixels of probability 0 void.

    Raises:
        InputError: a file cannot be read, or no pixel has the colour of a region.
    """
    values = _combined(read_pnm(path))
    ids = np.full(values.shape, VOID, np.uint8)
    for region, colour in enumerate(colours):
        ids[values == colour] = region
    if (ids == VOID).all():
        raise InputError(f"{path}: no pixel has a colour of its definition file; copy both again")
    weight_path = path.with_suffix(".pgm")
    if probabilities and path.suffix.lower() == ".ppm" and weight_path.is_file():
        weights = read_pnm(weight_path)
        if weights.shape != ids.shape:
            raise InputError(f"{weight_path}: not a grey map of the size of {path.name}; copy both again")
        ids[weights == 0] = VOID
    return ids


def _combined(values: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return one number per pixel: the grey level, or red, green and blue side by side."""
    wide = values.astype(np.uint32)
    if wide.ndim == 2:
        return wide
    return np.asarray(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2], np.uint32)


def read_labels(path: Path) -> NDArray[np.uint32]:
    """Read a map of labels that no definition file explains: (H, W) uint32, equal where labels are equal.

    Grey levels and palette indices are values as they are, unless the palette is in another order (see
    `vosbench.formats.png_palette`); a pixel of a true colour gets a value above 255. Transparency is
    dropped.

    Raises:
        InputError: no image, truncated, or 16 bits per pixel.
    """
    if path.suffix.lower() in (".pgm", ".ppm"):
        return _labels(read_pnm(path))
    with opened_image(path) as image:
        if image.mode.startswith(("I", "F")):
            raise InputError(f"{path}: more than 8 bits per pixel; labels have 8")
        if image.format == "PNG" and image.mode == "P":
            return _labels(read_ids(path))
        keep = {"LA": "L", "RGBA": "RGB", "1": "L", "PA": "P"}.get(image.mode, image.mode)
        return _labels(np.array(image.convert(keep), np.uint8))


def _labels(values: NDArray[np.uint8]) -> NDArray[np.uint32]:
    if values.ndim == 2:
        return values.astype(np.uint32)
    grey = (values[..., 0] == values[..., 1]) & (values[..., 1] == values[..., 2])
    return np.where(grey, values[..., 0], _combined(values) | np.uint32(_COLOURED))
