"""Detectron's pickles give their arrays, whoever wrote them; a pickle that wants more is not carried out."""

import collections
import fractions
import os
import pickle
import pickletools
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vosbench.errors import InputError
from vosbench.formats.detectron_pickle import read_blobs

RANDOM = np.random.default_rng(0)
BLOBS = {
    "conv1_w": RANDOM.normal(size=(4, 3, 2, 2)).astype(np.float32),
    "conv1_b": RANDOM.normal(size=4),
    "by_columns": np.asfortranarray(RANDOM.normal(size=(3, 5)).astype(np.float16)),
    "big_endian": np.arange(6, dtype=">i8").reshape(2, 3),
    "flags": np.array([True, False]),
    "scalar": np.array(3, np.uint8),
}


@pytest.fixture
def read(tmp_path):
    def read_bytes(content):
        path = tmp_path / "a.pkl"
        path.write_bytes(content)
        return read_blobs(path)

    return read_bytes


def check(found, expected):
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name].dtype.isnative
        assert found[name].flags.c_contiguous
        np.testing.assert_array_equal(found[name], values)
        assert found[name].dtype == values.dtype.newbyteorder("=")


def short(text):
    return b"U" + bytes([len(text)]) + text


def python_2_array(values):
    """The instructions that Python 2 and its NumPy write for an array, in protocol 2."""
    raw = values.tobytes()
    sides = b"".join(b"\x8a\x04" + struct.pack("<i", side) for side in values.shape)
    return (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85"
        + short(b"b")
        + b"\x87R(K\x01("
        + sides
        + b"tcnumpy\ndtype\nq\x04"
        + short(values.dtype.str[1:].encode())
        + b"K\x00K\x01\x87R(K\x03"
        + short(b"<")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
        + struct.pack("<i", len(raw))
        + raw
        + b"tb"
    )


def python_2_blobs(blobs, settings="MODEL:\n  NUM_CLASSES: 81\n"):
    items = b"".join(short(name.encode()) + python_2_array(values) for name, values in blobs.items())
    return (
        b"\x80\x02}q\x01(" + short(b"blobs") + b"}(" + items + b"u" + short(b"cfg") + short(settings.encode())
        + b"u."
    )  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_all_protocols(read, protocol):
    content = {"blobs": BLOBS, "cfg": "NUM_GPUS: 8\n", "step": 7, "lr": 0.1}
    check(read(pickle.dumps(content, protocol)), BLOBS)


def test_a_pickle_of_python_2_and_the_numpy_of_its_time(read):
    blobs = {name: BLOBS[name] for name in ("conv1_w", "conv1_b")}
    content = python_2_blobs(blobs)
    check(read(content), blobs)
    # the same instructions are what NumPy itself understands
    check(pickle.loads(content, encoding="latin1")["blobs"], blobs)


def test_arrays_at_the_top(read):
    check(read(pickle.dumps(collections.OrderedDict(BLOBS))), BLOBS)


def test_entries_that_are_no_arrays_are_left_out(read):
    blobs = {"lr": np.float32(0.5), "names": ["a", "b"], "size": (1, 2), "conv1_w": BLOBS["conv1_w"]}
    check(read(pickle.dumps({"blobs": blobs}, 2)), {"conv1_w": BLOBS["conv1_w"]})


def test_one_array_under_two_names(read):
    values = BLOBS["conv1_w"]
    check(read(pickletools.optimize(pickle.dumps({"a": values, "b": values}, 2))), {"a": values, "b": values})


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_pickle_runs_nothing(read, tmp_path, protocol):
    content = pickle.dumps({"blobs": BLOBS | {"x": Malicious(tmp_path / "made")}}, protocol)
    with pytest.raises(InputError, match=r"a\.pkl: ") as raised:
        read(content)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "made").exists()
    # it is not for lack of trying
    pickle.loads(content)
    assert (tmp_path / "made").exists()


def by_stack(module, name):
    return b"\x8c" + bytes([len(module)]) + module + b"\x8c" + bytes([len(name)]) + name + b"\x93"


NUMPY = b"cnumpy\ndtype\n"
MORE_THAN_DATA = {
    "a global": b"\x80\x02cos\nsystem\nU\x02ls\x85R.",
    "a global by the stack": b"\x80\x04" + by_stack(b"os", b"system") + b"\x8c\x02ls\x85R.",
    "an attribute of something known": b"\x80\x04" + by_stack(b"numpy", b"dtype.__class__") + b".",
    "another name of numpy": b"\x80\x02cnumpy\nload\nU\x01a\x85R.",
    "numpy's own name for running": b"\x80\x02cnumpy.testing\nrundocs\nU\x01a\x85R.",
    "builtins": b"\x80\x02c__builtin__\neval\nU\x011\x85R.",
    "an instance": b"\x80\x02(U\x02lsios\nsystem\n.",
    "an object": b"\x80\x02(cos\nsystem\nU\x02lso.",
    "a class by its constructor": b"\x80\x02" + NUMPY + b")\x81.",
    "a persistent id": b"\x80\x02U\x01aQ.",
    "an extension": b"\x80\x02\x82\x01.",
    "a changed function": b"\x80\x02" + NUMPY + b"}U\x05_callK\x01sb.",
    "a fraction": pickle.dumps({"a": fractions.Fraction(1, 3)}),
}


@pytest.mark.parametrize("content", MORE_THAN_DATA.values(), ids=MORE_THAN_DATA)
def test_more_than_data_is_refused_before_it_runs(read, content):
    with pytest.raises(
        InputError, match=r"a\.pkl: not read, because it .*; nothing in it was run$"
    ) as raised:
        read(content)
    assert "\n" not in str(raised.value)


def test_functions_stand_for_themselves_after_a_pickle_that_tried_to_change_them(read):
    state = b"N}U\x05_callK\x01s\x86b"
    with pytest.raises(InputError, match="it changes a function"):
        read(b"\x80\x02" + NUMPY + state + b".")
    check(read(pickle.dumps(BLOBS, 2)), BLOBS)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not a pickle of protocol 2 or later"),
        (b"PK\x03\x04", "not a pickle of protocol 2 or later"),
        (pickle.dumps(BLOBS, 0), "not a pickle of protocol 2 or later"),
        (pickle.dumps({"blobs": {}}), "a pickle without arrays"),
        (pickle.dumps([1, 2]), "a pickle without arrays"),
        (pickle.dumps({"blobs": 3}), "a pickle without arrays"),
        (pickle.dumps({"a": np.array([None])}, 2), "an array of kind 'O8'"),
        (pickle.dumps({"a": np.zeros(2, "f4,i4")}, 2), "an array of kind 'V8'"),
        (pickle.dumps({"a": np.array(["x"])}, 2), "an array of kind 'U1'"),
        (pickle.dumps({3: BLOBS["flags"]}, 2), "an array without name"),
        (b"\x80\x02cnumpy\nndarray\nK\x05\x85R.", "an array made by its class"),
        (
            b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nJ\xff\xff\xff\x7f\x85U\x01b\x87R.",
            "an array that does not start empty",
        ),
        (b"\x80\x02Nr\xff\xff\xff\x7f.", "entry 2147483647 of a memo of 1"),
        (b"\x80\x02T\xff\xff\xff\x7f.", "damaged or truncated"),
        (b"\x80\x05\x8e" + struct.pack("<Q", 2**62) + b".", "damaged or truncated"),
        (b"\x80\x02" + b"(" * 100_000, "damaged or truncated"),
        (b"\x80\x02N" + b"\x85" * 100_000 + b".", "without arrays"),
    ],
    ids=lambda value: value if isinstance(value, str) else "_",
)
def test_what_is_no_detectron_model_is_refused_in_one_line(read, content, complaint):
    with pytest.raises(InputError, match=complaint) as raised:
        read(content)
    assert "a.pkl: " in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("shape", "complaint"),
    [
        ((7,), r"24 bytes for an array of size \(7,\)"),
        ((2**31 - 1, 2**31 - 1), "24 bytes for an array"),
        ((-2, -3), "a size that is none"),
        ((0,), r"24 bytes for an array of size \(0,\)"),
    ],
)
def test_an_array_of_another_size_than_its_bytes(read, shape, complaint):
    sound = python_2_blobs({"a": np.zeros((2, 3), np.float32)})
    sides = b"".join(b"\x8a\x04" + struct.pack("<i", side) for side in (2, 3))
    claimed = b"".join(b"\x8a\x04" + struct.pack("<i", side) for side in shape)
    assert sides in sound
    with pytest.raises(InputError, match=complaint):
        read(sound.replace(sides, claimed))


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match=r"none\.pkl: no such file"):
        read_blobs(tmp_path / "none.pkl")


SMALL = {"conv1_w": np.arange(6, dtype=np.float32).reshape(2, 3), "conv1_b": np.arange(4.0)}
SOUND = [
    python_2_blobs(SMALL),
    pickle.dumps({"blobs": SMALL}, 2),
    pickle.dumps({"blobs": SMALL, "cfg": "a: 1"}, 4),
    pickle.dumps({"blobs": SMALL}, 5),
]


def outcome(path, content):
    """Read this content: the arrays, or None when it is refused as it should be."""
    path.write_bytes(content)
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    try:
        found = read_blobs(path)
    except InputError as error:
        message = str(error)
        assert path.name in message, message
        assert "\n" not in message, message
        found = None
    else:
        assert all(
            isinstance(values, np.ndarray) and values.dtype.kind in "fiub" for values in found.values()
        )
    _, peak = tracemalloc.get_traced_memory()
    assert peak - before < 2**22
    return found


@pytest.fixture
def traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("content", SOUND)
def test_a_file_that_is_cut_off_is_refused(tmp_path, traced, content):
    assert outcome(tmp_path / "a.pkl", content) is not None
    for end in range(0, len(content), 3):
        assert outcome(tmp_path / "a.pkl", content[:end]) is None


@pytest.mark.parametrize("content", SOUND)
def test_flipped_bits_are_named_or_harmless(tmp_path, traced, content):
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        outcome(tmp_path / "a.pkl", bytes(changed))


FUZZ = settings(
    max_examples=150,
    deadline=5000,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
CODES = b"".join(code.code.encode("latin-1") for code in pickletools.opcodes)


@FUZZ
@given(st.data())
def test_damage_is_named_or_harmless(tmp_path, traced, data):
    content = data.draw(st.sampled_from(SOUND))
    at = data.draw(st.integers(0, len(content) - 1))
    length = data.draw(st.integers(0, 40))
    codes = st.lists(st.sampled_from(list(CODES)), max_size=12).map(bytes)
    patch = data.draw(codes | st.binary(max_size=20) | st.just(2 * content[at : at + length]))
    outcome(tmp_path / "a.pkl", content[:at] + patch + content[at + length :])
