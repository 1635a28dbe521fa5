"""Commands that are killed, interrupted or out of disk leave nothing wrong; the table of results."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak"
FAULTS = Path(__file__).parent

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and forks")


@pytest.fixture
def soak(tmp_path):
    """Return a function: options of a soak -> its rows, of a soak that lost nothing."""

    def soak(*options):
        program = [sys.executable, SOAK / "processes.py", *options, "--out", tmp_path]
        ended = subprocess.run(program, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        rows = json.loads((tmp_path / "processes.json").read_text())["rows"]
        assert not any(row["lost"] for row in rows)
        return {(row["subject"], row["fault"].split(",")[0]): row["tried"] for row in rows}

    return soak


@linux
def test_a_download_survives_faults(soak):
    tried = soak(
        "--points", "4", "--commands", "data download", "--faults", "kill", "sigint", "sigterm", "full"
    )
    assert set(tried) == {
        ("data download", fault)
        for fault in ("kill -9", "SIGINT", "SIGTERM", "disk full from one operation on")
    }


@linux
@pytest.mark.slow
def test_comparisons_survive_faults_alone_and_together(soak):
    tried = soak("--points", "4", "--commands", "compare, local", "score")
    assert tried["compare, local", "eight at once in one folder"] == 1
    assert tried["compare, local", "output closed"] == 1


@linux
@pytest.mark.slow
def test_comparisons_survive_the_death_of_a_worker(soak):
    soak("--points", "4", "--commands", "compare, two processes", "--faults", "kill", "worker", "sigint")


@linux
@pytest.mark.slow
def test_comparisons_on_ray_survive_faults(soak):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    soak("--points", "2", "--commands", "compare, on Ray", "--faults", "kill", "worker", "sigterm")


@linux
@pytest.mark.slow
def test_trainings_survive_faults(soak):
    soak("--points", "8", "--commands", "fit", "--faults", "kill", "sigterm", "full")


def test_a_fault_that_shows_is_lost(soak_program):
    """The soak would notice: a wrong status, a traceback, a process or a file that is left."""
    processes, faults = soak_program("processes"), soak_program("faults")
    fault = faults.Fault("sigint", operation=3)
    well = {
        "status": 130,
        "out": "",
        "err": "note: x\nvosbench: interrupted\n",
        "operations": 9,
        "seconds": 1.0,
    }
    assert processes.complaint(fault, faults.End(**well)) == ""
    for wrong in (
        {"status": 1},
        {"err": ""},
        {"err": "Traceback (most recent call last):\nvosbench: interrupted\n"},
        {"err": "vosbench: interrupted\nException ignored in: <stdout>\n"},
        {"left": (1,)},
    ):
        assert processes.complaint(fault, faults.End(**well | wrong))
    dead = faults.Fault("worker", seconds=1.0)
    assert processes.complaint(dead, faults.End(**well))
    assert processes.complaint(dead, faults.End(**well | {"status": 0})) == ""
    assert processes.differences({"a": "1", "b": "2"}, {"b": "3", ".b.tmp": "4"}) == (
        "missing: a; left over: .b.tmp; different: b"
    )


def test_the_table_is_that_of_the_results(soak_program):
    table = soak_program("table")
    assert (FAULTS / "RESULTS.md").read_text() == table.table(table.RESULTS)
