import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from vosbench.errors import InputError
from vosbench.evaluation.results.layout import find_root
from vosbench.evaluation.results.trees import open_tree
from vosbench.formats.image import read_frame, write_frame
from vosbench.formats.png import read_ids
from vosbench.inference.inspection import (
    InspectionRequest,
    Panels,
    arrange,
    beside,
    check_request,
    inspecting,
    parse_request,
)
from vosbench.inference.overlay import overlay
from vosbench.inference.prediction import predict
from vosbench.models.baselines import AllForeground
from vosbench.video import Segmentation, Video

HEIGHT, WIDTH = 60, 80
# the two ends of the colour map viridis
DARK, BRIGHT = (68, 1, 84), (253, 231, 37)


def test_maps_belong_to_the_frames_of_a_method_that_starts_later():
    video = Video("v", [np.full((HEIGHT, WIDTH, 3), 100, np.uint8)] * 3, ("a", "b", "c"))
    panels, plain = Panels(video, start=2), Panels(video)
    panels.show(0, "gates", np.ones((2, 2), np.float32))
    plain.show(2, "gates", np.ones((2, 2), np.float32))
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    for index in range(3):
        np.testing.assert_array_equal(panels.draw(index, ids), plain.draw(index, ids))


class Gated:
    """Shows gates of coarse cells for all frames ahead, as a method that works in windows does.

    Gate `channel` of frame t is 1 in cell (t, channel) and 0 elsewhere; the last frame has no motion.
    """

    task = "unsupervised"
    needs_flow = False
    inspectable = {"gates": "gates of a memory", "motion": "what moves"}  # noqa: RUF012

    def __init__(self, fails_at=None):
        self.inspection = None
        self.fails_at = fails_at

    def segment(self, video, first_mask=None):
        return Segmentation(self._maps(video), len(video))

    def _maps(self, video):
        asked = self.inspection
        for index in range(len(video) if asked else 0):
            if "motion" in asked.maps and index < len(video) - 1:
                asked.show(index, "motion", np.full((HEIGHT, WIDTH), 0.5, np.float32))
            for channel in asked.channels_of("gates", 8) if "gates" in asked.maps else ():
                gate = np.zeros((6, 8), np.float32)
                gate[index, channel] = 1
                asked.show(index, f"reset {channel}", gate)
                asked.show(index, f"update {channel}", 1 - gate)
        for index in range(len(video)):
            if index == self.fails_at:
                raise ZeroDivisionError
            ids = np.zeros((HEIGHT, WIDTH), np.uint8)
            ids[:30, :40] = 1
            yield ids


@pytest.fixture
def cat(tmp_path):
    random = np.random.default_rng(0)
    for index in range(4):
        write_frame(
            tmp_path / f"cat/{index:05}.png", random.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        )
    return tmp_path / "cat"


def video(frames=4, height=HEIGHT, width=WIDTH):
    return Video(
        "cat", [np.full((height, width, 3), 7, np.uint8)] * frames, tuple(f"{t:05}" for t in range(frames))
    )


def cell(panel, row, column, height=HEIGHT, width=WIDTH):
    """One picture of a panel: each has 20 pixels of title above it and 4 of gap around."""
    top, left = 4 + row * (height + 24) + 20, 4 + column * (width + 4)
    return panel[top : top + height, left : left + width]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_panel_shows_frame_motion_and_mask_over_a_row_per_gate(tmp_path, cat):
    request = InspectionRequest(("gates", "motion"), tmp_path / "seen", (3, 5))
    (done,) = predict(cat, Gated(), tmp_path / "out", inspect=request)
    assert done.panels == tmp_path / "seen/cat"
    assert names(done.panels) == names(done.folder) == [f"{t:05}.png" for t in range(4)]
    panel = read_frame(done.panels / "00002.png")
    assert panel.shape == (3 * (HEIGHT + 24) + 4, 3 * (WIDTH + 4) + 4, 3)
    frame = read_frame(cat / "00002.png")
    assert np.array_equal(cell(panel, 0, 0), frame)
    assert np.array_equal(cell(panel, 0, 2), overlay(frame, read_ids(done.folder / "00002.png")))
    assert len(np.unique(cell(panel, 0, 1).reshape(-1, 3), axis=0)) == 1
    for column, channel in enumerate((3, 5)):
        reset, update = cell(panel, 1, column), cell(panel, 2, column)
        where = np.zeros((HEIGHT, WIDTH), bool)
        where[20:30, 10 * channel : 10 * channel + 10] = True
        assert np.array_equal(reset, np.where(where[..., None], BRIGHT, DARK))
        assert np.array_equal(update, np.where(where[..., None], DARK, BRIGHT))


def test_a_frame_without_a_map_keeps_its_place(tmp_path, cat):
    request = InspectionRequest(("gates", "motion"), tmp_path / "seen", (3,))
    (done,) = predict(cat, Gated(), tmp_path / "out", inspect=request)
    first, last = (read_frame(done.panels / f"{name}.png") for name in ("00000", "00003"))
    assert first.shape == last.shape
    assert len(np.unique(cell(last, 0, 1))) == 1
    assert np.array_equal(cell(last, 1, 0)[30:40, 30:40], np.broadcast_to(BRIGHT, (10, 10, 3)))


def test_without_the_request_nothing_is_shown(tmp_path, cat):
    (done,) = predict(cat, Gated(), tmp_path / "out")
    assert done.panels is None
    assert names(tmp_path) == ["cat", "out"]


def test_title_tells_the_range_of_values():
    panels = Panels(video())
    quiet, loud = np.full((6, 8), 0.25, np.float32), np.linspace(0, 1, 48, dtype=np.float32).reshape(6, 8)
    titles = []
    for index, values in enumerate((quiet, quiet, loud)):
        panels.show(index, "map", values)
        titles.append(panels.draw(index, np.zeros((HEIGHT, WIDTH), np.uint8))[4:24])
    assert np.array_equal(titles[0], titles[1])
    assert not np.array_equal(titles[0], titles[2])


def test_map_shown_again_replaces_the_earlier_one():
    panels = Panels(video())
    panels.show(0, "map", np.zeros((6, 8), np.float32))
    panels.show(0, "map", np.ones((6, 8), np.float32))
    panel = panels.draw(0, np.zeros((HEIGHT, WIDTH), np.uint8))
    assert np.array_equal(cell(panel, 0, 1), np.broadcast_to(BRIGHT, (HEIGHT, WIDTH, 3)))


@pytest.mark.parametrize(("value", "colour"), [(-3, DARK), (7, BRIGHT), (np.nan, DARK)])
def test_values_outside_of_0_to_1_are_the_ends(value, colour):
    panels = Panels(video())
    panels.show(0, "map", np.full((6, 8), value, np.float32))
    panel = panels.draw(0, np.zeros((HEIGHT, WIDTH), np.uint8))
    assert np.array_equal(cell(panel, 0, 1), np.broadcast_to(colour, (HEIGHT, WIDTH, 3)))


def test_large_frames_are_reduced_to_480_pixels():
    panels = Panels(video(height=720, width=1280))
    panels.show(0, "map", np.ones((720, 1280), np.float32))
    panel = panels.draw(0, np.zeros((720, 1280), np.uint8))
    assert panel.shape == (270 + 24 + 4, 3 * (480 + 4) + 4, 3)
    assert np.array_equal(cell(panel, 0, 1, 270, 480), np.broadcast_to(BRIGHT, (270, 480, 3)))


def test_a_map_has_two_dimensions():
    with pytest.raises(ValueError, match=r"map 'gate 0' is \(h, w\), not \(1, 6, 8\)"):
        Panels(video()).show(0, "gate 0", np.zeros((1, 6, 8), np.float32))


def test_rows():
    assert arrange([]) == [["frame", "mask"]]
    assert arrange(["reset 3", "motion", "update 3", "reset 12", "update 12"]) == [
        ["frame", "motion", "mask"],
        ["reset 3", "reset 12"],
        ["update 3", "update 12"],
    ]
    many = arrange([f"branch {channel}" for channel in range(10)])
    assert [len(row) for row in many] == [2, 8, 2]
    assert arrange(["7"]) == [["frame", "7", "mask"]]


def test_a_long_video_keeps_no_maps():
    panels = Panels(video(frames=400))
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    tracemalloc.start()
    for index in range(400):
        panels.show(index, "motion", np.zeros((HEIGHT, WIDTH), np.float32))
        if index >= 20:
            panels.draw(index - 20, ids)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # a map has 4800 bytes as such: 21 wait at a time, 400 would take 1.9 MB
    assert peak < 1_000_000


def test_method_is_left_as_it_was(tmp_path, cat):
    request = InspectionRequest(("motion",), tmp_path / "seen")
    method = Gated()
    predict(cat, method, tmp_path / "out", inspect=request)
    assert method.inspection is None
    with inspecting(method, request, Panels(video())):
        assert method.inspection.channels_of("gates", 8) == (0, 1, 2)
        assert method.inspection.channels_of("branches", 2) == (0, 1)
    failing = Gated(fails_at=2)
    with pytest.raises(ZeroDivisionError):
        predict(cat, failing, tmp_path / "out", inspect=request)
    assert failing.inspection is None


def test_failure_halfway_leaves_nothing(tmp_path, cat):
    request = InspectionRequest(("motion",), tmp_path / "seen")
    with pytest.raises(ZeroDivisionError):
        predict(cat, Gated(fails_at=2), tmp_path / "out", inspect=request)
    assert names(tmp_path / "seen") == names(tmp_path / "out") == []


def test_earlier_panels_are_replaced_whole(tmp_path, cat):
    request = InspectionRequest(("motion",), tmp_path / "seen")
    predict(cat, Gated(), tmp_path / "out", inspect=request)
    (cat / "00003.png").unlink()
    (done,) = predict(cat, Gated(), tmp_path / "out", inspect=request)
    assert len(names(done.panels)) == 3


def test_panels_are_no_masks_for_scoring(tmp_path, cat):
    out = tmp_path / "results/lvo"
    request = InspectionRequest(("motion",), beside(out))
    (done,) = predict(cat, Gated(), out, inspect=request)
    assert done.panels == tmp_path / "results/lvo-inspect/cat"
    assert find_root(open_tree(out), ["cat"]) == ""
    assert names(out) == ["cat"]


def test_usual_folder_is_beside_the_masks(monkeypatch, tmp_path):
    assert beside(Path("out")) == Path("out-inspect")
    assert beside(Path("results/lvo/")) == Path("results/lvo-inspect")
    monkeypatch.chdir(tmp_path)
    assert beside(Path()) == tmp_path.parent / f"{tmp_path.name}-inspect"


def test_what_the_options_mean():
    out = Path("out")
    assert parse_request(None, None, None, out) is None
    assert parse_request("gates", None, None, out) == InspectionRequest(("gates",), Path("out-inspect"))
    asked = parse_request("gates, motion,gates", "3, 12,40,3", Path("there"), out)
    assert asked == InspectionRequest(("gates", "motion"), Path("there"), (3, 12, 40))


@pytest.mark.parametrize("channels", ["", "x", "1,-2", "1.5", "1;2"])
def test_channels_are_whole_numbers(channels):
    with pytest.raises(InputError, match=f"--channels {channels}: give whole numbers"):
        parse_request("gates", channels, None, Path("out"))


def test_options_that_say_nothing():
    with pytest.raises(InputError, match="--channels goes with --inspect"):
        parse_request(None, "3", None, Path("out"))
    with pytest.raises(InputError, match="--inspect-out goes with --inspect"):
        parse_request(None, None, Path("there"), Path("out"))


def test_maps_that_are_not_there():
    def refused(match, method, *maps, **options):
        with pytest.raises(InputError, match=match):
            check_request(method, InspectionRequest(maps, Path("seen"), **options))

    refused("this method has no maps to inspect; leave out inspect", AllForeground(), "gates")
    refused("unknown map to inspect 'gate': did you mean gates", Gated(), "motion", "gate")
    refused("unknown map to inspect 'x': choose from gates, motion", Gated(), "x")
    refused("no map to inspect is named; choose from gates, motion", Gated())
    refused("channel -1 to inspect: channels count from 0", Gated(), "gates", channels=(-1,))


def test_mistakes_are_found_before_anything_is_written(tmp_path, cat):
    with pytest.raises(InputError, match="no maps to inspect"):
        predict(
            cat,
            AllForeground(),
            tmp_path / "out",
            inspect=InspectionRequest(("gates",), tmp_path / "seen"),
        )
    assert names(tmp_path) == ["cat"]


@pytest.mark.parametrize("place", ["out", "out/cat", "."])
def test_panels_and_masks_do_not_replace_each_other(tmp_path, cat, place):
    request = InspectionRequest(("motion",), tmp_path / place)
    with pytest.raises(InputError, match=r"would replace"):
        predict(cat, Gated(), tmp_path / "out", inspect=request)
    assert names(tmp_path) == ["cat"]
    assert len(names(cat)) == 4


def test_panels_and_overlays_do_not_replace_each_other(tmp_path, cat):
    request = InspectionRequest(("motion",), tmp_path / "seen")
    with pytest.raises(InputError, match="seen/cat: masks, overlays and panels would replace each other"):
        predict(cat, Gated(), tmp_path / "out", inspect=request, overlay=tmp_path / "seen")
    with pytest.raises(InputError, match="out/cat: masks, overlays and panels would replace each other"):
        predict(cat, Gated(), tmp_path / "out", overlay=tmp_path / "out")


def test_panels_never_replace_other_things(tmp_path, cat):
    (tmp_path / "seen/cat").mkdir(parents=True)
    (tmp_path / "seen/cat/thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match=r"seen/cat: holds other things than \.png results"):
        predict(cat, Gated(), tmp_path / "out", inspect=InspectionRequest(("motion",), tmp_path / "seen"))
