"""Data of one's own: a folder of frames and masks, or one of each, in the place of a data set's name."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vosbench.data import open_dataset
from vosbench.data.catalogue import compared_protocols, dataset_spec, is_own, scoring_protocols
from vosbench.errors import InputError
from vosbench.evaluation import score
from vosbench.formats.png import write_ids

HEIGHT, WIDTH = 32, 48


def square(x):
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[8:24, x : x + 16] = 1
    return ids


def write_picture(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


@pytest.fixture
def clips(tmp_path):
    """Two videos of 4 frames in which a square moves, with black and white masks."""
    noise = np.random.default_rng(0).integers(0, 120, (HEIGHT, WIDTH, 3), np.uint8)
    for name in ("boat", "kite"):
        for number in range(4):
            ids = square(4 + 4 * number)
            frame = np.where(ids[..., None] == 1, np.uint8(220), noise)
            write_picture(tmp_path / f"clips/JPEGImages/{name}/{number:03d}.jpg", frame)
            write_picture(tmp_path / f"clips/Annotations/{name}/{number:03d}.png", ids * 255)
    return tmp_path / "clips"


@pytest.fixture
def results(clips, tmp_path):
    """Masks of a method: one and three pixels too far to the right."""
    for name, shift in (("boat", 1), ("kite", 3)):
        for number in range(4):
            ids = square(4 + 4 * number + shift)
            write_ids(tmp_path / f"results/{name}/{number:03d}.png", ids)
    return tmp_path / "results"


def test_a_folder_is_opened_by_its_path(clips):
    dataset = open_dataset(str(clips), Path("nowhere"))
    assert (dataset.name, dataset.label, dataset.split, dataset.edition) == (
        "clips",
        "clips",
        "all",
        "official",
    )
    assert [video.name for video in dataset] == ["boat", "kite"]
    assert dataset[0].frame_names == ("000", "001", "002", "003")
    # black and white: one object, not void
    assert np.array_equal(dataset[0].annotations[2], square(12))


def test_folders_of_frames_and_masks_are_opened_by_both_paths(clips, monkeypatch):
    monkeypatch.chdir(clips)
    dataset = open_dataset("./JPEGImages:./Annotations", Path())
    assert (dataset.name, len(dataset)) == ("clips", 2)
    assert dataset.reference == f"clips={clips}/JPEGImages:{clips}/Annotations"
    monkeypatch.chdir("/")
    again = open_dataset(dataset.reference, Path())
    assert np.array_equal(again[1].annotations[0], square(4))


@pytest.mark.parametrize(
    ("text", "label"), [("pond={}", "pond"), ("{}", "clips"), ("{}/", "clips"), ("~/clips", "clips")]
)
def test_the_label_is_the_folder_or_one_of_ones_own(clips, monkeypatch, text, label):
    monkeypatch.setenv("HOME", str(clips.parent))
    spec = dataset_spec(text.format(clips))
    assert spec.name == label
    assert spec.reference == f"{label}={clips}"
    assert dataset_spec(spec.reference) == spec


def test_letters_that_cannot_name_files_are_replaced(clips):
    other = clips.rename(clips.parent / "my clips, 2")
    assert dataset_spec(str(other)).name == "my-clips--2"


def test_indexed_masks_are_ids_and_frames_without_masks_are_not_annotated(clips):
    for number in (1, 2, 3):
        (clips / f"Annotations/boat/{number:03d}.png").unlink()
    ids = square(4) * 3
    ids[0] = 255
    write_ids(clips / "Annotations/boat/000.png", ids)
    boat = open_dataset(str(clips), Path())[0]
    assert list(boat.annotations) == [0]
    assert np.array_equal(boat.annotations[0], ids)


def test_a_list_is_a_split(clips):
    (clips / "ImageSets").mkdir()
    (clips / "ImageSets/test.txt").write_text("kite\n")
    assert [video.name for video in open_dataset(str(clips), Path(), "test")] == ["kite"]
    with pytest.raises(InputError, match="unknown split of clips 'tset': did you mean test"):
        open_dataset(str(clips), Path(), "tset")


def test_masks_are_scored_under_the_protocol_that_is_named(clips, results):
    scored = score(results, str(clips), metrics=["j"], workers=1)
    assert (scored.dataset, scored.split, scored.protocol) == ("clips", "all", "davis16-unsupervised")
    # 15 of 17 columns are shared, and 13 of 19
    assert [values.values["J_mean"] for values in scored.sequences.values()] == [15 / 17, 13 / 19]
    by_object = score(results, str(clips), "davis17-semi-supervised", metrics=["j"], workers=1)
    assert by_object.overall["J_mean"] == pytest.approx((15 / 17 + 13 / 19) / 2)


def test_the_command_scores_the_two_folders(clips, results, run, tmp_path):
    status, out, err = run(
        "score", results, "--dataset", f"pond={clips}/JPEGImages:{clips}/Annotations", "--metrics", "j"
    )
    assert (status, err.count("\n")) == (0, 1)
    assert "at least 3 sequences" in err
    assert "pond all, davis16-unsupervised, 2 sequences" in out
    assert "kite" in out
    file = tmp_path / "scores.json"
    assert run("score", results, "--dataset", clips, "--workers", 1, "--json", file)[0] == 0
    assert json.loads(file.read_text())["dataset"] == "clips"
    assert run("doctor", results, "--dataset", clips)[0] == 0


def test_every_protocol_without_masks_of_another_set_can_score_it(clips):
    known = scoring_protocols(str(clips))
    assert {"davis16-matlab", "fbms-proposed", "davis17-unsupervised"} < set(known)
    assert "davis16-instances-semi-supervised" not in known
    assert [protocol.id for protocol in compared_protocols(str(clips))] == [
        "davis16-unsupervised",
        "davis16-semi-supervised",
    ]


@pytest.mark.parametrize(
    "text", ["clips", "clips=clips", "clips/JPEGImages:clips/Annotations", "frames:masks", "own=frames:masks"]
)
def test_a_folder_is_found_by_its_bare_name(clips, monkeypatch, text):
    monkeypatch.chdir(clips.parent)
    for name, kind in (("frames", "JPEGImages"), ("masks", "Annotations")):
        shutil.copytree(clips / kind, name)
    assert is_own(text)
    assert [video.name for video in open_dataset(text, Path())] == ["boat", "kite"]


def test_a_name_of_the_catalogue_is_that_data_set_whatever_folder_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "davis16").mkdir()
    assert not is_own("davis16")
    assert dataset_spec("davis16").title == "DAVIS 2016"


@pytest.mark.parametrize(
    ("change", "text", "message"),
    [
        (
            None,
            "./nowhere",
            r"no such folder .*/nowhere; write a folder with JPEGImages/SEQ and Annotations/SEQ",
        ),
        (None, "clip", r"unknown data set 'clip'"),
        (None, "clips:masks", r"unknown data set 'clips:masks'"),
        (None, "a b=./clips", "a label has letters, digits"),
        (None, "davis16=./clips", "davis16 is the name of a data set of the catalogue; write LABEL="),
        (None, "davis16-mini=./clips", "davis16-mini is the name of a data set of the catalogue"),
        ("JPEGImages/boat/000.jpg", "./clips", r"000.png: there is no frame 000 in .*remove the mask"),
        ("Annotations/boat", "./clips", "Annotations/boat: no mask FRAME.png for any frame of boat"),
    ],
)
def test_mistakes_are_one_line(clips, monkeypatch, change, text, message):
    monkeypatch.chdir(clips.parent)
    if change is not None:
        path = clips / change
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(InputError, match=message):
        open_dataset(text, Path())


def test_davis_and_miniatures_have_names_of_their_own(clips):
    (clips / "JPEGImages/480p").mkdir()
    with pytest.raises(InputError, match=f"write --dataset davis16 .or davis17. --data-root {clips.parent}"):
        open_dataset(str(clips), Path())
    (clips / "MINI.json").touch()
    with pytest.raises(InputError, match="holds a miniature; give its data set by name"):
        open_dataset(str(clips), Path())


def test_masks_of_another_size_are_refused(clips):
    write_ids(clips / "Annotations/boat/001.png", np.ones((4, 4), np.uint8))
    with pytest.raises(InputError, match=r"001.png: 4x4 pixels, but its frame .* is 48x32"):
        open_dataset(str(clips), Path())[0].annotations[1]
