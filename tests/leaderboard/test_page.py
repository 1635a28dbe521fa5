import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from vosbench.evaluation.record import Failure
from vosbench.formats.png import write_ids
from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.html.curves import curves
from vosbench.leaderboard.html.page import html
from vosbench.video import Video

VOID_TAGS = {"meta", "img", "br", "input", "path", "polyline", "wbr"}


class Page(HTMLParser):
    """Collects tags and text, and checks that tags are nested."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text, self.scripts = [], [], [], []
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
        (self.scripts if self.open[-1:] == ["script"] else self.text).append(data)

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
    write_ids(tmp_path / "davis16-mini" / "mpnet" / "bear" / "00002.png", np.ones((12, 16), np.uint8))
    text = html(boards, "T", videos={"davis16-mini": [video]}, masks=tmp_path)
    page = Page(text)
    addresses = [
        attrs[key] for _, attrs in page.tags for key in ("src", "href", "action", "data") if key in attrs
    ]
    assert addresses
    assert all(address.startswith("#") for address in addresses)
    # the name of the vector format is an address that nothing loads
    assert not re.search(r"https?://|@import|url\(", text.replace("http://www.w3.org/2000/svg", ""))
    assert not page.all("link")


def test_what_records_say_cannot_become_markup(make_record):
    evil = "<script>alert(1)</script><!--\"'&\u2028"
    record = make_record(evil, evil, provenance={"command": evil, "device": evil})
    text = html(make_boards([record]), evil)
    page = Page(text)
    assert "<script>alert" not in text
    assert page.open == []
    assert len(page.all("script")) == 2
    assert evil in page.text
    assert json.loads(page.scripts[0])["boards"][0]["rows"][0]["name"] == evil


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
    charts = [attrs for attrs in page.all("svg") if attrs.get("aria-label", "").startswith("J per frame")]
    assert len(charts) == 20
    assert charts[0]["aria-label"] == "J per frame of s00: mpnet (tiny) mean 0.60"


def test_a_curve_leaves_out_the_frames_the_protocol_leaves_out(make_record):
    record = replace(make_record(), frames=5, per_frame={"J": [1.0, None, 0.5]})
    (board,) = make_boards([record])
    (chart,) = curves(board)
    # 5 frames, 60 units apart; frames 1 and 3 have a value, frame 2 has none
    assert chart.lines[0].pieces == ("60.0,0.0", "180.0,40.0")
    assert chart.lines[0].mean == 0.75


def test_pictures_are_left_out_unless_asked_for(make_record):
    text = html(make_boards([make_record()]), "T")
    assert json.loads(Page(text).scripts[0])["pictures"] == {}


def test_a_thinned_page_says_so(make_record, video, tmp_path, monkeypatch):
    monkeypatch.setattr("vosbench.leaderboard.html.pictures.MOST_FRAMES", 2)
    text = html(make_boards([make_record(frames=5)]), "T", videos={"davis16": [video]}, masks=tmp_path)
    assert "pictures show one in 2 frames" in " ".join(Page(text).text)


def test_a_page_with_pictures_is_not_larger_than_allowed(make_record, video, tmp_path, monkeypatch):
    boards = make_boards([make_record(frames=5)])
    whole = html(boards, "T", videos={"davis16": [video]}, masks=tmp_path)
    # a thousand bytes are kept free for the line that says so
    allowed = len(whole.encode()) + 900
    monkeypatch.setattr("vosbench.leaderboard.html.page.LARGEST", allowed)
    thinned = html(boards, "T", videos={"davis16": [video]}, masks=tmp_path)
    shown = [json.loads(Page(text).scripts[0])["pictures"]["davis16"]["bear"] for text in (whole, thinned)]
    assert shown[0]["indices"] == [1, 2, 3]
    assert 1 <= len(shown[1]["indices"]) < 3
    assert len(thinned.encode()) <= allowed


def test_every_table_has_a_caption_and_every_control_a_label(make_record):
    page = Page(html(make_boards([make_record(sequence="camel"), make_record("b", "camel")]), "T"))
    tables = len(page.all("table"))
    assert tables == len(page.all("caption")) > 2
    fields = len(page.all("select")) + len(
        [attrs for attrs in page.all("input") if attrs["type"] == "search"]
    )
    assert fields <= len(page.all("label"))


def test_intervals_stand_below_the_values(val_records, make_record):
    spread = [make_record("wide", f"s{i:02d}", (i / 20, i / 20)) for i in range(20)]
    board = make_boards([*val_records, *spread])[0]
    low, high = board.rows[1].intervals["J_mean"].low, board.rows[1].intervals["J_mean"].high
    assert f"[{100 * low:.1f}, {100 * high:.1f}]" in Page(html([board], "T")).text


def test_attributes_have_a_table_and_a_filter(make_record):
    page = Page(html(make_boards([make_record(sequence="camel"), make_record(sequence="cows")]), "T"))
    assert {"data-attribute": "OCC"} in page.all("tr")
    assert {"value": "OCC"} in page.all("option")
    assert {"data-sequence": "camel", "data-attributes": "CS DEF IO"} in page.all("tr")


def test_what_needs_a_script_is_hidden_without_one(make_record):
    page = Page(html(make_boards([make_record()]), "T"))
    hidden = [name for name, attrs in page.tags if "hidden" in attrs]
    assert {"form", "button", "details"} <= set(hidden)
    assert {"class": "warning unscripted"} in page.all("p")


def test_equal_records_give_an_equal_page(val_records):
    assert html(make_boards(val_records), "T") == html(make_boards(val_records[::-1]), "T")


def test_a_method_that_failed_everywhere_is_a_missing_result_with_its_error(make_record):
    cell = ("broken", "", "davis16", "official", "val", "bear", "davis16-unsupervised")
    failure = Failure(*cell, error="out of memory", command="vosbench compare", time="")
    for records in ([], [make_record()]):
        page = Page(html(make_boards(records, failures=[failure]), "T"))
        assert "broken on bear: out of memory" in page.text
        assert json.loads(page.scripts[0])["boards"][0]["rows"][-1]["failures"] == {"bear": "out of memory"}
