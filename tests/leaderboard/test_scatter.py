import itertools

import pytest

from vosbench.leaderboard.assemble import make_boards
from vosbench.leaderboard.html.scatter import HEIGHT, WIDTH, scatters, speed_note


@pytest.fixture
def boards_of(make_record):
    """Boards of methods given as name: (J, seconds per frame, device)."""

    def make(methods):
        records = [
            make_record(
                name, j=(j, j), size="", seconds_per_frame={"segment": s}, provenance={"device": device}
            )
            for name, (j, s, device) in methods.items()
        ]
        return make_boards(records)[0]

    return make


def test_a_point_stands_at_its_rate_and_value(boards_of):
    (plot,) = scatters(boards_of({"slow": (0.3, 1.0, "cpu"), "fast": (0.6, 0.01, "cpu")}))
    assert [(point.name, point.rate, point.value) for point in plot.points] == [
        ("slow", 1, 0.3),
        ("fast", 100, 0.6),
    ]
    # one to a hundred frames per second, and up to 60 per cent
    assert [(point.x, point.y) for point in plot.points] == [(0, HEIGHT / 2), (WIDTH, 0)]
    assert [label for _, label in plot.ticks_x] == ["1", "10", "100"]
    assert [label for _, label in plot.ticks_y] == ["0", "15", "30", "45", "60"]


def test_rates_of_two_machines_are_never_in_one_chart(boards_of):
    methods = {
        "a": (0.3, 1.0, "cpu"),
        "b": (0.4, 0.1, "cpu"),
        "c": (0.5, 0.1, "cuda"),
        "d": (0.5, 0.2, "cuda"),
    }
    plots = scatters(boards_of(methods))
    assert {plot.stamp: {point.name for point in plot.points} for plot in plots} == {
        "cpu": {"a", "b"},
        "cuda": {"c", "d"},
    }


def test_one_method_alone_has_nothing_to_be_compared_with(boards_of):
    assert scatters(boards_of({"a": (0.3, 1.0, "cpu"), "b": (0.4, 0.1, "cuda")})) == []


def test_a_method_measured_on_several_machines_has_no_rate(make_record):
    records = [
        make_record(name, sequence, provenance={"device": device})
        for name in ("a", "b")
        for sequence, device in (("bear", "cpu"), ("dog", "cuda"))
    ]
    assert scatters(make_boards(records)[0]) == []


def test_labels_of_equal_methods_do_not_cover_each_other(boards_of):
    (plot,) = scatters(boards_of({f"method{i}": (0.5, 0.1, "cpu") for i in range(6)}))
    heights = sorted(point.label_y for point in plot.points)
    assert min(b - a for a, b in itertools.pairwise(heights)) >= 14


def test_a_board_says_how_busy_the_machine_was(make_record):
    load = {"before": 0.0, "after": 1.0, "cores": 2, "seconds": 5.0, "cpu_seconds": 5.0}
    (board,) = make_boards(
        [make_record("a", provenance={"load": load}), make_record("b", provenance={}, j=(0.1, 0.1))]
    )
    note = speed_note(board)
    assert note.startswith("frames/s: optical flow and segmentation, median over sequences; ")
    assert "load average 0.0 to 1.0 on 2 cores, 1.00 CPU seconds per second [a]" in note
    assert "load of the machine not recorded [b]" in note
    assert speed_note(make_boards([make_record(seconds_per_frame={})])[0]) == ""
