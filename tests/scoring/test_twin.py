"""A plain reading of the definitions, pixel by pixel, agrees with every DAVIS protocol on small videos."""

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from vosbench.errors import InputError
from vosbench.metrics import JFMeasure, RegionSimilarity
from vosbench.scoring.protocol import load_protocol
from vosbench.scoring.sequence import score_sequence

VOID = 255


def plain_j(pred, target):
    union = len(pred | target)
    return len(pred & target) / union if union else 1.0


def plain_boundary(mask, height, width):
    inside = set()
    for y, x in itertools.product(range(height), range(width)):
        others = [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
        here = (y, x) in mask
        if any(((j, i) in mask) != here for j, i in others if j < height and i < width):
            inside.add((y, x))
    return inside


def plain_f(pred, target, height, width):
    radius = math.ceil(0.008 * math.sqrt(height**2 + width**2))
    a, b = plain_boundary(pred, height, width), plain_boundary(target, height, width)

    def share(points, others):
        if not points:
            return 1.0
        near = [
            p for p in points if any((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2 <= radius**2 for q in others)
        ]
        return len(near) / len(points)

    precision, recall = share(a, b), share(b, a)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def pixels(ids, wanted, void):
    return {(y, x) for y, x in np.argwhere(wanted(ids)).tolist() if (y, x) not in void}


def plain(pred, target, protocol):
    """Mean J and F of one video, written out."""
    length, height, width = pred.shape
    frames = range(length) if protocol == "davis17-unsupervised" else range(1, length - 1)
    inner = target[0][target[0] != VOID]
    objects = range(1, int(inner.max(initial=0)) + 1)

    def values(mine, theirs):
        rows = []
        for t in frames:
            ignored = protocol == "davis17-unsupervised"
            void = {tuple(p) for p in np.argwhere(target[t] == VOID).tolist()} if ignored else set()
            a, b = pixels(pred[t], mine, void), pixels(target[t], theirs, void)
            rows.append((plain_j(a, b), plain_f(a, b, height, width)))
        return np.array(rows)

    if protocol == "davis16-unsupervised":
        return values(lambda ids: ids != 0, lambda ids: ids != 0).mean(axis=0)
    if protocol == "davis17-semi-supervised":
        pairs = [values(lambda ids, i=i: ids == i, lambda ids, i=i: ids == i) for i in objects]
        return np.mean([each.mean(axis=0) for each in pairs], axis=0)
    # every id up to the largest is a proposal, an empty one where it does not occur
    proposals = range(1, max(int(pred.max()), len(objects)) + 1)
    table = {
        (p, i): values(lambda ids, p=p: ids == p, lambda ids, i=i: ids == i)
        for p in proposals
        for i in objects
    }
    best = max(
        itertools.permutations(proposals, len(objects)),
        key=lambda chosen: sum(table[p, i].mean() for p, i in zip(chosen, objects, strict=True)),
    )
    return np.mean([table[p, i].mean(axis=0) for p, i in zip(best, objects, strict=True)], axis=0)


@st.composite
def videos(draw, protocol):
    length, height, width = draw(st.integers(3, 4)), draw(st.integers(1, 6)), draw(st.integers(1, 7))
    objects = 1 if protocol == "davis16-unsupervised" else draw(st.integers(1, 3))
    kinds = st.sampled_from(["random", "empty", "full", "pixel", "border"])
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def frame(highest):
        kind = draw(kinds)
        ids = np.zeros((height, width), np.uint8)
        if kind == "random":
            ids = random.integers(0, highest + 1, (height, width)).astype(np.uint8)
        if kind == "full":
            ids[:] = random.integers(1, highest + 1)
        if kind == "pixel":
            ids[random.integers(height), random.integers(width)] = highest
        if kind == "border":
            ids[0], ids[:, -1] = 1, highest
        return ids

    target = np.stack([frame(objects) for _ in range(length)])
    pred = np.stack([frame(objects) for _ in range(length)])
    if protocol != "davis16-unsupervised":
        void = random.random(target.shape) < draw(st.sampled_from([0.0, 0.2, 1.0]))
        target[void] = VOID
    target[0, 0, 0] = objects
    if protocol == "davis17-unsupervised":
        # gaps among the ids
        pred = np.array([0, *random.choice(range(1, 6), objects, replace=False)], np.uint8)[pred]
    return pred, target


def check(pred, target, protocol):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        values = score_sequence(pred, dict(enumerate(target)), load_protocol(protocol), ("j", "f")).values
    assert not any(math.isnan(value) for value in values.values())
    j, f = plain(pred, target, protocol)
    if protocol != "davis17-unsupervised":
        assert (values["J_mean"], values["F_mean"]) == pytest.approx((j, f), abs=1e-12)
    # assignments of equal worth may differ in J and F, never in their sum
    assert values["J_mean"] + values["F_mean"] == pytest.approx(j + f, abs=1e-12)


@settings(max_examples=60)
@given(videos("davis16-unsupervised"))
def test_davis16(video):
    check(*video, "davis16-unsupervised")


@settings(max_examples=60)
@given(videos("davis17-semi-supervised"))
def test_davis17_semi_supervised(video):
    check(*video, "davis17-semi-supervised")


@settings(max_examples=60)
@given(videos("davis17-unsupervised"))
def test_davis17_unsupervised(video):
    check(*video, "davis17-unsupervised")


def unsupervised(pred, target):
    protocol = load_protocol("davis17-unsupervised")
    return score_sequence(pred, dict(enumerate(target)), protocol).values


def test_an_id_below_the_largest_that_never_occurs_is_an_empty_proposal():
    target, pred = np.zeros((2, 5, 4, 4), np.uint8)
    target[0, :2] = 1
    pred[0, :2], pred[1:, 0] = 2, 2
    # as nothing, id 1 is right in all frames but the first
    assert unsupervised(pred, target)["J_mean"] == 0.8
    # id 1 itself is right in the first alone: there is no id below it
    assert unsupervised(pred // 2, target)["J_mean"] == 0.2


@pytest.mark.parametrize("void_frame", [0, 3])
def test_an_id_under_void_alone_counts_as_a_proposal(void_frame):
    target, pred = np.zeros((2, 5, 4, 4), np.uint8)
    target[0, :2] = 1
    pred[0, :2], pred[1:, 0] = 1, 1
    target[void_frame, 3], pred[void_frame, 3] = VOID, 2
    assert unsupervised(pred, target)["J_mean"] == 0.8


def test_without_a_prediction_all_proposals_are_empty():
    target = np.zeros((5, 4, 4), np.uint8)
    target[0, :2], target[:2, 2:] = 1, 2
    assert unsupervised(np.zeros_like(target), target)["J_mean"] == pytest.approx((0.8 + 0.6) / 2)


def test_twenty_proposals_are_the_most_under_void_too():
    target = np.ones((3, 4, 4), np.uint8)
    target[1, 0] = VOID
    pred = np.where(target == VOID, 21, target).astype(np.uint8)
    with pytest.raises(InputError, match=r"id 21; protocol davis17-unsupervised allows 1\.\.20"):
        unsupervised(pred, target)
    measure = JFMeasure("all", "match")
    pred, target = torch.from_numpy(pred), torch.from_numpy(target)
    with pytest.raises(ValueError, match="holds id 21, 20 is the most"):
        measure.update(pred, target, target == VOID)
    measure.update(pred.clamp(max=20), target, target == VOID)
    assert measure.compute()["J_mean"] == 1


def test_the_metric_of_tensors_takes_the_same_proposals():
    target, pred = torch.zeros((2, 5, 4, 4), dtype=torch.uint8)
    target[0, :2] = 1
    pred[0, :2], pred[1:, 0] = 2, 2
    measure = RegionSimilarity("all", "match")
    measure.update(pred, target)
    assert measure.compute()["J_mean"] == 0.8


def test_twenty_objects_and_as_many_proposals():
    ids = np.repeat(np.arange(1, 21, dtype=np.uint8), 2).reshape(1, 8, 5).repeat(3, axis=0)
    shuffled = (21 - ids).astype(np.uint8)
    protocol = load_protocol("davis17-unsupervised")
    values = score_sequence(shuffled, dict(enumerate(ids)), protocol).values
    assert values["JF_mean"] == 1
    semi = score_sequence(shuffled, dict(enumerate(ids)), load_protocol("davis17-semi-supervised")).values
    assert semi["J_mean"] == 0
