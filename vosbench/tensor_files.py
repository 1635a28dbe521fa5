"""Weights files: reading without running code, download, hash."""

from __future__ import annotations

import hashlib
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vosbench.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors")

_HASH = re.compile(r"-([0-9a-f]{8,})$")
_UNREADABLE = (OSError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, TypeError)


def is_file(weights: str | Path) -> bool:
    """Return whether `weights` means a file, there or not, and not a name of published weights."""
    path = Path(weights)
    return isinstance(weights, Path) or path.is_file() or "/" in weights or path.suffix in SUFFIXES


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a state dict from a PyTorch file, a checkpoint (its ``state_dict`` or ``model``) or safetensors.

    No code in the file is run.

    Raises:
        InputError: missing, unreadable, or no state dict.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file of weights")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    if path.suffix != ".safetensors" and isinstance(content, Mapping):
        content = next((content[key] for key in ("state_dict", "model") if key in content), content)
    if not _is_state(content):
        raise InputError(f"{path}: not a state dict, which maps the names of layers to tensors")
    return dict(content)


def downloaded(url: str, what: str, instead: str) -> Path:
    """Return the file of torch.hub's cache with this address, downloaded when it is not there yet.

    The first digits of its SHA-256, which torchvision puts into the name, are compared before that.

    Args:
        url: where it is.
        what: what the weights are of, for the message.
        instead: how a file is given instead, for the message.

    Raises:
        InputError: it cannot be downloaded, or is damaged.
    """
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / url.rpartition("/")[2]
    if path.is_file():
        return path
    hashed = _HASH.search(path.stem)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hashed and hashed[1], progress=False)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{path.name}: {what} weights cannot be downloaded ({_reason(error)}); put the file into "
            f"{path.parent}, or give a file you have: {instead}"
        ) from None
    return path


def sha256(path: Path) -> str:
    """Return the hash of a file's bytes, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_torch(path: Path) -> Any:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except _UNREADABLE:
        raise InputError(f"{path}: not a PyTorch file of weights that can be read safely") from None


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: not a safetensors file ({error})") from None


def _is_state(content: Any) -> bool:
    import torch

    return isinstance(content, Mapping) and all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in content.items()
    )


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", error)).replace("\n", " ")[:120]
