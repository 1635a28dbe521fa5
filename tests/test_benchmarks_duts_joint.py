"""What FusionSeg's joint of real pictures learns from."""

import cv2
import numpy as np
import pytest

from vosbench.config import compose_fit
from vosbench.data.datasets.davis import Davis2016
from vosbench.data.datasets.msra10k import Duts
from vosbench.models import build

PICTURES = 20


@pytest.fixture(scope="module")
def program(zoo_program):
    return zoo_program("duts_joint")


@pytest.fixture
def root(tmp_path):
    """A data root with duts: a bright disc in each picture."""
    random = np.random.default_rng(0)
    for number in range(PICTURES):
        mask = np.zeros((48, 64), np.uint8)
        cv2.circle(mask, (20 + number, 24), 10, 255, -1)
        picture = random.integers(0, 120, (48, 64, 3), dtype=np.uint8)
        picture[mask > 0] += 100
        for folder, name, values in (("Image", "jpg", picture), ("Mask", "png", mask)):
            path = tmp_path / "duts" / f"DUTS-TR-{folder}" / f"p{number:02d}.{name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), values)
    return tmp_path


@pytest.fixture
def laid_out(root, program, make_davis, tmp_path, monkeypatch):
    monkeypatch.setattr(program, "SHORT_SIDE", 60)
    make_davis(root, {"bear": 3})
    lists = root / "davis16" / "ImageSets" / "480p"
    (lists / "val.txt").rename(lists / "train.txt")
    program.lay_out(root, root, tmp_path / "data")
    return tmp_path / "data"


def test_one_picture_of_ten_is_held_out_and_only_those_move(laid_out, program):
    assert [video.name for video in Duts(laid_out / "held")] == ["p09", "p19"]
    assert len(Duts(laid_out)) == PICTURES - 2
    assert not {video.name for video in Duts(laid_out)} & {"p09", "p19"}
    videos = {video.name: len(video) for video in Davis2016(laid_out, "train")}
    assert videos == {"bear": 3, "p09-0": 2, "p09-1": 2, "p19-0": 2, "p19-1": 2}
    assert program.described(laid_out) == {
        "name": "duts, davis16 train",
        "pictures": 18,
        "pictures held out": 2,
        "sequences": ["bear"],
        "dreamt sequences": 4,
    }


def test_real_sequences_are_copied_as_they_are(laid_out, root):
    for path in ("JPEGImages/480p/bear/00001.jpg", "Annotations/480p/bear/00001.png"):
        assert (laid_out / "davis16" / path).read_bytes() == (root / "davis16" / path).read_bytes()


def test_in_a_dream_object_and_background_move_a_little_and_apart(laid_out):
    dreamt = [video for video in Davis2016(laid_out, "train") if video.name != "bear"]
    changed = []
    for video in dreamt:
        first, second = (video.annotations[index] > 0 for index in (0, 1))
        assert first.shape == (60, 80)
        assert (first & second).sum() > 0.7 * first.sum() > 0
        changed.append((video.frames[0] != video.frames[1]).any(axis=2).mean())
    assert min(changed) > 0.01


def test_the_recipe_has_the_two_stages_of_the_program(program):
    config = compose_fit([*program.FIT, "data_root=x"])
    assert list(config.recipe) == ["appearance", "joint"]
    assert [stage.data for stage in config.recipe.values()] == [["duts"], ["davis16_513"]]
    assert config.data.val_split is None
    assert config.recipe["joint"].batch_size == 1
    switches = {key: value for key, value in config.model.items() if key != "name"}
    assert set(build("fusionseg", config.size, **switches).network.streams) == {"appearance", "motion"}
