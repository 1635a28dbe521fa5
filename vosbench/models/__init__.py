"""Methods by name, imported when they are built."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from vosbench.errors import InputError, unknown_name
from vosbench.faces import lazy
from vosbench.plugins import Plugin, installed

if TYPE_CHECKING:
    from vosbench.models.postprocessing.tracker import OverlapTracker
    from vosbench.models.pretrained.author_weights import import_state
    from vosbench.models.pretrained.zoo import load
    from vosbench.models.vos_module import VOSModule

METHODS: dict[str, str] = {
    "fusionseg": "vosbench.models.fusionseg.module:FusionSeg",
    "lip": "vosbench.models.lip.module:LIP",
    "lvo": "vosbench.models.lvo.module:LVO",
    "motion_maskrcnn": "vosbench.models.motion_maskrcnn.module:MotionMaskRCNN",
    "mpnet": "vosbench.models.mpnet.module:MPNet",
    "stcnn": "vosbench.models.stcnn.module:STCNN",
}
"""Network name -> ``"module:class"`` of its LightningModule."""

SIZES = ("full", "lite", "tiny")


def build(name: str, size: str = "full", **variant: Any) -> VOSModule:
    """Build a network with random weights.

    Args:
        name: one of `METHODS`, or a network of another package (`vosbench.plugins`).
        size: ``"full"`` as published; ``"lite"`` on EfficientNet-Lite0, which not every method has;
            ``"tiny"`` the same topology for tests and rendered scenes.
        variant: the ablation switches of the method; its README lists them.

    Raises:
        InputError: unknown name, size or switch, or a value the switch does not take.
    """
    network = method_class(name)
    if not is_network(network):
        raise InputError(f"{name} has no weights: there is nothing to build or train")
    if size not in SIZES:
        raise unknown_name("size", size, SIZES)
    keys = set(inspect.signature(network.__init__).parameters) - {"self", "size"}
    for key in variant:
        if key not in keys:
            raise unknown_name(f"key of model {name}", key, keys)
    return network(**{"size": size, **variant})


def method_class(name: str) -> type[VOSModule]:
    """Import the class of network `name`, or of a method of another package.

    Raises:
        InputError: unknown name, or a method of another package that cannot be loaded.
    """
    if name in METHODS:
        module, attribute = METHODS[name].split(":")
        network: type[VOSModule] = getattr(import_module(module), attribute)
        return network
    others = other_methods()
    if name not in others:
        raise unknown_name("model", name, [*METHODS, *others])
    return others[name].load()


def other_methods() -> Mapping[str, Plugin]:
    """Return name -> method of other packages.

    Raises:
        InputError: two methods have one name.
    """
    from vosbench.models.baselines import BASELINES

    return installed(taken=(*METHODS, *BASELINES))


def is_network(method: type) -> bool:
    """Return whether a method is a network, which has weights."""
    # whoever made a network has imported torch
    torch = sys.modules.get("torch")
    return torch is not None and issubclass(method, torch.nn.Module)


__all__ = [
    "METHODS",
    "SIZES",
    "OverlapTracker",
    "VOSModule",
    "build",
    "import_state",
    "is_network",
    "load",
    "method_class",
    "other_methods",
]

__getattr__, __dir__ = lazy(
    "vosbench.models",
    {
        "OverlapTracker": "vosbench.models.postprocessing.tracker",
        "VOSModule": "vosbench.models.vos_module",
        "import_state": "vosbench.models.pretrained.author_weights",
        "load": "vosbench.models.pretrained.zoo",
    },
)
