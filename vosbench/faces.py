"""Public names of a package, imported on first use."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazy(package: str, modules: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return ``__getattr__`` and ``__dir__`` of a package whose public names are defined in modules.

    Importing the package then imports nothing heavy. An unknown name raises AttributeError with the nearest
    names.

    Args:
        package: its name.
        modules: public name -> module that defines the name, or the subpackage itself.
    """

    def attribute(name: str) -> Any:
        if name not in modules:
            near = difflib.get_close_matches(name, modules, n=3, cutoff=0.5)
            hint = f"; did you mean {' or '.join(near)}?" if near and not name.startswith("_") else ""
            raise AttributeError(f"module {package!r} has no attribute {name!r}{hint}")
        module = import_module(modules[name])
        return module if modules[name] == f"{package}.{name}" else getattr(module, name)

    return attribute, lambda: sorted(import_module(package).__all__)
