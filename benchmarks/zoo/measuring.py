"""What weights of the zoo measure in rendered worlds that they were not trained in."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vosbench.benchmark.evaluate import SequenceScore, aggregation, counted_rows, overall
from vosbench.benchmark.job import Contestant, Job, run_job
from vosbench.benchmark.protocols import Protocol, load_protocol
from vosbench.benchmark.record import Record
from vosbench.benchmark.statistics import interval
from vosbench.data import open_dataset
from vosbench.data.catalogue import entry
from vosbench.data.mini import ensure_mini
from vosbench.errors import InputError

BASELINES = ("centre_box", "all_foreground", "flow_threshold")


@dataclass(frozen=True)
class World:
    """Sequences to test on.

    Attributes:
        dataset: its split val is tested on.
        settings: of the miniature.
    """

    dataset: str
    settings: Mapping[str, Any]

    @property
    def title(self) -> str:
        told = ", ".join(f"{key} {value}" for key, value in self.settings.items())
        return f"{self.dataset}-mini val, {told or 'the default'}"


WORLDS = (
    World("davis16", {}),
    World("davis17", {}),
    World("davis16", {"seed": 1, "scenes": 40}),
)
"""The default miniatures, whose few sequences tell little, and many sequences of DAVIS 2016's kind."""


def measure(model: str, checkpoint: Path, variant: dict[str, Any], work: Path) -> dict[str, Any]:
    """Return J of weights and of trivial methods, fractions, with 95 % intervals over sequences.

    Args:
        model: method.
        checkpoint: its weights.
        variant: switches to change.
        work: worlds are rendered here; records and masks go here.

    Raises:
        InputError: a method failed on a sequence.
    """
    methods = (
        Contestant(model, model, checkpoint=checkpoint, settings=variant),
        *(Contestant(name, name) for name in BASELINES),
    )
    return {
        world.title: _measured(world, methods, work / "tests" / f"{number}")
        for number, world in enumerate(WORLDS)
    }


def _measured(world: World, methods: tuple[Contestant, ...], folder: Path) -> dict[str, Any]:
    protocol = load_protocol(entry(world.dataset).protocol or "")
    ensure_mini(world.dataset, folder, **world.settings)
    records: dict[str, dict[str, SequenceScore]] = {}
    for record in _records(world, methods, protocol, folder):
        score = SequenceScore(record.values, objects=record.provenance["objects"])
        records.setdefault(record.model, {})[record.sequence] = score
    return {"protocol": protocol.id} | {
        name: _told(scores, protocol, in_full=name == methods[0].label) for name, scores in records.items()
    }


def _records(
    world: World, methods: tuple[Contestant, ...], protocol: Protocol, folder: Path
) -> Iterator[Record]:
    opened = open_dataset(world.dataset, folder, "val")
    for index in range(len(opened)):
        job = Job(
            dataset=world.dataset,
            root=folder,
            split="val",
            index=index,
            sequence=opened[index].name,
            models=methods,
            device="cpu",
            protocol=protocol,
            metrics=protocol.choose_metrics(("j",)),
            flow="dis",
            flow_settings={},
            cache=folder / "flow",
            out=folder / "results",
            command="",
            dry_run=False,
        )
        for outcome in run_job(job):
            if outcome.record is None:
                raise InputError(f"{outcome.model} on {outcome.sequence}: {outcome.message}")
            yield outcome.record


def _told(scores: Mapping[str, SequenceScore], protocol: Protocol, *, in_full: bool) -> dict[str, Any]:
    rows = counted_rows(scores, "J_mean", protocol)
    sure = interval(rows, aggregation("J_mean", rows, protocol))
    told: dict[str, Any] = {
        "J_mean": round(overall(scores, protocol)["J_mean"], 4),
        "interval": [round(sure.low, 4), round(sure.high, 4)],
        "sequences": sure.sequences,
    }
    if in_full:
        told["J_mean_by_sequence"] = {
            name: round(score.values["J_mean"] or 0.0, 4) for name, score in scores.items()
        }
    return told
