"""CPU seconds of the first command of the README: to its first line, its first result, and its parts.

    python benchmarks/speed/first_command.py --before FOLDER --rounds 2   # to the first line and record
    python benchmarks/speed/first_command.py --parts                      # all of it, in one process

``vosbench compare --datasets all --limit 1`` without data and without caches: miniatures are rendered. The
first form runs it with two workers until the first record is written and its line is shown, in turns with the
import of Lightning, or gives up on the line after so many CPU seconds more;
FOLDER is a checkout of another version. The second form runs it to the end in one process of one thread and
adds up the CPU seconds of imports, rendering, flow, methods, scoring and page; it also compares the records
with the committed ones. What one form measures is kept beside what the other has measured. Linux only.
"""

import argparse
import contextlib
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from machine import RESULTS, commits, compared, cores, described, keep, machine, rounds
from startup import LIMIT, PACKAGES, REPOSITORY, checkouts_of, end, run, session_seconds
from tables import _table

NAME = "first_command"
OTHER = "other"
WORDS = ("compare", "--datasets", "all", "--limit", "1", "--device", "cpu", "--no-pictures")
TOLERANCE = "0.02"
"""Difference to the committed numbers of miniatures that another processor explains, as in CI."""

_PATIENCE = 1800
_POLL = 0.1

_RESULT = re.compile(rb"comparing: [1-9]\d* of \d+ after")
"""Line about the first results."""

_MORE = 60.0
"""CPU seconds after the first record in which the line is waited for."""


def first_record(checkout: Path, workers: int) -> dict[str, float]:
    """Run the command until its first record is written and shown.

    Returns:
        CPU and wall seconds to the first line, the record and, if it is shown in time, the line about it.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        env = os.environ | {
            "PYTHONPATH": str(checkout),
            "VOSBENCH_CACHE": str(place / "cache"),
            "OMP_NUM_THREADS": "1",
        }
        words = [*WORDS, *_places(place), "--workers", str(workers)]
        start, found = time.monotonic(), {}
        with (place / "lines").open("wb") as lines:
            program = subprocess.Popen(  # noqa: S603 - fixed words
                [sys.executable, "-c", "from vosbench.cli import main; main()", *words],
                env=env,
                stdout=lines,
                stderr=lines,
                start_new_session=True,
                cwd=place,
            )
            try:
                while program.poll() is None and time.monotonic() < start + _PATIENCE:
                    printed = (place / "lines").read_bytes()
                    there: dict[str, Any] = {"line": printed, "record": _has_record(place / "out")}
                    there["shown"] = _RESULT.search(printed)
                    spent = session_seconds(program.pid)
                    for what in [what for what in there if there[what] and f"{what}_cpu" not in found]:
                        found[f"{what}_cpu"] = spent
                        found[f"{what}_wall"] = time.monotonic() - start
                    if "shown_cpu" in found or spent > found.get("record_cpu", math.inf) + _MORE:
                        return found
                    time.sleep(_POLL)
            finally:
                end(program)
        raise RuntimeError(f"no record: {(place / 'lines').read_text(encoding='utf-8')[-2000:]}")


def _places(folder: Path) -> list[str]:
    return ["--data-root", str(folder / "none"), "--out", str(folder / "out")]


def _has_record(out: Path) -> bool:
    return any(not path.name.startswith(".") for path in out.glob("records/**/*.json"))


def measure(checkouts: Mapping[str, Path], count: int) -> dict[str, Any]:
    """Run the versions and the import in turns; return the content of the JSON file about them."""
    found = machine(os.getloadavg()[0], PACKAGES)
    runs: list[dict[str, Any]] = []
    for round_, program in rounds([LIMIT, *checkouts], count):
        if program == LIMIT:
            with tempfile.TemporaryDirectory() as folder:
                words = [sys.executable, "-c", LIMIT]
                spent = {"record_cpu": run(words, REPOSITORY, Path(folder) / "out", "", Path(folder))}
        else:
            spent = first_record(checkouts[program], cores())
        sys.stderr.write(f"round {round_}: {program}: {spent}\n")
        runs.append({"program": program, "round": round_, "load": round(os.getloadavg()[0], 1), **spent})
    found["load_after"] = round(os.getloadavg()[0], 2)
    return {"runs": runs, "versions": commits(checkouts), "workers": cores(), "machine": found}


class _Running(threading.local):
    """Parts that a thread is in, and its CPU seconds when the last one began or ended."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.since = time.thread_time()


class Parts:
    """CPU seconds of this process by part; a part within another counts for itself alone.

    Every thread counts its own seconds, from its first part on.
    """

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._running = _Running()
        self._start = time.process_time()

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the block for a part."""
        self._count()
        self._running.parts.append(name)
        try:
            yield
        finally:
            self._count()
            self._running.parts.pop()

    def whole(self) -> dict[str, float]:
        """Return the seconds of the parts, and as ``other`` those of this process since in no part."""
        spent = time.process_time() - self._start
        found = {name: seconds for name, seconds in self.seconds.items() if name != OTHER}
        return found | {OTHER: spent - sum(found.values())}

    def wrapped(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that counts for a part."""

        def call(*arguments: Any, **keywords: Any) -> Any:
            with self.part(name):
                return function(*arguments, **keywords)

        return call

    def iterated(self, name: str, items: Iterator[Any]) -> Iterator[Any]:
        """Yield items whose making counts for a part."""
        while True:
            with self.part(name):
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item

    def _count(self) -> None:
        now, running = time.thread_time(), self._running
        self.seconds[running.parts[-1] if running.parts else OTHER] += now - running.since
        running.since = now


def whole() -> dict[str, Any]:
    """Run the command to the end in this process; return its parts in CPU seconds and what it printed."""
    found = machine(os.getloadavg()[0], PACKAGES)
    parts = Parts()
    with parts.part("imports"):
        import torch

        torch.set_num_threads(1)
        import pytorch_lightning  # noqa: F401

        import vosbench.data.mini
        import vosbench.leaderboard.build
        from vosbench.benchmark import plan
        from vosbench.cli.commands import run_command
        from vosbench.flow import timed
        from vosbench.given import segment
        from vosbench.models import METHODS, method_class
        from vosbench.scoring import evaluate

        for name in METHODS:
            method_class(name)

    def segmented(method: Any, *arguments: Any) -> Any:
        name = f"method {type(method).__name__}"
        return parts.iterated(name, iter(segment(method, *arguments)))

    for module, name, part in (
        (plan, "choose_methods", "loading methods"),
        (vosbench.data.mini, "ensure_mini", "rendering"),
        (timed.TimedFlow, "compute", "flow"),
        (evaluate, "_score", "scoring"),
        (vosbench.leaderboard.build, "write_report", "tables and page"),
    ):
        setattr(module, name, parts.wrapped(part, getattr(module, name)))
    setattr(evaluate, "segment", segmented)  # noqa: B010 - a name that the module imports
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        os.environ["VOSBENCH_CACHE"] = str(place / "cache")
        words = [*WORDS, *_places(place), "--workers", "1"]
        baseline = REPOSITORY / "leaderboards/mini/baseline.json"
        run_command(words)
        seconds = parts.whole()
        check = ["leaderboard", "check", "--records", str(place / "out/records"), "--baseline", str(baseline)]
        status = run_command([*check, "--whole", "--tolerance", TOLERANCE])
        records = sum(1 for _ in (place / "out/records").glob("**/*.json"))
    found["load_after"] = round(os.getloadavg()[0], 2)
    return {
        "seconds": seconds,
        "records": records,
        "equal_to_baseline": status == 0,
        "machine": found,
    }


def to_markdown(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    command = f"vosbench {' '.join(WORDS)}"
    sections = [
        "# The first command\n",
        f"`{command}`, without data and caches: miniatures are rendered. CPU seconds are user and "
        "system time of all processes.\n",
    ]
    if "start" in report:
        sections += _start(report["start"])
    if "parts" in report:
        sections += _parts(report["parts"])
    return "\n".join(sections)


def _start(report: Mapping[str, Any]) -> list[str]:
    runs = report["runs"]
    limit = [run["record_cpu"] for run in runs if run["program"] == LIMIT]
    lines = []
    for version in report["versions"]:
        mine = [run for run in runs if run["program"] == version]
        line, line_wall, spent, wall = (
            median(run[key] for run in mine) for key in ("line_cpu", "line_wall", "record_cpu", "record_wall")
        )
        shown = [run["shown_cpu"] for run in mine if "shown_cpu" in run]
        cells = [version, f"{line:.1f}", f"{line_wall:.1f}", f"{spent:.1f}", f"{spent / median(limit):.1f}"]
        cells += [f"{spent / report['workers']:.1f}", f"{wall:.0f}"]
        cells += [f"{median(shown):.1f}" if shown else f"more than {spent + _MORE:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    head = (
        "version",
        "first line, CPU s",
        "wall s",
        "first record, CPU s",
        "as a multiple of the import",
        f"by {report['workers']} cores",
        "wall s, at the load of the machine",
        "line about it, CPU s",
    )
    return [
        "## To the first record\n",
        f'{report["workers"]} workers, {len(limit)} rounds, medians. Import: `python -c "{LIMIT}"`, '
        f"{median(limit):.1f} CPU s.\n",
        described(report["machine"]),
        compared(report["versions"]),
        _table(head, lines),
    ]


def _parts(report: Mapping[str, Any]) -> list[str]:
    seconds = report["seconds"]
    total, imports = sum(seconds.values()), seconds["imports"]
    ranked = sorted(seconds.items(), key=lambda item: -item[1])
    lines = [f"| {name} | {value:.1f} | {100 * value / total:.0f} % |" for name, value in ranked]
    equal = "are" if report["equal_to_baseline"] else "are not"
    return [
        "## Parts\n",
        f"One process, one thread: {total:.0f} CPU s, {total / imports:.0f} times the import, "
        f"{report['records']} records, whose numbers {equal} within {TOLERANCE} of those of "
        "`leaderboards/mini/baseline.json` (`leaderboard check --whole`).\n",
        described(report["machine"]),
        _table(("part", "CPU s", "share"), lines),
    ]


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--before", type=Path, help="checkout of another version")
    parser.add_argument("--parts", action="store_true", help="run to the end in one process instead")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _arguments(arguments)
    kept = options.out / f"{NAME}.json"
    report = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    if options.parts:
        report["parts"] = whole()
    else:
        report["start"] = measure(checkouts_of(options.before), options.rounds)
    keep(NAME, report, to_markdown(report), options.out)


if __name__ == "__main__":
    main()
