"""The examples in docstrings and Markdown files do what they say."""

import doctest
import importlib
import re
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

import vosbench
import vosbench.metrics

ROOT = Path(__file__).parents[1]
PACKAGE = Path(vosbench.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if ">>>" in path.read_text(encoding="utf-8")
)
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = [
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", ".github/*.md", "vosbench/**/*.md", "tests/example_method/*.md")
    for path in sorted(ROOT.glob(pattern))
    if PYTHON.search(path.read_text(encoding="utf-8"))
]


@pytest.fixture
def user_folder(tmp_path, monkeypatch, make_davis, write_results):
    """The folder that examples run in: a small DAVIS 2016 in data/, masks one pixel off in results/."""
    make_davis(tmp_path / "data")
    write_results(tmp_path / "results", tmp_path / "data", shift=1)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VOSBENCH_DATA", raising=False)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_a_module(name, user_folder):
    if "detection" in name and not find_spec("faster_coco_eval"):
        pytest.skip("the extra 'coco' is not installed")
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    results = doctest.testmod(importlib.import_module(name), report=True, optionflags=flags)
    assert results.failed == 0
    assert results.attempted > 0


@pytest.mark.parametrize("page", PAGES)
def test_examples_of_a_page(page, user_folder):
    target_ids = torch.zeros(4, 12, 12, dtype=torch.uint8)
    target_ids[:, 2:6, 2:6] = 1
    names = {"pred_ids": target_ids.roll(1, dims=2), "target_ids": target_ids}
    for block in PYTHON.findall((ROOT / page).read_text(encoding="utf-8")):
        exec(compile(block, page, "exec"), names)
    if page == "README.md":
        # three of five columns agree in each of two evaluated frames
        assert names["j"].compute()["J_mean"] == pytest.approx(3 / 5)


def test_every_metric_has_an_example():
    classes = [getattr(vosbench.metrics, name) for name in vosbench.metrics.__all__]
    assert [metric.__name__ for metric in classes if ">>>" not in metric.__doc__] == []
