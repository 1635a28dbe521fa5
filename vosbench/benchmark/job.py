"""Job of a comparison: methods to run on one sequence, and the outcome of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from vosbench.benchmark.method_spec import MethodSpec
from vosbench.data.datasets.base import Edition
from vosbench.errors import InputError
from vosbench.evaluation.record import Failure, Record, record_path
from vosbench.evaluation.store import now
from vosbench.files import writing
from vosbench.scoring.predictions import masks_path
from vosbench.scoring.protocol import Protocol

State = Literal["computed", "rescored", "kept", "planned", "failed"]


@dataclass(frozen=True)
class ProtocolRun:
    """A protocol on a split of a data set, and the methods that are scored under it.

    Attributes:
        protocol: the rules; its options are those of the reader of the data set.
        metrics: names of the metrics to compute.
        split: of the data set.
        methods: that the protocol is made for.
    """

    protocol: Protocol
    metrics: tuple[str, ...]
    split: str
    methods: tuple[MethodSpec, ...]


@dataclass(frozen=True)
class Job:
    """One sequence and the methods to run on it; plain data, so that it can be sent to a process.

    Attributes:
        dataset, root, edition: the data set, see `vosbench.data.open_dataset`, and its folder.
        sequence: its name.
        runs: one or several; a method segments once and is scored under all that name it.
        device: where networks run, see `vosbench.models.pretrained.zoo.move_to`.
        flow, flow_settings: the flow estimator and the arguments of its class, or
            `vosbench.flow.GROUND_TRUTH`.
        cache: folder of computed flow; None keeps flow for the duration of the job.
        out: folder of records, failures and masks.
        command: that the user ran.
        dry_run: only find out what would be computed.
        frames: length of the sequence; long ones are started first.
        call: jobs of equal text in one process open the data set once; ``""`` opens it again.
        retried: whether the process of an earlier attempt was killed.
    """

    dataset: str
    root: Path
    edition: Edition
    sequence: str
    runs: tuple[ProtocolRun, ...]
    device: str
    flow: str
    flow_settings: Mapping[str, Any]
    cache: Path | None
    out: Path
    command: str
    dry_run: bool
    frames: int = 0
    call: str = ""
    retried: bool = False

    @property
    def dataset_name(self) -> str:
        """Name of the data set; of one's own data the label before their path."""
        return self.dataset.partition("=")[0]

    @property
    def label(self) -> str:
        """Label of the data set's edition, e.g. ``"davis16-mini"``."""
        name = self.dataset_name
        return name if self.edition == "official" else f"{name}-{self.edition}"

    @property
    def methods(self) -> tuple[MethodSpec, ...]:
        """The methods, each once."""
        return tuple({spec.label: spec for run in self.runs for spec in run.methods}.values())

    @property
    def cells(self) -> list[tuple[MethodSpec, ProtocolRun]]:
        """Method and protocol of every outcome, in their order."""
        return [(spec, run) for spec in self.methods for run in self.runs if spec in run.methods]

    @property
    def predictions(self) -> dict[tuple[MethodSpec, Path], list[ProtocolRun]]:
        """Method and file or folder of its prediction -> the runs that score this prediction."""
        predictions: dict[tuple[MethodSpec, Path], list[ProtocolRun]] = {}
        for spec, run in self.cells:
            predictions.setdefault((spec, self._prediction_path(spec, run.protocol)), []).append(run)
        return predictions

    def only(self, spec: MethodSpec) -> Job:
        """Return the part of this job that is about one method, as another attempt."""
        runs = tuple(replace(run, methods=(spec,)) for run in self.runs if spec in run.methods)
        return replace(self, runs=runs, retried=True)

    def path(self, kind: Literal["records", "failures"], spec: MethodSpec, run: ProtocolRun) -> Path:
        """Return the file of the record or the failure of a method."""
        return record_path(self.out / kind, self.label, run.protocol.id, spec.label, self.sequence)

    def _prediction_path(self, spec: MethodSpec, protocol: Protocol) -> Path:
        # other first masks give another segmentation
        given = f"-given-{protocol.given['dataset']}" if protocol.given else ""
        masks = masks_path(self.out, f"{self.label}{given}", spec.label, self.sequence)
        return masks.with_name(f"{masks.name}.json") if protocol.objects == "detections" else masks


@dataclass(frozen=True)
class Outcome:
    """Result of one method on one sequence under one protocol.

    Attributes:
        dataset: label of the data set's edition, e.g. ``"davis16-mini"``.
        sequence, model, protocol: names; the model by its label.
        state: ``"kept"`` for an equal record of an earlier run; ``"rescored"`` for the prediction of an
            earlier run, scored again; ``"planned"`` in a dry run.
        record: the record, where there is one.
        message: why the method failed.
        frames, pixels, needs_flow: in a dry run length of the sequence, height times width of its
            frames, and whether the method needs flow, for the estimate of time.
        path: file of the record.
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
    path: Path = Path()


def outcome(job: Job, spec: MethodSpec, run: ProtocolRun, state: State, **result: Any) -> Outcome:
    """Return the outcome of a method under a protocol, with the other fields of `Outcome`."""
    path = job.path("records", spec, run)
    return Outcome(job.label, job.sequence, spec.label, run.protocol.id, state, path=path, **result)


def fail(job: Job, spec: MethodSpec, run: ProtocolRun, message: str) -> Outcome:
    """Write a failure in place of a record; a dry run writes nothing.

    A failure that cannot be written does not end the comparison: the message of the outcome says so.
    """
    if job.dry_run:
        return outcome(job, spec, run, "failed", message=message)
    failure = Failure(
        model=spec.label,
        size=spec.size or "",
        dataset=job.dataset_name,
        edition=job.edition,
        split=run.split,
        sequence=job.sequence,
        protocol=run.protocol.id,
        error=message,
        command=job.command,
        time=now(),
    )
    record = job.path("records", spec, run)
    try:
        # a record of other settings must not stay in the table; masks stay and can be scored again
        with writing(record):
            record.unlink(missing_ok=True)
        failure.write(job.path("failures", spec, run))
    except InputError as error:
        message = f"{message}; and {error}"
    return outcome(job, spec, run, "failed", message=message)
