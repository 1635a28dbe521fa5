"""Leaderboard files, built from records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from vosbench.errors import InputError
from vosbench.evaluation.record import Record
from vosbench.evaluation.store import read_failures, read_records
from vosbench.files import write_text
from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.bibtex import citations, load_bibliography, references
from vosbench.leaderboard.board import Board
from vosbench.leaderboard.conditions import Zoo
from vosbench.leaderboard.html.examples import EXAMPLES, Examples, read_examples
from vosbench.leaderboard.html.page import html
from vosbench.leaderboard.html.pictures import Album
from vosbench.leaderboard.latex import latex
from vosbench.leaderboard.published import load_published
from vosbench.leaderboard.reported import Reported, load_reported
from vosbench.leaderboard.status import MethodStatus, Status, method_statuses, trained_weights
from vosbench.leaderboard.tables import markdown
from vosbench.leaderboard.verdicts import Deviation, Tolerance, load_deviations
from vosbench.locks import claimed
from vosbench.models import METHODS
from vosbench.models.pretrained.zoo import shipped
from vosbench.video import Video

TITLE = "vosbench leaderboard"


def build(
    records_root: Path,
    reported: Sequence[Reported],
    deviations: Sequence[Deviation],
    out: Path,
) -> list[Path]:
    """Write ``leaderboard.md``, ``.html``, ``.tex`` and ``references.bib``; equal records give equal files.

    The page has no pictures of these records, so that frames of real data sets are never published by
    accident. With a file `EXAMPLES` in `out`, the page ends with its miniatures and their pictures.

    Args:
        records_root: folder with records, e.g. ``leaderboards/records``.
        reported: published numbers.
        deviations: accepted differences.
        out: folder to write to.

    Returns:
        The files written.

    Raises:
        InputError: the folder is missing or holds a file that is not a record.
    """
    return _write(out, contents(records_root, reported, deviations, examples=out / EXAMPLES))


def contents(
    records_root: Path,
    reported: Sequence[Reported],
    deviations: Sequence[Deviation],
    tolerance: Tolerance | None = None,
    *,
    examples: Path | None = None,
) -> dict[str, str]:
    """Return the text of every file that `build` writes, by name.

    Args:
        records_root: folder with records.
        reported: published numbers.
        deviations: accepted differences.
        tolerance: limits of the verdicts; the defaults of `Tolerance` when None.
        examples: miniatures to show on the page, where there is such a file.

    Raises:
        InputError: the folder is missing, or it or `examples` holds something else.
    """
    zoo = trained_weights(shipped())
    boards = make_boards(
        records_of(records_root), reported, deviations, tolerance, published=load_published(), zoo=zoo
    )
    added = (
        read_examples(examples) if examples is not None and examples.is_file() else Examples((), Album({}))
    )
    miniatures = make_boards(added.records, zoo=zoo)
    page = html([*boards, *miniatures], TITLE, pictures=added.album)
    return _texts(boards, _methods(boards, zoo)) | {"leaderboard.html": page}


def write_report(
    out: Path,
    *,
    videos: Mapping[str, Sequence[Video]] | None = None,
    lengths: Mapping[tuple[str, str], int] | None = None,
    pictures: bool = True,
) -> list[Path]:
    """Write the files of `build` into `out` after a comparison, with its missing results.

    Args:
        out: the folder of the comparison, with ``records/``, ``failures/`` and ``masks/``.
        videos: label (``"davis16"``, ``"davis16-mini"``) -> the sequences that were run: their frames
            become pictures.
        lengths: label and split -> number of sequences of a complete row; as
            `vosbench.leaderboard.assemble.make_boards` finds it when None.
        pictures: whether to put frames and masks on the page; mind the licence of the data.

    Returns:
        ``leaderboard.md``, ``leaderboard.html``, and the other files written.

    Raises:
        InputError: there are no records, or one of the files cannot be read.
    """
    # of several comparisons in one folder, the last one to write reads the records of all
    with claimed(out, "leaderboard", wait=math.inf):
        boards = make_boards(
            records_of(out / "records"),
            load_reported(),
            load_deviations(),
            split_sizes=lengths,
            published=load_published(),
            failures=read_failures(out),
            zoo=trained_weights(shipped()),
        )
        shown = (videos or {}) if pictures else {}
        page = {"leaderboard.html": html(boards, TITLE, videos=shown, masks=out / "masks")}
        return _write(out, _texts(boards, ()) | page)


def records_of(root: Path) -> list[Record]:
    """Return every record under a folder.

    Raises:
        InputError: the folder is missing or holds a file that is not a record.
    """
    if not root.is_dir():
        raise InputError(f"{root}: no such folder; it should hold the records of a comparison")
    return read_records(root)


def _methods(boards: Sequence[Board], zoo: Zoo) -> list[MethodStatus]:
    shown: dict[tuple[str, str], list[Status]] = {}
    for row in (row for board in boards for row in board.rows if row.kind == "measured"):
        shown.setdefault((row.method, row.size), []).append(row.status)
    return method_statuses(sorted(METHODS), zoo, shown)


def _texts(boards: Sequence[Board], methods: Sequence[MethodStatus]) -> dict[str, str]:
    cited = citations(boards, load_bibliography())
    return {
        "leaderboard.md": markdown(boards, TITLE, methods),
        "leaderboard.tex": latex(boards, cited),
        "references.bib": references(cited),
    }


def _write(out: Path, texts: Mapping[str, str]) -> list[Path]:
    # the two that people open come first
    names = sorted(texts, key=lambda name: (name != "leaderboard.md", name != "leaderboard.html", name))
    for name in names:
        write_text(out / name, texts[name])
    return [out / name for name in names]
