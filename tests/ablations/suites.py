"""Variants of small suites for tests."""

from typing import Any

import yaml


def changed(text: str, **changes: Any) -> dict[str, Any]:
    """Return the content of a suite with other values; ``a__b=1`` is key b of key a."""
    suite: dict[str, Any] = yaml.safe_load(text)
    for path, value in changes.items():
        place = suite
        *parents, last = path.split("__")
        for key in parents:
            place = place[key]
        place[last] = value
    return suite
