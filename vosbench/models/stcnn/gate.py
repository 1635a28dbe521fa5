"""Spatial gate of STCNN: objects stay near their last place, by the released code."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class GateSettings:
    """Settings of `SpatialGate`, by default the released ones.

    Attributes:
        reach: diameter of the ellipse by which the last mask grows, pixels.
        least: a grown mask of so many pixels, or fewer, says nothing.
        threshold: probability above which a pixel belongs to the mask that the next frame is held against.
        short_side: shorter side of the frames whose pixels these are, [ours]; None: of any frame.
        whole: keep a connected part of the object, as far as it is above `threshold`, also beyond the grown
            mask where it begins inside, [ours].
    """

    reach: int = 80
    least: int = 50
    threshold: float = 0.4
    short_side: int | None = None
    whole: bool = False

    def fitted(self, height: int, width: int) -> GateSettings:
        """Return the settings in pixels of a frame of (height, width)."""
        if self.short_side is None:
            return self
        scale = min(height, width) / self.short_side
        reach, least = max(1, round(self.reach * scale)), round(self.least * scale**2)
        return replace(self, reach=reach, least=least, short_side=None)


class SpatialGate:
    """Removes from the probability of each frame what is far from the object in the frame before.

    One gate serves one object of one video; it holds the mask of the last frame and nothing else.

    Args:
        first: (H, W) mask of the first frame.
        settings: of the gate.
    """

    def __init__(self, first: NDArray[Any], settings: GateSettings | None = None) -> None:
        height, width = first.shape
        self.settings = (settings or GateSettings()).fitted(height, width)
        self.previous: NDArray[np.bool_] = first.astype(bool)

    def step(self, probability: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        """Return the probability of the next frame, (H, W), gated, and remember where it is high."""
        result = gate(probability, self.previous, self.settings)
        self.previous = result > self.settings.threshold
        return result


def gate(
    probability: NDArray[np.floating[Any]], previous: NDArray[np.bool_], settings: GateSettings
) -> NDArray[np.floating[Any]]:
    """Return a probability, (H, W), 0 far from the last mask, (H, W); unchanged where that is empty."""
    area = grow(previous, settings.reach)
    if area.sum() <= settings.least:
        return probability
    if settings.whole:
        area = area | _parts_in(probability > settings.threshold, area)
    return probability * area


def _parts_in(mask: NDArray[np.bool_], area: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the connected parts of a mask, (H, W), that an area touches."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8))
    touched = np.zeros(count, bool)
    touched[labels[mask & area]] = True
    return np.asarray(touched[labels])


def grow(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Dilate a mask, (H, W), by an ellipse of `reach` x `reach` pixels.

    The result is that of ``cv2.dilate``, which visits every pixel of the ellipse. Here the mask is widened
    from the narrowest row of the ellipse to the widest, and moved to the rows that have the width.
    """
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)) > 0
    centre = reach // 2
    wide, result = np.zeros_like(mask), np.zeros_like(mask)
    widened = np.zeros(reach, bool)
    for row in np.argsort(ellipse.sum(axis=1), kind="stable").tolist():
        for column in np.flatnonzero(ellipse[row] & ~widened).tolist():
            _add(wide, mask, 0, column - centre)
        widened |= ellipse[row]
        _add(result, wide, row - centre, 0)
    return result


def _add(target: NDArray[np.bool_], mask: NDArray[np.bool_], rows: int, columns: int) -> None:
    """Add a mask that is moved up by `rows` and left by `columns` to a target of its size."""
    height, width = mask.shape
    if abs(rows) >= height or abs(columns) >= width:
        return
    up, down, left, right = max(0, rows), max(0, -rows), max(0, columns), max(0, -columns)
    target[down : height - up, right : width - left] |= mask[up : height - down, left : width - right]
