"""Methods that vosbench does not build: their contract, their weights, their provenance."""

from __future__ import annotations

import hashlib
import inspect
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from vosbench.errors import InputError, unknown_name
from vosbench.method import Method, Task
from vosbench.method_files import source_hash
from vosbench.tensor_files import read_tensors, sha256

_WRAPPERS = ("module.", "_orig_mod.")
"""Of ``DataParallel`` and ``torch.compile``."""

_PROCESS = uuid.uuid4().hex
"""Stands for the code of classes of notebooks and interactive sessions, which may change."""


def check_method(method: object, where: str) -> None:
    """Check that an object satisfies `vosbench.method.Method`.

    Args:
        method: the object.
        where: words that begin the error.

    Raises:
        InputError: it does not.
    """
    if not isinstance(method, Method) or isinstance(method, type):
        raise InputError(f"{where} lacks task or needs_flow; see {Method.__module__}")
    if method.task not in get_args(Task):
        raise unknown_name(f"task of {where}", str(method.task), get_args(Task))


def own_weights(method: Any, checkpoint: Path | None = None) -> dict[str, Any]:
    """Load weights into a method that is no `VOSModule`, and return the provenance of its weights.

    Args:
        method: a network that vosbench does not build, an object that has networks as attributes, or neither.
        checkpoint: state dict for the network, or for the only part of it that has weights, ``.pth``,
            ``.ckpt`` or ``.safetensors``; None: those it has.

    Returns:
        ``weights``, the name of the file; ``own`` and a hash of the weights, ``state``; or ``none``.

    Raises:
        InputError: weights for a method that is no network, or that do not fit.
    """
    torch = sys.modules.get("torch")
    networks: dict[str, Any] = {}
    if torch is not None:
        parts = {"": method} if isinstance(method, torch.nn.Module) else getattr(method, "__dict__", {})
        networks = {key: part for key, part in parts.items() if isinstance(part, torch.nn.Module)}
    if checkpoint is not None:
        if "" not in networks:
            raise InputError(f"{type(method).__name__} has no weights: leave the checkpoint out")
        _load_state(method, checkpoint)
    for network in networks.values():
        network.eval()
    if checkpoint is not None:
        return {"weights": checkpoint.name, "sha256": sha256(checkpoint)}
    return {"weights": "own", "state": _state_hash(networks)} if networks else {"weights": "none"}


def _load_state(network: Any, checkpoint: Path) -> None:
    state = _named_like(network, read_tensors(checkpoint))
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise InputError(f"{checkpoint}: not weights of {type(network).__name__} ({reason})") from None


def _named_like(network: Any, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state dict under the names of a network.

    Left out are names of wrappers that all tensors have, e.g. ``module.`` of ``DataParallel``; put before all
    is the name of the only part of the network that has weights, where the state dict is that of the part.
    """
    wanted = network.state_dict().keys()
    named = dict(state)
    while named and not named.keys() & wanted and all(key.startswith(_WRAPPERS) for key in named):
        named = {key.partition(".")[2]: value for key, value in named.items()}
    top = {key.partition(".")[0] for key in wanted}
    if len(top) == 1:
        (part,) = top
        inside = {f"{part}.{key}": value for key, value in named.items()}
        return inside if inside.keys() == wanted else named
    return named


def _state_hash(networks: Mapping[str, Any]) -> str:
    """Return a SHA-256 of the names, shapes and values of all tensors."""
    digest = hashlib.sha256()
    for key, network in sorted(networks.items()):
        for name, value in network.state_dict().items():
            array = value.detach().cpu().contiguous()
            digest.update(f"{key}\0{name}\0{tuple(array.shape)}\0{array.dtype}\0".encode())
            digest.update(array.view(-1).view(sys.modules["torch"].uint8).numpy().tobytes())
    return digest.hexdigest()


def instance_provenance(method: Method) -> dict[str, Any]:
    """Return the provenance of a method that is there already: class, code, plain attributes, weights."""
    kind = type(method)
    described = own_weights(method)
    described |= {"class": f"{kind.__module__}.{kind.__qualname__}", "source": _source_of(kind)}
    plain = {key: value for key, value in vars(method).items() if key[:1] != "_" and _is_plain(value)}
    return described | ({"variant": plain} if plain else {})


def _source_of(kind: type) -> str:
    """Return a hash of the code of a class; without a file one that no later process has."""
    try:
        file = Path(inspect.getfile(kind))
    except (OSError, TypeError):
        file = Path()
    return source_hash(file.absolute()) if file.suffix == ".py" and file.is_file() else f"process {_PROCESS}"


def _is_plain(value: object) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
