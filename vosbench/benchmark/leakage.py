"""Train/test leakage check of weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from vosbench.evaluation.record import Record

_SHOWN = 5
"""Names of sequences that fit into a line."""

LeakKind = Literal["trained on", "selected on"]

_CONSEQUENCE: Mapping[LeakKind, str] = {
    "trained on": "such numbers say nothing about other videos",
    "selected on": "settings or checkpoints were chosen there, other videos may score lower",
}


@dataclass(frozen=True)
class Leak:
    """A model that was scored on real sequences it was trained or selected on.

    Attributes:
        model, size: of the records.
        dataset: data set.
        kind: which of the two.
        through: the weights of another network by which the model knows the sequences, e.g.
            ``"motion_weights mpnet-tiny.safetensors"``, the shortest of several ways; ``""`` for its own.
        how: how the model was selected there, as far as that is known.
        sequences: names.
        protocols: ids of the protocols under which they were scored.
    """

    model: str
    size: str
    dataset: str
    kind: LeakKind
    through: str
    how: str
    sequences: tuple[str, ...]
    protocols: tuple[str, ...]

    def __str__(self) -> str:
        through = f" (through {self.through})" if self.through else ""
        how = f"{self.how}; " if self.how else ""
        return (
            f"{self.model} on {self.dataset} is scored on what it was {self.kind}{through}: "
            f"{_listed(self.sequences)}; {how}{_CONSEQUENCE[self.kind]}"
        )


def leaks(records: Iterable[Record], zoo: Mapping[str, Mapping[str, Any]]) -> list[Leak]:
    """Return what models were scored on although they were trained or selected on it.

    Sequences are known by their names, which DAVIS 2016 and 2017 share. What weights were trained and
    selected on is in their checkpoint, or in the file beside them, also for the weights of other networks
    inside. Weights without this, and miniatures, have no leaks.

    Args:
        records: of any models.
        zoo: SHA-256 of weights -> how they were trained, see `vosbench.models.pretrained.zoo.trainings`.
    """
    leaking: dict[tuple[str, str, str, _LeakSource], dict[str, set[str]]] = {}
    for record in records:
        if record.edition != "official":
            continue
        for source, sequences in _known(record, zoo):
            if record.sequence in sequences:
                cells = leaking.setdefault((record.model, record.size, record.dataset, source), {})
                cells.setdefault(record.sequence, set()).add(record.protocol)
    found = [
        Leak(
            model=model,
            size=size,
            dataset=dataset,
            kind=source.kind,
            through=source.through,
            how=source.how,
            sequences=tuple(sorted(cells)),
            protocols=tuple(sorted(set[str]().union(*cells.values()))),
        )
        for (model, size, dataset, source), cells in leaking.items()
    ]
    return [leak for leak in found if not any(_says_more(other, leak) for other in found)]


def _says_more(other: Leak, leak: Leak) -> bool:
    """Return whether another leak names all sequences of one, by a shorter way to the same selection."""
    same = ("model", "size", "dataset", "kind", "how")
    if any(getattr(other, name) != getattr(leak, name) for name in same):
        return False
    return set(leak.sequences) <= set(other.sequences) and _way(other) < _way(leak)


def _way(leak: Leak) -> tuple[int, str]:
    return len(leak.through.split(", ")) if leak.through else 0, leak.through


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"


class _LeakSource(NamedTuple):
    """Training or selection by which a model knows sequences."""

    kind: LeakKind
    through: str
    how: str


def _known(
    record: Record, zoo: Mapping[str, Mapping[str, Any]]
) -> Iterator[tuple[_LeakSource, frozenset[str]]]:
    provenance = record.provenance
    weights = provenance.get("weights") or {}
    yield from _of_training(provenance.get("training") or zoo.get(str(weights.get("sha256")), {}), "")
    yield from _of_parts(weights.get("parts", ()), "")


def _of_training(training: Mapping[str, Any], through: str) -> Iterator[tuple[_LeakSource, frozenset[str]]]:
    trained = training.get("data", {}).get("sequences", ())
    yield _LeakSource("trained on", through, ""), frozenset(trained)
    for selection in training.get("selection", ()):
        if selection.get("edition") == "official":
            source = _LeakSource("selected on", through, selection.get("how", ""))
            yield source, frozenset(selection.get("sequences", ()))
    yield from _of_parts(training.get("parts", ()), through)


def _of_parts(
    parts: Iterable[Mapping[str, Any]], through: str
) -> Iterator[tuple[_LeakSource, frozenset[str]]]:
    for part in parts:
        way = f"{part['key']} {part['weights']}"
        yield from _of_training(part.get("training", {}), f"{through}, {way}" if through else way)
