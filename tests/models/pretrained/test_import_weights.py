"""`vosbench weights import`: all or nothing, with every tensor named."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from vosbench.cli.commands import app
from vosbench.errors import InputError
from vosbench.models.pretrained.import_weights import complaint, import_weights
from vosbench.models.pretrained.zoo import load_method

GOLDEN = Path(__file__).parents[2] / "golden" / "checkpoints"


def published(folder, part, change=lambda tensors: None):
    """A file with the tensors of a published layout, here as safetensors to be short."""
    shapes = json.loads((GOLDEN / f"fusionseg_{part}.json").read_text())
    tensors = {name: torch.full(shape, 0.5) for name, shape in shapes.items()}
    change(tensors)
    path = folder / f"{part}.safetensors"
    save_file(tensors, path)
    return path


@pytest.fixture(scope="module")
def appearance(tmp_path_factory):
    return published(tmp_path_factory.mktemp("published"), "appearance")


def test_an_imported_stream_loads_as_a_checkpoint_and_says_where_it_is_from(appearance, tmp_path):
    out = tmp_path / "stream.safetensors"
    imported = import_weights("fusionseg", [appearance], out, {"stream": "appearance"})
    assert imported.path == out
    assert imported.switches["convention"] == "caffe"
    method, told = load_method("fusionseg", checkpoint=out)
    assert told["released"][0]["file"] == "appearance.safetensors"
    assert len(told["released"][0]["sha256"]) == 64
    weights = dict(method.named_parameters())
    assert weights
    assert all((value == 0.5).all() for value in weights.values())


def test_a_network_is_covered_whole_or_not_written(appearance, tmp_path):
    out = tmp_path / "joint.safetensors"
    imported = import_weights("fusionseg", [appearance], out)
    assert imported.path is None
    assert not out.exists()
    assert "network.motion." in complaint(imported)
    assert "name the part with --set" in complaint(imported)


def test_a_tensor_too_few_too_many_or_of_another_shape_is_named(tmp_path):
    def change(tensors):
        tensors["conv1/0"] = torch.zeros(64, 1, 7, 7)
        tensors["conv0/0"] = torch.zeros(1)
        del tensors["bn_conv1/0"]

    path, out = published(tmp_path, "appearance", change), tmp_path / "out.safetensors"
    imported = import_weights("fusionseg", [path], out, {"stream": "appearance"})
    assert imported.path is None
    assert not out.exists()
    (account,) = imported.accounts
    assert account.missing == ("network.appearance.body.bn1.running_mean",)
    assert account.unexpected == ("conv0/0",)
    assert [conflict.name for conflict in account.conflicts] == ["network.appearance.body.conv1.weight"]
    assert "1 missing (network.appearance.body.bn1.running_mean)" in complaint(imported)


def test_a_part_given_twice_is_refused(appearance, tmp_path):
    with pytest.raises(InputError, match="already filled by another file"):
        import_weights(
            "fusionseg", [appearance, appearance], tmp_path / "o.safetensors", {"stream": "appearance"}
        )


def test_the_command_prints_the_account_and_ends_with_2_where_something_lacks(appearance, tmp_path):
    arguments = ["weights", "import", "fusionseg", str(appearance), "--out", str(tmp_path / "o.safetensors")]
    result = CliRunner().invoke(app, [*arguments, "--set", "stream=appearance"])
    assert result.exit_code == 0, result.output
    assert "42752968 numbers" in result.output
    assert "stream=appearance; use it with --checkpoint" in result.output
    failed = CliRunner().invoke(app, arguments)
    assert isinstance(failed.exception, InputError)


@pytest.mark.parametrize(
    ("name", "out", "message"),
    [
        ("fusionsegg", "o.safetensors", "did you mean fusionseg"),
        ("mpnet", "o.safetensors", "unknown method with released weights 'mpnet'"),
        ("fusionseg", "o.pth", "weights are written as .safetensors"),
    ],
)
def test_mistakes_are_one_line(appearance, tmp_path, name, out, message):
    with pytest.raises(InputError, match=message):
        import_weights(name, [appearance], tmp_path / out)
