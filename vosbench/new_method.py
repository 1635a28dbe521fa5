"""Folder of a new method: network, module, recipe and test, ready to train."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from string import Template

from vosbench.errors import InputError
from vosbench.files import whole_folder, write_text

_TEMPLATES = files("vosbench") / "templates" / "method"

_FILES = {
    "README.md": "README.md",
    "pyproject.toml": "pyproject.toml",
    "$name/__init__.py": "init.py",
    "$name/network.py": "network.py",
    "$name/module.py": "module.py",
    "$name/configs/model/$name.yaml": "model.yaml",
    "$name/configs/recipe/$name.yaml": "recipe.yaml",
    "tests/test_$name.py": "test.py",
}
"""File of the new folder -> its template."""


def new_method(name: str, out: Path, taken: Collection[str]) -> Path:
    """Write the package of a new method, which can be trained, tested and compared as it is.

    Args:
        name: of the method and its package, e.g. ``"my_method"``.
        out: folder that gets the folder `name`.
        taken: names of the methods that there are.

    Returns:
        The new folder.

    Raises:
        InputError: a name that cannot be used, or a folder that is there already or cannot be written.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise InputError(f"'{name}' cannot name a method: write small letters, digits and _, a letter first")
    if name in taken:
        raise InputError(f"there is a method {name}: choose another name")
    if find_spec(name) is not None:
        raise InputError(f"there is a Python package {name}, which would be hidden: choose another name")
    folder = out / name
    if folder.exists():
        raise InputError(f"{folder}: is there already; choose another name or --out")
    words = {"name": name, "Class": "".join(part.capitalize() for part in name.split("_"))}
    try:
        with whole_folder(folder) as new:
            for target, template in _FILES.items():
                text = (_TEMPLATES / f"{template}.txt").read_text(encoding="utf-8")
                write_text(new / Template(target).substitute(words), Template(text).substitute(words))
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error})") from None
    return folder
