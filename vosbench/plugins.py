"""Methods of other packages, found by the entry points they declare.

A package names its methods in its ``pyproject.toml``::

    [project.entry-points."vosbench.methods"]
    frame_difference = "vosbench_example.method:FrameDifference"

The class satisfies `vosbench.method.Method`. One without weights is built from its
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

GROUP = "vosbench.methods"


@dataclass(frozen=True)
class Plugin:
    """A method of another package.

    Attributes:
        name: of the method.
        path: ``"module:class"``.
        package: the distribution that declares it.
    """

    name: str
    path: str
    package: str

    def load(self) -> type[Any]:
        """Import the class.

        Raises:
            InputError: it cannot be imported, or is no method.
        """
        module, _, attribute = self.path.partition(":")
        where = f"method {self.name} of the package {self.package}"
        try:
            loaded: Any = getattr(import_module(module), attribute)
        except Exception as error:  # another package's module may fail in every way there is
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise InputError(
                f"{where}: {self.path} cannot be loaded ({reason}); repair that package"
            ) from None
        if not isinstance(loaded, type) or not callable(getattr(loaded, "segment", None)):
            raise InputError(
                f"{where}: {self.path} is no class with a method segment; see vosbench.method.Method"
            )
        return loaded

    @property
    def folder(self) -> Path | None:
        """Folder of the module; None when there is no such module."""
        try:
            spec = find_spec(self.path.partition(":")[0])
        except Exception:  # the package around the module is imported, and may fail; `load` reports the error
            return None
        return None if spec is None or spec.origin is None else Path(spec.origin).parent


@cache
def _declared() -> tuple[Plugin, ...]:
    plugins = {
        Plugin(point.name, point.value, "" if point.dist is None else point.dist.name)
        for point in metadata.entry_points(group=GROUP)
    }
    return tuple(sorted(plugins, key=lambda plugin: (plugin.name, plugin.package, plugin.path)))


def installed(taken: Collection[str]) -> Mapping[str, Plugin]:
    """Return name -> method of every package that is installed.

    Args:
        taken: names that vosbench has itself.

    Raises:
        InputError: two methods have one name.
    """
    plugins: dict[str, Plugin] = {}
    for plugin in _declared():
        owner = "vosbench" if plugin.name in taken else None
        owner = plugins[plugin.name].package if plugin.name in plugins else owner
        if owner is not None:
            raise InputError(
                f"the packages {owner} and {plugin.package} both have a method called {plugin.name}: "
                f"rename it in the entry points ({GROUP}) of {plugin.package}, or uninstall that"
            )
        plugins[plugin.name] = plugin
    return plugins


def config_folders() -> list[Path]:
    """Return the folders in which packages with methods have configurations of their own."""
    folders = [plugin.folder for plugin in _declared()]
    configs = [folder / "configs" for folder in folders if folder is not None]
    return [folder for folder in dict.fromkeys(configs) if folder.is_dir()]
