"""Environments that lack something: home, temporary folder, letters, permissions, the output itself."""

import io
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from vosbench import cli
from vosbench.data.roots import cache_root
from vosbench.errors import InputError
from vosbench.files import expanded
from vosbench.flow.compute import compute
from vosbench.flow.estimators import build_estimator
from vosbench.video import Video

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="environments of Linux")


@pytest.fixture
def root(tmp_path, make_davis):
    return make_davis(tmp_path / "data")


def compare_words(root):
    models = "--models", "centre_box", "--workers", "1", "--metrics", "j", "--no-pictures"
    return "compare", *models, "--datasets", "davis16", "--data-root", root, "--out", "out"


@pytest.fixture
def homeless(monkeypatch):
    """Be a user without a name and a home, as in a container that is started with a number."""

    def unknown(_):
        raise KeyError

    for variable in ("HOME", "VOSBENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def test_without_a_home_what_needs_caches_says_how_to_name_one(run, root, homeless, monkeypatch, tmp_path):
    monkeypatch.delenv("VOSBENCH_CACHE", raising=False)
    status, out, err = run(*compare_words(root))
    assert (status, out) == (2, "")
    expected = "no home folder is known to keep caches in: set VOSBENCH_CACHE to a folder, or set HOME"
    assert err == f"vosbench: {expected}\n"
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))
    assert run(*compare_words(root))[0] == 0
    assert not list(tmp_path.rglob("~*"))


def test_without_a_home_masks_are_scored(run, root, write_results, homeless, monkeypatch, tmp_path):
    results = write_results(tmp_path / "results", root)
    monkeypatch.delenv("VOSBENCH_CACHE", raising=False)
    words = "score", results, "--dataset", "davis16", "--data-root", root, "--workers", "1"
    assert run(*words)[0] == 0


def test_an_older_platformdirs_makes_no_folder_called_tilde(homeless, monkeypatch):
    monkeypatch.setattr("vosbench.data.roots.user_cache_dir", lambda _: "~/.cache/vosbench")
    with pytest.raises(InputError, match="set VOSBENCH_CACHE"):
        cache_root()


@pytest.mark.parametrize("path", ["~/clips", "~nobody-of-this-name/clips"])
def test_a_home_that_is_not_known_is_one_line(run, homeless, path, monkeypatch, tmp_path):
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))
    message = f"no home folder is known for {path.partition('/')[0]}: write the whole path, or set HOME"
    with pytest.raises(InputError, match=message):
        expanded(path)
    for words in (
        ("predict", path, "--model", "centre_box", "--out", "out"),
        ("score", "results", "--dataset", path),
        ("compare", "--models", f"{path}.py:Mine", "--datasets", "davis16"),
        ("compare", "--models", f"mpnet:{path}", "--datasets", "davis16"),
        ("fit", "model=mpnet", f"init='{path}'", "data.edition=mini"),
    ):
        status, out, err = run(*words)
        assert (status, out) == (2, "")
        assert message in err.splitlines()[-1]


def test_no_folder_for_temporary_files_is_needed(run, root, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/nonexistent"])
    with pytest.raises(FileNotFoundError):
        tempfile.gettempdir()
    assert run(*compare_words(root))[0] == 0


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
def test_letters_that_an_output_lacks_are_escaped(root, monkeypatch, tmp_path, errors):
    """`surrogateescape` is what Python has for LANG=C, `strict` for other encodings of few letters."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))
    streams = [
        io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors=errors, write_through=True) for _ in "oe"
    ]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])
    for words, status in ((compare_words(root), 0), (("predict", "élan", "--model", "x", "--out", "o"), 2)):
        monkeypatch.setattr(sys, "argv", ["vosbench", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert (left.value.code or 0) == status
    out, err = (stream.buffer.getvalue().decode("ascii") for stream in streams)
    assert "mean \\u2191" in out
    assert "\\xe9lan" in err
    assert "mean ↑" in (tmp_path / "out/leaderboard.md").read_text(encoding="utf-8")


@pytest.fixture
def without_rights(tmp_path, root, write_results):
    """Return a function: words -> status and stderr, of a process to which permissions apply."""
    prefix = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv takes from root the right to write everywhere")
        prefix = ["setpriv", "--bounding-set=-dac_override"]
    write_results(tmp_path / "results", root)
    (tmp_path / "closed").mkdir(mode=0o555)
    environment = os.environ | {"VOSBENCH_CACHE": str(tmp_path / "closed"), "OMP_NUM_THREADS": "1"}

    def without_rights(*words):
        program = [*prefix, sys.executable, "-c", "from vosbench.cli import main; main()", *map(str, words)]
        ended = subprocess.run(
            program, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        return ended.returncode, ended.stderr

    return without_rights


def test_outputs_and_caches_that_are_read_only_are_named(without_rights, root):
    davis = "davis16", "--data-root", root
    for words, place in (
        (("score", "results", "--dataset", *davis, "--json", "closed/scores.json"), "closed/scores.json"),
        (("flow", "compute", *davis, "--estimator", "dis", "--out", "closed"), "closed/blackswan"),
        (("data", "mini", "davis16", "--data-root", "closed"), "closed"),
        # the cache
        (("flow", "compute", *davis, "--estimator", "dis", "--out", "flow"), "closed/flow/dis"),
    ):
        status, err = without_rights(*words)
        assert status == 2
        assert place in err
        assert "cannot be written (Permission denied)" in err
        assert "Traceback" not in err
    assert not list((root.parent / "closed").iterdir())


def test_a_cache_that_cannot_be_written_is_named_with_the_variable(run, root, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "file"))
    words = "predict", "davis16", "--data-root", root, "--model", "flow_threshold", "--out", "out"
    status, _, err = run(*words)
    assert status == 1
    failed = [line for line in err.splitlines() if line.startswith("failed: ")]
    assert len(failed) == 3
    assert all("cannot be written" in line and "set VOSBENCH_CACHE to" in line for line in failed)


def test_a_clock_that_is_set_back_loses_nothing(run, root, monkeypatch):
    times = iter(range(10**9, 0, -3600))
    monkeypatch.setattr("time.time", lambda: float(next(times)))
    assert "3 computed" in run(*compare_words(root))[2]
    for path in Path("out").rglob("*"):
        # of a day that is yet to come
        os.utime(path, (4 * 10**9, 4 * 10**9))
    assert "3 kept" in run(*compare_words(root))[2]


def video():
    frames = [np.full((16, 24, 3), 20 * t, np.uint8) for t in range(4)]
    return Video("cat", frames, tuple(f"{t:05d}" for t in range(4)))


def test_flow_whose_folder_is_removed_in_mid_run_is_begun_anew(tmp_path):
    def remove(name, done, total):
        if done == 1:
            shutil.rmtree(tmp_path / "out")

    dis = build_estimator("dis")
    with pytest.raises(InputError, match="out/cat: was removed while flow was written to it; run it again"):
        compute([video()], dis, tmp_path / "out", remove)
    compute([video()], dis, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out/cat").iterdir()) == [
        *(f"{t:05d}.flo" for t in range(3)),
        "provenance.json",
    ]


def test_masks_that_are_removed_in_mid_run_fail_their_video_alone(run, root, monkeypatch, tmp_path):
    from vosbench.scoring.predictions import PredictionStore

    real = PredictionStore.content

    def content(store):
        if store.path.name == "dog":
            shutil.rmtree(store.path, ignore_errors=True)
        return real(store)

    monkeypatch.setattr(PredictionStore, "content", content)
    words = "predict", "davis16", "--data-root", root, "--model", "centre_box", "--out", "out"
    status, out, err = run(*words)
    assert status == 1
    assert out.count(" masks, ") == 2
    [line] = [line for line in err.splitlines() if line.startswith("failed: ")]
    assert line == "failed: dog: out/dog: the masks just written were removed or changed; run it again"
    monkeypatch.undo()
