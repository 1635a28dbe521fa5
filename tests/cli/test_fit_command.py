"""`vosbench fit` before it trains: help, configuration, cheap refusals."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from vosbench.composition import compose_fit, group_options


def test_help_lists_methods_stages_recipes_data_sets_and_keys(run):
    status, out, _ = run("fit", "--help")
    assert status == 0
    assert "model=stcnn stage=temporal|spatial|joint|all recipe=stcnn|stcnn_lite|stcnn_tiny\n" in out
    for group in ("model", "recipe", "data"):
        for option in group_options(group):
            assert option in out
    assert "recipe.STAGE.optimizer.lr=X" in out
    assert "logger=csv" in out


def test_the_configuration_is_printed_with_the_source_of_each_value(run):
    words = ("model=stcnn", "stage=spatial", "recipe.spatial.optimizer.lr=0.1", "data.scale=0.5")
    status, out, err = run("fit", *words, "--cfg")
    assert status == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert "lr: 0.1 # command line, recipe/stcnn.yaml:37 has 0.001" in lines
    assert "weight_decay: 0.0005 # recipe/stcnn.yaml:39 released code" in lines
    assert "epoch_length: 8000 # recipe/stcnn.yaml:27 [ours] 1000 iterations" in lines
    assert "mirror: 0.5 # recipe/stcnn.yaml:34 section 3.3" in lines
    assert "accumulate: 1 # default" in lines
    assert lines.count("scale: 0.5 # command line, data/sbd.yaml:6 has 1.0") == 1
    assert "precision: 32-true # configs/fit.yaml:27" in lines
    # what is missing is said, and what is there can still be read
    assert err.startswith("note: no folders data/msra10k, data/voc2012 (stage spatial)")


def test_the_printed_configuration_is_the_one_that_is_trained_with(run):
    words = ["model=mpnet", "stage=all", "trainer.max_time=00:01:00:00", "recipe.C.data=[davis16,ft3d]"]
    _, out, _ = run("fit", *words, "callbacks=[{class: EarlyStopping, monitor: val/J}]", "--cfg")
    printed = yaml.safe_load(out)
    config = compose_fit(words)
    assert [*printed["recipe"]] == ["A", "B", "C"]
    assert printed["recipe"]["B"]["optimizer"] == vars(config.recipe["B"].optimizer)
    assert printed["trainer"] == config.trainer
    assert printed["model"] == config.model
    assert printed["callbacks"] == [{"class": "EarlyStopping", "monitor": "val/J"}]
    assert [each["name"] for each in printed["data"]] == ["ft3d", "fusionseg_vid", "davis16"]


def test_the_example_of_the_readme_is_what_is_printed(run):
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    block = text[text.index("$ vosbench fit model=stcnn stage=joint") :].partition("```")[0].splitlines()
    _, out, _ = run(*block[0].split()[2:])
    assert [line for line in block[1:] if line != "..."]
    assert all(line in out.splitlines() for line in block[1:] if line != "...")


HEAVY = {"torch", "torchvision", "pytorch_lightning", "torchmetrics", "scipy"}
LIGHT = [
    ["model=stcnn"],
    ["model=stcnn", "stage=all"],
    ["model=stcnn", "--cfg"],
    ["--help"],
    ["model=stcnn", "lr=0.1"],
    ["model=stcnn", "trainer.gpus=8"],
    ["model=stcnn", "recipe=mpnet"],
    ["model=stcnn", "init=nowhere.ckpt", "data.edition=mini"],
    ["model=stcnn", "size=medium"],
]


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """What commands imported that takes long, one after the other in one new process."""
    script = (
        "import json, os, sys; from vosbench import cli\n"
        "printed, sys.stdout = sys.stdout, open(os.devnull, 'w')\n"
        "found = []\n"
        f"for words in {LIGHT!r}:\n"
        "    sys.argv = ['vosbench', 'fit', *words]\n"
        "    try: cli.main()\n"
        "    except SystemExit as left: status = left.code\n"
        f"    found.append([status, sorted({HEAVY!r} & set(sys.modules))])\n"
        "print(json.dumps(found), file=printed)"
    )
    folder = tmp_path_factory.mktemp("empty")
    done = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("words", LIGHT, ids=" ".join)
def test_what_can_be_known_without_pytorch_is_said_without_it(words, imported):
    """Importing PyTorch and Lightning takes 8 seconds of processor time."""
    status, heavy = imported[LIGHT.index(words)]
    assert heavy == []
    assert (status or 0) == (0 if words[-1].startswith("--") else 2)


def test_every_data_set_of_the_stages_is_named_with_the_way_to_get_it(run):
    status, out, err = run("fit", "model=stcnn", "stage=all", "data_root=sets")
    assert (status, out, err.count("\n")) == (2, "", 1)
    folders = "sets/ilsvrc_vid, sets/msra10k, sets/voc2012, sets/davis16"
    assert f"no folders {folders} (stage temporal, spatial, joint)" in err
    assert "'vosbench data download msra10k voc2012 davis16 --data-root sets'" in err
    assert "'vosbench data list ilsvrc_vid' says where to ask for ilsvrc_vid" in err
    assert "data.edition=mini" in err
    _, _, err = run("fit", "model=mpnet", "stage=B")
    assert "'vosbench data prepare fusionseg_vid' makes fusionseg_vid of ilsvrc_vid" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("size=medium",), "unknown size 'medium': choose from full, lite, tiny"),
        (
            ("init=nowhere.ckpt", "data.edition=mini"),
            "init: no weights file nowhere.ckpt; the weights of the package are init=zoo",
        ),
        (("monitor=train/loss",), "monitor=train/loss: write a value of the validation, e.g. monitor=val/J"),
    ],
)
def test_mistakes_are_one_line(run, words, message):
    status, out, err = run("fit", "model=stcnn", *words)
    assert (status, out, err) == (2, "", f"vosbench: {message}\n")


def test_a_method_in_a_file_says_what_is_waited_for_before_pytorch_is_imported(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import sys\nprint('torch' in sys.modules, file=sys.stderr)\nimport nowhere\n"
    )
    words = ["vosbench", "fit", "model=mine.py:Mine"]
    script = f"import sys; from vosbench import cli; sys.argv = {words}; cli.main()"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    first, torch_is_there, last = done.stderr.splitlines()
    assert (first, torch_is_there) == ("fit: importing mine.py:Mine", "False")
    assert "No module named 'nowhere' (mine.py, line 3)" in last


def test_several_data_sets_are_downloaded_in_one_command_a_slip_before_the_first(run):
    status, out, err = run("data", "download", "davis16", "davis71")
    assert (status, out) == (2, "")
    assert "unknown data set 'davis71': did you mean davis17" in err


def test_a_folder_is_taken_by_its_bare_name_an_unknown_name_is_refused(run, tmp_path):
    for folder in ("JPEGImages/boat", "Annotations/boat"):
        (tmp_path / "clips" / folder).mkdir(parents=True)
    words = "fit", "model=mpnet", "--cfg", "--dataset"
    bare, path = run(*words, "clips"), run(*words, "./clips")
    assert bare == path
    assert str(tmp_path / "clips") in bare[1]
    status, out, err = run(*words, "clip")
    assert (status, out) == (2, "")
    assert "unknown data set 'clip'" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("model=mpnet", "model=lvo"), "model=mpnet and model=lvo: model is given twice; write it once"),
        (("model=mpnet", "+seed=1", "seed=2"), "+seed=1 and seed=2: seed is given twice; write it once"),
    ],
)
def test_a_key_that_is_given_twice_is_refused(run, words, message):
    status, out, err = run("fit", *words, "--cfg")
    assert (status, out, err) == (2, "", f"vosbench: fit: {message}\n")
