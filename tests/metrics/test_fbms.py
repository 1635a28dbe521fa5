"""The FBMS-59 measures: golden values of the official tools, and small cases by hand."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from vosbench.metrics import FBMSMeasure, ObjectCountError
from vosbench.metrics.functional import fbms_measure, object_count_error

GOLDEN = Path(__file__).parents[1] / "golden/fbms_cases"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())
CASES = sorted(EXPECTED["cases"])


def case(name):
    with np.load(GOLDEN / f"{name}.npz") as content:
        frames = content["labelled_frames"]
        return tuple(
            torch.from_numpy(content[key][frames]) if key in content else None
            for key in ("pred", "gt", "void")
        )


@pytest.mark.parametrize("name", CASES)
def test_proposed_measure_of_the_released_code(name):
    found = fbms_measure(*case(name), variant="proposed")
    expected = EXPECTED["cases"][name]["proposed_percent"]
    for key, letter in {"precision": "P", "recall": "R", "f_measure": "F"}.items():
        assert 100 * found[key] == pytest.approx(expected[letter], abs=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_official_measure_of_the_released_program(name):
    found = fbms_measure(*case(name), variant="official")
    expected = EXPECTED["cases"][name]["official_dense"]
    for key, letter in {"precision": "P", "recall": "R", "f_measure": "F"}.items():
        assert found[key] == pytest.approx(expected[letter], abs=1e-12)
    assert found["n_objects"] == expected["extracted_F_gt_0_75"]


@pytest.mark.parametrize("name", CASES)
def test_object_count_error(name):
    assert object_count_error(*case(name)) == EXPECTED["cases"][name]["delta_obj"]


@pytest.mark.parametrize("name", CASES)
def test_tracks_that_leave_pixels_uncovered(name):
    pred, target, void = case(name)
    found = fbms_measure(pred, target, void, "official", uncovered=pred == 0)
    expected = EXPECTED["cases"][name]["official_foreground_tracks_only"]
    for key, letter in {"precision": "P", "recall": "R", "f_measure": "F"}.items():
        assert found[key] == pytest.approx(float(expected[letter]), abs=2e-6)
    measure = FBMSMeasure("official")
    measure.update(pred, target, void, pred == 0)
    assert measure.compute()["precision"] == found["precision"]


@pytest.mark.parametrize("variant", ["official", "proposed"])
def test_the_data_set_value(variant):
    measure, counts = FBMSMeasure(variant), ObjectCountError()
    for name in CASES:
        measure.update(*case(name))
        counts.update(*case(name))
    found = measure.compute()
    expected = EXPECTED["overall"]["official_dense" if variant == "official" else "proposed_percent"]
    factor = 1 if variant == "official" else 100
    for key, letter in {"precision": "P", "recall": "R", "f_measure": "F"}.items():
        assert factor * found[key].item() == pytest.approx(expected[letter], abs=1e-9)
    assert counts.compute()["delta_obj"].item() == pytest.approx(EXPECTED["overall"]["delta_obj"])
    if variant == "official":
        assert found["n_objects"].item() == expected["extracted"]


def test_half_an_object_by_hand():
    target = torch.tensor([[[1, 1, 1, 1, 0, 0, 0, 0]]])
    pred = torch.tensor([[[3, 3, 0, 0, 0, 0, 0, 0]]])
    proposed = fbms_measure(pred, target)
    assert (proposed["precision"], proposed["recall"]) == (1, 0.5)
    assert proposed["f_measure"] == pytest.approx(2 / 3)
    assert proposed["n_objects"] == 0
    official = fbms_measure(pred, target, variant="official")
    # background: precision 4/6, recall 1; object: precision 1, recall 1/2
    assert official["precision"] == pytest.approx((4 / 6 + 1) / 2)
    assert official["recall"] == pytest.approx(0.75)


def test_void_is_background_for_one_measure_and_nothing_for_the_other():
    target = torch.tensor([[[1, 1, 0, 0]]])
    pred = torch.tensor([[[1, 1, 1, 0]]])
    void = torch.tensor([[[False, True, True, False]]])
    assert fbms_measure(pred, target, void)["precision"] == pytest.approx(1 / 3)
    assert fbms_measure(pred, target, void, "official")["precision"] == 1


def test_the_binary_measure_takes_f_from_the_means_and_counts_no_objects():
    measure = FBMSMeasure("binary")
    # precision 1, recall 1/2; then precision 1/2, recall 1
    measure.update(torch.tensor([[[2, 0, 0, 0]]]), torch.tensor([[[1, 3, 0, 0]]]))
    measure.update(torch.tensor([[[2, 5, 0, 0]]]), torch.tensor([[[1, 0, 0, 0]]]))
    found = measure.compute()
    assert {name: value.item() for name, value in found.items()} == {
        "precision": 0.75,
        "recall": 0.75,
        "f_measure": 0.75,
    }


def test_table_6_has_the_mean_of_the_official_f():
    # F 2/3 and F 1, but 2PR/(P+R) of the mean precision 1 and the mean recall 3/4 is 6/7
    target = torch.tensor([[[1, 1, 1, 1]]])
    videos = [(torch.tensor([[[1, 1, 0, 0]]]), target), (target, target)]
    found = {}
    for rule in ("mean", "harmonic", None):
        measure = FBMSMeasure("binary", f_rule=rule)
        for video in videos:
            measure.update(*video)
        found[rule] = measure.compute()["f_measure"].item()
    assert found == {"mean": pytest.approx(5 / 6), "harmonic": pytest.approx(6 / 7), None: found["harmonic"]}


@pytest.mark.parametrize(
    ("variant", "rule"), [("official", "harmonic"), ("binary", "harmonic"), ("proposed", "mean")]
)
def test_every_variant_has_its_rule_of_f_unless_told_otherwise(variant, rule):
    assert FBMSMeasure(variant).f_rule == rule
    assert {FBMSMeasure(variant, f_rule=each).f_rule for each in ("harmonic", "mean")} == {"harmonic", "mean"}


def test_an_unknown_rule_of_f_is_refused():
    with pytest.raises(ValueError, match="f_rule must be one of harmonic, mean, got 'median'"):
        FBMSMeasure("official", f_rule="median")


def test_the_background_may_have_another_id_or_be_inferred():
    pred, target = torch.tensor([[[7, 7, 7, 1]]]), torch.tensor([[[0, 0, 0, 1]]])
    for background in (7, "infer"):
        measure, counts = FBMSMeasure(background=background), ObjectCountError(background)
        measure.update(pred, target)
        counts.update(pred, target)
        assert measure.compute()["f_measure"] == 1
        assert counts.compute()["delta_obj"] == 0
    assert fbms_measure(pred, target)["precision"] == 0.25
    assert object_count_error(pred, target) == 1


IDS = arrays(np.uint8, (2, 3, 4), elements=st.integers(0, 3))


@settings(max_examples=50)
@given(IDS, IDS)
def test_values_are_fractions(pred, target):
    for variant in ("official", "proposed", "binary"):
        found = fbms_measure(torch.from_numpy(pred), torch.from_numpy(target), variant=variant)
        assert all(0 <= found[key] <= 1 + 1e-12 for key in ("precision", "recall", "f_measure"))


@settings(max_examples=30)
@given(IDS.filter(lambda ids: ids.any()))
def test_the_truth_itself_scores_one(ids):
    for variant in ("official", "proposed"):
        found = fbms_measure(torch.from_numpy(ids), torch.from_numpy(ids), variant=variant)
        assert found["f_measure"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("pred", "target", "message"),
    [
        (torch.zeros(1, 2, 2), torch.zeros(1, 2, 2, dtype=torch.uint8), "integer ids"),
        (torch.zeros(2, 2, dtype=torch.uint8), torch.zeros(2, 2, dtype=torch.uint8), "integer ids"),
        (
            torch.zeros(1, 2, 2, dtype=torch.uint8),
            torch.zeros(1, 2, 3, dtype=torch.uint8),
            "sizes must agree",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(pred, target, message):
    with pytest.raises(ValueError, match=message):
        fbms_measure(pred, target)


def test_masks_must_fit_the_ids():
    ids = torch.zeros(1, 2, 2, dtype=torch.uint8)
    with pytest.raises(ValueError, match="void must be"):
        fbms_measure(ids, ids, void=ids)
    with pytest.raises(ValueError, match=r"uncovered has shape \(1, 2, 3\), pred_ids has \(1, 2, 2\)"):
        fbms_measure(ids, ids, uncovered=torch.zeros(1, 2, 3, dtype=torch.bool))


def test_an_unknown_variant_is_refused():
    with pytest.raises(ValueError, match="variant must be"):
        FBMSMeasure("ours")
