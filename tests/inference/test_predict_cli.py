"""``vosbench predict`` with a look inside the method."""

import shutil

import numpy as np
import pytest

from vosbench.formats.image import write_frame
from vosbench.formats.png import read_ids, write_ids
from vosbench.formats.video_file import write_video


@pytest.fixture
def root(tmp_path, make_davis):
    return make_davis(tmp_path / "data", {"dog": 4})


def names(folder):
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


@pytest.fixture
def clips(tmp_path):
    """A folder of two folders of frames, a video file, and what is no clip."""
    folder = tmp_path / "clips"
    for name, count in (("boat", 3), ("kite", 2)):
        for number in range(count):
            frame = np.full((16, 24, 3), 40 * number, np.uint8)
            write_frame(folder / name / f"{number:03d}.png", frame)
    write_video(folder / "lake.mp4", [np.full((16, 24, 3), 90, np.uint8)] * 4, fps=10)
    (folder / "notes").mkdir()
    (folder / "notes.txt").write_text("filmed in May")
    return folder


def test_every_clip_of_a_folder_is_predicted_and_none_twice(run, clips, tmp_path):
    words = ("predict", clips, "--model", "all_foreground", "--out", "mine")
    status, out, err = run(*words)
    assert status == 0
    assert all(line.startswith("predicting: ") for line in err.splitlines())
    assert [line.partition(",")[0] for line in out.splitlines()] == [
        "mine/boat  3 masks",
        "mine/kite  2 masks",
        "mine/lake  4 masks",
    ]
    before = (tmp_path / "mine/boat/000.png").stat().st_mtime_ns
    shutil.rmtree(tmp_path / "mine/kite")
    write_frame(clips / "boat/000.png", np.zeros((16, 24, 3), np.uint8))
    status, out, err = run(*words)
    assert status == 0
    assert all(line.startswith("predicting: ") for line in err.splitlines())
    assert [line.endswith("masks, kept") for line in out.splitlines()] == [True, False, True]
    assert (tmp_path / "mine/boat/000.png").stat().st_mtime_ns == before


@pytest.mark.parametrize("change", ["frames", "method", "masks"])
def test_masks_of_other_frames_or_another_method_are_made_again(run, clips, tmp_path, change):
    words = ["predict", clips, "--model", "all_foreground", "--out", "mine"]
    run(*words)
    if change == "frames":
        write_frame(clips / "kite/000.png", np.full((16, 24, 3), 7, np.uint8))
    elif change == "method":
        words[3] = "centre_box"
    else:
        write_ids(tmp_path / "mine/kite/000.png", np.zeros((16, 24), np.uint8))
    status, out, _ = run(*words)
    assert status == 0
    kept = [line.split()[0] for line in out.splitlines() if line.endswith("kept")]
    assert kept == ([] if change == "method" else ["mine/boat", "mine/lake"])
    assert read_ids(tmp_path / "mine/kite/000.png").any()


def test_a_clip_that_fails_leaves_the_others_their_masks(run, clips, tmp_path):
    (clips / "kite/001.png").write_bytes(b"no picture")
    (clips / "lake.mp4").write_bytes(b"no video")
    status, out, err = run("predict", clips, "--model", "all_foreground", "--out", "mine")
    assert status == 1
    assert out.startswith("mine/boat  3 masks")
    lines = [line for line in err.splitlines() if not line.startswith("predicting: ")]
    assert [line.split()[:2] for line in lines] == [["failed:", "kite:"], ["failed:", "lake:"]]
    assert "001.png" in lines[0]
    assert "lake.mp4: not a video that can be decoded" in lines[1]
    assert names(tmp_path / "mine") == ["boat"]


def test_first_masks_of_several_clips_lie_in_a_folder(run, clips, tmp_path):
    words = ("predict", clips, "--model", "copy_first", "--out", "mine")
    first = np.zeros((16, 24), np.uint8)
    first[2:5, 3:9] = 2
    for name in ("boat", "kite"):
        write_ids(tmp_path / f"first/{name}.png", first)
    assert "give the mask of the first frame" in run(*words)[2]
    assert "several clips take a folder" in run(*words, "--mask", tmp_path / "first/boat.png")[2]
    status, _, err = run(*words, "--mask", tmp_path / "first")
    assert status == 1
    assert "\nfailed: lake: " in err
    assert "first/lake.png" in err
    assert np.array_equal(read_ids(tmp_path / "mine/kite/001.png"), first)


def test_two_clips_of_one_name_are_refused(run, clips):
    (clips / "boat.avi").touch()
    status, _, err = run("predict", clips, "--model", "all_foreground", "--out", "mine")
    assert status == 2
    assert "boat.avi: another clip there is called boat, too; rename one of the two" in err


def test_data_of_ones_own_bring_their_first_masks(run, clips, tmp_path):
    (tmp_path / "own").mkdir()
    shutil.rmtree(clips / "notes")
    (clips / "lake.mp4").unlink()
    clips.rename(tmp_path / "own/JPEGImages")
    first = np.zeros((16, 24), np.uint8)
    first[2:5, 3:9] = 1
    for name in ("boat", "kite"):
        write_ids(tmp_path / f"own/Annotations/{name}/000.png", first)
    for words in (("own",), ("--dataset", "./own"), ("--dataset", "./own/JPEGImages:./own/Annotations")):
        status, out, _ = run("predict", *words, "--model", "copy_first", "--out", "mine")
        assert (status, len(out.splitlines())) == (0, 2)
        assert np.array_equal(read_ids(tmp_path / "mine/boat/002.png"), first)
    refused = run("predict", "own", "--model", "copy_first", "--out", "own/Annotations")
    assert refused[0] == 2
    assert "results would replace the input" in refused[2]
    both = run("predict", "own", "--dataset", "./own", "--model", "copy_first", "--out", "mine")
    assert "give INPUT or --dataset, one of the two" in both[2]


def test_panels_lie_beside_masks_that_can_be_scored(run, root, tmp_path):
    words = ("--model", "mpnet", "--size", "tiny", "--out", "mine", "--data-root", root)
    status, out, _ = run("predict", "davis16", *words, "--inspect", "motion")
    assert status == 0
    assert out.splitlines()[1] == "mine-inspect/dog  4 panels of motion"
    assert names(tmp_path / "mine-inspect/dog") == names(tmp_path / "mine/dog")
    assert names(tmp_path / "mine") == ["dog"]
    status, out, _ = run("score", "mine", "--dataset", "davis16", "--data-root", root, "--workers", 1)
    assert status == 0
    assert "dog" in out


def test_folder_for_panels(run, root, tmp_path):
    words = ("--model", "mpnet", "--size", "tiny", "--out", "mine", "--data-root", root)
    status, _, _ = run("predict", "davis16", *words, "--inspect", "motion", "--inspect-out", "seen")
    assert status == 0
    assert len(names(tmp_path / "seen/dog")) == 4
    assert not (tmp_path / "mine-inspect").exists()


@pytest.mark.parametrize(
    ("model", "words", "message"),
    [
        ("all_foreground", ("--inspect", "gates"), "this method has no maps to inspect"),
        ("mpnet", ("--inspect", "motoin"), "unknown map to inspect 'motoin': did you mean motion?"),
        ("mpnet", ("--inspect", "motion", "--channels", "a"), "--channels a: give whole numbers"),
        ("mpnet", ("--channels", "1"), "give --inspect too"),
    ],
)
def test_mistakes_are_one_line(run, root, tmp_path, model, words, message):
    status, out, err = run(
        "predict", "davis16", "--model", model, "--out", "mine", "--data-root", root, *words
    )
    assert (status, out) == (2, "")
    assert message in err
    *waits, line = err.splitlines()
    assert line.startswith("vosbench: ")
    assert waits in ([], [f"predicting: loading {model}"])
    assert not (tmp_path / "mine").exists()
