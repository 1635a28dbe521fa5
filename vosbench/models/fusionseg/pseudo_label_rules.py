"""Rules of FusionSeg's pseudo labels: tests of boxes, each on its own.

Jain, Xiong, Grauman, "FusionSeg", CVPR 2017, section 3.2.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vosbench.video import Box, Frame

Mask = NDArray[np.bool_]
"""(H, W) bool, True on the foreground."""

OVERLAP = 0.75
"""Least overlap of a box with the tight rectangle of the foreground in it (paper, 3.2)."""

FILL = 0.95
"""Largest fraction of a box that may be foreground: good masks are rarely rectangles (paper, 3.2)."""

CONTRAST = 30.0
"""What the mean flow colours inside and around must differ by, more than this, of 255 (paper, 3.2)."""

CONTEXT = 2.0
"""Height and width of the surroundings, in those of the box (paper, 3.2)."""


@dataclass(frozen=True)
class Rectangle:
    """Whole pixels: rows ``top..bottom-1``, columns ``left..right-1``."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def area(self) -> int:
        """Number of pixels."""
        return max(0, self.bottom - self.top) * max(0, self.right - self.left)

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns; empty ones where there is no area."""
        return slice(self.top, max(self.top, self.bottom)), slice(self.left, max(self.left, self.right))


def pixels(box: Box, size: tuple[int, int], times: float = 1.0) -> Rectangle:
    """Return the pixels of a box around the same centre, `times` as wide and high, inside the frame.

    Args:
        box: edges are rounded to pixels.
        size: (H, W) of the frame.
        times: 1 for the box itself.
    """

    def span(start: float, length: float, limit: int) -> tuple[int, int]:
        grown = (times - 1) * length / 2
        first, last = (math.floor(edge + 0.5) for edge in (start - grown, start + length + grown))
        return min(max(first, 0), limit), min(max(last, 0), limit)

    top, bottom = span(box.y, box.height, size[0])
    left, right = span(box.x, box.width, size[1])
    return Rectangle(top, left, bottom, right)


def inside_boxes(mask: Mask, boxes: Sequence[Box]) -> Mask:
    """Rule 1: return the (H, W) mask, background outside all boxes."""
    pruned = np.zeros_like(mask)
    for box in boxes:
        place = pixels(box, _size(mask)).slices
        pruned[place] = mask[place]
    return pruned


def tight(mask: Mask, box: Box) -> Rectangle | None:
    """Return the smallest rectangle around the foreground in a box; None without foreground."""
    place = pixels(box, _size(mask))
    part = mask[place.slices]
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    if not len(rows):
        return None
    return Rectangle(
        place.top + int(rows[0]),
        place.left + int(columns[0]),
        place.top + int(rows[-1]) + 1,
        place.left + int(columns[-1]) + 1,
    )


def overlap(mask: Mask, box: Box) -> float:
    """Return what the tight rectangle of the foreground in a box has of it, in [0, 1].

    The paper does not say how overlap is measured. The rectangle lies in the box, so that
    intersection over union and the fraction of the box are the same [ours].
    """
    found = tight(mask, box)
    return 0.0 if found is None else found.area / pixels(box, _size(mask)).area


def fill(mask: Mask, box: Box) -> float:
    """Return the fraction of a box that is foreground; 1 for a box without pixels, to reject it."""
    part = mask[pixels(box, _size(mask)).slices]
    return float(part.mean()) if part.size else 1.0


def contrast(flow_image: Frame, box: Box, times: float = CONTEXT) -> float:
    """Return the distance of the mean colours in a box and in one `times` as wide and high.

    The larger box includes the smaller, and both end at the frame. 0 for a box outside of it.

    Args:
        flow_image: (H, W, 3) uint8 flow, painted with the colour wheel.
        box: the smaller one.
        times: as the paper has it, twice.
    """
    size = flow_image.shape[0], flow_image.shape[1]
    inner, outer = (flow_image[pixels(box, size, factor).slices] for factor in (1.0, times))
    if not inner.size:
        return 0.0
    means = [part.reshape(-1, 3).mean(axis=0, dtype=np.float64) for part in (inner, outer)]
    return float(np.linalg.norm(means[0] - means[1]))


def overlaps_enough(mask: Mask, box: Box, least: float = OVERLAP) -> bool:
    """Rule 2: whether `overlap` is at least `least`, and there is foreground at all."""
    value = overlap(mask, box)
    return value > 0 and value >= least


def leaves_room(mask: Mask, box: Box, most: float = FILL) -> bool:
    """Rule 3: whether `fill` is at most `most`."""
    return fill(mask, box) <= most


def moves_apart(flow_image: Frame, box: Box, above: float = CONTRAST, times: float = CONTEXT) -> bool:
    """Rule 4: whether `contrast` is above `above`."""
    return contrast(flow_image, box, times) > above


@dataclass(frozen=True)
class Counts:
    """Numbers of boxes by the first test that they fail.

    Attributes:
        boxes: all.
        dropped_overlap, dropped_fill, dropped_contrast: by rules 2, 3 and 4.
        kept: passed all.
    """

    boxes: int = 0
    dropped_overlap: int = 0
    dropped_fill: int = 0
    dropped_contrast: int = 0
    kept: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(a + b for a, b in zip(self.values, other.values, strict=True)))

    @property
    def values(self) -> tuple[int, ...]:
        """Every number, in order."""
        return (self.boxes, self.dropped_overlap, self.dropped_fill, self.dropped_contrast, self.kept)


@dataclass(frozen=True)
class BootstrapSettings:
    """The thresholds, all of the paper's section 3.2 unless marked.

    Attributes:
        overlap: least overlap of box and foreground.
        fill: largest filled fraction of a box.
        contrast: flow contrast that must be exceeded.
        context: size of the surroundings, in boxes.
        probability: a pixel more probable than this is foreground: the arg-max of two classes.
    """

    overlap: float = OVERLAP
    fill: float = FILL
    contrast: float = CONTRAST
    context: float = CONTEXT
    probability: float = 0.5


def judge(
    mask: Mask, boxes: Sequence[Box], flow_image: Callable[[], Frame], settings: BootstrapSettings
) -> tuple[Mask, Counts]:
    """Apply the four rules to a frame.

    Pixels of a dropped box are background, but where a kept box has them, too [ours].

    Args:
        mask: (H, W) bool, the guess.
        boxes: of the frame.
        flow_image: makes the (H, W, 3) uint8 flow picture; called only if some box gets that far.
        settings: the thresholds.

    Returns:
        The (H, W) bool mask of what is kept, and the counts.
    """
    pruned = inside_boxes(mask, boxes)
    overlapping = [box for box in boxes if overlaps_enough(pruned, box, settings.overlap)]
    roomy = [box for box in overlapping if leaves_room(pruned, box, settings.fill)]
    kept = roomy
    if roomy:
        image = flow_image()
        kept = [box for box in roomy if moves_apart(image, box, settings.contrast, settings.context)]
    counts = Counts(
        len(boxes),
        len(boxes) - len(overlapping),
        len(overlapping) - len(roomy),
        len(roomy) - len(kept),
        len(kept),
    )
    return inside_boxes(pruned, kept), counts


def _size(mask: Mask) -> tuple[int, int]:
    return mask.shape[0], mask.shape[1]
