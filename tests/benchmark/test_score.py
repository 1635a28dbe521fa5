import json
import shutil

import numpy as np
import pytest
from PIL import Image

from vosbench.benchmark.score import score
from vosbench.errors import InputError

METRICS = ("j", "f")


@pytest.fixture
def root(tmp_path, make_davis):
    return make_davis(tmp_path / "data")


@pytest.fixture
def results(tmp_path, root, write_results):
    return write_results(tmp_path / "results", root)


def test_perfect_results_score_one(root, results):
    found = score(results, "davis16", data_root=root, workers=1)
    assert set(found.sequences) == {"blackswan", "dog", "zebra"}
    assert found.overall["J_mean"] == found.overall["F_mean"] == 1.0
    assert found.sequences["blackswan"].per_frame["J"] == [1.0] * 4


def test_a_shift_by_hand(tmp_path, root, write_results):
    folder = write_results(tmp_path / "shifted", root, shift=5, foreground=255)
    found = score(folder, "davis16", data_root=root, metrics=("j",), workers=1)
    # two squares of width 10 that overlap by 5 columns
    assert found.overall["J_mean"] == pytest.approx(5 / 15)
    assert "all sequences: 0/255 masks read as background/foreground" in found.notes


def test_json_has_exactly_the_promised_form(root, results):
    content = json.loads(score(results, "davis16", data_root=root, metrics=METRICS, workers=1).to_json())
    assert list(content) == ["dataset", "split", "protocol", "sequences", "overall"]
    assert content["dataset"] == "davis16"
    assert content["split"] == "val"
    assert content["protocol"] == "davis16-unsupervised"
    names = {"J_mean", "J_recall", "J_decay", "F_mean", "F_recall", "F_decay"}
    assert set(content["overall"]) == names
    assert content["sequences"]["dog"]["J_mean"] == 1.0


def test_undefined_values_are_null_in_json(tmp_path, root, results):
    for file in (results / "dog").iterdir():
        Image.fromarray(np.zeros_like(np.asarray(Image.open(file)))).save(file)
    found = score(results, "davis16", data_root=root, metrics=("t",), workers=1)
    assert json.loads(found.to_json())["sequences"]["dog"] == {"T_mean": None}


def test_t_counts_the_listed_sequences_and_says_so(root, results):
    found = score(results, "davis16", data_root=root, metrics=("t",), workers=1)
    assert found.overall["T_mean"] == found.sequences["blackswan"].values["T_mean"]
    assert any("over 1 of 3 sequences" in note for note in found.notes)


def test_other_protocols_can_be_asked_for(root, results):
    found = score(results, "davis16", protocol="davis17-semi-supervised", data_root=root, workers=1)
    assert found.overall["JF_mean"] == 1.0


def test_named_sequences_only(root, results):
    shutil.rmtree(results / "dog")
    with pytest.raises(InputError, match="no results for 1 of 3 sequences: dog"):
        score(results, "davis16", data_root=root, metrics=("j",), workers=1)
    found = score(results, "davis16", data_root=root, metrics=("j",), sequences=["zebra"], workers=1)
    assert list(found.sequences) == ["zebra"]
    assert "partial: 1 of 3 sequences of davis16 val" in found.notes


def test_an_unknown_sequence_is_refused(root, results):
    with pytest.raises(InputError, match="unknown sequence of davis16 val 'zebr': did you mean zebra"):
        score(results, "davis16", data_root=root, sequences=["zebr"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "davis18"}, "unknown protocol"),
        ({"metrics": ("j", "q")}, "metric 'q'"),
        ({"workers": 0}, "workers is 0"),
        ({"missing": "skip"}, "missing is 'skip'"),
        ({"sequences": []}, "no sequence"),
    ],
)
def test_options_out_of_range(root, results, options, message):
    with pytest.raises(InputError, match=message):
        score(results, "davis16", data_root=root, **options)


def test_a_training_set_has_no_protocol_to_score_under(root, results):
    with pytest.raises(InputError, match="ft3d is a training set"):
        score(results, "ft3d", data_root=root)


def test_missing_data_names_the_folder(tmp_path, results):
    with pytest.raises(InputError, match=str(tmp_path / "nowhere" / "davis16")):
        score(results, "davis16", data_root=tmp_path / "nowhere")


def test_processes_give_the_same_and_progress_is_told(root, results):
    calls = []
    options = {"data_root": root, "metrics": METRICS}
    many = score(results, "davis16", workers=2, progress=lambda *now: calls.append(now), **options)
    one = score(results, "davis16", workers=1, **options)
    assert many.to_json() == one.to_json()
    assert [(done, total) for done, total, _ in calls] == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.real_data
def test_car_shadow_of_stm(real_data):
    root = real_data("davis16_results/STM")
    found = score(
        root / "davis16_results" / "STM",
        "davis16",
        data_root=root,
        metrics=METRICS,
        sequences=["car-shadow"],
        workers=1,
    )
    expected = {"J_mean": 0.9680, "F_mean": 0.9972}
    assert {name: round(found.overall[name], 4) for name in expected} == expected


@pytest.mark.slow
@pytest.mark.real_data
def test_stm_scores_what_its_masks_are_known_to_score(real_data):
    """The published values are J 88.7 and F 89.9."""
    root = real_data("davis16_results/STM")
    found = score(root / "davis16_results" / "STM", "davis16", data_root=root, metrics=METRICS)
    assert found.overall["J_mean"] == pytest.approx(0.8867, abs=5e-5)
    assert found.overall["F_mean"] == pytest.approx(0.8986, abs=5e-5)
