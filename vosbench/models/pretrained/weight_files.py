"""Files of weights, and the provenance of the training in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vosbench.errors import InputError
from vosbench.plain_data import ANY, Whole, check_extent, check_kind, read_json
from vosbench.tensor_files import checked_state, metadata_value, read_safetensors, read_torch, sha256

if TYPE_CHECKING:
    from torch import Tensor

DESCRIBED = "vosbench"
"""Key of the metadata of safetensors for the network that weights belong to."""

TRAINING = ("data", "selection", "parts")
"""Keys of a provenance on data, see `vosbench.training.provenance.trained_on`."""


_PART_KIND: dict[str, Any] = Whole(key=str, weights=str, sha256=str)
TRAINING_KIND: dict[str, Any] = {
    "data": {
        "name": str,
        "edition": str,
        "sequences": [str],
        "rendered": [str],
        "sets": {ANY: {"scenes": (int, str), ANY: object}},
    },
    "selection": [
        {"name": str, "edition": str, "split": str, "how": str, "monitor": str, "sequences": [str]}
    ],
    "parts": [_PART_KIND],
}
"""Kinds of the provenance of a training, for `vosbench.plain_data.check_kind`."""

_PART_KIND["training"] = TRAINING_KIND

WEIGHTS_KIND: dict[str, Any] = {
    "name": str,
    "size": (str, None),
    "weights": str,
    "sha256": (str, None),
    "variant": dict,
    "released": [Whole(file=str, sha256=str)],
    "training": TRAINING_KIND,
    "parts": [_PART_KIND],
}
"""Kinds of what weights say of their network."""

RENDERED = "rendered"
"""Key of ``data`` of a provenance for the names of miniatures, where there are real data sets, too."""


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read weights, and the network they describe themselves as belonging to.

    Args:
        path: a Lightning checkpoint (read without running any code in it) or safetensors.

    Returns:
        The state dict, and ``name``, ``size``, ``variant`` and ``training`` (what a checkpoint of `fit` has
        learnt from) as far as the file states them.

    Raises:
        InputError: the file is missing or neither of the two.
    """
    if not path.is_file():
        raise InputError(f"no weights file {path}")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    return _read_checkpoint(path)


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, metadata = read_safetensors(path)
    return tensors, _described(path, metadata_value(path, metadata, DESCRIBED, {}))


def _read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    content = read_torch(path)
    if not isinstance(content, dict) or not isinstance(content.get("vosbench"), dict):
        raise InputError(f"{path}: not a checkpoint of vosbench fit")
    state = checked_state(path, content.get("state_dict"))
    training = {"training": content["training"]} if "training" in content else {}
    return state, _described(path, content["vosbench"] | training)


def _described(path: Path, content: dict[Any, Any]) -> dict[str, Any]:
    """Return what a file says of its network; its values may come out of a pickle.

    Raises:
        InputError: beyond the limits of plain data, or of another kind.
    """
    try:
        check_extent(content)
    except ValueError as error:
        raise InputError(f"{path}: its description is damaged ({error}); get the file again") from None
    check_kind(content, WEIGHTS_KIND, f"{path}: description")
    return dict(content)


def training_of(path: Path) -> dict[str, Any]:
    """Return the data that weights were trained and selected on, by the file or the JSON beside it.

    Returns:
        The keys of `TRAINING` that the file has.

    Raises:
        InputError: the file is missing or neither a checkpoint of `fit` nor safetensors.
    """
    own = read_state(path)[1].get("training")
    stated: Mapping[str, Any] = own or training_beside(path).get("training", {})
    return {key: stated[key] for key in TRAINING if key in stated}


def rendered_sets(data: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the names of the data sets of a training that are miniatures; None where this is not known.

    Args:
        data: ``data`` of the provenance of weights.
    """
    if RENDERED in data:
        return frozenset(data[RENDERED])
    editions = str(data.get("edition", "")).split(", ")
    if "mini" not in editions:
        return frozenset()
    return frozenset(str(data["name"]).split(", ")) if editions == ["mini"] else None


def describe_data(data: Mapping[str, Any]) -> str:
    """Return the data sets of a training as text, e.g. ``"coco (1500 scenes), davis17, mini edition"``.

    Args:
        data: ``data`` of the provenance of weights.
    """
    sets: Mapping[str, Any] = data.get("sets") or dict.fromkeys(data["name"].split(", "), data)
    names = [f"{name} ({item['scenes']} scenes)" if "scenes" in item else name for name, item in sets.items()]
    if RENDERED in data:
        names = [f"{name} (rendered)" if name in data[RENDERED] else name for name in names]
        return ", ".join(names)
    return f"{', '.join(names)}, {data['edition']} edition"


def part_of(key: str, path: Path) -> dict[str, Any]:
    """Return the provenance of weights that a network takes in from another file.

    Args:
        key: of the method, e.g. ``"motion_weights"``.
        path: the file; published weights have no provenance.

    Returns:
        ``key``, ``weights`` (name of the file), ``sha256`` and ``training``, see `training_of`.
    """
    try:
        training = training_of(path)
    except InputError:
        training = {}
    return {"key": key, "weights": path.name, "sha256": sha256(path), "training": training}


def training_beside(path: Path) -> dict[str, Any]:
    """Return the provenance that `export` wrote beside weights; nothing where there is no such file."""
    try:
        stated = read_json(path.with_suffix(".json"))
    except InputError:
        return {}
    known = stated.get("sha256") == sha256(path)
    return {"training": stated["training"]} if known and "training" in stated else {}
