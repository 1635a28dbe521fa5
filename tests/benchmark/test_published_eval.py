"""The authors' own per-frame numbers of 21 methods on DAVIS 2016 val, brought together as they did."""

import csv
import math
from collections import defaultdict

import pytest

from vosbench.benchmark.evaluate import SequenceScore, overall
from vosbench.benchmark.protocols import load_protocol
from vosbench.metrics.kernels.statistics import sequence_statistics
from vosbench.metrics.kernels.temporal import T_SCALE

pytestmark = pytest.mark.real_data

NAMES = ("J_mean", "J_recall", "J_decay", "F_mean", "F_recall", "F_decay", "T_mean")


@pytest.fixture
def published(real_data):
    folder = real_data("davis16_published_eval") / "davis16_published_eval"

    def read(name):
        with (folder / f"{name}.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    return read


@pytest.fixture
def frames(published):
    """(method, measure, sequence) -> values in frame order."""
    series = defaultdict(list)
    for row in published("per_frame"):
        # pairs are stored before the factor that makes them T
        scale = T_SCALE if row["measure"] == "T" else 1.0
        series[row["method"], row["measure"], row["sequence"]].append(scale * float(row["value"]))
    return series


def test_statistics_of_every_sequence(published, frames):
    checked = 0
    for row in published("per_sequence"):
        found = sequence_statistics(frames[row["method"], row["measure"], row["sequence"]])
        # T has no more than a mean
        wanted = {name: float(row[name]) for name in ("mean", "recall", "decay") if row[name]}
        assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=6e-6, nan_ok=True), row
        checked += len(wanted)
    assert checked >= 21 * 20 * (3 + 3 + 1)


def test_the_published_table(published, frames):
    sequences = {sequence for _, _, sequence in frames}
    for row in published("table"):
        scores = {}
        for sequence in sequences:
            values = {}
            for measure in "JFT":
                if (row["method"], measure, sequence) in frames:
                    found = sequence_statistics(frames[row["method"], measure, sequence])
                    values |= {f"{measure}_{name}": value for name, value in found.items()}
            scores[sequence] = SequenceScore(values)
        found = overall(scores, load_protocol("davis16-unsupervised"))
        for name in NAMES:
            column = "T_mean_stable10" if name == "T_mean" else name
            if row.get(column):
                wanted = float(row[column])
                assert found[name] == pytest.approx(wanted, abs=6e-4) or math.isnan(wanted), (
                    row["method"],
                    name,
                )


@pytest.mark.parametrize(
    ("method", "value"), [("osvos", 0.378), ("nlc", 0.425), ("cut", 0.277), ("gt", 0.088)]
)
def test_t_leaves_out_ten_sequences(frames, method, value):
    counted = load_protocol("davis16-unsupervised").stability_sequences
    means = [sequence_statistics(frames[method, "T", sequence])["mean"] for sequence in counted]
    assert sum(means) / len(means) == pytest.approx(value, abs=5e-4)
