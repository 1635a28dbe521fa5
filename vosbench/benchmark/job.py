"""One job of a comparison: what is to be run on one sequence, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from vosbench.data.datasets.base import Edition
from vosbench.errors import InputError
from vosbench.evaluation.record import Failure, Record, record_path
from vosbench.evaluation.store import now
from vosbench.method import Method, Size
from vosbench.models.pretrained.zoo import load_method
from vosbench.scoring.protocol import Protocol

State = Literal["computed", "rescored", "kept", "planned", "failed"]

GROUND_TRUTH = "ground_truth"
"""Flow of a job that the data set brings along, as FlyingThings3D does."""


@dataclass(frozen=True)
class Contestant:
    """A method as it enters a comparison.

    Attributes:
        method: name of the method.
        label: what records, masks and tables call it.
        size: network size, the largest with weights when None.
        checkpoint: weights to use instead of the zoo's.
        settings: switches changed for inference, see `vosbench.models.pretrained.zoo.load_method`.
    """

    method: str
    label: str
    size: Size | None = None
    checkpoint: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def load(self) -> tuple[Method, dict[str, Any]]:
        """Return the method and the provenance of its weights, see `pretrained.zoo.load_method`."""
        if self.checkpoint is None and not self.settings:
            return load_method(self.method, self.size)
        return load_method(self.method, self.size, self.checkpoint, self.settings)


@dataclass(frozen=True)
class Rules:
    """What a sequence is scored under, and who is.

    Attributes:
        protocol: the rules; its options are those of the reader of the data set.
        metrics: letters out of ``j f t``.
        split, index: where the sequence is.
        models: the methods that are scored.
    """

    protocol: Protocol
    metrics: tuple[str, ...]
    split: str
    index: int
    models: tuple[Contestant, ...]


@dataclass(frozen=True)
class Job:
    """One sequence and the models to run on it; plain data, so that it can be sent to a process.

    Attributes:
        dataset, root, edition: the data set and where it is.
        sequence: its name.
        rules: one or several; each model segments once and is scored under all that name it.
        device: where networks run, see `vosbench.models.pretrained.zoo.move_to`.
        flow, flow_settings: the flow estimator and the arguments of its class, or `GROUND_TRUTH`.
        cache: where flow is kept; only for the duration of the job when None.
        out: folder of records, failures and masks.
        command: what the user ran.
        dry_run: only say what would be computed.
        call: jobs of equal text find the data set as the first of them in their process did; ``""``
            looks for its files again.
    """

    dataset: str
    root: Path
    edition: Edition
    sequence: str
    rules: tuple[Rules, ...]
    device: str
    flow: str
    flow_settings: Mapping[str, Any]
    cache: Path | None
    out: Path
    command: str
    dry_run: bool
    call: str = ""

    @property
    def label(self) -> str:
        """Label of the data set's edition, e.g. ``"davis16-mini"``."""
        return self.dataset if self.edition == "official" else f"{self.dataset}-{self.edition}"

    @property
    def models(self) -> tuple[Contestant, ...]:
        """The methods, each once."""
        return tuple({model.label: model for rules in self.rules for model in rules.models}.values())

    @property
    def cells(self) -> list[tuple[str, str]]:
        """Label of the model and id of the protocol of every outcome, in their order."""
        return [(model.label, rules.protocol.id) for model in self.models for rules in self.rules_of(model)]

    def rules_of(self, model: Contestant) -> list[Rules]:
        """Return what a model is scored under."""
        return [rules for rules in self.rules if model in rules.models]

    def only(self, model: Contestant) -> Job:
        """Return the part of this job that is about one model."""
        return replace(self, rules=tuple(replace(each, models=(model,)) for each in self.rules_of(model)))

    def path(self, kind: Literal["records", "failures"], model: Contestant, protocol: str) -> Path:
        """Return where the record or the failure of a model is."""
        return record_path(self.out / kind, self.label, protocol, model.label, self.sequence)


@dataclass(frozen=True)
class Outcome:
    """What became of one model on one sequence under one protocol.

    Attributes:
        dataset: label of the data set's edition, e.g. ``"davis16-mini"``.
        sequence, model, protocol: which one; the model by its label.
        state: ``"kept"`` when an equal record was there; ``"rescored"`` when only the masks of an
            earlier run were; ``"planned"`` in a dry run.
        record: the record, when there is one.
        message: why it failed.
        frames, pixels, needs_flow: in a dry run length of the sequence, height times width of its
            frames, and whether the method needs flow: what it would take depends on them.
    """

    dataset: str
    sequence: str
    model: str
    protocol: str
    state: State
    record: Record | None = None
    message: str = ""
    frames: int = 0
    pixels: int = 0
    needs_flow: bool = False


def fail(job: Job, model: Contestant, rules: Rules, message: str) -> Outcome:
    """Leave a marked hole where a record would be; a dry run leaves nothing."""
    protocol = rules.protocol.id
    if not job.dry_run:
        # A record of other settings must not stay in the table; masks stay and can be scored again.
        job.path("records", model, protocol).unlink(missing_ok=True)
        Failure(
            model=model.label,
            size=model.size or "",
            dataset=job.dataset,
            edition=job.edition,
            split=rules.split,
            sequence=job.sequence,
            protocol=protocol,
            error=message,
            command=job.command,
            time=now(),
        ).write(job.path("failures", model, protocol))
    return Outcome(job.label, job.sequence, model.label, protocol, "failed", message=message)


def say(error: Exception) -> str:
    """Return an error as one line; what no user caused is named."""
    text = " ".join(str(error).split())
    return text if isinstance(error, InputError) else f"{type(error).__name__}: {text}"
