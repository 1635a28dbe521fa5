from typing import ClassVar

import numpy as np
import pytest
import torch

from vosbench.data.datamodule import FramePairs, PairDataModule, PairSettings, TrainTransform
from vosbench.data.video import LazySequence, Video
from vosbench.errors import InputError


class Constant:
    """A flow estimator with a known answer."""

    name = "constant"
    settings: ClassVar = {}

    def __call__(self, first, second):
        return np.full((2, *first.shape[:2]), second[0, 0, 0], np.float32)


def video(name="v", frames=4, annotated=(0, 2, 3), flow=True, reads=None):
    def frame(index):
        if reads is not None:
            reads.append(index)
        return np.full((40, 60, 3), index, np.uint8)

    return Video(
        name,
        LazySequence(frame, frames),
        tuple(map(str, range(frames))),
        {index: np.full((40, 60), index, np.uint8) for index in annotated},
        [np.full((2, 40, 60), 100 + index, np.float32) for index in range(frames - 1)] if flow else None,
    )


def test_pairs_are_annotated_frames_with_their_successors():
    pairs = FramePairs([video(), video("w", annotated=(1,))], PairSettings())
    assert len(pairs) == 3
    item = pairs[1]
    assert item["frames"].shape == (2, 3, 40, 60)
    assert item["frames"][:, 0, 0, 0].tolist() == [2, 3]
    assert item["mask"].unique().tolist() == [2]
    assert item["flow"].unique().tolist() == [102]


def test_several_flows_give_every_pair_several_times():
    pairs = FramePairs([video(annotated=(0, 1))], PairSettings(flow=(None, Constant())))
    assert [item["flow"][0, 0, 0].item() for item in (pairs[0], pairs[1], pairs[2], pairs[3])] == [
        100,
        1,
        101,
        2,
    ]


def test_no_flow_when_none_is_asked_for():
    assert set(FramePairs([video(flow=False)], PairSettings(flow=()))[0]) == {"frames", "mask"}


def test_scale_applies_before_the_crop():
    pairs = FramePairs([video()], PairSettings(scale=0.5), TrainTransform((16, 24), mirror=False))
    item = pairs[0]
    assert item["flow"].shape == (2, 16, 24)
    assert item["flow"].unique().tolist() == [50]


def test_in_memory_pairs_are_read_once():
    reads = []
    pairs = FramePairs([video(reads=reads)], PairSettings(in_memory=True))
    pairs[0], pairs[0]
    assert reads == [0, 1]


def test_batches():
    transform = TrainTransform((32, 48), camera=1.0, degrade=1.0)
    data = PairDataModule([video()] * 3, [video()], PairSettings(), batch_size=4, transform=transform)
    batches = list(data.train_dataloader())
    assert [len(batch["mask"]) for batch in batches] == [4]
    assert batches[0]["flow"].shape == (4, 2, 32, 48)
    assert [batch["flow"].unique().item() for batch in data.val_dataloader()] == [100, 102]


def test_mirroring_happens_to_half_of_the_clips():
    torch.manual_seed(0)
    pairs = FramePairs([video()], PairSettings(), TrainTransform((40, 60)))
    mirrored = sum(pairs[0]["flow"][0, 0, 0].item() < 0 for _ in range(200))
    assert 70 < mirrored < 130


def test_missing_ground_truth_flow_is_an_error():
    with pytest.raises(InputError, match="video w has no ground-truth flow"):
        FramePairs([video(), video("w", flow=False)], PairSettings(flow=(Constant(), None)))


def test_nothing_to_train_on_is_an_error():
    with pytest.raises(InputError, match="none of the 1 videos"):
        FramePairs([video(annotated=(3,))], PairSettings())
