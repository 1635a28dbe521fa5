"""Methods of a comparison: those of the zoo, and own weights under names of their own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vosbench.errors import InputError, unknown_name
from vosbench.files import expanded
from vosbench.method import Detector, Method, Precision, Size, Task
from vosbench.method_files import MethodFile, split_reference, unknown_method
from vosbench.models import METHODS, is_network, use_file
from vosbench.models.baselines import BASELINES
from vosbench.models.pretrained.own_methods import check_method, instance_provenance
from vosbench.models.pretrained.zoo import accepts, load_method, method_names, move_to
from vosbench.plugins import use
from vosbench.scoring.protocol import Protocol
from vosbench.waiting import Waiting, unreported

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]*")
"""Labels name folders, and a dot ends them in ``--set LABEL.KEY=VALUE``."""


@dataclass(frozen=True)
class MethodSpec:
    """A method with its weights and settings, under its name in the comparison.

    Attributes:
        name: of the method.
        label: name in records, masks and tables.
        size: network size, the largest with weights when None.
        checkpoint: weights to use instead of the zoo's.
        file: the file of a method of one's own; None for methods of packages.
        instance: a method that is there already, and not loaded by its name.
        settings: switches changed for inference, see `vosbench.models.pretrained.zoo.load_method`.
        precision: that a network computes in, see `vosbench.models.pretrained.zoo.move_to`.
        task: of the method; None before the method was loaded.
        detects: whether the method yields detections; False before it was loaded.
    """

    name: str
    label: str
    size: Size | None = None
    checkpoint: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    task: Task | None = None
    detects: bool = False
    file: MethodFile | None = None
    instance: Method | None = field(default=None, hash=False)
    precision: Precision = "32"

    def load(self, device: str) -> tuple[Method, dict[str, Any], dict[str, Any]]:
        """Return the method on a device, the provenance of its weights, and their training.

        A precision other than float32 is part of the provenance. The training is empty for weights of the
        zoo, whose hash leads to it.

        Raises:
            InputError: see `load_method` and `move_to`.
        """
        if self.instance is not None:
            return *self._moved(self.instance, instance_provenance(self.instance), device), {}
        if self.file is not None:
            # a process of its own has not seen the command line
            use(self.file)
        if self.checkpoint is None and not self.settings:
            method, weights = load_method(self.name, self.size)
        else:
            method, weights = load_method(self.name, self.size, self.checkpoint, self.settings)
        training = weights.pop("training", {})
        return *self._moved(method, weights, device), training if self.checkpoint else {}

    def _moved(self, method: Method, weights: dict[str, Any], device: str) -> tuple[Method, dict[str, Any]]:
        if self.precision == "32" or not is_network(type(method)):
            return move_to(method, device), weights
        return move_to(method, device, self.precision), weights | {"precision": self.precision}

    def described(self, method: Method) -> MethodSpec:
        """Return this with the task and the output of the loaded method."""
        return replace(self, task=method.task, detects=isinstance(method, Detector))

    def fits(self, protocol: Protocol) -> bool:
        """Return whether a protocol is made for this method."""
        return self.task == protocol.task and (self.detects or protocol.objects != "detections")


def choose_methods(
    names: Sequence[str | Method],
    size: Size | None,
    settings: Mapping[str, Any],
    device: str,
    waiting: Waiting = unreported,
    precision: Precision = "32",
) -> tuple[tuple[MethodSpec, ...], list[str]]:
    """Return the methods of a comparison, and a line on each of ``all`` that is left out.

    Args:
        names: ``all`` (every method that has weights or needs none), or ``[LABEL=]NAME[:CHECKPOINT]``: a
            method, with other weights than the zoo's, under another name than its own; NAME is also
            ``FILE.py:CLASS``, a class of one's own. Or methods themselves, under their attribute `name`, else
            the name of their class.
        size: network size; the largest that has weights when None.
        settings: switches to change for inference: ``KEY`` in every method that has it, ``LABEL.KEY`` in one.
        device: where networks run, see `vosbench.models.pretrained.zoo.move_to`.
        waiting: called before each method is loaded.
        precision: that networks compute in; the other methods take no notice.

    Raises:
        InputError: unknown names or switches, two methods under one name, or weights that do not fit.
    """
    if not names:
        raise InputError("no model named: give names, or all")
    named = _named([item for item in names if item != "all"], size)
    zoo = {name: MethodSpec(name, name, size) for name in method_names()} if "all" in names else {}
    notes, methods = [], []
    what, specs = "importing PyTorch and loading methods", zoo | named
    waiting(what, 0, len(specs))
    for done, (label, chosen) in enumerate(_with_settings(specs, settings).items()):
        waiting(what, done, len(specs))
        spec = replace(chosen, precision=precision)
        try:
            method, *_ = spec.load(device)
        except InputError as error:
            if label in named:
                raise
            notes.append(f"{label} left out: {error}")
            continue
        methods.append(spec.described(method))
    if not methods:
        raise InputError(f"no model can run: {'; '.join(notes)}")
    return tuple(methods), notes


def network_modules(names: Sequence[str | Method]) -> list[str]:
    """Return the modules that the packaged networks among methods need, and what runs a network.

    Args:
        names: as for `choose_methods`; what is unknown is left out.
    """
    texts = [name.partition("=")[2] if "=" in name.partition(":")[0] else name for name in map(str, names)]
    asked = {text.partition(":")[0] for text in texts}
    modules = {path.partition(":")[0] for name, path in METHODS.items() if asked & {name, "all"}}
    return ["vosbench.benchmark.run_job", *sorted(modules)]


def _named(names: Sequence[str | Method], size: Size | None) -> dict[str, MethodSpec]:
    specs: dict[str, MethodSpec] = {}
    for text in names:
        spec = _parse(text, size) if isinstance(text, str) else _of_instance(text)
        if specs.setdefault(spec.label, spec) != spec:
            raise InputError(f"--models {text}: '{spec.label}' is another one already; write LABEL={text}")
    return specs


def _parse(text: str, size: Size | None) -> MethodSpec:
    # names of checkpoints hold '=' too: epoch=3.ckpt
    labelled = "=" in text.partition(":")[0]
    label, _, weights = text.partition("=") if labelled else ("", "", text)
    name, colon, checkpoint = weights.partition(":")
    file = None
    if reference := split_reference(weights):
        file = use_file(reference[0])
        name, checkpoint = file.name, reference[1]
        colon = ":" if weights.endswith(":") else ""
    if name not in method_names():
        raise unknown_method(name, [*method_names(), "all"])
    if colon and not checkpoint:
        raise InputError(f"--models {text}: no weights after the colon; write {name}:FILE")
    if not labelled:
        label = name
    if not _LABEL.fullmatch(label):
        raise InputError(f"--models {text}: a name has letters, digits, '_', '+' and '-', not '{label}'")
    if label != name and (label in method_names() or label == "all"):
        raise InputError(f"--models {text}: {label} is the name of something else; choose another")
    own = expanded(checkpoint) if checkpoint else None
    return MethodSpec(name, label, size, own, file=file)


def _of_instance(method: Method) -> MethodSpec:
    where = f"models: {type(method).__module__}.{type(method).__qualname__}"
    check_method(method, where)
    name = getattr(method, "name", None)
    label = name if isinstance(name, str) else type(method).__name__
    if not _LABEL.fullmatch(label) or label == "all":
        raise InputError(f"{where}: '{label}' cannot be its name; give it another attribute name")
    if label in METHODS or label in BASELINES:
        # beside the packaged one, whose records it must not replace
        label = f"{label}-own"
    return MethodSpec(label, label, instance=method)


def _with_settings(specs: Mapping[str, MethodSpec], settings: Mapping[str, Any]) -> dict[str, MethodSpec]:
    """Give every setting to the methods that have it; the setting of one label overrides that of all."""
    changed: dict[str, dict[str, Any]] = {label: {} for label in specs}
    for setting, value in sorted(settings.items(), key=lambda item: "." in item[0]):
        label, dot, switch = setting.rpartition(".")
        if dot and label not in specs:
            raise unknown_name(f"model in --set {setting}", label, list(specs))
        labels = [label] if dot else list(specs)
        accepting = [name for name in labels if accepts(specs[name].name, switch)]
        if not accepting:
            raise InputError(f"--set {setting}: none of {', '.join(labels)} has this switch")
        for name in accepting:
            changed[name][switch] = value
    return {label: replace(spec, settings=changed[label]) for label, spec in specs.items()}
