"""Numbers on videos that were trained on are told apart from those that mean something."""

from dataclasses import replace

from vosbench.benchmark.leak import leaks
from vosbench.benchmark.record import Record

SEEN = {"training": {"data": {"sequences": ["bear", "boat"]}}}


def record(sequence="bear", **changes):
    fields = {"model": "mine", "size": "tiny", "dataset": "davis16", "edition": "official", "split": "val"}
    rest = {"protocol": "davis16-unsupervised", "frames": 2, "key": "k", "values": {}, "per_frame": {}}
    fields |= {"sequence": sequence, "seconds_per_frame": {}, "provenance": SEEN} | rest
    return Record(**fields | changes)


def test_sequences_that_were_trained_on_are_named_once_for_each_model():
    found = leaks([record("boat"), record("bear"), record("bear", protocol="other"), record("cows")])
    assert len(found) == 1
    assert "mine on davis16 is scored on what it was trained on: bear, boat;" in found[0]


def test_davis_2017_has_the_videos_of_davis_2016():
    assert "mine on davis17" in leaks([record(dataset="davis17")])[0]


def test_what_was_not_trained_on_or_is_rendered_or_untold_is_no_leak():
    clean = record("cows")
    assert leaks([clean, record(edition="mini"), replace(record(), provenance={})]) == []
