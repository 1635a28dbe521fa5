"""Machine description and report files of the benchmarks, without array libraries."""

import json
import os
import random
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"


def machine(load: float, packages: Sequence[str] = ()) -> dict[str, Any]:
    """Processor, versions of packages, commit, date; no name of the machine and no path."""
    return {
        "processor": processor(),
        "cores": cores(),
        "system": f"{os.uname().sysname} {os.uname().machine}",
        "load_before": round(load, 2),
        "versions": {name: version(name) for name in packages},
        "commit": _git("rev-parse", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--untracked-files=no", "--", ":/vosbench")),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


def spent(run: Callable[[], object]) -> dict[str, float]:
    """Run something; return the seconds it took, and those of the processor in this process."""
    start, cpu = time.perf_counter(), time.process_time()
    run()
    return {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu}


def described(found: Mapping[str, Any]) -> str:
    """One line about a machine."""
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    changed = " with changes" if found["changed"] else ""
    after = f", after {found['load_after']}" if "load_after" in found else ""
    return (
        f"{found['date']}, {found['processor']}, {found['cores']} cores, {found['system']}, "
        f"load before {found['load_before']}{after}, commit {found['commit'][:12]}{changed}. {versions}.\n"
    )


def commits(checkouts: Mapping[str, Path]) -> dict[str, str]:
    """Return version -> commit of its checkout."""
    command = ["git", "rev-parse", "HEAD"]
    return {
        name: subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder).stdout.strip()  # noqa: S603
        for name, folder in checkouts.items()
    }


def compared(found: Mapping[str, str]) -> str:
    """One line about the commits of versions."""
    return "Versions: " + ", ".join(f"{name} {commit[:12]}" for name, commit in found.items()) + ".\n"


def keep(name: str, report: Mapping[str, Any], text: str, folder: Path) -> None:
    """Write ``NAME.json`` and ``NAME.md``, and print the latter."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
    print(text)


def rounds(names: Sequence[str], count: int) -> Iterator[tuple[int, str]]:
    """Yield all programs in every round, in random order."""
    order = random.Random(0)
    return ((round_, name) for round_ in range(1, count + 1) for name in order.sample(names, len(names)))


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return os.uname().machine
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else os.uname().machine


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(HERE), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603
