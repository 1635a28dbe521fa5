"""A run of FusionSeg's bootstrap writes what its reader reads, counts, and can be resumed."""

import json

import numpy as np
import pytest
from PIL import Image

from vosbench.cli.data import _appearance
from vosbench.data.datasets.fusionseg_vid import FusionSegVid
from vosbench.errors import InputError
from vosbench.flow.estimators import build_estimator
from vosbench.formats.image import write_frame
from vosbench.formats.png import read_ids, write_ids
from vosbench.locks import claimed
from vosbench.models.fusionseg.pseudo_label_rules import BootstrapSettings
from vosbench.models.fusionseg.pseudo_labels import (
    MaskFolder,
    Report,
    fingerprint,
    flow_source,
    of_frames,
    of_method,
    prepare,
)
from vosbench.video import Box, Segmentation, Video

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


def test_a_changed_file_changes_the_fingerprint_of_its_folder(tmp_path):
    masks = tmp_path / "masks"
    write_ids(masks / "clip/000000.png", np.zeros(SIZE, np.uint8))
    before = fingerprint(masks)
    assert fingerprint(masks) == before
    write_ids(masks / "clip/000000.png", np.ones(SIZE, np.uint8))
    assert fingerprint(masks) != before


def test_masks_of_one_method_are_not_taken_for_those_of_another():
    origins = [_appearance(name, None, [], "cpu")[1] for name in ("all_foreground", "centre_box")]
    assert origins[0] != origins[1]


def test_two_runs_at_once_and_a_miniature_are_refused(tmp_path):
    with claimed(tmp_path, "fusionseg_vid"), pytest.raises(InputError, match="another process is writing it"):
        prepare([video()], Counting(), moving, tmp_path)
    (tmp_path / "fusionseg_vid").mkdir()
    (tmp_path / "fusionseg_vid/MINI.json").write_text("{}")
    with pytest.raises(InputError, match="fusionseg_vid: holds the miniature edition"):
        prepare([video()], Counting(), moving, tmp_path)


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
        with pytest.raises(InputError, match=r"cannot be a file name|results cannot have this name"):
            prepare([video(name)], Counting(), moving, tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/fusionseg_vid").write_text("a file where a folder should be")
    with pytest.raises(InputError, match="finished frames are kept"):
        prepare([video()], Counting(), moving, tmp_path / "full")
