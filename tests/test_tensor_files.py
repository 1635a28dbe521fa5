"""Safetensors files whose tensors are partly in files beside them."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from vosbench.errors import InputError
from vosbench.tensor_files import SHARED, Base, read_safetensors, read_tensors, sha256, write_safetensors

INNER = {
    "net.a.weight": torch.tensor([1.0, 2.0]),
    "net.a.bias": torch.tensor(3.0),
    "net.b.count": torch.tensor(4),
    "net.b.weight": torch.tensor([[5.0]]),
}


def renamed(tensors, there, here):
    return {key.replace(there, here, 1): value for key, value in tensors.items()}


def same(one, other):
    return one.keys() == other.keys() and all(
        one[key].dtype == other[key].dtype and torch.equal(one[key], other[key]) for key in one
    )


@pytest.fixture
def base(tmp_path):
    path = tmp_path / "base.safetensors"
    save_file(INNER, path)
    return path


def write(path, tensors, *bases):
    return write_safetensors(path, tensors, {"about": "x"}, bases)


def test_a_module_that_a_base_has_is_left_out_and_read_from_there(base, tmp_path):
    own = {"head.weight": torch.tensor([9.0]), **renamed(INNER, "net.", "stream.body.")}
    assert write(tmp_path / "own.safetensors", own, base) == [
        Base("base.safetensors", sha256(base), {"stream.body.": "net."})
    ]
    assert list(load_file(tmp_path / "own.safetensors")) == ["head.weight"]
    tensors, metadata = read_safetensors(tmp_path / "own.safetensors")
    assert same(tensors, own)
    assert metadata["about"] == "x"
    assert same(read_tensors(tmp_path / "own.safetensors"), own)


@pytest.mark.parametrize(
    "changed",
    [
        {"net.b.weight": torch.tensor([[5.5]])},
        {"net.b.weight": torch.tensor([[5.0]]).half()},
        {"net.b.weight": torch.tensor([5.0])},
        {"net.b.more": torch.tensor([5.0])},
        {"net.a.bias": torch.tensor(3.0), "net.b.count": torch.tensor(5)},
    ],
    ids=["value", "type", "shape", "one more", "counter"],
)
def test_only_modules_that_are_equal_throughout_are_left_out(base, tmp_path, changed):
    own = INNER | changed
    (shared,) = write(tmp_path / "own.safetensors", own, base)
    assert shared.prefixes == {"net.a.": "net.a."}
    assert {"net.b.weight", "net.b.count"} <= set(load_file(tmp_path / "own.safetensors"))
    assert same(read_tensors(tmp_path / "own.safetensors"), own)


def test_a_file_written_again_has_the_same_hash(tmp_path):
    metadata = {f"key {number}": "välue" for number in range(12)}
    paths = [tmp_path / str(number) for number in range(4)]
    for path in paths:
        write_safetensors(path, {"a": torch.ones(3)}, metadata)
    assert len({sha256(path) for path in paths}) == 1
    assert load_file(paths[0])["a"].tolist() == [1, 1, 1]


def test_zeros_of_either_sign_differ(tmp_path):
    save_file({"a.weight": torch.tensor([0.0])}, tmp_path / "base.safetensors")
    own = {"a.weight": torch.tensor([-0.0])}
    assert write(tmp_path / "own.safetensors", own, tmp_path / "base.safetensors") == []
    assert read_tensors(tmp_path / "own.safetensors")["a.weight"].signbit().all()


def test_a_base_may_be_in_a_network_twice_and_have_bases_itself(base, tmp_path):
    middle = {"x": torch.tensor([7.0]), **renamed(INNER, "net.", "m.")}
    write(tmp_path / "middle.safetensors", middle, base)
    own = {"y": torch.tensor([8.0]), **renamed(INNER, "net.", "p."), **renamed(INNER, "net.", "q.")}
    (shared,) = write(tmp_path / "own.safetensors", own, tmp_path / "middle.safetensors")
    assert shared.prefixes == {"p.": "m.", "q.": "m."}
    assert same(read_tensors(tmp_path / "own.safetensors"), own)
    base.unlink()
    with pytest.raises(InputError, match=r"middle\.safetensors: some of its tensors are in base\."):
        read_tensors(tmp_path / "own.safetensors")


def test_what_an_earlier_base_holds_is_not_sought_in_a_later_one(base, tmp_path):
    later = tmp_path / "later.safetensors"
    save_file(renamed(INNER, "net.", "other.") | {"more.weight": torch.tensor([6.0])}, later)
    own = {**INNER, "z.weight": torch.tensor([6.0])}
    first, second = write(tmp_path / "own.safetensors", own, base, later)
    assert (first.prefixes, second.prefixes) == ({"net.": "net."}, {"z.": "more."})
    assert same(read_tensors(tmp_path / "own.safetensors"), own)


def test_a_file_by_itself_and_one_beside_another_base_are_refused(base, tmp_path):
    own = {"head.weight": torch.tensor([9.0]), **INNER}
    write(tmp_path / "own.safetensors", own, base)
    alone = tmp_path / "alone" / "own.safetensors"
    alone.parent.mkdir()
    alone.write_bytes((tmp_path / "own.safetensors").read_bytes())
    with pytest.raises(InputError, match="keep the two files in one folder"):
        read_safetensors(alone)
    save_file(INNER | {"net.a.bias": torch.tensor(3.5)}, alone.parent / "base.safetensors")
    with pytest.raises(InputError, match=r"base\.safetensors.*another one, by its hash"):
        read_safetensors(alone)


SHA = "0" * 64


MANY = {f"{number}.": "" for number in range(1001)}


@pytest.mark.parametrize(
    "shared",
    [
        "no JSON",
        "[" * 100_000,
        "{}",
        "[1]",
        json.dumps([{"file": "base.safetensors", "sha256": SHA}]),
        json.dumps([{"file": "../base.safetensors", "sha256": SHA, "prefixes": {}}]),
        json.dumps([{"file": "/tmp/base.safetensors", "sha256": SHA, "prefixes": {}}]),
        json.dumps([{"file": "a\\base.safetensors", "sha256": SHA, "prefixes": {}}]),
        json.dumps([{"file": "base.ckpt", "sha256": SHA, "prefixes": {}}]),
        json.dumps([{"file": 3, "sha256": SHA, "prefixes": {}}]),
        json.dumps([{"file": "base.safetensors", "sha256": "abc", "prefixes": {}}]),
        json.dumps([{"file": "base.safetensors", "sha256": SHA, "prefixes": ["a"]}]),
        json.dumps([{"file": "base.safetensors", "sha256": SHA, "prefixes": {"a.": 3}}]),
        json.dumps([{"file": "base.safetensors", "sha256": SHA, "prefixes": MANY}]),
        json.dumps([{"file": "base.safetensors", "sha256": SHA, "prefixes": {}}] * 9),
        json.dumps([{"file": "base.safetensors", "sha256": SHA, "prefixes": {"a" * 1_000_000: ""}}]),
    ],
)
def test_hostile_metadata_are_refused(base, tmp_path, shared):
    save_file({"a": torch.tensor([1.0])}, tmp_path / "own.safetensors", metadata={SHARED: shared})
    with pytest.raises(InputError, match=r"own\.safetensors: its metadata are damaged"):
        read_safetensors(tmp_path / "own.safetensors")


@pytest.mark.parametrize("prefixes", [{"": "net."}, {"x.": "elsewhere."}], ids=["there already", "not there"])
def test_a_base_that_does_not_give_what_is_missing_is_refused(base, tmp_path, prefixes):
    shared = json.dumps([Base(base.name, sha256(base), prefixes)._asdict()])
    save_file({"a.bias": torch.tensor([1.0])}, tmp_path / "own.safetensors", metadata={SHARED: shared})
    with pytest.raises(InputError, match="metadata are damaged"):
        read_safetensors(tmp_path / "own.safetensors")


def test_a_file_that_names_itself_ends_in_an_error(tmp_path):
    shared = json.dumps([Base("own.safetensors", SHA, {"x.": ""})._asdict()])
    save_file({"a": torch.tensor([1.0])}, tmp_path / "own.safetensors", metadata={SHARED: shared})
    with pytest.raises(InputError, match="another one, by its hash"):
        read_safetensors(tmp_path / "own.safetensors")
