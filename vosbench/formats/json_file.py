"""JSON files that hold one object."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vosbench.errors import InputError

_MOST_BYTES = 2**28


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file of at most 256 MiB whose outermost value is an object.

    Raises:
        InputError: missing, larger, no JSON, or another value.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise InputError(
                f"{path}: larger than {_MOST_BYTES >> 20} MiB, which this file never is; copy it again"
            )
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a JSON file ({error}); copy it again") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds no JSON object {{...}}; copy it again")
    return value
