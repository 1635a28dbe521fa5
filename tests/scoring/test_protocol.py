from pathlib import Path

import pytest
import yaml

import vosbench
from vosbench.data.catalogue import CATALOGUE
from vosbench.errors import InputError
from vosbench.evaluation.store import content_hash
from vosbench.leaderboard.reported import DATASETS
from vosbench.scoring.protocol import load_protocol, parse_protocol, protocol_of_table, protocols

FOLDER = Path(vosbench.__file__).parent / "configs" / "protocol"


def test_protocols_are_the_files_of_their_folder_in_the_order_of_tables():
    assert {protocol.id for protocol in protocols()} == {path.stem for path in FOLDER.glob("*.yaml")}
    assert [protocol.id for protocol in protocols()] == [
        "davis16-unsupervised",
        "davis16-semi-supervised",
        "davis16-instances-semi-supervised",
        "davis16-matlab",
        "davis16-map50",
        "davis17-semi-supervised",
        "davis17-unsupervised",
        "davis17-proposed",
        "fbms-official",
        "fbms-proposed",
        "fbms-moving",
        "fbms-binary",
        "segtrack-iou",
        "youtube-objects-unsupervised",
        "youtube-objects-semi-supervised",
        "ft3d-iou",
    ]


def test_protocols_of_a_data_set_are_those_that_can_score_it():
    assert [protocol.id for protocol in protocols("segtrack")] == ["segtrack-iou"]
    assert [protocol.id for protocol in protocols("davis16")] == [
        "davis16-unsupervised",
        "davis16-semi-supervised",
        "davis16-instances-semi-supervised",
        "davis16-matlab",
        "davis17-semi-supervised",
        "davis17-unsupervised",
    ]
    assert protocols("coco") == []


def test_every_protocol_loads_under_its_own_id():
    assert all(load_protocol(path.stem).id == path.stem for path in FOLDER.glob("*.yaml"))


def test_davis16_drops_the_first_and_the_last_frame_and_merges_all_ids():
    protocol = load_protocol("davis16-unsupervised")
    assert list(protocol.evaluated(5)) == [1, 2, 3]
    assert (protocol.objects, protocol.void, protocol.average) == ("union", "foreground", "sequences")
    assert protocol.metrics == ("j", "f", "t")


def test_ten_sequences_of_davis16_count_for_stability():
    counted = load_protocol("davis16-unsupervised").stability_sequences
    assert len(counted) == 10
    assert "blackswan" in counted
    assert "dog" not in counted


def test_davis17_conventions():
    semi, unsupervised = load_protocol("davis17-semi-supervised"), load_protocol("davis17-unsupervised")
    assert list(semi.evaluated(5)) == [1, 2, 3]
    assert list(unsupervised.evaluated(5)) == [0, 1, 2, 3, 4]
    assert (semi.objects, semi.void) == ("ids", "background")
    assert (unsupervised.objects, unsupervised.void) == ("match", "ignore")
    assert (dict(semi.options), dict(unsupervised.options)) == ({}, {"annotations": "unsupervised"})


def test_options_are_those_of_the_data_set_that_a_protocol_is_made_for():
    unsupervised = load_protocol("davis17-unsupervised")
    assert unsupervised.reader_options("davis17") == {"annotations": "unsupervised"}
    assert unsupervised.reader_options("davis16") == {}


@pytest.mark.parametrize("length", [0, 1, 2])
def test_no_inner_frame_in_a_sequence_of_two(length):
    assert list(load_protocol("davis16-unsupervised").evaluated(length)) == []


def test_unknown_protocol_suggests_the_nearest():
    with pytest.raises(InputError, match="did you mean davis16-unsupervised"):
        load_protocol("davis16-unsupervsed")


def test_metrics_are_chosen_in_the_protocols_order():
    protocol = load_protocol("davis16-unsupervised")
    assert protocol.choose_metrics(None) == ("j", "f", "t")
    assert protocol.choose_metrics(("t", "j")) == ("j", "t")


@pytest.mark.parametrize("asked", [("j", "x"), ()])
def test_a_metric_the_protocol_lacks_is_refused(asked):
    with pytest.raises(InputError, match="davis17-unsupervised has j, f"):
        load_protocol("davis17-unsupervised").choose_metrics(asked)


def test_t_is_not_part_of_davis17():
    with pytest.raises(InputError, match="metric 't'"):
        load_protocol("davis17-semi-supervised").choose_metrics(("t",))


def definition_of(name):
    return load_protocol(name).definition()


def definition(**changes):
    rules = load_protocol("davis16-unsupervised")
    return rules.definition() | {"datasets": list(rules.datasets), "order": 1} | changes


def test_whom_a_protocol_serves_is_no_rule_and_changes_no_record():
    assert not {"datasets", "tables", "variant"} & load_protocol("davis16-unsupervised").definition().keys()
    assert load_protocol("fbms-official").definition()["variant"] == "official"


def test_a_definition_is_plain_data_and_reads_back():
    content = yaml.safe_load(yaml.safe_dump(definition()))
    assert parse_protocol(content, "x.yaml").definition() == definition_of("davis16-unsupervised")


def test_t_of_matlab_is_a_rule_and_that_of_python_changes_no_record():
    assert "stability" not in definition()
    assert definition_of("davis16-matlab")["stability"] == "matlab"
    assert "compared" not in definition_of("davis16-matlab")


def test_the_protocol_of_matlab_differs_from_the_usual_one_in_t_alone():
    matlab, usual = definition_of("davis16-matlab"), definition_of("davis16-semi-supervised")
    changed = {key for key in matlab.keys() | usual.keys() if matlab.get(key) != usual.get(key)}
    assert changed == {"id", "title", "source", "stability"}


def test_keys_of_records_keep_the_first_name_of_an_option():
    assert definition_of("davis17-unsupervised")["options"] == {"edition": "unsupervised"}
    assert content_hash(definition_of("davis17-unsupervised")).startswith("9e236e7d57e0")


def test_the_version_is_a_rule_once_it_is_raised():
    """Keys of records hash the definition: those of protocols that never changed stay as they are."""
    assert "version" not in definition()
    raised = parse_protocol(definition(version=2), "x.yaml")
    assert raised.definition() == definition_of("davis16-unsupervised") | {"version": 2}
    assert content_hash(raised.definition()) != content_hash(definition_of("davis16-unsupervised"))


FIRST = {
    "davis16-unsupervised": "ba2ed9c23775",
    "davis16-semi-supervised": "dba4d33ab5c8",
    "davis16-map50": "9d60fb6e417f",
    "davis17-semi-supervised": "ccd88bca7094",
    "davis17-unsupervised": "c0a86801c2f1",
    "davis17-proposed": "888b657eac2b",
    "fbms-official": "6d1ffd5e8263",
    "fbms-proposed": "dbf25e70c34a",
    "fbms-moving": "e9a28467a282",
    "fbms-binary": "ae64cbbc7b53",
    "segtrack-iou": "889a0d2cf108",
    "youtube-objects-unsupervised": "b8395f139eca",
    "youtube-objects-semi-supervised": "f41ab40fc16f",
    "ft3d-iou": "b11803c6ba42",
}
"""Hashes of the definitions as they first were, part of the keys of records that people have."""


@pytest.mark.parametrize(("name", "first"), FIRST.items())
def test_records_outlive_a_release_unless_the_version_of_their_protocol_is_raised(name, first):
    kept = content_hash(definition_of(name)).startswith(first)
    assert kept == (load_protocol(name).version == 1)


def test_protocols_whose_values_changed_are_raised():
    raised = {protocol.id for protocol in protocols() if protocol.version > 1}
    assert raised == {"davis17-unsupervised", "fbms-moving"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        *((definition(version=wrong), "version is .*, must be a whole number") for wrong in (0, 1.5, True)),
        *((definition(order=wrong), "order is .*, must be a whole number") for wrong in (0, "first")),
        (definition(stability="c"), "x.yaml: stability is 'c', must be one of python, matlab"),
        (definition(compared="no"), "x.yaml: compared is 'no', must be one of True, False"),
        (definition(frames="some"), "x.yaml: frames is 'some', must be one of inner, all"),
        (definition(metrics=["j", "k"]), "x.yaml: metrics is 'k'"),
        (definition(metrics=["map50"]), "x.yaml: metric 'map50' is pooled, average is 'sequences'"),
        (definition(average="pooled"), "x.yaml: metric 'j' is not pooled, average is 'pooled'"),
        (definition(framse="all"), "unknown key in x.yaml 'framse': did you mean frames"),
        ({"id": "x"}, "x.yaml: missing average, datasets, frames"),
        ([], "x.yaml: expected a mapping"),
    ],
)
def test_a_wrong_definition_is_refused(content, message):
    with pytest.raises(InputError, match=message):
        parse_protocol(content, "x.yaml")


def test_default_protocols_of_the_catalogue_exist():
    evaluation = {name: known for name, known in CATALOGUE.items() if known.kind == "evaluation"}
    assert evaluation
    for name, known in evaluation.items():
        assert load_protocol(known.protocol).datasets[0] == name


def test_evaluated_frames_of_every_kind():
    def evaluated(name, length, annotated):
        return list(load_protocol(name).evaluated(length, annotated))

    assert evaluated("fbms-proposed", 100, [60, 0, 20]) == [0, 20, 60]
    assert evaluated("youtube-objects-semi-supervised", 100, [9, 0, 19]) == [9, 19]
    assert evaluated("davis16-map50", 4, range(4)) == [0, 1, 2]
    assert evaluated("davis17-unsupervised", 3, [0]) == [0, 1, 2]


def test_jf_comes_with_j_and_f_and_brings_them():
    semi = load_protocol("davis17-semi-supervised")
    assert semi.choose_metrics(("f", "j")) == ("j", "f", "jf")
    assert semi.choose_metrics(("jf",)) == ("j", "f", "jf")
    assert semi.choose_metrics(("j",)) == ("j",)


def test_every_published_table_follows_a_protocol_made_for_its_data():
    content = yaml.safe_load((Path(__file__).parents[2] / "leaderboards" / "reported.yaml").read_text())
    # no table: numbers in running text, on frames that the paper picked and does not name
    unlisted = {("001", "text_4")}
    for entry in content["entries"]:
        paper, table = str(entry["paper"]), str(entry["table"])
        found = protocol_of_table(paper, table, DATASETS[entry["dataset"]])
        assert bool(found) != ((paper, table) in unlisted), (paper, table)


@pytest.mark.parametrize(
    ("paper", "table", "dataset", "protocol"),
    [
        ("000", "1", "ft3d", "ft3d-iou"),
        ("000", "1", "davis16", "davis16-unsupervised"),
        ("000", "7", "fbms", "fbms-binary"),
        ("002", "1", "davis16", "davis16-map50"),
        ("002", "7", "fbms", "fbms-official"),
        ("004", "2", "youtube_objects", "youtube-objects-semi-supervised"),
        ("004", "99", "davis16", ""),
    ],
)
def test_the_protocol_of_a_table(paper, table, dataset, protocol):
    assert protocol_of_table(paper, table, dataset) == protocol
