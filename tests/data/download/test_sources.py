import re
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from vosbench.data.catalogue import CATALOGUE
from vosbench.data.download.sources import SOURCES, Source, sources_of
from vosbench.errors import InputError

ALL = [source for sources in SOURCES.values() for source in sources]


def test_a_source_prints_what_is_known_of_it():
    known = Source("http://a.org/b.zip", "b.zip", 7, "md5:1")
    assert str(known) == "http://a.org/b.zip (7 bytes, md5:1)"
    assert str(Source("http://a.org/b.zip", "b.zip")) == "http://a.org/b.zip"
    asked = Source("http://a.org", "b.zip", manual="given out after registration")
    assert str(asked) == "b.zip from http://a.org (given out after registration)"


def test_every_data_set_that_is_not_made_from_another_has_sources():
    assert set(CATALOGUE) - set(SOURCES) <= {"fusionseg_vid"}


@pytest.mark.parametrize("source", ALL, ids=lambda source: source.filename)
def test_sources_are_well_formed(source):
    assert urlsplit(source.url).scheme in ("http", "https")
    assert source.manual is not None or source.url.endswith(f"/{source.filename}")
    assert source.size is None or source.size > 0
    if source.checksum is not None:
        assert re.fullmatch(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", source.checksum)
    assert not source.unpack_into.startswith("/")
    assert ".." not in source.unpack_into
    assert source.manual != ""


def test_file_names_of_a_data_set_differ():
    for sources in SOURCES.values():
        assert len({source.filename for source in sources}) == len(sources)


def test_unknown_name():
    with pytest.raises(InputError, match=r"unknown data set to download 'davis_16': did you mean davis16"):
        sources_of("davis_16")


def test_importing_the_addresses_is_cheap():
    code = (
        "import sys, vosbench.data.download.sources; "
        "print([m for m in ('numpy', 'torch', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
