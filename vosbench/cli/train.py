"""The command ``fit``."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer


def fit(
    overrides: Annotated[
        list[str], typer.Argument(help="key=value, e.g. model=mpnet size=tiny data=mini trainer.max_epochs=2")
    ],
) -> None:
    """Train a method with its paper's recipe.

    vosbench fit model=mpnet [stage=STAGE|all] [data=ft3d|mini] [size=full|lite|tiny] [key=value ...]

    By default some videos of the training split are held out and validated on: data.hold_out. All of it,
    without validation, as in the papers: data.val_split=null. Test last.ckpt: best.ckpt is chosen by the
    validation.
    """
    from vosbench import training
    from vosbench.training.run_folder import what_to_test

    folder = training.fit(overrides)
    # Further devices have processes of their own, started with this same command.
    if os.environ.get("LOCAL_RANK", "0") == "0":
        sys.stdout.write(f"{folder}\n")
        sys.stderr.writelines(f"{line}\n" for line in what_to_test(folder))
