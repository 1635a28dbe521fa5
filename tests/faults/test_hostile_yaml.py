"""YAML and JSON of others: read within limits, nothing resolved, nothing written outside of the output."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vosbench.ablations.load import load_suite
from vosbench.errors import InputError
from vosbench.plain_data import (
    MOST_DEPTH,
    MOST_VALUES,
    Range,
    Whole,
    check_kind,
    parse_json,
    parse_yaml,
    read_json,
    read_yaml,
)

SUITE = """
id: small
title: A small table
paper: Somebody et al.
table: 1
method: MP-Net
varies: nothing
flows:
  ldof: {title: LDOF, official: "precomputed:${LDOF}/davis16", mini: dis}
columns:
  davis16: {dataset: davis16, split: val, protocol: davis16-unsupervised, metric: J_mean, flow: ldof}
editions:
  mini: {size: tiny, seeds: [0]}
trainings:
  one: {model: mpnet, set: {model.decoder_units: 1}}
rows:
  one: {title: One, training: one}
orderings: []
"""


def bomb(levels=8):
    """YAML of a few hundred bytes that stands for 9 ** `levels` texts."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]" for level in range(1, levels)]
    return "\n".join(lines)


MERGES = "a0: &a0 {x: 1}\n" + "\n".join(
    f"a{level}: &a{level} {{<<: [{', '.join([f'*a{level - 1}'] * 9)}]}}" for level in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (bomb(), f"more than {MOST_VALUES} values"),
        (MERGES, f"more than {MOST_VALUES} values"),
        ("[" * 100 + "]" * 100, f"nested more than {MOST_DEPTH} deep"),
        ("- " * 100_000, f"nested more than {MOST_DEPTH} deep"),
        ("a: &a [*a]", "the alias a is undefined or within what it stands for"),
        ("a: &a {<<: *a}", "the alias a is undefined"),
        ("a: *b", "the alias b is undefined"),
        ("? [a, b]\n: 1", "a key that is no text, line 1"),
        ("{{a: 1}: 2}", "a key that is no text"),
        ("a: 1\na: 2", "key 'a' twice, line 2"),
        ("x: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("x: !!binary aGk=", "could not determine a constructor"),
        ("x: !!int ''", "string index out of range"),
        ("x: !!bool q", "'q'"),
        ("x: " + "1" * 5000, "a number of 5000 digits"),
        ("x: 0x" + "f" * 30, "a number of"),
        ("a: [1, 2", "did not find expected"),
        ("--- 1\n--- 2", "expected a single document"),
        ("\0", "control characters are not allowed"),
    ],
)
def test_yaml_beyond_the_limits_is_one_line(text, reason):
    with pytest.raises(InputError) as raised:
        parse_yaml(text, "a.yaml")
    message = str(raised.value)
    assert message.startswith("a.yaml: not YAML (")
    assert reason in message
    assert "\n" not in message
    assert len(message) < 300


def test_bytes_that_are_no_text():
    with pytest.raises(InputError, match=r"a\.yaml: not YAML \('utf-8' codec"):
        parse_yaml(b"\xff\xfe", "a.yaml")
    with pytest.raises(InputError, match=r"a\.json: not a JSON file \('utf-8' codec"):
        parse_json(b'"\xff"', "a.json")


def test_aliases_and_merged_mappings_within_the_limits_are_read():
    text = "a: &a {b: [1, 2.5, x, null, true]}\nc: {<<: *a, d: 2001-01-01}\ne: *a"
    inner = {"b": [1, 2.5, "x", None, True]}
    assert parse_yaml(text, "") == {"a": inner, "c": {**inner, "d": "2001-01-01"}, "e": inner}


def test_the_deepest_yaml_and_json_that_are_read():
    assert str(parse_yaml("[" * MOST_DEPTH + "]" * MOST_DEPTH, "")) == "[" * MOST_DEPTH + "]" * MOST_DEPTH
    deep = "[" * (MOST_DEPTH - 1) + "]" * (MOST_DEPTH - 1)
    assert str(parse_json(deep, "")) == deep


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"a": 1e999}', "the number 1e999"),
        ('{"a": NaN}', "NaN is no number"),
        ("[-Infinity]", "-Infinity is no number"),
        ("9" * 30, "a number of 30 digits"),
        ("9" * 5000, "a number of 5000 digits"),
        ("[" * 60 + "]" * 60, f"nested more than {MOST_DEPTH} deep"),
        ("[" * 100_000, "maximum recursion depth"),
        ('["\\ud800"]', "surrogates not allowed"),
        ('{"a": 1', "delimiter"),
        ("", "Expecting value"),
    ],
)
def test_json_beyond_the_limits_is_one_line(text, reason):
    with pytest.raises(InputError) as raised:
        parse_json(text, "a.json")
    assert str(raised.value).startswith("a.json: not a JSON file (")
    assert reason in str(raised.value)
    assert len(str(raised.value)) < 300


def test_pairs_of_utf_16_are_characters():
    assert parse_json('"\\ud83d\\ude00"', "") == "😀"


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(10**17), 10**17)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_that_python_writes_is_read_as_it_was(value):
    assert parse_json(json.dumps(value), "") == value


@pytest.mark.parametrize("read", [read_json, read_yaml])
def test_a_device_without_end_is_read_to_the_limit(read):
    with pytest.raises(InputError, match=r"/dev/zero: larger than .* MiB"):
        read(Path("/dev/zero"))


@pytest.mark.parametrize("read", [read_json, read_yaml])
def test_what_is_no_file(read, tmp_path):
    with pytest.raises(InputError, match="none: no such file"):
        read(tmp_path / "none")
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / ("x" * 300))
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "a\0b")


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        ({"a": 1}, {"a": str}, "f.a is 1, must be a text"),
        ({"a": True}, {"a": int}, "f.a is True, must be a whole number"),
        ({"a": [1, "x"]}, {"a": [int]}, r"f.a\[1\] is 'x', must be a whole number"),
        ({"a": -5}, {"a": Range(0, 10)}, "f.a is -5, must be a whole number from 0 to 10"),
        ({"a": 2.5}, {"a": Range(0, 10)}, "f.a is 2.5, must be a whole number from 0 to 10"),
        ({"a": 10**12}, {"a": (None, Range(0.0, 10))}, "must be null or a number from 0.0 to 10"),
        ({"a": {"b": []}}, {"a": (None, {"b": {}})}, r"f.a.b is \[\], must be a mapping"),
        ({"a": {}}, {"a": Whole(b=str, c=str)}, "f.a lacks b, c"),
        ([], {}, r"f is \[\], must be a mapping"),
        ({1: 2}, {"*": str}, "f.1 is 2, must be a text"),
    ],
)
def test_kinds_name_the_key_and_the_value(value, kind, message):
    with pytest.raises(InputError, match=message):
        check_kind(value, kind, "f")


def test_kinds_that_fit():
    check_kind(
        {"a": [1, 2], "b": None, "c": {"x": 1.5}}, {"a": [float], "b": (str, None), "*": {"*": float}}, "f"
    )


def write(tmp_path, text):
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("id_", ["../../x", "/tmp/x", "..", "a/b", "A", "a b", "x" * 10 + "\u202e"])
def test_the_id_of_a_suite_names_a_folder_of_the_output(tmp_path, id_):
    with pytest.raises(InputError, match=r"a\.yaml: id .* must be lower-case letters, digits and _"):
        load_suite(write(tmp_path, SUITE.replace("id: small", f"id: {json.dumps(id_)}")))


@pytest.mark.parametrize(
    "key",
    [
        "run",
        "runs",
        "resume",
        "init",
        "logger",
        "data_root",
        "seed",
        "hydra.run.dir",
        "++run",
        "~model",
        "a.b",
    ],
)
def test_a_suite_sets_neither_files_nor_folders_of_the_command(tmp_path, key):
    text = SUITE.replace("model.decoder_units: 1", f"{json.dumps(key)}: /tmp/elsewhere")
    with pytest.raises(InputError, match=r"a\.yaml: trainings\.one: a suite cannot set"):
        load_suite(write(tmp_path, text))
    text = SUITE.replace("seeds: [0]", f"seeds: [0], set: {{mpnet: {{{json.dumps(key)}: 1}}}}")
    with pytest.raises(InputError, match=r"editions\.mini\.set\.mpnet: a suite cannot set"):
        load_suite(write(tmp_path, text))


def test_a_flow_reads_only_the_variables_that_are_made_for_it(tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET", "swordfish")
    monkeypatch.setenv("VOSBENCH_FLOW_LDOF", "/flows")
    assert load_suite(write(tmp_path, SUITE)).flows["ldof"].text("official") == "precomputed:/flows/davis16"
    flow = load_suite(write(tmp_path, SUITE.replace("{LDOF}", "{SECRET}"))).flows["ldof"]
    with pytest.raises(InputError, match=r"set \$VOSBENCH_FLOW_SECRET to the folder") as raised:
        flow.text("official")
    assert "swordfish" not in str(raised.value)


@pytest.mark.parametrize(
    "change",
    [
        ("seeds: [0]", "seeds: [true]"),
        ("seeds: [0]", "seeds: [-1]"),
        ("seeds: [0]", "seeds: [99999999999]"),
        ("seeds: [0]", "seeds: {0: 1}"),
        ("size: tiny", "size: [tiny]"),
        ("size: tiny", "size: {a: b}"),
        ("dataset: davis16", "dataset: [davis16]"),
        ("table: 1", "table: [1]"),
        ("orderings: []", "orderings: {}"),
        ("orderings: []", "orderings: [{expect: [1], column: davis16, source: a}]"),
        ("orderings: []", "orderings: [1]"),
        ("training: one", "training: {one: two}"),
        ("training: one", "training: one, weights: {1: one}"),
        ("training: one", "training: one, settings: [1]"),
        ("set: {model.decoder_units: 1}", "set: [1]"),
        ("set: {model.decoder_units: 1}", "set: {1: 2}"),
        ("model: mpnet", f"model: {'x' * 100_000}"),
    ],
)
def test_suites_with_values_of_other_kinds_are_one_line(tmp_path, change):
    with pytest.raises(InputError) as raised:
        load_suite(write(tmp_path, SUITE.replace(*change)))
    assert "a.yaml" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 1000


def test_a_title_that_looks_like_a_date_is_a_text(tmp_path):
    text = SUITE.replace("title: A small table", "title: 2001-01-01")
    assert load_suite(write(tmp_path, text)).title == "2001-01-01"


@pytest.mark.parametrize(
    "line",
    [
        "model.crf=${oc.env:SECRET}",
        "model.crf='${oc.env:SECRET}'",
        "run=${oc.env:SECRET}",
        "recipe.A.data=[${oc.decode:${oc.env:SECRET}}]",
        "data.options={a: ${oc.env:SECRET}}",
    ],
)
def test_no_key_of_fit_resolves_a_variable(line, monkeypatch):
    from vosbench.composition import compose_fit

    monkeypatch.setenv("SECRET", "swordfish")
    with pytest.raises(InputError, match=r"\$\{...\} is not replaced") as raised:
        compose_fit(["model=mpnet", line])
    assert "swordfish" not in str(raised.value)


def test_a_key_of_fit_of_a_megabyte_is_refused_before_it_is_parsed():
    from vosbench.composition import compose_fit

    with pytest.raises(InputError, match="1000004 characters, at most 10000"):
        compose_fit(["model=mpnet", "run=" + "[" * 1_000_000])
    with pytest.raises(InputError, match=r"cannot read 'run=\[\[\["):
        compose_fit(["model=mpnet", "run=" + "[" * 5000])
