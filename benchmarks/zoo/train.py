"""Make weights of the zoo: render data or take real ones, train, measure, export with provenance.

    python benchmarks/zoo/train.py benchmarks/zoo/fusionseg.yaml [--work zoo-runs] [--out FOLDER]
    python benchmarks/zoo/train.py benchmarks/zoo/fusionseg_lite.yaml --data-root ROOT --flow raft:FILE

Plans that build on others need the same --work and --out, see README.md. Without --out the weights take the
place of those in the package. With --runs nothing is trained, but measured and exported.
An interrupted run continues when started again: rendered data, finished stages and epochs are kept.
No scene or video is both trained and tested on.
"""

import argparse
import json
import os
import platform
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import yaml
from measuring import WORLDS, measure, measure_held_out

from vosbench.data.hold_out import HELD_OUT
from vosbench.data.mini import ensure_mini
from vosbench.data.splits import shipped_split
from vosbench.errors import InputError, check_name, one_line
from vosbench.evaluation.store import environment, now
from vosbench.files import atomic_path, write_text
from vosbench.models.pretrained.weight_files import RENDERED, part_of, read_state, rendered_sets, training_of
from vosbench.models.pretrained.zoo import WEIGHTS, export
from vosbench.plain_data import ANY, Whole, check_kind, read_yaml
from vosbench.training import fit

SHOWN = "WORK"
"""Stands for the folder of worlds and runs in commands that are kept."""


@dataclass(frozen=True)
class Plan:
    """Training of one set of zoo weights.

    Attributes:
        name: of its file; the run and its data have folders of this name under --work.
        model: method.
        world: ``seed``, and ``sets``: miniature -> its settings, see `vosbench.data.mini.write_mini`.
        real: data sets of --data-root that are trained on, davis16 among them: its held-out videos are
            measured, and of rendered worlds only the first.
        flows: stages that are trained with the flow of --flow.
        fit: what follows ``vosbench fit model=MODEL``; ``{work}`` stands for --work, ``{out}`` for --out, the
            name of an earlier run in braces for its last checkpoint.
        earlier: runs that `fit` starts from, in order. Name -> ``stage``, the one to train, and ``fit``,
            arguments in place of those of the plan with the same keys; or ``mean``, names of runs whose
            weights are averaged (Wortsman et al., ICML 2022); or ``graft``, the name of a run whose weights
            are taken, but for ``tensors``, their prefixes -> those in the checkpoint ``of`` that stands for
            them.
        halves: file beside the plan, name -> videos; such a name in braces stands for them in `fit`, and
            ``{held_out}`` for the videos that settings are chosen on.
        bases: weights of --out that must be there: tensors that are equal to theirs are stored once.
        take: name of the earlier run whose weights are published; None: those of a last run by `fit` alone.
        half: whether weights are kept as float16.
        variant: switches of inference that differ from those of training.
        selection: what settings were chosen on: ``name``, ``edition``, ``split``, ``how`` and, of real data
            sets, ``sequences``; goes into the provenance, beside what `fit` validated on.
        note: what a user of the weights should know.
    """

    name: str
    model: str
    fit: list[str]
    world: dict[str, Any] = field(default_factory=lambda: {"sets": {}})
    real: list[str] = field(default_factory=list)
    flows: list[str] = field(default_factory=list)
    halves: dict[str, list[str]] = field(default_factory=dict)
    earlier: dict[str, dict[str, Any]] = field(default_factory=dict)
    bases: list[str] = field(default_factory=list)
    take: str | None = None
    half: bool = False
    variant: dict[str, Any] = field(default_factory=dict)
    selection: list[dict[str, Any]] = field(default_factory=list)
    note: str = ""

    def checkpoint_of(self, run: str, work: Path | str) -> str:
        """Return the last checkpoint of an earlier run, or the mean of several."""
        if "fit" not in self.earlier[run]:
            return f"{work}/{self.name}-{run}.ckpt"
        return f"{work}/{self.name}-{run}/{self.earlier[run]['stage']}/checkpoints/last.ckpt"

    def overrides(
        self,
        work: Path | str,
        out: Path | str = "OUT",
        flows: Sequence[str] = ("dis",),
        run: str | None = None,
    ) -> list[str]:
        """Return the arguments of ``vosbench fit``, of an earlier run or the last one."""
        own = (
            [] if run is None else [f"stage={self.earlier[run]['stage']}", *self.earlier[run].get("fit", [])]
        )
        replaced = {line.partition("=")[0] for line in own}
        lines = [line for line in self.fit if line.partition("=")[0] not in replaced] + own
        lists = {HELD_OUT: shipped_split("davis16_held_out"), **self.halves}
        named = {name: ",".join(videos) for name, videos in lists.items()}
        named |= {name: self.checkpoint_of(name, work) for name in self.earlier}
        return [
            f"model={self.model}",
            *(line.format(work=work, out=out, **named) for line in lines),
            *(f"recipe.{stage}.flow=[{','.join(repr(flow) for flow in flows)}]" for stage in self.flows),
            f"data_root={work}/{self.name}-data",
            f"run={work}/{self.name}{'' if run is None else f'-{run}'}",
        ]


_FORMS = ({"stage", "fit"}, {"mean"}, {"graft", "of", "tensors"})
"""Keys of an earlier run: it is trained, or a mean, or a graft."""

_KIND = {
    **dict.fromkeys(("model", "note"), str),
    "fit": [str],
    "world": Whole(seed=int, sets={ANY: dict}),
    "real": [str],
    "flows": [str],
    "halves": str,
    "earlier": {
        ANY: {"stage": str, "fit": [str], "mean": [str], "graft": str, "of": str, "tensors": {ANY: str}}
    },
    "bases": [str],
    "take": (str, None),
    "half": bool,
    "variant": dict,
    "selection": [dict],
}


def read_plan(path: Path) -> Plan:
    content = read_yaml(path)
    check_kind(content, _KIND, f"{path}")
    if "halves" in content:
        content["halves"] = read_halves(path.parent / content["halves"])
    try:
        plan = Plan(name=path.stem, **content)
    except TypeError as error:
        raise InputError(f"{path}: not a plan of the zoo ({one_line(error)})") from None
    check_runs(plan, path)
    if plan.world["sets"] and plan.world["seed"] == 0:
        raise InputError(f"{path}: world.seed is 0, the seed of the scenes that are tested on: write another")
    if both := set(plan.world["sets"]) & set(plan.real):
        raise InputError(f"{path}: {', '.join(sorted(both))} cannot be rendered and real at once")
    return plan


def read_halves(path: Path) -> dict[str, list[str]]:
    content = read_yaml(path)
    check_kind(content, {ANY: [str]}, f"{path}")
    return dict(content)


def check_runs(plan: Plan, path: Path) -> None:
    """Refuse earlier runs that build on what does not come before them, or have other keys."""
    known: list[str] = []
    for run, settings in plan.earlier.items():
        if set(settings) not in _FORMS:
            forms = " or ".join(", ".join(sorted(form)) for form in _FORMS)
            raise InputError(f"{path}: earlier.{run} has {', '.join(sorted(settings))}, must have {forms}")
        for name in [*settings.get("mean", []), *([settings["graft"]] if "graft" in settings else [])]:
            check_name(f"earlier run in {path}", name, known)
        known.append(run)
    if plan.take is not None:
        check_name(f"earlier run in {path}", plan.take, known)


def render(world: dict[str, Any], folder: Path) -> None:
    for name, settings in world["sets"].items():
        print(ensure_mini(name, folder, seed=world["seed"], **settings), flush=True)


def link(names: Sequence[str], root: Path | None, folder: Path) -> None:
    """Put real data sets beside the rendered ones."""
    for name in names:
        if root is None or not (root / name).is_dir():
            raise InputError(f"no folder {name} in --data-root {root}: the plan trains on {', '.join(names)}")
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / name).exists():
            (folder / name).symlink_to((root / name).resolve(), target_is_directory=True)


def check_bases(names: Sequence[str], out: Path) -> None:
    for name in names:
        if not (out / f"{name}.safetensors").is_file():
            raise InputError(f"no {name}.safetensors in --out {out}, which the plan builds on: make it first")


def train_earlier(plan: Plan, work: Path, out: Path, flows: Sequence[str]) -> dict[str, Path]:
    """Return the last checkpoints of the earlier runs of a plan, trained or averaged as needed."""
    checkpoints = {run: Path(plan.checkpoint_of(run, work)) for run in plan.earlier}
    for run, settings in plan.earlier.items():
        if "mean" in settings:
            average([checkpoints[name] for name in settings["mean"]], checkpoints[run])
        elif "graft" in settings:
            donor = Path(settings["of"].format(work=work, out=out))
            graft(checkpoints[settings["graft"]], donor, settings["tensors"], checkpoints[run])
        else:
            fit(plan.overrides(work, out, flows, run))
    return {run: path for run, path in checkpoints.items() if "fit" in plan.earlier[run]}


def average(checkpoints: Sequence[Path], target: Path) -> None:
    """Write the first checkpoint with the mean of the floating-point weights, and the data of all."""
    first, *others = (torch.load(path, map_location="cpu", weights_only=True) for path in checkpoints)
    for key, value in first["state_dict"].items():
        if value.is_floating_point():
            total = sum((other["state_dict"][key].double() for other in others), value.double())
            first["state_dict"][key] = (total / len(checkpoints)).to(value.dtype)
    learnt = first["training"]
    learnt["parts"] = [*learnt.get("parts", []), *(part_of("mean", path) for path in checkpoints[1:])]
    if "sequences" in learnt["data"]:
        seen = {name for content in (first, *others) for name in content["training"]["data"]["sequences"]}
        learnt["data"]["sequences"] = sorted(seen)
        for item in learnt.get("selection", []):
            if "sequences" in item:
                # what one run held out another may have learnt from
                item["sequences"] = [name for name in item["sequences"] if name not in seen]
    save(first, target)


def graft(checkpoint: Path, donor: Path, tensors: Mapping[str, str], target: Path) -> None:
    """Write a checkpoint with the tensors of another one in the place of its own.

    Args:
        checkpoint: whose other weights stay.
        donor: the other one.
        tensors: prefix of the tensors that are replaced -> prefix of those of the donor.
        target: file to write.
    """
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    given = read_state(donor)[0]
    state = content["state_dict"]
    for own, other in tensors.items():
        state.update({key: given[other + key.removeprefix(own)] for key in state if key.startswith(own)})
    learnt = content["training"]
    learnt["parts"] = [*learnt.get("parts", []), part_of("graft", donor)]
    save(content, target)


def save(content: Mapping[str, Any], target: Path) -> None:
    with atomic_path(target) as temporary:
        torch.save(content, temporary)


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


def shown_command(plan: Plan, flows: Sequence[str]) -> str:
    """Return the command of the last run, without paths of this machine."""
    named = [re.sub(r":.*/", ":", flow) for flow in flows]
    runs = [name for name, settings in plan.earlier.items() if "fit" in settings]
    return f"vosbench fit {' '.join(plan.overrides(SHOWN, 'OUT', named, runs[-1] if plan.take else None))}"


def published(plan: Plan, work: Path, stages: dict[str, Path]) -> Path:
    """Return the checkpoint that is exported."""
    return Path(plan.checkpoint_of(plan.take, work)) if plan.take else list(stages.values())[-1]


def stages_of(run: Path) -> dict[str, Path]:
    """Stage -> its last checkpoint, in the order of the recipe."""
    config = yaml.safe_load((run / "config.yaml").read_text(encoding="utf-8"))
    checkpoints = {name: run / name / "checkpoints" / "last.ckpt" for name in config["recipe"]}
    return {name: path for name, path in checkpoints.items() if path.is_file()}


def length(checkpoint: Path) -> dict[str, int]:
    content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return {"epochs": content["epoch"] + 1, "steps": content["global_step"]}


def settings_of(run: Path) -> dict[str, Any]:
    """Settings of a run, with the names of files in place of their paths."""
    config = (run / "config.yaml").read_text(encoding="utf-8")
    named = yaml.safe_load(re.sub(r"/[^\s'\"]*/", "", config))
    stages = {name: named["recipe"][name] for name in stages_of(run)}
    return {key: named[key] for key in ("model", "size", "seed", "init", "trainer")} | {"stages": stages}


def training(
    plan: Plan, recipe: Path, stages: dict[str, Path], checkpoint: Path, memory: dict[str, Any]
) -> dict[str, Any]:
    """Return the provenance of weights, all but their measured values.

    Args:
        plan: of the weights.
        recipe: its file.
        stages: last checkpoints.
        checkpoint: what is exported.
        memory: what else is known of the training.
    """
    lengths = {name: length(path) for name, path in stages.items()}
    known = training_of(checkpoint)
    selection = known.get("selection", [])
    return {
        "command": f"python benchmarks/zoo/train.py benchmarks/zoo/{recipe.name}",
        "data": data_of(plan, known.get("data", {})),
        "selection": [*selection, *(item for item in plan.selection if item not in selection)],
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


def data_of(plan: Plan, known: dict[str, Any]) -> dict[str, Any]:
    """Return the data of a training: those of its checkpoint, and the rendered world."""
    if not plan.real:
        return {"name": ", ".join(plan.world["sets"]), "edition": "mini", **plan.world}
    data = known | ({"world": plan.world} if plan.world["sets"] else {})
    if rendered_sets(data) is None:
        data[RENDERED] = sorted(set(data["name"].split(", ")) - set(plan.real))
    return data


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plan", type=Path, help="YAML file")
    parser.add_argument("--work", type=Path, default=Path("zoo-runs"), help="worlds and runs are made here")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="weights and their provenance go here")
    parser.add_argument("--data-root", type=Path, help="real data sets that a plan trains on")
    parser.add_argument(
        "--flow", action="append", help="estimator of their flow; again for more; dis by default"
    )
    parser.add_argument(
        "--runs", type=Path, nargs="+", help="runs of vosbench fit that trained the stages already, in order"
    )
    parser.add_argument("--checkpoint", type=Path, help="with --runs: weights to take, not those of the last")
    options = parser.parse_args()
    plan, work, out = read_plan(options.plan), options.work.resolve(), options.out.resolve()
    flows = options.flow or ["dis"]
    os.environ["VOSBENCH_CACHE"] = str(work / "cache")
    environment()  # the commit that this process runs, not one that is made while it trains
    check_bases(plan.bases, out)
    data = work / f"{plan.name}-data"
    link(plan.real, options.data_root, data)
    if options.runs:
        stages = {f"{run.name}/{name}": path for run in options.runs for name, path in stages_of(run).items()}
        facts = {"git": environment()["git"], "runs": [settings_of(run) for run in options.runs]}
    else:
        render(plan.world, data)
        memory = work / f"{plan.name}.json"
        with kept_in_mind(memory):
            stages = train_earlier(plan, work, out, flows)
            if plan.take is None:
                stages |= stages_of(fit(plan.overrides(work, out, flows)))
        facts = {"fit": shown_command(plan, flows), **remembered(memory)}
    last = options.checkpoint or published(plan, work, stages)
    provenance = training(plan, options.plan, stages, last, facts)

    def write() -> Path:
        return export(last, provenance, out, variant=plan.variant, half=plan.half, bases=plan.bases)

    # what is measured is the file that is published
    weights = write()
    tests = work / f"{plan.name}-tests"
    if plan.real:
        held_out = measure_held_out(plan.model, weights, data, flows, work / "cache")
        provenance["measured"] = held_out | measure(plan.model, weights, tests, WORLDS[:1])
    else:
        provenance["measured"] = measure(plan.model, weights, tests)
    print(json.dumps(provenance["measured"], indent=1))
    print(write())


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        raise SystemExit(f"train.py: {error}") from None
