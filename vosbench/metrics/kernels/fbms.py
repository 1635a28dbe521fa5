"""The measures of FBMS-59 from one pass over the frames: official, proposed, binary, count of objects."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Variant = Literal["official", "proposed", "binary"]
Background = int | Literal["infer"]

VARIANTS: tuple[Variant, ...] = get_args(Variant)

FRule = Literal["harmonic", "mean"]
"""F of a data set: 2PR / (P + R) of its mean precision and recall, or the mean of F over its videos."""

F_RULES: Mapping[Variant, FRule] = {"official": "harmonic", "proposed": "mean", "binary": "harmonic"}
"""The rule of every variant in the paper that defines it."""

FRACTIONS = ("precision", "recall", "f_measure")

NAMES: Mapping[Variant, tuple[str, ...]] = {
    "official": (*FRACTIONS, "n_objects"),
    "proposed": (*FRACTIONS, "n_objects"),
    "binary": FRACTIONS,
}
"""The values of every variant, in order."""

EXTRACTED = 0.75
"""An object counts as extracted when its pair has an F above this (Ochs et al., section 6)."""

BACKGROUND = 0

ASSIGNMENT_STEPS = 10_000
"""The released program cuts F to multiples of 1 / 10000 before it assigns clusters to regions."""

DIRECT_SPAN = 255
"""Ids within a range of this many are numbered by subtraction; others by sorting.

With one more number for pixels left out, a pair of numbers still fits 16 bits: a fifth of the time.
"""

Pair = tuple[int | None, int | None]


class VolumeOverlap:
    """Pixels shared by predicted clusters and ground-truth regions over a whole video.

    Frames are added one by one; only the number of pixels of every pair of ids is kept, so memory does
    not grow with the video. Every measure is then available from the one pass.

    Args:
        background: predicted id that is no object. ``"infer"`` takes the most frequent predicted id of
            all pixels added (the smallest of several). The background of the ground truth is 0.

    Raises:
        ValueError: `background` is neither an integer nor ``"infer"``.

    Example:
        >>> import numpy as np
        >>> volume = VolumeOverlap()
        >>> volume.add(np.array([[3, 3, 0, 0]]), np.array([[1, 1, 1, 1]]))
        >>> volume.measure("proposed")["recall"], volume.count_error(), volume.objects
        (0.5, 0, 1)
    """

    def __init__(self, background: Background = BACKGROUND) -> None:
        if background != "infer" and not isinstance(background, int):
            raise ValueError(f"background must be a predicted id or 'infer', got {background!r}")
        self._background = background
        # None in place of a predicted id: in no track; in place of a true id: void
        self._pixels: Counter[Pair] = Counter()

    def add(
        self,
        pred_ids: NDArray[np.integer],
        target_ids: NDArray[np.integer],
        void: NDArray[np.bool_] | None = None,
        uncovered: NDArray[np.bool_] | None = None,
    ) -> None:
        """Add one labelled frame.

        Args:
            pred_ids: (H, W) integer, predicted ids.
            target_ids: (H, W) integer, true ids, 0 = background.
            void: (H, W) bool, unlabelled pixels.
            uncovered: (H, W) bool, pixels that are in no predicted track; their `pred_ids` are ignored.

        Raises:
            ValueError: ids that are not integer, or shapes that differ.
        """
        for name, ids in (("pred_ids", pred_ids), ("target_ids", target_ids)):
            if ids.dtype.kind not in "iu":
                raise ValueError(f"{name} must be integer ids, got {ids.dtype}")
        for name, other in (("target_ids", target_ids), ("void", void), ("uncovered", uncovered)):
            if other is not None and other.shape != pred_ids.shape:
                raise ValueError(f"pred_ids has shape {pred_ids.shape}, {name} has {other.shape}")
        if pred_ids.size == 0:
            return
        rows, row_ids = _numbered(pred_ids, uncovered)
        columns, column_ids = _numbered(target_ids, void)
        width = len(column_ids)
        code = np.uint16 if len(row_ids) * width <= np.iinfo(np.uint16).max + 1 else np.intp
        table = np.bincount((rows.astype(code) * width + columns.astype(code)).ravel())
        for cell in np.flatnonzero(table).tolist():
            self._pixels[row_ids[cell // width], column_ids[cell % width]] += int(table[cell])

    @property
    def background(self) -> int:
        """The predicted id that is no object; 0 when it is to be inferred and nothing was predicted."""
        if self._background != "infer":
            return self._background
        sizes: Counter[int] = Counter()
        for (cluster, _), pixels in self._pixels.items():
            if cluster is not None:
                sizes[cluster] += pixels
        return min(sizes, key=lambda cluster: (-sizes[cluster], cluster), default=BACKGROUND)

    @property
    def objects(self) -> int:
        """Number of ground-truth objects that can be seen: the M of "N of M objects extracted"."""
        return len({region for _, region in self._pixels} - {BACKGROUND, None})

    def count_error(self) -> int:
        """Return Delta-Obj: the number of predicted objects against the true one, without the sign.

        Distinct ids other than the background are counted, those of the ground truth outside void.
        Source: Bideau et al., 2018.
        """
        predicted = {cluster for cluster, _ in self._pixels} - {self.background, None}
        return abs(len(predicted) - self.objects)

    def measure(self, variant: Variant = "proposed") -> dict[str, float]:
        """Return the measure of the video; `fbms_measure` defines the variants.

        Returns:
            ``precision``, ``recall``, ``f_measure`` in [0, 1]; but for ``"binary"`` also ``n_objects``,
            the objects whose pair has F above 0.75 (the official count takes one off for the background).

        Raises:
            ValueError: an unknown variant.
        """
        check_variant(variant)
        if variant == "official":
            return self._official()
        return self._proposed() if variant == "proposed" else self._binary()

    def _official(self) -> dict[str, float]:
        # what void or missing tracks leave of a region or cluster may be nothing, it takes part all the same
        regions = sorted({region for _, region in self._pixels if region is not None})
        clusters = sorted({cluster for cluster, _ in self._pixels if cluster is not None})
        weighted = {
            (cluster, region): pixels
            for (cluster, region), pixels in self._pixels.items()
            if cluster is not None and region is not None
        }
        overlap = _overlap(weighted, clusters, regions)
        rows, columns, f_measures = overlap.assignment(steps=ASSIGNMENT_STEPS)
        shared = overlap.shared[rows, columns]
        without_cluster = len(regions) - len(columns)
        precision = _sum(shared / np.maximum(overlap.clusters[rows], 1)) + without_cluster
        recall = _sum(shared / np.maximum(overlap.regions[columns], 1))
        count = max(len(regions), 1)
        extracted = max(int((f_measures > EXTRACTED).sum()) - 1, 0)
        return _values(precision / count, recall / count) | {"n_objects": float(extracted)}

    def _proposed(self) -> dict[str, float]:
        background, pixels_of = self.background, Counter[tuple[int, int]]()
        for (cluster, region), pixels in self._pixels.items():
            row = background if cluster is None else cluster
            pixels_of[row, BACKGROUND if region is None else region] += pixels
        clusters = sorted({cluster for cluster, _ in pixels_of})
        regions = sorted({region for _, region in pixels_of})
        overlap = _overlap(pixels_of, clusters, regions)
        overlap = overlap.without(cluster=background, region=BACKGROUND)
        rows, columns, f_measures = overlap.assignment()
        shared = _sum(overlap.shared[rows, columns])
        precision = shared / max(_sum(overlap.clusters), 1)
        recall = shared / max(_sum(overlap.regions), 1)
        extracted = int((f_measures > EXTRACTED).sum())
        return _values(precision, recall) | {"n_objects": float(extracted)}

    def _binary(self) -> dict[str, float]:
        background = self.background
        predicted = true = shared = 0
        for (cluster, region), pixels in self._pixels.items():
            if region is None:
                continue
            is_predicted = cluster not in (background, None)
            predicted += is_predicted * pixels
            true += (region != BACKGROUND) * pixels
            shared += (is_predicted and region != BACKGROUND) * pixels
        return _values(shared / predicted if predicted else 1.0, shared / true if true else 1.0)


def overall(
    values: Sequence[Mapping[str, float]], variant: Variant, f_rule: FRule | None = None
) -> dict[str, float]:
    """Return the measure of a data set from those of its videos.

    Precision and recall are means over videos, F follows from `f_rule`, extracted objects are added up.
    All but these are NaN without a video.

    Args:
        values: what `VolumeOverlap.measure` gave for every video.
        variant: the variant it was asked for.
        f_rule: see `FRule`; that of the variant when None.

    Raises:
        ValueError: an unknown variant or rule.
    """
    rule = check_f_rule(variant, f_rule)
    values_of = {name: math.fsum(video[name] for video in values) for name in NAMES[variant]}
    for name in FRACTIONS:
        values_of[name] = values_of[name] / len(values) if values else math.nan
    if rule == "harmonic":
        values_of |= _values(values_of["precision"], values_of["recall"])
    return values_of


def check_f_rule(variant: Variant, f_rule: FRule | None) -> FRule:
    """Return how F of a data set follows: as asked, else as the variant has it.

    Raises:
        ValueError: an unknown variant or rule.
    """
    check_variant(variant)
    rule = F_RULES[variant] if f_rule is None else f_rule
    if rule not in get_args(FRule):
        raise ValueError(f"f_rule must be one of {', '.join(get_args(FRule))}, got {rule!r}")
    return rule


def check_variant(variant: str) -> None:
    """Refuse an unknown variant with a ValueError."""
    if variant not in VARIANTS:
        raise ValueError(f"variant must be one of {', '.join(VARIANTS)}; got {variant!r}")


@dataclass(frozen=True)
class _Overlap:
    """Clusters against regions.

    Attributes:
        cluster_ids, region_ids: C and R ids.
        shared: (C, R) pixels in both.
        clusters, regions: (C,) and (R,) pixels of each.
    """

    cluster_ids: Sequence[int]
    region_ids: Sequence[int]
    shared: NDArray[np.int64]
    clusters: NDArray[np.int64]
    regions: NDArray[np.int64]

    def without(self, cluster: int, region: int) -> _Overlap:
        """Leave out one cluster and one region; the pixels of the others stay what they are."""
        rows = [row for row, known in enumerate(self.cluster_ids) if known != cluster]
        columns = [column for column, known in enumerate(self.region_ids) if known != region]
        return _Overlap(
            [self.cluster_ids[row] for row in rows],
            [self.region_ids[column] for column in columns],
            self.shared[np.ix_(rows, columns)],
            self.clusters[rows],
            self.regions[columns],
        )

    def assignment(
        self, steps: int | None = None
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.float64]]:
        """Return clusters and regions of the one-to-one pairs of the largest total F, and F of each.

        With `steps`, totals are of F cut down to multiples of ``1 / steps``, and only where these are
        equal of F itself.
        """
        from scipy.optimize import linear_sum_assignment

        # 2PR / (P + R) of P = shared / cluster and R = shared / region
        total = np.maximum(self.clusters[:, None] + self.regions[None, :], 1)
        f_measure = 2 * self.shared / total
        weight = f_measure
        if steps is not None:
            # whole numbers decide; the F of all pairs together stay below one
            weight = 2 * steps * self.shared // total + f_measure / (min(f_measure.shape) + 1)
        rows, columns = linear_sum_assignment(weight, maximize=True)
        return rows, columns, f_measure[rows, columns]


def _overlap(
    pixels_of: Mapping[tuple[int, int], int], clusters: Sequence[int], regions: Sequence[int]
) -> _Overlap:
    """Tabulate pixels of (cluster, region)."""
    row_of = {cluster: row for row, cluster in enumerate(clusters)}
    column_of = {region: column for column, region in enumerate(regions)}
    shared = np.zeros((len(clusters), len(regions)), np.int64)
    for (cluster, region), pixels in pixels_of.items():
        shared[row_of[cluster], column_of[region]] = pixels
    return _Overlap(clusters, regions, shared, shared.sum(1), shared.sum(0))


def _numbered(
    ids: NDArray[np.integer], left_out: NDArray[np.bool_] | None
) -> tuple[NDArray[np.integer], list[int | None]]:
    """Return a small number for the id of every pixel, (H, W), and the id of every number.

    Pixels left out have a number of their own, the last one, with the id None.
    """
    lowest, highest = int(ids.min()), int(ids.max())
    known: list[int | None]
    if highest - lowest < DIRECT_SPAN:
        # in a wide type: in the ids' own the difference could wrap around
        numbers = ids.astype(np.int64) - lowest if lowest else ids
        known = list(range(lowest, highest + 1))
    else:
        values, inverse = np.unique(ids, return_inverse=True)
        numbers, known = inverse.reshape(ids.shape), values.tolist()
    if left_out is not None and left_out.any():
        # the smallest type that holds it, so that the result stays as narrow as the ids
        number = np.min_scalar_type(len(known)).type(len(known))
        numbers = np.where(left_out, number, numbers)
    return numbers, [*known, None]


def _sum(values: NDArray[np.float64] | NDArray[np.int64]) -> float:
    return math.fsum(values.tolist())


def _values(precision: float, recall: float) -> dict[str, float]:
    total = precision + recall
    f_measure = 2 * precision * recall / total if total else 0.0
    return dict(zip(FRACTIONS, (float(precision), float(recall), float(f_measure)), strict=True))
