"""Clips of an epoch: their order, device and random numbers.

Everything follows from a seed and the epoch: neither the number of workers nor an interruption changes
it. A sampler draws for all devices alike and keeps the share of its own.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed
from torch.utils.data import Dataset, DistributedSampler

from vosbench.errors import InputError, check_name

Mixing = Literal["none", "shares", "counts"]
Uneven = Literal["keep", "drop", "pad"]

T = TypeVar("T")


class Draw(NamedTuple):
    """Sample of an epoch: its index and the seed of its random changes."""

    sample: int
    seed: int


@dataclass(frozen=True)
class Pool:
    """Source of samples: groups of samples that follow each other.

    Attributes:
        sizes: samples of each group. An epoch takes one random sample of every group: with groups
            of one, every sample; with a group per video, one clip of each.
        share: its part of a mixture: a weight, or samples per batch.
    """

    sizes: Sequence[int]
    share: float = 1.0


@dataclass(frozen=True)
class Order:
    """Order in which an epoch goes through pools.

    Attributes:
        batch_size: samples per batch and device.
        mixing: ``"none"``: every group of every pool once. ``"shares"``: each sample is of a random
            pool, likely as its share. ``"counts"``: each batch has `share` samples of each pool.
        length: samples of an epoch of a mixture, summed over all devices, rounded down to whole batches;
            None: as many as all pools have groups.
        shuffle: random order; the same order and samples in every epoch otherwise.
        uneven: without mixing, what happens to samples that fill no batch on every device. ``"keep"``:
            each comes once, some devices have one less; with fewer samples than devices the first come again,
            as Lightning takes no empty device. ``"drop"``: they are left out of this epoch.
            ``"pad"``: the first come twice until devices have equally many.
        seed: of everything random.

    Raises:
        InputError: a value that makes no sense.
    """

    batch_size: int = 1
    mixing: Mixing = "none"
    length: int | None = None
    shuffle: bool = True
    uneven: Uneven = "drop"
    seed: int = 0

    def __post_init__(self) -> None:
        check_name("mixing", self.mixing, get_args(Mixing))
        check_name("uneven", self.uneven, get_args(Uneven))
        if self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}: it must be at least 1")
        if self.length is not None and self.length < 1:
            raise InputError(f"length of an epoch is {self.length}: it must be at least 1")
        if self.length is not None and self.mixing == "none":
            raise InputError(
                "without mixing an epoch takes everything once: leave its length out or mix by shares"
            )
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}: it must be at least 0")


def rank_and_world() -> tuple[int, int]:
    """Return the number of this device and the number of devices, as torch.distributed has them."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


class EpochSampler(DistributedSampler[Draw]):
    """Sampler of one device; Lightning leaves the sampler in place and sets the epoch.

    Args:
        pools: one per dataset, in the order in which `Concatenated` joins them.
        order: how an epoch goes through them.
        rank: number of this device; None asks torch.distributed.
        world: number of devices; None asks torch.distributed.

    Raises:
        InputError: an epoch would have no batch, or the shares do not fit.
    """

    def __init__(
        self, pools: Sequence[Pool], order: Order, rank: int | None = None, world: int | None = None
    ) -> None:
        own_rank, devices = rank_and_world()
        self.rank = own_rank if rank is None else rank
        self.num_replicas = devices if world is None else world
        self.epoch = 0
        self._pools = pools
        self._order = order
        self._units = sum(len(pool.sizes) for pool in pools)
        _check_shares(pools, order)
        self._total = self._whole(order.length or self._units)

    def __len__(self) -> int:
        return len(self._mine())

    def __iter__(self) -> Iterator[Draw]:
        epoch = self.epoch if self._order.shuffle else 0
        mine = self._mine()
        drawn = self._mixed(epoch) if self._order.mixing != "none" else self._all(epoch)
        # a padded epoch begins again, with other random changes
        indices = drawn[mine % len(drawn)]
        seeds = self._generator(epoch, 0).integers(2**63, size=max(self._total, len(drawn)))[mine]
        return (Draw(int(index), int(seed)) for index, seed in zip(indices, seeds, strict=True))

    def _whole(self, length: int) -> int:
        """Return the number of samples that all devices draw."""
        step = self._order.batch_size * self.num_replicas
        if self._order.mixing == "none":
            length = self._units
            if self._order.uneven == "keep":
                return max(length, self.num_replicas)
            if self._order.uneven == "pad":
                return -(-length // self.num_replicas) * self.num_replicas
        if length < step:
            raise InputError(
                f"{length} samples an epoch fill no batch of {self._order.batch_size} on each of "
                f"{self.num_replicas} devices: lower batch_size"
            )
        return length - length % step

    def _mine(self) -> NDArray[np.int64]:
        """Return the positions of this device in the drawing of all."""
        positions = np.arange(self._total)
        if self._order.mixing == "none":
            return positions[self.rank :: self.num_replicas]
        batches = positions.reshape(-1, self._order.batch_size)
        return batches[self.rank :: self.num_replicas].reshape(-1)

    def _generator(self, epoch: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self._order.seed, epoch, purpose])

    def _all(self, epoch: int) -> NDArray[np.int64]:
        drawn = np.concatenate(
            [self._from(number, len(p.sizes), epoch) for number, p in enumerate(self._pools)]
        )
        return self._generator(epoch, 1).permutation(drawn) if self._order.shuffle else drawn

    def _mixed(self, epoch: int) -> NDArray[np.int64]:
        shares = np.array([pool.share for pool in self._pools], float)
        generator = self._generator(epoch, 1)
        if self._order.mixing == "shares":
            pools = generator.choice(len(shares), size=self._total, p=shares / shares.sum())
        else:
            batch = np.repeat(np.arange(len(shares)), shares.astype(int))
            pools = np.tile(batch, self._total // len(batch))
        drawn = np.empty(self._total, np.int64)
        for number in range(len(self._pools)):
            positions = np.flatnonzero(pools == number)
            drawn[positions] = self._from(number, len(positions), epoch)
        return drawn

    def _from(self, number: int, count: int, epoch: int) -> NDArray[np.int64]:
        """Return `count` samples of a pool; no group comes again before all others came."""
        generator = self._generator(epoch, 2 + number)
        sizes = np.asarray(self._pools[number].sizes, np.int64)
        starts = sum(sum(pool.sizes) for pool in self._pools[:number]) + np.cumsum(sizes) - sizes
        groups = np.arange(len(sizes))
        rounds = -(-count // len(sizes))
        shuffle = generator.permutation if self._order.shuffle else np.array
        units = np.concatenate([groups[:0], *(shuffle(groups) for _ in range(rounds))])[:count]
        drawn: NDArray[np.int64] = starts[units] + generator.integers(sizes[units])
        return drawn


class Concatenated(Dataset[T], Generic[T]):
    """Several datasets one after the other, sampled by `EpochSampler`.

    Args:
        datasets: with a length each; their random changes may use torch, numpy and Python.
    """

    def __init__(self, datasets: Sequence[Dataset[T]]) -> None:
        self._datasets = datasets
        self._ends = np.cumsum([len(dataset) for dataset in datasets]).tolist()  # type: ignore[arg-type]

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, draw: Draw) -> T:
        number = bisect_right(self._ends, draw.sample)
        with seeded(draw.seed):
            return self._datasets[number][draw.sample - (self._ends[number - 1] if number else 0)]


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Start the global generators of Python, numpy and torch (CPU) from `seed`; restore them after."""
    python, numpy, pytorch = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.default_generator.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(pytorch)


def _check_shares(pools: Sequence[Pool], order: Order) -> None:
    if not sum(len(pool.sizes) for pool in pools) or any(not len(pool.sizes) for pool in pools):
        raise InputError("a data set to draw from has no samples")
    shares = [pool.share for pool in pools]
    if order.mixing == "none":
        return
    if min(shares) < 0 or sum(shares) <= 0:
        raise InputError(f"shares of the mixture are {shares}: write numbers from 0, one of them above 0")
    if order.mixing == "shares":
        return
    if any(share != int(share) for share in shares) or sum(shares) != order.batch_size:
        raise InputError(
            f"counts of the mixture are {shares}: write whole numbers that add up to "
            f"batch_size={order.batch_size}"
        )
