"""Files of weights as the authors of a method published them, read without running anything in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vosbench.errors import InputError, one_line, shown
from vosbench.formats.caffemodel import read_caffemodel
from vosbench.formats.detectron_pickle import read_blobs
from vosbench.tensor_files import checked_state, read_safetensors, read_torch

_ZIP = b"PK\x03\x04"
_OLD_TORCH = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
"""The number that files from before PyTorch 1.6 open with, after two bytes of the pickle's protocol."""

_PICKLE = b"\x80"
_STATES = ("model", "state_dict")
"""Entries of a checkpoint that hold the weights, where it holds more."""

_PARALLEL = "module."


def read_released(path: Path) -> dict[str, Tensor]:
    """Read a file of weights as its authors published it; its kind is seen from its content.

    Args:
        path: a Caffe model (``.caffemodel``), a pickle of Detectron (``.pkl``), a checkpoint or state dict
            of PyTorch of any version (``.pth``; the weights may be the entry ``model`` of more), or
            ``.safetensors``.

    Returns:
        Name -> tensor, as named in the file, without the ``module.`` of parallel training. Blobs of a
        Caffe model are named ``LAYER/INDEX``.

    Raises:
        InputError: missing, none of these, damaged, it holds more than data, or numbers that are not
            finite.
    """
    tensors = _read(path)
    if all(key.startswith(_PARALLEL) for key in tensors):
        tensors = {key.removeprefix(_PARALLEL): value for key, value in tensors.items()}
    for key, value in tensors.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise InputError(f"{path}: {key} holds numbers that are not finite; download it again")
    return tensors


def _read(path: Path) -> dict[str, Tensor]:
    try:
        with path.open("rb") as file:
            head = file.read(16)
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if head.startswith(_ZIP) or head[2:].startswith(_OLD_TORCH):
        return _read_torch(path)
    if head.startswith(_PICKLE):
        return _tensors(path, read_blobs(path))
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8:
        return read_safetensors(path)[0]
    # a Caffe model has no signature; most open with the name of the network
    if path.suffix == ".caffemodel" or head[:1] == b"\n":
        return _tensors(path, read_caffemodel(path))
    raise InputError(f"{path}: no weights that can be read (.caffemodel, .pkl, .pth or .safetensors)")


def _tensors(path: Path, arrays: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, Tensor]:
    try:
        return {key: torch.from_numpy(array) for key, array in arrays.items()}
    except TypeError as error:
        raise InputError(f"{path}: numbers of a kind that weights do not have ({one_line(error)})") from None


def _read_torch(path: Path) -> dict[str, Tensor]:
    with _numpy_scalars():
        return _weights(path, read_torch(path))


def _weights(path: Path, content: Any) -> dict[str, Tensor]:
    for entry in _STATES:
        if isinstance(content, dict) and isinstance(content.get(entry), dict):
            content = content[entry]
            break
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: no state dict, nor one under {' or '.join(_STATES)}")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise InputError(f"{path}: entry {shown(key)} is no tensor, so this is no state dict")
    return {key: value.detach() for key, value in checked_state(path, content).items()}


@contextmanager
def _numpy_scalars() -> Iterator[None]:
    """Let torch rebuild single numbers of NumPy, which checkpoints of Detectron.pytorch can hold."""
    from numpy._core.multiarray import scalar

    kinds = [type(np.dtype(code)) for code in ("b1", "i1", "u1", "i2", "i4", "i8", "f2", "f4", "f8")]
    named = [(scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    with torch.serialization.safe_globals([np.dtype, *kinds, *named]):
        yield
