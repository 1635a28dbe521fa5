"""Temporary files of killed processes are removed by the next run, those of living processes are not."""

import multiprocessing
import os
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from vosbench import temporary
from vosbench.files import whole_folder, write_text
from vosbench.temporary import scratch_folder, temporary_file, temporary_folder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no locks on folders there")


def hold(target, ready):
    """Hold a temporary file and a folder with content until killed."""
    with temporary_file(target), temporary_folder(target) as folder:
        write_text(folder / "new/deep/file.txt", "half")
        ready.set()
        signal.pause()


@pytest.fixture
def holder(tmp_path, monkeypatch):
    """Return a function: file name -> process that holds temporary files beside it."""
    monkeypatch.setattr(temporary, "_swept", set())
    processes = []

    def start(name):
        context = multiprocessing.get_context("fork")
        ready = context.Event()
        process = context.Process(target=hold, args=(tmp_path / name, ready))
        process.start()
        processes.append(process)
        assert ready.wait(60)
        return process

    yield start
    for process in processes:
        process.kill()
        process.join()


def kill(process):
    os.kill(process.pid, signal.SIGKILL)
    process.join()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_that_another_process_takes_for_stale_at_once_is_made_again(tmp_path, monkeypatch):
    real, made = tempfile.mkdtemp, []

    def sweep(**options):
        """Make a folder; the first is swept away before anything else happens."""
        made.append(real(**options))
        if len(made) == 1:
            temporary._remove_unheld(Path(made[0]))
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", sweep)
    with whole_folder(tmp_path / "masks") as new:
        write_text(new / "00000.txt", "mask")
    assert names(tmp_path) == ["masks"]
    assert len(made) == 2


def test_what_a_killed_process_left_is_removed_at_the_next_write(tmp_path, holder):
    kill(holder("bear.json"))
    assert len(names(tmp_path)) == 2
    write_text(tmp_path / "other.json", "{}")
    assert names(tmp_path) == ["other.json"]


def test_what_a_living_process_is_writing_stays(tmp_path, holder):
    dead, living = holder("bear.json"), holder("bear.json")
    kill(dead)
    with whole_folder(tmp_path / "masks") as folder:
        write_text(folder / "00000.txt", "mask")
    assert len([name for name in names(tmp_path) if name.startswith(".bear.")]) == 2
    assert living.is_alive()


def test_files_of_the_user_stay_whatever_they_are_called(tmp_path, holder):
    mine = [
        ".bear.origin.json",
        ".bear.abcdefgh.json",
        "bear.abcdefgh.tmp.json",
        ".tmp",
        ".bear.12345678.tmp.d.e",
    ]
    for name in mine:
        (tmp_path / name).write_text("mine")
    kill(holder("bear.json"))
    write_text(tmp_path / "bear.json", "{}")
    assert names(tmp_path) == sorted([*mine, "bear.json"])


def test_a_link_to_elsewhere_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(temporary, "_swept", set())
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_text("mine")
    (tmp_path / ".bear.abcdefgh.tmp").symlink_to("precious")
    write_text(tmp_path / "bear.json", "{}")
    assert (tmp_path / "precious/file").read_text() == "mine"


def test_the_folder_of_the_system_is_cleared_likewise(tmp_path, holder, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    kill(holder("vosbench-flow"))
    with scratch_folder("vosbench-flow") as folder:
        assert names(tmp_path) == [folder.name]
    assert names(tmp_path) == []


def test_a_name_of_255_bytes_can_be_written(tmp_path):
    name = "é" * 125 + ".json"
    write_text(tmp_path / name, "{}")
    assert names(tmp_path) == [name]


def test_a_new_file_that_was_taken_for_stale_is_made_again(tmp_path, monkeypatch):
    real, stolen = temporary._is_held, []

    def held(handle, path):
        if not stolen:
            # another process removes the file before it is locked
            stolen.append(path)
            path.unlink()
        return real(handle, path)

    monkeypatch.setattr(temporary, "_is_held", held)
    write_text(tmp_path / "bear.json", "{}")
    assert stolen
    assert names(tmp_path) == ["bear.json"]
