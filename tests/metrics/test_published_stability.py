"""T as the DAVIS authors published it: their MATLAB values of every pair of frames of DAVIS 2016 val."""

import csv
from collections import defaultdict

import numpy as np
import pytest
from PIL import Image

from vosbench.evaluation import score
from vosbench.metrics.kernels.temporal import PairValues
from vosbench.scoring.protocol import load_protocol

pytestmark = pytest.mark.real_data

STABLE = load_protocol("davis16-matlab").stability_sequences


@pytest.fixture
def masks(real_data):
    root = real_data("davis16_results")

    def read(method, sequence):
        truth = sorted((root / "davis16/Annotations/480p" / sequence).glob("*.png"))
        folder = truth[0].parent if method == "gt" else root / "davis16_results/OSVOS" / sequence
        # frame 0 is the ground truth; the last frame is not evaluated
        paths = [truth[0], *(folder / path.name for path in truth[1:-1])]
        return [np.asarray(Image.open(path)) > 0 for path in paths]

    return read


@pytest.fixture
def published(real_data):
    """(method, sequence) -> raw values of pairs, of six decimals."""
    path = real_data("davis16_published_eval") / "davis16_published_eval" / "per_frame.csv"
    values = defaultdict(list)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            if row["measure"] == "T":
                values[row["method"], row["sequence"]].append(float(row["value"]))
    return values


def check(masks, expected):
    pairs = PairValues("matlab")
    for mask in masks:
        pairs.add(mask)
    assert pairs.values == pytest.approx(expected, abs=5.1e-7, nan_ok=True)
    assert np.isfinite(expected).any()


@pytest.mark.parametrize(
    ("method", "sequence", "pairs"),
    [
        ("gt", "car-shadow", slice(None)),
        ("osvos", "car-shadow", slice(None)),
        ("gt", "goat", slice(0, 8)),  # curves that touch
        ("osvos", "libby", slice(19, 23)),  # three curves with most vertices
        ("osvos", "scooter-black", slice(31, 34)),  # two, in another order
    ],
)
def test_every_pair_of_some_frames(masks, published, method, sequence, pairs):
    expected = published[method, sequence][pairs]
    first = pairs.start or 0
    check(masks(method, sequence)[first : first + len(expected) + 1], expected)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["gt", "osvos"])
def test_every_pair_of_every_sequence(masks, published, method):
    sequences = [sequence for name, sequence in published if name == method]
    assert sum(len(published[method, sequence]) for sequence in sequences) == 1336
    for sequence in sequences:
        expected = published[method, sequence]
        frames = masks(method, sequence)
        assert len(frames) == len(expected) + 1
        check(frames, expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "value"), [("LVO", 0.265), ("FSEG", 0.328), ("LSMO", 0.212), ("OSVOS", 0.378)]
)
def test_t_of_the_printed_tables(real_data, method, value):
    root = real_data("davis16_results")
    found = score(
        root / "davis16_results" / method,
        "davis16",
        protocol="davis16-matlab",
        metrics=("t",),
        data_root=root,
        sequences=STABLE,
    )
    assert found.overall["T_mean"] == pytest.approx(value, abs=5e-4)
