"""Files that others wrote, in the official formats of the data sets, through the readers."""

from itertools import pairwise

import numpy as np
import pytest

from vosbench.data import open_dataset
from vosbench.data.datasets.ft3d_motion import BASELINE, moving_instances
from vosbench.data.verify import verify
from vosbench.errors import InputError
from vosbench.flow.estimators import Precomputed
from vosbench.formats.camera import read_cameras
from vosbench.formats.flo import read_flo, write_flo
from vosbench.formats.image import read_frame
from vosbench.formats.kitti import read_kitti, write_kitti
from vosbench.formats.pfm import read_pfm, write_pfm
from vosbench.formats.pnm import read_pnm, write_pnm
from vosbench.scoring.protocol import load_protocol
from vosbench.video import Video

pytestmark = pytest.mark.real_data

SETS = {"FlyingThings3D": 6, "Driving": 400, "Monkaa": 48}
"""Data sets of the Scene Flow sampler and their first frames."""


@pytest.fixture
def sampler(real_data):
    return real_data("sceneflow_sampler") / "sceneflow_sampler"


@pytest.mark.parametrize(("name", "first"), SETS.items())
def test_cameras_of_scene_flow_are_rigid_and_the_eyes_one_unit_apart(sampler, name, first):
    cameras = read_cameras(sampler / name / "camera_data.txt")
    assert list(cameras) == [first, first + 1, first + 2]
    for left, right in cameras.values():
        # the file has twelve digits, of numbers that were rounded to single precision
        np.testing.assert_allclose(left[:3, :3] @ left[:3, :3].T, np.eye(3), atol=2e-6)
        assert np.linalg.det(left[:3, :3]) == pytest.approx(1, abs=2e-6)
        np.testing.assert_array_equal(left[3], [0, 0, 0, 1])
        # the right eye is to the right, along the x axis of the left one
        between = np.linalg.inv(left) @ right
        np.testing.assert_allclose(between[:3, :3], np.eye(3), atol=1e-9)
        np.testing.assert_allclose(between[:3, 3], [BASELINE, 0, 0], atol=1e-9)


def edges(ids):
    """Pixels with another id beside or below, and the pixel beside or below."""
    found = np.zeros(ids.shape, bool)
    across, down = ids[:, 1:] != ids[:, :-1], ids[1:] != ids[:-1]
    found[:, 1:] |= across
    found[:, :-1] |= across
    found[1:] |= down
    found[:-1] |= down
    return found


@pytest.mark.parametrize(("name", "first"), SETS.items())
def test_pfm_and_pgm_of_scene_flow_have_the_same_row_on_top(sampler, name, first):
    objects = read_pfm(sampler / name / f"object_index/{first:04d}.pfm")
    boundaries = read_pnm(sampler / name / f"motion_boundaries/{first:04d}.pgm")
    assert objects.shape == boundaries.shape == (540, 960)
    assert np.unique(boundaries).tolist() == [0, 255]
    np.testing.assert_array_equal(objects, objects.round())
    # the motion of two objects differs where they meet; upside down the two files have little in common
    on_edges = edges(objects)[boundaries > 0].mean()
    assert on_edges > 3 * edges(objects[::-1])[boundaries > 0].mean()
    assert on_edges > 4 * edges(objects).mean()


def test_disparity_of_flyingthings_steps_where_objects_meet(sampler):
    folder = sampler / "FlyingThings3D"
    disparity, objects = (read_pfm(folder / f"{kind}/0006.pfm") for kind in ("disparity", "object_index"))
    assert disparity.dtype == np.float32
    assert 1.17 < disparity.min() < disparity.max() < 99.4
    step, meet = np.abs(np.diff(disparity, axis=1)), objects[:, 1:] != objects[:, :-1]
    assert np.median(step[meet]) > 4 * np.median(step[meet[::-1]])


def test_moving_objects_of_flyingthings_are_told_apart_by_their_index(sampler):
    objects = read_pfm(sampler / "FlyingThings3D/object_index/0006.pfm")
    moving = np.isin(objects, np.unique(objects)[[1, 2]])
    ids = moving_instances(moving, objects, smallest=0.0)
    assert np.unique(ids).tolist() == [0, 1, 2]
    for number, value in enumerate(np.unique(objects)[[1, 2]], start=1):
        np.testing.assert_array_equal(ids == number, objects == value)


def test_official_maps_are_written_as_they_were_read(sampler, tmp_path):
    source = sampler / "FlyingThings3D/disparity/0006.pfm"
    write_pfm(tmp_path / "disparity.pfm", read_pfm(source))
    # the official header has blanks before its line ends, the pixels are the same bytes
    assert (tmp_path / "disparity.pfm").read_bytes()[-4 * 540 * 960 :] == source.read_bytes()[
        -4 * 540 * 960 :
    ]
    boundaries = read_pnm(sampler / "FlyingThings3D/motion_boundaries/0006.pgm")
    write_pnm(tmp_path / "boundaries.pgm", boundaries)
    np.testing.assert_array_equal(read_pnm(tmp_path / "boundaries.pgm"), boundaries)


@pytest.fixture
def flows(real_data):
    return real_data("flow_samples") / "flow_samples"


@pytest.mark.parametrize(
    ("name", "shape"), [("sintel/frame_0001.flo", (2, 436, 1024)), ("middlebury/flow_gt.flo", (2, 388, 584))]
)
def test_flo_files_of_sintel_and_middlebury(flows, tmp_path, name, shape):
    flow = read_flo(flows / name)
    assert (flow.shape, flow.dtype) == (shape, np.float32)
    write_flo(tmp_path / "again.flo", flow)
    assert (tmp_path / "again.flo").read_bytes() == (flows / name).read_bytes()


def test_flow_of_middlebury_has_unknown_pixels_which_no_method_is_given(flows, tmp_path):
    flow = read_flo(flows / "middlebury/flow_gt.flo")
    unknown = (np.abs(flow) > 1e9).any(axis=0)
    assert unknown.sum() == 3622
    assert np.unique(flow[:, unknown]).tolist() == [np.float32(1666666800)]
    assert np.abs(flow[:, ~unknown]).max() < 5
    write_flo(tmp_path / "clip/a.flo", flow)
    clip = Video("clip", [np.zeros((388, 584, 3), np.uint8)] * 2, ("a", "b"))
    with pytest.raises(InputError, match="3622 pixels have no flow"):
        Precomputed(tmp_path).read(clip)[0]


def test_flow_png_of_kitti(flows, tmp_path):
    flow, valid = read_kitti(flows / "kitti/flow_gt.png")
    assert (flow.shape, int(valid.sum())) == ((2, 375, 1242), 75453)
    assert flow.shape[1:] == read_frame(flows / "kitti/frame1.png").shape[:2]
    # steps of 1/64 pixel; the laser sees nothing of the sky
    np.testing.assert_array_equal(flow * 64, (flow * 64).round())
    assert (flow[:, valid].min(), flow[:, valid].max()) == (-184.25, 74.609375)
    assert not flow[:, ~valid].any()
    assert not valid[:80].any()
    write_kitti(tmp_path / "again.png", flow, valid)
    again, known = read_kitti(tmp_path / "again.png")
    np.testing.assert_array_equal(again, flow)
    np.testing.assert_array_equal(known, valid)


def test_girl_of_segtrack(real_data, tmp_path):
    (tmp_path / "segtrack").symlink_to(real_data("segtrackv2_girl") / "segtrackv2_girl")
    [video] = open_dataset("segtrack", tmp_path)
    assert (video.name, len(video)) == ("girl", 21)
    assert video.frame_names == tuple(f"5117-8_{number}" for number in range(70161, 70182))
    masks = []
    for index in range(21):
        ids = video.annotations[index]
        assert ids.shape == video.frames[index].shape[:2] == (320, 400)
        assert np.unique(ids).tolist() == [0, 1]
        masks.append(ids)
    joint = [(a & b).sum() / (a | b).sum() for a, b in pairwise(masks)]
    # she runs, but every mask is that of its own frame
    assert min(joint) > 0.5


@pytest.fixture
def shot(real_data, tmp_path):
    """The shot in the layout of the released masks: frames of the first release, masks beside them."""
    source = real_data("youtube_objects_aeroplane_001") / "youtube_objects_aeroplane_001"
    place = "aeroplane/data/0001/shots/001"
    for name, target in ((f"v1/{place}", source), (f"youtube_masks/{place}/labels", source / "gt/01")):
        link = tmp_path / "youtube_objects" / name
        link.parent.mkdir(parents=True)
        link.symlink_to(target)
    return tmp_path


def test_a_shot_of_youtube_objects_has_a_jpeg_mask_every_tenth_frame(shot):
    [video] = open_dataset("youtube_objects", shot)
    assert (video.name, len(video)) == ("aeroplane_0001", 61)
    assert list(video.annotations) == [0, 10, 20, 30, 40, 50, 60]
    assert [video.frame_names[index] for index in (0, 10, 60)] == ["frame0001", "frame0011", "frame0061"]
    for ids in video.annotations.values():
        assert ids.shape == video.frames[0].shape[:2] == (360, 480)
        assert np.unique(ids).tolist() == [0, 1]
        # JPEG noise around the edges would be much more
        assert 0.11 < ids.mean() < 0.125
    counted = {
        task: list(load_protocol(f"youtube-objects-{task}").evaluated(len(video), video.annotations))
        for task in ("unsupervised", "semi-supervised")
    }
    assert counted == {
        "unsupervised": [0, 10, 20, 30, 40, 50, 60],
        "semi-supervised": [10, 20, 30, 40, 50, 60],
    }


def test_the_shot_is_sound_and_no_complete_data_set(shot):
    damage = verify("youtube_objects", shot)
    assert [each.problem for each in damage] == ["1 sequences instead of 126"]
