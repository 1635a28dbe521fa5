"""Base of the trackers that follow the objects of a first mask."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
from torch import nn

from vosbench.video import VOID, IdMap, Video


class ObjectTracker(ABC):
    """Tracker of the objects of a first mask.

    The network stays as it is: everything that is learned lives as long as the iteration over the masks of a
    video.

    Args:
        network: switched to test mode when an iteration begins.
    """

    def __init__(self, network: nn.Module) -> None:
        self._module = network
        self._device = next(network.parameters()).device

    def masks(self, video: Video, first_mask: IdMap) -> Iterator[IdMap]:
        """Yield the ids of every frame; those of frame 0 are the given ones, void left out."""
        self._module.eval()
        yield np.where(first_mask == VOID, np.uint8(0), first_mask)
        if len(video) > 1:
            yield from self._later_masks(video, first_mask)

    @abstractmethod
    def _later_masks(self, video: Video, first_mask: IdMap) -> Iterator[IdMap]:
        """Yield the ids of every frame after the first."""


def object_ids(mask: IdMap) -> IdMap:
    """Return the ids of the objects of a mask, ascending: (K,) uint8."""
    return np.setdiff1d(mask, (0, VOID)).astype(np.uint8)
