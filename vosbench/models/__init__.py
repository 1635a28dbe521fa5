"""Methods by name; nothing heavy is imported before one is built."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import TYPE_CHECKING, Any

from vosbench.errors import unknown_name

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule

METHODS: dict[str, str] = {
    "fusionseg": "vosbench.models.fusionseg.module:FusionSeg",
    "lip": "vosbench.models.lip.module:LIP",
    "lvo": "vosbench.models.lvo.module:LVO",
    "motion_maskrcnn": "vosbench.models.motion_maskrcnn.module:MotionMaskRCNN",
    "mpnet": "vosbench.models.mpnet.module:MPNet",
    "stcnn": "vosbench.models.stcnn.module:STCNN",
}
"""Network name -> ``"module:class"`` of its LightningModule."""

SIZES = ("full", "tiny")


def build(name: str, size: str = "full", **variant: Any) -> LightningModule:
    """Build a network with random weights.

    Args:
        name: one of `METHODS`.
        size: ``"full"`` as published, ``"tiny"`` the same topology for a CPU.
        variant: the ablation switches of the method; its README lists them.

    Raises:
        InputError: unknown name, size or switch, or a value the switch does not take.
    """
    network = method_class(name)
    if size not in SIZES:
        raise unknown_name("size", size, SIZES)
    keys = set(inspect.signature(network.__init__).parameters) - {"self", "size"}
    for key in variant:
        if key not in keys:
            raise unknown_name(f"key of model {name}", key, keys)
    return network(size=size, **variant)


def method_class(name: str) -> type[LightningModule]:
    """Import the class of network `name`.

    Raises:
        InputError: unknown name.
    """
    if name not in METHODS:
        raise unknown_name("model", name, METHODS)
    module, attribute = METHODS[name].split(":")
    found: type[LightningModule] = getattr(import_module(module), attribute)
    return found


__all__ = ["METHODS", "SIZES", "build", "method_class"]
