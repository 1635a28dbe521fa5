"""What doctor finds on a machine, and how it says so: nothing there is no fault, something broken is."""

import json
import shutil
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from vosbench import cli
from vosbench.environment.machine import examine
from vosbench.environment.packages import Package
from vosbench.models.pretrained import zoo

SHIPPED = zoo.WEIGHTS


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("VOSBENCH_DATA", raising=False)
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def doctor(monkeypatch, capsys):
    """Run `vosbench doctor`; return status, stdout and stderr."""

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["vosbench", "doctor", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return left.value.code or 0, *capsys.readouterr()

    return command


@pytest.fixture
def damaged_zoo(monkeypatch, tmp_path):
    """The zoo's files of MP-Net, with one byte changed."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for file in zoo.WEIGHTS.glob("mpnet-tiny.*"):
        shutil.copy(file, folder)
    content = bytearray((folder / "mpnet-tiny.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "mpnet-tiny.safetensors").write_bytes(content)
    monkeypatch.setattr(zoo, "WEIGHTS", folder)


def test_nothing_is_broken_here_and_the_baselines_run_on_miniatures(tmp_path):
    found = examine()
    assert found.problems == ()
    assert found.python.fits
    assert found.devices[0].name == "cpu"
    assert found.devices[0].trouble == ""
    assert not found.root.exists
    assert found.root.path == tmp_path / "data"
    assert found.root.source.startswith("default")
    methods = {each.method: each for each in found.methods}
    assert methods["all_foreground"].datasets == ("miniatures",)
    assert methods["mpnet"].sizes == ("tiny",)
    assert methods["mpnet"].needs_flow


def test_packages_are_those_of_the_metadata_and_dev_is_no_extra():
    found = examine()
    assert {"torch", "torchvision", "pytorch-lightning"} <= {each.name for each in found.packages}
    assert all(each.fits for each in found.packages)
    assert "hypothesis" not in {each.name for each in found.packages}
    assert set(found.extras) == set(metadata.metadata("vosbench").get_all("Provides-Extra")) - {"dev"}


@pytest.mark.parametrize(
    ("installed", "fits"), [("2.11.0+cu130", True), ("2.12.0rc1", True), ("2.10.1", False), (None, False)]
)
def test_a_package_fits_its_lower_bound(installed, fits):
    assert Package("torch", ">=2.11", installed).fits is fits


def test_a_package_that_is_too_old_is_a_problem_an_absent_extra_is_none(monkeypatch):
    real = metadata.version
    told = {"torch": "1.13", "pydensecrf2": "0.1"}
    monkeypatch.setattr(metadata, "version", lambda name: told.get(name) or real(name))
    problems = examine().problems
    assert len(problems) == 2
    assert problems[0].startswith("torch is 1.13, vosbench needs >=2.11")
    assert problems[1].endswith("pip install 'vosbench[crf]'")


def test_weights_with_another_hash_are_a_problem_and_the_method_cannot_run(damaged_zoo, doctor):
    found = examine()
    assert [each.file for each in found.weights] == ["mpnet-tiny.safetensors"]
    assert "its hash is not the one" in found.problems[0]
    assert next(each for each in found.methods if each.method == "mpnet").datasets == ()
    status, out, _err = doctor()
    assert status == 1
    assert out.endswith("doctor: 1 broken\n")


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"name": "ft3d", "edition": "mini", "scenes": 9}, "ft3d (9 scenes), mini edition"),
        (
            {"edition": "mini", "sets": {"coco": {"scenes": 4}, "ft3d": {}}},
            "coco (4 scenes), ft3d, mini edition",
        ),
        ({"name": "davis16, msra10k", "edition": "official"}, "davis16, msra10k, official edition"),
        (
            {"name": "ft3d, davis16", "edition": "mini, official", "rendered": ["ft3d"]},
            "ft3d (rendered), davis16",
        ),
    ],
)
def test_weights_tell_what_they_were_trained_on(damaged_zoo, data, told):
    shutil.copy(SHIPPED / "mpnet-tiny.safetensors", zoo.WEIGHTS)
    provenance = json.loads((zoo.WEIGHTS / "mpnet-tiny.json").read_text())
    provenance["training"]["data"] = data
    (zoo.WEIGHTS / "mpnet-tiny.json").write_text(json.dumps(provenance))
    assert [each.trained_on for each in examine().weights] == [told]


def test_a_device_that_computes_wrongly_is_a_problem(monkeypatch):
    monkeypatch.setattr(torch.nn.functional, "conv2d", lambda *_: torch.tensor(7.0))
    assert examine().problems[0].startswith("cpu: computes wrongly: a convolution gives 7")


def test_a_device_that_cannot_compute_is_a_problem(monkeypatch):
    def fail(*_):
        raise RuntimeError("no kernel image is available\nmore lines")

    monkeypatch.setattr(torch.nn.functional, "conv2d", fail)
    assert examine().problems == ("cpu: torch and torchvision do not work: no kernel image is available",)


def test_a_gpu_is_named_with_its_memory_and_one_that_does_not_compute_is_a_problem(monkeypatch):
    about = SimpleNamespace(name="NVIDIA H200", total_memory=150_000_000_000)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: about)

    def refuse(*_, device, **__):
        if device == "cuda:0":
            raise RuntimeError("the driver is too old")
        return ones(*_)

    ones = torch.ones
    monkeypatch.setattr(torch, "ones", refuse)
    found = examine()
    assert [(each.name, each.model, each.memory) for each in found.devices][1:] == [
        ("cuda:0", "NVIDIA H200", 150_000_000_000)
    ]
    assert found.problems == ("cuda:0: torch and torchvision do not work: the driver is too old",)


def test_data_sets_are_opened_at_a_glance(tmp_path, make_davis, monkeypatch):
    root = make_davis(tmp_path / "sets")
    (root / "davis17").mkdir()
    (root / "coco/val2017").mkdir(parents=True)
    (root / "holiday").mkdir()
    monkeypatch.setenv("VOSBENCH_DATA", str(root))
    found = examine()
    assert found.root.source == "$VOSBENCH_DATA"
    sets = {each.name: each for each in found.root.found}
    assert (sets["davis16"].complete, sets["davis16"].detail) == (True, "val: 3 sequences, 16 frames")
    assert not sets["davis17"].complete
    assert sets["coco"].detail == "missing: annotations, train2017"
    assert found.root.others == ("holiday",)
    assert {each.datasets for each in found.methods if not each.hint} == {("davis16",)}
    assert found.problems == ()


def test_caches_are_measured(tmp_path):
    (tmp_path / "cache/flow/a").mkdir(parents=True)
    (tmp_path / "cache/flow/a/x").write_bytes(bytes(7))
    (tmp_path / "cache/flow/y").write_bytes(bytes(5))
    cache = examine().caches[0]
    assert (cache.name, cache.files, cache.size, cache.counted) == ("flow", 2, 12, True)


def test_tables_fit_into_80_columns_and_extras_keep_their_brackets(doctor, tmp_path, make_davis):
    status, out, err = doctor("--data-root", make_davis(tmp_path / "sets"))
    assert status == 0
    tables = [line for line in out.splitlines() if line.startswith(" ")]
    assert max(map(len, tables)) <= 80
    assert "data root: " in out
    assert "davis16" in out
    assert out.endswith("doctor: nothing broken\n")
    if any(not each.fits for each in examine().extras["crf"]):
        assert "pip install 'vosbench[crf]'" in out
    assert "data verify NAME" in err


def test_json_on_stdout_is_all_of_stdout(doctor):
    status, out, _err = doctor("--json", "-")
    told = json.loads(out)
    assert status == 0
    assert told["problems"] == []
    assert {each["method"] for each in told["methods"]} == set(zoo.method_names())


def test_json_in_a_file_comes_beside_the_tables(doctor, tmp_path):
    _status, out, _err = doctor("--json", "machine.json")
    assert Path(json.loads((tmp_path / "machine.json").read_text())["root"]["path"]) == tmp_path / "data"
    assert "what can run now" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--dataset", "davis16"), "doctor without RESULTS does not take --dataset"),
        (("masks",), "write --dataset NAME"),
        (("masks", "--dataset", "davis16", "--json", "-"), "doctor RESULTS does not take --json"),
    ],
)
def test_options_of_the_other_doctor_are_refused(doctor, words, message):
    status, out, err = doctor(*words)
    assert (status, out) == (2, "")
    assert message in err
