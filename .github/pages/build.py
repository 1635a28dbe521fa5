"""Build the documentation site: Markdown pages, API reference, leaderboard page.

    python .github/pages/build.py SITE

Markdown files become pages at the path they have in the repository, README.md as index.html, so their links
hold. Source files that a page links to become pages as well. Needs the extra ``docs``.
"""

import argparse
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType
from urllib.parse import urlsplit

from jinja2 import Environment, FileSystemLoader
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.util import ClassNotFound

ROOT = Path(__file__).parents[2]
TEMPLATES = Path(__file__).parent / "templates"
SKIPPED = (".github/ISSUE_TEMPLATE", ".github/PULL_REQUEST_TEMPLATE.md")
FORMATTER = HtmlFormatter(nowrap=True)


@dataclass(frozen=True)
class Page:
    """A file of the repository as a page of the site.

    Attributes:
        source: path of the file, relative to the repository.
        title: first heading, or the path.
        body: HTML.
        links: relative targets of links and images.
    """

    source: Path
    title: str
    body: str
    links: tuple[str, ...]

    @property
    def target(self) -> Path:
        """Path of the page, relative to the site."""
        return page_path(self.source)


def page_path(source: Path) -> Path:
    """Return the path of the page of a file, relative to the site.

    >>> page_path(Path("benchmarks/README.md")).as_posix(), page_path(Path("a/plain.py")).as_posix()
    ('benchmarks/index.html', 'a/plain.py.html')
    """
    source = site_path(source)
    if source.name == "README.md":
        return source.with_name("index.html")
    return source.with_suffix(".html") if source.suffix == ".md" else source.with_name(f"{source.name}.html")


def slug(heading: str) -> str:
    """Return the anchor of a heading, as GitHub makes it.

    >>> slug("Published numbers, as a test")
    'published-numbers-as-a-test'
    """
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def markdown_page(source: Path) -> Page:
    """Return the page of a Markdown file, with an anchor at every heading."""
    parser = MarkdownIt("commonmark", {"highlight": highlighted}).enable("table")
    tokens = parser.parse((ROOT / source).read_text(encoding="utf-8"))
    headings = list(named_headings(tokens))
    links = tuple(relative_links(source, tokens))
    body = parser.renderer.render(tokens, parser.options, {})
    return Page(source, headings[0] if headings else source.as_posix(), body, links)


def highlighted(code: str, language: str, attributes: str) -> str:
    """Return code as HTML with marked tokens; empty for unknown languages: the renderer escapes them."""
    try:
        return str(highlight(code, get_lexer_by_name(language), FORMATTER))
    except ClassNotFound:
        return ""


def named_headings(tokens: list[Token]) -> Iterator[str]:
    """Give every heading its anchor, and yield its text."""
    for opening, inline in pairwise(tokens):
        if opening.type == "heading_open":
            words = (part for part in inline.children or () if part.type in ("text", "code_inline"))
            text = "".join(part.content for part in words)
            opening.attrSet("id", slug(text))
            yield text


def relative_links(source: Path, tokens: Iterable[Token]) -> Iterator[str]:
    """Point relative links at pages, and yield the files that they mean, relative to the repository."""
    for token in tokens:
        yield from relative_links(source, token.children or ())
        key = {"link_open": "href", "image": "src"}.get(token.type)
        url = urlsplit(str(token.attrGet(key))) if key else None
        if key is None or url is None or url.scheme or not url.path:
            continue
        linked = (ROOT / source.parent / url.path).resolve().relative_to(ROOT)
        if (ROOT / linked).is_dir():
            linked /= "README.md"
        path = site_path(linked) if key == "src" else page_path(linked)
        up = "../" * (len(page_path(source).parts) - 1)
        anchor = f"#{url.fragment}" if url.fragment else ""
        token.attrSet(key, f"{up}{path.as_posix()}{anchor}")
        yield linked.as_posix()


def site_path(path: Path) -> Path:
    """Return a path without the dots that folders start with: such folders are not served everywhere."""
    return Path(*(part.removeprefix(".") for part in path.parts))


def source_page(source: Path) -> Page:
    """Return the page of a source file."""
    code = (ROOT / source).read_text(encoding="utf-8")
    body = highlight(code, get_lexer_for_filename(source.name), FORMATTER)
    return Page(source, source.as_posix(), f"<h1>{source.as_posix()}</h1>\n<pre>{body}</pre>", ())


def tracked(pattern: str) -> list[Path]:
    """Return the tracked files that match a pattern, relative to the repository."""
    command = ["git", "-C", str(ROOT), "ls-files", pattern]
    listed = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")  # noqa: S603
    return [Path(line) for line in listed.stdout.splitlines()]


def write_pages(site: Path) -> None:
    """Write a page for every Markdown file and for what such files link to; copy their pictures."""
    # the leaderboard has a page of its own
    made = [source for source in tracked("*.md") if not source.as_posix().startswith(SKIPPED)]
    pages = [markdown_page(source) for source in made if not (ROOT / source).with_suffix(".html").exists()]
    linked = {Path(link) for page in pages for link in page.links}
    for source in sorted(linked - set(made)):
        if source.suffix == ".png":
            copy(source, site / site_path(source))
        elif (ROOT / source).is_file():
            pages.append(source_page(source))
    template = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True).get_template("page.html")
    cards = [page for page in pages if page.source.match("vosbench/models/*/README.md")]
    style = HtmlFormatter().get_style_defs("pre")
    for page in pages:
        target = site / page.target
        target.parent.mkdir(parents=True, exist_ok=True)
        up = "../" * (len(page.target.parts) - 1)
        text = template.render(page=page, cards=cards, up=up, style=style)
        target.write_text(text, encoding="utf-8")
    for source in tracked("leaderboards/*.html"):
        copy(source, site / source)


def copy(source: Path, target: Path) -> None:
    """Copy a file of the repository."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / source, target)


def documented_modules() -> Iterator[str]:
    """Yield the modules of the reference: the faces of packages, the contracts beside them, the methods."""
    import vosbench
    from vosbench.models import METHODS

    for module in walk_packages(vosbench.__path__, "vosbench."):
        face = module.ispkg and hasattr(import_module(module.name), "__all__")
        contract = not module.ispkg and module.name.count(".") == 1 and not module.name.endswith("__main__")
        if face or contract:
            yield module.name
    yield from (place.split(":")[0] for place in METHODS.values())


def write_reference(site: Path) -> None:
    """Write the API reference from docstrings."""
    import pdoc
    import pdoc.doc
    import pdoc.render

    pdoc.render.configure(docformat="google", show_source=False, template_directory=TEMPLATES)
    modules = {name: pdoc.doc.Module(public(import_module(name))) for name in sorted(documented_modules())}
    for name, module in modules.items():
        target = site / "api" / f"{name.replace('.', '/')}.html"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(pdoc.render.html_module(module, modules), encoding="utf-8")
    (site / "api" / "index.html").write_text(pdoc.render.html_index(modules), encoding="utf-8")
    (site / "api" / "search.js").write_text(pdoc.render.search_index(modules), encoding="utf-8")


def public(module: ModuleType) -> ModuleType:
    """Import what a lazy face names, which pdoc looks for in the module itself."""
    for name in getattr(module, "__all__", ()):
        setattr(module, name, getattr(module, name))
    return module


def main() -> None:
    """Build the site from the command line."""
    parser = argparse.ArgumentParser(description="Build the documentation site.")
    parser.add_argument("site", type=Path)
    site = parser.parse_args().site
    write_pages(site)
    write_reference(site)


if __name__ == "__main__":
    main()
