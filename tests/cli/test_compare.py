"""`vosbench compare` as a user meets it: estimates, executors, holes."""

import shutil
import sys

import pytest

from vosbench import cli
from vosbench.errors import InputError
from vosbench.evaluation.record import Record
from vosbench.evaluation.store import read_failures


@pytest.fixture
def compare(monkeypatch, capsys, tmp_path, make_davis):
    """Run the command in this process, in an empty folder; return status, stdout and stderr."""
    make_davis(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOSBENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))

    def command(*words):
        usual = {"--models": "all_foreground,centre_box", "--workers": "1", "--metrics": "j"}
        rest = [word for option in usual.items() if option[0] not in words for word in option]
        monkeypatch.setattr(sys, "argv", ["vosbench", "compare", *rest, "--no-pictures", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        return left.value.code or 0, out, err

    return command


def test_a_dry_run_says_what_it_would_take_as_far_as_records_tell(compare):
    _, _, err = compare("--dry-run")
    assert "estimate: time not known, memory not known, disk" in err
    assert "no record in results has the time of all_foreground, centre_box: --limit 1 makes one" in err
    compare("--limit", 1)
    _, _, err = compare("--dry-run")
    assert "estimate: time 0 s with 1 workers, memory up to " in err
    assert "4 planned" in err
    compare("--models", "centre_box")
    _, _, err = compare("--dry-run", "--models", "centre_box")
    assert "estimate" not in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--executor", "cloud"), "cloud"),
        (("--address", "auto"), "--address is that of a Ray cluster: leave it out with --executor local"),
        (("--executor-options", "partition=gpu"), "partition: the local executor has no options"),
        (("--executor-options", "partition"), "--executor-options partition: write KEY=VALUE"),
    ],
)
def test_mistakes_about_executors_are_one_line(compare, words, message):
    status, out, err = compare(*words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err


def test_a_missing_extra_is_one_line(compare, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    status, _, err = compare("--executor", "ray")
    assert status == 2
    last = "vosbench: --executor ray needs the package ray: pip install 'vosbench[ray]'"
    assert err.splitlines()[-1] == last


def test_a_hole_is_told_with_its_error_and_status_1(compare, monkeypatch, tmp_path):
    from vosbench.models.baselines import CentreBox

    real = CentreBox.segment

    def fails(self, video, first_mask=None):
        if video.name == "dog":
            raise InputError("no dogs")
        return real(self, video, first_mask)

    monkeypatch.setattr(CentreBox, "segment", fails)
    status, out, err = compare()
    assert status == 1
    assert "failed: centre_box on davis16/dog under davis16-unsupervised: no dogs\n" in err
    assert "1 failed" in err
    assert "no dogs" in out
    assert [hole.sequence for hole in read_failures(tmp_path / "results")] == ["dog"]
    monkeypatch.setattr(CentreBox, "segment", real)
    status, out, err = compare()
    assert status == 0
    assert "1 computed, 5 kept" in err
    assert "no dogs" not in out


@pytest.fixture
def clips(tmp_path, compare):
    """Data of one's own: two videos of a DAVIS without its lists."""
    for kind in ("JPEGImages", "Annotations"):
        for name in ("dog", "zebra"):
            shutil.copytree(tmp_path / f"data/davis16/{kind}/480p/{name}", tmp_path / f"clips/{kind}/{name}")
    return tmp_path / "clips"


def test_data_of_ones_own_are_compared_on_by_their_path(compare, clips, tmp_path):
    status, out, err = compare("--dataset", "./clips", "--models", "centre_box,copy_first")
    assert status == 0
    assert (
        "clips is scored under davis16-unsupervised, davis16-semi-supervised; --protocol names others" in err
    )
    assert "clips (clips, all)" in out
    path = tmp_path / "results/records/clips/davis16-semi-supervised/copy_first/dog.json"
    record = Record.read(path)
    assert (record.dataset, record.split, record.edition) == ("clips", "all", "official")
    assert "4 kept" in compare("--dataset", "./clips", "--models", "centre_box,copy_first")[2]
    _, _, err = compare("--dataset", "pond=clips/JPEGImages:clips/Annotations", "--dry-run")
    assert "4 planned" in err
    assert "pond is scored under" in err


def test_protocols_may_be_named(compare, clips):
    status, out, err = compare(
        "--dataset", "./clips,davis16", "--protocol", "davis16-matlab,davis17-unsupervised"
    )
    assert status == 0
    # two methods on five videos under both
    assert "20 cells (model, sequence, protocol): 20 computed" in err
    assert "scored under" not in err
    assert "davis16-matlab" in out
    _, _, err = compare("--dataset", "davis16", "--protocol", "fbms-binary")
    assert "davis16: protocol fbms-binary is not made for it; choose from" in err
    _, _, err = compare("--dataset", "./clips", "--protocol", "fmbs-binary")
    assert "unknown protocol 'fmbs-binary': did you mean fbms-binary" in err
    _, _, err = compare("--dataset", "./clips", "--models", "copy_first", "--protocol", "davis16-matlab")
    assert "nothing to compare: copy_first left out on clips" in err


def test_two_data_sets_of_one_name_are_refused(compare, clips):
    clips.rename(clips.parent / "other")
    shutil.copytree(clips.parent / "other", clips)
    status, _, err = compare("--dataset", "./clips,clips=./other")
    assert status == 2
    assert "two data sets are called clips: write LABEL=" in err


def test_what_is_waited_for_is_said_in_order_before_the_first_sequence(compare):
    _, _, err = compare("--limit", 1)
    waits = [line.partition("comparing: ")[2] for line in err.splitlines() if line.startswith("comparing: ")]
    assert waits[0] == "importing PyTorch and loading methods: 0 of 2"
    assert waits[1] == "opening data sets: 0 of 1"
    assert waits[2] == "starting with the longest sequences: 0 of 2"
    assert waits[3].startswith("1 of 2 after ")
