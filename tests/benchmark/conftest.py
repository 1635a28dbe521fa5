"""Shared by the tests of comparisons: a tiny DAVIS 2016, and three baselines run on it."""

import pytest

from vosbench.benchmark import compare


@pytest.fixture
def root(tmp_path, make_davis):
    return make_davis(tmp_path / "data")


@pytest.fixture
def run(tmp_path, root):
    def run(**options):
        models = ("all_foreground", "centre_box", "flow_threshold")
        defaults = {"models": models, "data_root": root, "out": tmp_path / "out", "workers": 1}
        return compare(**defaults | {"metrics": ("j", "f")} | options)

    return run
