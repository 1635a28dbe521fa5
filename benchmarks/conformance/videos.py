"""Random videos of difficult cases: gaps in ids, void, one pixel, borders, objects that come and go."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

VOID = 255
PROPOSALS = 20
FEW = 6
"""Objects or clusters of a volume, on the side that has fewer: all assignments of them are tried."""

SHAPES = ("box", "disc", "noise", "pixel", "border", "full")

CLASSES = ("aeroplane", "bird", "car", "train")

Ids = NDArray[np.uint8]
Masks = NDArray[np.bool_]


@dataclass(frozen=True)
class Detection:
    """A mask (H, W), its score, and a box x, y, width, height where it is not the tight one."""

    mask: Masks
    score: float
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class Case:
    """A video to score.

    Attributes:
        name: of the sequence.
        pred: (T, H, W) ids.
        target: (T, H, W) ids, 255 where it is void.
        labelled: frames with ground truth.
        partial: id 255 of the prediction says nothing about the pixel.
        detections: per frame, in place of the prediction.
        crowds: ids of the ground truth that are crowds.
    """

    name: str
    pred: Ids
    target: Ids
    labelled: tuple[int, ...]
    partial: bool = False
    detections: tuple[tuple[Detection, ...], ...] = ()
    crowds: tuple[int, ...] = ()


def cases(protocol: str, count: int, seed: int) -> list[Case]:
    """Return `count` videos for a protocol; the same for the same seed."""
    make = next(make for prefix, make in MAKERS.items() if protocol.startswith(prefix))
    streams = np.random.SeedSequence([seed, *protocol.encode()]).spawn(count)
    return [
        make(f"{CLASSES[number % len(CLASSES)]}_{number:05}", np.random.default_rng(stream))
        for number, stream in enumerate(streams)
    ]


def davis16(name: str, random: np.random.Generator) -> Case:
    size = _size(random, least=3)
    target = _ids(random, size, [int(random.choice([1, 255])), *_choice(random, range(1, 256), 2)])
    return Case(name, _prediction(random, target, range(1, 256)), target, tuple(range(size[0])))


def semi_supervised(name: str, random: np.random.Generator) -> Case:
    size = _size(random, least=3)
    target, objects = _objects(random, size)
    pred = _prediction(random, target, range(1, objects + 1), keep_ids=True)
    # of frames that nobody evaluates
    pred[[0, -1]] = random.integers(0, 256, pred[[0, -1]].shape)
    return Case(name, pred, _with_void(random, target), tuple(range(size[0])))


def unsupervised(name: str, random: np.random.Generator) -> Case:
    size = _size(random, least=1)
    target, _ = _objects(random, size)
    pred = _prediction(random, target, range(1, PROPOSALS + 1))
    return Case(name, pred, _with_void(random, target), tuple(range(size[0])))


def volumes(name: str, random: np.random.Generator, sparse: bool = True) -> Case:
    size = _size(random, least=1)
    counts = [int(random.integers(0, FEW)), int(random.integers(0, PROPOSALS + 1))]
    if random.random() < 0.5:
        counts = [int(random.integers(0, FEW)) for _ in counts]
    few, many = counts if random.random() < 0.7 else counts[::-1]
    target = _ids(random, size, _choice(random, range(1, PROPOSALS + 1), few))
    pred = _prediction(random, target, _choice(random, range(1, PROPOSALS + 1), many))
    partial = bool(random.random() < 0.3)
    if partial:
        pred[random.random(pred.shape) < random.choice([0.1, 0.5, 1.0], p=[0.5, 0.45, 0.05])] = VOID
    labelled = _labelled(random, size[0]) if sparse else tuple(range(size[0]))
    return Case(name, pred, _with_void(random, target), labelled, partial)


def frames(name: str, random: np.random.Generator) -> Case:
    size = _size(random, least=2)
    target = _ids(random, size, _choice(random, range(1, PROPOSALS + 1), int(random.integers(0, 4))))
    pred = _prediction(random, target, range(1, PROPOSALS + 1))
    return Case(name, pred, _with_void(random, target), _labelled(random, size[0], least=2))


def detections(name: str, random: np.random.Generator, crowds: bool = False) -> Case:
    size = _size(random, least=2)
    target = _ids(random, size, _choice(random, range(1, PROPOSALS + 1), int(random.integers(0, 6))))
    found = tuple(tuple(_found(random, frame) for _ in range(_count(random))) for frame in target)
    ids = [int(i) for i in np.unique(target) if i]
    crowded = tuple(i for i in ids if crowds and random.random() < 0.3)
    labelled = tuple(range(size[0]))
    return Case(name, np.zeros_like(target), _with_void(random, target), labelled, False, found, crowded)


MAKERS: dict[str, Callable[[str, np.random.Generator], Case]] = {
    "davis16-map50-crowds": partial(detections, crowds=True),
    "davis16-map50": detections,
    "davis16": davis16,
    "davis17-semi": semi_supervised,
    "davis17-unsupervised": unsupervised,
    "davis17-proposed": partial(volumes, sparse=False),
    "fbms": volumes,
    "": frames,
}
"""What the name of a protocol begins with -> its kind of video; the first that fits."""


def _size(random: np.random.Generator, least: int) -> tuple[int, int, int]:
    """Frames, height and width: mostly small, some with a side of a pixel or two, some with radius 2 or 3."""
    side = random.choice([3, 40, 260], p=[0.05, 0.9, 0.05])
    height, width = (int(random.integers(1 if side == 3 else side // 5, side + 1)) for _ in range(2))
    return int(random.integers(least, 5 if side > 40 else 9)), height, width


def _choice(random: np.random.Generator, values: Sequence[int], count: int) -> list[int]:
    return [int(value) for value in random.choice(values, min(count, len(values)), replace=False)]


def _labelled(random: np.random.Generator, length: int, least: int = 1) -> tuple[int, ...]:
    return tuple(sorted(_choice(random, range(length), int(random.integers(least, length + 1)))))


def _count(random: np.random.Generator) -> int:
    return int(random.choice([int(random.integers(0, 7)), 120], p=[0.98, 0.02]))


def _objects(random: np.random.Generator, size: tuple[int, int, int]) -> tuple[Ids, int]:
    """Objects of DAVIS 2017: the largest id of frame 0 is the number of objects, some may be absent."""
    objects = int(random.integers(1, 6 if random.random() < 0.9 else PROPOSALS + 1))
    target = _ids(random, size, [i for i in range(1, objects + 1) if random.random() < 0.8])
    if random.random() < 0.2:
        # ids that only come later belong to no object
        later = _ids(random, size, [objects + 1, objects + 3])
        target[1:] = np.where(later[1:] > 0, later[1:], target[1:])
    target[0, random.integers(size[1]), random.integers(size[2])] = objects
    return target, objects


def _ids(random: np.random.Generator, size: tuple[int, int, int], ids: Sequence[int]) -> Ids:
    """Shapes that move, appear and leave; later shapes cover earlier ones."""
    out = np.zeros(size, np.uint8)
    length, sides = size[0], np.array(size[1:])
    for number in random.permutation(np.array(ids, np.uint8)):
        kind = random.choice(SHAPES, p=[0.35, 0.3, 0.1, 0.1, 0.1, 0.05])
        first, last = sorted(random.integers(0, length, 2)) if random.random() < 0.5 else (0, length - 1)
        start, step = random.uniform(0, sides), random.normal(0, 2, 2)
        extent = random.uniform(0.5, np.maximum(sides / 2, 1))
        for t in range(first, last + 1):
            if random.random() < 0.9:
                out[t][_shape(random, kind, size[1:], start + t * step, extent)] = number
    return out


def _shape(
    random: np.random.Generator,
    kind: str,
    sides: tuple[int, int],
    at: NDArray[np.float64],
    extent: NDArray[np.float64],
) -> Masks:
    y, x = np.indices(sides)
    down, right = (y - at[0]) / extent[0], (x - at[1]) / extent[1]
    masks: dict[str, Callable[[], Masks]] = {
        "box": lambda: (abs(down) <= 1) & (abs(right) <= 1),
        "disc": lambda: down**2 + right**2 <= 1,
        "noise": lambda: random.random(sides) < 0.3,
        "pixel": lambda: (y == at[0] // 1 % sides[0]) & (x == at[1] // 1 % sides[1]),
        "border": lambda: (y == 0) | (x == sides[1] - 1) if at[0] < at[1] else (y == sides[0] - 1) | (x == 0),
        "full": lambda: np.ones(sides, bool),
    }
    return masks[kind]()


def _prediction(
    random: np.random.Generator, target: Ids, allowed: Sequence[int], keep_ids: bool = False
) -> Ids:
    """Prediction of `allowed` ids only: near the truth, apart from it, empty or full."""
    known = [int(i) for i in np.unique(target) if i]
    kind = random.choice(["near", "same", "other", "empty", "full"], p=[0.5, 0.1, 0.3, 0.05, 0.05])
    if kind in ("empty", "full") or not allowed:
        return np.full_like(target, random.choice(allowed) if kind == "full" and allowed else 0)
    if kind == "other":
        return _ids(random, target.shape, _choice(random, allowed, int(random.integers(1, 8))))
    # its own id for every object, with gaps, or none at all
    names = [i if i in allowed else 0 for i in known] if keep_ids else _choice(random, allowed, len(known))
    id_of = np.zeros(256, np.uint8)
    for old, new in itertools.zip_longest(known, names[: len(known)], fillvalue=0):
        id_of[old] = new
    pred = id_of[target]
    if kind == "same":
        return pred
    pred = np.roll(pred, random.integers(-2, 3, 2), (1, 2))
    noise = random.random(pred.shape) < random.choice([0, 0.02, 0.2])
    pred[noise] = random.choice([0, *allowed], int(noise.sum()))
    pred[random.random(len(pred)) < 0.1] = 0
    return pred


def _with_void(random: np.random.Generator, target: Ids) -> Ids:
    """Void along objects, as specks, all over a frame, or nowhere."""
    kind = random.choice(["none", "specks", "edges", "frame"], p=[0.4, 0.25, 0.25, 0.1])
    void = np.zeros(target.shape, bool)
    if kind == "specks":
        void = random.random(target.shape) < random.choice([0.02, 0.3])
    if kind == "edges":
        void[:, 1:] |= target[:, 1:] != target[:, :-1]
    if kind == "frame":
        void[random.integers(len(target))] = True
    out = target.copy()
    out[void] = VOID
    # the largest id of frame 0 is the number of objects
    out[0].flat[target[0].argmax()] = target[0].max()
    return out


def _found(random: np.random.Generator, target: Ids) -> Detection:
    ids = [int(i) for i in np.unique(target) if i]
    mask = (
        target == random.choice(ids) if ids and random.random() < 0.7 else random.random(target.shape) < 0.2
    )
    if random.random() < 0.7:
        mask = np.roll(mask, random.integers(-2, 3, 2), (0, 1)) ^ (random.random(mask.shape) < 0.05)
    if random.random() < 0.05:
        mask = np.zeros_like(mask)
    # many of equal score
    score = float(random.choice([0.25, 0.5, 1.0, random.random()]))
    box = tuple(float(v) for v in random.uniform(0, 20, 4)) if random.random() < 0.2 else None
    return Detection(mask, score, box)  # type: ignore[arg-type]
