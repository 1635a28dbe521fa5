"""The renderer's motion is exact: hand-computed cases and consistency of pictures, depth and flow."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from vosbench.data.mini.bodies import MOVERS, SCENERY, SkinSampler
from vosbench.data.mini.camera import MotionPath, Rig, rotation
from vosbench.data.mini.primitives import BOX, CYLINDER, ELLIPSOID, ROOM, intersect
from vosbench.data.mini.render import RenderedView
from vosbench.data.mini.sampling import CAMERA_MOTIONS, Recipe, sample_scene, sample_visible_scene
from vosbench.data.mini.scene import Behaviour, Body, MiniScene, Part, Skin

SIZE = (72, 128)
FOCAL = 128.0


def skin(texture=0):
    return Skin(texture, np.ones(3), 8.0, np.zeros(2))


def body(shape=BOX, position=(0, 0, -10), size=(1, 1, 1), **motion):
    behaviour = motion.pop("behaviour", Behaviour.MOVING if motion else Behaviour.STATIC)
    part = Part(shape, np.array(size, float), skin(1))
    return Body((part,), np.array(position, float), behaviour=behaviour, **motion)


def world(*bodies, rig=None):
    room = Body((Part(ROOM, np.array([20.0, 20.0, 20.0]), skin()),), np.zeros(3))
    return MiniScene((room, *bodies), 7, rig or Rig(np.eye(4)), 1.0, ambient=1.0)


def view(scene, frame=0):
    return RenderedView(scene, frame, scene.camera(frame, SIZE))


def follow(scene, frame=0, step=1):
    return view(scene, frame).motion(frame + step, scene.camera(frame + step, SIZE))


def velocity(x=0.0, y=0.0, z=0.0):
    return MotionPath(np.array([x, y, z]))


@pytest.mark.parametrize(
    ("shape", "direction", "expected"),
    [
        (ELLIPSOID, (0, 0, -1), 4.0),
        (BOX, (0, 0, -1), 4.0),
        (CYLINDER, (0, 0, -1), 4.0),
        (ROOM, (0, 0, -1), 6.0),
        (ELLIPSOID, (0.3, 0, -1), np.inf),
        (BOX, (0.2, 0, -1), 4.0),
        (BOX, (0.3, 0, -1), np.inf),
        (CYLINDER, (0, 0.3, -1), np.inf),
        (ELLIPSOID, (0, 0, 1), np.inf),
    ],
)
def test_rays_from_five_units_meet_the_unit_shapes(shape, direction, expected):
    rays = tuple(np.full((1, 1), c, np.float32) for c in direction)
    assert intersect(shape, np.array([0, 0, 5], np.float32), rays).item() == pytest.approx(expected)


def test_nothing_moves_when_neither_scene_nor_camera_does():
    motion = follow(world(body()))
    assert not motion.flow.any()
    assert not motion.moving.any()


def test_a_box_moving_sideways_flows_by_focal_times_shift_over_depth():
    scene = world(body(path=velocity(x=0.45)))
    seen, motion = view(scene), follow(scene)
    face = seen.ids == 1
    # The front face is at depth 9: 128 * 0.45 / 9 = 6.4 pixels.
    np.testing.assert_allclose(seen.depth[face], 9, rtol=1e-5)
    np.testing.assert_allclose(motion.flow[0, face], 6.4, atol=1e-3)
    np.testing.assert_allclose(motion.flow[1, face], 0, atol=1e-3)
    assert not motion.flow[:, ~face].any()
    np.testing.assert_array_equal(motion.moving, face)


def test_up_in_the_world_is_up_in_the_image():
    scene = world(body(path=velocity(y=0.45)))
    np.testing.assert_allclose(follow(scene).flow[1, view(scene).ids == 1], -6.4, atol=1e-3)


def test_a_moving_camera_gives_parallax_but_nothing_moves_in_the_world():
    scene = world(body(), rig=Rig(np.eye(4), travel=velocity(x=0.45)))
    seen, motion = view(scene), follow(scene)
    back_wall = np.isclose(seen.depth, 20, rtol=1e-4)
    np.testing.assert_allclose(motion.flow[0, seen.ids == 1], -6.4, atol=1e-3)
    np.testing.assert_allclose(motion.flow[0, back_wall], -128 * 0.45 / 20, atol=1e-3)
    assert not motion.moving.any()


def test_a_turning_camera_moves_all_depths_alike():
    # Turning to the left (about +y) moves the picture to the right.
    scene = world(body(), rig=Rig(np.eye(4), turn=velocity(y=0.05)))
    middle = follow(scene).flow[0, 35:37, 63:65].mean()
    assert middle == pytest.approx(128 * np.tan(0.05), abs=0.02)


def test_a_camera_that_follows_keeps_the_body_in_place():
    path = MotionPath(np.array([0.4, 0, 0]))
    scene = world(body(path=path), rig=Rig(np.eye(4), followed=path, follow=1.0))
    seen, motion = view(scene), follow(scene)
    on_body = seen.ids == 1
    assert np.abs(motion.flow[:, on_body]).max() < 1e-3
    assert np.abs(motion.flow[0, ~on_body]).min() > 1
    np.testing.assert_array_equal(motion.moving, on_body)


def test_a_camera_that_aims_keeps_the_target_in_place():
    path = MotionPath(np.array([0.4, 0, 0]))
    start, target = np.eye(4), np.array([0.0, 0.0, -10.0])
    scene = world(body(path=path), rig=Rig(start, followed=path, aim=1.0, target=target, target_moves=True))
    for frame in (0, 3):
        rows, columns = np.nonzero(view(scene, frame).ids == 1)
        assert (columns.min() + columns.max()) / 2 == pytest.approx(63.5, abs=1.5)
        assert (rows.min() + rows.max()) / 2 == pytest.approx(35.5, abs=1)


def test_the_other_eye_sees_points_shifted_by_the_disparity():
    scene = world(body())
    left = scene.camera(0, SIZE)
    shift = view(scene).motion(0, left.shifted(1.0))
    np.testing.assert_allclose(shift.flow[0], -FOCAL / view(scene).depth, atol=1e-3)


def test_a_stop_and_go_body_stands_still_during_its_pause():
    scene = world(body(path=velocity(x=0.4), behaviour=Behaviour.STOP_AND_GO, pause=(2.0, 4.0)))
    moved = [follow(scene, frame).moving.any() for frame in range(6)]
    assert moved == [True, True, False, False, True, True]


def test_stretching_moves_the_flanks_apart():
    scene = world(body(ELLIPSOID, stretch=np.array([0.4, -0.2, -0.2]), stretch_frequency=0.05))
    columns = np.nonzero(view(scene).ids == 1)[1]
    u = follow(scene).flow[0]
    assert u[35, columns.min() + 2] < -0.5
    assert u[35, columns.max() - 2] > 0.5


def visible_next(seen, following, motion):
    """Pixels whose point is in view at the next frame and not hidden there."""
    rows, columns = np.indices(SIZE)
    x, y = columns + motion.flow[0], rows + motion.flow[1]
    inside = (x > 1) & (x < SIZE[1] - 2) & (y > 1) & (y < SIZE[0] - 2)
    depth = map_coordinates(following.depth, [y, x], order=1, mode="nearest")
    part = map_coordinates(following.part, [y, x], order=0, mode="nearest")
    return inside & (np.abs(depth / motion.depth - 1) < 0.01) & (part == seen.part), x, y


@pytest.mark.parametrize("camera", sorted(CAMERA_MOTIONS))
def test_pictures_warped_by_the_flow_agree(camera):
    recipe = Recipe(camera=camera, focal_ratio=1.0)
    scene = sample_visible_scene((3,), recipe, 6, SIZE[0] / SIZE[1], 0.05)
    flat = MiniScene(scene.bodies, scene.texture_seed, scene.rig, 1.0, ambient=1.0, origin=scene.origin)
    seen, following, motion = view(flat, 2), view(flat, 3), follow(flat, 2)
    good, x, y = visible_next(seen, following, motion)
    first, second = seen.rgb().mean(axis=2), following.rgb().mean(axis=2)
    warped = map_coordinates(second, [y, x], order=1, mode="nearest")
    assert good.mean() > 0.5
    with_flow = np.abs(warped - first)[good].mean()
    assert with_flow < 5
    if np.abs(motion.flow[:, good]).mean() > 1:
        assert with_flow < 0.6 * np.abs(second - first)[good].mean()


def test_backward_flow_leads_home():
    scene = sample_scene(np.random.SeedSequence(6), Recipe(camera="truck", focal_ratio=1.0), 6, 72 / 128)
    seen, following, motion = view(scene, 2), view(scene, 3), follow(scene, 2)
    back = follow(scene, 3, -1)
    good, x, y = visible_next(seen, following, motion)
    returned = np.stack([map_coordinates(c, [y, x], order=1, mode="nearest") for c in back.flow])
    error = np.linalg.norm(motion.flow + returned, axis=0)[good]
    assert np.abs(motion.flow).mean() > 0.2
    assert np.quantile(error, 0.95) < 0.05


def test_something_is_hidden_when_a_body_passes_another():
    scene = world(
        body(position=(0, 0, -14), size=(3, 1, 1)), body(position=(-1, 0, -9), path=velocity(x=0.7))
    )
    good, *_ = visible_next(view(scene), view(scene, 1), follow(scene))
    behind = view(scene).ids == 2
    assert 0.05 < 1 - good[view(scene).ids == 1].mean() < 0.9
    assert good[behind].mean() > 0.9


@pytest.mark.parametrize("kind", sorted(MOVERS | SCENERY))
def test_every_kind_of_body_is_drawn_within_two_units_of_its_centre(kind):
    skins = SkinSampler(np.random.default_rng(0), 8, 10.0)
    made = Body((MOVERS | SCENERY)[kind](skins), np.array([0.0, 0.0, -10.0]))
    rows, columns = np.nonzero(view(world(made)).ids)
    assert len(rows) > 50
    reach = 2.6 * FOCAL / 8
    assert np.abs(columns - 63.5).max() < reach
    assert np.abs(rows - 35.5).max() < reach


def test_the_same_seed_gives_the_same_picture_and_another_seed_another():
    pictures = [
        view(sample_scene(np.random.SeedSequence(seed), Recipe(), 6, 72 / 128)).rgb() for seed in (1, 1, 2)
    ]
    assert (pictures[0] == pictures[1]).all()
    assert (pictures[0] != pictures[2]).any()
    assert pictures[0].std() > 10


def test_rotation_turns_right_handed():
    np.testing.assert_allclose(
        rotation(np.array([0, 0, np.pi / 2]))[:3, :3] @ [1, 0, 0], [0, 1, 0], atol=1e-12
    )
    np.testing.assert_array_equal(rotation(np.zeros(3)), np.eye(4))
