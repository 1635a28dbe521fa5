"""Whether weights are scored on what they have learnt from."""

from __future__ import annotations

from collections.abc import Iterable

from vosbench.benchmark.record import Record


def leaks(records: Iterable[Record]) -> list[str]:
    """Return a line for every model that was scored on real sequences it was trained on.

    Sequences are known by their names, which DAVIS 2016 and 2017 share. What the weights learnt from is
    what their checkpoint, or the file beside them, tells; the zoo has seen rendered scenes only.

    Args:
        records: of a comparison.
    """
    found: dict[tuple[str, str], list[str]] = {}
    for record in records:
        seen = record.provenance.get("training", {}).get("data", {}).get("sequences", ())
        if record.edition == "official" and record.sequence in seen:
            found.setdefault((record.model, record.label), []).append(record.sequence)
    return [
        f"{model} on {label} is scored on what it was trained on: {', '.join(sorted(set(names)))}; "
        "such numbers say nothing about other videos"
        for (model, label), names in found.items()
    ]
