"""The weights that come with the package: where they come from, and that they find what moves."""

import json
import math
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from safetensors import safe_open

from vosbench.benchmark import compare
from vosbench.benchmark.leakage import leaks
from vosbench.data import open_dataset
from vosbench.data.mini import write_mini
from vosbench.data.splits import shipped_split
from vosbench.evaluation.statistics import compare as compare_rows
from vosbench.flow.cache import attach_flow
from vosbench.flow.estimators import DIS
from vosbench.method import Method
from vosbench.metrics.functional import region_similarity
from vosbench.metrics.kernels.aggregation import Aggregation
from vosbench.models import METHODS
from vosbench.models.pretrained.zoo import WEIGHTS, load_method, shipped, trainings
from vosbench.tensor_files import SHARED

PLANS = Path(__file__).parents[3] / "benchmarks" / "zoo"
SHIPPED = {item["name"]: item for item in shipped()}
NAMES = list(SHIPPED)
REAL = [name for name in NAMES if "official" in SHIPPED[name]["training"]["data"]["edition"]]
RENDERED = [name for name in NAMES if name not in REAL]
TRIVIAL = ("centre_box", "all_foreground", "flow_threshold")
GIVEN = ("lip", "stcnn")
"""Methods that are given the first mask and learn it, which takes seconds per video."""


def beats_trivial_methods(name):
    """Return whether J is above that of trivial methods on each rendered world that was measured."""
    worlds = [values for title, values in SHIPPED[name]["training"]["measured"].items() if "-mini" in title]
    return all(
        world[name]["J_mean"] > max(other["J_mean"] for key, other in world.items() if key != name)
        for world in worlds
    )


ABOVE = [name for name in NAMES if beats_trivial_methods(name)]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Five short rendered videos that nobody trained on, with flow."""
    root = tmp_path_factory.mktemp("scenes")
    write_mini("davis16", root, seed=11, scenes=5, frames=4)
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


def test_every_method_has_weights_of_one_size_and_all_are_small():
    assert sorted(METHODS) == sorted(path.stem.rpartition("-")[0] for path in WEIGHTS.glob("*.safetensors"))
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) <= 31e6


@pytest.mark.parametrize("name", NAMES)
def test_provenance_says_how_the_weights_were_made(name):
    training = SHIPPED[name]["training"]
    assert training["command"]
    assert training["steps"] > 0
    assert re.fullmatch("[0-9a-f]{40}", training.get("git_commit") or training["git"]["commit"])
    assert training["measured"]


def plan_of(name):
    named = re.search(r"benchmarks/zoo/(\w+\.yaml)", SHIPPED[name]["training"]["command"])
    return yaml.safe_load((PLANS / (named[1] if named else f"{name}.yaml")).read_text())


@pytest.mark.parametrize("name", RENDERED)
def test_weights_of_rendered_scenes_have_not_seen_those_that_are_tested_on(name):
    data = SHIPPED[name]["training"]["data"]
    assert data["edition"] == "mini"
    assert data["seed"] != 0, "the scenes of seed 0 are tested on"


@pytest.mark.parametrize("name", REAL)
def test_weights_of_real_video_have_not_seen_the_held_out_sequences_and_were_chosen_on_them(name):
    training = SHIPPED[name]["training"]
    held_out = set(shipped_split("davis16_held_out"))
    data = list(data_of(training))
    assert {item for each in data for item in each["name"].split(", ")} >= set(plan_of(name)["real"])
    for each in data:
        assert set(each.get("sequences", ())) <= set(shipped_split("davis16_train")) - held_out
        assert each.get("world", each).get("seed") != 0
    assert any(
        set(selection.get("sequences", ())) == held_out and selection["split"] == "train"
        for selection in training["selection"]
    )


def data_of(training):
    """Yield the data of a training and of its parts, as far as they are known."""
    if "data" in training:
        yield training["data"]
    for part in training.get("parts", ()):
        yield from data_of(part["training"])


@pytest.mark.parametrize("name", REAL)
def test_weights_of_real_video_are_better_than_trivial_methods_on_held_out_sequences(name):
    """As measured when they were made; with the flow of each estimator that is named."""
    measured = SHIPPED[name]["training"]["measured"]
    worlds = {title: values for title, values in measured.items() if "held out" in title}
    assert worlds
    for values in worlds.values():
        own = values[name]
        assert set(own["J_mean_by_sequence"]) == set(shipped_split("davis16_held_out"))
        assert own["J_mean"] > max(other["J_mean"] for key, other in values.items() if key != name)


@pytest.mark.parametrize("name", NAMES)
def test_provenance_says_what_the_weights_were_selected_on(name):
    """What the plan of the zoo says; of real videos with their names, so that the leak check knows them."""
    selection = SHIPPED[name]["training"]["selection"]
    assert [item for item in plan_of(name).get("selection", []) if item not in selection] == []
    for item in selection:
        assert item["edition"] in ("official", "mini")
        assert item.get("how") or item.get("monitor")
        assert item.get("sequences") or item["edition"] == "mini"


def test_lvo_holds_the_motion_network_of_the_package_and_says_so():
    mpnet, provenance = load_method("mpnet")
    lvo, own = load_method("lvo")
    parts = {part["sha256"]: part for part in trainings()[own["sha256"]]["parts"]}
    assert parts[provenance["sha256"]]["training"]["selection"] == provenance["training"]["selection"]
    for key, value in mpnet.network.state_dict().items():
        assert torch.equal(lvo.network.motion.state_dict()[key], value)


@pytest.mark.parametrize("name", NAMES)
def test_files_that_hold_tensors_of_a_method_are_among_its_parts(name):
    path = WEIGHTS / load_method(name)[1]["weights"]
    with safe_open(path, framework="pt") as file:
        bases = json.loads((file.metadata() or {}).get(SHARED, "[]"))
    parts = {part["sha256"] for part in SHIPPED[name]["training"].get("parts", ())}
    assert {base["sha256"] for base in bases} <= parts


@pytest.mark.parametrize("name", REAL)
def test_scores_on_davis_2016_train_are_leaks_and_those_on_val_are_none_of_its_own(name):
    """`compare` and `leaderboard check` say so of every sequence of train, by the hash of the weights."""
    sha = load_method(name)[1]["sha256"]

    def found(split):
        """Return the leaks of weights that are scored on a split, those of their parts left out."""
        about = {
            "model": name,
            "size": SHIPPED[name]["size"],
            "dataset": "davis16",
            "edition": "official",
            "protocol": "davis16-unsupervised",
            "provenance": {"weights": {"sha256": sha}},
        }
        records = [SimpleNamespace(sequence=sequence, **about) for sequence in shipped_split(split)]
        return [leak for leak in leaks(records, trainings()) if not leak.through]

    trained, *selected = sorted(found("davis16_train"), key=lambda leak: leak.kind, reverse=True)
    assert [trained.kind, *{leak.kind for leak in selected}] == ["trained on", "selected on"]
    held_out = set(shipped_split("davis16_held_out"))
    assert set(trained.sequences) == set(shipped_split("davis16_train")) - held_out
    stated = [item for item in plan_of(name).get("selection", []) if item["edition"] == "official"]
    named = {
        frozenset(held_out),
        *(frozenset(item["sequences"]) for item in stated if item["split"] == "train"),
    }
    assert {frozenset(leak.sequences) for leak in selected} == named
    assert bool(found("davis16_val")) == any(item["split"] == "val" for item in stated)


@pytest.mark.parametrize("name", NAMES)
def test_weights_fit_the_network_they_name(name):
    method, provenance = load_method(name)
    assert isinstance(method, Method)
    assert all(torch.isfinite(value).all() for value in method.state_dict().values())
    assert provenance["weights"] == f"{name}-{provenance['size']}.safetensors"


@pytest.mark.parametrize("name", [name for name in ABOVE if name not in GIVEN])
def test_what_moves_is_found(name, scenes, best_trivial):
    """On short rendered videos better than a box in the centre, everything, and fast pixels."""
    assert mean(overlaps(name, scenes)) > best_trivial


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ABOVE if name in GIVEN])
def test_what_is_given_is_followed(name, scenes, best_trivial):
    assert mean(overlaps(name, scenes)) > best_trivial


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ABOVE if name not in GIVEN])
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
