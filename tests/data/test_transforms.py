import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vosbench.data.transforms.augmentation import ClipTransform
from vosbench.data.transforms.clip_transforms import (
    Clip,
    jitter_colours,
    mirror,
    random_crop,
    rescale,
    resize_flow,
    reverse,
    rotate,
    stop_and_go,
)
from vosbench.data.transforms.flow_transforms import degrade_flow, move_camera, stop_camera
from vosbench.errors import InputError


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def clip(height=36, width=64):
    """Every pixel of frame, mask and flow tells where it came from."""
    rows = torch.arange(height)[:, None].expand(height, width)
    columns = torch.arange(width)[None, :].expand(height, width)
    frames = torch.stack([rows, columns, rows]).to(torch.uint8).repeat(2, 1, 1, 1)
    return Clip(frames, columns.to(torch.uint8)[None], torch.stack([columns, rows]).float()[None])


def test_crop_cuts_the_same_window_from_everything():
    cropped = random_crop(clip(), 20, 30)
    assert cropped.size == (20, 30)
    assert torch.equal(cropped.frames[0, 1], cropped.masks[0])
    assert torch.equal(cropped.flow[0, 0], cropped.masks[0].float())
    assert torch.equal(cropped.flow[0, 1], cropped.frames[1, 0].float())


def test_crop_reaches_every_offset():
    tops = {int(random_crop(clip(), 33, 64).flow[0, 1, 0, 0]) for _ in range(60)}
    assert tops == {0, 1, 2, 3}


def test_crop_keeps_a_side_that_is_shorter():
    assert random_crop(clip(), 100, 30).size == (36, 30)


def test_mirror_turns_u_around():
    mirrored = mirror(clip())
    assert torch.equal(mirrored.masks, clip().masks.flip(-1))
    assert torch.equal(mirrored.flow[0, 0], -clip().flow[0, 0].flip(-1))
    assert torch.equal(mirrored.flow[0, 1], clip().flow[0, 1].flip(-1))
    twice = mirror(mirrored)
    assert torch.equal(twice.frames, clip().frames)
    assert torch.equal(twice.flow, clip().flow)


def test_rescale_halves_grid_and_vectors():
    source = clip()
    halved = rescale(Clip(source.frames, source.masks, torch.full((1, 2, 36, 64), 4.0)), 0.5)
    assert halved.frames.shape == (2, 3, 18, 32)
    assert halved.masks.shape == (1, 18, 32)
    assert set(halved.masks.unique().tolist()) <= set(source.masks.unique().tolist())
    torch.testing.assert_close(halved.flow, torch.full((1, 2, 18, 32), 2.0))


def test_rescale_by_one_changes_nothing():
    source = clip()
    assert rescale(source, 1.0) is source


def test_resize_flow_scales_each_component_by_its_own_side():
    resized = resize_flow(torch.ones(1, 2, 10, 20), 5, 60)
    assert resized[0, 0].mean().item() == pytest.approx(3)
    assert resized[0, 1].mean().item() == pytest.approx(0.5)


def test_camera_motion_depends_on_the_place_alone_and_is_smooth():
    still = Clip(clip().frames, torch.zeros(1, 36, 64, dtype=torch.uint8), torch.zeros(1, 2, 36, 64))
    moved = move_camera(still)
    second = moved.flow.diff(n=3, dim=-1)
    assert moved.flow.abs().max() > 0
    assert second.abs().max() < 1e-3
    assert torch.equal(moved.masks, still.masks)
    assert torch.equal(moved.frames, still.frames)


def test_camera_motion_keeps_the_motion_of_the_object_against_its_surroundings():
    mask = torch.zeros(1, 36, 64, dtype=torch.uint8)
    mask[:, 10:20, 30:40] = 1
    flow = torch.zeros(1, 2, 36, 64)
    flow[:, 0, 10:20, 30:40] = 7
    for _ in range(20):
        moved = move_camera(Clip(clip().frames, mask, flow)).flow
        across = moved[0, 0, 15, 30] - moved[0, 0, 15, 29]
        assert across.item() == pytest.approx(7, abs=0.5)


def test_a_stopped_camera_leaves_the_motion_of_the_object_against_the_background():
    mask = torch.zeros(1, 36, 64, dtype=torch.uint8)
    mask[:, 10:20, 30:40] = 1
    flow = torch.full((1, 2, 36, 64), 3.0)
    flow[:, 0, 10:20, 30:40] = 7
    stopped = stop_camera(Clip(clip().frames, mask, flow)).flow
    assert stopped[:, :, mask[0] == 0].abs().max() == 0
    torch.testing.assert_close(stopped[0, :, 15, 35], torch.tensor([4.0, 0.0]))


def test_degraded_flow_resembles_the_exact_one():
    flow = torch.zeros(1, 2, 36, 64)
    flow[:, 0, 10:25, 20:45] = 5
    mask = (flow[:, 0] > 0).to(torch.uint8)
    for _ in range(20):
        degraded = degrade_flow(Clip(clip().frames, mask, flow)).flow
        assert degraded.isfinite().all()
        assert degraded[0, 0][mask[0] == 1].mean() > degraded[0, 0][mask[0] == 0].mean() + 0.5


def test_camera_motion_forgets_the_way_back_it_does_not_know():
    source = Clip(clip().frames, clip().masks, clip().flow, clip().flow)
    for change in (move_camera, stop_camera, degrade_flow):
        assert change(source).backward is None


def test_the_mean_motion_is_that_of_frames_with_flow():
    """A clip has one mask more than fields; the object of the last frame must not count."""
    masks = torch.zeros(2, 36, 64, dtype=torch.uint8)
    masks[1] = 1
    stopped = stop_camera(Clip(clip().frames, masks, torch.full((1, 2, 36, 64), 3.0)))
    assert stopped.flow.abs().max() == 0


@pytest.mark.parametrize(
    "change",
    [
        mirror,
        move_camera,
        stop_camera,
        degrade_flow,
        reverse,
        stop_and_go,
        lambda c: rescale(c, 0.5),
        lambda c: rotate(c, 10),
        lambda c: jitter_colours(c, 0.2),
    ],
)
def test_clips_without_flow_pass(change):
    assert change(Clip(clip().frames, clip().masks.repeat(2, 1, 1))).flow is None


@pytest.mark.parametrize("change", [mirror, reverse, stop_and_go, lambda c: rotate(c, 10)])
def test_clips_without_masks_pass(change):
    assert change(Clip(clip().frames, clip().masks[:0])).masks.shape == (0, 36, 64)


def long_clip(frames=6, extra=0):
    """Frame t shows t, its mask is t, flow from t to t+1 is t + 1, the way back -(t + 1)."""
    times = torch.arange(frames)[:, None, None].expand(frames, 8, 10).to(torch.uint8)
    flow = torch.arange(1.0, frames + extra)[:, None, None, None].expand(-1, 2, 8, 10)
    return Clip(times[:, None].repeat(1, 3, 1, 1), times, flow, -flow if not extra else None)


def told(clip):
    return (
        clip.frames[:, 0, 0, 0].tolist(),
        clip.masks[:, 0, 0].tolist(),
        clip.flow[:, 0, 0, 0].tolist(),
    )


def test_reversed_time_takes_the_flow_of_the_way_back():
    backwards = reverse(long_clip(3))
    assert told(backwards) == ([2, 1, 0], [2, 1, 0], [-2, -1])
    again = reverse(backwards)
    assert told(again) == told(long_clip(3))


def test_time_is_not_reversed_without_backward_flow():
    forward = Clip(long_clip().frames, long_clip().masks, long_clip().flow)
    with pytest.raises(ValueError, match="with backward flow only"):
        reverse(forward)
    with pytest.raises(ValueError, match="beyond the last frame"):
        reverse(long_clip(extra=1))


def test_a_clip_that_stops_or_starts_repeats_a_frame_without_flow():
    seen = {tuple(map(tuple, told(stop_and_go(long_clip(), 2)))) for _ in range(30)}
    stops = ((2, 3, 4, 5, 5, 5), (2, 3, 4, 5, 5, 5), (3, 4, 5, 0, 0))
    goes = ((0, 0, 0, 1, 2, 3), (0, 0, 0, 1, 2, 3), (0, 0, 1, 2, 3))
    assert seen == {stops, goes}


def test_a_stopped_clip_has_no_flow_beyond_its_last_frame_either():
    seen = {tuple(told(stop_and_go(long_clip(extra=1), 2))[2]) for _ in range(30)}
    assert seen == {(3, 4, 5, 0, 0, 0), (0, 0, 1, 2, 3, 4)}


def test_the_way_back_stands_still_in_the_same_places():
    stopped = stop_and_go(long_clip(), 2)
    assert torch.equal(stopped.backward, -stopped.flow)


def test_a_short_clip_keeps_a_moving_step():
    assert told(stop_and_go(long_clip(3), 5))[2].count(0) == 1
    assert told(stop_and_go(long_clip(2), 5)) == told(long_clip(2))


def test_stopping_needs_every_mask_or_none():
    with pytest.raises(ValueError, match="a mask for every frame"):
        stop_and_go(Clip(long_clip().frames, long_clip().masks[:1]))


def blob(x, y, size=81):
    rows, columns = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    bright = torch.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 18.0)
    return (250 * bright).round().to(torch.uint8)


def centre(frame):
    weights = frame[0].double()
    rows, columns = torch.meshgrid(*(torch.arange(n).double() for n in weights.shape), indexing="ij")
    return torch.stack([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()


@pytest.mark.parametrize(
    ("degrees", "zoom"), [(0, 1.0), (30, 1.0), (-75, 1.0), (90, 1.0), (20, 1.3), (-10, 0.8)]
)
def test_turned_flow_is_the_flow_of_turned_frames(degrees, zoom):
    step = torch.tensor([8.0, -5.0])
    pictures = torch.stack([blob(38, 42), blob(46, 37)])
    flow = step[None, :, None, None].expand(1, 2, 81, 81)
    masks = (pictures > 100).to(torch.uint8)
    turned = rotate(Clip(pictures[:, None].repeat(1, 3, 1, 1), masks, flow), degrees, zoom)
    first, second = (centre(frame) for frame in turned.frames)
    column, row = first.round().int().tolist()
    torch.testing.assert_close(second - first, turned.flow[0, :, row, column].double(), atol=0.1, rtol=0)
    assert turned.masks[0, row, column] == 1


def test_turning_is_counter_clockwise_as_seen():
    pictures = blob(60, 40)[None, None].repeat(1, 3, 1, 1)
    turned = rotate(Clip(pictures, pictures[:, 0]), 90)
    torch.testing.assert_close(
        centre(turned.frames[0]), torch.tensor([40.0, 20.0]).double(), atol=0.1, rtol=0
    )


def test_what_comes_from_outside_is_black_void_and_without_flow():
    source = Clip(
        torch.full((2, 3, 40, 60), 200, dtype=torch.uint8),
        torch.full((2, 40, 60), 3, dtype=torch.uint8),
        torch.full((1, 2, 40, 60), 5.0),
    )
    turned = rotate(source, 45)
    assert turned.size == (40, 60)
    assert turned.masks[:, 0, 0].tolist() == [255, 255]
    assert turned.frames[:, :, 0, 0].max() == 0
    assert turned.flow[:, :, 0, 0].abs().max() == 0
    assert turned.masks.unique().tolist() == [3, 255]


@given(
    ids=st.lists(st.integers(0, 255), min_size=1, max_size=4),
    degrees=st.floats(-180, 180),
    zoom=st.floats(0.5, 2),
    scale=st.floats(0.3, 2),
)
def test_masks_stay_ids(ids, degrees, zoom, scale):
    rows = torch.arange(20)[:, None].expand(20, 30)
    masks = torch.tensor(ids, dtype=torch.uint8)[rows % len(ids)][None]
    source = Clip(torch.zeros(1, 3, 20, 30, dtype=torch.uint8), masks)
    changed = rescale(rotate(source, degrees, zoom), scale)
    assert set(changed.masks.unique().tolist()) <= {*ids, 255}
    assert changed.masks.shape[1:] == changed.frames.shape[2:]


def test_colours_change_alike_in_all_frames_and_grey_stays_grey():
    grey = torch.arange(0, 240, 8, dtype=torch.uint8).reshape(1, 1, 5, 6).repeat(4, 3, 1, 1)
    jittered = jitter_colours(Clip(grey, grey[:0, 0]), 0.3).frames
    assert not torch.equal(jittered, grey)
    assert all(torch.equal(frame, jittered[0]) for frame in jittered)
    assert (jittered[:, 0].int() - jittered[:, 1].int()).abs().max() <= 1
    assert torch.equal(jitter_colours(Clip(grey, grey[:0, 0]), 0.0).frames, grey)


def test_one_decision_holds_for_the_whole_clip():
    same = torch.randint(0, 255, (1, 3, 40, 60), dtype=torch.uint8).repeat(5, 1, 1, 1)
    masks = torch.randint(0, 3, (1, 40, 60), dtype=torch.uint8).repeat(5, 1, 1)
    change = ClipTransform((0.75, 1.25), (0.9, 1.1), rotate=30, crop=0.8, mirror=0.5, reverse=0.5, colour=0.2)
    for _ in range(10):
        changed = change(Clip(same, masks))
        assert all(torch.equal(frame, changed.frames[0]) for frame in changed.frames)
        assert all(torch.equal(mask, changed.masks[0]) for mask in changed.masks)


def test_a_transform_follows_the_generator():
    change = ClipTransform((0.75, 1.25), rotate=30, crop=(20, 30), mirror=0.5, stop=0.5)
    torch.manual_seed(3)
    first = [change(long_clip()) for _ in range(5)]
    torch.manual_seed(3)
    second = [change(long_clip()) for _ in range(5)]
    assert all(
        torch.equal(a.frames, b.frames) and torch.equal(a.flow, b.flow)
        for a, b in zip(first, second, strict=True)
    )
    assert not all(torch.equal(a.flow, first[0].flow) for a in first[1:])


def test_by_default_nothing_happens():
    source = long_clip()
    changed = ClipTransform()(source)
    assert torch.equal(changed.frames, source.frames)
    assert torch.equal(changed.flow, source.flow)


def test_a_share_is_cut_of_both_sides():
    assert ClipTransform(crop=0.5)(clip()).size == (18, 32)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"mirror": 1.5}, "mirror is 1.5"),
        ({"crop": (0, 5)}, "crop is"),
        ({"crop": 1.2}, "crop is 1.2"),
        ({"resize": (2, 1)}, r"resize is \[2, 1\]"),
        ({"zoom": (0, 1)}, r"zoom is \[0, 1\]"),
        ({"rotate": -1}, "rotate is -1"),
    ],
)
def test_settings_without_sense_are_errors(setting, message):
    with pytest.raises(InputError, match=message):
        ClipTransform(**setting)
