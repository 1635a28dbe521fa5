"""Build the documentation site.

    python .github/docs/build.py SITE

The pages of this folder, the Markdown files and notebooks of the repository, and pages made from the code are
brought together as the source of Sphinx, whose warnings are errors. Needs the extra ``docs``.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from generate import generated_pages

ROOT = Path(__file__).parents[2]
DOCS = ".github/docs/"
SKIPPED = (".github/ISSUE_TEMPLATE", ".github/PULL_REQUEST_TEMPLATE.md")
LINK = re.compile(r"(?<=\]\()([^()\s#:]+)(?=[)#])")
INTERACTIVE = Path("leaderboards/leaderboard.html")


def tracked(*patterns: str) -> list[Path]:
    """Return the files of the repository that match patterns of git, relative to it."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", *patterns]
    listed = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")  # noqa: S603
    return [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def site_path(path: Path) -> Path:
    """Return where a file of the repository stands in the site: folders with a dot are not served everywhere.

    >>> site_path(Path(".github/docs/scaling.md")).as_posix()
    'scaling.md'
    >>> site_path(Path(".github/SECURITY.md")).as_posix()
    'github/SECURITY.md'
    """
    return Path(path.as_posix().removeprefix(DOCS).removeprefix("."))


def with_site_links(text: str, source: Path) -> tuple[str, list[Path]]:
    """Return Markdown whose relative links lead to where files stand in the site, and the files they name.

    Args:
        text: of a file.
        source: the file, relative to the repository.
    """
    linked = []
    folder = site_path(source).parent

    def replaced(found: re.Match[str]) -> str:
        target = Path(os.path.normpath(source.parent / found[1]))
        if (ROOT / target).is_dir():
            target /= "README.md"
        if not (ROOT / target).is_file():
            return found[1]
        linked.append(target)
        return Path(os.path.relpath(site_path(target), folder)).as_posix()

    return LINK.sub(replaced, text), linked


def assemble(tree: Path) -> None:
    """Write the source of Sphinx: pages, notebooks, and what their links name."""
    pages = [page for page in tracked("*.md", "*.ipynb") if not page.as_posix().startswith(SKIPPED)]
    others: list[Path] = []
    for page in pages:
        text, linked = with_site_links((ROOT / page).read_text(encoding="utf-8"), page)
        write(tree / site_path(page), text)
        others += [file for file in linked if file.suffix not in (".md", ".ipynb")]
    for file in others:
        copy(file, tree / site_path(file))
    for name, text in generated_pages():
        write(tree / name, text)


def write(path: Path, text: str) -> None:
    """Write a page, in a folder that need not be there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def copy(file: Path, target: Path) -> None:
    """Copy a file of the repository."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(ROOT / file, target)


def main() -> None:
    """Build the site from the command line; status 1 if Sphinx warns."""
    from sphinx.cmd.build import main as sphinx

    parser = argparse.ArgumentParser(description="Build the documentation site.")
    parser.add_argument("site", type=Path)
    site = parser.parse_args().site
    with tempfile.TemporaryDirectory() as tree:
        assemble(Path(tree))
        options = ["--fail-on-warning", "--keep-going", "--quiet", "--conf-dir", str(ROOT / DOCS)]
        status = sphinx([*options, tree, str(site)])
    copy(INTERACTIVE, site / INTERACTIVE.name)
    sys.exit(status)


if __name__ == "__main__":
    main()
