from importlib import import_module

import pytest

from vosbench.data.catalogue import CATALOGUE, dataset_spec
from vosbench.data.datasets.base import Dataset
from vosbench.errors import InputError


@pytest.mark.parametrize("name", sorted(CATALOGUE))
def test_every_entry_is_complete_and_its_reader_exists(name):
    known = dataset_spec(name)
    module, _, reader = known.reader.partition(":")
    assert issubclass(getattr(import_module(module), reader), Dataset)
    assert known.url.startswith("https://")
    for text in (known.title, known.size, known.layout, known.licence, known.citation):
        assert text


def test_unknown_name():
    with pytest.raises(InputError, match="unknown data set 'ft3D': did you mean ft3d"):
        dataset_spec("ft3D")
