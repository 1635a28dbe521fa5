"""Overlap of volumes, frame by frame: the released programs' goldens, a brute-force twin, cases by hand."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vosbench.metrics.kernels.fbms import FRACTIONS, VARIANTS, VolumeOverlap, overall

GOLDEN = Path(__file__).parents[2] / "golden/fbms_cases"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())
CASES = sorted(EXPECTED["cases"])


def golden(name, background=0, foreground_tracks_only=False):
    volume = VolumeOverlap(background)
    with np.load(GOLDEN / f"{name}.npz") as content:
        content = dict(content)
    for frame in content["labelled_frames"]:
        pred = content["pred"][frame]
        void = content["void"][frame] if "void" in content else None
        volume.add(pred, content["gt"][frame], void, pred == 0 if foreground_tracks_only else None)
    return volume


def volume(pred, target, void=None, uncovered=None, background=0):
    """A volume of one row of pixels, or of several frames of one row each."""
    out = VolumeOverlap(background)
    void, uncovered = (None if mask is None else np.atleast_2d(mask) for mask in (void, uncovered))
    for t, (row, true) in enumerate(zip(np.atleast_2d(pred), np.atleast_2d(target), strict=True)):
        masks = (None if mask is None else mask[None, t].astype(bool) for mask in (void, uncovered))
        out.add(row[None], true[None], *masks)
    return out


def fractions(values):
    return tuple(values[name] for name in FRACTIONS)


@pytest.mark.parametrize("name", CASES)
def test_one_pass_gives_every_golden_value(name):
    expected, found = EXPECTED["cases"][name], golden(name)
    official, proposed = found.measure("official"), found.measure("proposed")
    assert fractions(official) == pytest.approx([expected["official_dense"][x] for x in "PRF"], abs=1e-9)
    assert official["n_objects"] == expected["official_dense"]["extracted_F_gt_0_75"]
    percent = [100 * value for value in fractions(proposed)]
    assert percent == pytest.approx([expected["proposed_percent"][x] for x in "PRF"], abs=1e-9)
    assert found.count_error() == expected["delta_obj"]
    assert found.objects == expected["n_groundtruth_objects"]
    assert golden(name, "infer").background == expected["inferred_background_id"]


@pytest.mark.parametrize("name", CASES)
def test_tracks_of_foreground_alone_leave_the_rest_uncovered(name):
    expected = EXPECTED["cases"][name]["official_foreground_tracks_only"]
    found = golden(name, foreground_tracks_only=True)
    # the released program prints six digits of float32
    assert fractions(found.measure("official")) == pytest.approx(
        [float(expected[x]) for x in "PRF"], abs=2e-6
    )
    assert found.measure("official")["n_objects"] == expected["extracted"]
    assert found.objects == expected["visible"]
    dense = golden(name)
    for variant in ("proposed", "binary"):
        assert found.measure(variant) == dense.measure(variant)
    assert found.count_error() == dense.count_error()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_data_set_value_of_the_goldens(variant):
    found = overall([golden(name).measure(variant) for name in CASES], variant)
    if variant == "official":
        expected = EXPECTED["overall"]["official_dense"]
        assert fractions(found) == pytest.approx([expected[x] for x in "PRF"], abs=1e-9)
        assert found["n_objects"] == expected["extracted"]
    elif variant == "proposed":
        expected = [EXPECTED["overall"]["proposed_percent"][x] / 100 for x in "PRF"]
        assert fractions(found) == pytest.approx(expected, abs=1e-9)
    else:
        assert set(found) == set(FRACTIONS)


def test_overall_takes_f_from_the_means_but_for_the_proposed_measure():
    videos = [
        {"precision": 1.0, "recall": 0.0, "f_measure": 0.0, "n_objects": 2.0},
        {"precision": 0.5, "recall": 0.5, "f_measure": 0.5, "n_objects": 1.0},
    ]
    assert overall(videos, "proposed") == {
        "precision": 0.75,
        "recall": 0.25,
        "f_measure": 0.25,
        "n_objects": 3,
    }
    assert overall(videos, "official") == {
        "precision": 0.75,
        "recall": 0.25,
        "f_measure": 0.375,
        "n_objects": 3,
    }
    assert overall(videos, "binary") == {"precision": 0.75, "recall": 0.25, "f_measure": 0.375}


def test_overall_of_no_video_is_nan():
    for variant in VARIANTS:
        assert all(math.isnan(value) for value in fractions(overall([], variant)))


def test_ids_that_change_hands_halfway_are_an_error_of_the_objects_not_of_the_foreground():
    found = volume([[1, 1, 2, 2], [2, 2, 1, 1]], [[1, 1, 2, 2], [1, 1, 2, 2]])
    assert fractions(found.measure("proposed")) == (0.5, 0.5, 0.5)
    assert fractions(found.measure("binary")) == (1, 1, 1)


def test_binary_by_hand():
    found = volume([1, 2, 0, 0, 0, 3], [1, 1, 1, 1, 0, 0])
    assert fractions(found.measure("binary")) == pytest.approx((2 / 3, 1 / 2, 4 / 7))
    without_the_false_one = volume([1, 2, 0, 0, 0, 3], [1, 1, 1, 1, 0, 0], void=[0, 0, 1, 0, 0, 1])
    assert fractions(without_the_false_one.measure("binary")) == pytest.approx((1, 2 / 3, 4 / 5))


@pytest.mark.parametrize(
    ("pred", "target", "expected"),
    [
        ([0, 0], [1, 0], (1, 0, 0)),
        ([1, 0], [0, 0], (0, 1, 0)),
        ([0, 0], [0, 0], (1, 1, 1)),
        ([1, 0], [0, 1], (0, 0, 0)),
    ],
)
def test_binary_where_one_side_is_empty(pred, target, expected):
    assert fractions(volume(pred, target).measure("binary")) == expected


def test_all_void_gives_numbers():
    found = volume([0, 1, 2], [1, 1, 0], void=[1, 1, 1])
    assert found.objects == 0
    assert found.count_error() == 2
    assert fractions(found.measure("official")) == (0, 0, 0)
    assert fractions(found.measure("proposed")) == (0, 0, 0)
    assert fractions(found.measure("binary")) == (1, 1, 1)


def test_no_frame_gives_numbers():
    empty = VolumeOverlap("infer")
    empty.add(np.zeros((0, 4), int), np.zeros((0, 4), int))
    assert (empty.background, empty.objects, empty.count_error()) == (0, 0, 0)
    assert [fractions(empty.measure(variant))[0] for variant in VARIANTS] == [0, 0, 1]


def test_the_official_measure_assigns_by_f_cut_to_four_digits():
    # one cluster per row, one region per column: the diagonal has F 0.980251 in all, the other 0.980256
    shared = np.array([[110, 80], [73, 49]])
    pred, target = (np.repeat(ids.ravel(), shared.ravel()) for ids in np.indices((2, 2)))
    f = 2 * shared / (shared.sum(1)[:, None] + shared.sum(0))
    assert f[0, 0] + f[1, 1] < f[0, 1] + f[1, 0]
    cut = np.floor(10000 * f)
    assert cut[0, 0] + cut[1, 1] > cut[0, 1] + cut[1, 0]
    found = volume(pred, target).measure("official")
    assert found["precision"] == pytest.approx((110 / 190 + 49 / 122) / 2, abs=1e-12)
    # the proposed measure does not cut: regions 1 and 2 of clusters 1 and 2, no background
    proposed = volume(pred + 1, target + 1).measure("proposed")
    assert proposed["precision"] == pytest.approx((80 + 73) / shared.sum(), abs=1e-12)


def test_an_inferred_background_is_the_most_frequent_id_of_the_video():
    pred, target = [[4, 4, 4, 1], [0, 0, 4, 1]], [[0, 0, 0, 1], [0, 0, 0, 1]]
    found = volume(pred, target, background="infer")
    assert found.background == 4
    # id 0 is then an object: precision 2 of 4
    assert fractions(found.measure("proposed"))[:2] == (0.5, 1)
    assert found.count_error() == 1
    assert fractions(found.measure("binary"))[:2] == (0.5, 1)
    assert volume(pred, target, background=4).measure("proposed") == found.measure("proposed")
    assert volume([5, 5, 3, 3], [0, 0, 1, 1], background="infer").background == 3


def test_the_official_measure_does_not_ask_which_id_is_background():
    for background in (0, 4, "infer"):
        found = volume([4, 4, 1, 1], [0, 0, 1, 1], background=background)
        assert fractions(found.measure("official")) == (1, 1, 1)


def test_ids_of_any_size():
    ids = np.array([0, -(2**62), 7, 300, 2**31, 2**62])
    target = np.arange(6)
    found = volume(ids[target], target)
    assert found.measure("proposed") == volume(target, target).measure("proposed")
    assert found.objects == 5
    assert volume(target, ids[target]).measure("official")["recall"] == 1


def test_many_ids_at_once():
    ids = np.arange(300 * 40).reshape(300, 40) // 10
    assert volume(ids, ids).measure("official") == {
        **dict.fromkeys(FRACTIONS, 1.0),
        "n_objects": 1199.0,
    }


SHAPE = (3, 2, 5)
IDS = arrays(np.uint8, SHAPE, elements=st.integers(0, 3))
MASK = arrays(bool, SHAPE)


def twin(pred, target, void, uncovered, variant, background=0):
    """The measures as section 6 words them, pixel sets and every possible assignment."""
    weight = ~void
    covered = ~uncovered
    if variant == "binary":
        c = (pred != background) & covered & weight
        g = (target != 0) & weight
        shared = int((c & g).sum())
        return (shared / c.sum() if c.any() else 1.0), (shared / g.sum() if g.any() else 1.0)
    if variant == "official":
        clusters = [(pred == i) & covered & weight for i in np.unique(pred[covered])]
        regions = [(target == i) & covered & weight for i in np.unique(target[weight])]
    else:
        clusters = [(pred == i) & covered for i in np.unique(pred[covered]) if i != background]
        regions = [(target == i) & weight for i in np.unique(target[weight]) if i != 0]

    def f(c, g):
        return 2 * (c & g).sum() / max(c.sum() + g.sum(), 1)

    def value(pair):
        return math.floor(10000 * f(*pair) + 1e-9) if variant == "official" else f(*pair)

    padded = clusters + [None] * (len(regions) - len(clusters))
    best, totals = -1, []
    for chosen in itertools.permutations(padded, len(regions)):
        pairs = [(c, g) for c, g in zip(chosen, regions, strict=True) if c is not None]
        total = sum(map(value, pairs))
        if total > best + 1e-9:
            best, totals = total, []
        if total > best - 1e-9:
            totals.append(pairs)
    return [_twin_values(variant, pairs, clusters, regions) for pairs in totals]


def _twin_values(variant, pairs, clusters, regions):
    if variant == "official":
        missing = len(regions) - len(pairs)
        p = missing + sum((c & g).sum() / max(c.sum(), 1) for c, g in pairs)
        r = sum((c & g).sum() / max(g.sum(), 1) for c, g in pairs)
        return p / max(len(regions), 1), r / max(len(regions), 1)
    shared = sum((c & g).sum() for c, g in pairs)
    return shared / max(sum(c.sum() for c in clusters), 1), shared / max(sum(g.sum() for g in regions), 1)


@settings(max_examples=150)
@given(IDS, IDS, MASK, MASK, st.integers(0, 3))
def test_a_brute_force_twin_agrees(pred, target, void, uncovered, background):
    found = VolumeOverlap(background)
    for frame in zip(pred, target, void, uncovered, strict=True):
        found.add(*frame)
    for variant in VARIANTS:
        values = found.measure(variant)
        expected = twin(pred, target, void, uncovered, variant, background)
        pair = (values["precision"], values["recall"])
        # several assignments may be equally good; the measure is of one of them
        candidates = [expected] if variant == "binary" else expected
        assert any(pair == pytest.approx(candidate, abs=1e-12) for candidate in candidates)
        p, r = pair
        assert values["f_measure"] == pytest.approx(2 * p * r / (p + r) if p + r else 0, abs=1e-12)
    predicted = set(pred[~uncovered]) - {background}
    assert found.count_error() == abs(len(predicted) - len(set(target[~void]) - {0}))


@settings(max_examples=30)
@given(IDS, IDS, MASK, st.sampled_from([np.int8, np.int16, np.uint16, np.int64]))
def test_neither_the_type_of_the_ids_nor_their_names_matter(pred, target, void, kind):
    plain, renamed = VolumeOverlap(), VolumeOverlap()
    names = np.array([0, 30, 11, -5 if np.issubdtype(kind, np.signedinteger) else 5]).astype(kind)
    for frame in range(len(pred)):
        plain.add(pred[frame], target[frame], void[frame])
        renamed.add(names[pred[frame]], target[frame].astype(kind), void[frame])
    # the one measure without an assignment: among equally good ones the order of ids decides
    assert renamed.measure("binary") == plain.measure("binary")
    assert renamed.count_error() == plain.count_error()
    assert renamed.objects == plain.objects


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((2, 2)), np.zeros((2, 2), int)), "pred_ids must be integer ids, got float64"),
        ((np.zeros((2, 2), int), np.zeros((2, 2), bool)), "target_ids must be integer ids, got bool"),
        ((np.zeros((2, 2), int), np.zeros((2, 3), int)), r"shape \(2, 2\), target_ids has \(2, 3\)"),
        ((*[np.zeros((2, 2), int)] * 2, np.zeros((1, 2), bool)), "void has"),
        ((*[np.zeros((2, 2), int)] * 2, None, np.zeros((1, 2), bool)), "uncovered has"),
    ],
)
def test_what_cannot_be_counted_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        VolumeOverlap().add(*arguments)


def test_unknown_words_are_refused():
    with pytest.raises(ValueError, match="official, proposed, binary; got 'ours'"):
        VolumeOverlap().measure("ours")
    with pytest.raises(ValueError, match="'infer'"):
        VolumeOverlap("most")
