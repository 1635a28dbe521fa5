"""Weights of others: nothing in them is run, nothing of them grows, damage is one line."""

import json
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vosbench.errors import InputError, one_line, printable, shown
from vosbench.formats.detectron_pickle import read_blobs
from vosbench.models import build
from vosbench.models.pretrained.released_files import read_released
from vosbench.models.pretrained.weight_files import read_state, training_of
from vosbench.tensor_files import read_safetensors, read_tensors

STATE = {"a.weight": torch.ones(2, 3), "a.bias": torch.zeros(2)}
DESCRIBED = {"name": "mpnet", "size": "tiny", "variant": {}}


def doubled(depth):
    """A value of a few bytes a level whose text has 2 ** `depth` parts."""
    value = ()
    for _ in range(depth):
        value = (value, value)
    return value


def kind_of_nested_tuples(depth):
    """A pickle that asks for an array of a kind whose text has 2 ** `depth` parts."""
    levels = b"".join(b"h%ch%c\x86q%c" % (level, level, level + 1) for level in range(depth))
    return b"\x80\x02cnumpy\ndtype\n()q\x00" + levels + b"1h%c\x85R." % depth


def test_a_pickle_of_nested_tuples_is_refused_without_writing_them_out(tmp_path):
    """A few hundred bytes, whose text takes minutes and all memory."""
    path = tmp_path / "a.pkl"
    path.write_bytes(kind_of_nested_tuples(30))
    with pytest.raises(InputError, match=r"a\.pkl: damaged or truncated \(an array of kind \(\(\(\.\.\.\)"):
        read_blobs(path)
    for content in (doubled(30), {"blobs": doubled(30)}, {"blobs": {"a": doubled(30)}}):
        path.write_bytes(pickle.dumps(content, 2))
        with pytest.raises(InputError, match=r"a\.pkl: a pickle without arrays"):
            read_blobs(path)


def test_values_in_messages_are_cut_before_they_are_written_out():
    huge = {"deep": doubled(1000), "wide": ["x"] * 10**6, "long": "x" * 10**7, "digits": 10**5000}
    assert all(len(shown(value)) < 200 for value in (huge, *huge.values()))
    assert shown(10**5000) == "a number of 16610 bits"
    assert shown(doubled(30)) == "(((...), (...)), ((...), (...)))"
    assert [shown(value) for value in ("a\n", 1.5, None, True, b"x", {1: [2]})] == [
        *("'a\\n'", "1.5", "None", "True", "b'x'", "{1: [2]}")
    ]

    class Evil:
        def __repr__(self):
            raise AssertionError("never asked")

    assert shown(Evil()) == "<Evil>"
    assert one_line(ValueError("a\n" * 10**6)) == ("a " * 80).strip()[:160]
    assert one_line(KeyError()) == "KeyError"
    assert printable("a\x1b[31m\n\u202eb\u00e9") == "a\\x1b[31m \\u202eb\u00e9"


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("read", [read_state, read_released, read_tensors])
def test_code_in_a_checkpoint_is_never_run(tmp_path, zipped, read):
    content = {"state_dict": STATE, "vosbench": DESCRIBED, "x": Malicious(tmp_path / "made")}
    torch.save(content, tmp_path / "a.ckpt", _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"a\.ckpt: .* holds more than data, which is never run"):
        read(tmp_path / "a.ckpt")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("read", [read_state, read_released, read_tensors])
def test_a_checkpoint_whose_parts_are_compressed_is_not_unpacked(tmp_path, read):
    torch.save({"state_dict": {"a": torch.zeros(4_000_000)}, "vosbench": DESCRIBED}, tmp_path / "a.ckpt")
    with (
        zipfile.ZipFile(tmp_path / "a.ckpt") as sound,
        zipfile.ZipFile(tmp_path / "b.ckpt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for part in sound.infolist():
            bomb.writestr(part.filename, sound.read(part))
    assert (tmp_path / "b.ckpt").stat().st_size < 50_000
    with pytest.raises(InputError, match=r"b\.ckpt: .*its parts unpack to more than the file"):
        read(tmp_path / "b.ckpt")


@pytest.mark.parametrize("read", [read_state, read_released, read_tensors])
@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(1).expand(10**12),
        torch.zeros(1, device="meta"),
        torch.eye(3).to_sparse(),
        torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
    ],
    ids=["expanded", "meta", "sparse", "quantised"],
)
def test_a_tensor_without_numbers_of_its_own_is_refused(tmp_path, read, tensor):
    torch.save({"state_dict": {**STATE, "huge": tensor}, "vosbench": DESCRIBED}, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=r"a\.ckpt: ('huge' is a tensor without numbers|not a PyTorch file)"):
        read(tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("state_dict", None, "not a state dict"),
        ("state_dict", [1], "not a state dict"),
        ("state_dict", {"a": 1}, "not a state dict"),
        ("state_dict", {1: torch.ones(1)}, "not a state dict"),
        ("vosbench", None, "not a checkpoint of vosbench fit"),
        ("vosbench", [1], "not a checkpoint of vosbench fit"),
        ("vosbench", {"name": 3}, "description.name is 3, must be a text"),
        ("vosbench", {"name": "mpnet", "variant": [1]}, r"description.variant is \[1\], must be a mapping"),
        ("training", 3, "description.training is 3, must be a mapping"),
        ("training", {"parts": [1]}, r"description.training.parts\[0\] is 1, must be a mapping"),
        ("training", {"data": {"name": ["ft3d"]}}, "description.training.data.name is "),
        ("training", {"parts": doubled(40)}, "its description is damaged"),
    ],
)
def test_wrong_entries_of_a_checkpoint_are_named(tmp_path, key, value, reason):
    torch.save({"state_dict": STATE, "vosbench": DESCRIBED} | {key: value}, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=rf"a\.ckpt: .*{reason}"):
        training_of(tmp_path / "a.ckpt")


def test_a_description_that_holds_itself_ends(tmp_path):
    training = {"parts": []}
    training["parts"].append({"key": "a", "weights": "b", "sha256": "c", "training": training})
    torch.save({"state_dict": STATE, "vosbench": DESCRIBED, "training": training}, tmp_path / "a.ckpt")
    with pytest.raises(InputError, match=r"a\.ckpt: its description is damaged \(nested more than 48 deep\)"):
        read_state(tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    "text",
    ["", "x", "[]", "3", "[" * 10**5, '{"name": 1e999}', '{"name": 3}', '{"training": []}', '{"variant": 1}'],
)
def test_wrong_metadata_of_safetensors_are_one_line(tmp_path, text):
    save_file(STATE, tmp_path / "a.safetensors", metadata={"vosbench": text})
    with pytest.raises(InputError, match=r"a\.safetensors: ") as raised:
        read_state(tmp_path / "a.safetensors")
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize(
    "header", [b"{}", b"{", b'{"a":{}}', b'{"a":{"dtype":"F32","shape":[1]}}', b"\xff" * 9]
)
def test_wrong_headers_of_safetensors_are_one_line(tmp_path, header):
    path = tmp_path / "a.safetensors"
    for length in (len(header), 2**63, 0, 10**9):
        path.write_bytes(length.to_bytes(8, "little") + header + bytes(8))
        if (length, header) == (2, b"{}"):
            continue
        with pytest.raises(InputError, match=r"a\.safetensors: not a safetensors file"):
            read_safetensors(path)


@pytest.mark.parametrize("name", ["mpnet", "lvo"])
def test_switches_that_no_network_has_are_one_line(name):
    with pytest.raises(InputError):
        build(name, "tiny", nonsense=1)
    with pytest.raises(InputError) as raised:
        build(name, "tiny", threshold=["x" * 10**6])
    assert len(str(raised.value)) < 500


def test_files_in_the_place_of_weights(tmp_path):
    (tmp_path / "a.ckpt").write_text(json.dumps({"a": 1}))
    for read in (read_state, read_tensors, read_released):
        for path in (tmp_path / "a.ckpt", tmp_path, tmp_path / "none.ckpt", Path("/dev/null")):
            with pytest.raises(InputError):
                read(path)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_of_a_training_that_diverged_are_named(tmp_path, number):
    state = {"a": torch.ones(2), "b": torch.tensor([1.0, number])}
    torch.save({"state_dict": state, "vosbench": DESCRIBED}, tmp_path / "a.ckpt")
    save_file(state, tmp_path / "a.safetensors", metadata={"vosbench": json.dumps(DESCRIBED)})
    for name in ("a.ckpt", "a.safetensors"):
        with pytest.raises(InputError, match=rf"{name}: 'b' holds numbers that are not finite"):
            read_state(tmp_path / name)
