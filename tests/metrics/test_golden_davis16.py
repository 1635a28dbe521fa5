"""Parity with the released evaluations on corruptions of real ground truth (DAVIS 2016, first ten of val).

Set p7 of the golden file is not here: it needs optical flow contour maps.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vosbench.metrics import ContourAccuracy, RegionSimilarity, TemporalStability

pytestmark = pytest.mark.real_data

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "davis16_dev.json").read_text())
CONVENTIONS = {"davis16": "inner", "davis17_unsupervised": "all"}
PREDICTIONS = ["p1", "p2", "p3", "p4", "p5", "p6"]
SEQUENCES = sorted(GOLDEN["ground_truth_T"])


@pytest.fixture
def ground_truth(real_data):
    root = real_data("davis16") / "davis16" / "Annotations" / "480p"

    def read(sequence):
        return np.stack(
            [np.asarray(Image.open(path)) > 0 for path in sorted((root / sequence).glob("*.png"))]
        )

    return read


def check_overlap(masks, prediction, expected):
    pred, target = torch.from_numpy(prediction).byte(), torch.from_numpy(masks).byte()
    for convention, frames in CONVENTIONS.items():
        for measure in (RegionSimilarity(frames=frames), ContourAccuracy(frames=frames)):
            measure.update(pred, target)
            for name, value in measure.compute().items():
                assert value.item() == pytest.approx(expected[convention][name], abs=1e-9), (convention, name)


def stability(prediction):
    measure = TemporalStability()
    ids = torch.from_numpy(prediction).byte()
    measure.update(ids, ids)
    return measure.compute()["T_mean"].item()


def golden(name, sequence):
    return GOLDEN["predictions"][name]["sequences"][sequence]


@pytest.mark.parametrize("name", PREDICTIONS)
def test_j_and_f_of_a_short_sequence(ground_truth, corrupt, name):
    masks = ground_truth("car-shadow")
    check_overlap(masks, corrupt(masks, name, "car-shadow"), golden(name, "car-shadow"))


@pytest.mark.slow
@pytest.mark.parametrize("sequence", SEQUENCES)
def test_j_and_f_of_every_sequence(ground_truth, corrupt, sequence):
    masks = ground_truth(sequence)
    for name in PREDICTIONS:
        check_overlap(masks, corrupt(masks, name, sequence), golden(name, sequence))


@pytest.mark.parametrize("sequence", ["car-shadow"])
def test_t_of_a_short_sequence(ground_truth, corrupt, sequence):
    masks = ground_truth(sequence)
    assert stability(masks) == pytest.approx(GOLDEN["ground_truth_T"][sequence], rel=1e-9)
    expected = golden("p1", sequence)["davis16"]["T"]
    assert stability(corrupt(masks, "p1", sequence)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("sequence", SEQUENCES)
def test_t_of_every_sequence(ground_truth, corrupt, sequence):
    masks = ground_truth(sequence)
    for name in PREDICTIONS:
        expected = golden(name, sequence)["davis16"]["T"]
        value = stability(corrupt(masks, name, sequence))
        if expected is None:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(expected, rel=1e-9, abs=1e-12), name
