"""Callbacks of the user: classes by name, and the validation value that they and ``best.ckpt`` follow."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Literal

import pytorch_lightning as pl
from pytorch_lightning import callbacks as lightning
from pytorch_lightning.callbacks import Callback

from vosbench.errors import InputError, check_name, one_line
from vosbench.metrics.specs import METRICS

Direction = Literal["min", "max"]


def make_callbacks(settings: Sequence[Mapping[str, Any]], monitor: str) -> list[Callback]:
    """Return the callbacks that a user asked for.

    ``monitor`` and ``mode`` of a class that needs them are filled in where the user gives none: the value
    that ``best.ckpt`` follows, and the direction in which the value gets better.

    Args:
        settings: of each callback ``class``, a class of ``pytorch_lightning.callbacks`` or the dotted path of
            any other, and the arguments of the class.
        monitor: validation value of the stage.

    Raises:
        InputError: a class cannot be imported, is no callback, or does not take the arguments.
    """
    return [_make(dict(item), monitor) for item in settings]


def _make(settings: dict[str, Any], monitor: str) -> Callback:
    if "class" not in settings:
        raise InputError("callbacks: write callbacks=[{class: EarlyStopping, patience: 5}], a class for each")
    path = str(settings.pop("class"))
    kind = _callback_class(path)
    taken = inspect.signature(kind).parameters
    if "monitor" in taken and taken["monitor"].default is inspect.Parameter.empty:
        settings.setdefault("monitor", monitor)
    if "mode" in taken and "mode" not in settings and "monitor" in settings:
        settings["mode"] = direction(str(settings["monitor"]), f"callbacks: {path}")
    try:
        return kind(**settings)
    except Exception as error:  # the class of another package may fail in every way there is
        raise InputError(f"callbacks: {path}: {one_line(error)}") from None


def _callback_class(path: str) -> type[Callback]:
    module, _, name = path.rpartition(".")
    if not module:
        check_name("callback", name, lightning.__all__)
        module = lightning.__name__
    try:
        kind = getattr(import_module(module), name)
    except Exception as error:  # as above
        raise InputError(f"callbacks: {path} cannot be imported ({one_line(error)})") from None
    if not (isinstance(kind, type) and issubclass(kind, Callback)):
        raise InputError(f"callbacks: {path} is no class of callbacks of pytorch_lightning")
    return kind


def direction(monitor: str, where: str) -> Direction:
    """Return whether a logged value gets better as it falls, ``"min"``, or as it rises.

    Args:
        monitor: name of the value, e.g. ``"val/J"``.
        where: key of the configuration that names the value.

    Raises:
        InputError: nothing is known about the value.
    """
    name = monitor.rpartition("/")[2]
    if "loss" in name:
        return "min"
    values = {value.name: value for metric in METRICS.values() for value in metric.values}
    value = values.get(name) or values.get(f"{name}_mean")
    if value is None and not name.endswith("iou"):
        raise InputError(
            f"{where}: does {monitor} get better as it rises or falls? add mode: max or mode: min"
        )
    return "max" if value is None or value.higher_is_better else "min"


class MonitorCheck(Callback):
    """Refuses names of values that are not logged, after the first validation and the first epoch.

    Args:
        names: key of the configuration -> name of the value.
    """

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = dict(names)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look for the names of the validation among the logged values."""
        logged = [name for name in trainer.callback_metrics if name.startswith("val/")]
        if logged:
            self._check({key: name for key, name in self._names.items() if name.startswith("val/")}, logged)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Look for the other names."""
        others = {key: name for key, name in self._names.items() if not name.startswith("val/")}
        self._check(others, list(trainer.callback_metrics))

    def _check(self, names: Mapping[str, str], logged: Sequence[str]) -> None:
        for key, name in names.items():
            check_name(f"value in {key}", name, logged)


def monitored(callbacks: Sequence[Callback]) -> dict[str, str]:
    """Return class -> the value that each callback looks at, for `MonitorCheck`."""
    values = {type(callback).__name__: getattr(callback, "monitor", None) for callback in callbacks}
    return {f"callbacks ({name})": value for name, value in values.items() if isinstance(value, str)}
