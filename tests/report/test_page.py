import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from vosbench.data.formats.png import write_ids
from vosbench.data.video import Video
from vosbench.errors import InputError
from vosbench.report.board import make_boards
from vosbench.report.curves import curves
from vosbench.report.page import html
from vosbench.report.pictures import chosen_sequences, strips

VOID_TAGS = {"meta", "img", "br", "input", "path", "polyline"}


class Page(HTMLParser):
    """Collects tags and text, and checks that tags are nested."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes the wrong tag"

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
def video():
    frames = [np.full((12, 16, 3), 90, np.uint8)] * 5
    annotations = {i: np.eye(12, 16, dtype=np.uint8) for i in range(5)}
    return Video("bear", frames, tuple(f"{i:05d}" for i in range(5)), annotations)


def test_the_page_is_well_formed_and_titled(val_records, make_reported):
    page = Page(html(make_boards(val_records, [make_reported(0.7)]), "My title"))
    assert page.open == []
    assert page.all("html")[0]["lang"] == "en"
    assert "My title" in page.text
    assert [attrs.get("name") for attrs in page.all("meta")] == [None, "viewport", "color-scheme"]


def test_nothing_is_loaded_from_elsewhere(val_records, video, tmp_path, make_record):
    boards = make_boards([*val_records, make_record(edition="mini", frames=5)])
    text = html(boards, "T", videos={"davis16-mini": [video]}, masks=tmp_path)
    page = Page(text)
    addresses = [
        attrs[key] for _, attrs in page.tags for key in ("src", "href", "action", "data") if key in attrs
    ]
    assert addresses
    assert all(address.startswith(("#", "data:image/jpeg;base64,")) for address in addresses)
    assert not re.search(r"https?://|@import|url\(", text)
    assert not page.all("link")


def test_what_records_say_cannot_become_markup(make_record):
    evil = "<script>alert(1)</script>\"'&"
    record = make_record(evil, evil, provenance={"command": evil, "device": evil})
    text = html(make_boards([record]), evil)
    page = Page(text)
    assert "<script>alert" not in text
    assert page.open == []
    assert len(page.all("script")) == 1
    assert evil in page.text


def test_every_measured_value_is_on_the_page(make_record):
    records = [make_record("one", "bear", (0.125,)), make_record("two", "bear", (0.75,))]
    text = " ".join(Page(html(make_boards(records), "T")).text)
    assert "12.5" in text
    assert "75.0" in text


def test_the_published_number_stands_beside_the_measured_one(val_records, make_reported):
    text = html(make_boards(val_records, [make_reported(0.7, note="a doubt")]), "T")
    page = Page(text)
    assert {"class": "mark", "style": "--at:0.700", "title": "published 70.0"} in page.all("span")
    assert page.text.count("differs") == 2
    assert "a doubt" in page.text


def test_a_miniature_edition_is_marked_and_has_no_published_number(make_record, make_reported):
    page = Page(html(make_boards([make_record(edition="mini")], [make_reported()]), "T"))
    assert "Miniature." in page.text
    assert not [attrs for attrs in page.all("span") if attrs.get("class") == "mark"]
    assert "published" not in " ".join(page.text).replace("any published number", "")


def test_bars_and_shades_stay_within_their_cells(make_record):
    record = make_record(values={"J_mean": 0.4, "T_mean": 1.7}, edition="mini")
    text = html(make_boards([record]), "T")
    assert "--value:0.400" in text
    # T is better when lower: far beyond 1 shades nothing
    assert "--shade:0.000" in text


def test_cells_sort_by_value_and_cells_without_one_are_empty(make_record):
    record = make_record(values={"J_mean": 0.4, "T_mean": None}, edition="mini")
    values = [attrs["data-value"] for attrs in Page(html(make_boards([record]), "T")).all("td")]
    assert "0.4" in values
    assert "" in values


def test_header_cells_have_a_scope_and_charts_a_description(val_records):
    page = Page(html(make_boards(val_records), "T"))
    assert all("scope" in attrs for attrs in page.all("th"))
    charts = page.all("svg")
    assert len(charts) == 20
    assert charts[0]["aria-label"] == "J per frame of s00: mpnet (tiny) mean 0.60"


def test_a_curve_leaves_out_the_frames_the_protocol_leaves_out(make_record):
    record = replace(make_record(), frames=5, per_frame={"J": [1.0, None, 0.5]})
    (board,) = make_boards([record])
    (chart,) = curves(board)
    # 5 frames, 60 units apart; frames 1 and 3 have a value, frame 2 has none
    assert chart.lines[0].pieces == ("60.0,0.0", "180.0,40.0")
    assert chart.lines[0].mean == 0.75


def test_easiest_median_and_hardest_sequence_are_pictured(make_record):
    records = [
        make_record(sequence=name, j=(value,))
        for name, value in zip("abcde", (0.1, 0.9, 0.5, 0.3, 0.7), strict=True)
    ]
    assert chosen_sequences(make_boards(records)[0]) == [
        ("b", "easiest: mean J_mean 90.0"),
        ("c", "median: mean J_mean 50.0"),
        ("a", "hardest: mean J_mean 10.0"),
    ]


def test_a_strip_shows_frame_truth_and_every_method(make_record, video, tmp_path):
    board = make_boards([make_record("one", frames=5), make_record("two", j=(0.1, 0.1), frames=5)])[0]
    write_ids(tmp_path / "one" / "bear" / "00002.png", np.ones((12, 16), np.uint8))
    (strip,) = strips(board, [video], tmp_path)
    assert strip.frame == "00002"
    assert [picture.caption for picture in strip.pictures] == ["frame", "ground truth", "one", "two"]
    assert [bool(picture.uri) for picture in strip.pictures] == [True, True, True, False]
    assert strip.pictures[3].alt == "No mask of two on bear was kept"


def test_a_mask_of_another_size_is_named(make_record, video, tmp_path):
    write_ids(tmp_path / "mpnet" / "bear" / "00002.png", np.ones((6, 8), np.uint8))
    with pytest.raises(InputError, match=r"00002\.png: not the size of the frames of bear"):
        strips(make_boards([make_record(frames=5)])[0], [video], tmp_path)


def test_pictures_are_left_out_unless_asked_for(make_record):
    assert "<img" not in html(make_boards([make_record()]), "T")
