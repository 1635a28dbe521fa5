"""CPU seconds of the tests' default run, test by test, beside the import of Lightning.

    python benchmarks/speed/suite.py
    python benchmarks/speed/suite.py --before FOLDER

Runs ``python -m pytest`` in this checkout, and in FOLDER, a checkout of another version; without FOLDER what
was measured of it before is kept. Seconds are user and system time of every process of the tests and of the
programs that they wait for, so that a busy machine changes them little. The limit is
``python -c "import torch, pytorch_lightning"`` with bytecode cached.
As a plugin of pytest (``-p suite``) this file writes what each test costs. Linux only.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from machine import RESULTS, commits, compared, cores, described, keep, machine
from startup import BEFORE, LIMIT, PACKAGES, REPOSITORY, checkouts_of, run
from tables import _table

NAME = "tests"
COLLECTION = "collection"
WHOLE = "whole processes"
COSTS = "VOSBENCH_TEST_COSTS"
"""Environment variable: the file that the plugin appends lines of JSON to."""

SHOWN = 15
"""Files and tests in the report."""

LEAST = 0.5
"""CPU seconds of the tests that are kept by name."""


def seconds() -> float:
    """Return user and system seconds of this process and of the children that it has waited for."""
    found = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in found)


def _write(what: str, spent: float) -> None:
    line = json.dumps({"what": what, "seconds": round(spent, 4)}) + "\n"
    with Path(os.environ[COSTS]).open("a", encoding="utf-8") as file:
        file.write(line)


@contextmanager
def _counted(what: str) -> Iterator[None]:
    start = seconds()
    yield
    _write(what, seconds() - start)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection() -> Generator[None, object, object]:
    with _counted(COLLECTION):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    with _counted(item.nodeid):
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    # of the process that hands tests to others: its own time, since theirs are written by themselves
    alone = "PYTEST_XDIST_WORKER" in os.environ
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _write(WHOLE, seconds() if alone else usage.ru_utime + usage.ru_stime)


def run_tests(checkout: Path, workers: int, arguments: Sequence[str] = ()) -> dict[str, Any]:
    """Run the tests of a checkout once; return CPU and wall seconds, the last line and the costs.

    Args:
        checkout: whose tests.
        workers: processes of pytest-xdist; each of them collects all tests.
        arguments: of pytest.

    Raises:
        RuntimeError: a test failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        costs = Path(folder) / "costs"
        paths = os.pathsep.join(map(str, (checkout, Path(__file__).parent)))
        env = os.environ | {"PYTHONPATH": paths, COSTS: str(costs)}
        words = [sys.executable, "-m", "pytest", "-p", "suite", "-q", "-n", str(workers), *arguments]
        start = time.monotonic()
        ended = subprocess.run(  # noqa: S603 - fixed words
            words, cwd=checkout, env=env, capture_output=True, text=True, check=False
        )
        wall = time.monotonic() - start
        if ended.returncode:
            raise RuntimeError(f"tests of {checkout}: {ended.stdout[-4000:]}{ended.stderr[-2000:]}")
        return added(costs.read_text(encoding="utf-8").splitlines()) | {
            "workers": workers,
            "wall": wall,
            "load": round(os.getloadavg()[0], 1),
            "outcome": ended.stdout.strip().splitlines()[-1].strip("= "),
        }


def added(lines: Sequence[str]) -> dict[str, Any]:
    """Add up what the processes of a run wrote: all seconds, those of collection, and test by test."""
    costs: defaultdict[str, float] = defaultdict(float)
    for line in lines:
        found = json.loads(line)
        costs[found["what"]] += found["seconds"]
    whole, collection = costs.pop(WHOLE), costs.pop(COLLECTION)
    return {"seconds": whole, "collection": collection, "tests": dict(costs)}


def by_file(tests: Mapping[str, float]) -> dict[str, float]:
    """Return file -> seconds of its tests."""
    files: defaultdict[str, float] = defaultdict(float)
    for name, spent in tests.items():
        files[name.partition("::")[0]] += spent
    return dict(files)


def reduced(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run with the seconds of its files, and of expensive tests alone."""
    tests = {name: spent for name, spent in found["tests"].items() if spent >= LEAST}
    files = {name: round(spent, 2) for name, spent in by_file(found["tests"]).items()}
    return {**found, "files": files, "tests": tests}


def measure(checkouts: Mapping[str, Path], workers: int, arguments: Sequence[str]) -> dict[str, Any]:
    """Run the tests of all checkouts, the import before and after each."""
    found = machine(os.getloadavg()[0], PACKAGES)
    limits, runs = [_import()], {}
    for version, checkout in checkouts.items():
        runs[version] = reduced(run_tests(checkout, workers, arguments))
        limits.append(_import())
        sys.stderr.write(f"{version}: {runs[version]['seconds']:.0f} CPU s, {runs[version]['outcome']}\n")
    found["load_after"] = round(os.getloadavg()[0], 2)
    return {"runs": runs, "import": limits, "versions": commits(checkouts), "machine": found}


def _import() -> float:
    with tempfile.TemporaryDirectory() as folder:
        return run([sys.executable, "-c", LIMIT], REPOSITORY, Path(folder) / "out", "", Path(folder))


def to_markdown(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    runs, limit = report["runs"], median(report["import"])
    lines = []
    for version, found in runs.items():
        cells = [version, f"{found['workers']}", f"{found['seconds']:.0f}", f"{found['seconds'] / limit:.0f}"]
        cells += [f"{found['collection']:.0f}", f"{found['wall']:.0f}", f"{found['load']}", found["outcome"]]
        lines.append(f"| {' | '.join(cells)} |")
    head = ["version", "workers", "CPU s", "as a multiple of the import", "of these collection"]
    head += ["wall s", "load after", "outcome"]
    sections = [
        "# The tests\n",
        "The default run, `python -m pytest`. CPU seconds are user and system time of all processes, those "
        f'that tests start included. Import: `python -c "{LIMIT}"`, {limit:.1f} CPU s, bytecode cached.\n',
        described(report["machine"]),
        compared(report["versions"]),
        _table(head, lines),
    ]
    last = list(runs)[-1]
    for what in ("files", "tests"):
        sections += [f"## Most expensive {what}, {last}\n", _ranked(runs[last][what], what, runs)]
    return "\n".join(sections)


def _ranked(costs: Mapping[str, float], what: str, runs: Mapping[str, Any]) -> str:
    lines = []
    for name in sorted(costs, key=lambda name: -costs[name])[:SHOWN]:
        spent = [found[what].get(name) for found in runs.values()]
        cells = [f"`{name}`", *("-" if value is None else f"{value:.1f}" for value in spent)]
        lines.append(f"| {' | '.join(cells)} |")
    return _table((what[:-1], *(f"{version}, CPU s" for version in runs)), lines)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--before", type=Path, help="checkout of another version")
    parser.add_argument("--workers", type=int, default=cores())
    parser.add_argument("--tests", nargs="*", default=(), help="files; all by default")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _arguments(arguments)
    checkouts = checkouts_of(options.before)
    report = measure(checkouts, options.workers, options.tests)
    kept = options.out / f"{NAME}.json"
    if BEFORE not in checkouts and kept.is_file():
        earlier = json.loads(kept.read_text(encoding="utf-8"))
        for key in ("runs", "versions"):
            report[key] = {BEFORE: earlier[key][BEFORE]} | report[key]
    keep(NAME, report, to_markdown(report), options.out)


if __name__ == "__main__":
    main()
