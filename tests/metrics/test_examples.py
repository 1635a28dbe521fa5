"""The examples in the docstrings of the metrics do what they say."""

import doctest
import importlib
import pkgutil
from importlib.util import find_spec

import pytest

import vosbench.metrics

MODULES = sorted(
    module.name for module in pkgutil.walk_packages(vosbench.metrics.__path__, "vosbench.metrics.")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    if name.endswith("detection") and not find_spec("faster_coco_eval"):
        pytest.skip("the extra 'coco' is not installed")
    failures, _ = doctest.testmod(importlib.import_module(name), report=True)
    assert failures == 0


def test_every_metric_has_an_example():
    classes = [getattr(vosbench.metrics, name) for name in vosbench.metrics.__all__]
    assert [found.__name__ for found in classes if ">>>" not in found.__doc__] == []
