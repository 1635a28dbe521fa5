"""Numbers on videos that were trained on are told apart from those that mean something."""

from dataclasses import replace

from vosbench.benchmark.leakage import leaks
from vosbench.evaluation.record import Record

SEEN = {"training": {"data": {"sequences": ["bear", "boat"]}}}


def record(sequence="bear", **changes):
    fields = {"model": "mine", "size": "tiny", "dataset": "davis16", "edition": "official", "split": "val"}
    rest = {"protocol": "davis16-unsupervised", "frames": 2, "key": "k", "values": {}, "per_frame": {}}
    fields |= {"sequence": sequence, "seconds_per_frame": {}, "provenance": SEEN} | rest
    return Record(**fields | changes)


def leaks_of(records, zoo=None):
    return [str(leak) for leak in leaks(records, zoo or {})]


def selected(*names, **more):
    return {
        "selection": [{"name": "davis16", "edition": "official", "split": "val", "sequences": names} | more]
    }


def test_sequences_that_were_trained_on_are_named_once_for_each_model():
    found = leaks_of([record("boat"), record("bear"), record("bear", protocol="other"), record("cows")])
    assert len(found) == 1
    assert "mine on davis16 is scored on what it was trained on: bear, boat;" in found[0]


def test_davis_2017_has_the_videos_of_davis_2016():
    assert "mine on davis17" in leaks_of([record(dataset="davis17")])[0]


def test_what_was_not_trained_on_or_is_rendered_or_untold_is_no_leak():
    clean = record("cows")
    assert leaks_of([clean, record(edition="mini"), replace(record(), provenance={})]) == []


def test_sequences_that_were_selected_on_are_another_kind():
    """Trained on bear and boat, validated on cows."""
    told = {"training": SEEN["training"] | selected("cows", monitor="val/iou")}
    found = leaks([replace(record(name), provenance=told) for name in ("bear", "cows", "dog")], {})
    assert [(leak.kind, leak.sequences, leak.through) for leak in found] == [
        ("trained on", ("bear",), ""),
        ("selected on", ("cows",), ""),
    ]
    assert "is scored on what it was selected on: cows; settings or checkpoints were chosen there" in str(
        found[1]
    )


def test_what_was_validated_on_in_a_miniature_is_no_leak():
    told = {"training": selected("cows", edition="mini")}
    assert leaks_of([replace(record("cows"), provenance=told)]) == []


def test_weights_of_the_package_tell_by_their_hash():
    zoo = {"abc": selected("cows", how="its threshold was chosen there")}
    packaged = replace(record("cows"), provenance={"weights": {"sha256": "abc"}})
    (found,) = leaks_of([packaged], zoo)
    assert "selected on: cows; its threshold was chosen there; settings" in found
    assert leaks_of([replace(packaged, provenance={"weights": {"sha256": "abd"}})], zoo) == []


def test_networks_inside_are_followed_as_deep_as_they_are():
    """A fusion of LVO, whose motion network of MP-Net was trained on bear."""
    inner = {"key": "motion_weights", "weights": "mpnet.ckpt", "training": SEEN["training"]}
    outer = {"key": "appearance_weights", "weights": "lvo.ckpt", "training": {"parts": [inner]}}
    (found,) = leaks([replace(record(), provenance={"training": {"parts": [outer]}})], {})
    assert (found.kind, found.sequences) == ("trained on", ("bear",))
    assert found.through == "appearance_weights lvo.ckpt, motion_weights mpnet.ckpt"


def test_of_several_ways_to_the_same_videos_the_shortest_is_named():
    """MP-Net inside, and once more inside the network that the appearance stream was made from."""
    motion = {"key": "motion_weights", "weights": "mpnet.ckpt", "training": SEEN["training"]}
    appearance = {"key": "appearance_weights", "weights": "fusion.ckpt", "training": {"parts": [motion]}}
    both = {"training": {"parts": [appearance, motion]}}
    (found,) = leaks([replace(record(), provenance=both)], {})
    assert (found.sequences, found.through) == (("bear",), "motion_weights mpnet.ckpt")


def test_a_longer_way_to_other_videos_is_named_too():
    """Trained on bear, beside a network that holds another, which was trained on cows."""
    inner = {"key": "motion_weights", "weights": "mpnet.ckpt", "training": {"data": {"sequences": ["cows"]}}}
    both = {"training": SEEN["training"] | {"parts": [inner]}}
    found = leaks([replace(record(name), provenance=both) for name in ("bear", "cows")], {})
    assert [(leak.sequences, leak.through) for leak in found] == [
        (("bear",), ""),
        (("cows",), "motion_weights mpnet.ckpt"),
    ]


def test_weights_that_a_switch_puts_in_are_followed_too():
    part = {"key": "motion_test", "weights": "mpnet.ckpt", "training": selected("bear")}
    (found,) = leaks([replace(record(), provenance={"weights": {"sha256": "abc", "parts": [part]}})], {})
    assert (found.kind, found.through) == ("selected on", "motion_test mpnet.ckpt")


def test_of_many_sequences_the_first_are_named():
    names = [f"s{number}" for number in range(8)]
    told = {"training": {"data": {"sequences": names}}}
    (found,) = leaks_of([replace(record(name), provenance=told) for name in names])
    assert "trained on: s0, s1, s2, s3, s4 and 3 more; such" in found
