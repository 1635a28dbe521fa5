"""Log of a user's first hour: its table, and that the page is what was run."""

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from vosbench.cli.commands import app

FOLDER = Path(__file__).parents[1] / "benchmarks" / "first_hour"


@pytest.fixture(scope="module")
def situations(first_hour_program):
    return first_hour_program("situations").SITUATIONS


@pytest.fixture(scope="module")
def log(first_hour_program):
    return first_hour_program("log")


@pytest.fixture(scope="module")
def results(log):
    return json.loads(log.RESULTS.read_text(encoding="utf-8"))


def words_of(line):
    """Return the words of the command vosbench in a line of the shell, None for a line of another."""
    words = shlex.split(line.partition("|")[0].partition(">")[0])
    return words[words.index("vosbench") + 1 :] if "vosbench" in words[:1] else None


def test_there_are_twenty_situations(situations):
    assert len(situations) == 20
    assert len({situation.title for situation in situations}) == 20
    assert all(situation.typed for situation in situations)


def test_every_command_and_option_exists(situations):
    lines = [line for situation in situations for line in situation.typed]
    commands = [words for words in map(words_of, lines) if words]
    assert len(commands) > 25
    for words in commands:
        if words == ["-V"]:
            continue
        command = get_command(app)
        rest = words
        while hasattr(command, "commands"):
            command, rest = command.commands[rest[0]], rest[1:]
        command.make_context(words[0], list(rest))


def test_the_page_is_what_was_run(log, situations, results):
    assert log.LOG.read_text(encoding="utf-8") == log.log(results)
    for side in log.SIDES:
        runs = results[side]["runs"]
        assert [int(number) for number in sorted(runs, key=int)] == list(range(1, 21))
        for number, situation in enumerate(situations, start=1):
            assert tuple(run["typed"] for run in runs[str(number)]) == situation.typed


def test_every_situation_ends_as_one_would_expect_now(situations, results):
    """A mistake is refused with status 2 in one line; nothing ends in a traceback."""
    for runs in results["now"]["runs"].values():
        for run in runs:
            text = "\n".join(run["output"])
            assert "Traceback" not in text
            assert run["status"] != 2 or sum(line.startswith("vosbench: ") for line in run["output"]) == 1


def test_the_log_names_no_folder_of_a_machine(log):
    for path in (log.LOG, log.RESULTS):
        found = re.findall(
            r"(?<![\w.~-])/(?:home|root|tmp|usr|var|opt|work)/\S+", path.read_text(encoding="utf-8")
        )
        assert [place for place in found if not place.startswith("/tmp/...")] == []


def test_outputs_are_cut_to_their_ends_and_folders_have_names(log):
    text = "".join(f"line {number} of /there/home/data\r\n" for number in range(20))
    lines = log.cut(text, {"/there": "vosbench-source", "/there/home": "~"})
    assert len(lines) == log.LINES
    assert lines[0] == "line 0 of ~/data"
    assert lines[4] == "[13 lines]"
    assert lines[-1] == "line 19 of ~/data"
    assert log.cut("short\n\n───\n", {}) == ("short",)
    assert [len(line) <= log.COLUMNS for line in log.cut("word " * 60, {})] == [True] * 3
