import hashlib
import json
from importlib import import_module

import pytest
import torch
from safetensors.torch import save_file

from vosbench.errors import InputError
from vosbench.evaluation.store import content_hash
from vosbench.method import Method
from vosbench.models import build
from vosbench.models.pretrained import zoo
from vosbench.models.pretrained.weight_files import read_state


def checkpoint(path, size="tiny", **variant):
    """What Lightning writes, as far as the zoo reads it."""
    module = build("mpnet", size, **variant)
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    torch.save(content, path)
    return module


def provenance_of(path):
    return json.loads(path.with_suffix(".json").read_text())


@pytest.fixture
def exported(tmp_path, monkeypatch):
    module = checkpoint(tmp_path / "a.ckpt", decoder_units=1)
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    path = zoo.export(tmp_path / "a.ckpt", {"steps": 7}, tmp_path, variant={"threshold": 0.4})
    return module, path


def test_export_and_load_give_the_same_network(exported):
    module, path = exported
    method, provenance = zoo.load_method("mpnet")
    assert path.name == "mpnet-tiny.safetensors"
    for name, value in module.state_dict().items():
        assert torch.equal(method.state_dict()[name], value)
    assert not method.training
    assert provenance["training"] == {"steps": 7}
    assert provenance["variant"]["decoder_units"] == 1
    assert method.threshold == 0.4
    assert provenance["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert provenance["weights"] == "mpnet-tiny.safetensors"
    json.dumps(provenance)


def test_an_exported_file_loads_by_itself(exported):
    _, path = exported
    path.with_suffix(".json").unlink()
    method, provenance = zoo.load_method("mpnet", checkpoint=path)
    assert isinstance(method, Method)
    assert provenance["size"] == "tiny"


def test_own_weights_tell_how_they_were_trained_while_the_file_beside_them_is_theirs(exported):
    _, path = exported
    assert zoo.load_method("mpnet", checkpoint=path)[1]["training"] == {"steps": 7}
    told = json.loads(path.with_suffix(".json").read_text())
    path.with_suffix(".json").write_text(json.dumps(told | {"sha256": "of others"}))
    assert "training" not in zoo.load_method("mpnet", checkpoint=path)[1]
    path.with_suffix(".json").write_text("no provenance")
    assert "training" not in zoo.load_method("mpnet", checkpoint=path)[1]


def test_changed_weights_are_refused(exported):
    _, path = exported
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"hash is not the one in mpnet-tiny\.json"):
        zoo.load_method("mpnet")


def test_missing_provenance_is_refused(exported):
    _, path = exported
    path.with_suffix(".json").unlink()
    with pytest.raises(InputError, match=r"mpnet-tiny.json: missing or damaged"):
        zoo.load_method("mpnet")


def test_size_that_the_zoo_lacks(exported):
    with pytest.raises(InputError, match=r"no weights of mpnet \(full\): leave the size out for size tiny"):
        zoo.load_method("mpnet", "full")
    with pytest.raises(InputError, match=r"no weights of lvo: train it with vosbench fit"):
        zoo.load_method("lvo")


@pytest.mark.parametrize(("sizes", "default"), [(("tiny", "lite"), "lite"), (("lite", "full"), "full")])
def test_the_largest_size_of_the_zoo_is_the_default(tmp_path, monkeypatch, sizes, default):
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    for size in sizes:
        (tmp_path / f"lvo-{size}.safetensors").touch()
    assert zoo._zoo_file("lvo", None).stem == f"lvo-{default}"
    assert [zoo._zoo_file("lvo", size).stem for size in sizes] == [f"lvo-{size}" for size in sizes]


def test_checkpoint_of_another_size(tmp_path):
    checkpoint(tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="weights of size tiny, not full"):
        zoo.load_method("mpnet", "full", tmp_path / "a.ckpt")


def test_weights_that_do_not_fit(tmp_path):
    checkpoint(tmp_path / "a.ckpt")
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)
    content["vosbench"]["variant"]["decoder_units"] = 2
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=r"a.ckpt: not weights of mpnet \(size tiny\)"):
        zoo.load_method("mpnet", checkpoint=tmp_path / "a.ckpt")


@pytest.mark.parametrize("suffix", [".ckpt", ".safetensors"])
def test_files_that_are_no_weights(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"not weights at all")
    with pytest.raises(InputError, match="not a"):
        zoo.load_method("mpnet", checkpoint=path)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path):
    path = tmp_path / "a.ckpt"
    torch.save({"state_dict": print}, path)
    with pytest.raises(InputError, match="read safely"):
        zoo.load_method("mpnet", checkpoint=path)


def test_foreign_checkpoints_are_refused(tmp_path):
    torch.save({"state_dict": {}}, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="not a checkpoint of vosbench fit"):
        zoo.load_method("mpnet", checkpoint=tmp_path / "a.ckpt")
    with pytest.raises(InputError, match="no weights file"):
        zoo.load_method("mpnet", checkpoint=tmp_path / "b.ckpt")


def test_baselines_need_no_weights(tmp_path):
    method, provenance = zoo.load_method("centre_box")
    assert isinstance(method, Method)
    assert provenance == {"weights": "none"}
    with pytest.raises(InputError, match="leave the checkpoint out"):
        zoo.load_method("centre_box", checkpoint=tmp_path / "a.ckpt")


def test_switches_of_inference_are_changed(exported):
    module, _ = exported
    method, provenance = zoo.load_method("mpnet", settings={"threshold": 0.7, "test_short_side": 64})
    assert (method.threshold, method.test_short_side) == (0.7, 64)
    assert provenance["variant"]["threshold"] == 0.7
    assert provenance["variant"]["decoder_units"] == 1
    for name, value in module.state_dict().items():
        assert torch.equal(method.state_dict()[name], value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"treshold": 0.7}, "unknown key of model mpnet 'treshold': did you mean threshold"),
        ({"threshold": 7}, "threshold"),
        ({"decoder_units": 4}, "do not fit a network with decoder_units=4; train one like that"),
    ],
)
def test_switches_that_cannot_be_changed(exported, settings, message):
    with pytest.raises(InputError) as error:
        zoo.load_method("mpnet", settings=settings)
    assert message in str(error.value)
    with pytest.raises(InputError, match="centre_box is a baseline: it has no switch"):
        zoo.load_method("centre_box", settings=settings)


def test_weights_that_never_fitted_are_not_blamed_on_a_switch(tmp_path):
    checkpoint(tmp_path / "a.ckpt")
    content = torch.load(tmp_path / "a.ckpt", weights_only=True)
    content["state_dict"].popitem()
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=r"not weights of mpnet \(size tiny\)"):
        zoo.load_method("mpnet", checkpoint=tmp_path / "a.ckpt", settings={"threshold": 0.4})


def test_a_switch_may_put_other_weights_into_a_part(exported, monkeypatch):
    """A class says which switch loads which part; the checkpoint then fills the rest."""
    module, _ = exported
    real = zoo.build

    def build(name, size, crf=None, **variant):
        network = real(name, size, **variant)
        if crf:
            for key, value in network.state_dict().items():
                if key.startswith("network.classifier") or key == part:
                    value.fill_(7)
        return network

    part = next(key for key in module.state_dict() if key.endswith("weight"))
    monkeypatch.setattr(zoo, "build", build)
    monkeypatch.setattr(type(module), "replaceable", {"crf": part}, raising=False)
    method, _ = zoo.load_method("mpnet", settings={"crf": "other.ckpt"})
    assert (method.state_dict()[part] == 7).all()
    rest = [key for key in module.state_dict() if not key.startswith(part)]
    assert all(torch.equal(method.state_dict()[key], module.state_dict()[key]) for key in rest)


@pytest.mark.parametrize(
    ("method", "keys"), [("lip", "vosbench.models.lip.keys"), ("stcnn", "vosbench.models.stcnn.keys")]
)
def test_what_left_out_switches_stand_for_belongs_to_the_provenance(method, keys, monkeypatch):
    by_size = import_module(keys).BY_SIZE
    _, before = zoo.load_method(method)
    assert before["defaults"]["online_iterations"] == by_size["lite"]["online_iterations"]
    _, given = zoo.load_method(method, settings={"online_iterations": 7})
    assert "online_iterations" not in given["defaults"]
    assert given["variant"]["online_iterations"] == 7
    # another version of the package: records made before are those of other results
    monkeypatch.setitem(by_size["lite"], "online_iterations", 9)
    _, after = zoo.load_method(method)
    assert after["defaults"]["online_iterations"] == 9
    assert {key: before[key] for key in before if key != "defaults"} == {
        key: after[key] for key in after if key != "defaults"
    }
    assert content_hash(before) != content_hash(after)


def test_sizes_inside_of_methods_that_see_motion_are_in_the_provenance():
    defaults = {name: zoo.load_method(name)[1]["defaults"] for name in ("mpnet", "lvo", "fusionseg")}
    assert defaults["mpnet"] == {"test_short_side": 144}
    assert defaults["lvo"] == {"motion_short_side": 144}
    assert defaults["fusionseg"] == {"pad": False}


def test_settings_are_read_as_yaml():
    lines = ["threshold=0.4", "crf=true", "name=a=b", "weights=null", "crop=[1, 2]"]
    assert zoo.parse_settings(lines) == {
        "threshold": 0.4,
        "crf": True,
        "name": "a=b",
        "weights": None,
        "crop": [1, 2],
    }
    for line, message in (
        ("threshold", "write KEY=VALUE"),
        ("=1", "write KEY=VALUE"),
        ("a=[", "cannot read"),
    ):
        with pytest.raises(InputError, match=message):
            zoo.parse_settings([line])
    with pytest.raises(InputError, match="'a' is given twice"):
        zoo.parse_settings(["a=1", "a=2"])


def test_names():
    assert {"mpnet", "centre_box", "flow_threshold", "all_foreground"} <= set(zoo.method_names())
    with pytest.raises(InputError, match="did you mean mpnet"):
        zoo.load_method("mpnets")
    with pytest.raises(InputError, match="unknown size 'small'"):
        zoo.load_method("mpnet", "small")


def test_shipped_weights_are_what_their_provenance_says():
    for path in sorted(zoo.WEIGHTS.glob("*.safetensors")):
        name, size = path.stem.rsplit("-", 1)
        method, provenance = zoo.load_method(name, size)
        assert isinstance(method, Method)
        assert provenance["training"]["command"]
        assert path.stat().st_size < 8_000_000 or size == "full"


def test_half_precision_halves_the_file_and_is_read_as_float32(tmp_path):
    module = checkpoint(tmp_path / "a.ckpt")
    whole, half = (
        zoo.export(tmp_path / "a.ckpt", {}, tmp_path / name, half=name == "half")
        for name in ("whole", "half")
    )
    assert half.stat().st_size < 0.52 * whole.stat().st_size
    method, _ = zoo.load_method("mpnet", checkpoint=half)
    for name, value in module.state_dict().items():
        read = method.state_dict()[name]
        assert read.dtype == value.dtype
        assert torch.equal(read, value.half().float() if value.is_floating_point() else value)
    torch.nn.init.constant_(module.network.classifier.bias, 1e6)
    torch.save(torch.load(tmp_path / "a.ckpt") | {"state_dict": module.state_dict()}, tmp_path / "b.ckpt")
    with pytest.raises(InputError, match=r"classifier\.bias has values beyond the range of float16"):
        zoo.export(tmp_path / "b.ckpt", {}, tmp_path, half=True)


@pytest.fixture
def shared(tmp_path):
    """LVO beside the MP-Net inside it, both as float16."""
    checkpoint(tmp_path / "mpnet.ckpt")
    mpnet = zoo.export(tmp_path / "mpnet.ckpt", {"data": {"sequences": ["bear"]}}, tmp_path, half=True)
    module = build("lvo", "tiny", appearance="rgb")
    module.network.motion.load_state_dict(
        {key.removeprefix("network."): value for key, value in read_state(mpnet)[0].items()}
    )
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    torch.save(content, tmp_path / "lvo.ckpt")
    return module, mpnet


def test_tensors_of_a_base_are_stored_once_and_lead_to_its_training(shared, tmp_path, monkeypatch):
    module, mpnet = shared
    whole = zoo.export(tmp_path / "lvo.ckpt", {}, tmp_path / "whole", half=True)
    path = zoo.export(tmp_path / "lvo.ckpt", {"steps": 3}, tmp_path, half=True, bases=["mpnet-tiny"])
    assert path.stat().st_size < whole.stat().st_size - 0.9 * mpnet.stat().st_size
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    method, provenance = zoo.load_method("lvo")
    for name, value in module.state_dict().items():
        read = method.state_dict()[name]
        assert torch.equal(read, value.half().float() if value.is_floating_point() else value)
    (part,) = zoo.trainings()[provenance["sha256"]]["parts"]
    assert (part["key"], part["sha256"]) == ("shared", provenance_of(mpnet)["sha256"])
    assert part["training"]["data"]["sequences"] == ["bear"]
    assert "shared" not in provenance


def test_a_part_that_is_stated_already_is_not_added(shared, tmp_path):
    _, mpnet = shared
    part = {"key": "motion_weights", "weights": mpnet.name, "sha256": provenance_of(mpnet)["sha256"]}
    path = zoo.export(tmp_path / "lvo.ckpt", {"parts": [part]}, tmp_path, half=True, bases=["mpnet-tiny"])
    assert provenance_of(path)["training"]["parts"] == [part]


def test_weights_without_the_base_beside_them_are_refused_by_name(shared, tmp_path, monkeypatch):
    path = zoo.export(tmp_path / "lvo.ckpt", {}, tmp_path, half=True, bases=["mpnet-tiny"])
    alone = tmp_path / "alone" / path.name
    alone.parent.mkdir()
    alone.write_bytes(path.read_bytes())
    with pytest.raises(InputError, match=r"are in mpnet-tiny\.safetensors: keep the two files in one folder"):
        zoo.load_method("lvo", checkpoint=alone)
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    zoo.export(tmp_path / "mpnet.ckpt", {}, tmp_path)
    with pytest.raises(InputError, match=r"mpnet-tiny\.safetensors.*another one, by its hash"):
        zoo.load_method("lvo")


def test_bases_are_files_of_the_folder_and_others(shared, tmp_path):
    with pytest.raises(InputError, match=r"fusionseg-lite\.safetensors: no such file"):
        zoo.export(tmp_path / "lvo.ckpt", {}, tmp_path, bases=["fusionseg-lite"])
    with pytest.raises(InputError, match="cannot be a base of itself"):
        zoo.export(tmp_path / "lvo.ckpt", {}, tmp_path, bases=["lvo-tiny"])


@pytest.mark.parametrize("described", ["no JSON", "[1]"])
def test_a_damaged_description_is_refused(tmp_path, described):
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", metadata={"vosbench": described})
    with pytest.raises(InputError, match=r"a\.safetensors: its metadata are damaged"):
        zoo.load_method("mpnet", checkpoint=tmp_path / "a.safetensors")
