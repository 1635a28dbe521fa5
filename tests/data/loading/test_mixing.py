import random
from collections import Counter
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch.utils.data import Dataset, DistributedSampler

from vosbench.data.loading.mixing import Concatenated, Draw, EpochSampler, Order, Pool, seeded
from vosbench.errors import InputError


def samples(pools, order, epoch=0, rank=0, world=1):
    sampler = EpochSampler(pools, order, rank, world)
    sampler.set_epoch(epoch)
    drawn = [draw.sample for draw in sampler]
    assert len(drawn) == len(sampler)
    return drawn


@given(
    sizes=st.lists(st.integers(1, 12), min_size=1, max_size=3),
    world=st.integers(1, 5),
    batch=st.integers(1, 4),
    epoch=st.integers(0, 3),
    shuffle=st.booleans(),
)
def test_without_mixing_every_sample_comes_once_over_all_devices(sizes, world, batch, epoch, shuffle):
    pools = [Pool([1] * size) for size in sizes]
    assume(sum(sizes) >= world)
    order = Order(batch, uneven="keep", shuffle=shuffle)
    shards = [samples(pools, order, epoch, rank, world) for rank in range(world)]
    assert sorted(chain(*shards)) == list(range(sum(sizes)))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1


@given(size=st.integers(1, 30), world=st.integers(1, 5), batch=st.integers(1, 4))
def test_padding_repeats_as_little_as_possible(size, world, batch):
    order = Order(batch, uneven="pad")
    shards = [samples([Pool([1] * size)], order, 0, rank, world) for rank in range(world)]
    assert {len(shard) for shard in shards} == {-(-size // world)}
    counts = Counter(chain(*shards))
    assert set(counts) == set(range(size))
    assert max(counts.values()) - min(counts.values()) <= 1


@given(size=st.integers(1, 30), world=st.integers(1, 4), batch=st.integers(1, 4))
def test_dropping_leaves_whole_batches_without_repetition(size, world, batch):
    pools, order = [Pool([1] * size)], Order(batch, uneven="drop")
    if size < world * batch:
        with pytest.raises(InputError, match=f"fill no batch of {batch} on each of {world} devices"):
            samples(pools, order, 0, 0, world)
        return
    shards = [samples(pools, order, 0, rank, world) for rank in range(world)]
    assert {len(shard) for shard in shards} == {size // (world * batch) * batch}
    assert max(Counter(chain(*shards)).values()) == 1


def test_what_is_dropped_changes_with_the_epoch():
    seen = {sample for epoch in range(20) for sample in samples([Pool([1] * 5)], Order(4), epoch)}
    assert seen == set(range(5))


def test_seed_and_epoch_determine_the_order():
    pools = [Pool([1] * 50)]
    assert samples(pools, Order(seed=1), 2) == samples(pools, Order(seed=1), 2)
    assert samples(pools, Order(seed=1), 2) != samples(pools, Order(seed=1), 3)
    assert samples(pools, Order(seed=1), 2) != samples(pools, Order(seed=2), 2)


def test_in_order_nothing_changes_with_the_epoch():
    sampler = EpochSampler([Pool([1] * 4), Pool([1] * 3)], Order(shuffle=False, uneven="keep"))
    first = list(sampler)
    sampler.set_epoch(3)
    assert list(sampler) == first
    assert [draw.sample for draw in first] == [0, 1, 2, 3, 4, 5, 6]


def test_a_group_gives_one_random_sample_an_epoch():
    pools = [Pool([3]), Pool([5, 1, 4])]
    drawn = [samples(pools, Order(), epoch) for epoch in range(200)]
    groups = [range(3), range(3, 8), range(8, 9), range(9, 13)]
    for epoch in drawn:
        assert [sum(sample in group for sample in epoch) for group in groups] == [1, 1, 1, 1]
    assert set(chain(*drawn)) == set(range(13))


def test_shares_are_probabilities():
    pools = [Pool([1] * 1000, share=3), Pool([1] * 10, share=1)]
    drawn = samples(pools, Order(10, mixing="shares", length=4000))
    assert len(drawn) == 4000
    assert sum(sample < 1000 for sample in drawn) / 4000 == pytest.approx(0.75, abs=0.03)


def test_a_pool_is_used_up_before_anything_of_it_comes_again():
    counts = Counter(samples([Pool([1] * 7, share=1)], Order(1, mixing="shares", length=24)))
    assert set(counts) == set(range(7))
    assert max(counts.values()) - min(counts.values()) <= 1


def test_counts_hold_in_every_batch_of_every_device():
    pools = [Pool([1] * 20, share=3), Pool([1] * 4, share=1), Pool([1], share=0)]
    for rank in range(2):
        drawn = samples(pools, Order(4, mixing="counts", length=33), 0, rank, 2)
        assert len(drawn) == 16
        batches = [drawn[start : start + 4] for start in range(0, 16, 4)]
        assert all(sum(sample < 20 for sample in batch) == 3 for batch in batches)
        assert 24 not in drawn


def test_devices_draw_different_parts_of_a_mixture():
    pools, order = [Pool([1] * 40)], Order(4, mixing="shares", length=40)
    shards = [samples(pools, order, 0, rank, 2) for rank in range(2)]
    assert sorted(chain(*shards)) == list(range(40))


def test_without_a_length_a_mixture_is_as_long_as_its_parts():
    assert len(samples([Pool([2, 2, 2]), Pool([1] * 6)], Order(2, mixing="shares"))) == 8


def test_every_sample_has_its_own_seed():
    """Also the same sample twice: padded, drawn again or in another epoch."""
    pools, order = [Pool([1] * 5)], Order(mixing="shares", length=50)
    sampler = EpochSampler(pools, order)
    seeds = [draw.seed for draw in sampler]
    sampler.set_epoch(1)
    seeds += [draw.seed for draw in sampler]
    padded = [draw.seed for rank in range(3) for draw in EpochSampler(pools, Order(uneven="pad"), rank, 3)]
    assert len(set(seeds)) == 100
    assert len(set(padded)) == 6


def test_lightning_leaves_the_sampler_in_place():
    assert isinstance(EpochSampler([Pool([1])], Order()), DistributedSampler)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"mixing": "share"}, "mixing 'share'.*shares"),
        ({"uneven": "cut"}, "uneven 'cut'"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"length": 0, "mixing": "shares"}, "length of an epoch is 0"),
        ({"length": 5}, "leave its length out"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_settings_without_sense_are_errors(setting, message):
    with pytest.raises(InputError, match=message):
        Order(**setting)


@pytest.mark.parametrize(
    ("shares", "mixing", "message"),
    [
        ((-1, 2), "shares", "numbers from 0"),
        ((0, 0), "shares", "numbers from 0"),
        ((1, 2), "counts", "add up to batch_size=4"),
        ((1.5, 2.5), "counts", "whole numbers"),
    ],
)
def test_shares_that_do_not_fit_are_errors(shares, mixing, message):
    pools = [Pool([1] * 9, share) for share in shares]
    with pytest.raises(InputError, match=message):
        EpochSampler(pools, Order(4, mixing=mixing))


def test_a_pool_without_samples_is_an_error():
    with pytest.raises(InputError, match="no samples"):
        EpochSampler([Pool([1]), Pool([])], Order())


class Throws(Dataset):
    """Three dice: of Python, numpy and torch."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return index, random.random(), np.random.rand(), torch.rand(()).item()  # noqa: NPY002


def seed_everything():
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)


def test_the_seed_reaches_every_generator_and_no_further():
    thrown = Throws(1)
    seed_everything()
    expected = thrown[0]
    seed_everything()
    with seeded(2**62 + 5):
        inside = thrown[0]
    assert thrown[0] == expected
    with seeded(2**62 + 5):
        assert thrown[0] == inside
    with seeded(2**62 + 6):
        assert not set(thrown[0][1:]) & set(inside[1:])


def test_the_generators_come_back_after_an_error():
    torch.manual_seed(0)
    expected = torch.rand(())
    torch.manual_seed(0)
    with pytest.raises(KeyError), seeded(1):
        raise KeyError
    assert torch.rand(()) == expected


def test_concatenated_datasets_are_counted_through():
    joined = Concatenated([Throws(2), Throws(3)])
    assert len(joined) == 5
    assert [joined[Draw(sample, 0)][0] for sample in range(5)] == [0, 1, 0, 1, 2]


def test_no_device_is_empty_where_there_are_fewer_samples_than_devices():
    order = Order(shuffle=False, uneven="keep")
    drawn = [[draw.sample for draw in EpochSampler([Pool([1, 1])], order, rank, 3)] for rank in range(3)]
    assert drawn == [[0], [1], [0]]
