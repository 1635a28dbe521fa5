import hashlib
import json

import pytest
import torch

from vosbench.errors import InputError
from vosbench.models import build, zoo
from vosbench.models.base import Method


def checkpoint(path, size="tiny", **variant):
    """What Lightning writes, as far as the zoo reads it."""
    module = build("mpnet", size, **variant)
    content = {"state_dict": module.state_dict()}
    module.on_save_checkpoint(content)
    torch.save(content, path)
    return module


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
    with pytest.raises(InputError, match=r"no weights of mpnet \(full\): train it"):
        zoo.load_method("mpnet", "full")


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


def test_names():
    assert {"mpnet", "centre_box", "flow_threshold", "all_foreground"} <= set(zoo.METHOD_NAMES)
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
        assert path.stat().st_size < 3_500_000 or size == "full"
