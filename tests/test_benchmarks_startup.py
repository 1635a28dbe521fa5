"""Benchmarks of what a user waits for: CPU seconds of processes, ratios, reports."""

import json
import subprocess
import sys
import threading
import time

import pytest

MACHINE = {
    "processor": "P",
    "cores": 2,
    "system": "S",
    "load_before": 0.1,
    "load_after": 0.2,
    "versions": {"torch": "2.11.0"},
    "commit": "0123456789abcdef",
    "changed": False,
    "date": "2026-01-01",
}
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
BUSY = "import time\nwhile time.process_time() < 0.3: pass\n"


@pytest.fixture(scope="module")
def startup(speed_program):
    return speed_program("startup")


@pytest.fixture(scope="module")
def first_command(speed_program):
    return speed_program("first_command")


@pytest.fixture(scope="module")
def suite(speed_program):
    return speed_program("suite")


@linux
def test_the_seconds_of_a_program_are_those_of_all_its_processes(startup, tmp_path):
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}]); print(1)"
    spent = startup.run([sys.executable, "-c", child], tmp_path, tmp_path / "out", "", tmp_path)
    assert spent >= 0.3


@linux
def test_a_program_is_ended_at_its_first_output(startup, tmp_path):
    out = tmp_path / "out"
    program = f"{BUSY}open({str(out / '7.png')!r}, 'w').close()\ntime.sleep(600)"
    out.mkdir()
    spent = startup.run([sys.executable, "-c", program], tmp_path, out, "**/*.png", tmp_path)
    assert spent >= 0.25


@linux
@pytest.mark.parametrize(
    ("program", "until"), [("print('why')", "*.png"), ("import sys; sys.exit('why')*5", "x")]
)
def test_a_program_without_its_output_is_an_error_that_shows_what_it_said(startup, tmp_path, program, until):
    with pytest.raises(RuntimeError, match="why"):
        startup.run([sys.executable, "-c", program], tmp_path, tmp_path / "out", until, tmp_path)


@linux
def test_seconds_of_a_session_leave_others_out(startup):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as program:
        assert startup.session_seconds(program.pid) == 0
        program.communicate(b"\n")


def test_start_up_is_given_as_a_multiple_of_the_import_of_the_same_round(startup):
    seconds = {startup.LIMIT: [8.0, 10.0], "before: doctor": [16.0, 15.0], "after: doctor": [8.8, 10.0]}
    runs = [
        {"program": program, "round": number, "seconds": spent}
        for program, values in seconds.items()
        for number, spent in enumerate(values, 1)
    ]
    assert startup.ratios(runs, "before: doctor") == [2.0, 1.5]
    report = {
        "runs": runs,
        "versions": {"before": "0" * 40, "after": "1" * 40},
        "commands": ["doctor"],
        "machine": MACHINE,
    }
    text = startup.to_markdown(report)
    assert (
        "| doctor | yes | 15.50 | 9.40 | 1.75 (1.50 to 2.00) | 1.05 (1.00 to 1.10) | <= 1.15 | yes |" in text
    )


def test_parts_within_parts_count_once(first_command, monkeypatch):
    clock = iter([0.0, 1.0, 3.0, 6.0, 10.0])
    monkeypatch.setattr(first_command.time, "thread_time", lambda: next(clock))
    parts = first_command.Parts()
    with parts.part("outer"), parts.part("inner"):
        pass
    assert parts.seconds == {"other": 1.0, "outer": 2.0 + 4.0, "inner": 3.0}


def test_parts_of_threads_do_not_mix(first_command):
    parts = first_command.Parts()

    def busy(seconds):
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass

    beside = threading.Thread(target=parts.wrapped("thread", busy), args=[0.3])
    with parts.part("main"):
        beside.start()
        busy(0.1)
        beside.join()
    whole = parts.whole()
    assert whole.keys() == {"main", "thread", "other"}
    assert whole["thread"] >= 0.3
    assert 0.1 <= whole["main"] < 0.3


def test_the_first_record_is_given_in_seconds_and_imports(first_command):
    limit = {"program": first_command.LIMIT, "round": 1, "record_cpu": 8.0}
    run = {"round": 1, "line_cpu": 0.5, "line_wall": 0.6, "record_cpu": 32.0, "record_wall": 40.0}
    start = {
        "runs": [limit, {"program": "after", **run}],
        "versions": {"after": "1" * 40},
        "workers": 2,
        "machine": MACHINE,
    }
    text = first_command.to_markdown({"start": start})
    assert "| after | 0.5 | 0.6 | 32.0 | 4.0 | 16.0 | 40 |" in text


TESTS = """
import subprocess, sys, time

def busy(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass

def test_alone():
    busy(0.2)

def test_with_a_program():
    subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.4: pass"], check=True)
"""


@linux
def test_the_cost_of_a_test_is_that_of_its_programs_too(suite, tmp_path):
    (tmp_path / "test_two.py").write_text(TESTS)
    found = suite.run_tests(tmp_path, 1)
    costs = {name.partition("::")[2]: spent for name, spent in found["tests"].items()}
    assert costs["test_alone"] >= 0.2
    assert costs["test_with_a_program"] >= 0.4
    assert found["seconds"] >= found["collection"] + sum(costs.values())
    assert found["outcome"].startswith("2 passed")


@linux
def test_failed_tests_are_no_measurement(suite, tmp_path):
    (tmp_path / "test_one.py").write_text("def test_it(): assert 1 == 2")
    with pytest.raises(RuntimeError, match="assert 1 == 2"):
        suite.run_tests(tmp_path, 0)


def test_costs_of_processes_are_added(suite):
    lines = [("a::b", 1.0), ("collection", 2.0), ("whole processes", 4.0), ("collection", 2.5), ("a::c", 0.5)]
    written = [json.dumps({"what": what, "seconds": spent}) for what, spent in lines]
    found = suite.added([*written, json.dumps({"what": "whole processes", "seconds": 5.0})])
    assert found == {"seconds": 9.0, "collection": 4.5, "tests": {"a::b": 1.0, "a::c": 0.5}}
    assert suite.by_file(found["tests"]) == {"a": 1.5}


def test_the_tests_are_given_in_imports(suite):
    about = {"collection": 9.0, "wall": 99.0, "outcome": "3 passed", "workers": 2, "load": 0.5}
    before = suite.reduced({**about, "seconds": 80.0, "tests": {"a::b": 70.0}})
    after = suite.reduced({**about, "seconds": 24.0, "tests": {"a::b": 8.0, "a::c": 1.0, "a::d": 0.25}})
    report = {
        "runs": {"before": before, "after": after},
        "import": [7.0, 8.0, 9.0],
        "versions": {"before": "0" * 40},
        "machine": MACHINE,
    }
    text = suite.to_markdown(report)
    assert "| before | 2 | 80 | 10 | 9 | 99 | 0.5 | 3 passed |" in text
    assert "| after | 2 | 24 | 3 | 9 | 99 | 0.5 | 3 passed |" in text
    assert "| `a` | 70.0 | 9.2 |" in text
    assert "| `a::c` | - | 1.0 |" in text
    assert "a::d" not in text
