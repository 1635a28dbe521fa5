"""Records, baselines and published numbers of others: a wrong kind, number or name is named by its key."""

import json

import pytest

from vosbench.errors import InputError
from vosbench.evaluation.record import Failure, Record
from vosbench.leaderboard.baseline import baseline_text, read_baseline
from vosbench.leaderboard.published import load_published
from vosbench.video import Video


@pytest.fixture
def sound(soak_program):
    return soak_program("readers").sound_record()


def changed(content, key, value):
    """The content with one value replaced, by a path such as ``provenance.git.commit``."""
    *owners, last = key.split(".")
    inner = content
    for owner in owners:
        inner = inner[owner]
    inner[last] = value
    return content


def write(tmp_path, content):
    path = tmp_path / "cat.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_the_sound_record_is_read(sound, tmp_path):
    assert Record.read(write(tmp_path, sound)) == Record(**sound)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("frames", -5, "cat.json.frames is -5, must be a whole number from 0 to 10,000,000"),
        ("frames", 10**12, "cat.json.frames is 1000000000000, must be"),
        ("frames", 5.0, "cat.json.frames is 5.0, must be"),
        ("frames", True, "cat.json.frames is True, must be"),
        ("frames", None, "cat.json.frames is None, must be"),
        ("frames", 2, "3 values of J for 2 frames"),
        ("model", 3, "cat.json.model is 3, must be a text"),
        ("sequence", "../../x", "sequence '../../x' is no name"),
        ("sequence", "/etc/passwd", "sequence '/etc/passwd' is no name"),
        ("sequence", "..", "sequence '..' is no name"),
        ("sequence", "a\nb", r"sequence 'a\nb' is no name"),
        ("sequence", "\x1b[2J", r"sequence '\x1b[2J' is no name"),
        ("sequence", "x" * 5000, "sequence 'xxx"),
        ("model", "a\0b", r"model 'a\x00b' is no name"),
        ("values", [], "cat.json.values is [], must be a mapping"),
        ("values.J_mean", "0.5", "cat.json.values.J_mean is '0.5', must be"),
        ("values.J_mean", 1e300, "cat.json.values.J_mean is 1e+300, must be a number from"),
        ("per_frame.J", 0.5, "cat.json.per_frame.J is 0.5, must be a list"),
        ("per_frame.J", [0.5, "x"], "cat.json.per_frame.J[1] is 'x', must be"),
        ("per_frame.J", [0.5, [0.5]], "cat.json.per_frame.J[1] is [0.5], must be"),
        ("seconds_per_frame.flow", -1.0, "cat.json.seconds_per_frame.flow is -1.0, must be"),
        ("provenance", [], "cat.json.provenance is [], must be a mapping"),
        ("provenance.objects", "many", "cat.json.provenance.objects is 'many', must be"),
        (
            "provenance.weights",
            "a.ckpt",
            "cat.json.provenance.weights is 'a.ckpt', must be null or a mapping",
        ),
        ("provenance.weights.released", [{}], "cat.json.provenance.weights.released[0] lacks file, sha256"),
        ("provenance.git", {"commit": "a"}, "cat.json.provenance.git lacks clean"),
        ("provenance.training.parts", [{"key": "a"}], "training.parts[0] lacks weights, sha256"),
        ("provenance.training.data.sequences", [["cat"]], "sequences[0] is ['cat'], must be a text"),
        ("provenance.load.seconds", "1", "cat.json.provenance.load.seconds is '1', must be"),
        ("schema", 2, "record schema 2, this version reads 1"),
        ("schema", "x" * 10**6, "record schema 'xxx"),
        ("surplus", 1, "unexpected keyword argument 'surplus'"),
        ("x" * 10**6, 1, "not a vosbench record (Record.__init__() got an unexpected keyword argument 'xxx"),
    ],
)
def test_a_wrong_value_is_named_by_file_and_key(sound, tmp_path, key, value, reason):
    with pytest.raises(InputError) as raised:
        Record.read(write(tmp_path, changed(sound, key, value)))
    message = str(raised.value)
    assert reason in message
    assert "cat.json" in message
    assert "\n" not in message
    assert len(message) < 500


@pytest.mark.parametrize(
    "text", ['{"frames": 1e999}', '{"frames": NaN}', '{"frames": ' + "9" * 5000 + "}", "[" * 10**5]
)
def test_numbers_and_depths_that_no_record_has(tmp_path, text):
    path = tmp_path / "cat.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"cat\.json: not a vosbench record \(.*\); delete it to compute it"):
        Record.read(path)
    with pytest.raises(InputError, match=r"cat\.json: not a file of a failure \(.*\); delete it"):
        Failure.read(path)
    with pytest.raises(InputError, match=r"cat\.json: not a baseline \(.*\); write it with"):
        read_baseline(path)


def test_what_vosbench_writes_itself_is_read(tmp_path, sound):
    nan = Record(**sound | {"values": {"J_mean": float("nan")}})
    nan.write(tmp_path / "cat.json")
    assert Record.read(tmp_path / "cat.json").values == {"J_mean": None}
    (tmp_path / "baseline.json").write_text(baseline_text([Record(**sound)]))
    assert [record.frames for record in read_baseline(tmp_path / "baseline.json")] == [5]


@pytest.mark.parametrize(("frames", "values"), [(-5, {}), (10**12, {}), (5, {"J_mean": "x"}), (5, [])])
def test_a_baseline_is_checked_as_records_are(tmp_path, sound, frames, values):
    path = tmp_path / "baseline.json"
    path.write_text(baseline_text([Record(**sound)]))
    content = json.loads(path.read_text())
    content["rows"][0]["sequences"]["cat"] |= {"frames": frames, "values": values}
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"baseline\.json: 'mpnet' on 'cat'\.(frames|values)"):
        read_baseline(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("unit", 0),
        ("unit", "x"),
        ("methods", []),
        ("methods", {"old": 1}),
        ("methods", {"old": {"sequences": {"../x": {}}}}),
        ("sources", None),
    ],
)
def test_published_numbers_of_another_form(tmp_path, soak_program, key, value):
    path = tmp_path / "a.json"
    soak_program("readers").readers()["published numbers"].write(path)
    assert load_published(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(InputError, match=r"a\.json"):
        load_published(path)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "/x", "a//b", "a\nb", "a\0b", "\udcff", "\x1b[31m", "x" * 2000]
)
def test_a_video_has_names_that_results_can_be_written_under(name):
    with pytest.raises(InputError, match="results cannot have this name; rename it"):
        Video(name, [], ())
    with pytest.raises(InputError, match=r"frame .*: results cannot have this name"):
        Video("cat", [], ("00000", name))


@pytest.mark.parametrize(
    "name",
    [
        "a b",
        "-rf",
        "--out",
        "日本語",
        "aeroplane/0001",
        "é" * 100,
        "x" * 300,
        "=1+1",
        "<b>",
        "[/x]",
        "..a",
        "$HOME",
    ],
)
def test_unusual_names_are_names(name):
    assert Video(name, [], (name,)).name == name


def test_a_list_of_frames_does_not_lead_out_of_its_data_set(make_davis, tmp_path):
    from vosbench.data.datasets.davis import Davis2016

    root = make_davis(tmp_path)
    path = root / "davis16" / "ImageSets" / "480p" / "val.txt"
    for line in ("/JPEGImages/480p/../../../x.jpg /Annotations/480p/dog/00000.png", "\udcff a.png"):
        path.write_text(line, errors="surrogateescape")
        with pytest.raises(
            InputError, match=r"val\.txt, line 1: expected a frame and its mask|lacks the frame"
        ):
            Davis2016(root)
