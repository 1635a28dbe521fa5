"""Plain definitions of the measures in exact fractions, without vosbench and without a solver.

Where the definition leaves open which of several assignments of equal worth is taken, all of their
values are returned.
"""

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from videos import VOID, Case

Values = dict[str, float]
Exact = tuple[Fraction | int, ...]
Pair = tuple[Exact, Exact]
"""What an assignment of the two is worth, and what it adds to the outcome."""

IGNORED = ("fbms-official", "fbms-moving", "fbms-binary")
"""Protocols of volumes under which void has no weight; under the others it is background."""

MEASURES = {
    "fbms-official": "official",
    "fbms-moving": "official",
    "fbms-proposed": "proposed",
    "davis17-proposed": "proposed",
    "fbms-binary": "binary",
}

AFTER_FIRST = ("youtube-objects-semi-supervised",)
"""Protocols whose first labelled frame is given to the method."""


def candidates(protocol: str, case: Case) -> list[Values]:
    """Return the values of a video, or those of every equally good assignment."""
    if protocol not in MEASURES:
        return [{"iou_mean": frame_iou(case, case.labelled[protocol in AFTER_FIRST :])}]
    return [values | {"delta_obj": count_error(case)} for values in volumes(protocol, case)]


def overall(protocol: str, videos: Sequence[Values]) -> Values:
    """Return the values of a data set."""
    means = {name: sum(values[name] for values in videos) / len(videos) for name in videos[0]}
    if protocol in ("fbms-official", "fbms-binary"):
        means["f_measure"] = _f(means["precision"], means["recall"])
    if "n_objects" in means:
        means["n_objects"] = sum(values["n_objects"] for values in videos)
    return means


def over_classes(values: dict[str, Values]) -> Values:
    """Return the IoU of every class and the mean over classes."""
    of_class: dict[str, list[float]] = {}
    for name, video in values.items():
        of_class.setdefault(name.split("_")[0], []).append(video["iou_mean"])
    means = {name: sum(ious) / len(ious) for name, ious in of_class.items()}
    return {
        "iou_mean": sum(means.values()) / len(means),
        **{f"iou_mean/{name}": mean for name, mean in means.items()},
    }


def frame_iou(case: Case, labelled: Sequence[int]) -> float:
    total = 0.0
    for t in labelled:
        both = either = 0
        for p, g in zip(case.pred[t].ravel().tolist(), case.target[t].ravel().tolist(), strict=True):
            if g != VOID:
                both += p != 0 and g != 0
                either += p != 0 or g != 0
        total += both / either if either else 1.0
    return total / len(labelled)


def pixels(case: Case) -> Counter[tuple[int | None, int | None]]:
    """Count pixels by cluster and region; None: in no track, or void."""
    labelled = list(case.labelled)
    counts: Counter[tuple[int | None, int | None]] = Counter()
    pairs, sizes = np.unique(
        np.stack((case.pred[labelled].ravel(), case.target[labelled].ravel())), axis=1, return_counts=True
    )
    for (cluster, region), count in zip(pairs.T.tolist(), sizes.tolist(), strict=True):
        key = None if case.partial and cluster == VOID else cluster, None if region == VOID else region
        counts[key] += count
    return counts


def count_error(case: Case) -> float:
    counts = pixels(case)
    return float(abs(len({c for c, _ in counts} - {0, None}) - len({g for _, g in counts} - {0, None})))


def volumes(protocol: str, case: Case) -> list[Values]:
    counts = pixels(case)
    if protocol not in IGNORED:
        merged: Counter[tuple[int | None, int | None]] = Counter()
        for (cluster, region), count in counts.items():
            merged[cluster, region or 0] += count
        counts = merged
    measure = MEASURES[protocol]
    if measure == "binary":
        return [_binary(counts)]
    return _official(counts) if measure == "official" else _proposed(counts)


def _official(counts: Counter[tuple[int | None, int | None]]) -> list[Values]:
    clusters = sorted({c for c, _ in counts if c is not None})
    regions = sorted({g for _, g in counts if g is not None})
    size = {c: sum(counts[c, g] for g in regions) for c in clusters}
    covered = {g: sum(counts[c, g] for c in clusters) for g in regions}

    def pair(c: int, g: int) -> Pair:
        shared = counts[c, g]
        f = Fraction(2 * shared, max(size[c] + covered[g], 1))
        precision, recall = (Fraction(shared, max(pixels, 1)) for pixels in (size[c], covered[g]))
        return (math.floor(10000 * f), f), (precision, recall, int(f > Fraction(3, 4)))

    outcomes = best([[pair(c, g) for g in regions] for c in clusters], 3)
    alone = max(len(regions) - len(clusters), 0)
    values = []
    for precision, recall, extracted in outcomes:
        p, r = (float(x / max(len(regions), 1)) for x in (precision + alone, Fraction(recall)))
        values.append(_named(p, r) | {"n_objects": float(max(extracted - 1, 0))})
    return values


def _proposed(counts: Counter[tuple[int | None, int | None]]) -> list[Values]:
    clusters = sorted({c for c, _ in counts if c})
    regions = sorted({g for _, g in counts if g})
    size = {c: sum(n for (p, _), n in counts.items() if p == c) for c in clusters}
    true = {g: sum(n for (_, q), n in counts.items() if q == g) for g in regions}

    def pair(c: int, g: int) -> Pair:
        f = Fraction(2 * counts[c, g], size[c] + true[g])
        return (f,), (counts[c, g], int(f > Fraction(3, 4)))

    outcomes = best([[pair(c, g) for g in regions] for c in clusters], 2)
    predicted, wanted = (max(sum(sizes.values()), 1) for sizes in (size, true))
    return [
        _named(float(shared / predicted), float(shared / wanted)) | {"n_objects": float(n)}
        for shared, n in outcomes
    ]


def _binary(counts: Counter[tuple[int | None, int | None]]) -> Values:
    known = {key: n for key, n in counts.items() if key[1] is not None}
    predicted = sum(n for (c, _), n in known.items() if c)
    true = sum(n for (_, g), n in known.items() if g)
    shared = sum(n for (c, g), n in known.items() if c and g)
    return _named(shared / predicted if predicted else 1.0, shared / true if true else 1.0)


def best(pairs: Sequence[Sequence[Pair]], length: int) -> set[Exact]:
    """Return the outcomes of all one-to-one assignments of the largest worth.

    As many are assigned as there are on the shorter side. Rows are taken one by one; of every set of
    columns taken so far the largest worth is kept, with all outcomes that reach it.

    Args:
        pairs: of every row with every column.
        length: of an outcome.
    """
    nothing: set[Exact] = {(0,) * length}
    if not pairs or not pairs[0]:
        return nothing
    if len(pairs) < len(pairs[0]):
        pairs = list(zip(*pairs, strict=True))
    start: Exact = (0,) * len(pairs[0][0][0])
    reached = {0: (start, nothing)}
    for row in pairs:
        after = dict(reached)
        for taken, (worth, outcomes) in reached.items():
            for column, (more, gain) in enumerate(row):
                if taken >> column & 1:
                    continue
                state = taken | 1 << column
                total = _sum(worth, more)
                if state not in after or total > after[state][0]:
                    after[state] = total, {_sum(outcome, gain) for outcome in outcomes}
                elif total == after[state][0]:
                    after[state] = total, after[state][1] | {_sum(outcome, gain) for outcome in outcomes}
        reached = after
    return reached[(1 << len(pairs[0])) - 1][1]


def _sum(a: Exact, b: Exact) -> Exact:
    return tuple(x + y for x, y in zip(a, b, strict=True))


def _named(precision: float, recall: float) -> Values:
    return {"precision": precision, "recall": recall, "f_measure": _f(precision, recall)}


def _f(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
