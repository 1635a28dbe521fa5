"""``vosbench predict`` with a look inside the method."""

import pytest


@pytest.fixture
def root(tmp_path, make_davis):
    return make_davis(tmp_path / "data", {"dog": 4})


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_panels_lie_beside_masks_that_can_be_scored(run, root, tmp_path):
    words = ("--model", "mpnet", "--size", "tiny", "--out", "mine", "--data-root", root)
    status, out, _ = run("predict", "davis16", *words, "--inspect", "motion")
    assert status == 0
    assert out.splitlines()[1] == "mine-inspect/dog  4 panels of motion"
    assert names(tmp_path / "mine-inspect/dog") == names(tmp_path / "mine/dog")
    assert names(tmp_path / "mine") == ["dog"]
    status, out, _ = run("score", "mine", "--dataset", "davis16", "--data-root", root, "--workers", 1)
    assert status == 0
    assert "dog" in out


def test_folder_for_panels(run, root, tmp_path):
    words = ("--model", "mpnet", "--size", "tiny", "--out", "mine", "--data-root", root)
    status, _, _ = run("predict", "davis16", *words, "--inspect", "motion", "--inspect-out", "seen")
    assert status == 0
    assert len(names(tmp_path / "seen/dog")) == 4
    assert not (tmp_path / "mine-inspect").exists()


@pytest.mark.parametrize(
    ("model", "words", "message"),
    [
        ("all_foreground", ("--inspect", "gates"), "this method has no maps to inspect"),
        ("mpnet", ("--inspect", "motoin"), "unknown map to inspect 'motoin': did you mean motion?"),
        ("mpnet", ("--inspect", "motion", "--channels", "a"), "--channels a: give whole numbers"),
        ("mpnet", ("--channels", "1"), "give --inspect too"),
    ],
)
def test_mistakes_are_one_line(run, root, tmp_path, model, words, message):
    status, out, err = run(
        "predict", "davis16", "--model", model, "--out", "mine", "--data-root", root, *words
    )
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "mine").exists()
