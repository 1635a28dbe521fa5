"""Numbers published of DAVIS 2016 val: brought together as their authors did, and computed again."""

import csv
import importlib.util
import math
from collections import defaultdict
from pathlib import Path

import pytest

from vosbench.data.download.download import problem_of
from vosbench.evaluation import score
from vosbench.leaderboard.published import load_published
from vosbench.metrics.kernels.statistics import sequence_statistics
from vosbench.metrics.kernels.temporal import T_SCALE
from vosbench.scoring.protocol import load_protocol
from vosbench.scoring.sequence import SequenceScore, overall

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


AUTHORS = {"LVO": "lvo17", "FSEG": "fseg", "LSMO": "lsmo", "OSVOS": "osvos"}
"""Folder of the masks on the web page of DAVIS -> the method whose values were computed from them."""

THIRD_PARTY = Path(__file__).parents[2] / "leaderboards" / "third_party"


def site_masks():
    """Name on the web page of DAVIS -> the source of its masks."""
    spec = importlib.util.spec_from_file_location("third_party_masks", THIRD_PARTY / "masks.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script.MASKS


def assert_frames_are_published(root, masks, method):
    """Score masks; J and F of all 1336 frames, of sequences and of val have to be the published ones."""
    published = {
        record.sequence: record
        for record in load_published()
        if (record.dataset, record.model) == ("davis16", method)
    }
    protocol = next(iter(published.values())).protocol
    found = score(masks, "davis16", data_root=root, protocol=protocol, metrics=("j", "f"), workers=2)
    compared = 0
    for sequence, record in published.items():
        ours = found.sequences[sequence]
        for letter in "JF":
            digits = [f"{value:.3f}" for value in ours.per_frame[letter]]
            assert digits == [f"{value:.3f}" for value in record.per_frame[letter]], (sequence, letter)
            compared += len(digits)
        for name in ("J_mean", "F_mean", "J_decay", "F_decay"):
            assert ours.values[name] == pytest.approx(record.values[name], abs=5e-4), (sequence, name)
    assert compared == 2 * 1336
    table = record.provenance["reported"]["table"]
    for name in NAMES[:6]:
        # the table is printed with three decimals
        assert f"{found.overall[name] + 0.0:.3f}".replace("-0.000", "0.000") == f"{table[name]:.3f}", name


@pytest.mark.slow
@pytest.mark.parametrize("name", AUTHORS)
def test_masks_of_the_authors_have_the_published_value_on_every_frame(real_data, name):
    root = real_data(f"davis16_results/{name}")
    real_data("davis16")
    assert_frames_are_published(root, root / "davis16_results" / name, AUTHORS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", site_masks())
def test_zips_of_the_web_page_have_the_published_value_on_every_frame(real_data, name):
    root = real_data("davis16_zips")
    real_data("davis16")
    masks = root / "davis16_zips" / f"{name}.zip"
    assert problem_of(masks, site_masks()[name]) == ""
    assert_frames_are_published(root, masks, {"lvo": "lvo17"}.get(name, name))
