"""Who takes part in a comparison: methods of the zoo, and the user's own weights under names of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vosbench.benchmark.job import Contestant
from vosbench.errors import InputError, unknown_name
from vosbench.evaluation.detecting import Detector
from vosbench.method import Method, Size
from vosbench.models.pretrained.zoo import accepts, method_names, move_to
from vosbench.scoring.protocol import Protocol

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]*")
"""Labels name folders, and a dot ends them in ``--set LABEL.KEY=VALUE``."""


@dataclass(frozen=True)
class Entrant:
    """A contestant, and what decides which protocols fit it."""

    contestant: Contestant
    task: str
    detects: bool

    @classmethod
    def of(cls, contestant: Contestant, method: Method) -> Entrant:
        """Describe a contestant by its method."""
        return cls(contestant, method.task, isinstance(method, Detector))

    def fits(self, protocol: Protocol) -> bool:
        """Return whether this is what a protocol is made for."""
        return self.task == protocol.task and (self.detects or protocol.objects != "detections")


def choose_entrants(
    asked: Sequence[str], size: Size | None, settings: Mapping[str, Any], device: str
) -> tuple[tuple[Entrant, ...], list[str]]:
    """Return the methods that take part, and a line on each of ``all`` that cannot.

    Args:
        asked: ``all`` (every method that has weights or needs none), or ``[LABEL=]NAME[:CHECKPOINT]``: a
            method, with other weights than the zoo's, under another name than its own.
        size: network size; the largest that has weights when None.
        settings: switches to change for inference: ``KEY`` in every method that has it, ``LABEL.KEY`` in one.
        device: where networks run, see `vosbench.models.pretrained.zoo.move_to`.

    Raises:
        InputError: unknown names or switches, two methods under one name, or weights that do not fit.
    """
    if not asked:
        raise InputError("no model named: give names, or all")
    named = _named([text for text in asked if text != "all"], size)
    every = {name: Contestant(name, name, size) for name in method_names()} if "all" in asked else {}
    contestants = _with_settings(every | named, settings)
    notes, chosen = [], []
    for label, contestant in contestants.items():
        try:
            method, _ = contestant.load()
        except InputError as error:
            if label in named:
                raise
            notes.append(f"{label} left out: {error}")
            continue
        chosen.append(Entrant.of(contestant, move_to(method, device)))
    if not chosen:
        raise InputError(f"no model can run: {'; '.join(notes)}")
    return tuple(chosen), notes


def _named(asked: Sequence[str], size: Size | None) -> dict[str, Contestant]:
    found: dict[str, Contestant] = {}
    for text in asked:
        contestant = _parse(text, size)
        if found.setdefault(contestant.label, contestant) != contestant:
            taken = contestant.label
            raise InputError(f"--models {text}: '{taken}' is another one already; write LABEL={text}")
    return found


def _parse(text: str, size: Size | None) -> Contestant:
    # names of checkpoints hold '=' too: epoch=3.ckpt
    labelled = "=" in text.partition(":")[0]
    label, _, weights_of = text.partition("=") if labelled else ("", "", text)
    method, colon, checkpoint = weights_of.partition(":")
    if method not in method_names():
        raise unknown_name("model", method, [*method_names(), "all"])
    if colon and not checkpoint:
        raise InputError(f"--models {text}: no weights after the colon; write {method}:FILE")
    if not labelled:
        label = method
    elif not _LABEL.fullmatch(label):
        raise InputError(f"--models {text}: a name has letters, digits, '_', '+' and '-', not '{label}'")
    elif label != method and (label in method_names() or label == "all"):
        raise InputError(f"--models {text}: {label} is the name of something else; choose another")
    return Contestant(method, label, size, Path(checkpoint) if checkpoint else None)


def _with_settings(
    contestants: Mapping[str, Contestant], settings: Mapping[str, Any]
) -> dict[str, Contestant]:
    """Give every setting to those it is for; one label's own goes before one for all."""
    changed: dict[str, dict[str, Any]] = {label: {} for label in contestants}
    for setting, value in sorted(settings.items(), key=lambda item: "." in item[0]):
        label, dot, switch = setting.rpartition(".")
        if dot and label not in contestants:
            raise unknown_name(f"model in --set {setting}", label, list(contestants))
        those = [label] if dot else list(contestants)
        having = [each for each in those if accepts(contestants[each].method, switch)]
        if not having:
            raise InputError(f"--set {setting}: none of {', '.join(those)} has this switch")
        for each in having:
            changed[each][switch] = value
    return {label: replace(each, settings=changed[label]) for label, each in contestants.items()}
