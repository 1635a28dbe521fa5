"""Findings of the diagnosis of results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Finding:
    """One mistake in the results of one sequence, and the way to correct it.

    Attributes:
        count: number of frames with the mistake; of sequences when `sequence` is ``""``.
        problem: the mistake, in words that are the same for every sequence, so that findings can be grouped.
        fix: the command, option or conversion that corrects it.
        severity: ``"error"`` when no number or a wrong one comes out, ``"warning"`` otherwise.
        sequence: its name; ``""`` for the folder as a whole.
    """

    count: int
    problem: str
    fix: str
    severity: Severity = "error"
    sequence: str = ""
