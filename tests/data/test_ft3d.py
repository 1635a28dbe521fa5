import shutil

import numpy as np
import pytest
from PIL import Image

from vosbench.data import open_dataset
from vosbench.data.datasets.ft3d import FlyingThings3D
from vosbench.data.datasets.ft3d_motion import moving_label
from vosbench.data.mini import write_mini
from vosbench.data.mini.ft3d import Ft3dMini
from vosbench.data.mini.render import RenderedView
from vosbench.errors import InputError

SETTINGS = {"seed": 3, "scenes": 3, "test_scenes": 1, "frames": 3, "size": (72, 128)}


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    root = tmp_path_factory.mktemp("ft3d")
    write_mini("ft3d", root, **SETTINGS)
    return root


@pytest.fixture
def broken(mini, tmp_path):
    shutil.copytree(mini, tmp_path / "copy")
    return tmp_path / "copy"


def test_the_scenes_of_a_split_become_videos(mini):
    videos = open_dataset("ft3d", mini)
    assert [v.name for v in videos] == [f"A/000{i}/{view}" for i in range(3) for view in ("left", "right")]
    assert (videos.label, videos.split, len(FlyingThings3D(mini, "TEST"))) == ("ft3d-mini", "train", 2)
    video = videos[0]
    assert video.frame_names == ("0006", "0007", "0008")
    assert video.frames[0].shape == (72, 128, 3)
    assert (len(video.flow), list(video.annotations)) == (2, [0, 1])
    assert video.annotations[0].dtype == np.uint8
    assert set(np.unique(video.annotations[0])) == {0, 1}


def test_frames_may_be_webp(broken):
    expected = open_dataset("ft3d", broken)[0].frames[0]
    for path in (broken / "ft3d/frames_cleanpass").rglob("*.png"):
        Image.open(path).save(path.with_suffix(".webp"), lossless=True)
        path.unlink()
    video = open_dataset("ft3d", broken)[0]
    assert video.frame_names == ("0006", "0007", "0008")
    np.testing.assert_array_equal(video.frames[0], expected)


def truth(index, frame, view):
    settings = Ft3dMini(**SETTINGS)
    scene = settings.scene("TRAIN", index)
    first, second = (scene.camera(f, settings.size) for f in (frame, frame + 1))
    if view == "right":
        first, second = first.shifted(1.0), second.shifted(1.0)
    seen, following = RenderedView(scene, frame, first), RenderedView(scene, frame + 1, second)
    return seen, following, seen.motion(frame + 1, second)


def test_flow_is_the_renderer_s(mini):
    video = FlyingThings3D(mini)[1]
    np.testing.assert_array_equal(video.flow[1], truth(0, 1, "right")[2].flow)


def iou(first, second):
    return (first & second).sum() / (first | second).sum()


@pytest.mark.parametrize("index", range(3))
def test_labels_from_disparity_change_are_the_true_ones(mini, index):
    for video, view in zip(FlyingThings3D(mini)[2 * index :], ("left", "right"), strict=False):
        moving = truth(index, 1, view)[2].moving
        assert moving.mean() > 0.01
        assert iou(video.annotations[1] == 1, moving) > 0.99


def visible_moving(index):
    """Pixels whose point is not hidden at frame 1, and which of them move."""
    seen, following, motion = truth(index, 0, "left")
    rows, columns = np.indices(seen.depth.shape)
    x, y = (np.rint(c).astype(int) for c in (columns + motion.flow[0], rows + motion.flow[1]))
    inside = (x >= 0) & (x < 128) & (y >= 0) & (y < 72)
    visible = inside & (following.part[y.clip(0, 71), x.clip(0, 127)] == seen.part)
    return visible, motion.moving & visible


def test_labels_from_the_next_disparity_agree_where_points_stay_visible(broken):
    shutil.rmtree(broken / "ft3d" / "disparity_change")
    visible, moving = (np.stack(m) for m in zip(*(visible_moving(i) for i in range(3)), strict=True))
    labels = np.stack([video.annotations[0] == 1 for video in FlyingThings3D(broken, views=["left"])])
    assert iou(labels & visible, moving) > 0.97


def test_a_larger_tolerance_calls_less_moving(mini):
    areas = [FlyingThings3D(mini, tolerance=t)[0].annotations[0].mean() for t in (0.002, 0.02, 10.0)]
    assert areas[0] > areas[1] > areas[2] == 0


def lateral(shift):
    """One point at depth 10 (focal 100, disparity 10) whose flow is `shift` pixels to the right."""
    disparity, flow = np.full((4, 4), 10, np.float32), np.zeros((2, 4, 4), np.float32)
    flow[0] = shift
    return disparity, flow


def label(disparity, flow, pose, next_pose, **options):
    options = {"change": np.zeros_like(disparity)} | options
    return moving_label(disparity, flow, pose, next_pose, 100.0, **options)


def test_flow_that_the_camera_explains_is_standing():
    camera = np.eye(4)
    camera[0, 3] = 0.5
    # Depth 10: half a unit to the right moves the picture 5 pixels to the left.
    assert not label(*lateral(-5), np.eye(4), camera).any()
    assert label(*lateral(0), np.eye(4), camera).all()
    assert label(*lateral(-5), np.eye(4), np.eye(4)).all()


def test_the_tolerance_is_a_share_of_the_depth():
    # 1.5 pixels at depth 10 are 0.15 units, 1.5 % of the depth.
    assert label(*lateral(1.5), np.eye(4), np.eye(4), tolerance=0.0149).all()
    assert not label(*lateral(1.5), np.eye(4), np.eye(4), tolerance=0.0151).any()


def test_motion_along_the_line_of_sight_shows_in_the_disparity():
    disparity, flow = lateral(0)
    assert label(disparity, flow, np.eye(4), np.eye(4), change=disparity * 0.05).all()
    assert label(disparity, flow, np.eye(4), np.eye(4), change=None, next_disparity=disparity * 1.05).all()
    forward = np.eye(4)
    forward[2, 3] = -1.0
    approached = disparity * 10 / 9
    away = np.indices((4, 4))[::-1] - 1.5
    flow = (away / 9).astype(np.float32)
    assert not label(disparity, flow, np.eye(4), forward, change=approached - disparity).any()


def test_the_sign_of_the_disparity_does_not_matter():
    disparity, flow = lateral(0)
    change = disparity * 0.05
    assert (label(-disparity, flow, np.eye(4), np.eye(4), change=-change)).all()
    assert not label(-disparity, flow, np.eye(4), np.eye(4), change=0 * change).any()


def test_a_point_that_gets_hidden_is_judged_across_the_line_of_sight():
    disparity, flow = lateral(0)
    occluder = disparity * 3
    assert not label(disparity, flow, np.eye(4), np.eye(4), change=None, next_disparity=occluder).any()
    disparity, flow = lateral(4)
    assert label(disparity, flow, np.eye(4), np.eye(4), change=None, next_disparity=occluder).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "val"}, "unknown split of ft3d 'val'"),
        ({"pass_": "clean"}, "unknown pass of ft3d 'clean'.*cleanpass"),
        ({"pass_": "finalpass"}, "frames_finalpass"),
        ({"views": ["top"]}, "unknown view of ft3d 'top'"),
    ],
)
def test_what_cannot_be_opened_is_explained(mini, options, message):
    with pytest.raises(InputError, match=message):
        FlyingThings3D(mini, **options)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="ft3d"):
        FlyingThings3D(tmp_path)
    (tmp_path / "ft3d" / "frames_cleanpass").mkdir(parents=True)
    with pytest.raises(InputError, match="TRAIN: no scenes"):
        FlyingThings3D(tmp_path)


@pytest.mark.parametrize(
    "missing",
    ["disparity/TRAIN/A/0000/left/0006.pfm", "camera_data/TRAIN/A/0000/camera_data.txt"],
)
def test_a_missing_file_is_named_when_it_is_needed(broken, missing):
    (broken / "ft3d" / missing).unlink()
    video = FlyingThings3D(broken)[0]
    assert video.frames[0].any()
    with pytest.raises(InputError, match=missing):
        video.annotations[0]


def test_a_camera_file_without_the_frame_is_named(broken):
    path = broken / "ft3d/camera_data/TRAIN/A/0000/camera_data.txt"
    path.write_text(path.read_text().replace("Frame 7", "Frame 9"))
    with pytest.raises(InputError, match=r"camera_data\.txt: no camera for frame 0007"):
        FlyingThings3D(broken)[0].annotations[0]


def test_a_clip_of_one_frame_is_refused(broken):
    for name in ("0007", "0008"):
        (broken / f"ft3d/frames_cleanpass/TRAIN/A/0000/left/{name}.png").unlink()
    with pytest.raises(InputError, match="left: 1 frames"):
        FlyingThings3D(broken)
