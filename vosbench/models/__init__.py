"""Methods by name, imported when they are built."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from vosbench.errors import InputError, one_line, shown, unknown_name
from vosbench.faces import lazy
from vosbench.method_files import MethodFile, open_method_file
from vosbench.plugins import Plugin, installed, use

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
    try:
        return network(**{"size": size, **variant})
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        if not variant:
            raise
        keys_text = ", ".join(f"{key}={shown(value)}" for key, value in variant.items())
        raise InputError(f"{name} cannot be built with {keys_text} ({one_line(error)})") from None


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


def use_file(reference: str) -> MethodFile:
    """Import a method of one's own, ``FILE.py:CLASS``, which is then found by its name like all others.

    The file is run: name only files that you would run. Where it has ``configs/model/NAME.yaml`` and
    ``configs/recipe/NAME.yaml`` beside it, the method can be trained.

    Raises:
        InputError: no such file or class, it cannot be imported, is no method, or has the name of another.
    """
    from vosbench.models.baselines import BASELINES

    method = open_method_file(reference)
    if method.name in METHODS or method.name in BASELINES:
        raise InputError(
            f"{reference} is called {method.name}, as a method of vosbench is: give its class an attribute "
            "name, or another name"
        )
    use(method)
    return method


def is_network(method: type) -> bool:
    """Return whether a method is a network that vosbench builds by its size and loads weights into."""
    # whoever made a network has imported torch
    torch = sys.modules.get("torch")
    return (
        torch is not None
        and issubclass(method, torch.nn.Module)
        and "size" in inspect.signature(method).parameters
    )


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
    "use_file",
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
