"""The wheel: everything that an installed vosbench reads is in it, and little else."""

import re
import subprocess
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    builders = pytest.importorskip("hatchling.builders.wheel", reason="hatchling builds wheels: extra dev")
    folder = tmp_path_factory.mktemp("wheel")
    (built,) = builders.WheelBuilder(str(ROOT)).build(directory=str(folder), versions=["standard"])
    return Path(built)


@pytest.fixture(scope="module")
def names(wheel):
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        return set(archive.namelist())


@pytest.mark.parametrize(
    ("folder", "count"),
    [
        ("vosbench/models/weights/*.safetensors", 6),
        ("vosbench/models/weights/*.json", 6),
        ("vosbench/configs/recipe/*.yaml", 18),
        ("vosbench/configs/model/*.yaml", 6),
        ("vosbench/configs/data/*.yaml", 18),
        ("vosbench/configs/protocol/*.yaml", 16),
        ("vosbench/data/splits/*.txt", 7),
        ("vosbench/leaderboard/html/templates/*", 12),
        ("vosbench/leaderboard/*.yaml", 1),
        ("vosbench/models/*/README.md", 6),
        ("vosbench/py.typed", 1),
    ],
)
def test_files_that_are_read_at_run_time_are_inside(names, folder, count):
    files = {path.relative_to(ROOT).as_posix() for path in ROOT.glob(folder) if path.is_file()}
    assert len(files) >= count
    assert files <= names


def test_leaderboard_facts_come_from_the_folder_beside_the_package(names):
    facts = {
        "reported.yaml",
        "deviations.yaml",
        "papers.bib",
        "third_party/davis16.json",
        "third_party/davis17.json",
    }
    assert {f"vosbench/leaderboard/{fact}" for fact in facts} <= names
    assert all((ROOT / "leaderboards" / fact).is_file() for fact in facts)


def test_every_tracked_file_of_the_package_is_inside_and_nothing_else(names):
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout: what is tracked is not known")
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "vosbench"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    tracked = set(listed.stdout.splitlines())
    assert tracked <= names
    extra = {name for name in names - tracked if not name.startswith("vosbench/leaderboard/")}
    assert all(".dist-info/" in name for name in extra), extra


def test_the_command_the_licence_and_the_versions_of_python_are_stated(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (folder,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        assert "vosbench = vosbench.cli:main" in archive.read(f"{folder}/entry_points.txt").decode()
        assert b"Apache License" in archive.read(f"{folder}/licenses/LICENSE")
        metadata = Parser().parsestr(archive.read(f"{folder}/METADATA").decode())
    assert metadata["Requires-Python"] == ">=3.11"
    versions = [line.rpartition(" ")[2] for line in metadata.get_all("Classifier") if "Python :: 3." in line]
    workflow = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    assert re.search(r"python: \[(.*)\]", workflow)[1] == ", ".join(f'"{version}"' for version in versions)


def test_the_readme_states_the_size(wheel):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    stated = int(re.search(r"wheel \((\d+) MB\)", text)[1])
    assert abs(wheel.stat().st_size / 1e6 - stated) <= 1.5
