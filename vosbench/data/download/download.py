"""Download of one file: resumed after a fault, checked, and renamed when complete."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from vosbench.data.spec import Archive
from vosbench.errors import InputError
from vosbench.files import write_text
from vosbench.plain_data import read_json

Progress = Callable[[int, int | None, str], None]
"""Called with (bytes done, bytes in all or None, what is being done)."""

_CHUNK = 1 << 18
_TIMEOUT = 30.0
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_WEB_PAGE = re.compile(rb"\s*(?:<!doctype html|<html|<head)", re.IGNORECASE)
_RANGE = re.compile(r"bytes\s+(?:(\d+)-\d+|\*)/(\d+|\*)")


@dataclass(frozen=True)
class Retries:
    """Number of attempts and waiting time after faults of the connection.

    Attributes:
        attempts: connections in a row that bring nothing new.
        wait: seconds before the second one; doubled every time.
    """

    attempts: int = 5
    wait: float = 1.0


@dataclass(frozen=True)
class _State:
    """Version of the file on the server that a partial file belongs to."""

    url: str
    etag: str | None
    modified: str | None
    size: int | None

    def agrees(self, other: _State) -> bool:
        """Return whether both describe one version; facts that only one of them states do not count."""
        pairs = ((self.etag, other.etag), (self.modified, other.modified), (self.size, other.size))
        return self.url == other.url and all(a == b for a, b in pairs if a is not None and b is not None)

    @property
    def known(self) -> bool:
        """True when a changed file would be noticed."""
        return self.etag is not None or self.modified is not None


class _FaultError(Exception):
    """The connection broke or the server is busy; another attempt may help."""


def download(
    archive: Archive, folder: Path, progress: Progress | None = None, retries: Retries | None = None
) -> Path:
    """Fetch a file into a folder, go on where an earlier call stopped, and check it.

    ``FILE.part`` grows in `folder` and is renamed when its size and checksum are right. Beside it,
    ``FILE.part.json`` holds the version that the server stated: when the file on the server has
    changed since, or the server cannot send parts, the download starts over. A file that is there and
    right is left alone; one that is there and wrong is renamed to ``FILE.wrong``.

    Args:
        archive: the file; must not be manual.
        folder: made when missing.
        progress: called after every piece.
        retries: of broken connections and busy servers.

    Returns:
        ``folder / archive.filename``.

    Raises:
        InputError: no connection, the server refuses, the disk is full, or the file is wrong.
    """
    if urlsplit(archive.url).scheme not in ("http", "https"):
        raise InputError(f"{archive.url}: not an http or https address")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({_words(error)})") from None
    target = folder / archive.filename
    if target.is_file():
        if not problem_of(target, archive):
            # left by a process that was killed after its last step but one
            _note_of(target).unlink(missing_ok=True)
            return target
        target.rename(folder / f"{archive.filename}.wrong")
    _Download(archive, target, progress, retries or Retries()).run()
    return target


def _note_of(target: Path) -> Path:
    return target.with_name(f"{target.name}.part.json")


def problem_of(path: Path, archive: Archive) -> str:
    """Return the fault of a complete file, ``""`` when its size and checksum are right or not known."""
    size = path.stat().st_size
    if archive.size is not None and size != archive.size:
        return f"{size} bytes instead of {archive.size}"
    if archive.checksum is None:
        return ""
    algorithm, _, wanted = archive.checksum.partition(":")
    with path.open("rb") as file:
        present = hashlib.file_digest(file, algorithm).hexdigest()
    return "" if present == wanted else f"{algorithm} checksum {present} instead of {wanted}"


class _Download:
    """Download of one file over one or several connections."""

    def __init__(self, archive: Archive, target: Path, progress: Progress | None, retries: Retries) -> None:
        self.archive = archive
        self.target = target
        self.part = target.with_name(f"{target.name}.part")
        self.note = _note_of(target)
        self.progress = progress
        self.retries = retries
        self.host = urlsplit(archive.url).netloc

    def run(self) -> None:
        furthest, failures = self.have(), 0
        while True:
            try:
                self.attempt()
                break
            except _FaultError as fault:
                failures = 1 if self.have() > furthest else failures + 1
                furthest = max(furthest, self.have())
                if failures >= self.retries.attempts:
                    kept = f"; {_megabytes(self.have())} are kept, call again to go on" if self.have() else ""
                    raise InputError(f"{self.archive.url}: {fault}{kept}") from None
                time.sleep(self.retries.wait * 2 ** (failures - 1))
        self.finish()

    def have(self) -> int:
        return self.part.stat().st_size if self.part.is_file() else 0

    def attempt(self) -> None:
        """Connect once and read to the end."""
        before = self.resumable()
        start = self.have() if before is not None else 0
        try:
            with self.connect(before, start) as response:
                self.receive(response, before, start)
        except HTTPError as error:
            with error:
                self.refused(error, start)
        except (URLError, HTTPException, OSError) as error:
            raise self.explained(error) from None

    def resumable(self) -> _State | None:
        """Return the version of the partial file; None when resuming could mix two versions unnoticed."""
        if not self.have():
            return None
        try:
            stored = _State(**read_json(self.note))
        except (InputError, TypeError):
            return None
        unnoticed = not stored.known and self.archive.checksum is None
        return None if unnoticed or stored.url != self.archive.url else stored

    def connect(self, before: _State | None, start: int) -> Any:
        headers = {"User-Agent": "vosbench", "Accept-Encoding": "identity"}
        if before is not None:
            headers["Range"] = f"bytes={start}-"
            # a weak tag must not stand in If-Range (RFC 9110, section 13.1.5)
            strong = before.etag if before.etag and not before.etag.startswith("W/") else None
            if strong or before.modified:
                headers["If-Range"] = strong or before.modified or ""
        request = Request(self.archive.url, headers=headers)  # noqa: S310 the scheme was checked
        return urlopen(request, timeout=_TIMEOUT)  # noqa: S310

    def receive(self, response: HTTPResponse, before: _State | None, start: int) -> None:
        if response.headers.get_content_type() in ("text/html", "application/xhtml+xml"):
            raise self.web_page()
        offset, state = self.described(response)
        if response.status != 206:
            start = 0
        elif offset != start or not (before is None or before.agrees(state)):
            self.forget()
            raise _FaultError(f"the file on {self.host} has changed")
        self.check_size(state)
        self.check_space(start, state.size)
        if not start:
            # the old beginning must be gone before the note speaks of the new version
            self.part.unlink(missing_ok=True)
            write_text(self.note, json.dumps(asdict(state)))
        with self.part.open("r+b" if start else "wb") as file:
            file.seek(start)
            self.copy(response, file, start, state.size)

    def described(self, response: HTTPResponse) -> tuple[int, _State]:
        """Return the first byte of the response and the version of its file."""
        headers = response.headers
        offset, size = 0, _number(headers.get("Content-Length"))
        if response.status == 206:
            span = _RANGE.match(headers.get("Content-Range", ""))
            offset = int(span[1] or -1) if span else -1
            size = _number(span[2]) if span else None
        return offset, _State(self.archive.url, headers.get("ETag"), headers.get("Last-Modified"), size)

    def copy(self, response: HTTPResponse, file: IO[bytes], done: int, total: int | None) -> None:
        while chunk := response.read(_CHUNK):
            if done == 0 and _WEB_PAGE.match(chunk):
                self.forget()
                raise self.web_page()
            done += len(chunk)
            self.check_end(done)
            file.write(chunk)
            if self.progress is not None:
                self.progress(done, total, self.archive.filename)
        if total is not None and done < total:
            raise _FaultError(f"the connection to {self.host} broke at {done} of {total} bytes")

    def check_size(self, state: _State) -> None:
        if None not in (state.size, self.archive.size) and state.size != self.archive.size:
            raise InputError(
                f"{self.archive.url}: {state.size} bytes instead of {self.archive.size}; the file was "
                "replaced since its size was noted, so fetch it by hand and compare it with the web page"
            )

    def check_end(self, done: int) -> None:
        """Stop a server that states no length and sends without end."""
        if self.archive.size is not None and done > self.archive.size:
            self.forget()
            raise InputError(
                f"{self.archive.url}: sends more than its {self.archive.size} bytes; fetch it by hand and "
                f"put it at {self.target}"
            )

    def check_space(self, start: int, size: int | None) -> None:
        needed = (size if size is not None else self.archive.size or 0) - start
        free = shutil.disk_usage(self.target.parent).free
        if needed > free:
            raise InputError(
                f"{self.target.parent}: no space for {self.target.name}, which needs {_megabytes(needed)} "
                f"and has {_megabytes(free)}; make room or give another folder"
            )

    def refused(self, error: HTTPError, start: int) -> None:
        """Handle an error status: return when the file is complete, else raise."""
        if error.code == 416:
            span = _RANGE.match(error.headers.get("Content-Range", ""))
            if span is not None and start and _number(span[2]) == start:
                return
            self.forget()
            raise _FaultError(f"the file on {self.host} has changed")
        status = f"{error.code} {error.reason}".strip()
        if error.code in _RETRIED:
            raise _FaultError(f"the server {self.host} answers {status}; try later")
        if error.code in (404, 410):
            raise InputError(
                f"{self.archive.url}: no such file ({status}); the address may have changed, so look at the "
                f"web page of the data set and put the file at {self.target}"
            )
        raise InputError(
            f"{self.archive.url}: the server refuses ({status}); fetch it by hand and put it at {self.target}"
        )

    def explained(self, error: Exception) -> Exception:
        """Return the exception to raise for a fault of the network or the disk."""
        reason = error.reason if isinstance(error, URLError) else error
        if isinstance(reason, OSError) and reason.errno in (errno.ENOSPC, errno.EDQUOT):
            return InputError(
                f"{self.target.parent}: no space left after {_megabytes(self.have())} of {self.target.name}; "
                "make room and call again to go on"
            )
        offline = isinstance(reason, socket.gaierror | ConnectionRefusedError) or (
            isinstance(reason, OSError) and reason.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH)
        )
        if offline:
            return InputError(
                f"no connection to {self.host}: {_words(reason)}; check the network and the proxy settings, "
                f"or fetch {self.archive.url} elsewhere and put it at {self.target}"
            )
        if isinstance(reason, PermissionError | FileNotFoundError | IsADirectoryError):
            return InputError(f"{self.target}: cannot be written ({_words(reason)})")
        return _FaultError(f"the connection to {self.host} broke ({_words(reason)})")

    def web_page(self) -> InputError:
        return InputError(
            f"{self.archive.url}: a web page came instead of {self.target.name}; a proxy or a login stands "
            f"between, so fetch it with a browser and put it at {self.target}"
        )

    def finish(self) -> None:
        problem = problem_of(self.part, self.archive)
        if problem:
            self.forget()
            raise InputError(
                f"{self.archive.url}: {problem}; the file was removed, call again, and if it is wrong again "
                "the file on the server was replaced or something on the way alters it"
            )
        self.part.replace(self.target)
        self.note.unlink(missing_ok=True)

    def forget(self) -> None:
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size} bytes"


def _words(error: object) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
