"""Methods, data sets and protocols of other packages, found by the entry points they declare.

A package names them in its ``pyproject.toml``::

    [project.entry-points."vosbench.methods"]
    frame_difference = "vosbench_example.method:FrameDifference"

    [project.entry-points."vosbench.datasets"]
    ponds = "vosbench_example.ponds:PONDS"

    [project.entry-points."vosbench.protocols"]
    ponds-iou = "vosbench_example"

A data set is a `vosbench.data.spec.DatasetSpec` of the same name, in a module that imports nothing heavy. A
protocol is the file ``configs/protocol/NAME.yaml`` beside the module.

The class of a method satisfies `vosbench.method.Method`. One without weights is built from its
switches, the keyword arguments of its class, which all have defaults. A network is a VOSModule
built by ``Class(size="full", **switches)``. Beside the module of the class may lie

- ``weights/NAME-SIZE.safetensors`` and ``.json``, as `vosbench.models.pretrained.zoo.export` writes them;
- ``configs/model/NAME.yaml``, ``configs/recipe/NAME.yaml`` and ``configs/data/*.yaml``, which
  ``vosbench fit`` finds as it finds those of vosbench.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vosbench.errors import InputError

METHODS, DATASETS, PROTOCOLS = "vosbench.methods", "vosbench.datasets", "vosbench.protocols"
"""Groups of entry points."""

_KINDS = {METHODS: "method", DATASETS: "data set", PROTOCOLS: "protocol"}


@dataclass(frozen=True)
class Plugin:
    """A method, data set or protocol of another package.

    Attributes:
        name: of the method, data set or protocol.
        path: ``"module:object"``; of a protocol ``"module"``.
        package: the distribution that declares it.
        group: of the entry point.
    """

    name: str
    path: str
    package: str
    group: str = METHODS

    @property
    def where(self) -> str:
        """Words that begin an error."""
        return f"{_KINDS[self.group]} {self.name} of the package {self.package}"

    def load_object(self) -> Any:
        """Import the object.

        Raises:
            InputError: it cannot be imported.
        """
        module, _, attribute = self.path.partition(":")
        try:
            return getattr(import_module(module), attribute)
        except Exception as error:  # another package's module may fail in every way there is
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise InputError(
                f"{self.where}: {self.path} cannot be loaded ({reason}); repair that package"
            ) from None

    def load(self) -> type[Any]:
        """Import the class of a method.

        Raises:
            InputError: it cannot be imported, or is no method.
        """
        loaded = self.load_object()
        if not isinstance(loaded, type) or not callable(getattr(loaded, "segment", None)):
            raise InputError(
                f"{self.where}: {self.path} is no class with a method segment; see vosbench.method.Method"
            )
        return loaded

    def provenance(self) -> dict[str, str]:
        """Return which code this is, for records."""
        return {"package": f"{self.package} {metadata.version(self.package)}"}

    @property
    def folder(self) -> Path | None:
        """Folder of the module; None when there is no such module."""
        try:
            spec = find_spec(self.path.partition(":")[0])
        except Exception:  # the package around the module is imported, and may fail; `load` reports the error
            return None
        return None if spec is None or spec.origin is None else Path(spec.origin).parent


_used: dict[str, Plugin] = {}


def use(method: Plugin) -> None:
    """Let a method that the user named by its file be found by its name, in this process."""
    _used[method.name] = method


@cache
def _declared(group: str) -> tuple[Plugin, ...]:
    plugins = {
        Plugin(point.name, point.value, "" if point.dist is None else point.dist.name, group)
        for point in metadata.entry_points(group=group)
    }
    return tuple(sorted(plugins, key=lambda plugin: (plugin.name, plugin.package, plugin.path)))


def installed(taken: Collection[str], group: str = METHODS) -> Mapping[str, Plugin]:
    """Return name -> method, data set or protocol of every package that is installed.

    Args:
        taken: names that vosbench has itself.
        group: of entry points.

    Raises:
        InputError: two have one name.
    """
    plugins: dict[str, Plugin] = {}
    for plugin in _declared(group):
        owner = "vosbench" if plugin.name in taken else None
        owner = plugins[plugin.name].package if plugin.name in plugins else owner
        if owner is not None:
            raise InputError(
                f"the packages {owner} and {plugin.package} both have a {_KINDS[group]} called "
                f"{plugin.name}: rename it in the entry points ({group}) of {plugin.package}, or "
                "uninstall that"
            )
        plugins[plugin.name] = plugin
    return plugins | _used if group == METHODS else plugins


def config_folders() -> list[Path]:
    """Return the folders in which packages and files with methods have configurations of their own."""
    folders = [plugin.folder for plugin in (*_used.values(), *_declared(METHODS))]
    configs = [folder / "configs" for folder in folders if folder is not None]
    return [folder for folder in dict.fromkeys(configs) if folder.is_dir()]
