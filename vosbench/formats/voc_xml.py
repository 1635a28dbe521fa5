"""Boxes in the XML files of PASCAL VOC and ImageNet-VID."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.parsers import expat

from vosbench.errors import InputError, one_line
from vosbench.files import read_bytes

_MOST_BYTES = 2**22
_WANTED = ("name", "trackid", "xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class XmlObject:
    """Object of an XML file.

    Attributes:
        name: of its class; ImageNet-VID has WordNet numbers such as ``n02691156``.
        track: ``<trackid>``, the same in all frames of a video; None without one.
        x, y: left and upper edge in pixels, as the file has them.
        width, height: ``xmax - xmin`` and ``ymax - ymin``.
    """

    name: str
    track: int | None
    x: float
    y: float
    width: float
    height: float


def read_boxes(path: Path) -> tuple[tuple[int, int], list[XmlObject]]:
    """Return (height, width) of the frame and its objects, in the order of the file.

    Raises:
        InputError: missing, no XML, no ``<size>``, or an object without name and box.
    """
    content = read_bytes(path, _MOST_BYTES)
    collector = _Collector()
    parser = expat.ParserCreate()
    parser.StartElementHandler = collector.start
    parser.EndElementHandler = collector.end
    parser.CharacterDataHandler = collector.text
    parser.StartDoctypeDeclHandler = _refuse_declarations
    try:
        parser.Parse(content, True)
        size = int(collector.size.get("height", "")), int(collector.size.get("width", ""))
        if min(size) < 1:
            raise ValueError(f"a frame of size {size[1]}x{size[0]}")
        return size, [_object(texts) for texts in collector.objects]
    except (expat.ExpatError, LookupError, ValueError) as error:
        raise InputError(
            f"{path}: no XML description of a frame ({one_line(error)}); copy it again"
        ) from None


def _refuse_declarations(*_: object) -> None:
    # declarations can define entities that grow without bound
    raise ValueError("it declares a document type")


class _Collector:
    """Collector of the texts that are used: <annotation>: <size>: ..., <object>: ..., <bndbox>: ..."""

    def __init__(self) -> None:
        self.size: dict[str, str] = {}
        self.objects: list[dict[str, str]] = []
        self._open: list[str] = []

    def start(self, tag: str, _attributes: dict[str, str]) -> None:
        self._open.append(tag)
        if self._open[1:] == ["object"]:
            self.objects.append({})

    def end(self, _tag: str) -> None:
        self._open.pop()

    def text(self, text: str) -> None:
        inside, tag = self._open[1:-1], self._open[-1]
        if inside == ["size"]:
            self.size[tag] = self.size.get(tag, "") + text
        # parts of an object have boxes of their own, deeper down
        elif inside in (["object"], ["object", "bndbox"]) and tag in _WANTED:
            self.objects[-1][tag] = self.objects[-1].get(tag, "") + text


def _object(texts: dict[str, str]) -> XmlObject:
    missing = [tag for tag in _WANTED if tag not in texts and tag != "trackid"]
    if missing:
        raise ValueError(f"an object without {missing[0]}")
    left, top, right, bottom = (float(texts[tag]) for tag in ("xmin", "ymin", "xmax", "ymax"))
    if not (-1e6 < left <= right < 1e6 and -1e6 < top <= bottom < 1e6):
        raise ValueError(f"a box from {left}, {top} to {right}, {bottom}")
    track = int(texts["trackid"]) if "trackid" in texts else None
    if track is not None and not 0 <= track < 2**31:
        raise ValueError(f"trackid {track}")
    return XmlObject(texts["name"].strip(), track, left, top, right - left, bottom - top)
