"""What every method's validation step returns to be looked at: as many frames as masks, of one size."""

import pytest
import torch

from vosbench.data.collate import detection_collate, pad_collate
from vosbench.models import build

HEIGHT, WIDTH = 64, 96
STAGES = [
    ("mpnet", "A", 2, pad_collate),
    ("lvo", "appearance", 1, pad_collate),
    ("lvo", "memory", 3, pad_collate),
    ("fusionseg", "motion", 2, pad_collate),
    ("fusionseg", "joint", 2, pad_collate),
    ("stcnn", "spatial", 5, pad_collate),
    ("stcnn", "joint", 5, pad_collate),
    ("motion_maskrcnn", "M1", 3, detection_collate),
]


def clip(frames, grey):
    """A square on frames of one grey level; of the second of three or more nothing is known."""
    masks = torch.zeros(frames, HEIGHT, WIDTH, dtype=torch.uint8)
    masks[:, 10:40, 10:50] = 1
    if frames > 2:
        masks[1] = 255
    return {
        "frames": torch.full((frames, 3, HEIGHT, WIDTH), grey, dtype=torch.uint8),
        "masks": masks,
        "flow": torch.ones(frames - 1, 2, HEIGHT, WIDTH),
    }


@pytest.fixture
def validated():
    """Return a function: method, stage, frames of a clip, collate -> what its validation step returns."""

    def run(name, stage, frames, collate):
        torch.manual_seed(0)
        module = build(name, "tiny")
        module.configure_stage(stage)
        module.eval()
        with torch.inference_mode():
            return module.validation_step(collate([clip(frames, 40), clip(frames, 90)]), 0)

    return run


@pytest.mark.filterwarnings("ignore:You are trying to `self.log")
@pytest.mark.parametrize(("name", "stage", "frames", "collate"), STAGES)
def test_frames_masks_and_ground_truth_belong_together(validated, name, stage, frames, collate):
    seen = validated(name, stage, frames, collate)
    count = len(seen["frames"])
    assert count == len(seen["predicted"]) == len(seen["target"]) > 0
    for frame, predicted, target in zip(seen["frames"], seen["predicted"], seen["target"], strict=True):
        assert (frame.shape, frame.dtype) == ((3, HEIGHT, WIDTH), torch.uint8)
        assert predicted.shape == target.shape == (HEIGHT, WIDTH)
        assert target.dtype == torch.uint8
        # the square is known: no frame without ground truth is shown
        assert target[20, 20] == 1
    assert {int(frame[0, 0, 0]) for frame in seen["frames"]} == {40, 90}
