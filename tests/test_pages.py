"""The documentation site: pages from Markdown files, and links that lead somewhere."""

from importlib.util import find_spec
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def build(pages_program):
    return pages_program("build")


@pytest.fixture(scope="module")
def links(pages_program):
    return pages_program("links")


def test_links_of_every_page_lead_somewhere(build, links, tmp_path):
    build.write_pages(tmp_path)
    broken = [line for line in links.broken_links(tmp_path) if not line.endswith(" api/index.html")]
    assert [line for line in broken if "/api/index.html" not in line] == []
    assert (tmp_path / "leaderboards" / "leaderboard.html").is_file()


@pytest.mark.skipif(find_spec("pdoc") is None, reason="the extra 'docs' is not installed")
def test_the_reference_has_every_public_class_with_its_members(build, links, tmp_path):
    build.write_pages(tmp_path)
    build.write_reference(tmp_path)
    assert list(links.broken_links(tmp_path)) == []
    data = links.targets(tmp_path / "api" / "vosbench" / "data.html")
    assert {"DAVIS16DataModule", "VideoDataModule.test_dataloader", "open_dataset"} <= data.anchors


@pytest.mark.parametrize(
    ("source", "page"),
    [
        ("README.md", "index.html"),
        ("vosbench/models/lip/README.md", "vosbench/models/lip/index.html"),
        (".github/CONTRIBUTING.md", "github/CONTRIBUTING.html"),
        ("benchmarks/conformance/definitions.py", "benchmarks/conformance/definitions.py.html"),
    ],
)
def test_a_page_stands_where_its_file_stands(build, source, page):
    assert build.page_path(Path(source)) == Path(page)


def test_a_heading_has_the_anchor_that_github_gives(build):
    assert build.slug("J&F: what `void` means, and why_not") == "jf-what-void-means-and-why_not"


def test_broken_links_are_named_with_their_page(links, tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "index.html").write_text(
        '<h1 id="top">a</h1><a href="sub/">b</a><a href="#top">c</a><a href="sub/index.html#x">d</a>'
        '<a href="https://example.org/absent">e</a><img src="absent.png">'
    )
    (tmp_path / "sub" / "index.html").write_text('<p id="y">')
    assert list(links.broken_links(tmp_path)) == ["index.html: sub/index.html#x", "index.html: absent.png"]
