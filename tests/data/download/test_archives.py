import io
import os
import shutil
import stat
import struct
import tarfile
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vosbench.data.download import archives as module
from vosbench.data.download.archives import Limits, is_unpacked, unpack
from vosbench.errors import InputError

FILES = {
    "DAVIS/JPEGImages/480p/cat/00000.jpg": b"frame" * 1000,
    "DAVIS/Annotations/480p/cat/00000.png": b"mask",
    "DAVIS/README.md": b"",
}
KINDS = ["zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz"]


def write_archive(path, files=FILES, extra=()):
    """An archive of files; `extra` are TarInfo or ZipInfo members, each with its content."""
    if path.name.endswith("zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
            for name, content in files.items():
                opened.writestr(name, content)
            for member, content in extra:
                opened.writestr(member, content)
        return path
    mode = {"gz": "w:gz", "tgz": "w:gz", "bz2": "w:bz2", "xz": "w:xz"}.get(path.name.split(".")[-1], "w")
    with tarfile.open(path, mode) as opened:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
        for member, content in extra:
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
    return path


def tar_link(name, target, type_=tarfile.SYMTYPE):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = type_, target
    return member, b""


def zip_link(name, target):
    member = zipfile.ZipInfo(name)
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member, target.encode()


def content_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".vosbench" not in path.parts
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_unpacks_to_the_same_files(tmp_path, kind):
    unpack(write_archive(tmp_path / f"a.{kind}"), tmp_path / "davis16")
    assert content_of(tmp_path / "davis16") == FILES


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_the_content_tells_the_kind_and_not_the_name(tmp_path, kind):
    path = write_archive(tmp_path / f"a.{kind}").rename(tmp_path / "a.rar")
    unpack(path, tmp_path / "davis16")
    assert content_of(tmp_path / "davis16") == FILES


@pytest.mark.parametrize("above", ["", "DAVIS/", "a/b/"])
def test_folders_above_the_layout_are_dropped(tmp_path, above):
    files = {f"{above}JPEGImages/1.jpg": b"1", f"{above}Annotations/1.png": b"2"}
    unpack(write_archive(tmp_path / "a.zip", files), tmp_path / "out", inner="JPEGImages")
    assert content_of(tmp_path / "out") == {"JPEGImages/1.jpg": b"1", "Annotations/1.png": b"2"}


def test_another_archive_than_expected(tmp_path):
    path = write_archive(tmp_path / "a.zip")
    with pytest.raises(InputError, match=r"a\.zip: no 'Testset' in it, so this is another archive"):
        unpack(path, tmp_path / "out", inner="Testset")
    assert content_of(tmp_path / "out") == {}


def test_folders_are_merged_with_those_that_are_there(tmp_path):
    first = write_archive(tmp_path / "1.zip", {"J/cat/0.jpg": b"old", "J/cat/1.jpg": b"1"})
    second = write_archive(tmp_path / "2.tar", {"J/cat/0.jpg": b"new", "J/dog/0.jpg": b"2", "A/0.png": b"3"})
    unpack(first, tmp_path / "out")
    unpack(second, tmp_path / "out")
    wanted = {"J/cat/0.jpg": b"new", "J/cat/1.jpg": b"1", "J/dog/0.jpg": b"2", "A/0.png": b"3"}
    assert content_of(tmp_path / "out") == wanted


def test_a_second_call_does_nothing_until_something_is_gone(tmp_path):
    path, out = write_archive(tmp_path / "a.zip"), tmp_path / "out"
    unpack(path, out, checksum="md5:1")
    assert is_unpacked("a.zip", out)
    assert is_unpacked("a.zip", out, "md5:1")
    assert not is_unpacked("a.zip", out, "md5:2")
    assert not is_unpacked("b.zip", out)
    frame = out / "DAVIS/JPEGImages/480p/cat/00000.jpg"
    frame.write_bytes(b"touched")
    unpack(path, out, checksum="md5:1")
    assert frame.read_bytes() == b"touched"
    (out / "DAVIS").rename(tmp_path / "elsewhere")
    assert not is_unpacked("a.zip", out)
    unpack(path, out, checksum="md5:1")
    assert content_of(out) == FILES


def test_what_an_interrupted_call_left_is_removed(tmp_path):
    out = tmp_path / "out"
    (out / ".vosbench/a.zip.unpacking/half").mkdir(parents=True)
    unpack(write_archive(tmp_path / "a.zip"), out)
    assert content_of(out) == FILES
    assert sorted(path.name for path in (out / ".vosbench").iterdir()) == ["a.zip.json"]


def test_a_folder_that_is_removed_in_mid_run_is_not_taken_for_whole(tmp_path):
    out, path = tmp_path / "out", write_archive(tmp_path / "a.zip")

    def remove(done, total, name):
        if out.is_dir() and list(out.rglob("*.jpg")):
            shutil.rmtree(out)

    with pytest.raises(InputError, match=r"out: was removed while a\.zip was unpacked to it; run it again"):
        unpack(path, out, progress=remove)
    assert not is_unpacked("a.zip", out)
    unpack(path, out)
    assert content_of(out) == FILES
    assert sorted(path.name for path in (out / ".vosbench").iterdir()) == ["a.zip.json"]


def test_progress_reaches_the_size_of_the_archive(tmp_path):
    told, path = [], write_archive(tmp_path / "a.tar")
    unpack(path, tmp_path / "out", progress=lambda *what: told.append(what))
    assert len(told) == len(FILES)
    assert all(done <= total == path.stat().st_size and name == "a.tar" for done, total, name in told)


def test_droppings_of_desktop_systems_are_left_out(tmp_path):
    files = {"J/0.jpg": b"0", "__MACOSX/J/._0.jpg": b"x", "J/.DS_Store": b"x", "J/._0.jpg": b"x"}
    unpack(write_archive(tmp_path / "a.zip", files), tmp_path / "out")
    assert content_of(tmp_path / "out") == {"J/0.jpg": b"0"}


@pytest.mark.parametrize("kind", ["zip", "tar"])
@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/evil", "a/b/../../../evil", "..\\evil", "C:\\evil", "\\evil"]
)
def test_members_that_would_leave_the_folder(tmp_path, kind, name):
    path = write_archive(tmp_path / f"a.{kind}", FILES | {name: b"x"})
    with pytest.raises(InputError, match=r"would leave the folder; do not trust it"):
        unpack(path, tmp_path / "deep/out")
    assert not list(tmp_path.rglob("*evil*"))
    assert content_of(tmp_path / "deep/out") == {}


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../x", "../..", "JPEGImages/../../../x"])
@pytest.mark.parametrize(("kind", "link"), [("zip", zip_link), ("tar", tar_link)])
def test_links_that_lead_outside(tmp_path, kind, link, target):
    path = write_archive(tmp_path / f"a.{kind}", extra=[link("DAVIS/link", target)])
    with pytest.raises(InputError, match=r"its link 'DAVIS/link' to .* would leave the folder"):
        unpack(path, tmp_path / "deep/out")
    assert content_of(tmp_path / "deep/out") == {}


@pytest.mark.parametrize(("kind", "link"), [("zip", zip_link), ("tar", tar_link)])
def test_nothing_is_written_through_a_link(tmp_path, kind, link):
    (tmp_path / "outside").mkdir()
    extra = [link("way", str(tmp_path / "outside")), link("way/link", "x")]
    path = write_archive(tmp_path / f"a.{kind}", {"way/file": b"x"}, extra)
    with pytest.raises(InputError):
        unpack(path, tmp_path / "out")
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_link_that_turns_outside_through_a_later_one(tmp_path):
    extra = [tar_link("up", "hop/.."), tar_link("hop", ".")]
    with pytest.raises(InputError, match="would leave the folder"):
        unpack(write_archive(tmp_path / "a.tar", extra=extra), tmp_path / "out")


@pytest.mark.parametrize(("kind", "link"), [("zip", zip_link), ("tar", tar_link)])
def test_links_inside_are_kept(tmp_path, kind, link):
    path = write_archive(tmp_path / f"a.{kind}", extra=[link("DAVIS/480p", "JPEGImages/480p")])
    unpack(path, tmp_path / "out", inner="JPEGImages")
    assert (tmp_path / "out/480p").readlink() == Path("JPEGImages/480p")
    assert (tmp_path / "out/480p/cat/00000.jpg").is_file()


def test_hard_links_become_copies(tmp_path):
    extra = [tar_link("copy", "DAVIS/Annotations/480p/cat/00000.png", tarfile.LNKTYPE)]
    unpack(write_archive(tmp_path / "a.tar", extra=extra), tmp_path / "out")
    assert (tmp_path / "out/copy").read_bytes() == b"mask"


def test_hard_links_to_files_outside(tmp_path):
    (tmp_path / "secret").write_text("x")
    for target in ("../secret", str(tmp_path / "secret"), "secret"):
        path = write_archive(tmp_path / "a.tar", extra=[tar_link("copy", target, tarfile.LNKTYPE)])
        with pytest.raises(InputError, match=r"leave the folder|which is not in it"):
            unpack(path, tmp_path / "out")


@pytest.mark.parametrize("type_", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_devices_are_refused(tmp_path, type_):
    path = write_archive(tmp_path / "a.tar", extra=[tar_link("device", "", type_)])
    with pytest.raises(InputError, match="'device' is no file, folder or link"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("kind", ["zip", "tar.gz", "tar.bz2", "tar.xz"])
def test_bombs_by_ratio(tmp_path, kind):
    path = write_archive(tmp_path / f"a.{kind}", {"zeros": bytes(8_000_000)})
    with pytest.raises(InputError, match=r"\d+ bytes that unpack to \d+ or more; do not trust it"):
        unpack(path, tmp_path / "out", Limits(small=1_000_000, ratio=100))
    assert content_of(tmp_path / "out") == {}


def test_small_masks_of_one_colour_are_no_bomb(tmp_path):
    unpack(write_archive(tmp_path / "a.zip", {"zeros": bytes(8_000_000)}), tmp_path / "out")
    assert (tmp_path / "out/zeros").stat().st_size == 8_000_000


def test_a_zip_that_lies_about_its_size_is_no_way_out(tmp_path):
    path = write_archive(tmp_path / "a.zip", {"zeros": bytes(8_000_000)})
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
        struct.pack_into("<I", data, data.index(mark) + offset, 100)
    path.write_bytes(data)
    with pytest.raises(InputError):
        unpack(path, tmp_path / "out", Limits(small=1_000_000, ratio=100))
    assert content_of(tmp_path / "out") == {}


def test_a_header_that_wants_all_memory(tmp_path):
    member = tarfile.TarInfo("pax")
    member.type, member.size = tarfile.XHDTYPE, 1 << 40
    (tmp_path / "a.tar").write_bytes(member.tobuf() + bytes(1024))
    with pytest.raises(InputError, match="damaged"):
        unpack(tmp_path / "a.tar", tmp_path / "out")


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_too_many_members_and_too_many_bytes(tmp_path, kind):
    path = write_archive(tmp_path / f"a.{kind}")
    with pytest.raises(InputError, match="more than 2 members"):
        unpack(path, tmp_path / "out", Limits(members=2))
    with pytest.raises(InputError, match=r"unpack to \d+ or more"):
        unpack(path, tmp_path / "out", Limits(total=4000))


def test_an_encrypted_zip(tmp_path):
    path = write_archive(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        data[data.index(mark) + offset] |= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.zip: encrypted archive; unpack it by hand"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("kind", KINDS)
def test_a_truncated_archive_is_noticed_wherever_it_ends(tmp_path, kind):
    whole = write_archive(tmp_path / f"a.{kind}", FILES | {f"{k}": os.urandom(700) for k in range(4)})
    data = whole.read_bytes()
    # the blocks of zeros after the end mark of a tar may be lost
    end = data.rstrip(b"\0") if kind == "tar" else data
    for length in range(0, len(end), 97):
        path = tmp_path / f"cut.{kind}"
        path.write_bytes(data[:length])
        with pytest.raises(InputError, match=r"damaged|not a zip or tar archive") as caught:
            unpack(path, tmp_path / "out")
        assert "\n" not in str(caught.value)
    assert content_of(tmp_path / "out") == {}


def test_a_damaged_member_is_noticed(tmp_path):
    path = write_archive(tmp_path / "a.zip", {"noise": os.urandom(4000)})
    data = bytearray(path.read_bytes())
    data[2000] ^= 255
    path.write_bytes(data)
    with pytest.raises(InputError, match="damaged or truncated archive"):
        unpack(path, tmp_path / "out")


def test_no_archive_at_all(tmp_path):
    (tmp_path / "page").write_text("<html>Please log in</html>" * 100)
    with pytest.raises(InputError, match="not a zip or tar archive"):
        unpack(tmp_path / "page", tmp_path / "out")
    with pytest.raises(InputError, match="cannot be read"):
        unpack(tmp_path / "missing", tmp_path / "out")


def test_no_space_is_seen_before_a_zip_is_unpacked(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage(10, 10, 1000))
    with pytest.raises(InputError, match=r"out: no space left to unpack a\.zip; make room"):
        unpack(write_archive(tmp_path / "a.zip"), tmp_path / "out")


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 7)), min_size=1, max_size=3))
def test_damage_gives_one_line_and_nothing_outside(tmp_path_factory, kind, flips):
    folder = tmp_path_factory.mktemp("fuzz")
    path = write_archive(folder / f"a.{kind}", FILES | {"noise": os.urandom(300)})
    content = bytearray(path.read_bytes())
    for position, bit in flips:
        content[position % len(content)] ^= 1 << bit
    path.write_bytes(content)
    problem = ""
    try:
        unpack(path, folder / "out")
    except InputError as error:
        problem = str(error)
    assert "\n" not in problem
    assert not problem or str(folder) in problem
    assert {p.name for p in folder.iterdir()} <= {path.name, "out"}
