"""FusionSeg's training masks: four rules, each with hand-computed boxes, and a run that can be resumed."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vosbench.data.bootstrap import MaskFolder, Report, flow_source, of_frames, of_method, prepare
from vosbench.data.bootstrap_rules import (
    BootstrapSettings,
    Counts,
    Rectangle,
    contrast,
    fill,
    inside_boxes,
    judge,
    leaves_room,
    moves_apart,
    overlap,
    overlaps_enough,
    pixels,
    tight,
)
from vosbench.data.datasets.fusionseg_vid import FusionSegVid
from vosbench.data.formats.image import write_frame
from vosbench.data.formats.png import read_ids, write_ids
from vosbench.data.video import Box, Segmentation, Video
from vosbench.errors import InputError
from vosbench.flow.estimators import build_estimator

SIZE = (40, 60)
BOX = Box(1, "dog", 20, 10, 20, 20)
"""Columns 20..39, rows 10..29: 400 pixels."""


def region(rows, columns):
    mask = np.zeros(SIZE, bool)
    mask[slice(*rows), slice(*columns)] = True
    return mask


def disc():
    """Touches all sides of BOX and fills about 79 % of it."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    return (x - 29.5) ** 2 + (y - 19.5) ** 2 <= 100


def flow_over(mask, motion=(5.0, 0.0)):
    field = np.zeros((2, *SIZE), np.float32)
    field[:, mask] = np.array(motion)[:, None]
    return field


def image_over(mask, colour):
    image = np.full((*SIZE, 3), 255, np.uint8)
    image[mask] = colour
    return image


RED_IN_BOX = image_over(region((10, 30), (20, 40)), (255, 0, 0))


# Rule 1


def test_foreground_outside_all_boxes_is_background():
    mask = np.ones(SIZE, bool)
    other = Box(2, "cat", 0, 0, 3, 2)
    pruned = inside_boxes(mask, [BOX, other])
    assert pruned.sum() == 400 + 6
    assert pruned[10:30, 20:40].all()
    assert pruned[:2, :3].all()
    assert not inside_boxes(mask, []).any()


def test_boxes_are_cut_at_the_frame_and_rounded_to_pixels():
    assert pixels(Box(1, "", -5, 35, 10, 10), SIZE) == Rectangle(35, 0, 40, 5)
    assert pixels(Box(1, "", 1.4, 2.6, 3.2, 3.2), SIZE) == Rectangle(3, 1, 6, 5)
    assert pixels(Box(1, "", 70, 5, 10, 10), SIZE).area == 0
    assert pixels(BOX, SIZE, 2) == Rectangle(0, 10, 40, 50)
    assert pixels(Box(1, "", 0, 0, 10, 10), SIZE, 2) == Rectangle(0, 0, 15, 15)


# Rule 2


def test_the_overlap_is_that_of_the_tight_rectangle():
    corners = region((12, 13), (22, 23)) | region((28, 29), (38, 39))
    assert tight(corners, BOX) == Rectangle(12, 22, 29, 39)
    assert overlap(corners, BOX) == pytest.approx(17 * 17 / 400)
    assert tight(region((0, 5), (0, 5)), BOX) is None
    assert overlap(region((0, 5), (0, 5)), BOX) == 0
    # what hangs out of the box does not count
    assert overlap(region((0, 40), (0, 40)), BOX) == 1


def test_a_mask_of_half_the_height_of_the_box_is_dropped():
    half = region((10, 20), (20, 40))
    assert overlap(half, BOX) == 0.5
    assert not overlaps_enough(half, BOX)


def test_exactly_three_quarters_are_enough():
    assert overlaps_enough(region((10, 25), (20, 40)), BOX)
    assert not overlaps_enough(region((10, 24), (20, 40)), BOX)
    assert not overlaps_enough(np.zeros(SIZE, bool), BOX, least=0)


# Rule 3


def test_a_box_that_is_covered_is_dropped():
    assert fill(np.ones(SIZE, bool), BOX) == 1
    assert not leaves_room(np.ones(SIZE, bool), BOX)


def test_more_than_95_percent_is_too_much():
    mask = region((10, 29), (20, 40))
    assert fill(mask, BOX) == 0.95
    assert leaves_room(mask, BOX)
    mask[29, 20] = True
    assert not leaves_room(mask, BOX)


# Rule 4


def test_the_contrast_is_between_the_box_and_its_surroundings_with_it():
    # twice the box is rows 0..39, columns 10..49: 1600 pixels, a quarter of them red
    assert contrast(RED_IN_BOX, BOX) == pytest.approx(0.75 * 255 * np.sqrt(2))
    assert moves_apart(RED_IN_BOX, BOX)


def test_the_same_flow_inside_and_outside_is_dropped():
    assert contrast(np.full((*SIZE, 3), 77, np.uint8), BOX) == 0
    assert not moves_apart(np.full((*SIZE, 3), 77, np.uint8), BOX)


def test_a_contrast_of_exactly_30_is_too_little():
    grey = image_over(region((10, 30), (20, 40)), (215, 255, 255))
    assert contrast(grey, BOX) == 30
    assert not moves_apart(grey, BOX)
    assert moves_apart(grey, BOX, above=29.9)
    assert moves_apart(image_over(region((10, 30), (20, 40)), (214, 255, 255)), BOX)


def test_a_box_outside_of_the_frame_is_dropped_by_every_rule():
    away = Box(1, "", 100, 100, 5, 5)
    mask = np.ones(SIZE, bool)
    assert not overlaps_enough(mask, away)
    assert not leaves_room(mask, away)
    assert not moves_apart(RED_IN_BOX, away)


# All rules


def test_every_box_is_counted_by_the_first_rule_that_drops_it():
    boxes = [
        BOX,
        Box(2, "", 0, 0, 8, 8),  # empty
        Box(3, "", 48, 30, 10, 10),  # covered
        Box(4, "", 0, 20, 10, 10),  # no contrast
    ]
    mask = disc() | region((30, 40), (48, 58)) | region((20, 29), (0, 10))
    kept, counts = judge(mask, boxes, lambda: RED_IN_BOX, BootstrapSettings())
    assert counts == Counts(4, 1, 1, 1, 1)
    assert (kept == disc()).all()


def test_a_dropped_box_takes_nothing_from_a_kept_one():
    inner = Box(2, "", 25, 15, 8, 8)
    kept, counts = judge(disc(), [BOX, inner], lambda: RED_IN_BOX, BootstrapSettings())
    assert counts == Counts(2, 0, 1, 0, 1)
    assert (kept == disc()).all()


def test_flow_is_not_painted_when_no_box_gets_that_far():
    def never():
        raise AssertionError("painted")

    assert judge(np.ones(SIZE, bool), [BOX], never, BootstrapSettings())[1] == Counts(1, 0, 1, 0, 0)


boxes = st.lists(
    st.builds(
        Box,
        st.just(1),
        st.just(""),
        st.floats(-10, 60),
        st.floats(-10, 40),
        st.floats(1, 50),
        st.floats(1, 40),
    ),
    max_size=4,
)
fractions = st.floats(0, 1)


@given(st.integers(0, 2**31), boxes, fractions, fractions, st.floats(0, 120), st.data())
def test_a_stricter_threshold_never_keeps_more(seed, found, least, most, above, data):
    rng = np.random.default_rng(seed)
    mask = np.kron(rng.random((5, 6)) < 0.8, np.ones((8, 10), bool))
    image = np.kron(rng.integers(0, 256, (5, 6, 3), np.uint8), np.ones((8, 10, 1), np.uint8))
    loose = BootstrapSettings(least, most, above)
    strict = data.draw(
        st.sampled_from(
            [
                replace(loose, overlap=data.draw(st.floats(least, 1))),
                replace(loose, fill=data.draw(st.floats(0, most))),
                replace(loose, contrast=data.draw(st.floats(above, 200))),
            ]
        )
    )
    more, many = judge(mask, found, lambda: image, loose)
    fewer, few = judge(mask, found, lambda: image, strict)
    assert few.kept <= many.kept
    assert not (fewer & ~more).any()
    assert not (more & ~mask).any()
    assert many.boxes == len(found) == sum(many.values[1:])


# A run


def video(name="clip", frames=4, marked=(0, 2, 3), found=(BOX,)):
    rng = np.random.default_rng(5)
    pictures = [rng.integers(0, 256, (*SIZE, 3), np.uint8) for _ in range(frames)]
    names = tuple(f"{k:06d}" for k in range(frames))
    return Video(name, pictures, names, boxes={k: tuple(found) for k in marked})


class Counting:
    """A segmenter that knows how often it was asked."""

    def __init__(self, mask=None):
        self.mask = disc() if mask is None else mask
        self.asked = []

    def __call__(self, video, index):
        self.asked.append((video.name, index))
        return self.mask


def moving(video, index):
    return flow_over(region((10, 30), (20, 40)))


def test_a_run_writes_masks_list_and_report(tmp_path):
    done = []
    report = prepare(
        [video("a"), video("b", marked=(1,)), video("none", marked=())],
        Counting(),
        moving,
        tmp_path,
        progress=lambda *state: done.append(state),
        provenance={"appearance": "test"},
    )
    assert report == Report(4, 4, 4, 0, 0, 0, 4)
    folder = tmp_path / "fusionseg_vid"
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*.png")) == [
        "Annotations/a/000000.png",
        "Annotations/a/000002.png",
        "Annotations/a/000003.png",
        "Annotations/b/000001.png",
    ]
    assert (read_ids(folder / "Annotations/a/000002.png") == disc()).all()
    assert (folder / "frames.txt").read_text() == "a/000000\na/000002\na/000003\nb/000001\n"
    written = json.loads((folder / "report.json").read_text())
    assert (written["frames"], written["kept"], written["provenance"]) == (4, 4, {"appearance": "test"})
    assert written["settings"] == {
        "overlap": 0.75,
        "fill": 0.95,
        "contrast": 30,
        "context": 2,
        "probability": 0.5,
    }
    assert done == [(1, 3), (2, 3), (3, 3)]


def test_the_reader_reads_what_was_written(tmp_path):
    source = video("a")
    prepare([source], Counting(), moving, tmp_path)
    for name, frame in zip(source.frame_names, source.frames, strict=True):
        write_frame(tmp_path / f"fusionseg_vid/JPEGImages/a/{name}.png", frame)
    (read,) = FusionSegVid(tmp_path)
    assert list(read.annotations) == [0, 2, 3]
    assert (read.annotations[3] == disc()).all()


def test_no_flow_contrast_leaves_no_mask(tmp_path):
    def everything(video, index):
        return np.full((2, *SIZE), 3, np.float32)

    assert prepare([video()], Counting(), everything, tmp_path) == Report(3, 0, 3, 0, 0, 3, 0)
    assert not list(tmp_path.rglob("*.png"))


def test_finished_frames_are_not_made_again(tmp_path):
    first = prepare([video()], Counting(), moving, tmp_path)
    again = Counting()
    assert prepare([video()], again, moving, tmp_path) == first
    assert again.asked == []
    (tmp_path / "fusionseg_vid/Annotations/clip/000002.png").unlink()
    assert prepare([video()], again, moving, tmp_path) == first
    assert again.asked == [("clip", 2)]


def test_a_run_that_broke_off_goes_on(tmp_path):
    class Interrupted(Counting):
        def __call__(self, video, index):
            if index == 3:
                raise KeyboardInterrupt
            return super().__call__(video, index)

    with pytest.raises(KeyboardInterrupt):
        prepare([video()], Interrupted(), moving, tmp_path)
    journal = tmp_path / "fusionseg_vid/journal/clip.jsonl"
    with journal.open("a") as file:
        file.write('{"frame": "000003", "key": "0')
    rest = Counting()
    assert prepare([video()], rest, moving, tmp_path).kept_frames == 3
    assert rest.asked == [("clip", 3)]
    assert prepare([video()], rest, moving, tmp_path).kept_frames == 3
    assert rest.asked == [("clip", 3)]


@pytest.mark.parametrize(
    "line", ["[]", "7", "{}", '{"frame": "000000", "key": "k", "counts": [1]}', "\0\xff"]
)
def test_damage_in_the_journal_costs_only_time(tmp_path, line):
    first = prepare([video()], Counting(), moving, tmp_path)
    (tmp_path / "fusionseg_vid/journal/clip.jsonl").write_text(line)
    again = Counting()
    assert prepare([video()], again, moving, tmp_path) == first
    assert len(again.asked) == 3


def test_other_settings_provenance_or_boxes_are_made_again_and_old_masks_go(tmp_path):
    prepare([video()], Counting(), moving, tmp_path)
    for change in (
        {"settings": BootstrapSettings(fill=0.9)},
        {"provenance": {"weights": "other"}},
        {"videos": [video(found=(Box(1, "", 20, 10, 20.6, 20),))]},
    ):
        again = Counting()
        prepare(**{"videos": [video()], **change}, segmenter=again, flow=moving, root=tmp_path)
        assert len(again.asked) == 3
    strict = prepare([video()], Counting(), moving, tmp_path, BootstrapSettings(fill=0.5))
    assert strict == Report(3, 0, 3, 0, 3, 0, 0)
    assert not list(tmp_path.rglob("*.png"))
    assert not (tmp_path / "fusionseg_vid/Annotations/clip").exists()


@pytest.mark.parametrize(
    "guess",
    [
        disc(),
        disc().astype(np.uint8) * 3,
        np.where(disc(), 0.51, 0.5),
        np.where(disc(), 0.9, 0.1).astype(np.float32),
    ],
    ids=["bool", "ids", "double", "float"],
)
def test_masks_ids_and_probabilities_are_taken(tmp_path, guess):
    assert prepare([video()], Counting(guess), moving, tmp_path).kept == 3
    assert (read_ids(tmp_path / "fusionseg_vid/Annotations/clip/000000.png") == disc()).all()


def test_a_segmenter_of_a_function_or_a_method(tmp_path):
    def segment(alone):
        assert (len(alone), alone.flow) == (1, None)
        return Segmentation([disc().astype(np.uint8)], 1)

    assert prepare([video()], of_method(segment), moving, tmp_path / "m").kept == 3
    assert prepare([video()], of_frames(lambda frame: frame[..., 0] >= 0), moving, tmp_path / "f").kept == 0


def test_a_folder_of_masks(tmp_path):
    folder = tmp_path / "masks" / "clip"
    ids = np.where(disc(), np.uint8(8), np.uint8(0))
    ids[0, 0] = 255
    write_ids(folder / "000000.png", ids)
    Image.fromarray(disc().astype(np.uint8) * 255).save(folder / "000002.png")
    segmenter = MaskFolder(tmp_path / "masks")
    for index in (0, 2):
        assert (segmenter(video(), index) == disc()).all()
    with pytest.raises(InputError, match=r"000003\.png: missing"):
        segmenter(video(), 3)
    with pytest.raises(InputError, match="no such folder"):
        MaskFolder(tmp_path / "nothing")


class Numbered:
    """An estimator whose flow tells which frames it saw."""

    def __init__(self):
        self.name, self.settings = "numbered", {}

    def __call__(self, first, second):
        return np.stack([np.full(first.shape[:2], float(f[0, 0, 0]), np.float32) for f in (first, second)])


def test_flow_leads_to_the_next_frame_and_from_the_last_back():
    frames = [np.full((*SIZE, 3), 10 * k, np.uint8) for k in range(3)]
    clip = Video("clip", frames, ("0", "1", "2"))
    flow = flow_source(Numbered())
    assert [tuple(flow(clip, k)[:, 0, 0]) for k in range(3)] == [(0, 10), (10, 20), (20, 10)]
    alone = Video("one", frames[:1], ("0",))
    assert flow(alone, 0).shape == (2, *SIZE)
    assert not flow(alone, 0).any()


def test_dis_finds_the_contrast_of_a_moving_square(tmp_path):
    rng = np.random.default_rng(0)
    background = rng.integers(0, 256, (*SIZE, 3), np.uint8)
    square = rng.integers(0, 256, (20, 20, 3), np.uint8)
    frames, marks = [], {}
    for k in range(3):
        frame = background.copy()
        frame[10:30, 18 + 2 * k : 38 + 2 * k] = square
        frames.append(frame)
        marks[k] = (Box(1, "", 16 + 2 * k, 9, 24, 22),)
    clip = Video("square", frames, ("0", "1", "2"), boxes=marks)

    def guess(video, index):
        return region((10, 30), (18 + 2 * index, 38 + 2 * index))

    report = prepare([clip], guess, flow_source(build_estimator("dis")), tmp_path)
    assert report == Report(3, 3, 3, 0, 0, 0, 3)


def test_what_does_not_fit_is_named(tmp_path):
    with pytest.raises(
        InputError, match="clip, frame 000000: the appearance mask is 5x7, but the frame is 60x40"
    ):
        prepare([video()], Counting(np.ones((7, 5), bool)), moving, tmp_path)
    with pytest.raises(InputError, match="the flow is 60x39"):
        prepare([video()], Counting(), lambda *_: np.zeros((2, 39, 60), np.float32), tmp_path)
    with pytest.raises(InputError, match="none of the 1 videos has boxes"):
        prepare([video(marked=())], Counting(), moving, tmp_path)
    for name in ("../up", "a/b", "..", ""):
        with pytest.raises(InputError, match="cannot be a file name"):
            prepare([video(name)], Counting(), moving, tmp_path)
    (tmp_path / "full").write_text("a file where a folder should be")
    with pytest.raises(InputError, match="finished frames are kept"):
        prepare([video()], Counting(), moving, tmp_path / "full")
