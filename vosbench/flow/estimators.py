"""Flow estimators by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vosbench.errors import InputError, check_name
from vosbench.flow.classical import DIS, TVL1, DeepFlow, Farneback
from vosbench.flow.precomputed import Precomputed
from vosbench.flow.raft import RAFT, RAFTLarge, RAFTSmall
from vosbench.video import FlowField, Frame

__all__ = [
    "DIS",
    "ESTIMATORS",
    "RAFT",
    "TVL1",
    "DeepFlow",
    "Farneback",
    "FlowEstimator",
    "Precomputed",
    "RAFTLarge",
    "RAFTSmall",
    "build_estimator",
    "parse_flow",
]


@runtime_checkable
class FlowEstimator(Protocol):
    """Estimator of the flow from one frame to another.

    Attributes:
        name: the estimator, e.g. ``"dis"``.
        settings: everything that changes its output, library versions included; JSON values. Cached
            fields are found by it and records quote it.
    """

    @property
    def name(self) -> str:
        """Name of the estimator."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """Settings that determine the output."""
        ...

    def __call__(self, first: Frame, second: Frame) -> FlowField:
        """Return the (2, H, W) float32 flow in pixels from `first` to `second`, (H, W, 3) uint8 each."""
        ...


ESTIMATORS: Mapping[str, Callable[..., FlowEstimator | Precomputed]] = {
    "dis": DIS,
    "farneback": Farneback,
    "deepflow": DeepFlow,
    "tvl1": TVL1,
    "raft": RAFT,
    "raft_small": RAFTSmall,
    "raft_large": RAFTLarge,
    "precomputed": Precomputed,
}
"""Name -> class; the first argument of a class is the one that `parse_flow` takes without its name."""


def build_estimator(name: str, **settings: Any) -> FlowEstimator | Precomputed:
    """Build an estimator from its name and the arguments of its class.

    Raises:
        InputError: unknown name, setting or value.
    """
    accepted = _parameters(name)
    for setting in settings:
        check_name(f"setting of flow estimator {name}", setting, accepted)
    missing = [key for key, value in accepted.items() if value.default is value.empty and key not in settings]
    if missing:
        raise InputError(f"flow estimator {name} needs '{missing[0]}'")
    return ESTIMATORS[name](**settings)


def parse_flow(text: str) -> tuple[str, dict[str, Any]]:
    """Return name and settings of the estimator that a short text means, for `build_estimator`.

    A folder means precomputed flow. Else the text is ``NAME``, ``NAME:VALUE`` or
    ``NAME:VALUE,KEY=VALUE``, where the bare value is the estimator's first setting: ``dis:fast``,
    ``raft:raft-small.pth,iterations=24``, ``precomputed:FOLDER,direction=backward``.

    Raises:
        InputError: unknown name or setting, or a number that is none.
    """
    if Path(text).is_dir():
        return "precomputed", {"folder": text}
    name, _, rest = text.partition(":")
    if name not in ESTIMATORS and ("/" in text or "\\" in text):
        raise InputError(f"{text}: no such folder of precomputed flow")
    accepted = _parameters(name)
    if rest and not accepted:
        raise InputError(f"--flow {text}: {name} has no settings")
    settings: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in rest.split(","))):
        key, equals, value = item.partition("=")
        if not equals:
            key, value = next(iter(accepted), ""), item
        check_name(f"setting of flow estimator {name}", key or item, accepted)
        if key in settings:
            raise InputError(f"--flow {text}: '{key}' is given twice")
        settings[key] = _value(text, key, value, accepted[key].default)
    return name, settings


def _parameters(name: str) -> Mapping[str, inspect.Parameter]:
    check_name("flow estimator", name, ESTIMATORS)
    return inspect.signature(ESTIMATORS[name]).parameters


def _value(text: str, key: str, value: str, default: Any) -> Any:
    if not isinstance(default, int):
        return value
    try:
        return int(value)
    except ValueError:
        raise InputError(f"--flow {text}: '{key}' is a number, not '{value}'") from None
