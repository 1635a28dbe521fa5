"""Weights in Caffe models (``.caffemodel``), read with every size checked against the bytes there are.

A Caffe model is a ``NetParameter`` of protocol buffers: a run of layers, each with a name and blobs.
Sources: Protocol Buffers, Encoding (Google); the field numbers of ``caffe.proto`` (BVLC Caffe), with the
layers of its second version (field 100) and of its first (field 2).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vosbench.errors import InputError, one_line, shown

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
"""Wire types."""

_HDF5 = b"\x89HDF"
_MOST_FIELDS = 2**18
"""Of one file, data aside; a ResNet-101 has some ten thousand."""

_MOST_AXES = 32
"""Of a blob, as in Caffe."""

_LAYERS = {100: (1, 7), 2: (4, 6)}
"""Field of the network that holds a layer -> fields of the layer that hold its name and its blobs."""


def read_caffemodel(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read the weights of all layers.

    The file is read layer by layer, so that memory is needed for the weights and one layer more.

    Args:
        path: a ``.caffemodel``, of any version of Caffe since 2014.

    Returns:
        ``"LAYER/INDEX"`` -> blob in the layer's order, e.g. ``"conv1/0"`` for the weight and
        ``"conv1/1"`` for the bias of a convolution. Blobs from before Caffe had shapes have the four
        axes they were stored with, a bias (1, 1, 1, N). Weights of doubles are rounded to float32.

    Raises:
        InputError: missing, no Caffe model, damaged, or no layer has weights.
    """
    try:
        with path.open("rb") as file:
            weights = _read_network(file, path.stat().st_size)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise InputError(
            f"{path}: not a Caffe model, damaged or truncated ({one_line(error)}); download it again"
        ) from None
    if not weights:
        raise InputError(f"{path}: no layer has weights; give the .caffemodel, not a solver state")
    return weights


def _read_network(file: BinaryIO, size: int) -> dict[str, NDArray[np.float32]]:
    if file.read(len(_HDF5)) == _HDF5:
        raise ValueError("HDF5, which is another format")
    file.seek(0)
    budget = _Budget()
    weights: dict[str, NDArray[np.float32]] = {}
    while file.tell() < size:
        number, wire = _split_tag(_file_varint(file))
        budget.spend()
        if wire == _VARINT:
            _file_varint(file)
            continue
        length = {_EIGHT: 8, _FOUR: 4}.get(wire)
        if length is None:
            length = _file_varint(file)
        if length > size - file.tell():
            raise ValueError(f"{size - file.tell()} bytes where {length} should follow")
        if number in _LAYERS and wire == _BYTES:
            _add_layer(file.read(length), _LAYERS[number], weights, budget)
        else:
            file.seek(length, 1)
    return weights


@dataclass
class _Budget:
    """Number of fields that may still follow."""

    left: int = _MOST_FIELDS

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise ValueError(f"more than {_MOST_FIELDS} fields")


def _add_layer(
    data: bytes, fields: tuple[int, int], weights: dict[str, NDArray[np.float32]], budget: _Budget
) -> None:
    name = ""
    of_name, of_blobs = fields
    blobs: list[NDArray[np.float32]] = []
    for part in _fields(data, budget):
        if part.wire != _BYTES:
            continue
        if part.number == of_name:
            name = _text(part.data)
        elif part.number == of_blobs:
            blobs.append(_read_blob(part.data, budget))
    for index, blob in enumerate(blobs):
        key = f"{name}/{index}"
        if not name or key in weights:
            raise ValueError(f"two layers {shown(name)}" if name else "a layer with weights but no name")
        weights[key] = blob


def _text(data: memoryview) -> str:
    name = bytes(data).decode("utf-8")
    if not name.isprintable():
        raise ValueError("a name that is no text")
    return name


def _read_blob(data: memoryview, budget: _Budget) -> NDArray[np.float32]:
    shape: list[int] | None = None
    sides: dict[int, int] = {}
    floats: list[NDArray[np.generic]] = []
    doubles: list[NDArray[np.generic]] = []
    for part in _fields(data, budget):
        if part.number == 5 and part.wire in (_FOUR, _BYTES):
            floats.append(_numbers(part.data, "<f4"))
        elif part.number == 8 and part.wire in (_EIGHT, _BYTES):
            doubles.append(_numbers(part.data, "<f8"))
        elif part.number == 7 and part.wire == _BYTES:
            shape = [*(shape or ()), *_dimensions(part.data, budget)]
        elif part.number in (1, 2, 3, 4) and part.wire == _VARINT:
            sides[part.number] = part.value
    if shape is None:
        shape = [sides.get(side, 0) for side in (1, 2, 3, 4)]
    # Caffe prefers doubles where there are both
    parts = doubles or floats
    count = sum(part.size for part in parts)
    if len(shape) > _MOST_AXES or math.prod(shape) != count or count == 0:
        raise ValueError(f"{count} numbers for a blob of size {shown(shape)}")
    values = parts[0] if len(parts) == 1 else np.concatenate(parts)
    with np.errstate(over="ignore"):
        return np.array(values, np.float32).reshape(shape)


def _numbers(data: memoryview, kind: str) -> NDArray[np.generic]:
    if len(data) % np.dtype(kind).itemsize:
        raise ValueError(f"{len(data)} bytes of numbers")
    return np.frombuffer(data, kind)


def _dimensions(data: memoryview, budget: _Budget) -> Iterator[int]:
    for part in _fields(data, budget):
        if part.number != 1:
            continue
        if part.wire == _VARINT:
            yield part.value
        elif part.wire == _BYTES:
            at = 0
            while at < len(part.data):
                budget.spend()
                value, at = _varint(part.data, at)
                yield value


class _Field(NamedTuple):
    """A field of a message: its bytes, or its value when it is a varint.

    Fields of four or eight bytes that repeat, as numbers were stored before they were packed, come as one.
    """

    number: int
    wire: int
    data: memoryview
    value: int


def _fields(content: bytes | memoryview, budget: _Budget) -> Iterator[_Field]:
    data = memoryview(content)
    at = 0
    while at < len(data):
        budget.spend()
        start = at
        tag, at = _varint(data, at)
        number, wire = _split_tag(tag)
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield _Field(number, wire, data[:0], value)
        elif wire == _BYTES:
            length, at = _varint(data, at)
            if length > len(data) - at:
                raise ValueError(f"{len(data) - at} bytes where {length} should follow")
            yield _Field(number, wire, data[at : at + length], 0)
            at += length
        else:
            width = 4 if wire == _FOUR else 8
            count = _repeats(data, start, at - start, width)
            step = at - start + width
            rows = np.frombuffer(data[start : start + count * step], np.uint8).reshape(count, step)
            yield _Field(number, wire, memoryview(rows[:, at - start :].tobytes()), 0)
            at = start + count * step


def _repeats(data: memoryview, start: int, tag: int, width: int) -> int:
    """Return the number of fields in a row with the tag of the field at `start` and `width` bytes each."""
    step = tag + width
    most = (len(data) - start) // step
    if most == 0:
        raise ValueError("the bytes end within a number")
    rows = np.frombuffer(data[start : start + most * step], np.uint8).reshape(most, step)[:, :tag]
    count, look = 1, 16
    # ever more rows at a time: a single field costs little, millions do not take millions of steps
    while count < most:
        differs = (rows[count : count + look] != rows[0]).any(axis=1)
        if differs.any():
            return count + int(differs.argmax())
        count, look = min(count + look, most), 2 * look
    return count


def _split_tag(tag: int) -> tuple[int, int]:
    number, wire = tag >> 3, tag & 7
    if number == 0 or wire not in (_VARINT, _EIGHT, _BYTES, _FOUR):
        raise ValueError(f"a field {number} of kind {wire}")
    return number, wire


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return the number at `at`, seven bits a byte, and where the next field starts."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number that does not end")


def _file_varint(file: BinaryIO) -> int:
    start = file.tell()
    value, length = _varint(memoryview(file.read(10)), 0)
    file.seek(start + length)
    return value
