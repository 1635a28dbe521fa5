"""Batches from clips: padded to one size, or as lists with targets for detectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from vosbench.data.loading.transport import Empty, new_tensor
from vosbench.video import VOID

Target = dict[str, Tensor]

_PICTURES = {"frames": 0, "masks": VOID, "flow": 0, "backward": 0}
"""Entries of an item that are pictures, and what lies beyond their edge."""


def pad_collate(items: Sequence[Mapping[str, Tensor]], empty: Empty = new_tensor) -> dict[str, Tensor]:
    """Stack clips; smaller ones are padded at the right and bottom.

    Args:
        items: of a `ClipDataset`, all with the same keys and number of frames.
        empty: where the memory of the batch comes from.

    Returns:
        Every entry with a batch axis in front: ``frames`` (B, T, 3, H, W) with black, ``masks``
        (B, T, H, W) with 255 and ``flow`` (B, N, 2, H, W) with 0 where a clip ends before the largest
        height or width; and ``sizes`` (B, 2) int64, height and width of each.

    Raises:
        ValueError: clips of different length, or with different entries.
    """
    keys = items[0].keys()
    if any(item.keys() != keys for item in items):
        raise ValueError(f"clips of a batch have different entries: {[sorted(item) for item in items]}")
    sizes = torch.tensor([item["frames"].shape[-2:] for item in items])
    height, width = sizes.amax(dim=0).tolist()
    batch = {key: _stacked([item[key] for item in items], key, (height, width), empty) for key in keys}
    return {**batch, "sizes": sizes}


def detection_collate(items: Sequence[Mapping[str, Tensor]]) -> dict[str, Any]:
    """Gather clips of any size as torchvision's detectors take them.

    Args:
        items: of a `ClipDataset` with masks.

    Returns:
        A dict: ``frames``, ``flow``, ... as lists with a tensor per clip; ``targets``: per clip a list
        with a target per frame, see `detection_targets`. A detector of single pictures takes
        ``[frame for clip in frames for frame in clip]`` and its targets flattened alike.

    Raises:
        ValueError: a clip without masks, or an object without a class.
    """
    if any("masks" not in item for item in items):
        raise ValueError("without masks there are no targets: read the masks of the clips")
    batch: dict[str, Any] = {key: [item[key] for item in items] for key in items[0] if key != "masks"}
    batch["targets"] = [detection_targets(item["masks"], item.get("classes")) for item in items]
    return batch


def detection_targets(masks: Tensor, classes: Tensor | None = None) -> list[Target]:
    """Turn id maps into what torchvision's detectors learn from.

    Args:
        masks: (T, H, W) uint8 ids, 255 void.
        classes: (256,) int64, id -> class from 1; None: all objects are of class 1.

    Returns:
        Per frame: ``boxes`` (N, 4) float32 as x0, y0, x1, y1 with the far edges just outside the object,
        ``labels`` (N,) int64, ``masks`` (N, H, W) uint8, ``ids`` (N,) int64 ascending; ``void`` (H, W) bool,
        where nothing is known; and ``labelled`` () bool, False where nothing is known of a frame, so that no
        object is no statement.

    Raises:
        ValueError: an object has no class.
    """
    return [_target(mask, classes) for mask in masks]


def _target(mask: Tensor, classes: Tensor | None) -> Target:
    counts = torch.bincount(mask.flatten(), minlength=256)
    ids = counts[1:VOID].nonzero()[:, 0] + 1
    labels = torch.ones_like(ids) if classes is None else classes[ids]
    if (labels == 0).any():
        raise ValueError(f"objects {ids[labels == 0].tolist()} have no class")
    objects = mask == ids[:, None, None]
    return {
        "boxes": torch.stack([_span(objects.any(dim=axis)) for axis in (1, 2)], dim=2).flatten(1),
        "labels": labels,
        "masks": objects.to(torch.uint8),
        "ids": ids,
        "void": mask == VOID,
        "labelled": counts[VOID] < mask.numel(),
    }


def _span(occupied: Tensor) -> Tensor:
    """Return (N, 2) float32: first index, and one after the last, where (N, L) bool rows are True."""
    indices = torch.arange(occupied.shape[1])
    first = torch.where(occupied, indices, occupied.shape[1]).amin(dim=1)
    last = torch.where(occupied, indices, -1).amax(dim=1)
    return torch.stack([first, last + 1], dim=1).float()


def _stacked(values: Sequence[Tensor], key: str, size: tuple[int, int], empty: Empty) -> Tensor:
    if key in _PICTURES:
        values = [_padded(value, *size, _PICTURES[key]) for value in values]
    if any(value.shape != values[0].shape for value in values):
        raise ValueError(f"clips of a batch differ in {key}: {[tuple(value.shape) for value in values]}")
    if key != "frames":
        return _stack(values, empty)
    # in memory as decoded, colours of a pixel side by side: the GPU turns the colours into planes
    return _stack([value.permute(0, 2, 3, 1) for value in values], empty).permute(0, 1, 4, 2, 3)


def _stack(values: Sequence[Tensor], empty: Empty) -> Tensor:
    batch = empty((len(values), *values[0].shape), values[0].dtype)
    for row, value in zip(batch, values, strict=True):
        row.copy_(value)
    return batch


def _padded(value: Tensor, height: int, width: int, fill: int) -> Tensor:
    below, right = height - value.shape[-2], width - value.shape[-1]
    return F.pad(value, (0, right, 0, below), value=fill) if below or right else value
