"""Speed of training: the loop of every stage against its network, and against a loop without Lightning.

    python benchmarks/speed/training.py [--steps 40] [--models mpnet,lvo]

Every method trains each of its stages for some steps at size tiny on rendered scenes, with two loader
processes. Of the last steps the waits for batches and the steps are timed; then a plain loop takes the same
steps on the same batches, which are in memory. Tiny networks are the hard case: loader and loop cost as much
for the networks of the papers, whose steps take hundreds of times as long.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from machine import HERE, RESULTS, described, keep, machine

METHODS = ("mpnet", "fusionseg", "lvo", "motion_maskrcnn", "lip", "stcnn")
SCENES = 4
TARGET = 0.9


def measured(model: str, steps: int) -> dict[str, dict[str, Any]]:
    """Return stage -> seconds of the last steps of one training.

    Raises:
        RuntimeError: the training failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        words = [
            *(f"model={model}", "size=tiny", f"recipe={model}_tiny", "stage=all"),
            *("data.edition=mini", f"data.scenes={SCENES}", "data.val_split=null", "workers=2", "logger=csv"),
            *(f"run={folder}/run", f"data_root={folder}/data", f"trainer.max_steps={steps}"),
            *("trainer.accelerator=cpu", "trainer.enable_progress_bar=false"),
            f"callbacks=[{{class: training_callback.LoopTimes, folder: '{folder}'}}]",
        ]
        env = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
        program = [sys.executable, "-c", "from vosbench.cli import main; main()", "fit", *words]
        done = subprocess.run(program, env=env, capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
        if done.returncode:
            raise RuntimeError(f"fit model={model}: {done.stderr[-500:]}")
        found = sorted(Path(folder).glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in found}


def shares(times: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the milliseconds of a step of the loop, and the shares of it that compute."""
    waits, steps, plain = (sum(times[key]) for key in ("waits", "steps", "plain"))
    loop = waits + steps
    return {
        "milliseconds": 1000 * loop / len(times["steps"]),
        "of_step": steps / loop,
        "of_plain": plain / loop,
    }


def page(found: Mapping[str, Mapping[str, Mapping[str, float]]], about: str, steps: int) -> str:
    lines = [
        "# Speed of training\n",
        f"Size tiny, rendered scenes, two loader processes, the last 12 of {steps} steps of every stage.\n",
        about,
        "| method | stage | ms per step | not waiting for a batch | plain loop / loop |",
        "|---|---|---|---|---|",
    ]
    for model, stages in found.items():
        lines += [
            f"| {model} | {stage} | {values['milliseconds']:.0f} | {values['of_step']:.2f} "
            f"| {values['of_plain']:.2f} |"
            for stage, values in stages.items()
        ]
    all_shares = [values["of_plain"] for stages in found.values() for values in stages.values()]
    met = sum(share >= TARGET for share in all_shares)
    lines.append(
        f"\nplain loop: training_step, backward pass and optimiser on the same batches, in memory, without "
        f"Lightning and loader. Target: at least {TARGET} of the loop: {met} of {len(all_shares)} stages.\n"
    )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--models", default=",".join(METHODS))
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    about = machine(os.getloadavg()[0], ("torch", "pytorch-lightning"))
    times = {model: measured(model, options.steps) for model in options.models.split(",")}
    about["load_after"] = round(os.getloadavg()[0], 2)
    found = {
        model: {stage: shares(values) for stage, values in stages.items()} for model, stages in times.items()
    }
    report = {"machine": about, "steps": options.steps, "times": times, "shares": found}
    keep("training", report, page(found, described(about), options.steps), options.out)


if __name__ == "__main__":
    main()
