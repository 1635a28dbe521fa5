import multiprocessing
from collections import Counter
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from vosbench.data import open_dataset
from vosbench.data.catalogue import CATALOGUE
from vosbench.data.loading.clips import ClipDataset, ClipSettings
from vosbench.data.loading.datamodule import (
    ClipDataModule,
    Loading,
    Source,
)
from vosbench.data.mini import ensure_mini
from vosbench.data.transforms.augmentation import ClipTransform
from vosbench.errors import InputError
from vosbench.flow.estimators import DIS
from vosbench.video import LazySequence, Video


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


PAIRS = ClipSettings(length=2, masks="first", flow=(None,))


def test_pairs_are_annotated_frames_with_their_successors():
    pairs = ClipDataset([video(), video("w", annotated=(1,))], PAIRS)
    assert len(pairs) == 3
    item = pairs[1]
    assert item["frames"][:, 0, 0, 0].tolist() == [2, 3]
    assert [mask.unique().tolist() for mask in item["masks"]] == [[2], [255]]
    assert item["flow"].unique().tolist() == [102]


def test_several_flows_give_every_pair_several_times():
    pairs = ClipDataset([video(annotated=(0, 1))], replace(PAIRS, flow=(None, Constant())))
    assert [pairs[index]["flow"][0, 0, 0, 0].item() for index in range(4)] == [100, 1, 101, 2]


def test_scale_applies_before_the_crop():
    pairs = ClipDataset([video()], replace(PAIRS, scale=0.5), ClipTransform(crop=(16, 24)))
    assert pairs[0]["flow"].shape == (1, 2, 16, 24)
    assert pairs[0]["flow"].unique().tolist() == [50]


def test_in_memory_pairs_are_read_once():
    reads = []
    pairs = ClipDataset([video(reads=reads)], replace(PAIRS, in_memory=True))
    pairs[0], pairs[0]
    assert reads == [0, 1]


def test_batches_of_flow_that_looks_estimated():
    transform = ClipTransform(crop=(32, 48), mirror=0.5, camera=1.0, degrade=1.0)
    train = Source([video()] * 3, PAIRS, transform)
    data = ClipDataModule([train], [Source([video()], PAIRS)], Loading(batch_size=4))
    assert data.validates
    batches = list(data.train_dataloader())
    assert [batch["flow"].shape for batch in batches] == [(4, 1, 2, 32, 48)]
    assert [batch["flow"].unique().item() for batch in data.val_dataloader()] == [100, 102]


def test_mirroring_happens_to_half_of_the_clips():
    torch.manual_seed(0)
    pairs = ClipDataset([video()], PAIRS, ClipTransform(mirror=0.5))
    mirrored = sum(pairs[0]["flow"][0, 0, 0, 0].item() < 0 for _ in range(200))
    assert 70 < mirrored < 130


def test_missing_ground_truth_flow_is_an_error():
    with pytest.raises(InputError, match="video w has no ground-truth flow"):
        ClipDataset([video(), video("w", flow=False)], replace(PAIRS, flow=(Constant(), None)))


def test_nothing_to_train_on_is_an_error():
    with pytest.raises(InputError, match="none of the 1 videos"):
        ClipDataset([video(annotated=(3,))], PAIRS)


class Dice:
    """A transform that writes a random number into the picture."""

    def __call__(self, clip):
        level = torch.randint(0, 128, ()).item() + np.random.randint(0, 128)  # noqa: NPY002
        return replace(clip, frames=torch.full_like(clip.frames, level))


def levels(batches):
    return [batch["frames"][:, 0, 0, 0, 0].tolist() for batch in batches]


def clip_module(workers=0, transform=None, videos=4, settings=None, **loading):
    settings = settings or ClipSettings(length=2, masks="any")
    train = Source([video(annotated=range(4))] * videos, settings, transform)
    val = Source([video()], ClipSettings(length=2, masks="any"))
    return ClipDataModule([train], [val], Loading(workers=workers, **loading))


def epochs(module, numbers):
    loader = module.train_dataloader()
    found = []
    for epoch in numbers:
        loader.sampler.set_epoch(epoch)
        found.append(levels(loader))
    return found


def test_clips_make_batches():
    batches = list(clip_module(batch_size=5).train_dataloader())
    assert [batch["frames"].shape for batch in batches] == [(5, 2, 3, 40, 60)] * 2
    assert batches[0]["frames"].dtype == torch.uint8
    assert [batch["start"].tolist() for batch in clip_module().val_dataloader()] == [[0], [1], [2]]


def test_random_changes_do_not_depend_on_the_number_of_workers_or_on_what_came_before():
    alone = epochs(clip_module(0, Dice(), batch_size=3), (0, 1, 2))
    together = epochs(clip_module(2, Dice(), batch_size=3), (0, 1, 2))
    resumed = epochs(clip_module(2, Dice(), batch_size=3), (2,))
    assert alone == together
    assert resumed == alone[2:]
    flat = [level for batch in alone[0] for level in batch]
    assert len(set(flat)) > len(flat) // 2
    assert alone[0] != alone[1]


def test_batches_of_workers_stay_as_they_are_while_they_are_kept():
    """More batches than slots: those that are kept must not be written over."""
    module = clip_module(2, Dice(), videos=20, prefetch=2)
    expected = levels(clip_module(0, Dice(), videos=20).train_dataloader())
    kept = list(module.train_dataloader())
    assert len(kept) > 2 * (2 + 2)
    assert levels(kept) == expected


def test_slots_are_used_again():
    loader = clip_module(1, videos=20).train_dataloader()
    places = set()
    batches = 0
    for batch in loader:
        places.add(batch["frames"].data_ptr())
        batches += 1
        del batch
    assert batches == 60
    assert len(places) <= 4


def test_a_batch_too_large_for_its_slot_arrives_all_the_same():
    module = clip_module(1, ClipTransform(resize=(3, 3)), settings=ClipSettings(2, flow=(None,)))
    batch = next(iter(module.train_dataloader()))
    assert batch["frames"].shape == (1, 2, 3, 120, 180)
    assert batch["flow"].shape == (1, 1, 2, 120, 180)
    assert batch["flow"][0, 0, 0].std() == 0
    assert batch["masks"].unique().tolist() == sorted({batch["start"].item(), batch["start"].item() + 1})


def test_without_memory_for_slots_batches_travel_as_usual(monkeypatch):
    def refuse(*_):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("vosbench.data.loading.transport.mmap.mmap", refuse)
    module = clip_module(1, Dice())
    assert levels(module.train_dataloader()) == levels(clip_module(0, Dice()).train_dataloader())


def test_all_entries_travel_through_slots_unchanged():
    settings = ClipSettings(2, flow=(None,))
    for ours, theirs in zip(
        clip_module(2, settings=settings, batch_size=3).train_dataloader(),
        clip_module(0, settings=settings, batch_size=3).train_dataloader(),
        strict=True,
    ):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_sources_mix_by_counts():
    still = Video("s", [np.full((20, 30, 3), 77, np.uint8)], ("s",), {0: np.full((20, 30), 9, np.uint8)})
    module = ClipDataModule(
        [
            Source([video(annotated=range(4))], ClipSettings(2), share=3),
            Source([still], ClipSettings(2, repeat=True), share=1),
        ],
        loading=Loading(batch_size=4, mixing="counts", epoch_length=12),
    )
    batches = list(module.train_dataloader())
    assert [(batch["masks"] == 9).any(dim=(1, 2, 3)).sum().item() for batch in batches] == [1, 1, 1]
    assert sorted(map(tuple, batches[0]["sizes"].tolist())) == [(20, 30), *[(40, 60)] * 3]
    assert module.val_dataloader() == []


def test_one_clip_of_each_video():
    settings = ClipSettings(2, masks="none")
    module = ClipDataModule([Source([video(), video(frames=9)], settings, per_video=True)])
    videos = [batch["video"].item() for batch in module.train_dataloader()]
    assert sorted(videos) == [0, 1]


def test_detection_batches():
    module = clip_module(1, batch_size=2, collate="detection")
    batch = next(iter(module.train_dataloader()))
    assert len(batch["frames"]) == len(batch["targets"]) == 2
    assert batch["targets"][0][0]["boxes"].shape[1] == 4


def tensors_of(batch):
    """Tensors in dicts and lists -> those in their order."""
    if isinstance(batch, torch.Tensor):
        return [batch]
    return [
        tensor
        for item in (batch.values() if isinstance(batch, dict) else batch)
        for tensor in tensors_of(item)
    ]


def test_detection_batches_travel_through_slots_unchanged():
    def batches(workers):
        settings = ClipSettings(2, flow=(None,))
        module = clip_module(workers, settings=settings, batch_size=2, collate="detection")
        return list(module.train_dataloader())

    for ours, theirs in zip(batches(2), batches(0), strict=True):
        assert [target.keys() for clip in ours["targets"] for target in clip] == [
            target.keys() for clip in theirs["targets"] for target in clip
        ]
        for one, other in zip(tensors_of(ours), tensors_of(theirs), strict=True):
            assert torch.equal(one, other)
            assert (one.dtype, one.stride()) == (other.dtype, other.stride())
        filled = [tensor for tensor in tensors_of(ours) if tensor.numel()]
        # one piece of memory, not one for every tensor
        assert len({tensor.untyped_storage().data_ptr() for tensor in filled}) == 1


def test_loading_without_sense_is_an_error():
    with pytest.raises(InputError, match="collate 'clip'"):
        Loading(collate="clip")
    with pytest.raises(InputError, match="prefetch 0"):
        Loading(prefetch=0)
    with pytest.raises(InputError, match="no data set"):
        ClipDataModule([])


class Sees(pl.LightningModule):
    """A method that notes what it is shown."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.trained = []
        self.validated = []

    def training_step(self, batch, _):
        self.trained.append((self.current_epoch, *batch["video"].tolist(), *batch["start"].tolist()))
        return self.weight * batch["frames"].float().mean()

    def validation_step(self, batch, _):
        self.validated.append(tuple(batch["start"].tolist()))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def test_lightning_tells_the_epoch(tmp_path):
    method = Sees()
    trainer = pl.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=tmp_path,
    )
    trainer.fit(method, datamodule=clip_module())
    first, second = ([seen[1:] for seen in method.trained if seen[0] == epoch] for epoch in (0, 1))
    assert sorted(first) == sorted(second) == [(v, start) for v in range(4) for start in range(3)]
    assert first != second
    assert method.validated == [(0,), (1,), (2,)] * 2


_STAGES = {
    # what the stages of each method read, on short clips
    "lvo": (ClipSettings(4, masks="any", flow=(DIS("ultrafast"),), flow_beyond=True), "clips"),
    "stcnn": (ClipSettings(5, masks="last", before=4), "clips"),
    "lip": (ClipSettings(8, stride=4, masks="any", repeat=True), "detection"),
    "motion_maskrcnn": (
        ClipSettings(1, masks="first", flow=(DIS("ultrafast"),), flow_beyond=True),
        "detection",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("stage", _STAGES)
@pytest.mark.parametrize("name", CATALOGUE)
def test_a_whole_epoch_of_each_miniature(name, stage, tmp_path_factory):
    root = tmp_path_factory.getbasetemp() / "minis"
    ensure_mini(name, root)
    settings, collate = _STAGES[stage]
    dataset = open_dataset(name, root)
    if not any(video.annotations for video in dataset):
        settings, collate = replace(settings, masks="none"), "clips"
    transform = ClipTransform((0.8, 1.2), rotate=10, crop=0.8, mirror=0.5, stop=0.2, colour=0.1)
    source = Source(dataset, replace(settings, repeat=True), transform)
    module = ClipDataModule(
        [source], [replace(source, transform=None)], Loading(2, workers=2, uneven="keep", collate=collate)
    )
    clips = ClipDataset(dataset, replace(settings, repeat=True))
    for loader in (module.train_dataloader(), module.val_dataloader()):
        seen = Counter()
        for batch in loader:
            for index, start in zip(batch["video"], batch["start"], strict=True):
                seen[int(index), int(start)] += 1
            lengths = (
                {len(clip) for clip in batch["frames"]}
                if collate == "detection"
                else {batch["frames"].shape[1]}
            )
            assert lengths == {settings.length}
        assert sum(seen.values()) == len(seen) == len(clips)


def shard(rank, address, queue):
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=address, rank=rank, world_size=2)
    try:
        module = clip_module(1, videos=3, batch_size=2)
        seen = {
            name: [
                clip
                for batch in loader
                for clip in zip(batch["video"].tolist(), batch["start"].tolist(), strict=True)
            ]
            for name, loader in (("train", module.train_dataloader()), ("val", module.val_dataloader()))
        }
        queue.put((rank, seen))
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_share_an_epoch(tmp_path):
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    address = (tmp_path / "meeting").as_uri()
    processes = [context.Process(target=shard, args=(rank, address, queue)) for rank in range(2)]
    for process in processes:
        process.start()
    found = dict(queue.get(timeout=60) for _ in processes)
    for process in processes:
        process.join(60)
    trained = found[0]["train"] + found[1]["train"]
    assert len(found[0]["train"]) == len(found[1]["train"]) == 4
    assert len(set(trained)) == 8
    assert sorted(found[0]["val"] + found[1]["val"]) == [(0, 0), (0, 1), (0, 2)]
