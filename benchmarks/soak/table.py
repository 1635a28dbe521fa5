"""Table of the faults that were tried: ``tests/faults/RESULTS.md``, from the files in ``results``.

python benchmarks/soak/table.py
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from vosbench.files import write_text
from vosbench.leaderboard.tables import markdown_table

RESULTS = Path(__file__).parent / "results"
TABLE = Path(__file__).parents[2] / "tests" / "faults" / "RESULTS.md"

INTRODUCTION = """# Faults tried

Written by `python benchmarks/soak/table.py` from `benchmarks/soak/results`; do not edit. A fault is lost when
something else comes of it than is documented: a traceback, a wrong status, a process or a file left over,
other results after the same command was run again. Commands run as forks of one process that has imported
what they import; after kill -9 a command goes on in the same place and is killed again, up to four times,
before it may end. After kill -9 of a worker the command itself has to end with the right results. The workers
of `compare` in two processes are forks of the command; those of `compare` on Ray are of a cluster on the same
machine that outlives the commands, and is started where the extra `ray` is installed.

A run of some commands or faults alone (`--commands`, `--faults`) replaces their rows and keeps the others:
the command above a table makes its rows anew, at other random points, and further ones. A disk that is
full, and an output folder that is deleted, come at every operation on files, at most `--operations` of them.
"""


@dataclass(frozen=True)
class Row:
    """Faults of one kind.

    Attributes:
        subject: the command or reader.
        fault: what was done to it.
        tried, survived, lost: how often.
    """

    subject: str
    fault: str
    tried: int
    survived: int
    lost: int


def write_results(path: Path, title: str, command: str, rows: Sequence[Row]) -> None:
    """Write the figures of a run; those of earlier runs that it did not make again are kept.

    Args:
        path: a JSON file.
        title: of its part of the table.
        command: that makes the figures again.
        rows: the figures.
    """
    again = {(row.subject, row.fault): asdict(row) for row in rows}
    earlier = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else []
    # a row that was made again keeps its place
    kept = [again.pop((row["subject"], row["fault"]), row) for row in earlier]
    content = {"title": title, "command": command, "rows": [*kept, *again.values()]}
    write_text(path, json.dumps(content, indent=1) + "\n")


def table(results: Path) -> str:
    """Return the table of every file of results in a folder."""
    parts = [INTRODUCTION]
    for path in sorted(results.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = [Row(**row) for row in content["rows"]]
        total = Row(
            "all", "", *(sum(getattr(row, name) for row in rows) for name in ("tried", "survived", "lost"))
        )
        header = ("subject", "fault", "tried", "survived", "lost")
        body = [[str(value) for value in asdict(row).values()] for row in (*rows, total)]
        parts.append(
            f"## {content['title']}\n\n`{content['command']}`\n\n{markdown_table(header, body, 'llrrr')}\n"
        )
    return "\n".join(parts)


if __name__ == "__main__":
    write_text(TABLE, table(RESULTS))
    sys.stdout.write(f"{TABLE}\n")
