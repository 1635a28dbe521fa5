"""J of zoo weights on rendered test sequences and held-out real videos."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vosbench.benchmark import compare
from vosbench.data import DAVIS16DataModule
from vosbench.data.mini import ensure_mini
from vosbench.data.splits import shipped_split
from vosbench.errors import InputError
from vosbench.evaluation.statistics import interval
from vosbench.method import Method, Task
from vosbench.models.pretrained.zoo import load_method
from vosbench.scoring.evaluate import evaluate_sequence
from vosbench.scoring.predictions import PredictionStore
from vosbench.scoring.protocol import load_protocol
from vosbench.scoring.sequence import SequenceScore, aggregation, counted_rows, overall

BASELINES = ("centre_box", "all_foreground", "flow_threshold")
OF_TASK: Mapping[Task, tuple[str, ...]] = {
    "unsupervised": ("centre_box", "flow_threshold"),
    "semi-supervised": ("copy_first", "propagate_flow"),
}
"""Trivial methods that real videos are measured with beside a network."""


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
        settings = ", ".join(f"{key} {value}" for key, value in self.settings.items())
        return f"{self.dataset}-mini val, {settings or 'the default'}"


WORLDS = (
    World("davis16", {}),
    World("davis17", {}),
    World("davis16", {"seed": 1, "scenes": 40}),
)
"""The default miniatures, whose few sequences tell little, and many sequences of DAVIS 2016's kind."""


def measure(model: str, weights: Path, work: Path, worlds: Sequence[World] | None = None) -> dict[str, Any]:
    """Return J of weights and of trivial methods, fractions, with 95 % intervals over sequences.

    Args:
        model: method.
        weights: of it.
        work: worlds are rendered here; records and masks go here.
        worlds: to measure on; `WORLDS` by default.

    Raises:
        InputError: a method failed on a sequence.
    """
    return {
        world.title: _measured(world, model, weights, work / f"{number}")
        for number, world in enumerate(WORLDS if worlds is None else worlds)
    }


def measure_held_out(
    model: str, weights: Path, root: Path, flows: Sequence[str], cache: Path
) -> dict[str, Any]:
    """Return J on the videos of DAVIS 2016 train that training holds out, of weights and trivial methods.

    The videos are those of ``vosbench/data/splits/davis16_held_out.txt``. A network that reads no flow is
    measured once.

    Args:
        model: method.
        weights: of it.
        root: holds davis16.
        flows: estimators.
        cache: keeps flow.

    Raises:
        InputError: a video is not there.
    """
    method, _ = load_method(model, checkpoint=weights)
    methods = {model: method} | {name: load_method(name)[0] for name in OF_TASK[method.task]}
    return {
        f"davis16 train, held out, flow {flow.partition(':')[0]}": {
            name: _on_held_out(other, root, flow, cache, in_full=name == model)
            for name, other in methods.items()
        }
        for flow in (flows if method.needs_flow else flows[:1])
    }


def _on_held_out(method: Method, root: Path, flow: str, cache: Path, *, in_full: bool) -> dict[str, Any]:
    data = DAVIS16DataModule(
        root,
        f"davis16-{method.task}",
        hold_out=shipped_split("davis16_held_out"),
        metrics=("j",),
        flow=flow,
        cache=cache,
    )
    data.setup("fit")
    scores = {}
    for video in data.val_videos():
        with TemporaryDirectory() as folder:
            store = PredictionStore(Path(folder), video.frame_names)
            evaluation = evaluate_sequence(method, [data.under_protocol(video)], store)
        scores[video.name] = evaluation.score(data.protocol.id)
    return _summary(scores, data.protocol.id, in_full=in_full)


def _measured(world: World, model: str, weights: Path, folder: Path) -> dict[str, Any]:
    ensure_mini(world.dataset, folder, **world.settings)
    result = compare(
        models=[f"{model}:{weights}", *BASELINES],
        datasets=[world.dataset],
        data_root=folder,
        out=folder / "results",
        workers=1,
        metrics=("j",),
        device="cpu",
        cache=folder / "flow",
    )
    for failure in result.failures:
        raise InputError(f"{failure.model} on {failure.sequence}: {failure.message}")
    values: dict[str, Any] = {}
    for name in (model, *BASELINES):
        records = [record for record in result.records if record.model == name]
        scores = {
            record.sequence: SequenceScore(record.values, objects=record.provenance["objects"])
            for record in records
        }
        values[name] = _summary(scores, records[0].protocol, in_full=name == model)
    return values


def _summary(scores: Mapping[str, SequenceScore], protocol_id: str, *, in_full: bool) -> dict[str, Any]:
    protocol = load_protocol(protocol_id)
    rows = counted_rows(scores, "J_mean", protocol)
    sure = interval(rows, aggregation("J_mean", rows, protocol))
    values: dict[str, Any] = {
        "protocol": protocol_id,
        "J_mean": round(overall(scores, protocol)["J_mean"], 4),
        "interval": [round(sure.low, 4), round(sure.high, 4)],
        "sequences": sure.sequences,
    }
    if in_full:
        values["J_mean_by_sequence"] = {
            name: round(score.values["J_mean"] or 0.0, 4) for name, score in scores.items()
        }
    return values
