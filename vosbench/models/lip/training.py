"""Labels of the objects of a training set of LIP."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, distributed

from vosbench.errors import InputError

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
            objects = [each for part in gathered for each in part]
        self._add(objects)

    def labels(self, video: int, ids: Tensor) -> Tensor:
        """Return the numbers of ids of a video, (N,) int64; all of them were entered."""
        numbers = [self._numbers[video, number] for number in ids.tolist()]
        return torch.tensor(numbers, dtype=torch.int64, device=ids.device)

    def _add(self, objects: Iterable[Object]) -> None:
        for each in objects:
            if each not in self._numbers:
                self._numbers[each] = len(self._numbers) + 1
        if len(self._numbers) > self.most:
            raise InputError(
                f"lip: the training videos have more than {self.most} objects, raise model.vos_ids"
            )
