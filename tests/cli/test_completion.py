"""Completion as the shell asks for it."""

import pytest


@pytest.fixture
def complete(run, monkeypatch):
    """Return a function: words before and at the cursor -> what bash is offered."""

    def command(*words):
        monkeypatch.setenv("_VOSBENCH_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", " ".join(("vosbench", *words)))
        monkeypatch.setenv("COMP_CWORD", str(len(words)))
        return run()[1].split()

    return command


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("fit", "mod"), ["model="]),
        (("fit", "model=st"), ["model=stcnn"]),
        # as bash divides words
        (("fit", "model", "=", "st"), ["stcnn"]),
        (("fit", "model=stcnn", "stage=s"), ["stage=spatial"]),
        (("fit", "model", "=", "stcnn", "stage", "=", "t"), ["temporal"]),
        (("fit", "model=mpnet", "recipe="), ["recipe=mpnet", "recipe=mpnet_davis", "recipe=mpnet_tiny"]),
        (("fit", "size=t"), ["size=tiny"]),
        (("fit", "init=z"), ["init=zoo"]),
        (("fit", "logger=t"), ["logger=tensorboard"]),
        (
            ("fit", "model=mpnet", "recipe.A.opt"),
            [f"recipe.A.optimizer.{key}=" for key in ("name", "lr", "momentum", "weight_decay")],
        ),
        (("fit", "model=mpnet", "model.dec"), ["model.decoder_units="]),
        (("fit", "seed=1", "qqq"), []),
        (("predict", "clip.mp4", "--model", "mp"), ["mpnet"]),
        (("compare", "--models", "mpnet,l"), ["mpnet,lip", "mpnet,lvo"]),
        (("compare", "--datasets", "davis16,seg"), ["davis16,segtrack"]),
        (("score", "masks", "--dataset", "davis"), ["davis16", "davis17"]),
        (("score", "masks", "--protocol", "segt"), ["segtrack-iou"]),
        (("li",), ["list"]),
        (("list", "mo"), ["models"]),
    ],
)
def test_names_and_keys_are_completed(complete, words, offered):
    assert complete(*words) == offered


def test_the_shell_is_set_up_by_an_option(run):
    status, out, _ = run("--help")
    assert status == 0
    assert "--install-completion" in out


@pytest.mark.parametrize("option", ["-V", "--version"])
def test_the_version_in_both_spellings(run, option):
    from vosbench import __version__

    assert run(option)[:2] == (0, f"vosbench {__version__}\n")
