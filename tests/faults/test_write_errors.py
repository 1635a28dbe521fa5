"""An output that cannot be written is one line and status 2, before long work and without half a result."""

import errno
import json
import os
import pickle
import re
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from vosbench.benchmark import compare
from vosbench.errors import InputError
from vosbench.evaluation.record import record_path
from vosbench.files import (
    WriteError,
    atomic_path,
    check_file,
    check_folder,
    whole_folder,
    write_text,
    writing,
)
from vosbench.formats.flo import write_flo
from vosbench.formats.image import write_frame
from vosbench.formats.png import write_ids
from vosbench.formats.video_file import write_video
from vosbench.tensor_files import save_tensors

LONG = "x" * 300


@pytest.fixture
def root(tmp_path, make_davis):
    return make_davis(tmp_path / "data")


@pytest.fixture
def refused(run):
    """Return a function: words of a command -> its error, of one line, of a command that ends with 2."""

    def refused(*words):
        status, out, err = run(*words)
        # what is waited for may come first
        *waited, line = err.splitlines()
        assert not any(line.startswith(("vosbench: ", "Traceback")) for line in waited)
        assert (status, out) == (2, "")
        return line.removeprefix("vosbench: ")

    return refused


@pytest.fixture
def in_the_way(tmp_path):
    path = tmp_path / "file"
    path.write_text("in the way")
    yield path
    assert path.read_text() == "in the way"


def compare_words(root, out):
    models = "--models", "centre_box", "--workers", "1"
    return "compare", *models, "--datasets", "davis16", "--data-root", root, "--out", out


def test_compare_into_a_file(refused, root, in_the_way):
    expected = "file/records: cannot be written (a file is in the place of a folder); choose another place"
    assert refused(*compare_words(root, in_the_way)).endswith(expected)


def test_compare_where_the_folder_of_records_is_a_file(refused, root, tmp_path):
    write_text(tmp_path / "out/records", "in the way")
    assert "out/records: cannot be written (a file is in the" in refused(
        *compare_words(root, tmp_path / "out")
    )


def test_compare_into_a_folder_with_too_long_a_name(refused, root, tmp_path):
    assert "cannot be written (File name too long)" in refused(*compare_words(root, tmp_path / LONG))


def test_a_label_too_long_for_a_file_fails_its_method_and_no_other(tmp_path, root):
    result = compare(
        models=[f"{LONG}=all_foreground", "centre_box"],
        datasets=["davis16"],
        data_root=root,
        out=tmp_path / "out",
        workers=1,
        metrics=["j"],
    )
    assert result.counts == {"failed": 3, "computed": 3}
    assert all("cannot be written (File name too long)" in failure.message for failure in result.failures)


def test_a_failure_that_cannot_be_written_does_not_end_the_comparison(tmp_path, root, run):
    write_text(tmp_path / "out/failures", "in the way")
    (root / "davis16/JPEGImages/480p/dog/00002.jpg").write_bytes(b"no picture")
    status, out, err = run(*compare_words(root, tmp_path / "out"))
    assert status == 1
    assert "2 computed, 1 failed" in err
    [line] = [line for line in err.splitlines() if line.startswith("failed: ")]
    assert "00002.jpg" in line
    assert "out/failures/davis16" in line
    assert "centre_box" in out


def test_a_full_disk_is_a_failure_of_every_sequence_then_one_line(tmp_path, root, run, monkeypatch):
    real = os.open

    def full(path, flags, *rest, **options):
        if flags & os.O_CREAT and "00002" in str(path):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(path, flags, *rest, **options)

    monkeypatch.setattr(os, "open", full)
    status, _, err = run(*compare_words(root, tmp_path / "out"))
    failed = [line for line in err.splitlines() if line.startswith("failed: ")]
    assert status == 1
    assert len(failed) == 3
    assert all("No space left on device); make room and run it again" in line for line in failed)
    # nothing half-written is taken for whole
    assert not list((tmp_path / "out/masks").rglob("*.png"))
    assert not list((tmp_path / "out/records").rglob("*.json"))


@pytest.mark.parametrize("runs", ["file", LONG])
def test_fit_refuses_its_run_folder_before_it_imports_torch(tmp_path, in_the_way, runs):
    words = ["fit", "model=mpnet", "size=tiny", "data=mini", f"runs={tmp_path / runs}"]
    program = f"import sys; sys.modules['torch'] = None; sys.argv = ['vosbench', *{words!r}]; "
    ended = subprocess.run(
        [sys.executable, "-c", f"{program}from vosbench.cli import main; main()"],
        capture_output=True,
        text=True,
        check=False,
    )
    reason = "a file is in the place of a folder" if runs == "file" else "File name too long"
    assert (ended.returncode, ended.stdout) == (2, "")
    [line] = ended.stderr.splitlines()
    assert line.endswith(f"mpnet-tiny: cannot be written ({reason}); choose another place")


def test_score_finds_out_before_it_scores(refused, root, tmp_path, write_results, monkeypatch):
    results = write_results(tmp_path / "results", root)
    monkeypatch.setattr("vosbench.evaluation.score", lambda *_, **__: pytest.fail("scored"))
    words = "score", results, "--dataset", "davis16", "--data-root", root, "--json"
    assert refused(*words, tmp_path).endswith("is a folder; name a file")
    assert "cannot be written (a file is in the" in refused(*words, root / "davis16/ImageSets/480p/val.txt/s")
    assert "cannot be written (File name too long)" in refused(*words, LONG)


def test_leaderboard_build_into_a_file(refused, root, tmp_path, in_the_way, run):
    run(*compare_words(root, tmp_path / "out"))
    for command in (
        ("leaderboard", "build", "--records", tmp_path / "out/records", "--out", in_the_way),
        ("leaderboard", "baseline", tmp_path / "out/records", "--out", in_the_way / "baseline.json"),
    ):
        assert "cannot be written (a file is in the place of a folder)" in refused(*command)


def test_predict_flow_and_mini_into_a_file(refused, root, in_the_way):
    davis = "davis16", "--data-root", root
    for words in (
        ("predict", *davis, "--model", "centre_box", "--out", in_the_way),
        ("flow", "compute", *davis, "--estimator", "dis", "--out", in_the_way),
        ("data", "mini", "davis16", "--data-root", in_the_way),
        ("doctor", "--json", in_the_way / "machine.json"),
        ("weights", "import", "fusionseg", "absent.pth", "--out", in_the_way / "w.safetensors"),
    ):
        assert "cannot be written (a file is in the place of a folder)" in refused(*words)


def test_ablate_into_a_file(refused, in_the_way):
    suite = Path(__file__).parents[2] / "benchmarks/ablations/mpnet_table1.yaml"
    assert "cannot be written (a file is in the" in refused("ablate", suite, "--out", in_the_way)
    assert "cannot be written (a file is in the" in refused("ablate", suite, "--results", in_the_way)


def test_an_input_with_too_long_a_name(refused):
    assert "\n" not in refused("predict", LONG, "--model", "centre_box", "--out", "out")
    assert "\n" not in refused("doctor", LONG, "--dataset", "davis16")


def test_standard_output_that_is_full_or_closed(monkeypatch):
    monkeypatch.delenv("VOSBENCH_DATA", raising=False)  # notes on its folders go to standard error
    command = [sys.executable, "-c", "from vosbench.cli import main; main()", "data", "list"]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (2, "vosbench: No space left on device\n")
    receiving, sending = os.pipe()
    os.close(receiving)
    ended = subprocess.run(command, stdout=sending, stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, "")
    closed = " ".join(f"'{word}'" for word in command)
    ended = subprocess.run(["sh", "-c", f"{closed} >&-"], stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_error_of_the_system_that_nothing_foresaw_is_one_line(refused, monkeypatch):
    def broken():
        raise OSError(errno.EIO, os.strerror(errno.EIO), "weights")

    monkeypatch.setattr("vosbench.models.pretrained.zoo.shipped", broken)
    assert refused("weights", "list") == "weights: Input/output error"


def test_an_error_without_a_number_is_a_fault_of_the_program(run, monkeypatch):
    def broken():
        raise OSError("a fault of the program")

    monkeypatch.setattr("vosbench.models.pretrained.zoo.shipped", broken)
    with pytest.raises(OSError, match="a fault of the program"):
        run("weights", "list")


def full(place):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/a/temporary/name")


def test_a_failed_write_names_the_file_the_reason_and_the_remedy(tmp_path):
    refused = r"^x/y: cannot be written \(No space left on device\); make room"
    with pytest.raises(InputError, match=refused), writing(Path("x/y")):
        full(tmp_path)
    advice = "use another disk"
    with pytest.raises(InputError, match=advice), atomic_path(tmp_path / "y", advice) as temporary:
        full(temporary)
    assert list(tmp_path.iterdir()) == []


def test_errors_of_the_block_of_a_folder_are_not_those_of_writing(tmp_path):
    with pytest.raises(OSError, match="camera"), whole_folder(tmp_path / "masks"):
        raise OSError(errno.EIO, "camera")
    assert list(tmp_path.iterdir()) == []


def test_no_error_names_a_temporary_path(tmp_path):
    def into(folder):
        with whole_folder(folder) as hidden:
            (hidden / "dog.png").mkdir()
            write_text(hidden / "dog.png", "x")

    folder = tmp_path / "masks"
    with pytest.raises(WriteError, match=re.escape(f"{folder}/dog.png: cannot be written")) as error:
        into(folder)
    assert error.value.fault.startswith(f"{folder}/dog.png: ")

    def refused(path):
        with atomic_path(path) as temporary:
            raise InputError(f"{temporary}: no codec")

    with pytest.raises(InputError) as error:
        refused(tmp_path / "seen.mp4")
    assert str(error.value) == f"{tmp_path / 'seen.mp4'}: no codec"


def test_weights_that_cannot_be_written(tmp_path):
    import torch

    with (
        pytest.raises(InputError, match=r"w\.safetensors: cannot be written .*No such file"),
        writing(tmp_path / "w.safetensors"),
    ):
        save_tensors(tmp_path / "absent/w.safetensors", {"a": torch.zeros(2)}, {})


@pytest.fixture
def short_files():
    """Return a context: no file may become longer than a number of bytes, as on a disk that fills up."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    @contextmanager
    def short_files(size):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return short_files


NOISE = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)


def write_weights(path):
    import torch

    with atomic_path(path) as temporary:
        save_tensors(temporary, {"a": torch.zeros(5000)}, {})


def write_checkpoint(path):
    import torch

    from vosbench.training.checkpoints import WholeCheckpoints

    with TemporaryDirectory() as folder:
        run = Path(folder)
        (run / "config.yaml").touch()
        WholeCheckpoints(run).save_checkpoint({"a": torch.zeros(5000), "b": torch.zeros(2)}, path)


WRITERS = {
    "text.json": lambda path: write_text(path, "x" * 20_000),
    **dict.fromkeys(["frame.jpg", "frame.png", "frame.bmp"], lambda path: write_frame(path, NOISE)),
    "ids.png": lambda path: write_ids(path, NOISE[..., 0]),
    "flow.flo": lambda path: write_flo(path, np.zeros((2, 64, 96), np.float32)),
    **dict.fromkeys(["seen.mp4", "seen.avi"], lambda path: write_video(path, [NOISE] * 8, 24.0)),
    "weights.safetensors": write_weights,
    "last.ckpt": write_checkpoint,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_disk_that_is_full_in_the_middle_of_a_file_leaves_none(name, tmp_path, short_files):
    WRITERS[name](tmp_path / name)
    size = (tmp_path / name).stat().st_size
    (tmp_path / name).unlink()
    for most in (0, size // 2):
        with short_files(most), pytest.raises(InputError, match=f"{name}: .*writ"):
            WRITERS[name](tmp_path / name)
        assert list(tmp_path.iterdir()) == []


def test_checks_of_a_place_leave_nothing(tmp_path):
    check_folder(tmp_path / "new")
    check_file(tmp_path / "new/file.json")
    assert list(tmp_path.iterdir()) == []


def test_the_record_of_a_failed_cell_does_not_stay(tmp_path, root):
    options = {"models": ["centre_box"], "data_root": root, "out": tmp_path / "out", "workers": 1}
    compare(**options, metrics=["j"])
    record = record_path(tmp_path / "out/records", "davis16", "davis16-unsupervised", "centre_box", "dog")
    assert json.loads(record.read_text())["values"]["J_mean"] is not None
    image = root / "davis16/JPEGImages/480p/dog/00002.jpg"
    image.write_bytes(b"no picture")
    assert compare(**options, metrics=["j"]).counts == {"kept": 2, "failed": 1}
    assert not record.exists()
    assert np.all([path.name != "dog.json" for path in (tmp_path / "out/records").rglob("*.json")])


def test_an_error_comes_back_from_a_worker_as_it_was():
    error = pickle.loads(pickle.dumps(WriteError("x: cannot be written", "make room")))
    assert (type(error), str(error)) == (WriteError, "x: cannot be written; make room")
