import errno
import shutil

import numpy as np
import pytest
from PIL import Image

from vosbench.errors import InputError
from vosbench.files import writing
from vosbench.formats.image import read_frame, write_frame
from vosbench.formats.png import davis_palette, read_ids, read_palette, write_ids
from vosbench.formats.video_file import VideoFile, write_video
from vosbench.inference.prediction import predict
from vosbench.models.baselines import AllForeground, CentreBox, FlowThreshold
from vosbench.video import Segmentation

HEIGHT, WIDTH = 32, 48


class Propagate:
    """Repeats the first mask."""

    task = "semi-supervised"
    needs_flow = False

    def segment(self, video, first_mask=None):
        return Segmentation((first_mask for _ in range(len(video))), len(video))


class Failing:
    task = "unsupervised"
    needs_flow = False

    def segment(self, video, first_mask=None):
        def maps():
            yield np.zeros((HEIGHT, WIDTH), np.uint8)
            raise ZeroDivisionError

        return Segmentation(maps(), len(video))


def frames(count=4):
    rng = np.random.default_rng(0)
    texture = (
        rng.integers(0, 256, (HEIGHT // 4, (WIDTH + 40) // 4, 3)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
    )
    return [texture[:, 2 * index : 2 * index + WIDTH] for index in range(count)]


def write_frames(folder, count=4, suffix=".png"):
    for index, frame in enumerate(frames(count)):
        write_frame(folder / f"frame{index}{suffix}", frame)
    return folder


@pytest.fixture
def root(tmp_path):
    """A data set of two sequences of 3 and 2 frames."""
    lines = []
    for sequence, count in (("cat", 3), ("ant", 2)):
        for index, frame in enumerate(frames(count)):
            mask = np.zeros((HEIGHT, WIDTH), np.uint8)
            mask[:5, :5] = 255
            write_frame(tmp_path / f"data/davis16/JPEGImages/480p/{sequence}/{index:05d}.jpg", frame)
            write_ids(tmp_path / f"data/davis16/Annotations/480p/{sequence}/{index:05d}.png", mask)
            name = f"480p/{sequence}/{index:05d}"
            lines.append(f"/JPEGImages/{name}.jpg /Annotations/{name}.png \n")
    lists = tmp_path / "data/davis16/ImageSets/480p"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("".join(lines))
    (lists / "train.txt").write_text("".join(lines[3:]))
    return tmp_path / "data"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_folder_gives_a_davis_png_per_frame(tmp_path):
    (done,) = predict(write_frames(tmp_path / "cat"), CentreBox(), tmp_path / "out")
    assert (done.sequence, done.frames, done.folder) == ("cat", 4, tmp_path / "out/cat")
    assert done.seconds > 0
    assert names(done.folder) == ["frame0.png", "frame1.png", "frame2.png", "frame3.png"]
    ids = read_ids(done.folder / "frame0.png")
    assert (ids.shape, int(ids.sum())) == ((HEIGHT, WIDTH), 16 * 24)
    assert np.array_equal(read_palette(done.folder / "frame0.png"), davis_palette())
    assert names(tmp_path / "out") == ["cat"]


def test_video_file_with_overlay_video(tmp_path):
    write_video(tmp_path / "clip.mp4", frames(), fps=10)
    (done,) = predict(tmp_path / "clip.mp4", AllForeground(), tmp_path / "out", overlay=tmp_path / "seen.mp4")
    assert names(done.folder) == ["00000.png", "00001.png", "00002.png", "00003.png"]
    seen = VideoFile(tmp_path / "seen.mp4")
    assert (len(seen), seen.fps) == (4, 10)


def test_data_set_with_overlay_folder(tmp_path, root):
    done = predict("davis16", AllForeground(), tmp_path / "out", data_root=root, overlay=tmp_path / "seen")
    assert [(item.sequence, item.frames) for item in done] == [("cat", 3), ("ant", 2)]
    assert names(tmp_path / "out/ant") == ["00000.png", "00001.png"]
    assert names(tmp_path / "seen/ant") == ["00000.jpg", "00001.jpg"]
    assert read_frame(tmp_path / "seen/ant/00000.jpg").shape == (HEIGHT, WIDTH, 3)


def test_split_of_a_data_set(tmp_path, root):
    done = predict("davis16", AllForeground(), tmp_path / "out", data_root=root, split="train")
    assert [item.sequence for item in done] == ["ant"]


def test_progress_counts_frames(tmp_path):
    calls = []
    predict(
        write_frames(tmp_path / "cat", 2),
        AllForeground(),
        tmp_path / "out",
        progress=lambda *args: calls.append(args),
    )
    assert calls == [("cat", 0, 2), ("cat", 1, 2), ("cat", 2, 2)]


def test_flow_is_attached_for_a_method_that_needs_it(tmp_path):
    folder = write_frames(tmp_path / "cat")
    (done,) = predict(folder, FlowThreshold(), tmp_path / "out", cache=tmp_path / "cache")
    assert len(list((tmp_path / "cache/flow/dis").rglob("*.npz"))) == 3
    assert np.array_equal(read_ids(done.folder / "frame2.png"), read_ids(done.folder / "frame3.png"))


def test_given_estimator_is_used(tmp_path):
    class StillButCorner:
        name = "corner"

        def __init__(self):
            self.settings = {}

        def __call__(self, first, second):
            flow = np.zeros((2, HEIGHT, WIDTH), np.float32)
            flow[:, :2, :3] = 9
            return flow

    folder = write_frames(tmp_path / "cat")
    (done,) = predict(folder, FlowThreshold(), tmp_path / "out", estimator=StillButCorner())
    assert int(read_ids(done.folder / "frame0.png").sum()) == 6


def test_first_mask_of_a_folder_keeps_its_ids(tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[3, 4] = 7
    write_ids(tmp_path / "first.png", mask)
    folder = write_frames(tmp_path / "cat")
    (done,) = predict(folder, Propagate(), tmp_path / "out", first_mask=tmp_path / "first.png")
    assert np.array_equal(read_ids(done.folder / "frame3.png"), mask)


def test_black_and_white_first_mask_is_one_object(tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[3, 4] = 255
    write_ids(tmp_path / "first.png", mask)
    folder = write_frames(tmp_path / "cat")
    (done,) = predict(folder, Propagate(), tmp_path / "out", first_mask=tmp_path / "first.png")
    assert np.array_equal(read_ids(done.folder / "frame3.png"), mask // 255)


def test_first_mask_with_a_palette_in_another_order(tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[3, 4:7], mask[5, 6] = 1, 2
    Image.fromarray(davis_palette()[mask]).quantize().save(tmp_path / "first.png")
    assert np.asarray(Image.open(tmp_path / "first.png"))[0, 0] != 0
    folder = write_frames(tmp_path / "cat")
    (done,) = predict(folder, Propagate(), tmp_path / "out", first_mask=tmp_path / "first.png")
    assert np.array_equal(read_ids(done.folder / "frame3.png"), mask)


def test_grey_levels_are_no_first_mask(tmp_path):
    levels = np.arange(HEIGHT * WIDTH, dtype=np.uint8).reshape(HEIGHT, WIDTH)
    Image.fromarray(levels).save(tmp_path / "first.png")
    folder = write_frames(tmp_path / "cat")
    with pytest.raises(InputError, match=r"first\.png: \d+ different values are grey levels; write ids"):
        predict(folder, Propagate(), tmp_path / "out", first_mask=tmp_path / "first.png")


def test_first_mask_of_a_video_file(tmp_path):
    write_video(tmp_path / "clip.mp4", frames(), fps=10)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[3, 4], mask[5, 6], mask[7, 8] = 1, 254, 255
    write_ids(tmp_path / "first.png", mask)
    (done,) = predict(tmp_path / "clip.mp4", Propagate(), tmp_path / "out", first_mask=tmp_path / "first.png")
    assert np.array_equal(read_ids(done.folder / "00003.png"), mask)


def test_first_mask_of_a_data_set_is_its_annotation(tmp_path, root):
    done = predict("davis16", Propagate(), tmp_path / "out", data_root=root)
    assert int(read_ids(done[0].folder / "00002.png").sum()) == 25


def test_a_data_set_whose_first_label_comes_later_starts_there(tmp_path):
    folder = tmp_path / "data/youtube_objects"
    for index, frame in enumerate(frames()):
        write_frame(folder / f"JPEGImages/cat_0001/{index + 1:05d}.jpg", frame)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[3:6, 4:9] = 255
    write_ids(folder / "Annotations/cat_0001/00003.png", mask)
    (done,) = predict("youtube_objects", Propagate(), tmp_path / "out", data_root=tmp_path / "data")
    assert [int(read_ids(done.folder / f"{t:05d}.png").sum()) for t in range(1, 5)] == [0, 0, 15, 15]


def test_earlier_results_are_replaced_whole(tmp_path):
    folder = write_frames(tmp_path / "cat")
    predict(folder, AllForeground(), tmp_path / "out")
    (folder / "frame3.png").unlink()
    predict(folder, CentreBox(), tmp_path / "out")
    assert names(tmp_path / "out/cat") == ["frame0.png", "frame1.png", "frame2.png"]
    assert read_ids(tmp_path / "out/cat/frame0.png")[0, 0] == 0


def test_failure_halfway_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        predict(write_frames(tmp_path / "cat"), Failing(), tmp_path / "out")
    assert names(tmp_path / "out") == []


def test_a_mask_that_cannot_be_written_is_named_in_the_folder_that_the_user_named(tmp_path, monkeypatch):
    def full(path, ids):
        with writing(path):
            raise OSError(errno.ENOSPC, "No space left on device")

    write_frames(tmp_path / "cat")
    monkeypatch.setattr("vosbench.inference.prediction.write_ids", full)
    with pytest.raises(InputError) as error:
        predict(tmp_path / "cat", AllForeground(), tmp_path / "out")
    place = tmp_path / "out" / "cat" / "frame0.png"
    assert (
        str(error.value)
        == f"{place}: cannot be written (No space left on device); make room and run it again"
    )


def test_failure_halfway_leaves_earlier_results(tmp_path):
    folder = write_frames(tmp_path / "cat")
    predict(folder, AllForeground(), tmp_path / "out")
    with pytest.raises(ZeroDivisionError):
        predict(folder, Failing(), tmp_path / "out")
    assert len(names(tmp_path / "out/cat")) == 4


def refused(match, source, method=None, **options):
    with pytest.raises(InputError, match=match):
        predict(source, method or AllForeground(), **options)


def test_missing_input(tmp_path):
    refused("nowhere: no such file or folder", str(tmp_path / "nowhere"), out=tmp_path / "out")
    refused("no such file or folder, and unknown data set 'davis61': did you mean", "davis61", out=tmp_path)
    refused("clip.mp4: no such file or folder$", "clip.mp4", out=tmp_path)


def test_empty_folder(tmp_path):
    (tmp_path / "cat").mkdir()
    refused("cat: no images", tmp_path / "cat", out=tmp_path / "out")


def test_frames_of_different_sizes(tmp_path):
    folder = write_frames(tmp_path / "cat")
    write_frame(folder / "frame4.png", np.zeros((5, 5, 3), np.uint8))
    refused(r"frame4\.png: 5x5 pixels", folder, out=tmp_path / "out")


def test_undecodable_video(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"rubbish")
    refused(r"clip\.mp4: not a video", tmp_path / "clip.mp4", out=tmp_path / "out")


def test_semi_supervised_needs_a_mask(tmp_path):
    refused(
        "semi-supervised; give the mask", write_frames(tmp_path / "cat"), Propagate(), out=tmp_path / "out"
    )


def test_mask_of_another_size(tmp_path):
    write_ids(tmp_path / "first.png", np.ones((4, 4), np.uint8))
    folder = write_frames(tmp_path / "cat")
    match = r"first\.png: mask is 4x4 pixels, the frames of cat are 48x32"
    refused(match, folder, Propagate(), out=tmp_path / "out", first_mask=tmp_path / "first.png")
    assert names(tmp_path) == ["cat", "first.png"]


def test_empty_mask(tmp_path):
    write_ids(tmp_path / "first.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    folder = write_frames(tmp_path / "cat")
    refused("mask is empty", folder, Propagate(), out=tmp_path / "out", first_mask=tmp_path / "first.png")


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (np.ones((HEIGHT, WIDTH, 3), np.uint8), "mask is RGB; save it as an indexed or 8-bit grey PNG"),
        (np.full((HEIGHT, WIDTH), 300, np.uint16), "mask has 16 bits per pixel; save it as"),
    ],
    ids=["colours", "ids above 255"],
)
def test_mask_that_holds_no_ids(tmp_path, picture, said):
    Image.fromarray(picture).save(tmp_path / "first.png")
    folder = write_frames(tmp_path / "cat")
    match = rf"first\.png: {said}"
    refused(match, folder, Propagate(), out=tmp_path / "out", first_mask=tmp_path / "first.png")
    assert not (tmp_path / "out").exists()


def test_mask_that_is_no_png(tmp_path):
    folder = write_frames(tmp_path / "cat")
    options = {"out": tmp_path / "out", "first_mask": tmp_path / "first.png"}
    refused(r"first\.png: no such file", folder, Propagate(), **options)
    (tmp_path / "first.png").write_bytes(b"rubbish")
    refused(r"first\.png: not a PNG", folder, Propagate(), **options)


def test_mask_that_would_be_ignored(tmp_path, root):
    write_ids(tmp_path / "first.png", np.ones((HEIGHT, WIDTH), np.uint8))
    options = {"out": tmp_path / "out", "first_mask": tmp_path / "first.png"}
    refused("unsupervised and takes no first mask", write_frames(tmp_path / "cat"), **options)
    refused("davis16 has its own first masks", "davis16", Propagate(), data_root=root, **options)


def test_split_of_a_folder(tmp_path):
    refused(
        "a split belongs to a data set", write_frames(tmp_path / "cat"), out=tmp_path / "out", split="val"
    )


def test_results_never_replace_the_input(tmp_path, root):
    folder = write_frames(tmp_path / "cat")
    refused("results would replace the input", folder, out=tmp_path)
    refused("results would replace the input", folder, out=tmp_path / "out", overlay=tmp_path)
    masks = root / "davis16/Annotations/480p"
    refused("results would replace the input", "davis16", out=masks, data_root=root)
    write_video(tmp_path / "clip.mp4", frames(), fps=10)
    refused("would replace", tmp_path / "clip.mp4", out=tmp_path / "out", overlay=tmp_path / "clip.mp4")
    assert len(names(folder)) == 4
    assert int(read_ids(masks / "cat/00000.png").max()) == 255


def test_results_never_replace_other_things(tmp_path):
    folder = write_frames(tmp_path / "cat")
    (tmp_path / "out/cat").mkdir(parents=True)
    (tmp_path / "out/cat/thesis.tex").write_text("years of work")
    refused(r"out/cat: .*holds other things than \.png results", folder, out=tmp_path / "out")
    assert names(tmp_path / "out/cat") == ["thesis.tex"]


def test_out_that_cannot_be_a_folder(tmp_path):
    folder = write_frames(tmp_path / "cat")
    (tmp_path / "out").write_text("a file")
    refused("out: cannot be written", folder, out=tmp_path / "out")


def test_one_overlay_video_for_many_sequences(tmp_path, root):
    refused(
        "one video file cannot show 2 sequences",
        "davis16",
        out=tmp_path / "out",
        data_root=root,
        overlay=tmp_path / "seen.mp4",
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.real_data
def test_real_sequence_end_to_end(real_data, tmp_path):
    root = real_data("davis16")
    shutil.copytree(root / "davis16/JPEGImages/480p/car-shadow", tmp_path / "car-shadow")
    for path in sorted((tmp_path / "car-shadow").iterdir())[3:]:
        path.unlink()
    (done,) = predict(tmp_path / "car-shadow", FlowThreshold(), tmp_path / "out", overlay=tmp_path / "seen")
    ids = read_ids(done.folder / "00000.png")
    truth = read_ids(root / "davis16/Annotations/480p/car-shadow/00000.png") > 0
    both, either = (truth & (ids > 0)).sum(), (truth | (ids > 0)).sum()
    assert both / either > 0.3  # 0.41: the shadow moves as well
