"""Downloads masks of DAVIS 2016 val that the web page of DAVIS offers, for tests of its published numbers.

``python leaderboards/third_party/masks.py ROOT`` writes ``ROOT/davis16_zips/NAME.zip``. No licence is stated.
"""

from __future__ import annotations

import sys
from pathlib import Path

from vosbench.data.download import download
from vosbench.data.sources import Source

FOLDER = "davis16_zips"

_SITE = (
    "https://raw.githubusercontent.com/davisvideochallenge/davisvideochallenge.github.io/"
    "30be16ff9d289f6711328c950a19c6288306ade3/results/2016"
)


def _zip(name: str, size: int, sha256: str) -> Source:
    return Source(f"{_SITE}/{name}.zip", f"{name}.zip", size, f"sha256:{sha256}")


MASKS = {
    "fseg": _zip("fseg", 3_611_508, "29bdd0019fd1629f634b386c08bb81fda39a6150e79589d83cc394796107f8dd"),
    "lsmo": _zip("lsmo", 3_351_335, "7f392e0aef84f05d671dd2e4e12fd9cb7e2ec4bce6c57fb6bc5f8c9a74658907"),
    "lvo": _zip("lvo", 3_306_403, "95f639e05fd3184ca9a714cccd77498675961789ce637195ee835826834f547a"),
    "osvos": _zip("osvos", 1_770_084, "a3722ade958087e4fdd8fc57f4d464aaa8a003aa4dc29f02871a170bce67db54"),
    "stm": _zip("stm", 3_246_239, "0cbb9154b92aed74342b501157fb349cb841c0e73302dc32f19a4a416217135e"),
}
"""Name on the web page -> its masks."""


def fetch_masks(root: Path) -> list[Path]:
    """Download what is not there yet, checked by size and SHA-256; return the files."""
    return [download(source, root / FOLDER) for source in MASKS.values()]


if __name__ == "__main__":
    for path in fetch_masks(Path(sys.argv[1])):
        sys.stdout.write(f"{path}\n")
