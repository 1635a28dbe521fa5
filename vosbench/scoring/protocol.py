"""Protocols: the frames that count, matching of objects, meaning of void, average over a data set.

A protocol is data (``configs/protocol/<id>.yaml``); every number carries the id of its protocol.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal, get_args

from vosbench.errors import InputError, shown, unknown_name
from vosbench.method import Task
from vosbench.metrics.kernels.fbms import FRule, Variant
from vosbench.metrics.kernels.temporal import Toolkit
from vosbench.metrics.specs import METRICS
from vosbench.plain_data import ANY, check_kind, read_yaml
from vosbench.plugins import PROTOCOLS, Plugin, installed

FOLDER: Traversable = resources.files("vosbench") / "configs" / "protocol"
"""One YAML per protocol, named after its id."""

Frames = Literal["inner", "all", "annotated", "after_first", "before_last"]
Objects = Literal["union", "ids", "match", "volumes", "detections"]
VoidRule = Literal["foreground", "background", "ignore"]
Average = Literal["sequences", "objects", "classes", "pooled"]

_CHOICES: Mapping[str, tuple[Any, ...]] = {
    "frames": get_args(Frames),
    "objects": get_args(Objects),
    "void": get_args(VoidRule),
    "average": get_args(Average),
    "task": get_args(Task),
    "variant": (*get_args(Variant), None),
    "stability": get_args(Toolkit),
    "compared": (True, False),
    "f_rule": (*get_args(FRule), None),
}
"""Key -> what it may be."""

_KINDS: dict[str, Any] = {
    **dict.fromkeys(("id", "title", "source"), str),
    **{key: [str] for key in ("datasets", "metrics", "stability_sequences")},
    "split": (str, None),
    "options": {ANY: str},
    "tables": {ANY: list},
}
"""Key -> kind of its value, for keys without choices."""

_HASHED_AS = {"annotations": "edition"}
"""Option of a reader -> its name when records were first made, which stays in their keys."""


@dataclass(frozen=True)
class Protocol:
    """Rules under which a number is measured.

    Attributes:
        id: name written beside every number.
        title: one line for tables.
        order: place in lists and tables, ascending.
        datasets: names of the data sets that can be scored, first the one that the protocol is made for.
        frames: which frames count: ``"inner"`` all but the first and the last, ``"all"``,
            ``"annotated"`` those with ground truth, ``"after_first"`` these without the first of
            them, ``"before_last"`` all but the last.
        objects: ``"union"`` merges all non-zero ids into one foreground, ``"ids"`` compares equal
            ids, ``"match"`` assigns predicted ids to ground-truth objects, ``"volumes"`` compares
            what each id covers over the whole video, ``"detections"`` scored boxes and masks.
        void: meaning of id 255 of the ground truth: ``"foreground"`` (an object like any other),
            ``"background"`` (counted as background), ``"ignore"`` (pixels left out).
        metrics: names out of `vosbench.metrics.specs.METRICS`.
        split: split of the data set it is made for; None for the usual one.
        options: of the reader of the data set that it is made for, e.g. which of several labellings is
            the ground truth.
        variant: which FBMS measure; None without one.
        f_rule: how F of a data set follows from its sequences, where it is not the rule of the variant;
            see `vosbench.metrics.kernels.fbms.F_RULES`.
        stability: the toolkit whose T it has, see `vosbench.metrics.kernels.temporal.PairValues`; with
            ``"matlab"`` the first pair is the ground truth of frame 0 and the first evaluated mask.
        stability_sequences: sequences that count for the data-set value of T; all when none of a
            data set is listed.
        average: items of the data-set mean; ``"pooled"``: no mean, all frames at once.
        task: what the methods are given that it is made for: with ``"semi-supervised"`` the mask of the
            first labelled frame.
        given: ``dataset`` and ``split`` of the masks that are given, where those are not the ground truth
            but label the same videos by object; empty otherwise.
        compared: whether a comparison of methods has it; masks are scored under any protocol.
        tables: paper (key of ``leaderboards/reported.yaml``) -> its tables that follow these rules.
        source: where the rules come from.
        version: raised whenever a value of this protocol changes its meaning, so that records of before
            are computed again.
    """

    id: str
    title: str
    order: int
    datasets: tuple[str, ...]
    frames: Frames
    objects: Objects
    void: VoidRule
    metrics: tuple[str, ...]
    average: Average
    source: str
    split: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    variant: Variant | None = None
    f_rule: FRule | None = None
    stability: Toolkit = "python"
    stability_sequences: tuple[str, ...] = ()
    task: Task = "unsupervised"
    given: Mapping[str, str] = field(default_factory=dict)
    compared: bool = True
    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    version: int = 1

    def evaluated(self, length: int, annotated: Iterable[int] | None = None) -> Sequence[int]:
        """Return the indices of the frames that count, ascending.

        Args:
            length: number of frames of the sequence.
            annotated: indices of the frames with ground truth; all when None.
        """
        if self.frames == "inner":
            return range(1, max(length - 1, 1))
        if self.frames == "all":
            return range(length)
        if self.frames == "before_last":
            return range(max(length - 1, 0))
        frames = range(length) if annotated is None else sorted(annotated)
        return frames if self.frames == "annotated" else frames[1:]

    def reader_options(self, dataset: str) -> Mapping[str, str]:
        """Return the options of the reader of a data set: others than the first have one ground truth."""
        return self.options if dataset == self.datasets[0] else {}

    def choose_metrics(self, asked: tuple[str, ...] | None) -> tuple[str, ...]:
        """Return the metrics to compute: all of the protocol, or those asked for.

        Raises:
            InputError: one that this protocol does not define.
        """
        if asked is None:
            return self.metrics
        for name in asked:
            if name not in self.metrics:
                raise InputError(
                    f"metric '{name}': protocol {self.id} has {', '.join(self.metrics)}; choose among them"
                )
        if not asked:
            raise InputError(f"no metric chosen: protocol {self.id} has {', '.join(self.metrics)}")
        # J&F is the mean of the two: it needs both, and costs nothing once they are there
        names = {*asked, *(part for name in asked for part in METRICS[name].mean_of)}
        names |= {
            name for name in self.metrics if (parts := METRICS[name].mean_of) and names.issuperset(parts)
        }
        return tuple(name for name in self.metrics if name in names)

    def definition(self) -> dict[str, Any]:
        """Return the rules as plain data, for hashing and for records, without the data sets they serve."""
        others = ("datasets", "split", "task", "compared", "tables", "order")
        rules = {key: item for key, item in vars(self).items() if key not in others}
        # records of protocols that never changed keep their keys
        for key, usual in (("version", 1), ("stability", "python")):
            if rules[key] == usual:
                del rules[key]
        rules["options"] = {_HASHED_AS.get(key, key): item for key, item in self.options.items()}
        return {
            key: list(item) if isinstance(item, tuple) else item
            for key, item in rules.items()
            if item is not None and item != {}
        }


@cache
def load_protocol(name: str) -> Protocol:
    """Return the protocol called `name`.

    Raises:
        InputError: no such protocol.
    """
    files = _files()
    if name not in files:
        raise unknown_name("protocol", name, files)
    protocol = parse_protocol(read_yaml(files[name]), files[name].name)
    if protocol.id != name:
        raise InputError(f"{files[name]}: its id is '{protocol.id}', must be '{name}', the name of the file")
    return protocol


def protocols(dataset: str | None = None) -> list[Protocol]:
    """Return the protocols in the order of lists and tables.

    Args:
        dataset: catalogue name, e.g. ``"davis16"``: the protocols that can score it; all when None.
    """
    known = sorted(map(load_protocol, _files()), key=lambda protocol: (protocol.order, protocol.id))
    return [protocol for protocol in known if dataset is None or dataset in protocol.datasets]


def protocols_made_for(dataset: str) -> list[Protocol]:
    """Return the protocols under which methods are compared on a data set."""
    return [rules for rules in protocols(dataset) if rules.compared and rules.datasets[0] == dataset]


def protocol_of_table(paper: str, table: str, dataset: str) -> str:
    """Return the id of the protocol that a published table follows; ``""`` when none is known.

    Args:
        paper: key of ``papers`` in ``leaderboards/reported.yaml``.
        table: its number, or ``text_<section>``.
        dataset: our name; a table may report several under rules of their own.
    """
    following = [rules for rules in protocols() if table in rules.tables.get(paper, ())]
    made_for = [rules for rules in following if dataset in rules.datasets]
    return next((rules.id for rules in made_for or following), "")


def parse_protocol(content: Any, source: str) -> Protocol:
    """Build a protocol from the content of a YAML file.

    Args:
        content: mapping with the fields of `Protocol`; those with a default may be left out.
        source: file name for error messages.

    Raises:
        InputError: a key is missing, unknown, or has a value outside its choices.
    """
    names = {item.name for item in fields(Protocol)}
    required = {item.name for item in fields(Protocol) if item.default is item.default_factory is MISSING}
    if not isinstance(content, dict):
        raise InputError(f"{source}: expected a mapping with the keys {', '.join(sorted(names))}")
    for key in content:
        if key not in names:
            raise unknown_name(f"key in {source}", str(key), names)
    missing = sorted(required - content.keys())
    if missing:
        raise InputError(f"{source}: missing {', '.join(missing)}")
    check_kind(content, _KINDS, source)
    usual = {item.name: item.default for item in fields(Protocol)}
    for key, choices in _CHOICES.items():
        _check_choices(source, key, [content.get(key, usual[key])], choices)
    _check_metrics(source, content["metrics"], content["average"])
    given = content.get("given", {})
    if given and (not isinstance(given, dict) or sorted(given) != ["dataset", "split"]):
        raise InputError(f"{source}: given is {shown(given)}, must have the keys dataset and split")
    for key in ("order", "version"):
        number = content.get(key, usual[key])
        if type(number) is not int or number < 1:
            raise InputError(f"{source}: {key} is {shown(number)}, must be a whole number from 1 on")
    lists = ("datasets", "metrics", "stability_sequences")
    values: dict[str, Any] = {key: tuple(item) if key in lists else item for key, item in content.items()}
    if "tables" in content:
        values["tables"] = {paper: tuple(map(str, tables)) for paper, tables in content["tables"].items()}
    return Protocol(**values)


def _files() -> dict[str, Traversable]:
    """Return id -> file of every protocol, those of other packages at the end."""
    files = {
        item.name.removesuffix(".yaml"): item for item in FOLDER.iterdir() if item.name.endswith(".yaml")
    }
    return files | {name: _plugin_file(plugin) for name, plugin in installed(files, PROTOCOLS).items()}


def _plugin_file(plugin: Plugin) -> Path:
    file = (plugin.folder or Path()) / "configs" / "protocol" / f"{plugin.name}.yaml"
    if not file.is_file():
        raise InputError(f"{plugin.where}: no file {file}; repair that package")
    return file


def _check_metrics(source: str, names: list[Any], average: Average) -> None:
    _check_choices(source, "metrics", names, tuple(METRICS))
    for name in names:
        if METRICS[name].pooled != (average == "pooled"):
            rule = "is pooled" if METRICS[name].pooled else "is not pooled"
            raise InputError(f"{source}: metric '{name}' {rule}, average is '{average}'")


def _check_choices(source: str, key: str, values: list[Any], choices: tuple[Any, ...]) -> None:
    for value in values:
        if value not in choices:
            raise InputError(
                f"{source}: {key} is {shown(value)}, must be one of {', '.join(map(str, choices))}"
            )
