"""The documentation site: its links, its tutorials as programs, its pages made from the code."""

import dataclasses
import doctest
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vosbench.config import StageConfig
from vosbench.data import open_dataset
from vosbench.data.mini import write_mini

ROOT = Path(__file__).parents[1]
DOCS = ROOT / ".github" / "docs"
TUTORIALS = sorted(DOCS.glob("tutorials/*.md"))
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SAVED_AS = re.compile(r"# ([\w.]+)\n")
FOLDERS = "benchmarks", "leaderboards"


@pytest.fixture(scope="module")
def build(docs_program):
    return docs_program("build")


@pytest.fixture(scope="module")
def generate(docs_program):
    return docs_program("generate")


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """The folder of somebody who follows a tutorial, with a video and the mask of its first frame."""
    cv2 = pytest.importorskip("cv2")
    write_mini("davis16", tmp_path / "source", scenes=1, size=(96, 160), frames=6)
    (video,) = open_dataset("davis16", tmp_path / "source")
    folder = tmp_path / "reader"
    folder.mkdir()
    writer = cv2.VideoWriter(str(folder / "clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 24, (160, 96))
    for frame in video.frames:
        writer.write(np.ascontiguousarray(frame[..., ::-1]))
    writer.release()
    Image.fromarray(np.asarray(video.annotations[0]).clip(0, 1)).save(folder / "first.png")
    for name in FOLDERS:
        (folder / name).symlink_to(ROOT / name)
    programs = [str(Path(sys.executable).parent), os.environ["PATH"]]
    monkeypatch.setenv("PATH", os.pathsep.join(programs))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VOSBENCH_DATA", raising=False)
    return folder


def script(page):
    """Return a page as a program: commands are run, Python is run or, where it names a file, saved."""
    lines = ["set -euxo pipefail"]
    for language, code in BLOCK.findall(page.read_text(encoding="utf-8")):
        saved = SAVED_AS.match(code)
        if language == "bash":
            lines.append(code)
        else:
            start = f"cat > {saved[1]}" if saved else "python -"
            lines.append(f"{start} <<'END_OF_BLOCK'\n{code}END_OF_BLOCK")
    return "\n".join(lines)


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_runs_as_it_is_written(page, reader):
    ran = subprocess.run(
        ["bash", "-c", script(page)], cwd=reader, capture_output=True, text=True, timeout=1200, check=False
    )
    assert ran.returncode == 0, ran.stderr[-4000:]


def test_every_tutorial_has_commands_and_a_place_in_the_menu():
    menu = (DOCS / "index.md").read_text(encoding="utf-8")
    assert len(TUTORIALS) >= 6
    for page in TUTORIALS:
        assert "\nvosbench " in script(page)
        assert f"\ntutorials/{page.stem}\n" in menu


@pytest.mark.parametrize("page", [path.name for path in DOCS.rglob("*.md")])
def test_pages_name_commands_and_options_that_there_are(page):
    import typer

    from vosbench.cli.commands import app

    (path,) = DOCS.rglob(page)
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in re.findall(r"^(?:srun )?vosbench .*", text, re.MULTILINE):
        command = typer.main.get_command(app)
        words = line.split(" #")[0].split()
        words = words[words.index("vosbench") + 1 :]
        while words and words[0] in getattr(command, "commands", {}):
            command = command.commands[words.pop(0)]
        known = {
            option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
        }
        asked = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert asked <= known | {"--help", "--version"}, line


def test_links_lead_to_where_files_stand_in_the_site(build):
    text, linked = build.with_site_links(
        "[a](../../../README.md#x) [b](../reference/cli.md) ![c](../../picture.png) [d](https://e.org) "
        "[f](../../../benchmarks/zoo)",
        Path(".github/docs/tutorials/page.md"),
    )
    assert text == (
        "[a](../README.md#x) [b](../reference/cli.md) ![c](../github/picture.png) [d](https://e.org) "
        "[f](../benchmarks/zoo/README.md)"
    )
    assert [path.as_posix() for path in linked] == [
        "README.md",
        ".github/picture.png",
        "benchmarks/zoo/README.md",
    ]


def test_the_list_of_keys_has_every_key_with_its_default_and_meaning(generate):
    page = generate.configuration()
    assert "| `recipe.STAGE.optimizer.lr` | `0.003` | learning rate. |" in page
    assert "| `recipe.STAGE.clip.masks` | `all` | `all`: every frame" in page.replace('`"all"`', "`all`")
    assert "| `data_root` | `null` | folder of data sets; else $VOSBENCH_DATA, else ./data |" in page
    rows = re.findall(r"^\| `(recipe\.STAGE\.[\w.]+)` \| .+ \| (.+) \|$", page, re.MULTILINE)
    nested = [field for field in dataclasses.fields(StageConfig) if dataclasses.is_dataclass(field.type)]
    assert len(rows) > len(dataclasses.fields(StageConfig)) - len(nested)
    assert [key for key, meaning in rows if len(meaning) < 4 or meaning == "as there."] == []


def test_the_command_line_is_that_of_the_parser(generate):
    page = generate.command_line()
    for command in ("vosbench compare", "vosbench data download", "vosbench leaderboard add"):
        assert f"`{command}`" in page
    assert "--executor-options" in page


def test_the_reference_has_every_face(generate):
    modules = set(generate.documented_modules())
    assert {
        "vosbench",
        "vosbench.metrics",
        "vosbench.data",
        "vosbench.video",
        "vosbench.models.mpnet.module",
    } <= modules


def test_the_examples_of_the_programs_hold(build, generate):
    results = [doctest.testmod(program) for program in (build, generate)]
    assert [result.failed for result in results] == [0, 0]
    assert all(result.attempted for result in results)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("myst_nb") is None, reason="the extra 'docs' is not installed")
def test_the_site_is_built_without_a_warning(tmp_path):
    program = [sys.executable, str(DOCS / "build.py"), str(tmp_path / "site")]
    built = subprocess.run(program, capture_output=True, text=True, timeout=1200, check=False)
    assert built.returncode == 0, built.stderr[-4000:]
    for name in ("index.html", "leaderboard.html", "reference/cli.html", "vosbench/models/lip/README.html"):
        assert (tmp_path / "site" / name).is_file()
