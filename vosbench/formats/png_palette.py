"""Palettes of indexed PNG: whether the indices are the ids, or in another order.

Programs that choose or sort a palette on their own (``Image.quantize`` and ``convert("P")`` of Pillow,
optimisers of file size) keep the colours and renumber the indices. The colours then show what a pixel is:
black is the background everywhere in video object segmentation, and most masks use the colours of DAVIS.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

from vosbench.video import VOID, IdMap

Colours = NDArray[np.uint8]
"""(256, 3) uint8 RGB, one colour per index."""

HIGHEST_ID = 20
"""Larger values, other than 255, are taken for grey levels and not for object ids."""

KEEP_INDICES = "Image.fromarray(numpy.array(Image.open(file))).save(file)"
"""Turns an indexed PNG into a grey one of its indices."""

REWRITE = "from vosbench.formats.png import rewrite_colours; rewrite_colours(file)"
"""Python that makes a mask of ids or grey levels from one whose colours are those of DAVIS or grey."""

_DARKEST = 31
"""Colours without a channel above are taken for black: the darkest other one of DAVIS has 32."""

_WEB_FIRST, _WEB_STEP, _WEB_SIDE = 10, 51, 6
_FIRST_CHUNK, _CHUNK_EDGE = 8, 12


class Reading(NamedTuple):
    """Pixel values, and a remark when they are not the indices themselves.

    Attributes:
        values: (H, W) uint8 ids or grey levels, uint16 levels of grey images with 16 bits.
        remark: in a few words; None for values that were taken as they are.
    """

    values: NDArray[np.uint8] | NDArray[np.uint16]
    remark: str | None = None


class UnclearPaletteError(ValueError):
    """Error for colours and indices that do not determine the ids."""

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem}; {advice}")
        self.problem = problem
        self.advice = advice


class Palette(NamedTuple):
    """The palette of a file.

    Attributes:
        colours: black where there is no entry or where it is transparent.
        entries: how many there are.
    """

    colours: Colours
    entries: int


def davis_palette() -> Colours:
    """Return the PASCAL VOC colours that DAVIS uses for its ids.

    The three lowest bits of the id become the highest bit of red, green and blue, the next three
    bits the second highest, and so on; near ids get far colours and 0 is black.
    """
    ids = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for level in range(8):
        for channel in range(3):
            bit = (ids >> (3 * level + channel)) & 1
            colours[:, channel] |= (bit << (7 - level)).astype(np.uint8)
    return colours


_DAVIS = davis_palette()
_GREY_RAMP = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
_USUAL = (_DAVIS.tobytes(), _GREY_RAMP.tobytes())
_ID_OF_COLOUR = {tuple(_DAVIS[index].tolist()): index for index in (*range(HIGHEST_ID + 1), VOID)}


def palette_of(data: bytes) -> Palette:
    """Return the palette of an indexed PNG held in memory; its header is already checked.

    Raises:
        ValueError: damaged.
    """
    chunks = _chunks_before_pixels(data)
    stored = chunks.get(b"PLTE", b"")
    entries = len(stored) // 3
    colours = np.zeros((256, 3), np.uint8)
    colours[:entries] = np.frombuffer(stored[: 3 * min(entries, 256)], np.uint8).reshape(-1, 3)
    alpha = np.frombuffer(chunks.get(b"tRNS", b"")[:256], np.uint8)
    colours[: len(alpha)][alpha == 0] = 0
    return Palette(colours, entries)


def read_by_palette(indices: IdMap, palette: Palette, *, by_object: bool) -> Reading:
    """Return what the pixels of an indexed PNG are.

    Indices are the ids where index 0 is black, as in every usual palette. Where it is not and black is
    another index, the palette is in another order, and the colours are read: grey ones as levels, those
    of DAVIS as ids.

    Args:
        indices: (H, W) uint8.
        palette: of the file.
        by_object: the objects matter, and not only the foreground.

    Raises:
        UnclearPaletteError: colours and indices do not determine the ids.
    """
    colours, entries = palette
    stored = colours[:entries].tobytes()
    if any(usual.startswith(stored) for usual in _USUAL) and int(indices.max(initial=0)) < entries:
        return Reading(indices)
    used = _used(indices)
    shown = colours[used].astype(np.int64)
    table = _table(used, shown, colours[0], by_object)
    if table is not None:
        return Reading(table.values[indices], table.remark)
    beyond = int(used.max(initial=0)) >= entries
    return Reading(indices, _BEYOND if beyond else None)


def _used(indices: IdMap) -> NDArray[np.int64]:
    """Return the different values of indices in order."""
    highest = int(indices.max(initial=0))
    if indices.size and highest <= HIGHEST_ID:
        # a quarter of the time that counting takes
        return np.array([value for value in range(highest + 1) if (indices == value).any()], np.int64)
    return np.flatnonzero(np.bincount(indices.ravel(), minlength=256))


def ids_of_colours(picture: NDArray[np.uint8]) -> IdMap:
    """Return the (H, W) uint8 ids whose DAVIS colours a (H, W, 3) uint8 RGB picture has: 0..20 and 255.

    Raises:
        ValueError: it has another colour.
    """
    places = np.array([65536, 256, 1])
    packed = picture.astype(np.int64) @ places
    known = {red * 65536 + green * 256 + blue: index for (red, green, blue), index in _ID_OF_COLOUR.items()}
    ids = np.zeros(packed.shape, np.uint8)
    for value in np.unique(packed).tolist():
        if value not in known:
            raise ValueError(f"colour #{value:06x} is not one of DAVIS")
        ids[packed == value] = known[value]
    return ids


_BEYOND = (
    "indices without a colour in the palette: Pillow keeps only the lowest bits of ids it has no palette for"
)


def _table(
    used: NDArray[np.int64], shown: NDArray[np.int64], first: NDArray[np.uint8], by_object: bool
) -> Reading | None:
    """Return index -> value, (256,) uint8, with a remark; None where the indices are right."""
    brightest = shown.max(axis=1)
    grey = bool((shown == shown[:, :1]).all())
    if int(first.max()) <= _DARKEST:
        return _first_is_black(used, shown, grey, by_object)
    if not (brightest <= _DARKEST).any():
        colour = ", ".join(map(str, first.tolist()))
        raise UnclearPaletteError(
            f"index 0, the background, has the colour ({colour}) and none is black, so the palette may be in "
            "another order",
            f"write the ids as a grey PNG; if the indices are right: {KEEP_INDICES}",
        )
    if grey:
        return _filled(used, shown[:, 0], "palette in another order: read the grey levels of its colours")
    ids = _davis_ids(shown)
    if ids is not None:
        return _filled(used, ids, "palette in another order: read the ids of its DAVIS colours")
    if not by_object and len(used) <= HIGHEST_ID:
        return _filled(used, brightest > _DARKEST, "palette in another order: black is the background")
    raise UnclearPaletteError(
        "palette in another order (black is not index 0) with other colours than those of DAVIS",
        f"write the ids as a grey PNG; if the indices are right: {KEEP_INDICES}",
    )


def _first_is_black(
    used: NDArray[np.int64], shown: NDArray[np.int64], grey: bool, by_object: bool
) -> Reading | None:
    if len(np.unique(shown, axis=0)) < len(used):
        return None
    if grey:
        levels = shown[:, 0]
        same = bool((levels == used).all())
        ordered = bool((np.diff(levels) > 0).all()) and int(used.max(initial=0)) <= HIGHEST_ID
        return None if same or ordered else _filled(used, levels, "read the grey levels of the palette")
    objects = used[used != 0]
    if _is_web(objects, shown[used != 0]):
        if by_object:
            raise UnclearPaletteError(
                "colours of the web palette, to which Pillow's convert('P') rounds others: the ids are lost",
                "write the ids as a grey PNG",
            )
        return _filled(used, used != 0, "colours of the web palette: black is the background")
    if not by_object:
        return None
    ids = _davis_ids(shown)
    if ids is None or bool((ids == used).all()):
        return None
    wrong = int(np.flatnonzero(ids != used)[0])
    raise UnclearPaletteError(
        f"index {used[wrong]} has the DAVIS colour of id {ids[wrong]}: the palette may be in another order",
        f"if the colours are right: {REWRITE}; if the indices are: {KEEP_INDICES}",
    )


def _filled(used: NDArray[np.int64], values: NDArray[np.int64] | NDArray[np.bool_], remark: str) -> Reading:
    table = np.zeros(256, np.uint8)
    table[used] = values
    return Reading(table, remark)


def _davis_ids(colours: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return the ids of DAVIS colours; None when a colour has no id, or two have one."""
    ids = [_ID_OF_COLOUR.get(tuple(colour)) for colour in colours.tolist()]
    known = [id_ for id_ in ids if id_ is not None]
    return np.array(known, np.int64) if len(set(known)) == len(ids) else None


def _is_web(indices: NDArray[np.int64], colours: NDArray[np.int64]) -> bool:
    """Return whether these are entries of Pillow's web palette: 6 x 6 x 6 colours from index 10 on."""
    if not len(indices):
        return False
    steps = colours // _WEB_STEP @ np.array([1, _WEB_SIDE, _WEB_SIDE**2])
    return bool((colours % _WEB_STEP == 0).all() and (indices == _WEB_FIRST + steps).all())


def _chunks_before_pixels(data: bytes) -> dict[bytes, bytes]:
    """Return kind -> content of the chunks before the pixels."""
    chunks: dict[bytes, bytes] = {}
    at = _FIRST_CHUNK
    while at + _CHUNK_EDGE <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 8 + length
        if kind in (b"IDAT", b"IEND"):
            break
        if kind in (b"PLTE", b"tRNS"):
            if zlib_ng.crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
                raise ValueError("checksum of the palette")
            chunks[kind] = data[at + 8 : end]
        at = end + 4
    return chunks
