import pytest
import torch

from vosbench.data.transforms import (
    Clip,
    degrade_flow,
    mirror,
    move_camera,
    random_crop,
    rescale,
    resize_flow,
    stop_camera,
)


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


@pytest.mark.parametrize(
    "change", [mirror, move_camera, stop_camera, degrade_flow, lambda c: rescale(c, 0.5)]
)
def test_clips_without_flow_pass(change):
    assert change(Clip(clip().frames, clip().masks)).flow is None
