"""Faults thrown into commands of vosbench: at one of their file operations, or at a time.

A command runs in a fork of this process, which has imported what it needs: a fault costs no start. Its clocks
stand still, so that equal work gives equal tables. Files are watched below one folder, the command's place.
"""

import atexit
import errno
import gc
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal["none", "kill", "worker", "sigint", "sigterm", "full", "deleted"]
SIGNALS: Mapping[str, int] = {"kill": signal.SIGKILL, "sigint": signal.SIGINT, "sigterm": signal.SIGTERM}
Workers = Callable[[int], Sequence[int]]
"""Process of a command -> the processes that work for the command now."""

_CHANGES = frozenset(
    {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate"}
)
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_PATIENCE = 300.0
"""Seconds after which a command that does not end counts as lost."""


@dataclass(frozen=True)
class Fault:
    """What happens to a command, and when.

    Attributes:
        kind: a signal; ``"worker"``: a process that works for the command is killed, the first there is from
            then on; ``"full"``: from then on nothing new can be made on the disk; ``"deleted"``: what the
            command has written so far is removed.
        operation: number, from 1, of the operation on files that the fault comes before; None: by time.
        seconds: after the start.
        output: folder in the place, for ``"deleted"``.
    """

    kind: Kind = "none"
    operation: int | None = None
    seconds: float | None = None
    output: str = ""


@dataclass(frozen=True)
class End:
    """How a command ended.

    Attributes:
        status: exit status; of a process that a signal ended, the negative signal.
        out, err: what it printed.
        operations: number of operations that changed files; 0 where a signal ended the process.
        seconds: how long it ran.
        left: processes of its session, and workers, that lived on.
        thrown: whether the fault, one by time, came before the end.
        modules: what the process had imported at its end.
    """

    status: int
    out: str
    err: str
    operations: int
    seconds: float
    left: tuple[int, ...] = ()
    thrown: bool = False
    modules: tuple[str, ...] = ()


@dataclass
class Operations:
    """Audit hook that counts the operations of this process that change files, and throws a fault at one."""

    fault: Fault
    place: Path
    count: int = 0
    process: int = field(default_factory=os.getpid)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        opens = event == "open" and isinstance(arguments[2], int) and bool(arguments[2] & _WRITES)
        if (event not in _CHANGES and not opens) or os.getpid() != self.process:
            return
        path = arguments[0]
        if isinstance(path, int) or not self._here(path):
            return
        self.count += 1
        kind, number = self.fault.kind, self.fault.operation
        if number is None or self.count < number:
            return
        if kind == "full" and (opens or event in ("os.mkdir", "os.symlink", "os.link")):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fsdecode(path))
        if kind == "deleted" and self.count == number:
            shutil.rmtree(self.place / self.fault.output, ignore_errors=True)
        if kind in SIGNALS and self.count == number:
            os.kill(os.getpid(), SIGNALS[kind])

    def _here(self, path: Any) -> bool:
        named = Path(os.fsdecode(path))
        return not named.is_absolute() or named.is_relative_to(self.place)


@dataclass(frozen=True)
class Running:
    """A command that was started."""

    process: int
    logs: Path
    fault: Fault
    started: float
    workers: Workers

    def end(self) -> End:
        """Wait until the command ends."""
        thrown = self._wait()
        _, state = os.waitpid(self.process, 0)
        seconds = time.monotonic() - self.started
        counted = self.logs / "operations"
        return End(
            status=os.waitstatus_to_exitcode(state),
            out=(self.logs / "out").read_text(encoding="utf-8", errors="replace"),
            err=(self.logs / "err").read_text(encoding="utf-8", errors="replace"),
            # empty where a signal came while it was written
            operations=int(counted.read_text(encoding="utf-8") or 0) if counted.is_file() else 0,
            seconds=seconds,
            left=remaining(lambda: (*members(self.process), *self.workers(self.process))),
            thrown=thrown,
            modules=tuple((self.logs / "modules").read_text(encoding="utf-8").split())
            if counted.is_file()
            else (),
        )

    def _wait(self) -> bool:
        """Wait until the command ends, and end what never ends; return whether a fault by time was thrown."""
        seconds, thrown = self.fault.seconds, False
        due = None
        while os.waitid(os.P_PID, self.process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            now = time.monotonic()
            if due is None and seconds is not None and (self.logs / "started").exists():
                due = now + seconds
            if due is not None and now >= due and not thrown:
                thrown = self._throw()
            if now - self.started > _PATIENCE:
                os.kill(self.process, signal.SIGKILL)
            time.sleep(0.01 if seconds is None else 0.002)
        return thrown

    def _throw(self) -> bool:
        """Send the signal of the fault; return False where there is no worker to send it to."""
        if self.fault.kind != "worker":
            os.kill(self.process, SIGNALS[self.fault.kind])
            return True
        workers = self.workers(self.process)
        if not workers:
            return False
        with suppress(ProcessLookupError):
            os.kill(random.choice(workers), signal.SIGKILL)
            return True
        return False


def start(
    words: Sequence[object],
    place: Path,
    fault: Fault | None = None,
    *,
    prepare: Callable[[], None] | None = None,
    workers: Workers = lambda process: (),
    reader: bool = True,
) -> Running:
    """Start ``vosbench WORDS`` in the folder `place`.

    Args:
        words: of the command line.
        place: working folder; caches and temporary folders of the command are in it.
        fault: to throw into it; none when None.
        prepare: called in the process of the command before it starts.
        workers: what works for the command, beside its session.
        reader: whether somebody reads what it prints.
    """
    for name in ("tmp", "cache"):
        (place / name).mkdir(parents=True, exist_ok=True)
    logs = Path(tempfile.mkdtemp(prefix="logs-", dir=place.parent))
    fault, started = fault or Fault(), time.monotonic()
    child = os.fork()
    if not child:
        _command([str(word) for word in words], place, logs, fault, prepare, reader)
    return Running(child, logs, fault, started, workers)


def import_like(end: End) -> None:
    """Import what a command imported and read what vosbench ships; further commands have both at once."""
    for name in end.modules:
        if name not in sys.modules and "__main__" not in name:
            with suppress(Exception):
                importlib.import_module(name)
    # no threads: a fork would lose them
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)
    if "vosbench.leaderboard.published" in sys.modules:
        sys.modules["vosbench.leaderboard.published"].load_published()
    # a search for garbage in a fork would copy what is shared
    gc.collect()
    gc.freeze()


def remaining(living: Callable[[], Sequence[int]], patience: float = 30.0) -> tuple[int, ...]:
    """Return the processes that do not end by themselves; end them."""
    end = time.monotonic() + patience
    while (left := living()) and time.monotonic() < end:
        time.sleep(0.05)
    for process in left:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return tuple(left)


def others(session: int) -> tuple[int, ...]:
    """Return the processes of a session beside that which leads the session."""
    return tuple(process for process in members(session) if process != session)


def members(session: int) -> tuple[int, ...]:
    """Return the living processes of a session."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, *numbers = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(numbers[2]) == session and state != "Z":
                found.append(int(folder.name))
    return tuple(found)


def _command(
    words: Sequence[str],
    place: Path,
    logs: Path,
    fault: Fault,
    prepare: Callable[[], None] | None,
    reader: bool,
) -> None:
    """Be the process of a command; does not return."""
    status = 1
    try:
        os.setsid()
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(logs / name, os.O_WRONLY | os.O_CREAT), number)
        if not reader:
            receiving, sending = os.pipe()
            os.close(receiving)
            os.dup2(sending, 1)
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115
        os.chdir(place)
        os.environ |= {"VOSBENCH_CACHE": str(place / "cache"), "TMPDIR": str(place / "tmp")}
        status = _run_here(words, place, logs, fault, prepare)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _run_here(
    words: Sequence[str], place: Path, logs: Path, fault: Fault, prepare: Callable[[], None] | None
) -> int:
    from vosbench.cli import main

    tempfile.tempdir = None
    stop_clocks()
    if prepare is not None:
        prepare()
    operations = Operations(fault, place)
    sys.argv = ["vosbench", *words]
    sys.addaudithook(operations)
    (logs / "started").touch()
    status = 1
    try:
        main()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    (logs / "modules").write_text("\n".join(sys.modules), encoding="utf-8")
    (logs / "operations").write_text(str(operations.count), encoding="utf-8")
    # what Python does at the end of a process, which a fork skips
    atexit._run_exitfuncs()
    sys.stdout.flush()
    return status


def stop_clocks() -> None:
    """Let every second be 0 and every time the same, so that equal work gives equal records and tables.

    The state of the repository is left out: somebody may work there meanwhile.
    """
    from types import SimpleNamespace

    from vosbench.ablations import report, training
    from vosbench.benchmark import job
    from vosbench.environment.load import LoadMeter
    from vosbench.evaluation import record_template, store
    from vosbench.flow import timed
    from vosbench.inference import prediction
    from vosbench.scoring import evaluate

    still = SimpleNamespace(perf_counter=lambda: 0.0, monotonic=lambda: 0.0)
    for module in (timed, prediction, evaluate, training):
        setattr(module, "time", still)  # noqa: B010
    for module in (job, record_template, report):
        setattr(module, "now", lambda: "2026-01-01T00:00:00+00:00")  # noqa: B010
    setattr(record_template, "_peak_memory", lambda: 0)  # noqa: B010
    setattr(store, "_git_state", lambda folder: None)  # noqa: B010
    setattr(LoadMeter, "read", lambda self: {})  # noqa: B010
