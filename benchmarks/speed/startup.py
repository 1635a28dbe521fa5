"""CPU seconds from the start of a command to its first useful output, beside the import of Lightning.

    python benchmarks/speed/startup.py --rounds 5
    python benchmarks/speed/startup.py --rounds 5 --before FOLDER

The limit of a command that runs networks is ``python -c "import torch, pytorch_lightning"`` in the same
round. All programs take turns in every round in random order, with one thread; seconds are user and system
time of the program and of its processes, so that a busy machine changes them little. Bytecode is cached: the
first run of every program does not count. FOLDER is a checkout of another version, whose commands take
turns with those of this one. Linux only.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from machine import HERE, RESULTS, commits, compared, described, keep, machine, rounds
from PIL import Image
from tables import _table

LIMIT = "import torch, pytorch_lightning"
GOAL = 1.15
AFTER, BEFORE = "after", "before"
REPOSITORY = HERE.parents[1]
PACKAGES = ("torch", "pytorch-lightning", "torchmetrics", "torchvision")
HEIGHT, WIDTH, FRAMES = 120, 160, 3
_PATIENCE = 600
"""Seconds of a command on a busy machine."""
_POLL = 0.02


@dataclass(frozen=True)
class Command:
    """A command and its first useful output.

    Attributes:
        words: after ``vosbench``; ``{clip}``, ``{data}`` and ``{results}`` stand for inputs, ``{out}`` for a
            new folder.
        networks: whether a network must be loaded for the output.
        until: the pattern of the first useful file below ``{out}``; ``""``: all that the command prints.
    """

    words: str
    networks: bool
    until: str = ""


COMMANDS = {
    "-V": Command("-V", False),
    "list": Command("list", False),
    "fit without data": Command("fit model=stcnn data_root={out}", False),
    "fit --cfg": Command("fit model=stcnn data_root={out} --cfg", False),
    "predict, wrong file": Command("predict --model stcnn {clip}/none.mp4 --out {out}", False),
    "compare, wrong data": Command("compare --models stcnn --datasets {clip}/none --out {out}", False),
    "score": Command("score {results} --dataset davis16 --data-root {data} --workers 1", False),
    "doctor": Command("doctor --data-root {data}", True),
    "predict, first mask": Command(
        "predict --model mpnet {clip} --out {out} --device cpu", True, "**/00000.png"
    ),
    "compare --dry-run": Command(
        "compare --models mpnet --datasets davis16 --data-root {data} --out {out} --device cpu --dry-run",
        True,
    ),
    "compare, first record": Command(
        "compare --models mpnet --datasets davis16 --data-root {data} --out {out} --device cpu --workers 1",
        True,
        "records/**/*.json",
    ),
}
"""First output -> command, those without a network first."""


def write_inputs(folder: Path) -> dict[str, str]:
    """Write a clip of a square over noise, as DAVIS 2016 and with results, too; return the folders."""
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    ground = np.asarray(Image.fromarray(noise).resize((WIDTH, HEIGHT)))
    data = folder / "data/davis16"
    folders = [folder / "clip", folder / "results/square"]
    folders += [data / kind / "480p/square" for kind in ("JPEGImages", "Annotations")]
    for part in (*folders, data / "ImageSets/480p"):
        part.mkdir(parents=True)
    lines = []
    for t in range(FRAMES):
        ids = np.zeros((HEIGHT, WIDTH), np.uint8)
        ids[30:70, 20 + 4 * t : 60 + 4 * t] = 255
        frame = Image.fromarray(np.where(ids[..., None] > 0, np.uint8(220), ground))
        for where in (folders[0], folders[2]):
            frame.save(where / f"{t:05}.jpg", quality=95)
        for where in (folders[1], folders[3]):
            Image.fromarray(ids).save(where / f"{t:05}.png")
        lines.append(f"/JPEGImages/480p/square/{t:05}.jpg /Annotations/480p/square/{t:05}.png\n")
    (data / "ImageSets/480p/val.txt").write_text("".join(lines), encoding="utf-8")
    return {name: str(folder / name) for name in ("clip", "results", "data")}


def run(words: Sequence[str], checkout: Path, out: Path, until: str, cache: Path) -> float:
    """Run a program to its first useful output, end it, and return the CPU seconds that it took.

    Raises:
        RuntimeError: the program ended, or took too long, without the output.
    """
    env = os.environ | {
        "PYTHONPATH": str(checkout),
        "VOSBENCH_CACHE": str(cache),
        "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "",
    }
    with tempfile.TemporaryFile() as printed:
        program = subprocess.Popen(  # noqa: S603 - fixed words
            words, env=env, stdout=printed, stderr=printed, start_new_session=True, cwd=out.parent
        )
        try:
            spent = _seconds_until(program, out, until) if until else _seconds_whole(program)
        finally:
            end(program)
        if spent is None or program.returncode not in (0, 1, 2, -signal.SIGKILL):
            printed.seek(0)
            raise RuntimeError(f"{' '.join(words)}: no output; {printed.read().decode()[-2000:]}")
    return spent


def _seconds_whole(program: subprocess.Popen[bytes]) -> float:
    _, state, usage = os.wait4(program.pid, 0)
    program.returncode = os.waitstatus_to_exitcode(state)
    return usage.ru_utime + usage.ru_stime


def _seconds_until(program: subprocess.Popen[bytes], out: Path, until: str) -> float | None:
    start = time.monotonic()
    spent = 0.0
    while time.monotonic() - start < _PATIENCE:
        # an ended process has no times any more
        spent = max(spent, session_seconds(program.pid))
        # a file that is still being written has a hidden name
        if any(not path.name.startswith(".") for path in out.glob(until)):
            return spent
        if program.poll() is not None:
            return None
        time.sleep(_POLL)
    return None


def session_seconds(session: int) -> float:
    """Return user and system seconds of the processes of a session, and of those they waited for."""
    return sum(_times(folder / "stat", session) for folder in _processes()) / os.sysconf("SC_CLK_TCK")


def _processes() -> Iterator[Path]:
    return (folder for folder in Path("/proc").iterdir() if folder.name.isdigit())


def _times(stat: Path, session: int) -> int:
    try:
        # the name of a program may hold blanks and brackets
        fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(map(int, fields[11:15])) if int(fields[3]) == session else 0


def end(program: subprocess.Popen[bytes]) -> None:
    """Kill a program and all processes of its session."""
    with suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)
    if program.returncode is None:
        program.wait()


def measure(checkouts: Mapping[str, Path], commands: Sequence[str], count: int) -> dict[str, Any]:
    """Run all commands of all checkouts and the limit in turns, once more than is counted."""
    found = machine(os.getloadavg()[0], PACKAGES)
    programs = [LIMIT, *(f"{version}: {name}" for version in checkouts for name in commands)]
    runs = []
    with tempfile.TemporaryDirectory() as folder:
        places = write_inputs(Path(folder))
        for round_, program in [*((0, program) for program in programs), *rounds(programs, count)]:
            out = Path(tempfile.mkdtemp(dir=folder)) / "out"
            version, _, name = program.partition(": ")
            if program == LIMIT:
                spent = run([sys.executable, "-c", LIMIT], REPOSITORY, out, "", out.parent)
            else:
                command = COMMANDS[name]
                words = command.words.format(**places, out=out).split()
                vosbench = [sys.executable, "-c", "from vosbench.cli import main; main()"]
                spent = run([*vosbench, *words], checkouts[version], out, command.until, out.parent / "cache")
            sys.stderr.write(f"round {round_}: {program}: {spent:.2f} CPU s\n")
            if round_:
                runs.append({"program": program, "round": round_, "seconds": spent})
    found["load_after"] = round(os.getloadavg()[0], 2)
    return {"runs": runs, "versions": commits(checkouts), "commands": list(commands), "machine": found}


def ratios(runs: Sequence[Mapping[str, Any]], program: str) -> list[float]:
    """Return the CPU seconds of a program as multiples of the limit, round by round."""
    spent = {(run["round"], run["program"]): run["seconds"] for run in runs}
    return [
        seconds / spent[round_, LIMIT] for (round_, name), seconds in sorted(spent.items()) if name == program
    ]


def to_markdown(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown."""
    runs, versions = report["runs"], report["versions"]
    limit = [run["seconds"] for run in runs if run["program"] == LIMIT]
    head = ["command", "network", *(f"{version}, CPU s" for version in versions)]
    head += [*(f"{version} / limit" for version in versions), "goal", "met"]
    lines = []
    for name in report["commands"]:
        needs = COMMANDS[name].networks
        seconds, shares = [], []
        for version in versions:
            program = f"{version}: {name}"
            seconds.append(median(run["seconds"] for run in runs if run["program"] == program))
            shares.append(ratios(runs, program))
        goal = GOAL if needs else 0.5
        cells = [name, "yes" if needs else "", *(f"{value:.2f}" for value in seconds)]
        cells += [f"{median(share):.2f} ({min(share):.2f} to {max(share):.2f})" for share in shares]
        cells += [f"<= {goal}", "yes" if median(shares[-1]) <= goal else "no"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(
        [
            "# Start-up of the commands\n",
            f'CPU seconds (user and system) to the first useful output. Limit: `python -c "{LIMIT}"`, '
            f"{median(limit):.2f} CPU s ({min(limit):.2f} to {max(limit):.2f}) in the same rounds. "
            f"{len(limit)} rounds, medians; ratios are medians of the rounds (smallest to largest). One "
            "thread, bytecode cached.\n",
            described(report["machine"]),
            compared(versions),
            _table(head, lines),
            "Command: `python benchmarks/speed/startup.py --rounds "
            f"{len(limit)}{' --before FOLDER' if BEFORE in versions else ''}`.\n",
        ]
    )


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--before", type=Path, help="checkout of another version")
    parser.add_argument("--commands", help="names separated by semicolons; all by default")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args(arguments)


def checkouts_of(before: Path | None) -> dict[str, Path]:
    """Return version -> its checkout: this one, after the one that is compared with, if any."""
    return ({} if before is None else {BEFORE: before.resolve()}) | {AFTER: REPOSITORY}


def main(arguments: Sequence[str] | None = None) -> None:
    options = _arguments(arguments)
    checkouts = checkouts_of(options.before)
    commands = options.commands.split(";") if options.commands else list(COMMANDS)
    report = measure(checkouts, commands, options.rounds)
    keep("startup", report, to_markdown(report), options.out)


if __name__ == "__main__":
    main()
