"""Published weights for a network, every tensor accounted for."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from vosbench.errors import InputError, unknown_name
from vosbench.tensor_files import downloaded, is_file, read_tensors, sha256

State = Mapping[str, Tensor]

RANDOM = "random"
"""In the place of weights: none, on purpose."""

_COUNTER = "num_batches_tracked"
_FILE = re.compile(r"(resnet|vgg|maskrcnn_resnet)\w*-[0-9a-f]{8}\.pth")


@dataclass(frozen=True)
class Loaded:
    """Result of `load_pretrained`.

    Attributes:
        weights: name of the file, ``"none"`` when there was none.
        sha256: of the file, None when there was none.
        tensors: how many of the network's tensors got the file's values.
        fresh: tensors of the network that stay as they were.
        unused: tensors of the file that have no place in the network.
    """

    weights: str
    sha256: str | None
    tensors: int
    fresh: tuple[str, ...]
    unused: tuple[str, ...]


def load_pretrained(
    module: nn.Module,
    weights: str | Path | None,
    *,
    adapt: Callable[[State], State] | None = None,
    key: str = "weights",
) -> Loaded:
    """Copy published weights into a network, or nothing at all.

    A network can say about itself, as attributes of its class: ``adapt``, a function that gives the
    published tensors the names used in it; ``spare``, prefixes of published tensors that it has no use
    for; ``fresh``, prefixes of its own that a file may lack; ``classes``, prefixes of its own layers
    that are left alone when the file has another number of classes. Counters of batches may be missing
    or superfluous anywhere.

    Args:
        module: changed in place, unless there is an error.
        weights: a file (.pth, .pt, .ckpt, .safetensors), a name of torchvision such as
            ``"ResNet101_Weights.IMAGENET1K_V2"``, downloaded once into torch.hub's cache, or None or
            ``"random"`` for nothing.
        key: what the user gives such weights with, for messages.
        adapt: changes the tensors after the network's own ``adapt``, e.g. `resnet.repeat_stem`.

    Returns:
        What was loaded, and what is left over on either side. A warning names tensors that stay random.

    Raises:
        InputError: unknown name, no download, an unreadable file, tensors that are left over although
            they should not be, or have another shape.
    """
    own = module.state_dict()
    if weights is None or weights == RANDOM:
        return Loaded("none", None, 0, tuple(own), ())
    path = Path(weights) if is_file(weights) else _published(str(weights), key)
    state: State = {key.removeprefix("module."): value for key, value in read_tensors(path).items()}
    for change in (getattr(module, "adapt", None), adapt):
        if change is not None:
            state = change(state)
    other_classes = _other_classes(module, own, state)
    fitting = own.keys() & state.keys() - other_classes
    fresh = tuple(key for key in own if key not in fitting)
    unused = tuple(key for key in state if key not in fitting)
    _check(path, module, fresh, unused, other_classes)
    for key in sorted(fitting):
        if own[key].shape != state[key].shape:
            raise InputError(
                f"{path}: {key} is {_shape(state[key])} in the file and {_shape(own[key])} in the network; "
                "take weights of this network and width"
            )
    module.load_state_dict({key: state[key] for key in fitting}, strict=False)
    left = [key for key in fresh if not key.endswith(_COUNTER)]
    if left:
        logging.getLogger(__name__).warning(
            "%s does not fill all of %s, this stays random: %s",
            path.name,
            type(module).__name__,
            ", ".join(left),
        )
    return Loaded(path.name, sha256(path), len(fitting), fresh, unused)


def of_torchvision(weights: str | Path | None) -> bool:
    """Return whether weights are torchvision's, by name or by the name of their file."""
    return weights is not None and (not is_file(weights) or _FILE.fullmatch(Path(weights).name) is not None)


def refuse_torchvision(method: str, keys: Mapping[str, str | Path | None], instead: str) -> None:
    """Refuse weights of torchvision in a network with the pixels or strides of others.

    Args:
        method: name.
        keys: key -> weights.
        instead: what to write for them.

    Raises:
        InputError: names the key.
    """
    for key, weights in keys.items():
        if weights != RANDOM and of_torchvision(weights):
            raise InputError(f"{method}: {key}={weights} is of torchvision, write {instead}")


def _check(
    path: Path, module: nn.Module, fresh: tuple[str, ...], unused: tuple[str, ...], excused: set[str]
) -> None:
    missing = _unexpected(fresh, getattr(module, "fresh", ()), excused)
    foreign = _unexpected(unused, getattr(module, "spare", ()), excused)
    if missing or foreign:
        raise InputError(
            f"{path}: not weights of {type(module).__name__}: {len(missing)} of its tensors are missing"
            f"{_examples(missing)} and {len(foreign)} do not belong{_examples(foreign)}"
        )


def _unexpected(names: tuple[str, ...], allowed: tuple[str, ...], excused: set[str]) -> list[str]:
    return [
        name
        for name in names
        if name not in excused and not name.startswith(tuple(allowed)) and not name.endswith(_COUNTER)
    ]


def _other_classes(module: nn.Module, own: State, state: State) -> set[str]:
    """Return the tensors of the last layer when the file's differs in nothing but its number of rows."""
    prefixes = tuple(getattr(module, "classes", ()))
    return {
        key
        for key in own.keys() & state.keys()
        if key.startswith(prefixes)
        and own[key].shape != state[key].shape
        and own[key].shape[1:] == state[key].shape[1:]
    }


def _published(name: str, key: str) -> Path:
    from torchvision import models  # type: ignore[import-untyped]

    try:
        url = str(models.get_weight(name).url)
    except (ValueError, KeyError, AttributeError):
        enums = {models.get_model_weights(model) for model in models.list_models()}
        known = [f"{enum.__name__}.{member}" for enum in enums for member in enum.__members__]
        raise unknown_name("weights (nor is there such a file)", name, known) from None
    return downloaded(url, name.partition("_Weights")[0], f"{key}=FILE")


def _examples(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return f" ({shown}{', ...' if len(names) > 3 else ''})" if names else ""


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
