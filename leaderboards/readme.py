"""Write the tables of DAVIS 2016 val in README.md from the records.

``python leaderboards/readme.py`` after ``vosbench leaderboard build``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from vosbench.files import write_text
from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.board import Board, BoardRow
from vosbench.leaderboard.build import records_of
from vosbench.leaderboard.conditions import flow_name
from vosbench.leaderboard.published import load_published
from vosbench.leaderboard.reported import load_reported
from vosbench.leaderboard.tables import markdown_table, show, show_interval
from vosbench.leaderboard.verdicts import load_deviations

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
RECORDS = ROOT / "leaderboards" / "records"

_METRICS = ("J_mean", "F_mean", "T_mean")
_TABLE = re.compile(r"(<!-- (davis16-[\w-]+) -->\n).*?(?=<!-- end -->)", re.DOTALL)
"""A table stands between a comment that names its protocol and ``<!-- end -->``."""


def updated(text: str) -> str:
    """Return a text with its tables as the records give them.

    Raises:
        KeyError: a comment names a protocol that DAVIS 2016 has no records of.
    """
    boards = make_boards(records_of(RECORDS), load_reported(), load_deviations(), published=load_published())
    of_val = {board.protocol.id: board for board in boards if _is_val(board)}
    return _TABLE.sub(lambda found: f"{found[1]}\n{table(of_val[found[2]])}\n\n", text)


def table(board: Board) -> str:
    """Return the complete rows of a board that were measured here, best J first, beside published J."""
    rows = [row for row in board.rows if row.kind == "measured" and board.complete(row)]
    rows.sort(key=lambda row: -(row.values["J_mean"] or 0.0))
    header = ["method", "flow", "J", "F", "T (lower is better)", "J published"]
    return markdown_table(header, [_cells(row) for row in rows], "llrrrr")


def _is_val(board: Board) -> bool:
    return (board.dataset, board.split, board.mini) == ("davis16", "val", False)


def _cells(row: BoardRow) -> Sequence[str]:
    flows = {flow_name(record.provenance.get("flow")) for record in row.records.values()}
    j, f, t = (show(metric, row.values.get(metric)) for metric in _METRICS)
    published = row.headline("J_mean")
    # a number reached under other conditions needs its remark, which the leaderboard has
    like = published is not None and published.verdict.kind in ("reproduced", "close", "differs")
    beside = show("J_mean", published.published.value) if published is not None and like else ""
    return [row.name, ", ".join(sorted(flows)), f"{j} {show_interval(row, 'J_mean')}".strip(), f, t, beside]


if __name__ == "__main__":
    write_text(README, updated(README.read_text(encoding="utf-8")))
