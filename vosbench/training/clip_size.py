"""Clips too small for a network: the error, with the least size that can be trained on."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from vosbench.config import StageConfig
from vosbench.errors import InputError, error_line

if TYPE_CHECKING:
    from pytorch_lightning import LightningDataModule

    from vosbench.models.vos_module import VOSModule

_TOO_SMALL = re.compile(
    r"Output size is too small"  # pooling
    r"|Kernel size can't be greater than actual input size"  # convolution
    r"|Expected more than 1 value per channel when training"  # batch normalisation
)

_STEP, _LARGEST = 8, 128
"""Pixels: sizes that are tried."""


def is_too_small(error: Exception) -> bool:
    """Return whether PyTorch says that maps have become smaller than a layer takes."""
    return isinstance(error, RuntimeError | ValueError) and bool(_TOO_SMALL.search(str(error)))


def too_small_error(
    stage: str,
    settings: StageConfig,
    module: VOSModule,
    data_of: Callable[[StageConfig], LightningDataModule],
    error: Exception,
) -> InputError:
    """Build the error for a stage whose clips are too small; larger crops are tried on a step each.

    Args:
        stage: name.
        settings: of the stage.
        module: the network, whose weights are of no use any longer.
        data_of: returns the data of the stage with other settings.
        error: of the first step.
    """
    reason = error_line(error)
    crop = settings.augment.crop
    if crop is None:
        return InputError(
            f"stage {stage}: clips are too small for {module.name} ({reason}): raise data.scale "
            f"or recipe.{stage}.augment.resize"
        )
    with _quiet():
        least = next(
            (larger for larger in _larger(crop) if _trains(module, data_of(_cropped(settings, larger)))), None
        )
    least_side = f"the least that can be trained on is {least}"
    remedy = least_side if least else "write a larger one, or raise data.scale"
    return InputError(
        f"recipe.{stage}.augment.crop={crop} is too small for {module.name} with "
        f"recipe.{stage}.batch_size={settings.batch_size} ({reason}): {remedy}"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what Lightning says at the beginning of every training."""
    reporter = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    level = reporter.level
    reporter.setLevel(logging.ERROR)
    try:
        yield
    finally:
        reporter.setLevel(level)


def _larger(crop: object) -> Iterator[list[int]]:
    sides = crop if isinstance(crop, list) else (1, 1)
    for side in range(_STEP, _LARGEST + 1, _STEP):
        larger = [max(side, own) for own in sides]
        if larger != crop:
            yield larger


def _cropped(settings: StageConfig, crop: list[int]) -> StageConfig:
    return replace(settings, augment=replace(settings.augment, crop=crop))


def _trains(module: VOSModule, data: LightningDataModule) -> bool:
    from pytorch_lightning import Trainer

    trainer = Trainer(
        accelerator="cpu",
        fast_dev_run=True,
        limit_val_batches=0,
        logger=False,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    try:
        trainer.fit(module, data)
    except (RuntimeError, ValueError) as error:
        if is_too_small(error):
            return False
        raise
    return True
