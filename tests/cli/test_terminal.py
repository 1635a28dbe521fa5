"""What the command line shows while it works."""

import io

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
