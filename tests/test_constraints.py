"""The versions that the number baseline is made with are versions that pyproject.toml allows."""

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def test_every_dependency_has_one_allowed_version_and_no_address():
    lines = (ROOT / ".github" / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {}
    for line in (line for line in lines if not line.startswith("#")):
        name, _, version = line.partition("==")
        assert Requirement(line).url is None
        assert name == canonicalize_name(name)
        pinned[name] = version
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for line in (*project["dependencies"], *project["optional-dependencies"]["coco"]):
        wanted = Requirement(line)
        assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), line
