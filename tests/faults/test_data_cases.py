"""Unusual data: what every method, reader and score makes of them.

Videos of one and two frames, frames of 1 x 1 and odd sizes, in other colours and of different sizes, first
masks without objects, more ids than a byte holds, flow that is not finite.
"""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from vosbench.benchmark import compare
from vosbench.errors import InputError
from vosbench.formats.image import read_frame
from vosbench.formats.png import read_ids
from vosbench.given import Given, segment
from vosbench.models import METHODS, build
from vosbench.models.baselines import BASELINES
from vosbench.models.pretrained.zoo import load_method
from vosbench.tensor_files import write_safetensors
from vosbench.video import Segmentation, Video

RANDOM = np.random.default_rng(0)
UNKNOWN = {
    "nan": np.full((2, 15, 17), np.nan, np.float32),
    "inf": np.full((2, 15, 17), np.inf, np.float32),
    "partly": np.where(RANDOM.random((2, 15, 17)) < 0.5, np.nan, 3).astype(np.float32),
    "huge": np.full((2, 15, 17), 1e30, np.float32),
}
SEES_NO_FRAMES = (*BASELINES, "mpnet")
"""Methods that see flow, a first mask or nothing: their masks have the size of the first frame."""
NEEDS_TWO = ("fusionseg", "lvo", "mpnet")
"""Networks that see motion only: a single frame is refused."""


@pytest.fixture(scope="module")
def method():
    made = {}

    def get(name):
        if name not in made:
            torch.manual_seed(0)
            # what is learnt does not matter here
            few = {"online_iterations": 2} if name in ("lip", "stcnn") else {}
            made[name] = BASELINES[name]() if name in BASELINES else build(name, "tiny", **few).eval()
        return made[name]

    return get


def video(length, height=15, width=17, flow=None):
    frames = [RANDOM.integers(0, 256, (height, width, 3)).astype(np.uint8) for _ in range(length)]
    field = np.full((2, height, width), 1.5, np.float32) if flow is None else flow
    names = tuple(f"{index:05d}" for index in range(length))
    return Video("cat", frames, names, flow=[field] * max(length - 1, 0))


def given(method, clip, value=1):
    if method.task != "semi-supervised":
        return None
    ids = np.zeros(clip.frames[0].shape[:2], np.uint8)
    ids[: max(1, ids.shape[0] // 2)] = value
    return Given(0, ids)


def ids_of(method, clip, first):
    with torch.no_grad():
        maps = segment(method, clip, first).stack()
    assert maps.shape == (len(clip), *clip.frames[0].shape[:2])
    assert maps.dtype == np.uint8
    return maps


@pytest.mark.parametrize("name", [*BASELINES, *METHODS])
class TestEveryMethod:
    def test_two_frames(self, method, name):
        clip = video(2)
        ids_of(method(name), clip, given(method(name), clip))

    def test_one_frame(self, method, name):
        clip = video(1)
        if name in NEEDS_TWO:
            with pytest.raises(InputError, match="cat"):
                ids_of(method(name), clip, None)
        else:
            ids_of(method(name), clip, given(method(name), clip))

    @pytest.mark.parametrize("size", [(1, 1), (1, 40), (15, 17)])
    def test_small_and_odd_frames(self, method, name, size):
        clip = video(2, *size)
        ids_of(method(name), clip, given(method(name), clip))

    @pytest.mark.parametrize("kind", UNKNOWN)
    def test_flow_that_is_not_finite_is_unknown(self, method, name, kind):
        clip = video(2, flow=UNKNOWN[kind])
        ids_of(method(name), clip, given(method(name), clip))

    def test_a_frame_of_another_size_is_refused_by_who_looks_at_it(self, method, name):
        clip = video(3)
        frames = [*clip.frames[:2], clip.frames[2][:-1]]
        other = Video("cat", frames, clip.frame_names, flow=clip.flow)
        if name in SEES_NO_FRAMES:
            ids_of(method(name), other, given(method(name), clip))
        else:
            with pytest.raises(InputError, match="cat, frame 00002: 14 x 17, earlier ones 15 x 17"):
                ids_of(method(name), other, given(method(name), clip))

    @pytest.mark.slow
    def test_frames_of_4k(self, method, name):
        clip = video(2, 2160, 3840)
        ids_of(method(name), clip, given(method(name), clip))

    def test_a_sequence_without_frames_is_named(self, method, name):
        with pytest.raises(InputError, match="cat: no frames; copy the sequence again"):
            segment(method(name), video(0), None)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", METHODS)
def test_weights_that_are_not_finite_are_refused(method, name, value, tmp_path):
    state = {
        key: tensor.clone(memory_format=torch.contiguous_format)
        for key, tensor in method(name).state_dict().items()
    }
    key = next(key for key, tensor in state.items() if tensor.is_floating_point() and tensor.numel() > 1)
    state[key].view(-1)[-1] = value
    described = {"name": name, "size": "tiny", "variant": json.dumps({})}
    write_safetensors(tmp_path / "w.safetensors", state, described)
    with pytest.raises(InputError, match=f"'{re.escape(key)}' holds numbers that are not finite"):
        load_method(name, "tiny", tmp_path / "w.safetensors")


def test_as_many_objects_as_ids_are_followed(method):
    clip = video(2, 16, 16)
    ids = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for name in ("copy_first", "propagate_flow"):
        maps = ids_of(method(name), clip, Given(0, ids))
        assert set(np.unique(maps[0])) <= set(range(255)), "255 is void, no object"
        assert len(np.unique(maps[0])) == 255


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("name", ["lip", "stcnn"])
def test_networks_refuse_a_first_mask_without_objects(method, name, value):
    clip = video(2)
    with pytest.raises(InputError, match="cat: there is no object in the first mask"):
        ids_of(method(name), clip, given(method(name), clip, value))


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("name", ["copy_first", "propagate_flow"])
def test_baselines_find_nothing_by_a_first_mask_without_objects(method, name, value):
    clip = video(2)
    assert not ids_of(method(name), clip, given(method(name), clip, value)).any()


class Reads:
    """Method that looks at every frame."""

    task, needs_flow = "semi-supervised", False

    def segment(self, video, first_mask=None):
        return Segmentation((np.zeros(frame.shape[:2], np.uint8) for frame in video.frames), len(video))


def test_a_frame_of_another_size_is_named():
    clip = video(3)
    other = Video("cat", [*clip.frames[:2], clip.frames[2][:-1]], clip.frame_names)
    first = Given(0, np.zeros((15, 17), np.uint8))
    with pytest.raises(InputError, match="cat, frame 00002: 14 x 17, earlier ones 15 x 17"):
        segment(Reads(), other, first).stack()
    assert not segment(Reads(), clip, first).stack().any()


def test_a_first_mask_of_another_size_is_named():
    with pytest.raises(InputError, match="cat: the first mask is 17 x 15, its frame 15 x 17"):
        segment(Reads(), video(2), Given(0, np.zeros((17, 15), np.uint8)))


COLOUR = np.array([[[200, 100, 50], [0, 255, 10]]], np.uint8)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("RGB", COLOUR),
        ("L", [[[124] * 3, [151] * 3]]),
        ("RGBA", COLOUR),
        ("P", COLOUR),
        ("1", [[[0] * 3, [255] * 3]]),
    ],
)
def test_frames_of_other_modes_become_rgb(tmp_path, mode, expected):
    picture = Image.fromarray(COLOUR)
    picture = picture.convert(mode, dither=Image.Dither.NONE) if mode == "1" else picture.convert(mode)
    picture.save(tmp_path / "a.png")
    frame = read_frame(tmp_path / "a.png")
    assert frame.dtype == np.uint8
    np.testing.assert_allclose(frame.astype(int), expected, atol=40 if mode == "P" else 0)


def test_frames_in_the_colours_of_print_become_rgb(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg", quality=100)
    np.testing.assert_allclose(read_frame(tmp_path / "a.jpg")[0, 0].astype(int), (255, 0, 0), atol=3)


def test_frames_of_16_bits_are_refused_with_the_remedy(tmp_path):
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: more than 8 bits per channel; convert it"):
        read_frame(tmp_path / "a.png")


def test_more_ids_than_a_byte_holds_are_refused(tmp_path):
    Image.fromarray(np.arange(300, dtype=np.uint16).reshape(10, 30)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: "):
        read_ids(tmp_path / "a.png")


def write_masks(root, sequence, change):
    for path in sorted((root / "davis16/Annotations/480p" / sequence).glob("*.png")):
        change(path)


def empty(path):
    Image.fromarray(np.zeros_like(np.asarray(Image.open(path)))).save(path)


def compared(root, out):
    return compare(
        models=["centre_box", "copy_first"],
        datasets=["davis16"],
        protocols=["davis16-unsupervised", "davis16-semi-supervised"],
        data_root=root,
        out=out,
        workers=1,
    )


def test_empty_ground_truth_has_defined_values(tmp_path, make_davis):
    """Something against nothing is 0, nothing against nothing 1, and T of nothing undefined."""
    root = make_davis(tmp_path / "data")
    write_masks(root, "dog", empty)
    result = compared(root, tmp_path / "out")
    assert not result.failures
    values = {record.model: record.values for record in result.records if record.sequence == "dog"}
    assert (values["centre_box"]["J_mean"], values["centre_box"]["F_mean"]) == (0, 0)
    assert (values["copy_first"]["J_mean"], values["copy_first"]["F_mean"]) == (1, 1)
    assert all(value is None or np.isfinite(value) for each in values.values() for value in each.values())
    assert values["copy_first"]["T_mean"] is None


def test_a_missing_annotation_is_named_before_anything_runs(tmp_path, make_davis):
    root = make_davis(tmp_path / "data")
    (root / "davis16/Annotations/480p/dog/00002.png").unlink()
    with pytest.raises(InputError, match="dog lacks the annotation of frame 00002"):
        compared(root, tmp_path / "out")
    assert not (tmp_path / "out/records").exists()
