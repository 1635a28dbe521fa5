"""What semi-supervised methods are given in a comparison: the first labelled frame, or objects one by one."""

import numpy as np
import pytest
from PIL import Image

from vosbench.benchmark import method_spec, run_job
from vosbench.data import open_dataset
from vosbench.formats.png import read_ids, write_ids
from vosbench.video import Segmentation

INSTANCES = "davis16-instances-semi-supervised"
PLAIN = "davis16-semi-supervised"


class Repeats:
    """Shows the given ids in every frame."""

    task = "semi-supervised"
    needs_flow = False

    def segment(self, video, first_mask=None):
        return Segmentation((first_mask for _ in video.frames), len(video))


@pytest.fixture(autouse=True)
def repeats(monkeypatch):
    monkeypatch.setattr(method_spec, "load_method", lambda name, size=None: (Repeats(), {"weights": "none"}))
    run_job._load.cache_clear()
    yield
    run_job._load.cache_clear()


def halves(mask):
    """The foreground of a mask as two objects, left and right."""
    columns = np.flatnonzero(mask.any(axis=0))
    ids = (mask != 0).astype(np.uint8)
    ids[:, columns[len(columns) // 2] :] *= 2
    return ids


@pytest.fixture
def davis17(root):
    """DAVIS 2017 with the videos of the tiny DAVIS 2016, whose object has two halves in the first frame."""
    folder = root / "davis17"
    for frames in sorted((root / "davis16/JPEGImages/480p").iterdir()):
        (folder / "JPEGImages/480p").mkdir(parents=True, exist_ok=True)
        (folder / "JPEGImages/480p" / frames.name).symlink_to(frames)
        mask = np.asarray(Image.open(root / "davis16/Annotations/480p" / frames.name / "00000.png"))
        write_ids(folder / "Annotations/480p" / frames.name / "00000.png", halves(mask))
    lists = folder / "ImageSets/2017"
    lists.mkdir(parents=True)
    (lists / "davis16_val.txt").write_text("blackswan\ndog\nzebra\n")
    return folder


def by_protocol(result, sequence="dog"):
    return {record.protocol: record for record in result.records if record.sequence == sequence}


def test_objects_are_given_one_by_one_and_scored_as_one(run, davis17):
    result = run(models=["mpnet"], metrics=["j"], datasets=["davis16"])
    assert result.counts == {"computed": 6}
    found = by_protocol(result)
    assert set(found) == {PLAIN, INSTANCES}
    # the method does the same to one object and to its halves, and their union is scored
    assert found[INSTANCES].values == found[PLAIN].values
    masks = result.out / "masks"
    assert np.unique(read_ids(masks / "davis16/mpnet/dog/00003.png")).tolist() == [0, 1]
    assert np.unique(read_ids(masks / "davis16-given-davis17/mpnet/dog/00003.png")).tolist() == [0, 1, 2]
    assert run(models=["mpnet"], metrics=["j"], datasets=["davis16"]).counts == {"kept": 6}


def test_what_is_given_is_in_the_key(run, davis17):
    before = run(models=["mpnet"], metrics=["j"], datasets=["davis16"])
    mask = davis17 / "Annotations/480p/dog/00000.png"
    ids = read_ids(mask)
    write_ids(mask, np.where(ids == 2, np.uint8(3), ids))
    after = run(models=["mpnet"], metrics=["j"], datasets=["davis16"])
    assert after.counts == {"kept": 5, "computed": 1}
    assert by_protocol(before)[INSTANCES].key != by_protocol(after)[INSTANCES].key
    given = by_protocol(after)[INSTANCES].provenance["config"]["given"]
    assert (given["dataset"], given["split"]) == ("davis17", "davis16_val")
    assert "given" not in by_protocol(after)[PLAIN].provenance["config"]


def test_a_plain_record_has_the_same_key_whether_objects_can_be_given_or_not(run, davis17):
    with_both = by_protocol(run(models=["mpnet"], metrics=["j"], datasets=["davis16"]))
    davis17.rename(davis17.with_name("elsewhere"))
    alone = run(models=["mpnet"], metrics=["j"], datasets=["davis16"])
    assert by_protocol(alone)[PLAIN] == with_both[PLAIN]
    [note] = [note for note in alone.notes if INSTANCES in note]
    assert note.startswith(f"{INSTANCES} left out: davis17: no folder")


def test_other_pixels_than_those_of_the_ground_truth_are_not_given(run, davis17):
    mask = davis17 / "Annotations/480p/dog/00000.png"
    write_ids(mask, np.ones_like(read_ids(mask)))
    result = run(models=["mpnet"], metrics=["j"], datasets=["davis16"])
    [failure] = result.failures
    assert (failure.sequence, failure.protocol) == ("dog", INSTANCES)
    assert "covers other pixels than that of davis16" in failure.message


def test_sequences_that_the_other_data_set_lacks_are_named(run, davis17):
    (davis17 / "ImageSets/2017/davis16_val.txt").write_text("dog\n")
    result = run(models=["mpnet"], metrics=["j"], datasets=["davis16"])
    assert set(by_protocol(result)) == {PLAIN}
    assert any(note.endswith("davis17 davis16_val, which lacks blackswan, zebra") for note in result.notes)


def write_shot(root, first):
    """A shot of 13 frames whose square moves a pixel a frame, labelled every fifth frame from `first` on."""
    folder = root / "youtube_objects"
    for t in range(13):
        picture = np.full((32, 48, 3), 10 * t, np.uint8)
        mask = np.zeros((32, 48), np.uint8)
        mask[8:18, 4 + t : 14 + t] = 255
        place = folder / "JPEGImages/car_0001"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(place / f"{t + 1:05d}.jpg")
        if t >= first and (t - first) % 5 == 0:
            place = folder / "Annotations/car_0001"
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(place / f"{t + 1:05d}.png")


def test_a_shot_of_youtube_objects_is_given_its_first_label_wherever_that_is(run, root):
    write_shot(root, first=2)
    result = run(models=["mpnet"], datasets=["youtube_objects"], metrics=None)
    assert not result.failures
    [record] = result.records
    # 5 and 10 pixels further: 50 of 150, then nothing; the given frame does not count
    assert record.per_frame["J"] == [pytest.approx(1 / 3), 0.0]
    masks = result.out / "masks/youtube_objects/mpnet/car_0001"
    assert [int(read_ids(masks / f"{t:05d}.png").sum()) for t in (1, 2, 3, 13)] == [0, 0, 100, 100]


@pytest.mark.real_data
def test_real_objects_of_davis17_cover_exactly_the_foreground_of_davis16(real_data, tmp_path):
    data = real_data("davis17_first_frames")
    real_data("davis16")
    folder = tmp_path / "davis17"
    (folder / "Annotations").mkdir(parents=True)
    (folder / "JPEGImages").symlink_to(data / "davis16/JPEGImages")
    (folder / "Annotations/480p").symlink_to(data / "davis17_first_frames/Annotations/480p")
    ids = {video.name: video.annotations[0] for video in open_dataset("davis17", tmp_path, "davis16_val")}
    for video in open_dataset("davis16", data):
        np.testing.assert_array_equal(ids[video.name] != 0, video.annotations[0] != 0)
    assert sum(int(each.max()) > 1 for each in ids.values()) == 7
