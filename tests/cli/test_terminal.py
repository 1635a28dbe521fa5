"""What the command line shows while it works."""

import io
import re

import pytest
from rich.console import Console

from vosbench.cli.terminal import ProgressLines, duration, progress_bar, size


def test_lines_come_at_sensible_intervals_with_the_time_that_is_left(capsys):
    times = iter([0, 10, 40, 50, 69, 71])
    lines = ProgressLines("comparing", clock=lambda: next(times))
    for done, name in enumerate(["a", "b", "c", "d", "e"], start=1):
        lines(done, 10, name)
    assert capsys.readouterr().err.splitlines() == [
        "comparing: 2 of 10 after 40 s, 2 min 40 s left; b",
        "comparing: 5 of 10 after 1 min 11 s, 1 min 11 s left; e",
    ]


def test_what_is_waited_for_is_said_at_once_and_not_counted_into_the_rest(capsys):
    times = iter([0, 1, 2, 20, 33, 34, 35, 36, 50, 136])
    lines = ProgressLines("comparing", clock=lambda: next(times))
    lines.wait("importing PyTorch")
    for done in (0, 5, 8, 9):
        lines.wait("rendering davis16", done, 10)
    lines.wait("starting", 0, 100)
    lines(50, 100, "a")
    lines(60, 100, "b")
    lines(75, 100, "c")
    assert capsys.readouterr().err.splitlines() == [
        "comparing: importing PyTorch",
        "comparing: rendering davis16: 0 of 10",
        "comparing: rendering davis16: 8 of 10 after 31 s, 8 s left",
        "comparing: starting: 0 of 100",
        "comparing: 50 of 100 after 1 s, 1 s left; a",
        "comparing: 75 of 100 after 1 min 41 s, 34 s left; c",
    ]


def test_the_first_frame_of_many_is_announced_before_it_is_there(capsys):
    times = iter([0, 1, 60, 70])
    lines = ProgressLines("predicting", clock=lambda: next(times))
    lines.wait("loading stcnn")
    lines(0, 90, "bear")
    lines(1, 90, "bear")
    assert capsys.readouterr().err == "predicting: loading stcnn\npredicting: 0 of 90 after 0 s; bear\n"


def test_nothing_is_foretold_from_the_first_few(capsys):
    times = iter([0, 40])
    ProgressLines("comparing", clock=lambda: next(times))(12, 100, "a")
    assert capsys.readouterr().err == "comparing: 12 of 100 after 40 s; a\n"


def test_a_short_run_into_a_file_says_nothing(capsys):
    with progress_bar("comparing") as report:
        for done in range(100):
            report(done, None, "x")
    assert capsys.readouterr().err == ""


def test_the_bar_stays_one_line_in_a_narrow_window(monkeypatch):
    screen = io.StringIO()
    narrow = Console(file=screen, force_terminal=True, width=60)
    monkeypatch.setattr("rich.console.Console", lambda **_: narrow)
    with progress_bar("comparing") as report:
        report(1, 10, "a sequence with a name that is much longer than the window is wide, mpnet")
        narrow.width = 40
        report(2, 10, "a sequence with a name that is much longer than the window is wide, mpnet")
    # moving the cursor up is how a block of several lines would be drawn again
    assert "\x1b[1A" not in screen.getvalue().rsplit("\n", 2)[0]


def test_a_terminal_shows_what_is_waited_for_and_counts_each_thing_from_its_start(monkeypatch):
    screen = io.StringIO()
    window = Console(file=screen, force_terminal=True, width=100)
    monkeypatch.setattr("rich.console.Console", lambda **_: window)
    with progress_bar("comparing") as report:
        report.wait("rendering davis16", 3, 20)
        report(1, 240, "bear mpnet")
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())
    assert re.search(r"comparing .* 3/20 .*rendering davis16", shown)
    assert re.search(r"comparing .* 1/240 .*bear mpnet", shown)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min"), (95, "1 min 35 s"), (1200, "20 min"), (7500, "2 h 5 min")],
)
def test_durations_in_two_units(seconds, text):
    assert duration(seconds) == text


def test_sizes():
    assert [size(count) for count in (900, 2.5e6, 3.21e9)] == ["1 kB", "2.5 MB", "3.2 GB"]


def test_nothing_is_written_to_stdout(capsys):
    ProgressLines("x", clock=iter([0, 100]).__next__)(1, 2, "y")
    assert capsys.readouterr().out == ""
