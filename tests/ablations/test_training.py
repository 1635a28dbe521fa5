"""Suites: what their files may say, which runs they share, how they continue, what they conclude."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.ablations.suites import changed
from vosbench.ablations.load import load_suite, parse_suite
from vosbench.ablations.run import SuiteOptions, run_suite
from vosbench.ablations.training_plan import plan_trainings
from vosbench.errors import InputError
from vosbench.training import run as training_run

SUITE = """
id: small
title: A small table
paper: Somebody et al.
table: 1
method: MP-Net
varies: the input
flows:
  exact: {title: ground-truth flow, official: ground_truth, mini: ground_truth}
  ldof: {title: LDOF, official: "precomputed:${LDOF}/davis16", mini: dis}
columns:
  davis16: {dataset: davis16, split: val, protocol: davis16-unsupervised, metric: J_mean, flow: ldof}
editions:
  official: {size: full}
  mini: {size: tiny, seeds: [0, 1], set: {mpnet: {recipe: mpnet_tiny}}}
trainings:
  angle: {model: mpnet, stage: A, set: {model.decoder_units: 1}, flow: {A: [exact]}}
  tuned: {model: mpnet, stage: A, init: angle, set: {model.decoder_units: 1, recipe.A.epochs: 3}}
rows:
  angle: {title: angle field, training: angle, variant: input=angle}
  strict: {title: angle field at 0.9, training: angle, variant: input=strict, settings: {threshold: 0.9}}
  tuned: {title: tuned, training: tuned, variant: null}
  box: {title: a box, model: centre_box, variant: null}
orderings:
  - {expect: angle >= box, column: davis16, source: section 1}
"""


def content(**changes):
    return changed(SUITE, **changes)


@pytest.fixture
def suite():
    return parse_suite(content(), "small.yaml")


# -- the file ---------------------------------------------------------------------------------------


def test_the_example_of_the_module_is_read(suite):
    assert suite.source == "Somebody et al., table 1"
    assert suite.editions["mini"].seeds == (0, 1)
    assert [column.name for column in suite.columns_of(suite.rows["angle"])] == ["davis16"]
    assert suite.flow_of(suite.rows["angle"], suite.columns["davis16"]).title == "LDOF"
    assert (suite.orderings[0].first, suite.orderings[0].strict, suite.orderings[0].second) == (
        "angle",
        False,
        "box",
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tabel": 1}, "unknown key of small.yaml 'tabel': did you mean table?"),
        (
            {"rows__angle__trainng": "x"},
            "unknown key of small.yaml: rows.angle 'trainng': did you mean training",
        ),
        ({"columns__davis16": {"dataset": "davis16"}}, "columns.davis16: missing split, protocol, metric"),
        (
            {"columns__davis16__dataset": "davis61"},
            "unknown data set in small.yaml: columns.davis16 'davis61'",
        ),
        ({"columns__davis16__protocol": "davis"}, "unknown protocol in small.yaml: columns.davis16"),
        ({"columns__davis16__limit": 0}, "columns.davis16.limit: give 1 or more"),
        (
            {"columns__davis16__flow": "ldoff"},
            "unknown flow in small.yaml: columns.davis16 'ldoff': did you mean ldof",
        ),
        ({"editions__tiny": {"size": "tiny"}}, "unknown edition in small.yaml: editions 'tiny'"),
        ({"editions__mini__size": "small"}, "unknown size in small.yaml: editions.mini 'small'"),
        (
            {"trainings__angle__set": {"callbacks": [{"class": "os.system"}]}},
            "small.yaml: trainings.angle: a suite cannot set 'callbacks'",
        ),
        (
            {"editions__mini__set": {"mpnet": {"callbacks": [{"class": "os.system"}]}}},
            "small.yaml: editions.mini.set.mpnet: a suite cannot set 'callbacks'",
        ),
        ({"editions__mini__seeds": []}, "editions.mini.seeds: expected a list of whole numbers"),
        ({"editions__mini__seeds": 3}, "editions.mini.seeds: expected a list"),
        ({"trainings__angle__model": "mpnot"}, "unknown model in small.yaml: trainings.angle 'mpnot'"),
        ({"trainings__angle__init": "tuned"}, "trainings.angle needs itself"),
        ({"trainings__angle__flow": {"A": ["exakt"]}}, "unknown flow in small.yaml: trainings.angle 'exakt'"),
        ({"trainings__angle__set": ["a"]}, "trainings.angle.set: expected a mapping"),
        ({"trainings__angle__set": {"data.edition": "mini"}}, "trainings.angle: the edition sets"),
        ({"rows__angle__training": "angel"}, "unknown training in small.yaml: rows.angle 'angel'"),
        ({"rows__angle__model": "centre_box"}, "rows.angle: give either training or model"),
        ({"rows__angle__title": ""}, "rows.angle.title: expected a text"),
        ({"rows__angle__without": {"small": "x"}}, "unknown edition in small.yaml: rows.angle.without"),
        ({"rows__Angle": {"title": "x"}}, "rows: name 'Angle' must be lower-case"),
        (
            {"orderings": [{"expect": "angle = box", "column": "davis16", "source": "x"}]},
            "write 'ROW >= ROW'",
        ),
        ({"orderings": [{"expect": "angle > bax", "column": "davis16", "source": "x"}]}, "unknown row"),
    ],
)
def test_mistakes_are_one_line_that_names_file_and_key(changes, message):
    with pytest.raises(InputError) as error:
        parse_suite(content(**changes), "small.yaml")
    assert message in str(error.value)
    assert "small.yaml" in str(error.value)
    assert "\n" not in str(error.value)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_suite(tmp_path / "none.yaml")
    path = tmp_path / "twice.yaml"
    path.write_text("id: a\nid: b\n")
    with pytest.raises(InputError, match="key 'id' twice"):
        load_suite(path)
    path.write_text("- a list\n")
    with pytest.raises(InputError, match="expected a mapping"):
        load_suite(path)


def test_official_flow_is_a_folder_that_the_environment_names(suite, monkeypatch):
    flow = suite.flows["ldof"]
    monkeypatch.setenv("VOSBENCH_FLOW_LDOF", "/flows/ldof")
    assert flow.text("official") == "precomputed:/flows/ldof/davis16"
    assert flow.text("mini") == "dis"
    monkeypatch.delenv("VOSBENCH_FLOW_LDOF")
    with pytest.raises(InputError, match=r"flow ldof \(LDOF\): set \$VOSBENCH_FLOW_LDOF to the folder"):
        flow.text("official")


# -- what is trained --------------------------------------------------------------------------------


def plan(suite, tmp_path, names=("angle", "tuned"), seeds=(0, 1)):
    return plan_trainings(suite, "mini", names, seeds, tmp_path / "runs", None)


def test_a_training_becomes_a_line_of_fit(suite, tmp_path):
    task = plan(suite, tmp_path).tasks["angle", 1]
    assert set(task.overrides) >= {
        "model=mpnet",
        "size=tiny",
        "stage=A",
        "recipe=mpnet_tiny",
        "data.edition=mini",
        "model.decoder_units=1",
        "recipe.A.flow=[ground_truth]",
        "seed=1",
    }
    assert task.checkpoint == task.folder / "A/checkpoints/last.ckpt"
    assert task.folder.parent.name.startswith("mpnet-tiny-")


def test_what_a_training_needs_is_trained_before_with_the_same_seed(suite, tmp_path):
    found = plan(suite, tmp_path, ["tuned"])
    first, second = found.waves()
    assert {task.training for task in first} == {"angle"}
    assert {task.training for task in second} == {"tuned"}
    init = next(line for line in found.tasks["tuned", 1].overrides if line.startswith("init="))
    assert str(found.tasks["angle", 1].checkpoint) in init


def test_equal_trainings_share_a_run_and_the_key_follows_what_is_learnt(tmp_path):
    changes = {
        "trainings__same": {
            "model": "mpnet",
            "stage": "A",
            "set": {"model.decoder_units": 1, "workers": 7, "trainer.devices": 1},
            "flow": {"A": ["exact"]},
        },
        "trainings__longer": {
            "model": "mpnet",
            "stage": "A",
            "set": {"model.decoder_units": 1, "recipe.A.epochs": 99},
            "flow": {"A": ["exact"]},
        },
    }
    suite = parse_suite(content(**changes), "small.yaml")
    found = plan(suite, tmp_path, ["angle", "same", "longer"], [0])
    folders = {name: task.folder for (name, _), task in found.tasks.items()}
    assert folders["same"] == folders["angle"] != folders["longer"]
    assert len(found.waves()[0]) == 2


def test_an_edition_that_sets_the_weights_spares_the_training_for_them(tmp_path):
    changes = {
        "trainings__lvo": {
            "model": "lvo",
            "stage": "memory",
            "set": {"model.appearance": "none"},
            "weights": {"motion_weights": "angle"},
            "mini": {"model.motion_weights": "zoo"},
        }
    }
    suite = parse_suite(content(**changes), "small.yaml")
    official = plan_trainings(suite, "official", ["lvo"], [0], tmp_path, None)
    mini = plan_trainings(suite, "mini", ["lvo"], [0], tmp_path, None)
    assert [name for name, _ in official.tasks] == ["angle", "lvo"]
    assert [name for name, _ in mini.tasks] == ["lvo"]
    assert "model.motion_weights=zoo" in mini.tasks["lvo", 0].overrides
    given = official.tasks["angle", 0].checkpoint
    assert f"model.motion_weights='{given}'" in official.tasks["lvo", 0].overrides


def test_a_key_that_fit_does_not_know_names_the_training(tmp_path):
    suite = parse_suite(content(trainings__angle__set={"model.decoder_unit": 1}), "small.yaml")
    with pytest.raises(
        InputError, match=r"small, trainings\.angle: unknown configuration key 'model\.decoder_unit'"
    ):
        plan(suite, tmp_path, ["angle"])
    suite = parse_suite(content(trainings__angle__stage="Z"), "small.yaml")
    with pytest.raises(InputError, match=r"trainings\.angle: unknown stage"):
        plan(suite, tmp_path, ["angle"])


# -- running, with a stand-in for the training ------------------------------------------------------


class Trainer:
    """Writes the checkpoint of an untrained network, as fit would of a trained one."""

    def __init__(self):
        self.calls = []
        self.dies_on = None

    def __call__(self, overrides):
        import torch

        from vosbench.models import build

        keys = dict(line.split("=", 1) for line in overrides)
        run = Path(keys["run"].strip("'"))
        self.calls.append((run.parent.name, run.name))
        (run / "A/checkpoints").mkdir(parents=True, exist_ok=True)
        if self.dies_on == len(self.calls):
            (run / "A/checkpoints/last.ckpt").write_bytes(b"half")
            raise KeyboardInterrupt
        torch.manual_seed(int(keys["seed"]))
        module = build("mpnet", "tiny", decoder_units=1)
        saved = {"state_dict": module.state_dict()}
        module.on_save_checkpoint(saved)
        torch.save(saved, run / "A/checkpoints/last.ckpt")
        return run


@pytest.fixture
def trainer(monkeypatch):
    trainer = Trainer()
    monkeypatch.setattr(training_run, "fit", trainer)
    return trainer


@pytest.fixture
def options(tmp_path, make_davis, monkeypatch):
    import vosbench.data.mini

    def render(name, home):
        if not (home / name).is_dir():
            make_davis(home, {"cat": 4, "dog": 3})
            (home / name / "MINI.json").write_text("{}")
        return home / name

    monkeypatch.setattr(vosbench.data.mini, "ensure_mini", render)
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))

    def options(**given):
        return SuiteOptions(**{"edition": "mini", "out": tmp_path / "out", "workers": 1} | given)

    return options


def test_rows_that_share_a_training_share_its_runs(suite, options, trainer):
    result = run_suite(suite, options(rows=["angle", "strict", "box"]))
    assert result.exit_status == 0
    assert len(trainer.calls) == 2, "one training, two seeds"
    assert {key: sorted(tested.by_seed) for key, tested in result.cells.items()} == {
        ("angle", "davis16"): [0, 1],
        ("strict", "davis16"): [0, 1],
        ("box", "davis16"): [0],
    }
    # at 0.9 the untrained network finds less than at 0.5
    masks = result.folder / "davis16/masks/davis16-mini"
    assert {path.name for path in masks.iterdir()} == {
        "angle-seed0",
        "angle-seed1",
        "box",
        "strict-seed0",
        "strict-seed1",
    }
    assert result.cells["box", "davis16"].value.mean == pytest.approx(
        np.mean(list(result.cells["box", "davis16"].value.by_seed.values()))
    )


def test_records_say_which_weights_and_switches_they_are_of(suite, options, trainer):
    result = run_suite(suite, options(rows=["strict"], seeds=[1]))
    file = result.folder / "davis16/records/davis16-mini/davis16-unsupervised/strict-seed1/cat.json"
    record = json.loads(file.read_text())
    assert record["model"] == "strict-seed1"
    assert record["provenance"]["config"]["model"] == "mpnet"
    assert record["provenance"]["weights"]["variant"]["threshold"] == 0.9


def test_a_second_run_trains_and_tests_nothing(suite, options, trainer, monkeypatch):
    first = run_suite(suite, options(rows=["angle"]))
    calls = len(trainer.calls)
    states = []
    second = run_suite(suite, options(rows=["angle"]), lambda done, total, name: states.append(name))
    assert len(trainer.calls) == calls
    assert {outcome.state for outcome in second.trainings.values()} == {"kept"}
    assert sum(name.endswith(": kept") for name in states) == 2 + 4
    assert second.cells == first.cells


def test_a_killed_suite_goes_on_with_the_run_it_was_in(suite, options, trainer):
    trainer.dies_on = 2
    with pytest.raises(KeyboardInterrupt):
        run_suite(suite, options(rows=["angle"]))
    killed = trainer.calls[-1]
    trainer.dies_on = None
    result = run_suite(suite, options(rows=["angle"]))
    # the finished run is kept; the half one is given to fit again, which continues what is in it
    assert trainer.calls[2:] == [killed]
    assert result.exit_status == 0
    assert {seed: outcome.state for (_, seed), outcome in result.trainings.items()} == {
        0: "kept",
        1: "trained",
    }


def test_other_keys_are_another_run(suite, options, trainer):
    run_suite(suite, options(rows=["angle"], seeds=[0]))
    changed = parse_suite(
        content(trainings__angle__set={"model.decoder_units": 1, "recipe.A.epochs": 5}), "s"
    )
    run_suite(changed, options(rows=["angle"], seeds=[0]))
    assert len({folder for folder, _ in trainer.calls}) == 2


def test_a_row_that_fails_stops_only_what_needs_it(suite, options, trainer, monkeypatch):
    def fails_for_seed_1(overrides):
        if "seed=1" in overrides:
            raise MemoryError("no room\nleft")
        return trainer(overrides)

    monkeypatch.setattr(training_run, "fit", fails_for_seed_1)
    result = run_suite(suite, options(rows=["angle", "tuned", "box"]))
    assert result.exit_status == 1
    assert result.failures == (
        "training angle, seed 1: MemoryError: no room left",
        "training tuned, seed 1: needs angle, which failed: MemoryError: no room left",
    )
    assert sorted(result.cells["angle", "davis16"].by_seed) == [0]
    assert result.cells["box", "davis16"].value is not None


def test_a_test_that_fails_is_told(suite, options, trainer):
    broken = parse_suite(content(rows__strict__settings={"decoder_units": 4}), "small.yaml")
    result = run_suite(broken, options(rows=["strict"], seeds=[0]))
    assert result.exit_status == 1
    [failure] = result.failures
    assert failure.startswith("strict-seed0 in column davis16, cat and 1 more: ")
    assert "its weights do not fit a network with decoder_units=4" in failure
    assert result.cells["strict", "davis16"].value is None


def test_a_dry_run_writes_nothing(tmp_path, suite, options, trainer):
    result = run_suite(suite, options(dry_run=True))
    assert {outcome.state for outcome in result.trainings.values()} == {"planned"}
    assert not (tmp_path / "out").exists()
    assert not trainer.calls


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"edition": "official", "data_root": Path("nowhere")}, r"set \$VOSBENCH_FLOW_LDOF"),
        ({"data_root": Path("data")}, "--data-root goes with --edition official"),
        ({"rows": ["angel"]}, "unknown row of small 'angel': did you mean angle?"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_trained(
    suite, options, trainer, given, message, monkeypatch
):
    monkeypatch.delenv("VOSBENCH_FLOW_LDOF", raising=False)
    with pytest.raises(InputError, match=message):
        run_suite(suite, options(**given))
    assert not trainer.calls


def test_a_row_can_be_left_out_of_an_edition(options, trainer):
    suite = parse_suite(content(rows__tuned__without={"mini": "it needs real video"}), "small.yaml")
    result = run_suite(suite, options())
    assert "tuned" not in {row.name for row in result.rows}
    assert "tuned: left out, it needs real video" in result.notes
    with pytest.raises(InputError, match="row tuned has no mini edition"):
        run_suite(suite, options(rows=["tuned"]))


def test_exact_flow_is_that_of_the_data_set_and_estimated_flow_replaces_it(tmp_path):
    from vosbench.benchmark.job import Job, ProtocolRun
    from vosbench.benchmark.method_spec import MethodSpec
    from vosbench.benchmark.run_job import run_job
    from vosbench.data.mini import write_mini
    from vosbench.flow import GROUND_TRUTH
    from vosbench.scoring.protocol import load_protocol

    write_mini("ft3d", tmp_path, scenes=1, test_scenes=1, frames=3, size=(48, 64), views=("left",))

    protocol = replace(load_protocol("ft3d-iou"), options={"views": ["left"]})
    runs = (ProtocolRun(protocol, ("iou",), "test", (MethodSpec("flow_threshold", "threshold"),)),)

    def run(flow):
        job = Job(
            dataset="ft3d",
            root=tmp_path,
            edition="mini",
            sequence="A/0000/left",
            runs=runs,
            device="cpu",
            flow=flow,
            flow_settings={},
            cache=None,
            out=tmp_path / flow,
            command="",
            dry_run=False,
        )
        [outcome] = run_job(job)
        assert outcome.state == "computed", outcome.message
        return outcome.record

    exact, estimated = run(GROUND_TRUTH), run("dis")
    assert exact.provenance["flow"]["estimator"] == GROUND_TRUTH
    assert set(exact.seconds_per_frame) == {"segment", "score"}
    assert estimated.provenance["flow"]["estimator"] == "dis"
    assert exact.per_frame != estimated.per_frame
