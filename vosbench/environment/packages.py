"""Packages that vosbench and its extras need, by its own metadata, and the installed versions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

_DEVELOPMENT = ("dev",)
"""Extras for development only."""


@dataclass(frozen=True)
class Package:
    """A package vosbench needs, or one of an extra.

    Attributes:
        name: as installed with pip.
        needed: versions that will do, e.g. ``">=2.11"``.
        installed: the version that is there; None without.
    """

    name: str
    needed: str
    installed: str | None

    @property
    def fits(self) -> bool:
        """Whether a sufficient version is installed."""
        return self.installed is not None and SpecifierSet(self.needed).contains(
            self.installed, prereleases=True
        )


def python_needed() -> str:
    """Return the sufficient versions of Python, e.g. ``">=3.11"``; ``""`` where nothing states it."""
    try:
        return str(metadata.metadata("vosbench")["Requires-Python"] or "")
    except metadata.PackageNotFoundError:
        return ""


def packages_and_extras() -> tuple[tuple[Package, ...], dict[str, tuple[Package, ...]]]:
    """Return the packages vosbench needs and those of each extra, by its metadata."""
    try:
        requirements = [Requirement(line) for line in metadata.requires("vosbench") or ()]
        names = metadata.metadata("vosbench").get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        # run from a source tree that was never installed: nothing states what is needed
        return (), {}
    always = [item for item in requirements if _applies(item, "")]
    extras = {
        name: tuple(_package(item) for item in requirements if item not in always and _applies(item, name))
        for name in names
        if name not in _DEVELOPMENT
    }
    return tuple(map(_package, always)), extras


def _applies(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def _package(requirement: Requirement) -> Package:
    try:
        installed = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        installed = None
    return Package(requirement.name, str(requirement.specifier), installed)


def package_problems(needed: Iterable[Package], extras: dict[str, tuple[Package, ...]]) -> Iterator[str]:
    """Yield a line for everything that is missing or too old; an extra may be missing as a whole."""
    for package in needed:
        if not package.fits:
            state = "is missing" if package.installed is None else f"is {package.installed}"
            yield f"{package.name} {state}, vosbench needs {package.needed}: install vosbench again"
    for extra, packages in extras.items():
        for package in packages:
            if package.installed is not None and not package.fits:
                yield (
                    f"{package.name} is {package.installed}, the extra {extra} needs {package.needed}: "
                    f"{pip_line(extra)}"
                )


def pip_line(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install 'vosbench[{extra}]'"
