"""The rule of imports: packages import what stands below them, no module imports in a circle."""

import ast
from collections.abc import Iterator
from pathlib import Path

import vosbench

ROOT = Path(vosbench.__file__).parent
ORDER = (
    "cli",
    "ablations",
    "leaderboard",
    "benchmark",
    "training",
    "evaluation",
    "environment",
    "inference",
    "export",
    "models",
    "data",
    "flow",
    "scoring",
    "formats",
    "executors",
    "metrics",
)
"""Packages from top to bottom; modules beside them are the ground, which imports no package."""


def modules() -> dict[str, Path]:
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(path: Path) -> Iterator[str]:
    """Yield the modules of vosbench that a file imports, wherever in it: in functions and for types, too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("vosbench"))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vosbench"):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else str(node.module)


def package(module: str) -> str:
    return module.split(".")[1] if module.count(".") else ""


def height(module: str) -> int:
    return len(ORDER) - ORDER.index(package(module)) if package(module) in ORDER else 0


IMPORTS = {module: set(imports(path)) for module, path in MODULES.items()}


def test_every_package_has_its_place():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert packages == set(ORDER)


def test_no_import_runs_up():
    up = [
        f"{module} imports {other}"
        for module, others in IMPORTS.items()
        # the face of all packages stands above them
        if module != ROOT.name
        for other in sorted(others)
        if package(module) != package(other) and height(other) and height(other) >= height(module)
    ]
    assert not up, "\n".join(sorted(up))


def test_no_module_imports_in_a_circle():
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join((*way[way.index(module) :], module))
        if module in done:
            return
        for other in IMPORTS.get(module, ()):
            # a package's face names its modules for types; what it loads, it loads on first use
            if not module.startswith(f"{other}."):
                visit(other, (*way, module))
        done.add(module)

    for module in MODULES:
        visit(module, ())
