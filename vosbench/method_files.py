"""Methods in Python files, imported only when the user names file and class."""

from __future__ import annotations

import ast
import hashlib
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from vosbench.errors import InputError, error_line, unknown_name
from vosbench.files import expanded
from vosbench.plugins import Plugin

_REFERENCE = re.compile(r"(?P<file>.+\.py):(?P<name>[^:]*)(?::(?P<weights>.*))?")


@dataclass(frozen=True)
class MethodFile(Plugin):
    """A method in a file; `path` is ``"/FOLDER/FILE.py:CLASS"``, `package` the name of the file."""

    @property
    def file(self) -> Path:
        """The file."""
        return Path(self.path.rpartition(":")[0])

    @property
    def where(self) -> str:
        """Words that begin an error."""
        return f"method {self.name}"

    @property
    def folder(self) -> Path:
        """Folder of the file."""
        return self.file.parent

    def load_object(self) -> Any:
        """Import the class, see `Plugin.load_object`."""
        return _class_in(self.file, self.path.rpartition(":")[2])

    def provenance(self) -> dict[str, str]:
        """Return the file, and a hash of its code and that of the files beside it that it imports."""
        return {"file": self.package, "source": source_hash(self.file)}


def split_reference(text: str) -> tuple[str, str] | None:
    """Return ``FILE.py:CLASS`` and the weights of ``FILE.py:CLASS[:WEIGHTS]``; None for any other text."""
    match = _REFERENCE.fullmatch(text)
    return None if match is None else (f"{match['file']}:{match['name']}", match["weights"] or "")


def open_method_file(reference: str) -> MethodFile:
    """Import a method that the user names as ``FILE.py:CLASS``.

    The name of the method is the attribute `name` of its class, else that of the class.

    Raises:
        InputError: no such file or class, or the class is no method.
    """
    file, _, attribute = reference.rpartition(":")
    path = expanded(file).absolute()
    if not path.is_file():
        raise InputError(f"{path}: no such file; write FILE.py:CLASS")
    kind = _class_in(path, attribute)
    name = getattr(kind, "name", None)
    method = MethodFile(name if isinstance(name, str) else attribute, f"{path}:{attribute}", path.name)
    method.load()
    return method


def unknown_method(name: str, choices: Iterable[str]) -> InputError:
    """Build the error for the name of a method that there is not, e.g. a file without its class."""
    file = expanded(name if name.endswith(".py") else f"{name}.py")
    if not file.is_file():
        return unknown_name("model", name, choices)
    classes = _classes_in(file)
    example = f"{file}:{classes[0] if len(classes) == 1 else 'CLASS'}"
    listed = f", CLASS being {' or '.join(classes)}" if len(classes) > 1 else ""
    return InputError(f"unknown model '{name}': a method of one's own is written {example}[:WEIGHTS]{listed}")


def _classes_in(file: Path) -> list[str]:
    """Return the classes of a file that have a method segment, without running the file."""
    try:
        parsed = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return []
    return [
        node.name
        for node in parsed.body
        if isinstance(node, ast.ClassDef)
        and any(isinstance(part, ast.FunctionDef) and part.name == "segment" for part in node.body)
    ]


def place_of(error: BaseException) -> str:
    """Return where in the files of the user an error came up, ``" (mine.py, line 3)"``; ``""``: elsewhere."""
    folders = {file.parent for file in _imported_sources}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        installed = {"site-packages", "dist-packages"}.intersection(path.parts)
        if not installed and any(path.is_relative_to(folder) for folder in folders):
            return f" ({path.name}, line {frame.lineno})"
    return ""


def _class_in(file: Path, name: str) -> Any:
    try:
        module = _imported(file)
    except Exception as error:  # the file of a user may fail in every way there is
        reason = f"{error_line(error)}{place_of(error)}"
        missing = isinstance(error, ModuleNotFoundError)
        remedy = f"; it is looked for beside {file.name} and in $PYTHONPATH" if missing else ""
        raise InputError(f"{file}: cannot be imported ({reason}){remedy}") from None
    if not hasattr(module, name):
        methods = [key for key, value in vars(module).items() if callable(getattr(value, "segment", None))]
        raise (
            unknown_name(f"class of {file}", name, methods)
            if methods
            else InputError(f"{file}: no class with a method segment; see vosbench.method.Method")
        )
    return getattr(module, name)


_imported_sources: dict[Path, str] = {}
"""File -> hash of the code that this process has imported."""


def _imported(file: Path) -> ModuleType:
    """Import a file as Python does a program: the files beside it can be imported, a package stays one.

    Code that has changed since is imported again.
    """
    source = source_hash(file)
    if _imported_sources.setdefault(file, source) != source:
        _forget(file)
    _imported_sources[file] = source
    name, top = file.stem, file.parent
    while (top / "__init__.py").is_file():
        name, top = f"{top.name}.{name}", top.parent
    if str(top) not in sys.path:
        sys.path.insert(0, str(top))
    if "." in name:
        return import_module(name)
    # a name of its own: the file may be called like a module that is there already
    own = f"vosbench_method_{hashlib.sha256(str(file).encode()).hexdigest()[:12]}"
    if own not in sys.modules:
        spec = spec_from_file_location(own, file)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[own] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[own]
            raise
    return sys.modules[own]


def _forget(file: Path) -> None:
    sources = {str(path) for path in _sources(file, _package(file), set())}
    for name, module in list(sys.modules.items()):
        if getattr(module, "__file__", None) in sources:
            del sys.modules[name]


def source_hash(file: Path) -> str:
    """Return a SHA-256 of a Python file and of those of its package or folder that it imports."""
    digest = hashlib.sha256()
    top = _top(file)
    # what is installed beside a module is not part of it
    alone = top == file.parent and top.name in ("site-packages", "dist-packages")
    for path in sorted({file} if alone else _sources(file, _package(file), set())):
        digest.update(f"{path.relative_to(top)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _top(file: Path) -> Path:
    top = file.parent
    while (top / "__init__.py").is_file():
        top = top.parent
    return top


def _package(file: Path) -> Path:
    """Return the folder of the whole package of a file; of a file that is in no package its folder."""
    top = _top(file)
    return top if top == file.parent else top / file.relative_to(top).parts[0]


def _sources(file: Path, folder: Path, seen: set[Path]) -> set[Path]:
    seen.add(file)
    for imported in _imports(file):
        if imported not in seen and folder in imported.parents:
            _sources(imported, folder, seen)
    return seen


def _imports(file: Path) -> Iterator[Path]:
    """Yield the files below the top folder of a file that its import statements name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"), file.name)):
        names: list[str] = []
        base = _top(file)
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = [module, *(f"{module}.{alias.name}".lstrip(".") for alias in node.names)]
            if node.level:
                base = file.parents[node.level - 1]
        for path in (base.joinpath(*name.split(".")) for name in names if name):
            yield from (place for place in (path.with_suffix(".py"), path / "__init__.py") if place.is_file())
