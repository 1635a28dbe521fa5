import pytest
import yaml

from vosbench.benchmark.protocols import PROTOCOLS, load_protocol, parse_protocol
from vosbench.data.catalogue import CATALOGUE
from vosbench.errors import InputError


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_loads_under_its_own_id(name):
    assert load_protocol(name).id == name


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


def definition(**changes):
    return load_protocol("davis16-unsupervised").definition() | changes


def test_a_definition_is_plain_data_and_reads_back():
    content = yaml.safe_load(yaml.safe_dump(definition()))
    assert parse_protocol(content, "x.yaml") == load_protocol("davis16-unsupervised")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (definition(frames="some"), "x.yaml: frames is 'some', must be one of inner, all"),
        (definition(metrics=["j", "k"]), "x.yaml: metrics is 'k'"),
        (definition(framse="all"), "unknown key in x.yaml 'framse': did you mean frames"),
        ({"id": "x"}, "x.yaml: missing average, frames"),
        ([], "x.yaml: expected a mapping"),
    ],
)
def test_a_wrong_definition_is_refused(content, message):
    with pytest.raises(InputError, match=message):
        parse_protocol(content, "x.yaml")


def test_default_protocols_of_the_catalogue_exist():
    evaluation = [known for known in CATALOGUE.values() if known.kind == "evaluation"]
    assert evaluation
    for known in evaluation:
        assert known.protocol in PROTOCOLS
