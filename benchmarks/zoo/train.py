"""Make weights of the zoo: render data, train, measure, export with provenance.

    python benchmarks/zoo/train.py benchmarks/zoo/fusionseg.yaml [--work zoo-runs] [--out FOLDER]

Without --out the weights take the place of those in the package.
An interrupted run continues when started again: rendered data, finished stages and epochs are kept.
No real picture is used, and no rendered scene is both trained and tested on.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from measuring import measure

from vosbench.data.mini import ensure_mini
from vosbench.errors import InputError
from vosbench.evaluation.store import environment, now
from vosbench.files import write_text
from vosbench.models.pretrained.weight_files import training_of
from vosbench.models.pretrained.zoo import WEIGHTS, export
from vosbench.training import fit

SHOWN = "WORK"
"""Stands for the folder of worlds and runs in commands that are kept."""


@dataclass(frozen=True)
class Plan:
    """Training of one set of zoo weights.

    Attributes:
        model: method.
        world: ``seed``, and ``sets``: miniature -> its settings, see `vosbench.data.mini.write_mini`.
        fit: what follows ``vosbench fit model=MODEL``.
        variant: switches of inference that differ from those of training.
        selection: what settings were chosen on: ``name``, ``edition``, ``split``, ``how`` and, of real data
            sets, ``sequences``; goes into the provenance, beside what `fit` validated on.
        note: what a user of the weights should know.
    """

    model: str
    world: dict[str, Any]
    fit: list[str]
    variant: dict[str, Any] = field(default_factory=dict)
    selection: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""

    def overrides(self, work: Path | str) -> list[str]:
        """Arguments of ``vosbench fit``."""
        return [f"model={self.model}", *self.fit, f"data_root={work}/world", f"run={work}/{self.model}"]


def read_plan(path: Path) -> Plan:
    try:
        plan = Plan(**yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, TypeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: not a plan of the zoo ({error})") from None
    if plan.world["seed"] == 0:
        raise InputError(f"{path}: world.seed is 0, the seed of the scenes that are tested on: write another")
    return plan


def render(world: dict[str, Any], folder: Path) -> None:
    for name, settings in world["sets"].items():
        print(ensure_mini(name, folder, seed=world["seed"], **settings), flush=True)


@contextmanager
def kept_in_mind(path: Path) -> Iterator[None]:
    """Record the commit that began to train and the processor time of this block and earlier ones.

    The time of a process that is killed outright is lost.
    """
    before = remembered(path)
    start = time.process_time()
    try:
        yield
    finally:
        facts = {"git": before.get("git", environment()["git"])}
        facts["cpu_seconds_at_least"] = round(
            before.get("cpu_seconds_at_least", 0) + time.process_time() - start
        )
        write_text(path, json.dumps(facts) + "\n")


def remembered(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}


def stages_of(run: Path) -> dict[str, Path]:
    """Stage -> its last checkpoint, in the order of the recipe."""
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    checkpoints = {name: run / name / "checkpoints" / "last.ckpt" for name in config["recipe"]}
    return {name: path for name, path in checkpoints.items() if path.is_file()}


def length(checkpoint: Path) -> dict[str, int]:
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return {"epochs": content["epoch"] + 1, "steps": content["global_step"]}


def training(plan: Plan, recipe: Path, stages: dict[str, Path], memory: dict[str, Any]) -> dict[str, Any]:
    """Return the provenance of weights, all but their measured values."""
    lengths = {name: length(checkpoint) for name, checkpoint in stages.items()}
    known = training_of(list(stages.values())[-1])
    return {
        "command": f"python benchmarks/zoo/train.py benchmarks/zoo/{recipe.name}",
        "fit": f"vosbench fit {' '.join(plan.overrides(SHOWN))}",
        "data": {"name": ", ".join(plan.world["sets"]), "edition": "mini", **plan.world},
        "selection": [*known.get("selection", []), *plan.selection],
        **({"parts": known["parts"]} if "parts" in known else {}),
        "stages": lengths,
        "steps": sum(stage["steps"] for stage in lengths.values()),
        **memory,
        "device": "cpu",
        "machine": f"{platform.machine()}, CPU",
        "torch": torch.__version__,
        "exported": now(),
        "note": plan.note,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plan", type=Path, help="YAML file")
    parser.add_argument("--work", type=Path, default=Path("zoo-runs"), help="worlds and runs are made here")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="weights and their provenance go here")
    options = parser.parse_args()
    plan, work = read_plan(options.plan), options.work.resolve()
    os.environ["VOSBENCH_CACHE"] = str(work / "cache")
    environment()  # the commit that this process runs, not one that is made while it trains
    render(plan.world, work / "world")
    memory = work / f"{plan.model}.json"
    with kept_in_mind(memory):
        run = fit(plan.overrides(work))
    stages = stages_of(run)
    last = list(stages.values())[-1]
    provenance = training(plan, options.plan, stages, remembered(memory))
    # what is measured is the file that is published
    weights = export(last, provenance, options.out, variant=plan.variant)
    provenance["measured"] = measure(plan.model, weights, work)
    print(json.dumps(provenance["measured"], indent=1))
    print(export(last, provenance, options.out, variant=plan.variant))


if __name__ == "__main__":
    main()
