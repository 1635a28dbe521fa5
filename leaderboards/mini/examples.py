"""Write examples.json: the miniatures, with pictures, that end the page of this leaderboard.

``python leaderboards/mini/examples.py RESULTS DATA`` after
``vosbench data mini davis16 --data-root DATA`` and
``vosbench compare --datasets davis16 --data-root DATA --limit 2 --out RESULTS``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from vosbench.data.catalogue import open_dataset
from vosbench.files import write_text
from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.build import records_of
from vosbench.leaderboard.html.examples import Examples
from vosbench.leaderboard.html.pictures import album

FILE = Path(__file__).with_suffix(".json")

BUDGET = 1_000_000
"""Bytes of the pictures: they are part of the repository, and of the page."""


def examples(results: Path, data: Path) -> Examples:
    """Return the records of a comparison of miniatures and the pictures of their sequences.

    Raises:
        InputError: a folder is missing or holds something else.
    """
    records = records_of(results / "records")
    editions = {(record.label, record.dataset, record.split) for record in records}
    videos = {label: open_dataset(dataset, data, split) for label, dataset, split in sorted(editions)}
    return Examples(tuple(records), album(make_boards(records), videos, results / "masks", budget=BUDGET))


if __name__ == "__main__":
    write_text(FILE, examples(Path(sys.argv[1]), Path(sys.argv[2])).text())
