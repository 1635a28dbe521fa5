"""Options of the command line that are given more than once: lists are joined, others are refused."""

import pytest

from vosbench.cli.commands import app


def commands(group=app, path=()):
    """Yield the words and the function of every command."""
    for info in group.registered_commands:
        yield (*path, info.name or info.callback.__name__), info
    for sub in group.registered_groups:
        yield from commands(sub.typer_instance, (*path, sub.name))


@pytest.mark.parametrize(
    "words",
    [
        ("compare", "--out", "a", "--models", "centre_box", "--out=b"),
        ("score", "results", "--dataset", "davis16", "--dataset", "davis17"),
        ("predict", "clip.mp4", "--model", "lvo", "--out", "a", "--model", "lvo"),
        ("ablate", "mpnet_table1", "--edition", "mini", "--edition", "lite"),
        ("data", "mini", "davis16", "--seed", "1", "--seed", "2"),
        ("flow", "compute", "davis16", "--estimator", "dis", "--estimator", "tvl1"),
        ("leaderboard", "build", "--records", "a", "--records", "b"),
        ("weights", "import", "lvo", "a.pth", "--out", "a", "--out", "b"),
        ("new", "method", "mine", "--out", "a", "--out", "b"),
    ],
)
def test_an_option_that_takes_one_value_is_refused_when_it_is_given_twice(run, words):
    status, out, err = run(*words)
    assert (status, out) == (2, "")
    [line] = err.splitlines()
    assert line.endswith("is given 2 times; write it once")


def test_every_command_refuses_an_option_that_is_given_twice():
    names = {" ".join(path): info.cls.__mro__ for path, info in commands()}
    assert len(names) > 15
    assert [name for name, classes in names.items() if "Command" not in {c.__name__ for c in classes}] == []


def test_both_names_of_an_option_are_one_list(run, make_davis, tmp_path):
    root = make_davis(tmp_path / "data")
    words = "compare", "--data-root", root, "--dry-run", "--protocol", "davis16-matlab"
    once = run(*words, "--models", "centre_box,all_foreground", "--metrics", "j,f", "--datasets", "davis16")
    again = "--models", "centre_box", "--models", "all_foreground", "--metrics", "j", "--metrics", "f"
    assert run(*words, *again, "--dataset", "davis16") == once
    assert once[0] == 0
    assert "6 cells" in once[2]


def test_sequences_that_are_given_apart_are_all_scored(run, make_davis, write_results, tmp_path):
    root = make_davis(tmp_path / "data")
    results = write_results(tmp_path / "results", root)
    words = "score", results, "--dataset", "davis16", "--data-root", root, "--workers", "1"
    apart = run(*words, "--sequences", "dog", "--sequences", "zebra")
    assert apart == run(*words, "--sequences", "dog,zebra")
    assert apart[0] == 0
    assert "dog" in apart[1]
    assert "zebra" in apart[1]


def test_a_flag_may_be_repeated(run):
    assert run("data", "list", "--help", "--help")[0] == 0
