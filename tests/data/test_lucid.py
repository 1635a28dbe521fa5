"""Dreams are sharp copies of one annotated frame whose masks and flow are known exactly."""

import pickle
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vosbench.data.lucid.dream import Dreamer
from vosbench.data.lucid.inpaint import fill
from vosbench.data.lucid.layers import Tone, cut_out, paste
from vosbench.data.lucid.motion import plan
from vosbench.data.lucid.settings import LucidSettings
from vosbench.data.lucid.warp import Warp, Window, displacement, tamed, thin_plate, turning
from vosbench.formats.image import read_frame
from vosbench.formats.png import read_ids

IDENTITY = LucidSettings(
    foreground="all",
    mirror_background=0.0,
    background_illumination=0.0,
    illumination=0.0,
    relocate=0.0,
    object_scale=(1.0, 1.0),
    deform=0.0,
    turn=0.0,
    flip=0.0,
    step_shift=0.0,
    step_rotation=0.0,
    step_scale=(1.0, 1.0),
    step_deformation=0.0,
    camera_shift=0.0,
    camera_rotation=0.0,
    camera_scale=(1.0, 1.0),
)
"""Every frame is the given one; a base for settings that change one thing."""

HEIGHT, WIDTH = 96, 128
RED = (230, 20, 20)


def texture(seed=0, height=HEIGHT, width=WIDTH):
    """Smooth blotches without red."""
    coarse = np.random.default_rng(seed).uniform(40, 215, (height // 8, width // 8, 3)).astype(np.float32)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 255)
    picture[..., 0] *= 0.2
    return picture.astype(np.uint8)


def ellipse(x, y, rx, ry):
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return ((columns - x) / rx) ** 2 + ((rows - y) / ry) ** 2 <= 1


def annotated(*shapes, textured=False):
    """Frame and ids; object k is the k-th shape, red, or with a texture of its own."""
    frame, ids = texture(), np.zeros((HEIGHT, WIDTH), np.uint8)
    for k, shape in enumerate(shapes, 1):
        frame[shape] = texture(k)[shape][:, ::-1] if textured else RED
        ids[shape] = k
    return frame, ids


ONE = ellipse(50, 45, 20, 15)
TWO = ellipse(95, 60, 14, 20)
THREE = ellipse(20, 80, 12, 9)


@pytest.mark.parametrize("shapes", [(ONE,), (ONE, TWO, THREE)])
def test_identity_settings_give_back_frame_and_mask(shapes):
    frame, ids = annotated(*shapes)
    ids[:3] = 255
    dream = Dreamer(frame, ids, IDENTITY).clip(3, flow=True)
    assert dream.frames.shape == (3, HEIGHT, WIDTH, 3)
    assert (dream.frames == frame).all()
    assert (dream.masks == ids).all()
    assert dream.flow.shape == (2, 2, HEIGHT, WIDTH)
    assert dream.flow.dtype == np.float32
    assert not dream.flow.any()


def test_a_hard_paste_in_place_gives_back_the_frame():
    frame, ids = annotated(ONE)
    dreamer = Dreamer(frame, ids, IDENTITY)
    picture, labels, owners = dreamer.background, np.zeros_like(ids), np.zeros_like(ids)
    paste(picture, labels, owners, cut_out(frame, ids, 1, feather=0), Warp(np.eye(2, 3)), 1)
    assert (labels == ids).all()
    assert (picture[ONE] == frame[ONE]).all()


LARGE_MOTION = LucidSettings(
    foreground="all",
    background_illumination=0.0,
    illumination=1.0,
    gain=(0.95, 1.05),
    gamma=(0.7, 1.3),
    offset=(-0.07, 0.07),
    object_rotation=30.0,
    deform=1.0,
    deformation=0.1,
    turn=0.0,
    flip=0.0,
    mirror_background=0.0,
    step_shift=0.1,
    step_rotation=30.0,
    step_scale=(0.85, 1.15),
    step_deformation=0.1,
    camera_shift=0.1,
    camera_rotation=30.0,
    camera_scale=(0.85, 1.15),
)
# the ranges of Khoreva et al., section 4: larger motion, no mirroring


@pytest.mark.parametrize("chosen", [LucidSettings(), LARGE_MOTION], ids=["stcnn", "khoreva"])
def test_masks_hold_known_ids_and_no_object_leaves(chosen):
    frame, ids = annotated(ONE, TWO, THREE)
    ids[40:44, :5] = 255
    dreamer = Dreamer(frame, ids, replace(chosen, foreground="all"), seed=3)
    for _ in range(15):
        first = dreamer.pair().masks[0]
        assert {1, 2, 3} <= set(np.unique(first)) <= {0, 1, 2, 3, 255}


def test_a_lone_object_stays_half_visible_in_every_frame():
    frame, ids = annotated(ONE)
    # only the picture's turn may shrink or enlarge; at 0 degrees area is what is visible
    chosen = replace(LARGE_MOTION, object_scale=(1, 1), step_scale=(1, 1), deform=0.0, step_deformation=0.0)
    dreamer = Dreamer(frame, ids, chosen, seed=1)
    whole = ONE.sum()
    for _ in range(25):
        areas = (dreamer.clip(4).masks == 1).sum(axis=(1, 2))
        assert (areas >= 0.45 * whole).all()
        assert (areas <= 1.05 * whole).all()


def test_the_area_follows_the_scale():
    frame, ids = annotated(ONE)
    dreamer = Dreamer(frame, ids, replace(IDENTITY, relocate=1.0, object_scale=(0.85, 1.15)))
    ratios = np.array([(dreamer.clip(1).masks == 1).sum() for _ in range(40)]) / ONE.sum()
    assert ratios.min() >= 0.85**2 * 0.97
    assert ratios.max() <= 1.15**2 * 1.03
    assert np.ptp(ratios) > 0.2


def test_a_deformation_changes_the_shape_but_not_much_of_the_area():
    frame, ids = annotated(ONE)
    dreamer = Dreamer(frame, ids, replace(IDENTITY, deform=1.0, deformation=0.1))
    for _ in range(15):
        mask = dreamer.clip(1).masks[0] == 1
        assert (mask != ONE).any()
        assert 0.6 < mask.sum() / ONE.sum() < 1.6
        assert (mask & ONE).sum() > 0.6 * ONE.sum()


def photometric(dream):
    """Mean difference of frame 0 and frame 1 looked up by the flow, and without it, away from borders."""
    height, width = dream.masks.shape[1:]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    to = x + dream.flow[0, 0], y + dream.flow[0, 1]
    there = cv2.remap(dream.frames[1], *to, cv2.INTER_LINEAR)
    ids_there = cv2.remap(dream.masks[1], *to, cv2.INTER_NEAREST, borderValue=254)
    kernel = np.ones((7, 7), np.uint8)
    plain = [cv2.dilate(m, kernel) == cv2.erode(m, kernel) for m in (dream.masks[0], ids_there)]
    same = (dream.masks[0] == ids_there) & plain[0] & plain[1]
    same[:6] = same[-6:] = same[:, :6] = same[:, -6:] = False

    def error(other, where):
        return np.abs(dream.frames[0].astype(float) - other)[where].mean()

    parts = [same & (dream.masks[0] == k) for k in (0, 1)]
    return [(error(there, part), error(dream.frames[1], part), part.sum()) for part in parts]


@pytest.mark.parametrize("chosen", [LucidSettings(), LARGE_MOTION], ids=["stcnn", "khoreva"])
def test_flow_takes_each_pixel_to_its_colour_in_the_next_frame(chosen):
    frame, ids = annotated(ellipse(60, 45, 30, 25), textured=True)
    dreamer = Dreamer(frame, ids, replace(chosen, illumination=1.0), seed=5)
    followed, ignored = [], []
    for _ in range(12):
        for with_flow, without, pixels in photometric(dreamer.pair(flow=True)):
            if pixels > 100:
                followed.append(with_flow)
                ignored.append(without)
    assert max(followed) < 2.5
    assert np.mean(followed) < 0.25 * np.mean(ignored)


def test_a_sliding_camera_has_constant_flow():
    frame, ids = annotated(ONE)
    dreamer = Dreamer(frame, ids, replace(IDENTITY, camera_shift=0.05))
    fields = np.stack([dreamer.pair(k, flow=True).flow[0] for k in range(8)])[:, :, ~ONE]
    np.testing.assert_allclose(fields, np.broadcast_to(fields[..., :1], fields.shape), atol=1e-4)
    assert np.abs(fields[:, 0]).max() <= 0.05 * WIDTH
    assert np.abs(fields[:, 1]).max() <= 0.05 * HEIGHT
    assert np.abs(fields).max() > 1


def test_a_clip_moves_as_far_as_a_pair():
    frame, ids = annotated(ONE)
    dreamer = Dreamer(frame, ids, seed=2)
    pair, clip = dreamer.pair(4, flow=True), dreamer.clip(3, 4, flow=True)
    assert (clip.frames[[0, 2]] == pair.frames).all()
    assert (clip.masks[[0, 2]] == pair.masks).all()
    assert dreamer.clip(1, 4, flow=True).flow is None
    assert (dreamer.clip(1, 4).frames[0] == pair.frames[0]).all()


@pytest.mark.parametrize("how", ["patches", "diffusion", "telea"])
def test_the_background_holds_nothing_of_the_object(how):
    frame, ids = annotated(ONE, TWO)
    background = Dreamer(frame, ids, LucidSettings(filling=how)).background
    assert background[..., 0].max() < 70
    far = cv2.dilate((ids > 0).astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    assert (background[far] == frame[far]).all()


def test_patches_go_on_with_a_pattern_that_diffusion_blurs():
    stripes = np.zeros((128, 160, 3), np.uint8)
    stripes[:, (np.arange(160) // 6) % 2 == 0] = 220
    hole = np.zeros((128, 160), bool)
    hole[44:84, 60:100] = True
    errors = {}
    for how in ("patches", "diffusion"):
        filled = fill(stripes, hole, how, np.random.default_rng(0))
        assert (filled[~hole] == stripes[~hole]).all()
        errors[how] = np.abs(filled[hole].astype(float) - stripes[hole]).mean()
    assert errors["patches"] < 0.5 * errors["diffusion"]


def test_a_frame_that_is_all_hole_gets_its_mean_colour():
    frame = texture()
    filled = fill(frame, np.ones(frame.shape[:2], bool), "patches", np.random.default_rng(0))
    assert (filled == frame.mean(axis=(0, 1)).round()).all()


def same(first, second):
    return all(
        np.array_equal(a, b) for a, b in zip(*(vars(d).values() for d in (first, second)), strict=True)
    )


def test_a_dream_depends_on_seed_and_index_alone():
    frame, ids = annotated(ONE, TWO)
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    dreamer = Dreamer(frame, ids, seed=7)
    in_order = [dreamer.pair(flow=True) for _ in range(3)]
    copied = pickle.loads(pickle.dumps(Dreamer(frame, ids, seed=7)))
    for k in (2, 0, 1):
        assert same(copied.pair(k, flow=True), in_order[k])
    assert not same(in_order[0], in_order[1])
    assert not same(Dreamer(frame, ids, seed=8).pair(0, flow=True), in_order[0])
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


def test_given_arrays_are_neither_changed_nor_kept():
    frame, ids = annotated(ONE)
    kept = frame.copy(), ids.copy()
    dreamer = Dreamer(frame, ids)
    dreamer.pair()
    assert (frame == kept[0]).all()
    assert (ids == kept[1]).all()
    expected = dreamer.pair(0)
    frame[:], ids[:] = 0, 0
    assert same(dreamer.pair(0), expected)


def test_others_stay_in_the_background_or_go():
    frame, ids = annotated(ONE, TWO, THREE)
    seen = {}
    for keep in (0.0, 1.0):
        dreamer = Dreamer(frame, ids, replace(IDENTITY, foreground="some", keep_others=keep))
        seen[keep] = [dreamer.clip(1) for _ in range(12)]
    assert all((dream.masks[0] == ids).all() for dream in seen[1.0])
    sizes = {len(np.unique(dream.masks[0])) - 1 for dream in seen[0.0]}
    assert sizes == {1, 2, 3}
    for dream in seen[0.0]:
        gone = (ids > 0) & (dream.masks[0] == 0)
        assert not gone.any() or dream.frames[0][gone][:, 0].mean() < 80


def test_depth_order_is_drawn():
    frame, ids = annotated(ONE, TWO)
    layers = [cut_out(frame, ids, k, 1.0) for k in (1, 2)]
    orders = {plan(layers, ids.shape, LARGE_MOTION, np.random.default_rng(k)).moved for k in range(20)}
    assert orders == {(0, 1), (1, 0)}


@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_an_object_cut_by_the_border_stays_cut(side):
    x, y = {"left": (0, 50), "right": (WIDTH - 1, 50), "top": (60, 0), "bottom": (60, HEIGHT - 1)}[side]
    frame, ids = annotated(ellipse(x, y, 22, 18))
    dreamer = Dreamer(frame, ids, replace(IDENTITY, relocate=1.0, object_scale=(0.85, 1.15)))
    for _ in range(12):
        mask = dreamer.clip(1).masks[0]
        border = {"left": mask[:, 0], "right": mask[:, -1], "top": mask[0], "bottom": mask[-1]}[side]
        assert border.any()
        assert mask.sum() > 0.4 * ids.sum()


@pytest.mark.parametrize("pixels", [1, 2, 5])
def test_a_tiny_object_never_vanishes(pixels):
    tiny = np.zeros((HEIGHT, WIDTH), bool)
    tiny[40, 60 : 60 + pixels] = True
    dreamer = Dreamer(*annotated(tiny), LARGE_MOTION)
    for _ in range(20):
        masks = dreamer.clip(3).masks
        assert (masks == 1).any(axis=(1, 2)).all()
        assert (masks == 1).sum(axis=(1, 2)).max() <= 4 * pixels + 4


def test_an_object_that_fills_the_frame_still_dreams():
    dreamer = Dreamer(texture(), np.ones((HEIGHT, WIDTH), np.uint8), LARGE_MOTION)
    for _ in range(10):
        dream = dreamer.pair(flow=True)
        assert (dream.masks == 1).mean(axis=(1, 2)).min() > 0.45
        assert np.isfinite(dream.flow).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (17, 40)])
def test_small_frames_dream(shape):
    frame = np.full((*shape, 3), 90, np.uint8)
    ids = np.zeros(shape, np.uint8)
    ids[0, 0] = 1
    dream = Dreamer(frame, ids, LARGE_MOTION).pair(flow=True)
    assert dream.masks.shape == (2, *shape)
    assert (dream.masks[0] == 1).any()


def test_no_trace_of_the_old_background_around_a_pasted_object():
    white = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    soft = cv2.GaussianBlur(ONE.astype(np.float32), (0, 0), 0.8)[..., None]
    frame = (white * (1 - soft) + np.array([120, 20, 20]) * soft).round().astype(np.uint8)
    layer = cut_out(frame, ONE.astype(np.uint8), 1, feather=1.0)
    picture = np.zeros_like(white)
    labels, owners = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    paste(picture, labels, owners, layer, Warp(np.array([[1, 0, 7.5], [0, 1, -3.25]])), 1)
    # the mixed rim of the frame is as light as (188, 138, 138)
    assert picture[..., 0].max() < 140
    assert picture[..., 1].max() < 60


def test_light_follows_its_curves():
    grey = np.full((1, 1, 3), 128, np.uint8)
    value = (1.0, 2.0, 0.1)
    assert (Tone(value=value)(grey) == round(255 * ((128 / 255) ** 2 + 0.1))).all()
    assert (Tone(saturation=(1.0, 1.0, 0.05))(grey) == 128).all()
    colour = np.array([[[200, 100, 100]]], np.uint8)
    # saturation 0.5 -> 0.45 at value 200 of 255
    assert Tone(saturation=(1.0, 1.0, -0.05))(colour).tolist() == [[[200, 110, 110]]]
    assert Tone()(colour) is colour


offsets = st.lists(st.tuples(*[st.floats(-30, 30)] * 2), min_size=5, max_size=5)


@settings(max_examples=40)
@given(offsets, st.floats(-180, 180), st.floats(0.5, 2))
def test_a_warp_has_an_inverse_however_wild_its_control_points(moves, degrees, scale):
    controls = np.array([[0, 0], [40, 3], [41, 30], [1, 28], [20, 31.0]])
    spline = tamed(thin_plate(controls, np.array(moves)), Window(0, 0, 32, 42))
    warp = Warp(np.hstack([turning(degrees, scale), [[5.0], [-9.0]]]), spline)
    points = np.random.default_rng(0).uniform((0, 0), (41, 31), (50, 2))
    np.testing.assert_allclose(warp.to_source(warp.to_image(points)), points, atol=0.02)


def test_a_spline_takes_control_points_where_they_shall_go():
    controls = np.array([[0, 0], [40, 3], [41, 30], [1, 28], [20, 12.0]])
    moves = np.array([[1, 2], [-1, 0], [0.5, 0.5], [2, -1], [0, 1.0]])
    np.testing.assert_allclose(thin_plate(controls, moves)(controls), moves, atol=1e-8)


def test_dense_displacement_is_exact_for_affine_maps():
    affine = np.hstack([turning(20, 1.1), [[3.0], [-4.0]]])
    window = Window(5, 7, 13, 22)
    field = displacement(Warp(affine).to_image, window, 4)
    rows, columns = np.mgrid[5:18, 7:29]
    points = np.stack([columns, rows], axis=-1)
    np.testing.assert_allclose(field, points @ affine[:, :2].T + affine[:, 2] - points, atol=1e-4)


def test_what_cannot_dream_says_so():
    frame, ids = annotated(ONE)
    with pytest.raises(ValueError, match="no object"):
        Dreamer(frame, np.zeros_like(ids))
    with pytest.raises(ValueError, match="no object"):
        Dreamer(frame, np.full_like(ids, 255))
    with pytest.raises(ValueError, match="like the frame"):
        Dreamer(frame, ids[1:])
    with pytest.raises(ValueError, match="like the frame"):
        Dreamer(frame, ids.astype(np.int64))
    with pytest.raises(ValueError, match="uint8"):
        Dreamer(frame.astype(np.float32), ids)
    with pytest.raises(ValueError, match="at least 1 frame"):
        Dreamer(frame, ids).clip(0)
    with pytest.raises(ValueError, match="from 3 on"):
        LucidSettings(control_points=2)
    with pytest.raises(ValueError, match="fraction"):
        LucidSettings(min_visible=0)


@pytest.mark.real_data
def test_flow_of_dreams_of_davis(real_data):
    root = real_data("davis16") / "davis16"
    for name in ("blackswan", "camel"):
        frame = read_frame(root / f"JPEGImages/480p/{name}/00000.jpg")
        ids = (read_ids(root / f"Annotations/480p/{name}/00000.png") > 0).astype(np.uint8)
        dreamer = Dreamer(frame, ids)
        for _ in range(3):
            dream = dreamer.pair(flow=True)
            assert dream.frames.shape == (2, 480, 854, 3)
            for with_flow, _, pixels in photometric(dream):
                assert pixels > 1000
                assert with_flow < 6
