"""The page in a real browser: what a visitor clicks, types and sees.

Needs the Python package ``playwright`` and a Chromium, named by ``$CHROMIUM`` or on the path.
"""

import os
import shutil

import numpy as np
import pytest

from vosbench.formats.png import write_ids
from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.html.page import html
from vosbench.video import Video

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright, which is not installed")

SEQUENCES = {"camel": 0.3, "cows": 0.6, "blackswan": 0.9}
FRAMES = 12
HEIGHT, WIDTH = 36, 64


@pytest.fixture(scope="module")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if chromium is None:
        pytest.skip("no Chromium on the path: set CHROMIUM")
    with playwright.sync_playwright() as session:
        started = session.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


def left_part(share):
    """An id map whose left `share` is an object."""
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[:, : round(WIDTH * share)] = 1
    return ids


def values(level):
    """J of every frame that counts: `level`, with one bad frame, the fourth of the video."""
    return [0.02 if index == 2 else level for index in range(FRAMES - 2)]


@pytest.fixture
def page_file(make_record, make_reported, tmp_path):
    """Method "one" is right on the left half, "two" on the left quarter; the third has no pictures."""
    records, videos = [], []
    grey = [np.full((HEIGHT, WIDTH, 3), 90, np.uint8)] * FRAMES
    for name, level in SEQUENCES.items():
        names = tuple(f"{i:05d}" for i in range(FRAMES))
        videos.append(Video(name, grey, names, {i: left_part(0.5) for i in range(FRAMES)}))
        for model, share in (("one", 0.5), ("two", 0.25)):
            j = values(level * share * 2)
            fields = {"J_mean": sum(j) / len(j), "T_mean": 0.2}
            frames = {"J": j, "F": [0.5] * len(j)}
            records.append(make_record(model, name, size="", values=fields, per_frame=frames, frames=FRAMES))
            for frame in names:
                write_ids(tmp_path / "masks" / "davis16" / model / name / f"{frame}.png", left_part(share))
    fbms = {"dataset": "fbms", "split": "test", "protocol": "fbms-proposed", "per_frame": {}}
    records.append(make_record("three", "</script>", values={"f_measure": 0.5}, **fbms))
    published = make_reported(0.7, method="one", note="a doubt")
    boards = make_boards(records, [published], split_sizes={("davis16", "val"): 3})
    file = tmp_path / "page.html"
    text = html(boards, "Numbers", videos={"davis16": videos}, masks=tmp_path / "masks")
    file.write_text(text, encoding="utf-8")
    return file


@pytest.fixture
def visit(browser, page_file):
    """Open the page from its file without a network; whatever its script complains about fails the test."""
    problems, contexts = [], []

    def make(**options):
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        contexts.append(context)
        context.set_offline(True)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        page.goto(page_file.as_uri())
        return page

    yield make
    for context in contexts:
        context.close()
    assert problems == []


def names_of(page, table):
    return page.locator(f"{table} tbody tr:visible th").all_inner_texts()


def test_a_column_head_sorts_and_says_so(visit):
    page = visit()
    table = "table[data-metric=J_mean]"
    head = page.locator(f"{table} thead th", has_text="one")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert [text.split()[0] for text in names_of(page, table)] == ["blackswan", "cows", "camel"]
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert [text.split()[0] for text in names_of(page, table)] == ["camel", "cows", "blackswan"]


def test_filters_hide_methods_sequences_and_sections(visit):
    page = visit()
    form = page.locator("form.filters")
    form.get_by_label("Methods with").fill("TWO")
    assert [
        text.split()[0]
        for text in names_of(page, "#davis16-val-davis16-unsupervised table[data-kind=overall]")
    ] == ["two"]
    assert page.locator("table[data-metric=J_mean] thead th:visible").all_inner_texts() == ["sequence", "two"]
    form.get_by_label("Attribute").select_option("OCC")
    assert [text.split()[0] for text in names_of(page, "table[data-metric=J_mean]")] == ["cows"]
    form.get_by_label("Data set").select_option("fbms")
    assert page.locator("main > section:visible").count() == 1
    assert form.locator("output").inner_text() == "1 of 2 tables, 0 of 1 methods"
    form.get_by_role("button", name="Clear").click()
    page.wait_for_function("document.querySelectorAll('main > section:not([hidden])').length === 2")


def test_a_number_opens_its_record_and_the_record_its_frames(visit):
    page = visit()
    cell = page.locator("table[data-metric=J_mean] tr[data-sequence=cows] td").nth(1)
    cell.click()
    dialog = page.get_by_role("dialog")
    assert dialog.locator("h2").inner_text() == "two on cows"
    text = dialog.inner_text()
    assert "davis16/davis16-unsupervised/two/cows.json" in text
    assert "c0ffee" in text
    assert "git: commit" in text
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert cell.evaluate("cell => cell === document.activeElement")
    cell.click()
    dialog.get_by_role("button", name="Show its frames").click()
    assert page.locator("select[name=sequence]").first.input_value() == "cows"
    assert page.locator(".explorer figure[data-side=a] figcaption").first.inner_text().startswith("two")


def test_an_overall_number_shows_its_verdict(visit):
    page = visit()
    page.locator("tr[data-method=one] td[data-metric=J_mean]").first.click()
    text = page.get_by_role("dialog").inner_text()
    assert "not comparable" in text
    assert "a doubt" in text


def test_cells_are_reached_by_keyboard_alone(visit):
    page = visit()
    table = page.locator("table[data-metric=J_mean]")
    assert table.locator("tbody [tabindex='0']").count() == 1
    table.locator("tbody [tabindex='0']").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.get_by_role("dialog").locator("h2").inner_text() == "one on camel"


def test_arrow_keys_and_the_pointer_move_along_the_frames(visit):
    page = visit()
    slider = page.get_by_role("slider").first
    slider.focus()
    page.keyboard.press("Home")
    # the first frame does not count
    assert slider.get_attribute("aria-valuenow") == "1"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "frame 00003, J: one 2.0, two 2.0"
    page.keyboard.press("End")
    assert slider.get_attribute("aria-valuenow") == "10"
    box = slider.locator("svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 5 / 11, box["y"] + box["height"] / 2)
    assert slider.get_attribute("aria-valuenow") == "5"


def colour_at(page, side, x, y):
    script = (
        "([side, x, y]) => { const c = document.querySelector(`.explorer figure[data-side=${side}] canvas`);"
    )
    script += " return [...c.getContext('2d').getImageData(c.width * x, c.height * y, 1, 1).data]; }"
    return page.evaluate(script, [side, x, y])


def test_masks_are_drawn_over_the_frames(visit):
    page = visit()
    page.locator("input[name=truth]").first.uncheck()
    page.wait_for_function("document.querySelector('.explorer figure[data-side=b] canvas').width === 128")
    page.wait_for_timeout(100)
    red, _, blue, _ = colour_at(page, "a", 0.1, 0.5)
    assert red > blue + 30
    red, _, blue, _ = colour_at(page, "b", 0.1, 0.5)
    assert blue > red + 30
    # neither method sees anything on the right
    for side in "ab":
        assert max(colour_at(page, side, 0.9, 0.5)[:3]) - min(colour_at(page, side, 0.9, 0.5)[:3]) < 12


def test_where_two_methods_differ_is_drawn_and_told(visit):
    page = visit()
    page.locator("select[name=view]").first.select_option("difference")
    caption = page.locator(".explorer figure[data-side=difference] figcaption").first
    caption.get_by_text("only one").wait_for()
    text = caption.inner_text()
    assert "only one 25.0 %" in text
    assert "only two 0.0 %" in text
    assert "one is right on 100 %" in text
    page.locator("input[name=truth]").first.uncheck()
    page.wait_for_timeout(100)
    # right of the middle neither sees anything, between a quarter and the middle only the first does
    red, _, blue, _ = colour_at(page, "difference", 0.4, 0.5)
    assert red > blue + 100
    assert max(colour_at(page, "difference", 0.8, 0.5)[:3]) < 90


def test_the_worst_frames_come_first_and_a_click_goes_there(visit):
    page = visit()
    tiles = page.locator(".explorer").first.locator(".frames button")
    # three sequences have a frame as bad as each other; what is near to it is not listed again
    assert [text.split() for text in tiles.all_inner_texts()[:3]] == [
        [name, "00003", "J", "2.0"] for name in ("blackswan", "camel", "cows")
    ]
    tiles.nth(2).click()
    assert page.locator("select[name=sequence]").first.input_value() == "cows"
    assert page.get_by_role("slider").first.get_attribute("aria-valuenow") == "3"
    page.locator("select[name=order]").first.select_option("difference")
    assert tiles.first.inner_text().split()[0] == "blackswan"
    assert "88" not in tiles.first.inner_text()
    assert tiles.first.inner_text().split("J ")[1] == "90.0 and 45.0"


def test_the_two_methods_are_summed_up(visit):
    page = visit()
    told = page.locator(".explorer .versus").first
    assert told.inner_text() == "By J, one is ahead on 3 and two on 0 of 3 sequences."
    page.locator("select[name=letter]").first.select_option("F")
    assert told.inner_text() == "By F, one is ahead on 0 and two on 0 of 3 sequences."


def test_dark_follows_the_system_and_the_button(visit):
    page = visit(color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    button = page.get_by_role("button", name="Dark")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    light = page.evaluate(paper)
    assert button.get_attribute("aria-pressed") == "false"
    assert [sum(map(int, text[4:-1].split(","))) > 382 for text in (dark, light)] == [False, True]


def test_a_phone_needs_no_sideways_scrolling(visit):
    page = visit(viewport={"width": 360, "height": 740})
    page.evaluate("document.querySelectorAll('details').forEach((item) => { item.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_tables_are_there_without_a_script(visit):
    page = visit(java_script_enabled=False)
    assert "one" in page.locator("table[data-kind=overall]").first.inner_text()
    assert page.get_by_text("Without JavaScript").is_visible()
    assert not page.locator("form.filters").is_visible()
    assert not page.locator(".explorer").first.is_visible()
