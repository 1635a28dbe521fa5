import errno
import hashlib
import re
import threading
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from vosbench.data.download import download as module
from vosbench.data.download.download import Retries, download
from vosbench.data.spec import Archive
from vosbench.errors import InputError

CONTENT = bytes(range(256)) * 4000
ONCE = Retries(attempts=1, wait=0)
QUICK = Retries(attempts=4, wait=0.001)


class Web:
    """A file on a local server, with switches for everything that goes wrong.

    Attributes:
        requests: the Range header of every request, None without.
        cut: bytes after which the connection of a response is closed, one per request; None sends all.
        errors: statuses that the next requests get.
    """

    def __init__(self):
        self.content = CONTENT
        self.etag = '"one"'
        self.ranges = True
        self.length = True
        self.type = "application/zip"
        self.requests = []
        self.cut = []
        self.errors = []
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                web.answer(self)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def answer(self, handler):
        wanted = handler.headers.get("Range")
        self.requests.append(wanted)
        if self.errors:
            handler.send_error(self.errors.pop(0))
            return
        condition = handler.headers.get("If-Range")
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted else 0
        partial = bool(wanted) and self.ranges and condition in (None, self.etag)
        if partial and start >= len(self.content):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(self.content)}")
            handler.end_headers()
            return
        body = self.content[start:] if partial else self.content
        handler.send_response(206 if partial else 200)
        if partial:
            handler.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        if self.length:
            handler.send_header("Content-Length", str(len(body)))
        if self.etag:
            handler.send_header("ETag", self.etag)
        handler.send_header("Content-Type", self.type)
        handler.end_headers()
        cut = self.cut.pop(0) if self.cut else None
        handler.wfile.write(body[:cut])

    def source(self, **changes):
        values = {"size": len(CONTENT), "checksum": f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"} | changes
        return Archive(f"http://127.0.0.1:{self.port}/davis.zip", "davis.zip", **values)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def web(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    web = Web()
    yield web
    web.close()


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_whole_file_arrives_and_nothing_else_is_left(web, tmp_path):
    told = []
    path = download(web.source(), tmp_path / "new", lambda *what: told.append(what))
    assert path == tmp_path / "new/davis.zip"
    assert path.read_bytes() == CONTENT
    assert leftovers(path.parent) == ["davis.zip"]
    assert told[-1] == (len(CONTENT), len(CONTENT), "davis.zip")
    assert [done for done, _, _ in told] == sorted({done for done, _, _ in told})


def test_a_file_that_is_there_and_right_is_not_fetched_again(web, tmp_path):
    (tmp_path / "davis.zip").write_bytes(CONTENT)
    download(web.source(), tmp_path)
    assert web.requests == []


def test_a_file_that_is_there_and_wrong_is_put_aside(web, tmp_path):
    (tmp_path / "davis.zip").write_bytes(b"something else")
    download(web.source(), tmp_path)
    assert (tmp_path / "davis.zip").read_bytes() == CONTENT
    assert (tmp_path / "davis.zip.wrong").read_bytes() == b"something else"


def test_md5_is_checked_too(web, tmp_path):
    right = f"md5:{hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()}"
    assert download(web.source(checksum=right), tmp_path).read_bytes() == CONTENT
    with pytest.raises(InputError, match="md5 checksum"):
        download(web.source(checksum="md5:" + "0" * 32), tmp_path / "other")


def test_a_second_call_goes_on_where_the_first_was_cut(web, tmp_path):
    web.cut = [300_000]
    with pytest.raises(
        InputError, match=r"broke at 300000 of 1024000 bytes; 300000 bytes are kept, call again"
    ):
        download(web.source(), tmp_path, retries=ONCE)
    assert (tmp_path / "davis.zip.part").stat().st_size == 300_000
    assert download(web.source(), tmp_path).read_bytes() == CONTENT
    assert web.requests == [None, "bytes=300000-"]
    assert leftovers(tmp_path) == ["davis.zip"]


def test_one_call_goes_on_after_every_cut_that_brought_something(web, tmp_path):
    web.cut = [100_000] * 7
    assert download(web.source(), tmp_path, retries=Retries(2, 0)).read_bytes() == CONTENT
    assert web.requests == [None, *(f"bytes={k}00000-" for k in range(1, 8))]


def test_a_server_without_ranges_sends_all_of_it_again(web, tmp_path):
    web.ranges = False
    web.cut = [300_000]
    assert download(web.source(), tmp_path, retries=QUICK).read_bytes() == CONTENT
    assert web.requests == [None, "bytes=300000-"]


def test_a_server_without_ranges_that_always_breaks_is_given_up(web, tmp_path):
    web.ranges = False
    web.cut = [300_000] * 20
    with pytest.raises(InputError, match="broke at 300000 of 1024000"):
        download(web.source(), tmp_path, retries=QUICK)
    assert len(web.requests) <= 6


def test_a_changed_file_starts_over(web, tmp_path):
    source = web.source(size=None, checksum=None)
    web.cut = [300_000]
    with pytest.raises(InputError, match="kept"):
        download(source, tmp_path, retries=ONCE)
    web.content, web.etag = CONTENT[::-1], '"two"'
    assert download(source, tmp_path).read_bytes() == CONTENT[::-1]


def test_a_changed_file_is_seen_although_the_server_ignores_the_condition(web, tmp_path):
    source = web.source(size=None, checksum=None)
    web.etag, web.cut = 'W/"one"', [300_000]
    with pytest.raises(InputError, match="kept"):
        download(source, tmp_path, retries=ONCE)
    web.content, web.etag = CONTENT[::-1], 'W/"two"'
    assert download(source, tmp_path, retries=QUICK).read_bytes() == CONTENT[::-1]
    assert web.requests == [None, "bytes=300000-", None]


def test_without_any_version_or_checksum_nothing_is_appended(web, tmp_path):
    source = web.source(size=None, checksum=None)
    web.etag, web.cut = None, [300_000]
    with pytest.raises(InputError, match="kept"):
        download(source, tmp_path, retries=ONCE)
    web.content = CONTENT[::-1]
    assert download(source, tmp_path).read_bytes() == CONTENT[::-1]
    assert web.requests == [None, None]


def test_a_partial_file_of_unknown_origin_is_not_used(web, tmp_path):
    (tmp_path / "davis.zip.part").write_bytes(b"x" * 1000)
    assert download(web.source(), tmp_path).read_bytes() == CONTENT
    assert web.requests == [None]


def test_a_partial_file_that_is_complete_is_only_checked(web, tmp_path):
    web.cut = [300_000]
    with pytest.raises(InputError, match="kept"):
        download(web.source(), tmp_path, retries=ONCE)
    (tmp_path / "davis.zip.part").write_bytes(CONTENT)
    assert download(web.source(), tmp_path).read_bytes() == CONTENT


def test_a_partial_file_that_is_too_long_starts_over(web, tmp_path):
    web.cut = [300_000]
    with pytest.raises(InputError, match="kept"):
        download(web.source(), tmp_path, retries=ONCE)
    (tmp_path / "davis.zip.part").write_bytes(CONTENT + b"more")
    assert download(web.source(), tmp_path, retries=QUICK).read_bytes() == CONTENT


def test_a_server_that_states_no_length(web, tmp_path):
    web.length = False
    assert download(web.source(), tmp_path).read_bytes() == CONTENT


def test_a_server_that_sends_without_end_is_stopped(web, tmp_path):
    web.length = False
    web.content = CONTENT * 50
    with pytest.raises(InputError, match="sends more than its 1024000 bytes"):
        download(web.source(), tmp_path)
    assert leftovers(tmp_path) == []


def test_a_folder_that_cannot_be_made(web, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file/below: cannot be made"):
        download(web.source(), tmp_path / "file/below")


def test_a_wrong_checksum_removes_the_file_and_says_so(web, tmp_path):
    with pytest.raises(InputError, match=r"sha256 checksum \w{64} instead of 0{64}; the file was removed"):
        download(web.source(checksum="sha256:" + "0" * 64), tmp_path)
    assert leftovers(tmp_path) == []


def test_another_size_on_the_server_is_refused_before_reading(web, tmp_path):
    with pytest.raises(InputError, match="1024000 bytes instead of 7; the file was replaced"):
        download(web.source(size=7), tmp_path)
    assert leftovers(tmp_path) == []


def test_no_such_file(web, tmp_path):
    web.errors = [404]
    with pytest.raises(InputError, match=r"no such file \(404 Not Found\); .*put the file at .*davis\.zip"):
        download(web.source(), tmp_path, retries=QUICK)
    assert len(web.requests) == 1


def test_forbidden(web, tmp_path):
    web.errors = [403]
    with pytest.raises(InputError, match=r"refuses \(403 Forbidden\); fetch it by hand"):
        download(web.source(), tmp_path, retries=QUICK)


def test_a_busy_server_is_asked_again(web, tmp_path):
    web.errors = [500, 503, 429]
    assert download(web.source(), tmp_path, retries=QUICK).read_bytes() == CONTENT
    assert len(web.requests) == 4


def test_a_server_that_stays_busy_is_given_up(web, tmp_path):
    web.errors = [503] * 10
    with pytest.raises(InputError, match="answers 503 Service Unavailable; try later"):
        download(web.source(), tmp_path, retries=QUICK)
    assert len(web.requests) == 4


@pytest.mark.parametrize("type_", ["text/html; charset=utf-8", "application/zip"])
def test_a_web_page_instead_of_the_archive(web, tmp_path, type_):
    web.content, web.type = b"\n<!DOCTYPE html><html>Please log in</html>", type_
    with pytest.raises(InputError, match=r"a web page came instead of davis\.zip; a proxy or a login"):
        download(web.source(size=None), tmp_path, retries=QUICK)
    assert leftovers(tmp_path) == []
    assert len(web.requests) == 1


def test_too_little_space_is_seen_before_writing(web, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: usage(10, 10, 1000))
    with pytest.raises(InputError, match=r"no space for davis\.zip, which needs 1 MB and has 1000 bytes"):
        download(web.source(), tmp_path)
    assert leftovers(tmp_path) == []


def test_a_disk_that_fills_up_keeps_what_is_there(web, tmp_path, monkeypatch):
    def full(done, *_):
        if done > 500_000:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InputError, match=r"no space left after .* of davis\.zip; make room and call again"):
        download(web.source(), tmp_path, full)
    kept = (tmp_path / "davis.zip.part").stat().st_size
    assert kept > 500_000
    assert download(web.source(), tmp_path).read_bytes() == CONTENT
    assert web.requests == [None, f"bytes={kept}-"]


def test_offline(web, tmp_path):
    source = web.source()
    web.server.server_close()
    with pytest.raises(
        InputError, match=rf"no connection to 127\.0\.0\.1:{web.port}: Connection refused; check"
    ):
        download(source, tmp_path)


def test_other_schemes_are_refused(tmp_path):
    with pytest.raises(InputError, match="not an http or https address"):
        download(Archive("file:///etc/passwd", "passwd"), tmp_path)


def test_a_note_that_a_killed_process_left_is_removed(web, tmp_path):
    path = download(web.source(), tmp_path)
    path.with_name(f"{path.name}.part.json").write_text("{}")
    assert download(web.source(), tmp_path) == path
    assert leftovers(tmp_path) == ["davis.zip"]
