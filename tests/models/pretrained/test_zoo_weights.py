"""The weights that come with the package: where they come from, and that they find what moves."""

import math
import re
from pathlib import Path

import pytest
import torch
import yaml

from vosbench.benchmark import compare
from vosbench.data import open_dataset
from vosbench.data.mini import write_mini
from vosbench.evaluation.statistics import compare as compare_rows
from vosbench.flow.cache import attach_flow
from vosbench.flow.estimators import DIS
from vosbench.method import Method
from vosbench.metrics.functional import region_similarity
from vosbench.metrics.kernels.aggregation import Aggregation
from vosbench.models import METHODS
from vosbench.models.pretrained.zoo import WEIGHTS, load_method, shipped, trainings

PLANS = Path(__file__).parents[3] / "benchmarks" / "zoo"
NAMES = [path.stem.removesuffix("-tiny") for path in sorted(WEIGHTS.glob("*.safetensors"))]
TRIVIAL = ("centre_box", "all_foreground", "flow_threshold")
GIVEN = ("lip", "stcnn")
"""Methods that are given the first mask and learn it, which takes seconds per video."""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Five short rendered videos that nobody trained on, with flow."""
    root = tmp_path_factory.mktemp("scenes")
    write_mini("davis16", root, seed=11, scenes=5, frames=6)
    return [attach_flow(video, DIS(), None) for video in open_dataset("davis16", root)]


def overlaps(name, videos):
    method, _ = load_method(name)
    for video in videos:
        found = method.segment(video, video.annotations[0]).stack()
        for t in range(1, len(video) - 1):
            yield region_similarity(
                torch.from_numpy(found[t] > 0)[None], torch.from_numpy(video.annotations[t] > 0)[None]
            ).item()


def mean(values):
    values = list(values)
    return math.fsum(values) / len(values)


@pytest.fixture(scope="module")
def best_trivial(scenes):
    return max(mean(overlaps(name, scenes)) for name in TRIVIAL)


def test_every_method_has_weights_and_all_are_small():
    assert set(METHODS) == set(NAMES)
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) <= 30e6


def test_the_hashes_are_those_that_were_written_down():
    assert [told["name"] for told in shipped()] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_provenance_says_how_the_weights_were_made(name):
    told = next(each for each in shipped() if each["name"] == name)
    training = told["training"]
    assert told["size"] == "tiny"
    assert training["command"]
    assert training["data"]["edition"] == "mini"
    assert training["data"]["seed"] != 0, "the scenes of seed 0 are tested on"
    assert training["steps"] > 0
    assert re.fullmatch("[0-9a-f]{40}", training.get("git_commit") or training["git"]["commit"])
    assert training["measured"]


@pytest.mark.parametrize("name", NAMES)
def test_provenance_says_what_the_weights_were_selected_on(name):
    """What the plan of the zoo says; of real videos with their names, so that the leak check knows them."""
    told = next(each for each in shipped() if each["name"] == name)["training"]["selection"]
    plan = yaml.safe_load((PLANS / f"{name}.yaml").read_text())
    assert [each for each in plan.get("selection", []) if each not in told] == []
    for each in told:
        assert each["edition"] in ("official", "mini")
        assert each.get("how") or each.get("monitor")
        assert bool(each.get("sequences")) == (each["edition"] == "official")


def test_lvo_holds_the_motion_network_of_the_package_and_says_so():
    (part,) = trainings()[load_method("lvo")[1]["sha256"]]["parts"]
    mpnet = load_method("mpnet")[1]
    assert (part["key"], part["sha256"]) == ("motion_weights", mpnet["sha256"])
    assert part["training"]["selection"] == mpnet["training"]["selection"]


@pytest.mark.parametrize("name", NAMES)
def test_weights_fit_the_network_they_name(name):
    method, provenance = load_method(name)
    assert isinstance(method, Method)
    assert all(torch.isfinite(value).all() for value in method.state_dict().values())
    assert provenance["weights"] == f"{name}-tiny.safetensors"


@pytest.mark.parametrize("name", [name for name in NAMES if name not in GIVEN])
def test_what_moves_is_found(name, scenes, best_trivial):
    """On short rendered videos better than a box in the centre, everything, and fast pixels."""
    assert mean(overlaps(name, scenes)) > best_trivial


@pytest.mark.slow
@pytest.mark.parametrize("name", GIVEN)
def test_what_is_given_is_followed(name, scenes, best_trivial):
    assert mean(overlaps(name, scenes)) > best_trivial


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in NAMES if name not in GIVEN])
@pytest.mark.parametrize("blind", ["centre_box", "all_foreground"])
def test_weights_beat_blind_methods_beyond_chance(name, blind, tmp_path):
    """On twenty rendered videos, in pairs: the whole interval of the difference is above zero."""
    write_mini("davis16", tmp_path, seed=12, scenes=20)
    result = compare(
        models=[name, blind], datasets=["davis16"], data_root=tmp_path, out=tmp_path / "out", metrics=["j"]
    )
    assert not result.failures
    rows = {model: {} for model in (name, blind)}
    for record in result.records:
        rows[record.model][record.sequence] = record.values
    found = compare_rows(rows[name], rows[blind], Aggregation("mean", ("J_mean",)))
    assert found.interval.low > 0
