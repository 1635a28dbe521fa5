"""The page in a real browser: what a visitor clicks, types and sees.

Needs the Python package ``playwright`` and a Chromium, named by ``$CHROMIUM`` or on the path.
"""

import csv
import os
import shutil
from pathlib import Path
from urllib.parse import urlencode

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

    def make(file=page_file, fragment="", **options):
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options})
        contexts.append(context)
        context.set_offline(True)
        page = context.new_page()
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        page.goto(file.as_uri() + fragment)
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
    # waits for the end of scrolling
    slider.locator("svg").hover(position={"x": box["width"] * 5 / 11, "y": box["height"] / 2})
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


def fragment(**view):
    return "#davis16-val-davis16-unsupervised?" + urlencode(view)


def test_a_link_restores_sequence_frame_methods_measure_and_view(visit):
    page = visit()
    explorer = page.locator(".explorer").first
    explorer.locator("select[name=sequence]").select_option("cows")
    explorer.locator("select[name=a]").select_option(label="two")
    explorer.locator("select[name=b]").select_option(label="one")
    explorer.locator("select[name=letter]").select_option("F")
    explorer.locator("select[name=view]").select_option("difference")
    page.get_by_role("slider").first.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    link = explorer.get_by_role("link", name="Link to this frame").get_attribute("href")
    assert link == fragment(sequence="cows", frame=9, a="two", b="one", measure="F", view="difference")

    again = visit(fragment=link).locator(".explorer").first
    chosen = {
        name: again.locator(f"select[name={name}]") for name in ("sequence", "a", "b", "letter", "view")
    }
    assert chosen["sequence"].input_value() == "cows"
    assert [chosen[side].locator("option:checked").inner_text() for side in "ab"] == ["two", "one"]
    assert [chosen[name].input_value() for name in ("letter", "view")] == ["F", "difference"]
    assert again.get_by_role("slider").get_attribute("aria-valuenow") == "9"
    # the page scrolls smoothly
    again.page.wait_for_function(
        "item => Math.abs(item.getBoundingClientRect().top) < 40", arg=again.element_handle()
    )


def test_a_link_is_followed_on_the_page_and_back_again(visit):
    page = visit(fragment=fragment(sequence="cows", frame=4))
    slider = page.get_by_role("slider").first
    assert slider.get_attribute("aria-valuenow") == "4"
    page.evaluate("address => { location.hash = address; }", fragment(sequence="camel", frame=7))
    page.wait_for_function("document.querySelector('[role=slider]').getAttribute('aria-valuenow') === '7'")
    page.go_back()
    page.wait_for_function("document.querySelector('[role=slider]').getAttribute('aria-valuenow') === '4'")
    assert page.locator("select[name=sequence]").first.input_value() == "cows"


@pytest.mark.parametrize(
    ("address", "lost"),
    [
        (fragment(sequence="<b>bear</b>", frame=4), "sequence <b>bear</b>"),
        (fragment(sequence="cows", frame="1e9", a="<img src=x>"), "method <img src=x>"),
        ("#%E0%A4%A?sequence=cows", "table %E0%A4%A"),
        ("#theme?sequence=cows", "table theme"),
    ],
)
def test_a_link_to_what_is_not_there_says_so_in_plain_text(visit, address, lost):
    page = visit(fragment=address)
    line = page.locator("#lost")
    assert line.inner_text() == f"This page lacks what its address names: {lost}."
    assert line.locator("*").count() == 0


def downloaded(page, caption):
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Download as CSV: {caption}").first.click()
    with Path(download.value.path()).open(encoding="utf-8", newline="") as file:
        return download.value.suggested_filename, list(csv.reader(file))


def test_a_table_is_downloaded_as_csv_unrounded_with_intervals_and_published_values(visit):
    name, rows = downloaded(visit(), "Overall")
    assert name == "davis16-val-davis16-unsupervised-overall.csv"
    head, *lines = rows
    assert head[:4] == ["method", "J_mean", "J_mean: 95 % interval", "published"]
    assert head[4] == "published: metric, verdict, source"
    one, two = (dict(zip(head, line, strict=True)) for line in lines)
    # nine good frames of ten, and one of 0.02, on sequences of 0.3, 0.6 and 0.9
    assert float(one["J_mean"]) == pytest.approx((0.6 * 9 + 0.02) / 10)
    assert (one["method"], two["method"]) == ("one", "two")
    assert (one["published"], two["published"]) == ("0.7", "")
    assert one["published: metric, verdict, source"].startswith("J_mean, not comparable, ")


def test_a_download_has_the_rows_and_columns_that_are_shown(visit):
    page = visit()
    page.locator("form.filters").get_by_label("Methods with").fill("two")
    page.locator("form.filters").get_by_label("Sequences with").fill("c")
    page.locator("table[data-metric=J_mean] thead th", has_text="sequence").locator("button").click()
    _, rows = downloaded(page, "J_mean of every sequence")
    assert [row[0] for row in rows] == ["sequence", "blackswan", "camel", "cows"]
    assert {len(row) for row in rows} == {2}
    assert rows[0] == ["sequence", "two"]


def test_a_name_that_looks_like_a_formula_is_text_in_a_spreadsheet(visit, make_record, page_file):
    record = make_record('=HYPERLINK("x","y")', "a,b", size="", values={"J_mean": 0.5})
    page_file.write_text(html(make_boards([record]), "T"), encoding="utf-8")
    _, rows = downloaded(visit(), "Overall")
    assert rows[1][0] == '\'=HYPERLINK("x","y")'


def test_the_tick_of_a_published_value_is_explained(visit):
    page = visit()
    legend = page.locator("section").first.locator("p.legend")
    assert "the tick is J_mean as published" in legend.inner_text()
    assert legend.locator(".mark").is_visible()
    assert "tick" not in page.locator("section").nth(1).locator("p.legend").inner_text()


def test_a_page_without_pictures_says_where_they_come_from(visit, make_record, page_file):
    page_file.write_text(html(make_boards([make_record()]), "T"), encoding="utf-8")
    line = visit().locator(".problem").inner_text()
    assert "vosbench compare --datasets davis16 --data-root FOLDER" in line
    assert "vosbench data list davis16" in line


COMMITTED = Path(__file__).parents[2] / "leaderboards" / "leaderboard.html"


@pytest.fixture
def committed(visit):
    return lambda width, **options: visit(COMMITTED, viewport={"width": width, "height": 844}, **options)


def test_overall_tables_of_the_committed_page_are_not_cut_on_a_screen_of_1440(committed):
    page = committed(1440)
    widths = page.evaluate(
        "[...document.querySelectorAll('table[data-kind=overall]')].map((table) => table.parentElement)"
        ".map((box) => box.scrollWidth - box.clientWidth)"
    )
    assert len(widths) > 3
    assert set(widths) == {0}


def test_a_phone_shows_method_value_and_published_value_beside_each_other(committed):
    page = committed(390, is_mobile=True, has_touch=True)
    page.evaluate("document.querySelectorAll('details').forEach((item) => { item.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    row = page.locator("#davis16-val-davis16-unsupervised tr[data-method^='FSEG/FusionSeg (authors']").first
    name, value, published = (row.locator("th, td").nth(place).bounding_box() for place in range(3))
    assert name["x"] + name["width"] <= value["x"] + 1
    assert value["x"] + value["width"] <= published["x"] + 1
    assert published["x"] + published["width"] <= 390
    assert "70.7" in row.locator("td.paper").inner_text()
    # the lines of the name: the height of all names without their status, in lines of 1.55 times 0.9 rem
    tallest = page.evaluate(
        "Math.max(...[...document.querySelectorAll('table[data-kind=overall] tbody th')].map((cell) => {"
        " const range = document.createRange(); range.selectNodeContents(cell);"
        " return new Set([...range.getClientRects()].map((box) => Math.round(box.bottom / 8))).size; }))"
    )
    assert tallest <= 4


def test_the_committed_page_shows_miniatures_and_says_where_real_pictures_come_from(committed):
    page = committed(1440)
    mini = page.locator("section[data-label=davis16-mini]").first
    assert "Miniature." in mini.locator(".warning").first.inner_text()
    canvas = mini.locator(".explorer figure[data-side=a] canvas")
    canvas.scroll_into_view_if_needed()
    page.wait_for_function("canvas => canvas.width > 300", arg=canvas.element_handle())
    real = page.locator("section[data-label=davis16]").first
    real.locator(".explorer summary").click()
    line = real.locator(".problem")
    assert "vosbench compare --datasets davis16 --data-root FOLDER" in line.inner_text()
    line.get_by_role("link").click()
    # the page scrolls smoothly
    page.wait_for_function(
        "item => item.getBoundingClientRect().top < innerHeight", arg=mini.element_handle()
    )


def test_links_and_downloads_are_reached_by_keyboard(visit):
    page = visit()
    for role, name in (("link", "Link to this frame"), ("button", "Download as CSV: Overall")):
        item = page.get_by_role(role, name=name).first
        item.focus()
        page.keyboard.press("Shift+Tab")
        page.keyboard.press("Tab")
        assert item.evaluate("item => item === document.activeElement")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    with page.expect_download():
        page.keyboard.press("Enter")
