"""Log of a user's first hour: every situation in a home folder of its own, with earlier code and with this.

    git worktree add --detach ../before COMMIT
    python benchmarks/first_hour/log.py --before ../before
    python benchmarks/first_hour/log.py --only 3 5 --before ../before    # those again, the others are kept

Writes ``results/runs.json`` and from it ``README.md``. Linux only.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from situations import SITUATIONS, SIZE, Situation

from vosbench.files import write_text
from vosbench.leaderboard.tables import markdown_table

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "runs.json"
LOG = HERE / "README.md"
ROOT = HERE.parents[1]

SIDES = ("before", "now")

LINES, COLUMNS = 8, 110
"""Of an output: how many lines are kept, and where longer ones are broken."""

PROGRAM = "import sys\nfrom vosbench.cli import main\nmain()\n"

INTRODUCTION = """# A user's first hour

Twenty situations of a user who is new here, each in a home folder of its own with [the files that it
needs](situations.py): what is typed, and what comes out, before (commit {before}) and now (commit {now}).

```bash
git worktree add --detach ../before {before}
python benchmarks/first_hour/log.py --before ../before
```

writes this page; do not edit. Outputs are those of a pipe, cut to {lines} lines and broken at {columns}
characters; `~` is the home folder. Videos are rendered, of {height} x {width} pixels. Seconds are those of
processors, of all processes, with one thread, imports included.
"""


@dataclass(frozen=True)
class Run:
    """A line of the shell that was run.

    Attributes:
        typed: the line.
        status: exit status of the shell.
        seconds: of processors.
        first: of `seconds`, before the first line came; None without a line.
        output: lines of both outputs as they came, cut.
    """

    typed: str
    status: int
    seconds: float
    first: float | None
    output: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--before", type=Path, help="worktree of the earlier code")
    parser.add_argument("--sides", nargs="*", choices=SIDES, default=SIDES, help="the other one is kept")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of situations")
    options = parser.parse_args(arguments)
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    if "before" in options.sides and options.before is None:
        parser.error("--before WORKTREE, or --sides now")
    trees = {"before": options.before, "now": ROOT}
    for number, situation in enumerate(SITUATIONS, start=1):
        if options.only and number not in options.only:
            continue
        for side in options.sides:
            tree = trees[side].resolve()
            runs = run(situation, tree)
            side_results = results.setdefault(side, {"runs": {}})
            side_results["commit"] = _commit(tree)
            side_results["runs"][str(number)] = [asdict(item) for item in runs]
            sys.stderr.write(f"{number} {side}: {', '.join(str(item.status) for item in runs)}\n")
            # a log that is ended early keeps what it has
            write_text(RESULTS, json.dumps(results, indent=1) + "\n")
    done = [set(results.get(side, {"runs": {}})["runs"]) for side in SIDES]
    if all(len(numbers) == len(SITUATIONS) for numbers in done):
        write_text(LOG, log(results))
    return 0


def _commit(tree: Path) -> str:
    """Return the last commit of the package, which a commit of the log itself leaves as it is."""
    command = ["git", "-C", str(tree), "log", "-1", "--format=%h", "--", "vosbench"]
    return subprocess.check_output(command, text=True).strip()  # noqa: S603


def run(situation: Situation, tree: Path) -> list[Run]:
    """Run the lines of a situation one after the other, in one home folder."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder).resolve()
        home, program = place / "home", place / "bin" / "vosbench"
        home.mkdir()
        program.parent.mkdir()
        program.write_text(f"#!{sys.executable}\n{PROGRAM}", encoding="utf-8")
        program.chmod(0o755)
        situation.make(home)
        environment = {
            "HOME": str(home),
            "PATH": f"{program.parent}:/usr/bin:/bin",
            "PYTHONPATH": str(tree),
            "PYTHONWARNINGS": "ignore",
            "OMP_NUM_THREADS": "1",
            "COLUMNS": "120",
            "LANG": "C.UTF-8",
        }
        names = {
            str(home): "~",
            str(tree): "vosbench-source",
            sys.prefix: "python",
            sys.base_prefix: "python",
        }
        return [_run(line, home, environment, names) for line in situation.typed]


def _run(line: str, home: Path, environment: Mapping[str, str], names: Mapping[str, str]) -> Run:
    process = subprocess.Popen(  # noqa: S603 - lines of the table
        ["bash", "-c", line],  # noqa: S607
        cwd=home,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    start = os.read(process.stdout.fileno(), 1 << 16)
    first = _processor_seconds(process.pid) if start else None
    rest = process.stdout.read()
    _, state, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(state)
    seconds = usage.ru_utime + usage.ru_stime
    text = (start + rest).decode(errors="replace")
    return Run(
        line,
        process.returncode,
        round(seconds, 1),
        # a process that has ended is counted with the others
        None if first is None else round(min(first, seconds), 1),
        cut(text, names),
    )


def _processor_seconds(session: int) -> float:
    """Return what the processes of a session, and those that they waited for, have used."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session:
            ticks += sum(int(value) for value in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def cut(text: str, names: Mapping[str, str]) -> tuple[str, ...]:
    """Return the lines of an output: folders of this machine by name, long outputs by their ends."""
    for folder in sorted(names, key=len, reverse=True):
        text = text.replace(folder, names[folder])
    text = re.sub(r"/tmp/\S+", "/tmp/...", text)  # noqa: S108
    # rules of tables are no news
    lines = [line for line in re.split(r"[\r\n]+", text) if re.search(r"\w", line)]
    lines = [part for line in lines for part in textwrap.wrap(line, COLUMNS, replace_whitespace=False)]
    if len(lines) <= LINES:
        return tuple(lines)
    left = LINES // 2
    right = LINES - left - 1
    return (*lines[:left], f"[{len(lines) - left - right} lines]", *lines[-right:])


def log(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the log as Markdown.

    Args:
        results: side -> commit, and number of a situation -> fields of `Run`.
    """
    runs = {side: _runs(side_results) for side, side_results in results.items()}
    introduction = INTRODUCTION.format(
        **{side: content["commit"] for side, content in results.items()},
        lines=LINES,
        columns=COLUMNS,
        height=SIZE[0],
        width=SIZE[1],
    )
    parts = [introduction, _overview(runs)]
    for number, situation in enumerate(SITUATIONS, start=1):
        parts.append(f"## {number}. {situation.title}\n")
        pairs = zip(runs["before"][number], runs["now"][number], strict=True)
        parts += [_section(before, now) for before, now in pairs]
    return "\n".join(parts)


def _runs(side: Mapping[str, Any]) -> dict[int, list[Run]]:
    return {
        int(number): [Run(**{**item, "output": tuple(item["output"])}) for item in runs]
        for number, runs in side["runs"].items()
    }


def _overview(runs: Mapping[str, Mapping[int, Sequence[Run]]]) -> str:
    header = ("", "situation", "status before", "now", "seconds before", "now")
    rows = []
    for number, situation in enumerate(SITUATIONS, start=1):
        statuses = [", ".join(str(run.status) for run in runs[side][number]) for side in SIDES]
        seconds = [
            ", ".join(f"{run.seconds:.1f}" for run in runs[side][number]) for side in ("before", "now")
        ]
        rows.append([str(number), situation.title, *statuses, *seconds])
    return f"{markdown_table(header, rows, 'rlrrrr')}\n"


def _section(before: Run, now: Run) -> str:
    outputs = "".join(
        f"\n{title}: status {run.status}, {run.seconds:.1f} s{_first(run)}\n\n```text\n"
        + "".join(f"{line}\n" for line in run.output)
        + "```\n"
        for title, run in (("Before", before), ("Now", now))
    )
    return f"```bash\n{now.typed}\n```\n{outputs}"


def _first(run: Run) -> str:
    return ", no line" if run.first is None else f", first line after {run.first:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
