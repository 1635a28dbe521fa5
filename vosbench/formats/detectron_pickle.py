"""Weights in Detectron's pickles (``.pkl``), read without running anything in them.

Such a file is a pickled dictionary whose entry ``blobs`` maps names to arrays, often written by Python 2.
A pickle is a program; here all its instructions are looked at before the first one is carried out, and
the few names of NumPy that arrays need stand for functions of this module, never for NumPy's own.
Sources: ``pickletools`` (what each instruction does), NumPy's ``ndarray.__reduce__``.
"""

from __future__ import annotations

import io
import pickle
import pickletools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from vosbench.errors import InputError, one_line, shown
from vosbench.files import read_bytes

_SIGNATURE = 0x80
_MOST_BYTES = 2**32
_MOST_AXES = 32

_INSTRUCTIONS = frozenset(
    {
        *("PROTO", "FRAME", "STOP", "MARK", "POP_MARK", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"),
        *("NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT"),
        *("BINSTRING", "SHORT_BINSTRING", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
        *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS"),
        *("EMPTY_DICT", "SETITEM", "SETITEMS"),
        *("BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET"),
    }
)
"""All that plain data and arrays need, of protocols 2 to 5."""

_DAMAGE = (
    pickle.UnpicklingError,
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What a damaged pickle can raise."""


def read_blobs(path: Path) -> dict[str, NDArray[np.generic]]:
    """Read the arrays of a pickle of Caffe2's Detectron.

    Args:
        path: a ``.pkl`` of ``{"blobs": {name: array}}`` (other entries are left out), or of
            ``{name: array}``, in protocol 2 or later.

    Returns:
        Name -> array of numbers, C order, native bytes. Entries that are no arrays are left out.

    Raises:
        InputError: missing, damaged, it holds anything but plain data and arrays, or no arrays.
    """
    content = read_bytes(path, _MOST_BYTES)
    if not content or content[0] != _SIGNATURE:
        raise InputError(f"{path}: not a pickle of protocol 2 or later; give Detectron's .pkl")
    try:
        _inspect(content)
        value = _Unpickler(content).load()
        blobs = value.get("blobs", value) if isinstance(value, dict) else None
        arrays = _arrays(blobs) if isinstance(blobs, dict) else {}
    except _Refused as error:
        raise InputError(f"{path}: not read, because {one_line(error)}; nothing in it was run") from None
    except _DAMAGE as error:
        raise InputError(f"{path}: damaged or truncated ({one_line(error)}); download it again") from None
    if not arrays:
        raise InputError(f"{path}: a pickle without arrays; give Detectron's .pkl")
    return arrays


class _Refused(pickle.UnpicklingError):
    """Refusal of a pickle that asks for more than data."""


def _inspect(content: bytes) -> None:
    """Look at all instructions: only those for data, and no memo larger than the pickle fills.

    Raises:
        _Refused: another instruction.
        ValueError: damaged.
    """
    kept = 0
    for instruction, argument, _ in pickletools.genops(io.BytesIO(content)):
        name = instruction.name
        if name not in _INSTRUCTIONS:
            raise _Refused(f"it has the instruction {name}, which weights do not need")
        if name == "GLOBAL":
            _known(*str(argument).split(" ", 1))
        elif name in ("BINPUT", "LONG_BINPUT", "MEMOIZE"):
            kept += 1
            # Python would make room for all numbers up to this one; Python 2 starts at 1
            if argument is not None and argument > kept:
                raise ValueError(f"entry {argument} of a memo of {kept}")


class _Kind:
    """Type of the numbers of an array: ``f4``, and the byte order once it is known."""

    __slots__ = ("code", "order")

    def __init__(self, code: str, order: str) -> None:
        self.code = code
        self.order = order

    def __setstate__(self, state: Any) -> None:
        _, order, *_ = state
        if order not in ("<", ">", "|", "="):
            raise ValueError("an order of bytes that there is not")
        self.order = order

    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.code)


class _Array:
    """An array that is not filled yet, or, after its state came, the value of one."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: NDArray[np.generic] | None = None

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, by_columns, data = state
        self.value = _filled(_raw(data), kind, shape, "F" if by_columns else "C")


class _Name:
    """Stand-in for a name in the pickle, which can be called but not changed."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> NoReturn:
        raise _Refused("it changes a function")


def _raw(data: Any) -> bytes:
    if isinstance(data, str):
        # a string of Python 2
        return data.encode("latin-1")
    if isinstance(data, (bytes, bytearray)):
        return bytes(data)
    raise ValueError("an array of other things than numbers")


def _filled(data: bytes, kind: Any, shape: Any, order: Any) -> NDArray[np.generic]:
    """Return the array of `data`, whose length is checked against `shape`."""
    if not isinstance(kind, _Kind) or order not in ("C", "F"):
        raise ValueError("an array without kind")
    if not isinstance(shape, tuple) or len(shape) > _MOST_AXES:
        raise ValueError("an array without size")
    count = 1
    for side in shape:
        if type(side) is not int or not 0 <= side <= _MOST_BYTES:
            raise ValueError("an array with a size that is none")
        count *= side
    dtype = kind.dtype()
    if count * dtype.itemsize != len(data):
        raise ValueError(f"{len(data)} bytes for an array of size {shown(shape)}")
    values = np.frombuffer(data, dtype).reshape(shape, order=order)
    return np.array(values, dtype.newbyteorder("="), order="C")


def _empty(kind: Any = None, shape: Any = (0,), code: Any = "b") -> _Array:
    if kind is not _NDARRAY or shape != (0,):
        raise ValueError("an array that does not start empty")
    return _Array()


def _never(*arguments: Any) -> NoReturn:
    raise ValueError(f"an array made by its class, with {len(arguments)} arguments")


def _kind(code: Any, *_: Any) -> _Kind:
    match = re.fullmatch(r"([<>|=]?)(b1|[iu][1248]|f[248])", code if isinstance(code, str) else "")
    if match is None:
        raise ValueError(f"an array of kind {shown(code)}")
    return _Kind(match[2], match[1] or "=")


def _scalar(kind: Any, data: Any) -> Any:
    return _filled(_raw(data), kind, (), "C").item()


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any) -> _Array:
    array = _Array()
    array.value = _filled(_raw(data), kind, shape, order)
    return array


def _encode(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes that are no text of Latin-1")
    return text.encode("latin-1")


def _dictionary(*arguments: Any) -> dict[Any, Any]:
    if arguments:
        raise ValueError("a dictionary that does not start empty")
    return {}


_NDARRAY = _Name(_never)

_NAMES: Mapping[tuple[str, str], _Name] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Name(_kind),
    ("_codecs", "encode"): _Name(_encode),
    ("collections", "OrderedDict"): _Name(_dictionary),
    # the package was renamed in NumPy 2
    **{
        (f"numpy.{core}.{module}", name): call
        for core in ("core", "_core")
        for (module, name), call in {
            ("multiarray", "_reconstruct"): _Name(_empty),
            ("multiarray", "scalar"): _Name(_scalar),
            ("numeric", "_frombuffer"): _Name(_from_buffer),
        }.items()
    },
}
"""All that a pickle may name."""


def _known(module: str, name: str = "") -> _Name:
    if (module, name) not in _NAMES:
        raise _Refused(f"it asks for {shown(f'{module}.{name}')}")
    return _NAMES[module, name]


class _Unpickler(pickle.Unpickler):
    def __init__(self, content: bytes) -> None:
        super().__init__(io.BytesIO(content), encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        return _known(module, name)


def _arrays(blobs: dict[Any, Any]) -> dict[str, NDArray[np.generic]]:
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, blob in blobs.items():
        if not isinstance(blob, _Array):
            continue
        if not isinstance(name, str) or blob.value is None:
            raise ValueError("an array without name or numbers")
        arrays[name] = blob.value
    return arrays
