"""Check the links of a built site: pages, pictures, anchors.

    python .github/pages/links.py SITE

Addresses outside the site are not visited. Ends with status 1 when a link is broken.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


@dataclass
class Targets(HTMLParser):
    """The links and anchors of one page.

    Attributes:
        links: values of ``href`` and ``src``.
        anchors: values of ``id`` and ``name``.
    """

    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the links and anchors of a tag."""
        for key, value in attrs:
            if key in ("href", "src") and value:
                self.links.append(value)
            if key in ("id", "name") and value:
                self.anchors.add(value)


def targets(page: Path) -> Targets:
    """Return the links and anchors of a page."""
    parser = Targets()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def broken_links(site: Path) -> Iterator[str]:
    """Yield ``"page: link"`` for every link within the site that leads nowhere."""
    site = site.resolve()
    pages = {page: targets(page) for page in sorted(site.rglob("*.html"))}
    for page, own in pages.items():
        for link in own.links:
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (page.parent / unquote(url.path)).resolve() if url.path else page
            if target.is_dir():
                target /= "index.html"
            anchors = pages[target].anchors if target in pages else set()
            if not target.is_file() or (url.fragment and unquote(url.fragment) not in anchors):
                yield f"{page.relative_to(site)}: {link}"


if __name__ == "__main__":
    broken = list(broken_links(Path(sys.argv[1])))
    sys.exit("\n".join(broken) if broken else 0)
