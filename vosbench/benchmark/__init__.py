"""Comparison of methods: plan, evaluation of each method on each sequence, leakage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vosbench.faces import lazy

if TYPE_CHECKING:
    from vosbench.benchmark.comparison import CompareResult, compare

__all__ = ["CompareResult", "compare"]

__getattr__, __dir__ = lazy("vosbench.benchmark", dict.fromkeys(__all__, "vosbench.benchmark.comparison"))
