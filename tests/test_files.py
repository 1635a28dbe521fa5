"""Files are written completely or not at all."""

import stat

import pytest

from vosbench.files import atomic_path, whole_folder, write_text


def test_the_new_content_replaces_the_old(tmp_path):
    path = tmp_path / "deep" / "note.txt"
    write_text(path, "old")
    write_text(path, "new\n")
    assert path.read_text() == "new\n"
    assert [item.name for item in path.parent.iterdir()] == ["note.txt"]


def test_a_failed_write_leaves_the_old_content_and_no_litter(tmp_path):
    path = tmp_path / "note.txt"
    write_text(path, "old")

    def fail_halfway():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["note.txt"]


def test_the_temporary_file_keeps_the_suffix_that_image_writers_choose_by(tmp_path):
    with atomic_path(tmp_path / "mask.png") as temporary:
        assert temporary.suffix == ".png"
        assert temporary.parent == tmp_path


def test_written_files_are_readable_like_any_other(tmp_path):
    ordinary = tmp_path / "ordinary.txt"
    ordinary.write_text("x")
    write_text(tmp_path / "atomic.txt", "x")
    assert stat.S_IMODE((tmp_path / "atomic.txt").stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def test_a_whole_folder_replaces_the_old_one(tmp_path):
    folder = tmp_path / "deep" / "masks"
    for name in ("a", "b"):
        with whole_folder(folder) as new:
            (new / name).write_text(name)
            assert not (folder / name).exists()
    assert [item.name for item in folder.iterdir()] == ["b"]
    assert [item.name for item in folder.parent.iterdir()] == ["masks"]
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(folder.parent.stat().st_mode)


def test_a_failed_folder_leaves_the_old_one_and_no_litter(tmp_path):
    with whole_folder(tmp_path / "masks") as new:
        (new / "a").write_text("old")

    def fail_halfway():
        with whole_folder(tmp_path / "masks") as new:
            (new / "a").write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert (tmp_path / "masks" / "a").read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["masks"]
