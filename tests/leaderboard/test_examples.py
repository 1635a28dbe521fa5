"""Miniatures that end the page of a leaderboard whose own frames may not be published."""

import json
import re

import numpy as np
import pytest

from vosbench.errors import InputError
from vosbench.formats.png import write_ids
from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.build import build
from vosbench.leaderboard.check import check
from vosbench.leaderboard.html.examples import EXAMPLES, Examples, read_examples
from vosbench.leaderboard.html.pictures import Album, album
from vosbench.video import Video


@pytest.fixture
def examples(make_record, tmp_path):
    frames = [np.full((12, 16, 3), 90, np.uint8)] * 5
    names = tuple(f"{i:05d}" for i in range(5))
    video = Video("bear", frames, names, {i: np.eye(12, 16, dtype=np.uint8) for i in range(5)})
    for name in names:
        write_ids(tmp_path / "davis16-mini" / "mpnet" / "bear" / f"{name}.png", np.ones((12, 16), np.uint8))
    records = (make_record("mpnet", "bear", edition="mini", frames=5),)
    return Examples(records, album(make_boards(records), {"davis16-mini": [video]}, tmp_path, budget=10_000))


def test_records_and_pictures_are_read_as_they_were_written(examples, tmp_path):
    file = tmp_path / "examples.json"
    file.write_text(examples.text(), encoding="utf-8")
    again = read_examples(file)
    assert again == examples
    assert again.text() == examples.text()
    assert set(again.album.of["davis16-mini", "bear"].masks) == {"mpnet"}


def test_a_page_ends_with_the_examples_beside_its_tables_and_check_knows_them(
    examples, make_record, tmp_path
):
    records = tmp_path / "records"
    make_record("mpnet", "bear").write(records / "davis16/davis16-unsupervised/mpnet/bear.json")
    out = tmp_path / "out"
    (out / EXAMPLES).parent.mkdir(parents=True)
    (out / EXAMPLES).write_text(examples.text(), encoding="utf-8")
    build(records, [], [], out)
    page = (out / "leaderboard.html").read_text(encoding="utf-8")
    assert re.findall(r'data-label="([\w-]+)"', page) == ["davis16", "davis16-mini"]
    payload = json.loads(re.search(r'id="payload">(.*?)</script>', page)[1])
    assert list(payload["pictures"]) == ["davis16-mini"]
    # miniatures are on the page only, not in the tables that are cited
    assert "davis16-mini" not in (out / "leaderboard.md").read_text(encoding="utf-8")
    assert check(records, None, [], [], tables=out) == []
    (out / EXAMPLES).unlink()
    assert [finding.kind for finding in check(records, None, [], [], tables=out)] == ["outdated"]


def test_frames_of_a_real_data_set_are_neither_written_nor_read(make_record, examples, tmp_path):
    real = Examples((make_record("mpnet", "bear"),), Album({}))
    with pytest.raises(InputError, match="davis16 is no miniature"):
        real.text()
    file = tmp_path / "examples.json"
    file.write_text(examples.text().replace('"edition":"mini"', '"edition":"official"'), encoding="utf-8")
    with pytest.raises(InputError, match=r"examples.json: record 0: davis16 is no miniature"):
        read_examples(file)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('"indices":[1,2,3]', '"indices":[1,2]', "3 pictures of 2 frames"),
        ('"indices":[1,2,3]', '"indices":[1,2,9]', "a frame beyond the last one"),
        ('"width":16', '"width":"16"', "width is '16', must be a whole number"),
        ('"frames":5', '"frame":5', "record 0"),
    ],
)
def test_a_damaged_file_is_refused_by_name(examples, tmp_path, before, after, message):
    text = examples.text()
    assert before in text
    file = tmp_path / "examples.json"
    file.write_text(text.replace(before, after), encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_examples(file)
