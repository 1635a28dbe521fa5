"""Protocols: which frames count, how objects are matched, what void means, what the mean runs over.

A protocol is data (``configs/protocol/<id>.yaml``); every number carries the id of its protocol.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from functools import cache
from importlib import resources
from typing import Any, Literal, get_args

import yaml

from vosbench.errors import InputError, unknown_name

PROTOCOLS = ("davis16-unsupervised", "davis17-semi-supervised", "davis17-unsupervised")

Frames = Literal["inner", "all"]
Objects = Literal["union", "ids", "match"]
VoidRule = Literal["foreground", "background", "ignore"]
Average = Literal["sequences", "objects"]

METRICS = ("j", "f", "t")


@dataclass(frozen=True)
class Protocol:
    """The rules a number was measured under.

    Attributes:
        id: name written beside every number.
        title: one line for tables.
        frames: ``"inner"`` leaves out the first and the last frame, ``"all"`` does not.
        objects: ``"union"`` merges all non-zero ids into one foreground, ``"ids"`` compares equal
            ids, ``"match"`` assigns predicted ids to ground-truth objects.
        void: what id 255 of the ground truth means: ``"foreground"`` (an object like any other),
            ``"background"`` (counted as background), ``"ignore"`` (pixels left out).
        metrics: letters out of ``j f t``.
        stability_sequences: sequences that count for the data-set value of T; all when none of a
            data set is listed.
        average: what the data-set mean runs over.
        source: where the rules come from.
    """

    id: str
    title: str
    frames: Frames
    objects: Objects
    void: VoidRule
    metrics: tuple[str, ...]
    stability_sequences: tuple[str, ...]
    average: Average
    source: str

    def evaluated(self, length: int) -> range:
        """Return the indices of the frames that count in a sequence of `length` frames."""
        if self.frames == "all":
            return range(length)
        return range(1, max(length - 1, 1))

    def choose_metrics(self, asked: tuple[str, ...] | None) -> tuple[str, ...]:
        """Return the metric letters to compute: all of the protocol, or those asked for.

        Raises:
            InputError: a letter that this protocol does not define.
        """
        if asked is None:
            return self.metrics
        for letter in asked:
            if letter not in self.metrics:
                raise InputError(
                    f"metric '{letter}': protocol {self.id} has {', '.join(self.metrics)}; choose among them"
                )
        if not asked:
            raise InputError(f"no metric chosen: protocol {self.id} has {', '.join(self.metrics)}")
        return tuple(letter for letter in self.metrics if letter in asked)

    def definition(self) -> dict[str, Any]:
        """Return the rules as plain data, for hashing and for records."""
        return {key: list(item) if isinstance(item, tuple) else item for key, item in asdict(self).items()}


@cache
def load_protocol(name: str) -> Protocol:
    """Return the protocol called `name`.

    Raises:
        InputError: no such protocol.
    """
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    file = resources.files("vosbench") / "configs" / "protocol" / f"{name}.yaml"
    return parse_protocol(yaml.safe_load(file.read_text(encoding="utf-8")), source=f"{name}.yaml")


def parse_protocol(content: Any, source: str) -> Protocol:
    """Build a protocol from the content of a YAML file.

    Args:
        content: mapping with exactly the fields of `Protocol`.
        source: file name for error messages.

    Raises:
        InputError: a key is missing, unknown, or has a value outside its choices.
    """
    names = {field.name for field in fields(Protocol)}
    if not isinstance(content, dict):
        raise InputError(f"{source}: expected a mapping with the keys {', '.join(sorted(names))}")
    for key in content:
        if key not in names:
            raise unknown_name(f"key in {source}", str(key), names)
    missing = sorted(names - content.keys())
    if missing:
        raise InputError(f"{source}: missing {', '.join(missing)}")
    choices = {"frames": Frames, "objects": Objects, "void": VoidRule, "average": Average}
    for key, literal in choices.items():
        _check_choices(source, key, [content[key]], get_args(literal))
    _check_choices(source, "metrics", content["metrics"], METRICS)
    lists = ("metrics", "stability_sequences")
    values: dict[str, Any] = {key: tuple(item) if key in lists else item for key, item in content.items()}
    return Protocol(**values)


def _check_choices(source: str, key: str, values: list[Any], choices: tuple[str, ...]) -> None:
    for value in values:
        if value not in choices:
            raise InputError(f"{source}: {key} is '{value}', must be one of {', '.join(choices)}")
