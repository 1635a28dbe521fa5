"""Import of published weights into a file that every command takes as a checkpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from vosbench.errors import InputError
from vosbench.files import atomic_path, check_file
from vosbench.models import build, method_class
from vosbench.models.pretrained.author_weights import Accounting, translate
from vosbench.models.pretrained.released_files import read_released
from vosbench.tensor_files import save_tensors, sha256

if TYPE_CHECKING:
    from torch import Tensor

_NAMED = 3


@dataclass(frozen=True)
class Imported:
    """Result of `import_weights`.

    Attributes:
        accounts: of each file, in order.
        uncovered: tensors of the network that no file fills.
        switches: of the network that the weights are of.
        path: the file that was written; None where something is out of order.
    """

    accounts: tuple[Accounting, ...]
    uncovered: tuple[str, ...]
    switches: Mapping[str, Any]
    path: Path | None


def import_weights(
    name: str, files: Sequence[Path], out: Path, switches: Mapping[str, Any] | None = None
) -> Imported:
    """Read weights as their authors published them and write them as weights of ``build(name)``.

    Nothing is written unless every tensor of the files has its place in the network, and every tensor of
    the network comes from exactly one file.

    Args:
        name: a method with released weights.
        files: one, or one for each part of the network, such as FusionSeg's streams and fusion.
        out: a ``.safetensors`` file.
        switches: of the network; those that its released weights need are set already.

    Raises:
        InputError: unknown method or switch, a file cannot be read or is of another method, or `out` is
            no such file or cannot be written.
    """
    if out.suffix != ".safetensors":
        raise InputError(f"{out}: weights are written as .safetensors, name such a file")
    check_file(out)
    variant = {**getattr(method_class(name), "released_switches", {}), **(switches or {})}
    # only its names and shapes are used
    with torch.device("meta"):
        wanted = build(name, "full", **variant).state_dict()
    state: dict[str, Tensor] = {}
    accounts = []
    for path in files:
        part, account = translate(name, read_released(path), wanted)
        twice = sorted(part.keys() & state.keys())
        if twice:
            raise InputError(f"{path}: {twice[0]} is already filled by another file; give each part once")
        state |= part
        accounts.append(account)
    uncovered = tuple(key for key in wanted if key not in state)
    whole = not uncovered and all(account.complete for account in accounts)
    if whole:
        _write(out, state, name, variant, files)
    return Imported(tuple(accounts), uncovered, variant, out if whole else None)


def complaint(imported: Imported) -> str:
    """Return one line with the reason why nothing was written."""
    for account in imported.accounts:
        if not account.complete:
            return account.summary()
    some = ", ".join(imported.uncovered[:_NAMED])
    return (
        f"{len(imported.uncovered)} tensors of the network are in no file ({some}, ...): give the files of "
        "all parts, or name the part with --set"
    )


def _write(
    out: Path, state: Mapping[str, Tensor], name: str, switches: Mapping[str, Any], files: Sequence[Path]
) -> None:
    described = {
        "name": name,
        "size": "full",
        "variant": dict(switches),
        "released": [{"file": path.name, "sha256": sha256(path)} for path in files],
    }
    with atomic_path(out) as temporary:
        tensors = {key: value.contiguous() for key, value in state.items()}
        save_tensors(temporary, tensors, {"vosbench": json.dumps(described, sort_keys=True)})
