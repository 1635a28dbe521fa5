"""A tiny DAVIS 2016 and three baselines compared on it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vosbench.benchmark import CompareResult, compare


@pytest.fixture
def root(tmp_path: Path, make_davis: Callable[..., Path]) -> Path:
    return make_davis(tmp_path / "data")


@pytest.fixture
def run(tmp_path: Path, root: Path) -> Callable[..., CompareResult]:
    def run(**options: Any) -> CompareResult:
        models = ("all_foreground", "centre_box", "flow_threshold")
        defaults: dict[str, Any] = {
            "models": models,
            "data_root": root,
            "out": tmp_path / "out",
            "workers": 1,
        }
        return compare(**defaults | {"metrics": ("j", "f")} | options)

    return run
