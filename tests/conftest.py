"""Shared fixtures: where real data lives, and skipping with a reason when it does not."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """Return a function: folder under the data root -> the root, skipping when it is absent."""

    def require(folder: str) -> Path:
        root = os.environ.get("VOSBENCH_DATA")
        if root is None:
            pytest.skip("VOSBENCH_DATA is not set: no real data")
        if not (Path(root) / folder).is_dir():
            pytest.skip(f"{folder} is not under the data root {root}")
        return Path(root)

    return require
