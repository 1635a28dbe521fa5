import re
import subprocess
import sys
from urllib.parse import urlsplit

import pytest

from vosbench.data.catalogue import CATALOGUE
from vosbench.data.spec import Archive

ARCHIVES = [archive for spec in CATALOGUE.values() for archive in spec.archives]


def test_an_archive_prints_what_is_known_of_it():
    known = Archive("http://a.org/b.zip", "b.zip", 7, "md5:1")
    assert str(known) == "http://a.org/b.zip (7 bytes, md5:1)"
    assert str(Archive("http://a.org/b.zip", "b.zip")) == "http://a.org/b.zip"
    asked = Archive("http://a.org", "b.zip", manual="given out after registration")
    assert str(asked) == "b.zip from http://a.org (given out after registration)"


def test_every_data_set_that_is_not_made_from_another_has_archives():
    assert all(bool(spec.archives) != bool(spec.made_from) for spec in CATALOGUE.values())


@pytest.mark.parametrize("archive", ARCHIVES, ids=lambda archive: archive.filename)
def test_archives_are_well_formed(archive):
    assert urlsplit(archive.url).scheme in ("http", "https")
    assert archive.manual is not None or archive.url.endswith(f"/{archive.filename}")
    assert archive.size is None or archive.size > 0
    if archive.checksum is not None:
        assert re.fullmatch(r"sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}", archive.checksum)
    assert not archive.unpack_into.startswith("/")
    assert ".." not in archive.unpack_into
    assert archive.manual != ""


def test_file_names_of_a_data_set_differ():
    for spec in CATALOGUE.values():
        assert len({archive.filename for archive in spec.archives}) == len(spec.archives)


def test_importing_the_addresses_is_cheap():
    code = (
        "import sys, vosbench.data.catalogue; "
        "print([m for m in ('numpy', 'torch', 'PIL') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
