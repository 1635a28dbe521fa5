"""Faults of processes: commands are killed, interrupted and run out of disk, and started again.

    python benchmarks/soak/processes.py                               # 20 faults of each kind per command
    python benchmarks/soak/processes.py --kills 2000 --seed 1         # through the night
    python benchmarks/soak/processes.py --operations 1000             # a full disk at every operation
    python benchmarks/soak/processes.py --commands score "compare, local" --faults kill

Half of the faults come before an operation that changes files, drawn at random; the other half come at a
random time. Every command is a fork of one process that has imported what the command imports: faults fall
into its work and not into its imports. After kill -9 it goes on where it was, and is killed again, up to four
times. A command survives a fault when it ends as documented, leaves no process, and the same command,
started again, ends with status 0 and with the files of a run that nothing disturbed: tables and masks byte by
byte, and nothing beside them. A command whose worker is killed has to end so by itself. Linux only;
``compare, on Ray`` needs the extra ray.
"""

import argparse
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from cluster import RayCluster, ray_cluster
from commands import ON_RAY, Command, commands, tree, write_archive
from faults import SIGNALS, End, Fault, Kind, Running, import_like, others, start
from table import RESULTS, Row, write_results

STATUSES = {
    "kill": {-9},
    "worker": {0},
    "sigint": {130},
    "sigterm": {143},
    "full": {1, 2},
    "deleted": {0, 1, 2},
}
LINES = {"sigint": "vosbench: interrupted", "sigterm": "vosbench: terminated"}
TITLES = {
    "kill": "kill -9, then run again",
    "worker": "kill -9 of a worker",
    "sigint": "SIGINT, then run again",
    "sigterm": "SIGTERM, then run again",
    "full": "disk full from one operation on, then run again",
    "deleted": "output folder deleted at one operation, then run again",
    "closed": "output closed",
    "together": "eight at once in one folder",
}
FAULTS = tuple(TITLES)
AT_FILES = ("full", "deleted")
"""Faults that come only at operations on files."""
IN_A_ROW = {"kill": 4}
"""How often a command is started again in one place, where that is more than once."""


@dataclass
class Soak:
    """A soak in a folder.

    Attributes:
        folder: for places of commands.
        random: of all choices.
        points: faults of a kind per command.
        kills: the same of kill -9.
        operations: the same of faults at operations on files; a command may have fewer.
        results: file of the figures.
        command: that makes the figures again.
    """

    folder: Path
    random: random.Random
    points: int
    kills: int
    operations: int
    results: Path
    command: str
    rows: list[Row] = field(default_factory=list)

    def run(self, command: Command, kinds: Sequence[str]) -> None:
        """Throw the faults of several kinds into a command."""
        made = self.folder / "made"
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()
        command.make(made)
        if command.alone:
            self.undisturbed(replace(command, words=command.alone), made)
        ends = [self.undisturbed(command, made) for _ in range(2)]
        if ends[0][1] != ends[1][1]:
            raise SystemExit(f"{command.name}: two runs differ: {differences(ends[0][1], ends[1][1])}")
        end, wanted = ends[1]
        for kind in (kind for kind in kinds if meets(command, kind)):
            begin = time.monotonic()
            if kind == "closed":
                tried, complaints = 1, [self.closed(command, made)]
            elif kind == "together":
                tried = max(1, self.points // 4)
                complaints = [self.together(command, made, wanted) for _ in range(tried)]
            else:
                tried, complaints = self.disturbed(kind, command, made, end, wanted)
            lost = [complaint for complaint in complaints if complaint]
            self.rows.append(Row(command.name, TITLES[kind], tried, tried - len(lost), len(lost)))
            # a soak that is ended early keeps its figures
            write_results(self.results, "Processes", self.command, self.rows)
            sys.stderr.write(f"{self.rows[-1]} in {time.monotonic() - begin:.0f} s\n")
            sys.stderr.writelines(f"  LOST: {complaint}\n" for complaint in lost)

    def faults(self, kind: str, command: Command, end: End) -> Iterator[Fault]:
        """Yield the faults of a kind: at operations on files, and at times, some of which come too late."""
        points = self.number(kind)
        at_files = kind in AT_FILES
        # the last operations may meet no full disk: others take their place
        by_operation = 0 if command.workers else end.operations if at_files else (points + 1) // 2
        which: Kind = kind  # type: ignore[assignment]
        for number in self.random.sample(range(1, end.operations + 1), min(by_operation, end.operations)):
            yield Fault(which, operation=number, output=command.output)
        if not at_files:
            for _ in range(4 * points):
                yield Fault(which, seconds=self.random.uniform(0, end.seconds))

    def number(self, kind: str) -> int:
        """Return how many faults of a kind to throw into a command."""
        return self.operations if kind in AT_FILES else self.kills if kind == "kill" else self.points

    def undisturbed(self, command: Command, made: Path) -> tuple[End, dict[str, str]]:
        with self.place(made) as place:
            end = started(command, place).end()
            if end.status:
                raise SystemExit(f"{command.name}: status {end.status} without a fault: {end.err}")
            import_like(end)
            return end, tree(command, place)

    def disturbed(
        self, kind: str, command: Command, made: Path, end: End, wanted: dict[str, str]
    ) -> tuple[int, list[str]]:
        """Throw the faults of a kind; return how many were met, and what was wrong afterwards."""
        faults, points = self.faults(kind, command, end), self.number(kind)
        tried, complaints = 0, []
        while tried < points:
            some = list(islice(faults, min(points - tried, IN_A_ROW.get(kind, 1))))
            if not some:
                break
            met, wrong = self.trial(command, made, some, wanted)
            tried += met
            complaints.append(wrong)
        return tried, complaints

    def trial(
        self, command: Command, made: Path, faults: Sequence[Fault], wanted: dict[str, str]
    ) -> tuple[int, str]:
        """Throw faults into a command that is started again after each, until it ends by itself.

        Returns:
            Number of faults that were met, and what is wrong afterwards, ``""`` for nothing.
        """
        with self.place(made) as place:
            for met, fault in enumerate(faults):
                end = started(command, place, fault).end()
                if fault.kind == "worker":
                    # the command makes the loss good
                    wrong = complaint(fault, end) or differing(fault, wanted, tree(command, place))
                    return int(end.thrown or bool(wrong)), wrong
                # at the end before its time, or with less to do than at first
                if (
                    end.status == 0
                    and fault.kind != "deleted"
                    and (met or fault.seconds is not None or fault.kind == "full")
                ):
                    return met, differing(fault, wanted, tree(command, place)) if met else ""
                wrong = complaint(fault, end)
                if wrong:
                    return met + 1, f"{fault}: {wrong}"
            again = started(command, place).end()
            if again.status:
                return len(faults), f"{fault}: run again: status {again.status}: {again.err[-300:]}"
            return len(faults), differing(fault, wanted, tree(command, place))

    def closed(self, command: Command, made: Path) -> str:
        with self.place(made) as place:
            end = started(command, place, reader=False).end()
            traceback = "Traceback" in end.err or "Exception" in end.err
            return f"status {end.status}: {end.err}" if traceback or end.status not in (0, 1) else ""

    def together(self, command: Command, made: Path, wanted: dict[str, str]) -> str:
        with self.place(made) as place:
            running = [started(command, place) for _ in range(8)]
            bad = [end for end in (each.end() for each in running) if end.status]
            if bad:
                return f"{len(bad)} of 8 failed, the first with status {bad[0].status}: {bad[0].err[-300:]}"
            return differing(Fault(), wanted, tree(command, place))

    @contextmanager
    def place(self, made: Path) -> Iterator[Path]:
        """Yield a fresh place."""
        with new_folder(self.folder) as folder:
            yield Path(shutil.copytree(made, folder / "place"))


def started(command: Command, place: Path, fault: Fault | None = None, *, reader: bool = True) -> Running:
    workers = command.workers or others
    return start(command.words, place, fault, prepare=command.prepare, workers=workers, reader=reader)


def meets(command: Command, kind: str) -> bool:
    """Return whether a command can meet a kind of fault."""
    if kind == "together":
        return command.together
    if kind == "worker":
        return command.workers is not None
    return kind not in AT_FILES or command.workers is None


@contextmanager
def new_folder(parent: Path | None = None) -> Iterator[Path]:
    """Yield a folder; unlike `tempfile.TemporaryDirectory`, the end of a forked process leaves it."""
    folder = Path(tempfile.mkdtemp(prefix="soak-", dir=parent)).resolve()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def complaint(fault: Fault, end: End) -> str:
    """Return what is wrong with the end of a command after a fault."""
    lines = [line for line in end.err.splitlines() if not line.startswith(("note: ", "failed: "))]
    if end.left:
        return f"{len(end.left)} processes left"
    if "Traceback" in end.err or "Exception ignored" in end.err:
        return end.err[-600:]
    if end.operations and end.status == -SIGNALS.get(fault.kind, 0):
        # everything was done: nobody catches a signal any longer
        return ""
    if end.status not in STATUSES[fault.kind]:
        return f"status {end.status}: {end.err[-300:]}"
    if fault.kind in LINES and (not lines or lines[-1] != LINES[fault.kind]):
        return f"printed {end.err[-300:]!r}"
    return ""


def differing(fault: Fault, wanted: dict[str, str], present: dict[str, str]) -> str:
    text = differences(wanted, present)
    return f"{fault}: {text}" if text else ""


def differences(wanted: dict[str, str], present: dict[str, str]) -> str:
    """Return the first files that differ, are missing or left over."""
    missing = sorted(wanted.keys() - present.keys())
    left = sorted(present.keys() - wanted.keys())
    other = sorted(name for name in wanted.keys() & present.keys() if wanted[name] != present[name])
    parts = [("missing", missing), ("left over", left), ("different", other)]
    return "; ".join(f"{what}: {', '.join(names[:4])}" for what, names in parts if names)


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """Yield the address of a server of a folder."""
    command = [
        sys.executable,
        "-u",
        "-m",
        "http.server",
        "0",
        "--bind",
        "127.0.0.1",
        "--directory",
        str(folder),
    ]
    with subprocess.Popen(  # noqa: S603 - fixed words
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout is not None
            words = process.stdout.readline().split()
            yield f"http://127.0.0.1:{words[words.index('port') + 1]}"
        finally:
            process.terminate()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--points", type=int, default=20, help="faults of a kind per command")
    parser.add_argument("--kills", type=int, help="the same of kill -9; as many as the others by default")
    parser.add_argument("--operations", type=int, help="the same of full disks and deleted folders")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", nargs="*", help="only these")
    parser.add_argument("--faults", nargs="*", choices=FAULTS, default=FAULTS)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args(arguments)
    on_ray = ON_RAY in (options.commands or [ON_RAY])
    cluster: AbstractContextManager[RayCluster | None] = ray_cluster() if on_ray else nullcontext()
    with new_folder() as folder, server(folder) as address, cluster as running:
        write_archive(folder)
        known = {command.name: command for command in commands(address, running)}
        kills = options.points if options.kills is None else options.kills
        operations = options.points if options.operations is None else options.operations
        numbers = f"--points {options.points} --kills {kills} --operations {operations} --seed {options.seed}"
        written = f"python benchmarks/soak/processes.py {numbers}"
        results = options.out / "processes.json"
        soak = Soak(folder, random.Random(options.seed), options.points, kills, operations, results, written)
        for chosen in options.commands or known:
            command = known[chosen]
            soak.run(command, [kind for kind in options.faults if kind != "together" or command.together])
    return 1 if any(row.lost for row in soak.rows) else 0


if __name__ == "__main__":
    sys.exit(main())
