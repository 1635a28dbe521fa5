"""Files of results as arrays, with the values they have: PNG, PGM, PPM, npy, npz."""

from __future__ import annotations

import weakref
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from vosbench.errors import InputError
from vosbench.evaluation.results.trees import ReadErrors, Tree
from vosbench.formats.png import decode_mask, png_header
from vosbench.formats.png_palette import Reading
from vosbench.formats.pnm import decode_pnm

Values = NDArray[Any]
"""(H, W) bool, integer or float values of one frame, as they are in the file."""

Size = tuple[int, int]
"""Height and width."""

MOST_COLOURS = 254
"""Object ids that fit beside the background and the mark of pixels without a prediction."""

_WHITE = {0xFFFFFF, 0xFF}
"""Labels of white pixels in PPM and PGM."""

_PLACES = np.array([65536, 256, 1])


def check_size(where: Path, size: Size, expected: Size) -> None:
    """Refuse a mask of another size than the data set's.

    Raises:
        InputError: naming the file and both sizes.
    """
    if size == expected:
        return
    raise InputError(
        f"{where}: the mask is {size[1]}x{size[0]}, the data set {expected[1]}x{expected[0]} "
        f"(width x height){size_hint(size, expected)}; masks are never resized: "
        "write them at the size of the frames"
    )


def size_hint(size: Size, expected: Size) -> str:
    """Return the relation of a wrong size to the right one, after a comma; ``""`` for no simple one."""
    if size == expected[::-1]:
        return ", height and width are swapped"
    ratios = size[0] / expected[0], size[1] / expected[1]
    if abs(ratios[0] - ratios[1]) < 0.02 * ratios[0]:
        return f", {ratios[0]:.3g} times the size"
    return ""


def read_png(tree: Tree, file: str, size: Size | None, *, told_apart: bool) -> Reading:
    """Return (H, W) uint8 ids or levels of a PNG, uint16 when it has 16 bits, and a remark on its palette.

    Args:
        tree: where the file lies.
        file: its name within.
        size: height and width it must have, compared before anything is unpacked; any when None.
        told_apart: whether it matters which object a pixel belongs to.

    Raises:
        InputError: it cannot be read, is a colour image, or has another size.
    """
    where = tree.where(file)
    data = tree.read(file)
    header = png_header(data, where)
    # The size limits what is unpacked. A colour image is the graver mistake: its error comes first
    if size is not None and header.has_levels:
        check_size(where, (header.height, header.width), size)
    return decode_mask(data, where, by_object=told_apart)


def read_netpbm(tree: Tree, file: str, size: Size | None) -> NDArray[np.int64]:
    """Return the labels of a PGM or PPM: its grey levels, or 65536 red + 256 green + blue, (H, W).

    Raises:
        InputError: it cannot be read, is cut off, has more than 8 bits, or has another size.
    """
    where = tree.where(file)
    values = decode_pnm(tree.read(file), where)
    if size is not None:
        check_size(where, (values.shape[0], values.shape[1]), size)
    channels = values.shape[2] if values.ndim == 3 else 1
    packed: NDArray[np.int64] = (
        values.reshape(*values.shape[:2], channels).astype(np.int64) @ _PLACES[-channels:]
    )
    return packed


class ColourIds:
    """Ids of label colours, the same over a whole video: black is 0, the others follow by value.

    Args:
        tree: where the files lie.
        files: PGM or PPM files of all frames that are read.
        size: height and width they must have; any when None.
        background: whether it matters which colour is the background.

    Raises:
        InputError: a file cannot be read, there are more colours than ids, or the background is white.
    """

    def __init__(self, tree: Tree, files: Iterable[str], size: Size | None, *, background: bool) -> None:
        colours: set[int] = set()
        for file in files:
            colours |= set(np.unique(read_netpbm(tree, file, size)).tolist())
            if len(colours - {0}) > MOST_COLOURS:
                raise InputError(
                    f"{tree.where(file)}: more than {MOST_COLOURS} colours over the video, so this is a "
                    "picture and no map of labels; write one colour per object, black for background"
                )
        if background and colours & _WHITE and 0 not in colours:
            raise InputError(
                f"{tree.where(file)}: no pixel of the video is black, the background, and some are white; "
                "write black for white where that is the background"
            )
        self._colours = np.array([0, *sorted(colours - {0})], np.int64)

    def ids(self, labels: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return (H, W) uint8 ids of the labels of one frame."""
        return np.searchsorted(self._colours, labels).astype(np.uint8)


class ArrayFile:
    """An array in an npy file or as the only one of an npz file; frames are read one at a time.

    Args:
        tree: where the file lies.
        file: its name within.

    Attributes:
        where: the file, for messages.
        shape: of the array.
        dtype: of the array: bool, integer or float.

    Raises:
        InputError: it cannot be read, or holds no such array.
    """

    def __init__(self, tree: Tree, file: str) -> None:
        self.where = tree.where(file)
        stream = tree.open(file)
        # Kept open: in a compressed file, going back to a frame means unpacking all before it again
        weakref.finalize(self, stream.close)
        self._stream = self._only_member(stream) if file.lower().endswith(".npz") else stream
        with ReadErrors(self.where):
            self.shape, self._fortran, self.dtype = _header(self._stream)
            self._start = self._stream.tell()
        if self.dtype.kind not in "buif":
            raise InputError(f"{self.where}: array of {self.dtype}; save bool, integers or floats")

    def whole(self, size: Size | None) -> Values:
        """Return the array of one frame, (H, W).

        Raises:
            InputError: another shape, or cut off.
        """
        if len(self.shape) != 2:
            raise InputError(f"{self.where}: array of shape {self.shape}; one frame is (height, width)")
        if size is not None:
            check_size(self.where, (self.shape[0], self.shape[1]), size)
        values = self._read(0, self.shape[0] * self.shape[1])
        return values.reshape(self.shape, order="F" if self._fortran else "C")

    def check_stack(self, frames: int, size: Size | None) -> None:
        """Refuse an array that is not (`frames`, H, W).

        Raises:
            InputError: saying what it is.
        """
        if len(self.shape) != 3:
            only = ", e.g. masks[:, 0]" if len(self.shape) == 4 and self.shape[1] == 1 else ""
            raise InputError(
                f"{self.where}: array of shape {self.shape}; a sequence is (frames, height, width){only}"
            )
        if self.shape[0] != frames:
            raise InputError(
                f"{self.where}: {self.shape[0]} masks for {frames} frames; give one for every frame, "
                "an empty one where there is none"
            )
        if self._fortran:
            raise InputError(
                f"{self.where}: stored in Fortran order, so no frame can be read alone; "
                "save numpy.ascontiguousarray(masks)"
            )
        if size is not None:
            check_size(self.where, (self.shape[1], self.shape[2]), size)

    def frame(self, index: int) -> Values:
        """Return frame `index` of a sequence, (H, W)."""
        pixels = self.shape[1] * self.shape[2]
        return self._read(index * pixels, pixels).reshape(self.shape[1:])

    def _read(self, first: int, count: int) -> Values:
        with ReadErrors(self.where):
            self._stream.seek(self._start + first * self.dtype.itemsize)
            data = self._stream.read(count * self.dtype.itemsize)
        if len(data) < count * self.dtype.itemsize:
            raise InputError(f"{self.where}: cut off; copy or write it again")
        return np.frombuffer(data, self.dtype)

    def _only_member(self, stream: IO[bytes]) -> IO[bytes]:
        with ReadErrors(self.where):
            archive = zipfile.ZipFile(stream)
            names = archive.namelist()
            if len(names) == 1:
                return archive.open(names[0])
        raise InputError(f"{self.where}: {len(names)} arrays ({', '.join(names[:3])}...); save one alone")


def _header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream)
    raise ValueError(f"npy version {version}")
