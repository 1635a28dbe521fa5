import http.server
import threading
import zipfile
from dataclasses import replace
from functools import partial

import pytest

from vosbench.data.catalogue import CATALOGUE
from vosbench.data.download.download import Retries
from vosbench.data.download.fetch import fetch
from vosbench.data.spec import Archive
from vosbench.errors import InputError
from vosbench.locks import claimed


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Return a function: (file name) -> its address on a server of the folder ``tmp_path / "site"``."""
    monkeypatch.setenv("no_proxy", "*")
    folder = tmp_path / "site"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield lambda name: f"http://127.0.0.1:{server.server_address[1]}/{name}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def davis(tmp_path, make_davis, site, monkeypatch):
    """DAVIS 2016 on the local server, in a folder of the archive; returns a root without data."""
    made = make_davis(tmp_path / "made")
    with zipfile.ZipFile(tmp_path / "site/davis.zip", "w") as archive:
        for path in sorted((made / "davis16").rglob("*.*")):
            archive.write(path, "DAVIS" / path.relative_to(made / "davis16"))
    archive = Archive(site("davis.zip"), "davis.zip", inner="JPEGImages")
    monkeypatch.setitem(CATALOGUE, "davis16", replace(CATALOGUE["davis16"], archives=(archive,)))
    return tmp_path / "root"


def test_a_data_set_is_fetched_unpacked_and_opened(davis):
    told = set()
    folder = fetch("davis16", davis, lambda done, total, name: told.add(name))
    assert folder == davis / "davis16"
    assert sorted(path.name for path in folder.iterdir() if path.name[0] != ".") == [
        "Annotations",
        "ImageSets",
        "JPEGImages",
    ]
    assert told == {"davis.zip"}
    assert not (davis / ".downloads/davis16/davis.zip").exists()


def test_a_second_call_needs_no_server(davis, tmp_path):
    fetch("davis16", davis)
    (tmp_path / "site/davis.zip").unlink()
    fetch("davis16", davis)


def test_a_second_process_is_refused_while_the_first_writes(davis):
    with claimed(davis, "davis16"), pytest.raises(InputError, match="root/davis16: another process is writ"):
        fetch("davis16", davis)
    fetch("davis16", davis)


def test_a_data_root_that_is_a_file(davis):
    davis.touch()
    with pytest.raises(InputError, match="root: cannot be written"):
        fetch("davis16", davis)


def test_archives_can_be_kept(davis):
    fetch("davis16", davis, keep_archives=True)
    assert (davis / ".downloads/davis16/davis.zip").is_file()


def test_the_reader_has_the_last_word(davis, tmp_path):
    with zipfile.ZipFile(tmp_path / "site/davis.zip", "w") as archive:
        archive.writestr("DAVIS/JPEGImages/480p/cat/00000.jpg", b"x")
        archive.writestr(
            "DAVIS/ImageSets/480p/val.txt", "/JPEGImages/480p/dog/0.jpg /Annotations/480p/dog/0.png"
        )
    with pytest.raises(InputError, match="sequence dog lacks the frame 0"):
        fetch("davis16", davis)


def test_a_miniature_is_not_overwritten(davis):
    (davis / "davis16").mkdir(parents=True)
    (davis / "davis16/MINI.json").write_text("{}")
    with pytest.raises(InputError, match=r"davis16: holds the miniature edition; remove it or give another"):
        fetch("davis16", davis)


@pytest.fixture
def manual(site, tmp_path, monkeypatch):
    """Two parts, one by hand and one from the server; returns the data root."""
    for name in ("masks", "frames"):
        with zipfile.ZipFile(tmp_path / f"site/{name}.zip", "w") as archive:
            archive.writestr(f"{name}/0.txt", name)
    archives = (
        Archive(
            "http://example.org/register", "masks.zip", manual="given out after registration", inner="masks"
        ),
        Archive(site("frames.zip"), "frames.zip", unpack_into="v1", inner="frames"),
    )
    spec = replace(CATALOGUE["ytvos"], archives=archives, reader="any_reader:opened")
    monkeypatch.setitem(CATALOGUE, "ytvos", spec)
    (tmp_path / "any_reader.py").write_text("def opened(root, split): ...")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "root"


def test_a_manual_part_is_asked_for_before_anything_is_fetched(manual):
    with pytest.raises(InputError) as caught:
        fetch("ytvos", manual)
    assert str(caught.value) == (
        "ytvos: given out after registration; get masks.zip from http://example.org/register and either "
        f"put it at {manual}/.downloads/ytvos/masks.zip and call this again, or unpack it so that there is "
        f"{manual}/ytvos/masks"
    )
    assert not manual.exists()


def test_a_manual_archive_in_its_place_is_unpacked(manual, tmp_path):
    (manual / ".downloads/ytvos").mkdir(parents=True)
    (tmp_path / "site/masks.zip").rename(manual / ".downloads/ytvos/masks.zip")
    for _ in range(2):
        folder = fetch("ytvos", manual)
        assert (folder / "masks/0.txt").read_text() == "masks"
        assert (folder / "v1/frames/0.txt").read_text() == "frames"


def test_a_manual_part_that_a_person_unpacked_is_taken(manual):
    (manual / "ytvos/masks").mkdir(parents=True)
    assert (fetch("ytvos", manual) / "v1/frames/0.txt").is_file()


def test_offline_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    archive = Archive("http://127.0.0.1:9/davis.zip", "davis.zip")
    monkeypatch.setitem(CATALOGUE, "davis16", replace(CATALOGUE["davis16"], archives=(archive,)))
    with pytest.raises(
        InputError, match=r"no connection to 127\.0\.0\.1:9: .*put it at .*\.downloads/davis16/davis"
    ):
        fetch("davis16", tmp_path, retries=Retries(1, 0))


def test_unknown_data_set(tmp_path):
    with pytest.raises(InputError, match="unknown data set 'davs16': did you mean davis16"):
        fetch("davs16", tmp_path)


def test_a_data_set_that_is_made_here(tmp_path):
    with pytest.raises(InputError, match="not published; download ilsvrc_vid and run 'vosbench data prepare"):
        fetch("fusionseg_vid", tmp_path)
