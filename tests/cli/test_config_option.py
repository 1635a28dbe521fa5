"""Settings of a run in a file of one's own: `--config` of `fit` and `compare`."""

from dataclasses import asdict
from pathlib import Path

import pytest

from vosbench.composition import group_options, recipes_of, stages_of
from vosbench.config_files import fit_overrides, read_config
from vosbench.errors import InputError
from vosbench.training.run import plan_fit
from vosbench.training.settings import sourced_settings


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Write a file and return its name; the working folder is that of the file."""
    monkeypatch.chdir(tmp_path)

    def write(text, name="mine.yaml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return name

    return write


def lines_of(out):
    return [" ".join(line.split()) for line in out.splitlines()]


FIT = """\
model: mpnet
size: tiny
recipe.A.epochs: 3
trainer: {max_steps: 20}
recipe:
  A:
    optimizer:
      lr: 1e-4
callbacks:
  - class: EarlyStopping
    patience: 5
"""


def test_keys_of_a_file_are_those_of_the_command_line_which_replaces_them(run, config):
    words = ("--config", config(FIT), "recipe=mpnet_tiny", "recipe.A.epochs=7", "--cfg")
    status, out, _ = run("fit", *words)
    assert status == 0
    starts = [line.partition(", ")[0] for line in lines_of(out)]
    assert "epochs: 7 # command line" in starts
    assert "lr: 0.0001 # mine.yaml:8" in starts
    assert "size: tiny # mine.yaml:2" in starts
    assert "max_steps: 20 # mine.yaml:4" in starts
    assert "mine.yaml:9" in next(line for line in lines_of(out) if "EarlyStopping" in line)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "model: mpnet\nlr: 0.1\n",
            "mine.yaml:2: unknown configuration key 'lr': did you mean recipe.A.optimizer.lr=0.1?",
        ),
        ("model: mpnet\ntrainer:\n  gpus: 8\n", "mine.yaml:3: unknown configuration key 'trainer.gpus'"),
        ("model: mpnet\nrecipe:\n  A:\n    epochs: many\n", "mine.yaml:4: configuration: recipe.A.epochs"),
        ("model: mpnet\nsize: medium\n", "mine.yaml:2: unknown size 'medium'"),
        ("model: mpnett\n", "mine.yaml:1: unknown model 'mpnett'"),
        ("model: mpnet\nrun: ${oc.env:HOME}\n", "mine.yaml:2: cannot use 'run="),
        ("- model\n", "mine.yaml: the top level must be a mapping"),
        ("model: mpnet\nmodel: lvo\n", "mine.yaml: not YAML (key 'model' twice"),
        ("data: [1]\nmodel: mpnet\n", "mine.yaml:1: data[0]: write a data set as its keys, or data: NAME"),
    ],
)
def test_a_mistake_is_one_line_with_file_and_line(run, config, text, message):
    status, out, err = run("fit", "--config", config(text), "--cfg")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"vosbench: {message}")


def test_mistakes_that_are_typed_are_not_those_of_the_file(run, config):
    status, _, err = run("fit", "--config", config("model: mpnet\nsize: tiny\n"), "trainer.gpus=8", "--cfg")
    assert status == 2
    assert err.startswith("vosbench: unknown configuration key 'trainer.gpus'")


def test_a_missing_file_and_nothing_at_all_are_one_line(run, config):
    config("")
    status, _, err = run("fit", "--config", "nowhere.yaml")
    assert (status, err.count("\n")) == (2, 1)
    assert "nowhere.yaml" in err
    status, _, err = run("fit")
    assert (status, err.count("\n")) == (2, 1)
    assert "fit: write key=value, e.g. model=mpnet, or --config FILE" in err


def plan_of(overrides):
    plan = plan_fit(overrides)
    content = asdict(plan.config)
    # of the group as a whole nothing but the chosen data sets is used
    del content["data"]
    content["recipe"] = {name: content["recipe"][name] for name in plan.sets}
    return content, dict(plan.sets)


def printed(overrides, run):
    return run("fit", *overrides, "--cfg")[1]


RECIPES = [(model, recipe) for model in group_options("model") for recipe in recipes_of(model)]


@pytest.mark.parametrize("stage", ["first", "all"])
@pytest.mark.parametrize(("model", "recipe"), RECIPES)
def test_what_cfg_prints_is_a_config(run, config, model, recipe, stage):
    size = next((size for size in ("tiny", "lite") if recipe.endswith(f"_{size}")), "full")
    stage = stages_of(recipe)[0] if stage == "first" else stage
    words = [f"model={model}", f"recipe={recipe}", f"stage={stage}", f"size={size}"]
    file = read_config(Path(config(printed(words, run))))
    assert plan_of(list(fit_overrides(file, []).values())) == plan_of(words)


def test_what_cfg_prints_of_changed_keys_is_a_config(run, config):
    words = ["model=mpnet", "size=tiny", "data=mini", "data.scenes=3", "recipe.A.optimizer.lr=1e-4"]
    words += [
        "callbacks=[{class: EarlyStopping, patience: 5}]",
        "model.threshold=0.3",
        "trainer.max_epochs=2",
    ]
    words += [r"init='with space/it\'s.ckpt'", "data.hold_out=[bear,boat]"]
    name = config(printed(words, run))
    file = read_config(Path(name))
    assert plan_of(list(fit_overrides(file, []).values())) == plan_of(words)
    # and another data set on the command line replaces the one in the file, with all its keys
    again = [*fit_overrides(file, ["data=davis16"]).values(), "data=davis16"]
    (chosen,) = plan_of(again)[1]["A"]
    assert (chosen.name, chosen.edition, chosen.hold_out) == ("davis16", "official", 0.15)


def test_sources_of_a_file_are_its_lines(config):
    name = config("model: mpnet\nseed: 3\n")
    file = read_config(Path(name))
    overrides = list(fit_overrides(file, []).values())
    places = {key: file.place(key) for key in fit_overrides(file, [])}
    settings = {setting.path: setting for setting in sourced_settings(plan_fit(overrides), overrides, places)}
    assert settings["seed",].source.startswith("mine.yaml:2, configs/fit.yaml:")


def test_a_list_of_data_sets_that_no_command_line_can_name_is_refused(config):
    name = config(
        "model: mpnet\nrecipe.A.data: [ft3d, davis16]\n"
        "data:\n  - {name: ft3d, scale: 0.5}\n  - {name: davis16, scale: 0.25}\n"
    )
    with pytest.raises(InputError, match=r"mine.yaml:3: data: scale is for all data sets of a run"):
        fit_overrides(read_config(Path(name)), [])


COMPARE = """\
models: [all_foreground, centre_box]
datasets: davis16
metrics: j
workers: 1
pictures: false
out: there
set: {}
"""


def test_compare_takes_its_options_from_a_file_unless_they_are_typed(run, config, make_davis, tmp_path):
    make_davis(tmp_path / "data")
    name = config(COMPARE)
    status, out, err = run("compare", "--config", name, "--models", "centre_box", "--limit", "1")
    assert status == 0, err
    assert "centre_box" in out
    assert "all_foreground" not in out
    assert (tmp_path / "there" / "leaderboard.html").is_file()
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: lvo\n", "mine.yaml:1: unknown option 'model': did you mean models?"),
        ("workers: 1\nlimit: many\n", "mine.yaml:2: limit: "),
        ("executor: cloud\n", "mine.yaml:1: executor: "),
        ("dry_run: 3\n", "mine.yaml:1: dry_run is 3, must be true or false"),
        ("models: {a: b}\n", "mine.yaml:1: models is {'a': 'b'}, must be a text, a number or a list of them"),
        ("config: other.yaml\n", "mine.yaml:1: unknown option 'config'"),
        ("models: !!python/object/apply:os.system [ls]\n", "mine.yaml: not YAML"),
    ],
)
def test_a_mistake_in_the_file_of_compare_is_one_line_with_file_and_line(run, config, text, message):
    status, out, err = run("compare", "--config", config(text))
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"vosbench: {message}")


def test_variables_of_the_environment_stay_what_they_are(run, config, monkeypatch):
    monkeypatch.setenv("SECRET", "treasure")
    _, _, err = run("compare", "--config", config("models: $SECRET ${SECRET}\n"))
    assert "treasure" not in err
    assert "$SECRET ${SECRET}" in err


def test_links_to_make_are_named_before_miniatures_are_rendered(run, config, tmp_path, monkeypatch):
    config("")
    (tmp_path / "data" / "benchmark" / "ImageSets" / "480p").mkdir(parents=True)
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("vosbench.data.mini.ensure_mini", _stop)
    status, _, err = run("compare", "--models", "centre_box", "--workers", "1")
    assert status == 2
    hint, *_, last = err.splitlines()
    assert hint.startswith("note: data/benchmark has ImageSets/480p: to read it as davis16")
    assert "no rendering here" in last
    assert err.count("benchmark has ImageSets") == 1 + last.count("benchmark has ImageSets")


def _stop(*_, **__):
    raise InputError("no rendering here")
