from typing import ClassVar

import numpy as np
import pytest
import torch

from vosbench.data.loading.clips import ClipDataset, ClipSettings
from vosbench.data.loading.collate import detection_collate, detection_targets, pad_collate
from vosbench.data.transforms.augmentation import ClipTransform
from vosbench.errors import InputError
from vosbench.video import LazySequence, Video

VOID = 255


class Difference:
    """A flow estimator with a known answer: u is the second picture less the first."""

    name = "difference"
    settings: ClassVar = {}

    def __call__(self, first, second):
        return np.full((2, *first.shape[:2]), float(second[0, 0, 0]) - float(first[0, 0, 0]), np.float32)


def video(frames=6, annotated=None, name="v", size=(8, 12), flow=False, reads=None, **more):
    """Frame t shows t squared, its mask is t + 1, its flow 100 + t."""

    def frame(index):
        if reads is not None:
            reads.append(index)
        return np.full((*size, 3), index**2, np.uint8)

    annotated = range(frames) if annotated is None else annotated
    return Video(
        name,
        LazySequence(frame, frames),
        tuple(f"{index:05}" for index in range(frames)),
        {index: np.full(size, index + 1, np.uint8) for index in annotated},
        [np.full((2, *size), 100 + index, np.float32) for index in range(frames - 1)] if flow else None,
        **more,
    )


def shown(item):
    return [round(value**0.5) for value in item["frames"][:, 0, 0, 0].tolist()]


def ids(item):
    return item["masks"][:, 0, 0].tolist()


def starts(dataset):
    return [dataset[index]["start"].item() for index in range(len(dataset))]


def test_clips_are_consecutive_frames():
    clips = ClipDataset([video(3), video(5)], ClipSettings(length=3))
    assert len(clips) == 4
    assert clips.clips_per_video == [1, 3]
    item = clips[2]
    assert shown(item) == [1, 2, 3]
    assert ids(item) == [2, 3, 4]
    assert (item["video"].item(), item["start"].item()) == (1, 1)
    assert item["frames"].shape == (3, 3, 8, 12)
    assert item["frames"].dtype == item["masks"].dtype == torch.uint8
    assert set(item) == {"frames", "masks", "video", "start"}


def test_a_stride_of_the_length_takes_every_frame_once():
    clips = ClipDataset([video(7)], ClipSettings(length=3, stride=3))
    assert [shown(clips[index]) for index in range(len(clips))] == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        ("none", [0, 1, 2, 3, 4]),
        ("first", [1, 3, 4]),
        ("last", [0, 2, 3]),
        ("any", [0, 1, 2, 3, 4]),
        ("all", [3]),
    ],
)
def test_annotations_choose_the_clips(masks, expected):
    assert starts(ClipDataset([video(annotated=(1, 3, 4))], ClipSettings(length=2, masks=masks))) == expected


@pytest.mark.parametrize(
    ("masks", "expected"),
    [("first", [2, VOID, VOID]), ("last", [VOID, VOID, 4]), ("any", [2, VOID, 4])],
)
def test_what_is_not_annotated_or_asked_for_is_void(masks, expected):
    clips = ClipDataset([video(annotated=(1, 3))], ClipSettings(length=3, masks=masks))
    item = next(item for item in (clips[index] for index in range(len(clips))) if item["start"] == 1)
    assert ids(item) == expected


def test_without_masks_none_are_looked_at():
    class Untouchable(dict):
        def __contains__(self, key):
            raise AssertionError("annotations were looked at")

    still = video()
    untouched = Video(still.name, still.frames, still.frame_names, Untouchable())
    assert "masks" not in ClipDataset([untouched], ClipSettings(length=2, masks="none"))[0]


def test_flow_leads_from_each_frame_to_the_next():
    clips = ClipDataset([video(flow=True)], ClipSettings(length=3, flow=(None,)))
    assert clips[1]["flow"][:, 0, 0, 0].tolist() == [101, 102]
    assert clips[1]["flow"].dtype == torch.float32


def test_flow_beyond_the_last_frame_needs_the_frame_after_the_clip():
    clips = ClipDataset([video(flow=True)], ClipSettings(length=3, flow=(None,), flow_beyond=True))
    assert starts(clips) == [0, 1, 2]
    assert clips[2]["flow"][:, 0, 0, 0].tolist() == [102, 103, 104]
    estimated = ClipDataset([video()], ClipSettings(length=1, flow=(Difference(),), flow_beyond=True))
    assert [estimated[index]["flow"][0, 0, 0, 0].item() for index in range(5)] == [1, 3, 5, 7, 9]


def test_each_clip_comes_with_each_flow():
    clips = ClipDataset([video(3, flow=True)], ClipSettings(length=2, flow=(None, Difference())))
    assert [clips[index]["flow"][0, 0, 0, 0].item() for index in range(4)] == [100, 1, 101, 3]


def test_backward_flow_allows_to_reverse_time():
    settings = ClipSettings(length=3, flow=(Difference(),), backward=True)
    plain, turned = (ClipDataset([video()], settings, ClipTransform(reverse=share)) for share in (0, 1))
    assert plain[1]["flow"][:, 0, 0, 0].tolist() == [3, 5]
    assert plain[1]["backward"][:, 0, 0, 0].tolist() == [-3, -5]
    assert shown(turned[1]) == [3, 2, 1]
    assert turned[1]["flow"][:, 0, 0, 0].tolist() == [-5, -3]


def test_clips_may_begin_before_the_video_with_its_first_frame():
    """STCNN's first targets: the first frame stands for those that are missing."""
    clips = ClipDataset([video(flow=True)], ClipSettings(length=5, before=4, masks="last", flow=(None,)))
    assert [shown(clips[index]) for index in (0, 1, 4)] == [[0] * 5, [0, 0, 0, 0, 1], [0, 1, 2, 3, 4]]
    assert clips[1]["flow"][:, 0, 0, 0].tolist() == [0, 0, 0, 100]
    assert ids(clips[1])[-1] == 2


def test_stills_become_clips_when_asked():
    still = video(1)
    with pytest.raises(InputError, match="none of the 1 videos has 4 frames"):
        ClipDataset([still], ClipSettings(length=4))
    item = ClipDataset([still], ClipSettings(length=4, repeat=True, flow=(None,)))[0]
    assert shown(item) == [0] * 4
    assert ids(item) == [1] * 4
    assert item["flow"].abs().max() == 0


def test_a_short_video_goes_on_with_its_last_frame():
    settings = ClipSettings(length=5, repeat=True, flow=(Difference(),), flow_beyond=True)
    item = ClipDataset([video(3)], settings)[0]
    assert shown(item) == [0, 1, 2, 2, 2]
    assert item["flow"][:, 0, 0, 0].tolist() == [1, 3, 0, 0, 0]


def test_a_frame_is_read_once_for_pictures_and_flow():
    reads = []
    clips = ClipDataset([video(reads=reads)], ClipSettings(length=3, flow=(Difference(),)))
    clips[0]
    assert sorted(reads) == [0, 1, 2]


def test_in_memory_overlapping_clips_share_what_was_read():
    reads = []
    clips = ClipDataset([video(reads=reads)], ClipSettings(length=3, in_memory=True))
    once = [clips[index]["frames"].clone() for index in range(4)]
    assert sorted(reads) == [0, 1, 2, 3, 4, 5]
    assert all(torch.equal(clips[index]["frames"], once[index]) for index in range(4))
    assert len(reads) == 6


def test_scale_changes_frames_masks_and_flow():
    item = ClipDataset([video(flow=True)], ClipSettings(length=2, flow=(None,), scale=0.5))[0]
    assert item["frames"].shape == (2, 3, 4, 6)
    assert item["masks"].shape == (2, 4, 6)
    assert item["flow"][0, :, 0, 0].tolist() == [50, 50]


def test_a_transform_does_not_spoil_what_is_kept():
    clips = ClipDataset(
        [video()], ClipSettings(length=2, in_memory=True), ClipTransform(colour=1.0, mirror=0.5)
    )
    clips[3]
    assert clips.clip(3).frames[:, 0, 0, 0].tolist() == [9, 16]


def test_classes_are_told_by_number():
    pets = video(1, categories={1: "cat", 7: "dog"})
    item = ClipDataset([pets], ClipSettings(classes=("dog", "cat")))[0]
    assert item["classes"].shape == (256,)
    assert item["classes"].nonzero()[:, 0].tolist() == [1, 7]
    assert item["classes"][[1, 7]].tolist() == [2, 1]
    with pytest.raises(InputError, match="video v: object 1 is of class 'cat'"):
        ClipDataset([pets], ClipSettings(classes=("dog",)))[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": 0}, "length of clips is 0"),
        ({"stride": 0}, "stride of clips is 0"),
        ({"masks": "frist"}, "masks of a clip 'frist'.*first"),
        ({"before": 1}, "before is 1"),
        ({"scale": 0}, "scale of clips is 0"),
        ({"flow": (None,), "backward": True}, "forward only"),
        ({"flow": (Difference(),), "backward": True, "flow_beyond": True}, "exclude each other"),
    ],
)
def test_settings_without_sense_are_errors(settings, message):
    with pytest.raises(InputError, match=message):
        ClipSettings(**settings)


def test_missing_flow_is_an_error():
    with pytest.raises(InputError, match="video w has no ground-truth flow"):
        ClipDataset([video(flow=True), video(name="w")], ClipSettings(length=2, flow=(None,)))


def test_contents_of_other_sizes_are_errors_not_broadcast():
    good = video(2, flow=True)
    frames = [good.frames[0], np.zeros((4, 12, 3), np.uint8)]
    with pytest.raises(InputError, match="frame 00001 is 12x4, frame 00000 is 12x8"):
        ClipDataset([Video("v", frames, good.frame_names, good.annotations)], ClipSettings(length=2))[0]
    masks = {0: np.zeros((1, 1), np.uint8)}
    with pytest.raises(InputError, match="annotation of frame 00000 is 1x1, the frame 12x8"):
        ClipDataset([Video("v", good.frames, good.frame_names, masks)], ClipSettings())[0]
    flow = [np.zeros((2, 8, 6), np.float32)]
    settings = ClipSettings(length=2, flow=(None,))
    with pytest.raises(InputError, match="flow of frame 00000 is 6x8, the frame 12x8"):
        ClipDataset([Video("v", good.frames, good.frame_names, good.annotations, flow)], settings)[0]


def test_clips_of_other_sizes_are_padded_to_a_batch():
    clips = ClipDataset(
        [video(2, flow=True), video(2, flow=True, size=(6, 16))], ClipSettings(length=2, flow=(None,))
    )
    batch = pad_collate([clips[0], clips[1]])
    assert batch["frames"].shape == (2, 2, 3, 8, 16)
    assert batch["sizes"].tolist() == [[8, 12], [6, 16]]
    assert batch["masks"][0, 0, 0].tolist() == [1] * 12 + [VOID] * 4
    assert batch["masks"][1, 1, :, 0].tolist() == [2] * 6 + [VOID] * 2
    assert batch["frames"][:, 1, 0].amax(dim=(1, 2)).tolist() == [1, 1]
    assert batch["frames"][1, 1, :, 6:].max() == 0
    assert batch["flow"][0, 0, 0, 0].tolist() == [100] * 12 + [0] * 4
    assert batch["video"].tolist() == [0, 1]


def test_frames_of_a_batch_keep_the_order_of_their_files_in_memory():
    batch = pad_collate([ClipDataset([video(4)], ClipSettings(length=4))[0]] * 2)
    assert batch["frames"].permute(0, 1, 3, 4, 2).is_contiguous()


def test_clips_of_other_lengths_make_no_batch():
    items = [ClipDataset([video()], ClipSettings(length=length))[0] for length in (2, 3)]
    with pytest.raises(ValueError, match="differ in frames"):
        pad_collate(items)
    with pytest.raises(ValueError, match="different entries"):
        pad_collate([items[0], {"frames": items[0]["frames"]}])


def squares():
    ids = torch.zeros(2, 10, 14, dtype=torch.uint8)
    ids[0, 2:5, 3:9] = 4
    ids[0, 9, 13] = 2
    ids[0, 0] = VOID
    ids[1] = VOID
    return ids


def test_targets_hold_a_box_and_a_mask_per_object():
    first, second = detection_targets(squares())
    assert first["ids"].tolist() == [2, 4]
    assert first["boxes"].tolist() == [[13, 9, 14, 10], [3, 2, 9, 5]]
    assert first["labels"].tolist() == [1, 1]
    assert first["masks"].shape == (2, 10, 14)
    assert torch.equal(first["masks"][1].bool(), squares()[0] == 4)
    assert first["labelled"].item()
    assert second["boxes"].shape == (0, 4)
    assert second["masks"].shape == (0, 10, 14)
    assert not second["labelled"].item()


def test_targets_take_classes_and_miss_none():
    table = torch.zeros(256, dtype=torch.int64)
    table[2] = 5
    with pytest.raises(ValueError, match=r"objects \[4\] have no class"):
        detection_targets(squares(), table)
    table[4] = 1
    assert detection_targets(squares(), table)[0]["labels"].tolist() == [5, 1]


def test_targets_need_masks():
    with pytest.raises(ValueError, match="without masks there are no targets"):
        detection_collate([ClipDataset([video()], ClipSettings(masks="none"))[0]])


def test_an_empty_frame_says_that_nothing_is_there():
    assert detection_targets(torch.zeros(1, 4, 4, dtype=torch.uint8))[0]["labelled"].item()


@pytest.mark.slow
def test_torchvision_detectors_learn_from_a_batch():
    from torchvision.models.detection import maskrcnn_resnet50_fpn

    frames = torch.randint(0, 255, (2, 3, 10, 14), dtype=torch.uint8)
    item = {"frames": frames, "masks": squares(), "flow": torch.zeros(1, 2, 10, 14)}
    batch = detection_collate([item, item])
    assert [len(targets) for targets in batch["targets"]] == [2, 2]
    assert [flow.shape for flow in batch["flow"]] == [(1, 2, 10, 14)] * 2
    pictures = [frame.float() / 255 for clip in batch["frames"] for frame in clip]
    targets = [target for clip in batch["targets"] for target in clip]
    detector = maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=2, min_size=64, max_size=96
    )
    losses = detector(pictures, targets)
    assert all(loss.isfinite() for loss in losses.values())
    assert "loss_mask" in losses
