"""Hints on configuration keys that do not exist: the last part of a key, and names of other programs."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence

from vosbench.errors import InputError

SPELLINGS: Mapping[str, str] = {
    "amp": "trainer.precision=16-mixed",
    "arch": "model",
    "batch": "batch_size",
    "bs": "batch_size",
    "checkpoint": "init",
    "ckpt": "init",
    "ckpt_path": "resume",
    "data_dir": "data_root",
    "data_path": "data_root",
    "dataset": "data",
    "datasets": "data",
    "default_root_dir": "run",
    "early_stopping": "callbacks=[{class: EarlyStopping}]",
    "ema": "callbacks=[{class: EMAWeightAveraging}]",
    "epoch": "epochs",
    "fp16": "trainer.precision=16-mixed",
    "gpu": "trainer.devices",
    "gpus": "trainer.devices",
    "grad_clip": "clip_gradients",
    "learning_rate": "lr",
    "log_dir": "run",
    "method": "model",
    "models": "model",
    "n_epochs": "epochs",
    "network": "model",
    "num_epochs": "epochs",
    "num_gpus": "trainer.devices",
    "num_workers": "workers",
    "optim": "optimizer.name",
    "optimizer": "optimizer.name",
    "out": "run",
    "output_dir": "run",
    "patience": "callbacks=[{class: EarlyStopping}]",
    "pretrained": "init=zoo",
    "resume_from": "resume",
    "root": "data_root",
    "save_dir": "run",
    "schedule": "schedule.name",
    "scheduler": "schedule.name",
    "tensorboard": "logger=tensorboard",
    "wandb": "logger=wandb",
    "wd": "weight_decay",
    "weights": "init",
}
"""Last part of a key in other programs -> end of a key of vosbench, or the whole line to write."""

_NEAR = 0.75
_SHOWN = 3


def unknown_key(key: str, value: str, known: Collection[str], stage: str) -> InputError:
    """Build the error for a key that does not exist, with the lines that the user may have meant.

    Args:
        key: what the user wrote, e.g. ``"lr"``.
        value: what the user wrote after it.
        known: every key there is.
        stage: of the recipe, whose keys are named first.
    """
    lines = [line if "=" in line else f"{line}={value}" for line in _meant(key, known, stage)]
    if lines:
        return InputError(f"unknown configuration key '{key}': did you mean {' or '.join(lines)}?")
    return InputError(f"unknown configuration key '{key}': 'vosbench fit model=NAME --cfg' prints every key")


def _meant(key: str, known: Collection[str], stage: str) -> Sequence[str]:
    ends = {name.rpartition(".")[2] for name in known}
    last = key.rpartition(".")[2].lower().replace("-", "_")
    if last not in ends and last not in SPELLINGS:
        near = difflib.get_close_matches(last, [*ends, *SPELLINGS], n=1, cutoff=_NEAR)
        if not near:
            return difflib.get_close_matches(key, list(known), n=_SHOWN, cutoff=_NEAR)
        last = near[0]
    wanted = last if last in ends else SPELLINGS[last]
    if "=" in wanted:
        return [wanted]
    matching = [name for name in known if f".{name}".endswith(f".{wanted}")]
    parts = set(key.split("."))

    def nearness(name: str) -> tuple[int, bool, bool, bool]:
        shared = len(parts.intersection(name.split(".")))
        return shared, name == wanted, name.startswith(f"recipe.{stage}."), not name.startswith("recipe.")

    best = max(map(nearness, matching), default=None)
    return sorted(name for name in matching if nearness(name) == best)[:_SHOWN]
