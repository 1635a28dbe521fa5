"""Training targets of LIP: ids of a whole training set, and larger boxes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, distributed
from torchvision.ops import clip_boxes_to_image  # type: ignore[import-untyped]

from vosbench.errors import InputError

EXPANSION = 0.1
"""Share of width and height that boxes gain (section 5.1)."""

Object = tuple[int, int]
"""Index of a video and id in it."""


class ObjectLabels:
    """The ids of a training set: its objects get 1, 2, ... in the order in which they are first seen.

    On several devices all must call `enter` in every step; they then agree.

    Args:
        most: how many there can be.
        objects: those seen before, in order.
    """

    def __init__(self, most: int, objects: Iterable[Object] = ()) -> None:
        self.most = most
        self._numbers: dict[Object, int] = {}
        self._add(objects)

    @property
    def objects(self) -> list[Object]:
        """Objects so far, in order."""
        return list(self._numbers)

    def enter(self, objects: Sequence[Object]) -> None:
        """Give numbers to those that have none.

        Raises:
            InputError: there are too many.
        """
        if distributed.is_available() and distributed.is_initialized():
            gathered: list[list[Object]] = [[]] * distributed.get_world_size()
            distributed.all_gather_object(gathered, list(objects))
            objects = [pair for part in gathered for pair in part]
        self._add(objects)

    def labels(self, video: int, ids: Tensor) -> Tensor:
        """Return the numbers of ids of a video, (N,) int64; all of them were entered."""
        numbers = [self._numbers[video, number] for number in ids.tolist()]
        return torch.tensor(numbers, dtype=torch.int64, device=ids.device)

    def _add(self, objects: Iterable[Object]) -> None:
        for pair in objects:
            self._numbers.setdefault(pair, len(self._numbers) + 1)
        if len(self._numbers) > self.most:
            raise InputError(
                f"lip: the training videos have more than {self.most} objects, raise model.vos_ids"
            )


def expanded(target: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a target of `detection_targets` with boxes grown by `EXPANSION`, clipped to the picture.

    So masks are complete in boxes that are predicted a little too small (section 5.1).
    """
    height, width = target["masks"].shape[-2:]
    return dict(target) | {"boxes": grown(target["boxes"], EXPANSION, (height, width))}


def grown(boxes: Tensor, share: float, size: tuple[int, int]) -> Tensor:
    """Return (N, 4) boxes whose width and height grow by a share of them, clipped to a picture of `size`."""
    sides = boxes[:, 2:] - boxes[:, :2]
    larger = boxes + torch.cat([-sides, sides], dim=1) * (share / 2)
    clipped: Tensor = clip_boxes_to_image(larger, size)
    return clipped
