"""Speed of the metrics: vosbench, other programs and the plain definition on the same masks.

    python benchmarks/speed/metrics.py --data-root DATA --results MASKS --work FOLDER

DATA holds davis16 in its official layout, MASKS a method's masks; without DATA, rendered scenes are
used. FOLDER takes copies of the masks and, in FOLDER/peers, an environment of its own for the peers,
made when missing; a temporary folder when not given. Run it alone on the machine. Programs take turns
in every round, in another order each time; the slow ones take part in the first rounds only.
"""

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from machine import RESULTS, cores, keep, machine
from tables import JF, JFT, KERNEL, OURS, PEER, WHOLE, Run, disagreements, to_markdown

HERE = Path(__file__).resolve().parent
# trackeval needs scikit-image for F and does not ask for it
PEERS = ("vos-benchmark==0.1.0", "trackeval==1.3.0", "scikit-image")
SLOW_ROUNDS = 2

# This process stays small and imports no array library: a child's peak memory starts at that of its parent.


@dataclass(frozen=True)
class TimedProgram:
    """One program, whole or its kernel alone, and the interpreter it runs in."""

    program: str
    what: str
    measures: str
    workers: int
    interpreter: Path
    slow: bool = False

    def command(self, tree: Path, values: Path) -> list[str]:
        if self.program == "vosbench" and self.what == WHOLE:
            return [
                *(str(self.interpreter.with_name("vosbench")), "score", str(tree / "results")),
                *("--dataset", "davis16", "--data-root", str(tree / "data"), "--json", str(values)),
                *("--metrics", self.measures.lower().replace("+", ","), "--workers", str(self.workers)),
            ]
        name = self.program if self.what == WHOLE else f"{self.program}-kernel"
        return program_command(self.interpreter, name, tree, values, self.workers)


def program_command(interpreter: Path, name: str, tree: Path, values: Path, workers: int = 1) -> list[str]:
    script = HERE / "programs.py"
    return [str(interpreter), str(script), name, str(tree), str(values), "--workers", str(workers)]


def timed_programs(own: Path, peers: Path, cores: int) -> list[TimedProgram]:
    """All programs, single process and all cores, then the kernels."""
    whole = []
    for workers in sorted({1, cores}):
        whole += [
            TimedProgram("vosbench", WHOLE, JF, workers, own),
            TimedProgram("vos-benchmark", WHOLE, JF, workers, peers),
            TimedProgram("vosbench", WHOLE, JFT, workers, own, slow=workers > 1),
            TimedProgram("decode", WHOLE, "-", workers, own),
            TimedProgram("trackeval", WHOLE, JF, workers, peers, slow=True),
            TimedProgram("plain", WHOLE, JF, workers, own, slow=True),
        ]
    return [
        *whole,
        TimedProgram("vosbench", KERNEL, JFT, 1, own),
        TimedProgram("vos-benchmark", KERNEL, JF, 1, peers),
        TimedProgram("trackeval", KERNEL, JF, 1, peers),
        TimedProgram("plain", KERNEL, JF, 1, own),
    ]


def run(timed: TimedProgram, tree: Path, values: Path, round_: int) -> Run:
    """Run one program; return its time, memory and values."""
    values.unlink(missing_ok=True)
    with tempfile.TemporaryFile() as output:
        start = time.perf_counter()
        child = subprocess.Popen(  # noqa: S603 - commands are made above
            timed.command(tree, values), env=environment(), stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            output.seek(0)
            text = output.read().decode(errors="replace")
            raise SystemExit(f"{timed.program} ended with status {child.returncode}:\n{text}")
    return Run(
        program=timed.program,
        what=timed.what,
        measures=timed.measures,
        workers=timed.workers,
        round=round_,
        seconds=seconds,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_mb=usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10),
        kernel=json.loads(values.read_text(encoding="utf-8")) if timed.what == KERNEL else None,
    )


def environment() -> dict[str, str]:
    """Environment variables of the programs; bytecode is written."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def values_of(values: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Sequence -> J and F, from the file of a program."""
    if "sequences" not in values:
        return values
    return {name: {"J": item["J_mean"], "F": item["F_mean"]} for name, item in values["sequences"].items()}


def make_peers(folder: Path) -> Path:
    """Return the interpreter of the peers' environment, made when missing."""
    python = folder / "bin" / "python"
    probe = [str(python), "-c", "import trackeval, vos_benchmark.benchmark, skimage"]
    if python.exists() and not subprocess.run(probe, capture_output=True, check=False).returncode:  # noqa: S603
        return python
    uv = shutil.which("uv")
    make = [uv, "venv", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
    install = [uv, "pip", "install", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
    if not python.exists():
        _call([*make, str(folder)])
    _call([*install, *PEERS])
    return python


def rounds(programs: Sequence[TimedProgram], count: int) -> Iterator[tuple[int, TimedProgram]]:
    """Yield the programs of every round, each round starting with another one."""
    for round_ in range(count):
        present = [item for item in programs if round_ < SLOW_ROUNDS or not item.slow]
        shift = round_ * 3 % len(present)
        yield from ((round_ + 1, item) for item in itertools.chain(present[shift:], present[:shift]))


def machine_of(own: Path, peers: Path, work: Path) -> dict[str, Any]:
    """Machine and versions, without host name and paths."""
    found = {}
    for name, interpreter in (("vosbench", own), ("peers", peers)):
        values = work / "versions.json"
        _call(program_command(interpreter, "versions", work, values))
        found[name] = json.loads(values.read_text(encoding="utf-8"))
    return machine(os.getloadavg()[0]) | {"versions": found}


def _call(command: Sequence[str]) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if finished.returncode:
        raise SystemExit(f"{' '.join(command)}\n{finished.stdout}{finished.stderr}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data-root", type=Path, help="folder that holds davis16; rendered scenes without")
    parser.add_argument("--results", type=Path, help="masks of a method; the ground truth moved without")
    parser.add_argument("--work", type=Path, help="folder for copies and the peers; temporary without")
    parser.add_argument("--peers", type=Path, help="environment of the peers (default WORK/peers)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--every", type=int, default=1, help="take every Nth sequence only")
    parser.add_argument("--peer-only", action="store_true", help="vosbench and vos-benchmark, one process")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    if given.results is not None and given.data_root is None:
        parser.error("--results needs --data-root: the data set the masks belong to")
    return given


def _prepare(given: argparse.Namespace, work: Path) -> None:
    options = [("--data-root", given.data_root), ("--results", given.results), ("--every", given.every)]
    chosen = [text for name, value in options if value is not None for text in (name, str(value))]
    _call([sys.executable, str(HERE / "trees.py"), str(work), *chosen])


def measure(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Prepare, warm up, run all rounds; return the content of the JSON file."""
    own, peers = Path(sys.executable), make_peers(options.peers or work / "peers")
    _prepare(options, work)
    programs = timed_programs(own, peers, 1 if options.peer_only else cores())
    if options.peer_only:
        programs = [item for item in programs if item.program in (OURS, PEER, "decode")]
    described = machine_of(own, peers, work)
    values = work / "values.json"
    for timed in programs:  # compiles modules, fills the file cache; not counted
        run(timed, work / "sample", values, 0)
    runs: list[Run] = []
    found: dict[str, dict[str, dict[str, float]]] = {}
    for round_, timed in rounds(programs, options.rounds):
        tree = work / ("full" if timed.what == WHOLE else "sample")
        last = run(timed, tree, values, round_)
        runs.append(last)
        if last.what == WHOLE and last.program != "decode":
            found[last.program] = values_of(json.loads(values.read_text(encoding="utf-8")))
        print(
            f"round {round_}: {last.program} {last.measures} x{last.workers} {last.seconds:.2f} s", flush=True
        )
    frames = {name: json.loads((work / name / "frames.json").read_text()) for name in ("full", "sample")}
    return {
        "masks": "rendered" if options.data_root is None else "DAVIS 2016 val",
        "predictions": options.results.name if options.results else "ground truth moved by 3, 5 pixels",
        "frames": frames,
        "machine": described,
        "values": dict(sorted(found.items())),
        "runs": [asdict(item) for item in runs],
        "command": _command(options),
    }


def _command(options: argparse.Namespace) -> str:
    given = ["python benchmarks/speed/metrics.py"]
    given += ["--data-root DATA"] * (options.data_root is not None)
    given += ["--results MASKS"] * (options.results is not None)
    given += [f"--every {options.every} --rounds {options.rounds}", *["--peer-only"] * options.peer_only]
    return " ".join(given)


def main() -> None:
    options = _arguments()
    with tempfile.TemporaryDirectory(prefix="vosbench-speed-") as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        report = measure(options, work.resolve())
    keep("metrics_peer" if options.peer_only else "metrics", report, to_markdown(report), options.out)
    if disagreements(report):
        sys.exit(1)


if __name__ == "__main__":
    main()
