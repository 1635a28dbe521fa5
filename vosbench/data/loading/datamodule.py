"""Batches for a training stage, from any data sets of Videos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import pytorch_lightning as pl
from torch.utils.data import DataLoader

from vosbench.data.loading.clips import ClipDataset, ClipSettings, Item
from vosbench.data.loading.collate import detection_collate, pad_collate
from vosbench.data.loading.mixing import Concatenated, EpochSampler, Mixing, Order, Pool, Uneven
from vosbench.data.loading.transport import SlotCollate, start_worker
from vosbench.data.transforms.clip_transforms import Augmentation
from vosbench.errors import InputError, check_name
from vosbench.video import Video

Collation = Literal["clips", "detection"]

_ROOM = 2
"""A batch may need so many times the memory of clips as they are read, where transforms enlarge them."""


@dataclass(frozen=True)
class Source:
    """One data set of a stage.

    Attributes:
        videos: what clips are cut from.
        settings: how.
        transform: applied to each clip after scaling.
        share: its part of a mixture: a weight, or clips per batch, see `Order.mixing`.
        per_video: a video counts as one sample, of which a random clip is taken each time.
    """

    videos: Sequence[Video]
    settings: ClipSettings
    transform: Augmentation | None = None
    share: float = 1.0
    per_video: bool = False


@dataclass(frozen=True)
class Loading:
    """Batches of a stage.

    Attributes:
        batch_size: clips per training batch and device.
        val_batch_size: clips per validation batch.
        mixing: of several training sources, see `vosbench.data.loading.mixing.Order`.
        epoch_length: clips of a training epoch of a mixture, see `Order.length`.
        uneven: what happens to training clips that fill no batch, see `Order.uneven`.
        collate: ``"clips"``: `pad_collate`; ``"detection"``: `detection_collate`.
        workers: processes that read; 0 reads in the main process.
        prefetch: batches that each of them prepares ahead; it keeps the memory of two more.
        pin_memory: put batches where a GPU fetches them from without waiting.
        seed: of order and random changes.

    Raises:
        InputError: a value that makes no sense.
    """

    batch_size: int = 1
    val_batch_size: int = 1
    mixing: Mixing = "none"
    epoch_length: int | None = None
    uneven: Uneven = "drop"
    collate: Collation = "clips"
    workers: int = 0
    prefetch: int = 2
    pin_memory: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_name("collate", self.collate, get_args(Collation))
        if self.workers < 0 or self.prefetch < 1:
            raise InputError(
                f"workers is {self.workers} and prefetch {self.prefetch}: write at least 0 and at least 1"
            )


class ClipDataModule(pl.LightningDataModule):
    """Clips of any data sets, for any stage.

    Frames stay uint8 for the GPU to convert. Seed and epoch determine the clips of an epoch and
    their changes, whatever the number of workers. On several devices each reads its own part: training ends
    on all of them after the same batch unless `Loading.uneven` is ``"keep"``; validation clips
    come exactly once.

    Args:
        train: data sets to train on.
        val: data sets to validate on, one after the other; empty: no validation.
        loading: how batches are made.

    Raises:
        InputError: a source without clips; loaders: the mixture does not fit the batch.
    """

    def __init__(
        self, train: Sequence[Source], val: Sequence[Source] = (), loading: Loading | None = None
    ) -> None:
        super().__init__()
        self._loading = loading or Loading()
        self._train = _Stock(train)
        self._val = _Stock(val) if val else None

    @property
    def validates(self) -> bool:
        """True if there are validation clips."""
        return self._val is not None

    def train_dataloader(self) -> DataLoader[Any]:
        """Return shuffled, mixed, augmented clips."""
        loading = self._loading
        order = Order(
            batch_size=loading.batch_size,
            mixing=loading.mixing,
            length=loading.epoch_length,
            uneven=loading.uneven,
            seed=loading.seed,
        )
        return self._loader(self._train, order)

    def val_dataloader(self) -> DataLoader[Any] | list[DataLoader[Any]]:
        """Return every validation clip in order; an empty list without validation sources."""
        if self._val is None:
            return []
        size, seed = self._loading.val_batch_size, self._loading.seed
        return self._loader(self._val, Order(batch_size=size, shuffle=False, uneven="keep", seed=seed))

    def _loader(self, stock: _Stock, order: Order) -> DataLoader[Any]:
        loading = self._loading
        return DataLoader(
            stock.dataset,
            order.batch_size,
            sampler=EpochSampler(stock.pools, order),
            num_workers=loading.workers,
            collate_fn=self._collate(stock, order.batch_size),
            pin_memory=loading.pin_memory,
            prefetch_factor=loading.prefetch if loading.workers else None,
            persistent_workers=loading.workers > 0,
            worker_init_fn=start_worker,
            # readers hold functions, which a process started afresh could not be given
            multiprocessing_context="fork" if loading.workers else None,
        )

    def _collate(self, stock: _Stock, batch_size: int) -> Callable[..., Any]:
        loading = self._loading
        detects = loading.collate == "detection"
        plain = detection_collate if detects else pad_collate
        if not loading.workers:
            return plain
        # prepared ahead, being used, and about to be used
        slots = loading.prefetch + 2
        try:
            return SlotCollate(
                (lambda items, _: detection_collate(items)) if detects else pad_collate,
                loading.workers,
                slots,
                _ROOM * batch_size * stock.item_bytes,
            )
        except OSError:
            # more than the system lets a process reserve: batches travel as usual, a little slower
            return plain


class _Stock:
    """Clips of some sources, and the pools of an epoch."""

    def __init__(self, sources: Sequence[Source]) -> None:
        if not sources:
            raise InputError("no data set to train on")
        datasets = [ClipDataset(source.videos, source.settings, source.transform) for source in sources]
        self._datasets = datasets
        self.dataset: Concatenated[Item] = Concatenated(datasets)
        self.pools = [
            Pool(dataset.clips_per_video if source.per_video else [1] * len(dataset), source.share)
            for source, dataset in zip(sources, datasets, strict=True)
        ]

    @property
    def item_bytes(self) -> int:
        return max(dataset.item_bytes for dataset in self._datasets)
