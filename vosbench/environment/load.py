"""Load of the machine during a timing, without which a number of seconds means little."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from typing import Any


class LoadMeter:
    """Meter of the load, from its creation on."""

    def __init__(self) -> None:
        self._before = _load_average()
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, Any]:
        """Return the entry ``load`` of a record.

        Returns:
            ``before``, ``after``: load average of a minute, the process itself included, None where the
            system has none; ``cores``; ``seconds`` that went by and ``cpu_seconds`` that all threads of this
            process computed. Waiting for other programs is in the former only.
        """
        return {
            "before": self._before,
            "after": _load_average(),
            "cores": os.cpu_count(),
            "seconds": round(time.perf_counter() - self._wall, 3),
            "cpu_seconds": round(time.process_time() - self._cpu, 3),
        }


def describe_load(loads: Iterable[Mapping[str, Any] | None]) -> str:
    """Return the load of the machine over several timings, in one line.

    Args:
        loads: of `LoadMeter.read`, None for a timing without.
    """
    timings = list(loads)
    known = [load for load in timings if load and load.keys() >= {"cores", "seconds", "cpu_seconds"}]
    if not known:
        return "load of the machine not recorded"
    averages = [load[end] for load in known for end in ("before", "after") if load.get(end) is not None]
    parts = []
    if averages:
        cores = "/".join(sorted({str(load["cores"]) for load in known}))
        parts.append(f"load average {min(averages):.1f} to {max(averages):.1f} on {cores} cores")
    seconds = sum(load["seconds"] for load in known)
    if seconds > 0:
        parts.append(f"{sum(load['cpu_seconds'] for load in known) / seconds:.2f} CPU seconds per second")
    if len(known) < len(timings):
        parts.append(f"not recorded for {len(timings) - len(known)} of {len(timings)}")
    return ", ".join(parts)


def _load_average() -> float | None:
    # Windows has no load average
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
