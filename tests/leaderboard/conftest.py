"""Records, published values and failures of which tests choose the fields that matter."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from vosbench.evaluation.record import Failure, Record, record_path
from vosbench.leaderboard.conditions import Conditions
from vosbench.leaderboard.reported import Reported

PROVENANCE = {
    "command": "vosbench compare",
    "config_hash": "c0ffee",
    "flow": None,
    "time": "2026-11-21T08:00:00+00:00",
    "device": "cpu",
    "versions": {"vosbench": "0.1.0", "torch": "2.15.0"},
    "git": {"commit": "0123456789abcdef", "clean": True},
    "training": {"data": {"name": "ft3d", "edition": "official", "sequences": []}},
}

CONDITIONS = Conditions(network="tiny", training=frozenset({"ft3d"}), flow="")
"""Conditions of the records made here."""


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """Return a function making a record with J values; every field can be overridden."""

    def make(
        model: str = "mpnet", sequence: str = "bear", j: Sequence[float] = (0.5, 0.7), **changes: Any
    ) -> Record:
        fields: dict[str, Any] = {
            "model": model,
            "size": "tiny" if model == "mpnet" else "",
            "dataset": "davis16",
            "edition": "official",
            "split": "val",
            "sequence": sequence,
            "protocol": "davis16-unsupervised",
            "frames": len(j) + 2,
            "key": "k",
            "values": {"J_mean": sum(j) / len(j), "J_decay": 0.1, "T_mean": 0.25},
            "per_frame": {"J": list(j)},
            "seconds_per_frame": {"segment": 0.125, "score": 9.0},
            "provenance": dict(PROVENANCE),
        }
        return Record(**{**fields, **changes})

    return make


@pytest.fixture
def make_reported() -> Callable[..., Reported]:
    """Return a function making a published J_mean of MP-Net on DAVIS val; every field can be overridden."""

    def make(value: float = 0.6, **changes: Any) -> Reported:
        fields: dict[str, Any] = {
            "paper": "Doe et al., Title",
            "table": "table 3",
            "method": "MP-Net",
            "dataset": "davis16",
            "split": "val",
            "metric": "J_mean",
            "value": value,
            "variant": "",
            "note": "",
            "own": True,
            "protocol": "davis16-unsupervised",
            "conditions": CONDITIONS,
        }
        return Reported(**{**fields, **changes})

    return make


@pytest.fixture
def make_published(make_record: Callable[..., Record]) -> Callable[..., list[Record]]:
    """Return a function making published records of the twenty sequences of val, all with the same J."""

    def make(
        model: str = "old",
        j: float = 0.6,
        table: Mapping[str, Any] | None = None,
        remarks: Mapping[str, Any] | None = None,
    ) -> list[Record]:
        reported = {
            "title": model.upper(),
            "source": "Doe et al.: a table",
            "licence": "none",
            "note": "",
            "file": "x.json",
            "table": table or {},
            "remarks": remarks or {},
        }
        return [
            make_record(model, f"s{i:02d}", (j, j), values={"J_mean": j}, provenance={"reported": reported})
            for i in range(20)
        ]

    return make


@pytest.fixture
def val_records(make_record: Callable[..., Record]) -> list[Record]:
    """Records of MP-Net on the twenty sequences of val, all with J = 0.6."""
    return [make_record(sequence=f"s{i:02d}", j=(0.5, 0.7)) for i in range(20)]


@pytest.fixture
def make_failure() -> Callable[..., Failure]:
    """Return a function making a failure of MP-Net on a miniature sequence; every field can be overridden."""

    def make(model: str = "mpnet", sequence: str = "bear", **changes: Any) -> Failure:
        fields: dict[str, Any] = {
            "model": model,
            "size": "",
            "dataset": "davis16",
            "edition": "mini",
            "split": "val",
            "sequence": sequence,
            "protocol": "davis16-unsupervised",
            "error": "RuntimeError: broken",
            "command": "vosbench compare",
            "time": "2026-11-21T08:00:00+00:00",
        }
        return Failure(**{**fields, **changes})

    return make


@pytest.fixture
def store(tmp_path: Path) -> Callable[[str, Iterable[Record]], Path]:
    """Return a function writing records below a named folder, as a comparison does."""

    def write(name: str, records: Iterable[Record]) -> Path:
        root = tmp_path / name
        for record in records:
            label = "davis16-mini" if record.edition == "mini" else "davis16"
            record.write(record_path(root, label, record.protocol, record.model, record.sequence))
        return root

    return write
