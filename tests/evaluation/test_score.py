import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import vosbench
from vosbench.data import open_dataset
from vosbench.data.mini import write_mini
from vosbench.errors import InputError
from vosbench.evaluation import Score, compare_scores, score
from vosbench.formats.png import write_ids
from vosbench.metrics.functional import contour_accuracy, region_similarity
from vosbench.scoring.protocol import load_protocol
from vosbench.scoring.sequence import METRIC_VERSION, SequenceScore

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
    promised = ["dataset", "split", "protocol", "sequences", "overall", "intervals"]
    assert list(content)[: len(promised)] == promised
    assert content["dataset"] == "davis16"
    assert content["split"] == "val"
    assert content["protocol"] == "davis16-unsupervised"
    names = {"J_mean", "J_recall", "J_decay", "F_mean", "F_recall", "F_decay"}
    assert set(content["overall"]) == names
    assert content["sequences"]["dog"]["J_mean"] == 1.0
    # all three sequences are perfect: how others would do is not known
    assert content["intervals"]["J_mean"] == [None, None]


def test_json_says_what_the_values_were_taken_from(root, results):
    for t in (1, 4):
        (results / "dog" / f"{t:05}.png").unlink()
    options = {"missing": "empty", "threshold": 0, "sequences": ["dog", "zebra"]}
    found = score(results, "davis16", data_root=root, metrics=METRICS, workers=1, **options)
    content = json.loads(found.to_json())
    assert content["partial"] is True
    assert content["coverage"] == {"scored": ["dog", "zebra"], "of": 3}
    assert content["reading"] == {"missing": "empty", "threshold": 0}
    assert content["rules"]["frames"] == "inner"
    assert content["rules"]["objects"] == "union"
    assert content["versions"] == {
        "vosbench": vosbench.__version__,
        "protocol": load_protocol("davis16-unsupervised").version,
        "metrics": METRIC_VERSION,
    }
    assert content["notes"] == list(found.notes)
    assert "dog: 2 missing frames counted as empty (00001, 00004)" in content["notes"]
    whole = json.loads(score(results, "davis16", data_root=root, workers=1, missing="empty").to_json())
    assert (whole["partial"], whole["coverage"]["of"]) == (False, 3)


def test_the_interval_follows_from_the_spread_of_the_sequences(tmp_path, root, write_results):
    folder = write_results(tmp_path / "half", root)
    for name in ("blackswan", "dog"):
        for file in (folder / name).iterdir():
            Image.fromarray(np.roll(np.asarray(Image.open(file)), 5, axis=1)).save(file)
    found = score(folder, "davis16", data_root=root, metrics=("j",), workers=1)
    # 1/3, 1/3 and 1: mean 5/9, error 2/9, t of two degrees of freedom 4.30265
    middle, half = math.log(5 / 4), 4.30265272975 * 2 / 9 / (5 / 9 * 4 / 9)
    expected = [1 / (1 + math.exp(-end)) for end in (middle - half, middle + half)]
    assert [found.intervals["J_mean"].low, found.intervals["J_mean"].high] == pytest.approx(expected)
    alone = score(folder, "davis16", data_root=root, metrics=("j",), sequences=["dog"], workers=1)
    assert json.loads(alone.to_json())["intervals"]["J_mean"] == [None, None]
    assert (
        "J_mean, J_recall, J_decay: no interval: it takes at least 3 sequences with a value, here 1"
        in alone.notes
    )


def test_two_folders_are_compared_in_pairs(tmp_path, root, results, write_results):
    shifted = write_results(tmp_path / "shifted", root, shift=5)
    better, worse = (
        score(folder, "davis16", data_root=root, metrics=METRICS, workers=1) for folder in (results, shifted)
    )
    pair = compare_scores(better, worse)
    found = pair.comparisons["J_mean"]
    assert (found.difference, found.win_probability) == (pytest.approx(2 / 3), 1.0)
    assert compare_scores(worse, better).comparisons["J_mean"].win_probability == 0.0
    assert compare_scores(worse, worse).comparisons["J_mean"].win_probability == 0.5
    content = json.loads(pair.to_json())
    assert content["second"]["overall"]["J_mean"] == pytest.approx(1 / 3)
    compared = content["comparison"]["J_mean"]
    assert (compared["first"], compared["second"]) == (1.0, pytest.approx(1 / 3))
    # better by the same on every sequence: no spread, no interval
    assert (compared["low"], compared["high"]) == (None, None)
    assert (compared["sequences"], compared["left_out"]) == (["blackswan", "dog", "zebra"], [])


def scored(**t):
    """A score of sequences that count for T, with T as given and J of 0.5."""
    sequences = {
        name: SequenceScore({"J_mean": 0.5, "T_mean": math.nan if value is None else value})
        for name, value in t.items()
    }
    return Score("davis16", "val", "davis16-unsupervised", sequences, {}, {})


def test_t_is_compared_on_the_sequences_where_both_have_one():
    """A method that gives up on a sequence has no T there; the other one's T of it must not count."""
    gives_up = scored(blackswan=0.2, camel=0.3, cows=0.1, soapbox=None)
    does_not = scored(blackswan=0.2, camel=0.2, cows=0.1, soapbox=0.9)
    pair = compare_scores(gives_up, does_not)
    found = pair.comparisons["T_mean"]
    assert (found.first, found.second) == (pytest.approx(0.6 / 3), pytest.approx(0.5 / 3))
    # over different sequences it would have been 0.2 - 0.35
    assert found.difference == pytest.approx(0.1 / 3)
    assert found.win_probability < 0.5
    assert found.left_out == ("soapbox",)
    assert "T_mean: A, B and A - B are without soapbox, where one has no value" in pair.notes
    compared = json.loads(pair.to_json())["comparison"]
    assert (compared["T_mean"]["left_out"], compared["J_mean"]["left_out"]) == (["soapbox"], [])


def test_scores_under_other_rules_are_not_compared(root, results):
    plain, semi = (
        score(results, "davis16", protocol=protocol, data_root=root, metrics=("j",), workers=1)
        for protocol in (None, "davis17-semi-supervised")
    )
    with pytest.raises(InputError, match="the scores differ in protocol"):
        compare_scores(plain, semi)


def test_a_protocol_made_for_other_data_is_refused(root, results):
    with pytest.raises(
        InputError, match="fbms-official is made for fbms, not for davis16; choose from davis16"
    ):
        score(results, "davis16", protocol="fbms-official", data_root=root)


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


@pytest.fixture(scope="module")
def davis17(tmp_path_factory):
    """Miniature DAVIS 2017, whose two sets of annotations label different objects."""
    root = tmp_path_factory.mktemp("davis17")
    write_mini("davis17", root, scenes=1, frames=4, size=(36, 64))
    return root


def write_annotations(folder, root, annotations):
    """Write the ground truth of an annotations as results, void as background."""
    for video in open_dataset("davis17", root, annotations=annotations):
        for index, name in enumerate(video.frame_names):
            ids = video.annotations[index]
            write_ids(folder / video.name / f"{name}.png", np.where(ids == 255, 0, ids).astype(np.uint8))
    return folder


def test_each_task_of_davis17_has_its_own_ground_truth(tmp_path, davis17):
    found = {
        (protocol, annotations): score(
            write_annotations(tmp_path / annotations, davis17, annotations),
            "davis17",
            protocol=f"davis17-{protocol}",
            data_root=davis17,
            workers=1,
        ).overall["JF_mean"]
        for protocol, annotations in (
            ("unsupervised", "unsupervised"),
            ("unsupervised", "semi-supervised"),
            ("semi-supervised", "semi-supervised"),
        )
    }
    assert found["unsupervised", "unsupervised"] == 1.0
    # three objects, one of them in no mask of the other annotations
    assert found["unsupervised", "semi-supervised"] == pytest.approx(2 / 3)
    assert found["semi-supervised", "semi-supervised"] == 1.0


def test_no_other_masks_are_scored_where_those_of_the_unsupervised_annotations_are_missing(tmp_path, davis17):
    results = write_annotations(tmp_path / "results", davis17, "unsupervised")
    shutil.copytree(davis17, tmp_path / "data")
    shutil.rmtree(tmp_path / "data/davis17/Annotations_unsupervised")
    (tmp_path / "data/davis17/MINI.json").unlink()
    with pytest.raises(
        InputError, match=r"Annotations_unsupervised[\\/]480p: no such folder.*; unpack DAVIS-2017-Unsup"
    ):
        score(results, "davis17", protocol="davis17-unsupervised", data_root=tmp_path / "data", workers=1)


def test_davis16_has_one_set_of_masks_whatever_the_protocol(root, results):
    found = score(results, "davis16", protocol="davis17-unsupervised", data_root=root, workers=1)
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
    with pytest.raises(InputError, match=re.escape(str(tmp_path / "nowhere" / "davis16"))):
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


LONG = """
import sys
from pathlib import Path
from vosbench.evaluation import score
root = Path(sys.argv[1])
found = score(root / "masks", "davis16", data_root=root, metrics=("j", "f"), workers=1)
assert "torch" not in sys.modules
print(found.overall["J_mean"], found.overall["F_mean"], found.overall["J_decay"])
# the high-water mark of this program alone; that of getrusage begins with the parent's
print(next(line.split()[1] for line in Path("/proc/self/status").open() if line.startswith("VmHWM")))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read from /proc")
def test_4000_frames_are_scored_in_bounded_memory_to_the_value_of_one_piece(tmp_path):
    length, kinds = 4000, 5
    line = "/JPEGImages/480p/long/{0:05}.jpg /Annotations/480p/long/{0:05}.png"
    folders = [tmp_path / "davis16" / part / "480p/long" for part in ("JPEGImages", "Annotations")]
    folders.append(tmp_path / "masks/long")
    random = np.random.default_rng(0)
    for folder in folders:
        folder.mkdir(parents=True)
    # a few different frames, linked under many names
    truth, masks = np.zeros((2, kinds, 480, 854), np.uint8)
    for kind in range(kinds):
        y, x = random.integers(50, 250, 2)
        truth[kind, y : y + 150, x : x + 200] = 1
        masks[kind, y + 3 * kind : y + 150, x + 9 : x + 220] = 1
        Image.fromarray(truth[kind] * 60).save(folders[0] / f"{kind:05}.jpg")
        Image.fromarray(truth[kind] * 255).save(folders[1] / f"{kind:05}.png")
        Image.fromarray(masks[kind]).save(folders[2] / f"{kind:05}.png")
    order = [*range(kinds), *(min(t * kinds // length, kinds - 1) for t in range(kinds, length))]
    for t in range(kinds, length):
        for folder in folders:
            suffix = ".jpg" if folder is folders[0] else ".png"
            (folder / f"{t:05}{suffix}").hardlink_to(folder / f"{order[t]:05}{suffix}")
    lists = tmp_path / "davis16/ImageSets/480p"
    lists.mkdir(parents=True)
    (lists / "val.txt").write_text("\n".join(line.format(t) for t in range(length)))
    ran = subprocess.run([sys.executable, "-c", LONG, tmp_path], capture_output=True, text=True, check=True)
    values, memory = ran.stdout.splitlines()
    j, f = (
        measure(torch.from_numpy(masks) > 0, torch.from_numpy(truth) > 0)
        for measure in (region_similarity, contour_accuracy)
    )
    inner = torch.tensor(order[1:-1])
    decay = j[inner][:1000].mean() - j[inner][-1000:].mean()
    expected = [j[inner].mean(), f[inner].mean(), decay]
    assert [float(value) for value in values.split()] == pytest.approx([float(e) for e in expected], abs=1e-9)
    assert int(memory) < 300 * 1024


# --- sequences that are not in the split ----------------------------------------------------------


def test_results_of_other_names_are_named(root, results):
    for other in ("dgo", "kite-surf"):
        shutil.copytree(results / "dog", results / other)
    np.save(results / "left.npy", np.zeros((2, 3, 4), bool))
    found = score(results, "davis16", data_root=root, metrics=("j",), workers=1)
    assert "not scored, as no sequence of davis16 val: dgo, kite-surf, left" in found.notes
    shutil.rmtree(results / "dog")
    found = score(
        results, "davis16", data_root=root, metrics=("j",), workers=1, sequences=["blackswan", "zebra"]
    )
    assert "not scored, as no sequence of davis16 val: dgo (is it 'dog'?), kite-surf, left" in found.notes


# --- frames that are not evaluated ----------------------------------------------------------------


def renumbered(folder, step):
    """Move every mask `step` frames on, without the one that is moved out of the video."""
    for sequence in folder.iterdir():
        files = sorted(sequence.iterdir(), reverse=step > 0)
        for file in files:
            file.rename(sequence / f"{int(file.stem) + step:05}.png" if int(file.stem) + step >= 0 else file)
        for file in sequence.glob(f"{len(files):05}.png") if step > 0 else ():
            file.unlink()
    return folder


@pytest.mark.parametrize(("frame", "words"), [(0, "first"), (-1, "last")])
def test_a_frame_that_does_not_count_may_be_missing(root, results, frame, words):
    for sequence in results.iterdir():
        sorted(sequence.iterdir())[frame].unlink()
    found = score(results, "davis16", data_root=root, workers=1)
    assert found.overall["J_mean"] == found.overall["F_mean"] == 1.0
    note = f"all sequences: no mask of the {words} frame, which davis16-unsupervised does not evaluate"
    assert note in found.notes


@pytest.mark.parametrize(
    ("step", "word", "advice"),
    [(1, "previous", r"add -1 to the numbers"), (-1, "next", r"add \+1 to the numbers")],
)
def test_a_missing_frame_hides_no_shifted_numbers(root, results, step, word, advice):
    renumbered(results, step)
    assert {len(list(sequence.iterdir())) for sequence in results.iterdir()} <= {4, 5}
    with pytest.raises(InputError, match=f"ground truth of the {word} frame in 3 of 3 sequences.*{advice}"):
        score(results, "davis16", data_root=root, metrics=("j",), workers=1)
    known = score(results, "davis16", data_root=root, metrics=("j",), workers=1, missing="empty")
    assert (
        f"all sequences: masks agree with the ground truth of the {word} frame: are they numbered right?"
        in (known.notes)
    )


def test_one_sequence_of_many_that_looks_shifted_may_be_the_method(root, results, tmp_path):
    aside = tmp_path / "aside"
    aside.mkdir()
    (results / "dog").rename(aside / "dog")
    renumbered(aside, 1)
    (aside / "dog").rename(results / "dog")
    for name in ("blackswan", "zebra"):
        (results / name / "00000.png").unlink()
    found = score(results, "davis16", data_root=root, metrics=("j",), workers=1)
    assert any(
        note.startswith("dog: masks agree with the ground truth of the previous") for note in found.notes
    )


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("LVO", (0.7587, 0.7212)),
        ("FSEG", (0.7070, 0.6528)),
        ("LSMO", (0.7816, 0.7594)),
        ("OSVOS", (0.7977, 0.8063)),
    ],
)
def test_masks_of_the_authors_score_what_they_are_published_with(real_data, method, expected):
    # those of LVO and LSMO lack the last frame
    root = real_data(f"davis16_results/{method}")
    found = score(root / f"davis16_results/{method}", "davis16", data_root=root, metrics=("j", "f"))
    assert (found.overall["J_mean"], found.overall["F_mean"]) == pytest.approx(expected, abs=5e-5)
