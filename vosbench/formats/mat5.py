"""Label maps in MATLAB files of level 5, every size checked against the bytes of the file.

`scipy.io.loadmat` believes the sizes in a file: 536 bytes whose cell array claims 2**27 elements take 1 GiB,
and of 300 randomly damaged files 5 end the process (scipy 1.17, a segmentation fault).

Source: MATLAB MAT-File Format (MathWorks), chapter 1.
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vosbench.errors import InputError, one_line, shown
from vosbench.files import read_bytes

_HEADER = 128
_MOST_BYTES = 2**28
_DEEPEST = 8
_MATRIX, _COMPRESSED = 14, 15
_STRUCT = 2
_TYPES = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 9: "<f8", 12: "<i8", 13: "<u8"}
"""Kind of a data element -> type of its numbers."""

_NUMERIC = range(6, 16)
"""Classes of arrays of numbers: double, single and integers."""


class _Element(NamedTuple):
    kind: int
    data: bytes
    end: int


def read_struct(path: Path, name: str) -> dict[str, NDArray[np.generic]]:
    """Read the numeric fields of a struct variable of one element.

    Args:
        path: a file that MATLAB saved as version 5 to 7.
        name: of the variable, e.g. ``"GTcls"``.

    Returns:
        Field -> array as it is shown in MATLAB; fields that hold no real numbers are left out.

    Raises:
        InputError: missing, another format, damaged, or there is no such variable.
    """
    content = read_bytes(path, _MOST_BYTES)
    if len(content) < _HEADER or content[124:128] != b"\x00\x01IM":
        raise InputError(f"{path}: not a MATLAB file of version 5 to 7 (little-endian); copy it again")
    try:
        fields = _find(content[_HEADER:], name)
    except (ValueError, struct.error, zlib.error) as error:
        raise InputError(f"{path}: damaged or truncated ({one_line(error)}); copy it again") from None
    if fields is None:
        raise InputError(f"{path}: no struct {name} in it; copy it again")
    return fields


def _find(content: bytes, name: str) -> dict[str, NDArray[np.generic]] | None:
    at = 0
    while at < len(content):
        element = _element(content, at)
        # compressed elements are not padded at this level
        at = element.end if element.kind != _COMPRESSED else at + 8 + len(element.data)
        if element.kind == _COMPRESSED:
            element = _element(_inflated(element.data), 0)
        if element.kind != _MATRIX:
            continue
        matrix = _matrix(element.data, 0)
        if matrix.name == name and isinstance(matrix.value, dict):
            return matrix.value
    return None


def _inflated(data: bytes) -> bytes:
    inflate = zlib.decompressobj()
    content = inflate.decompress(data, _MOST_BYTES)
    if not inflate.eof:
        raise ValueError("compressed data do not end")
    return content


def _element(data: bytes, at: int) -> _Element:
    """Return the data element at `at` and where the next one starts."""
    kind, size = struct.unpack_from("<II", data, at)
    if kind >> 16:
        # a small element: size and kind share the first word, up to four bytes are in the second
        kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
        if size > 4:
            raise ValueError("a small element that is not small")
        end = at + 8
    else:
        start = at + 8
        end = start + -(-size // 8) * 8
    if start + size > len(data):
        raise ValueError(f"{len(data) - start} bytes where {size} should follow")
    return _Element(kind, data[start : start + size], end)


class _Matrix(NamedTuple):
    name: str
    value: NDArray[np.generic] | dict[str, NDArray[np.generic]] | None


def _matrix(data: bytes, depth: int) -> _Matrix:
    """Read an array; the value of other kinds than numbers and structs is None."""
    if not data:
        return _Matrix("", None)
    if depth > _DEEPEST:
        raise ValueError("structs within structs")
    flags = _element(data, 0)
    dims = _element(data, flags.end)
    name = _element(data, dims.end)
    if len(flags.data) != 8 or dims.kind != 5:
        raise ValueError("an array without flags and dimensions")
    class_, is_complex = flags.data[0], bool(flags.data[1] & 8)
    shape = tuple(np.frombuffer(dims.data, "<i4").tolist())
    label = name.data.decode("latin-1")
    if class_ == _STRUCT:
        return _Matrix(label, _fields(data, name.end, shape, depth))
    if class_ in _NUMERIC and not is_complex:
        return _Matrix(label, _numbers(_element(data, name.end), shape))
    return _Matrix(label, None)


def _fields(data: bytes, at: int, shape: tuple[int, ...], depth: int) -> dict[str, NDArray[np.generic]]:
    if shape != (1, 1):
        raise ValueError(f"a struct array of size {shape}")
    length = _element(data, at)
    (width,) = struct.unpack("<i", length.data)
    names = _element(data, length.end)
    if not 0 < width <= 64 or len(names.data) % width:
        raise ValueError("names of fields that do not fit")
    at = names.end
    fields: dict[str, NDArray[np.generic]] = {}
    for start in range(0, len(names.data), width):
        field = names.data[start : start + width].split(b"\0")[0].decode("latin-1")
        element = _element(data, at)
        at = element.end
        if element.kind != _MATRIX:
            raise ValueError(f"field {shown(field)} that is no array")
        value = _matrix(element.data, depth + 1).value
        if isinstance(value, np.ndarray):
            fields[field] = value
    return fields


def _numbers(element: _Element, shape: tuple[int, ...]) -> NDArray[np.generic]:
    if element.kind not in _TYPES:
        raise ValueError(f"numbers of kind {element.kind}")
    kind = np.dtype(_TYPES[element.kind])
    if len(shape) < 2 or min(shape) < 0 or math.prod(shape) * kind.itemsize != len(element.data):
        raise ValueError(f"{len(element.data)} bytes for an array of size {shape}")
    return np.frombuffer(element.data, kind).reshape(shape, order="F")
