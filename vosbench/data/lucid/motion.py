"""Motion in a dream: moving objects, their paths, the camera."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vosbench.data.lucid.layers import Curve, Layer, Tone
from vosbench.data.lucid.settings import LucidSettings, Range
from vosbench.data.lucid.warp import (
    Affine,
    Points,
    Spline,
    Warp,
    about,
    chain,
    inverse,
    still,
    tamed,
    thin_plate,
    transform,
    turning,
)

_TRIES = 10
_TRIES_TRUNCATED = 6
_CHECKED_TIMES = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class SimilarityMotion:
    """A turn and zoom about a point with a shift, complete at time 1.

    Attributes:
        centre: (2,) image point.
        shift: (2,) pixels.
        degrees: turn, clockwise.
        scale: zoom.
    """

    centre: Points
    shift: Points
    degrees: float
    scale: float

    def at(self, time: float) -> Affine:
        """Return the part of the motion until `time` in [0, 1]."""
        linear = turning(self.degrees * time, self.scale**time)
        return about(linear, self.centre, self.centre + self.shift * time)


@dataclass(frozen=True)
class Course:
    """Path of an object over time.

    Attributes:
        first: source to image at time 0.
        motion: what happens to it then.
        bend, last_bend: deformations at time 0 and 1, of the same control points; None for none.
    """

    first: Affine
    motion: SimilarityMotion
    bend: Spline | None = None
    last_bend: Spline | None = None

    def warp(self, time: float) -> Warp:
        """Return where the object is at `time` in [0, 1]."""
        return Warp(chain(self.motion.at(time), self.first), self._bend(time))

    def _bend(self, time: float) -> Spline | None:
        if self.bend is None or self.last_bend is None:
            return None
        weights = (1 - time) * self.bend.weights + time * self.last_bend.weights
        return replace(self.bend, weights=weights) if weights.any() else None


@dataclass(frozen=True)
class DreamScene:
    """Objects, light and camera of one dream.

    Attributes:
        moved: indices of the moved objects, the farthest first.
        removed: indices of those that are taken away.
        courses: index of a moved object -> its course.
        view: source to image of the background at time 0.
        motion: of the camera.
        mirrored: whether the background is mirrored before anything else.
        background_tone, tone: light on the background, and after that on everything.
    """

    moved: tuple[int, ...]
    removed: tuple[int, ...]
    courses: dict[int, Course]
    view: Affine
    motion: SimilarityMotion
    mirrored: bool
    background_tone: Tone
    tone: Tone

    def camera(self, time: float) -> Affine:
        """Return the map from the background to the image at `time`."""
        return chain(self.motion.at(time), self.view)

    def rests(self, time: float) -> bool:
        """Return whether everything is where it was in the given frame."""
        warps = [Warp(self.camera(time)), *(course.warp(time) for course in self.courses.values())]
        return all(warp.spline is None and np.array_equal(warp.affine, still()) for warp in warps)


def plan(
    layers: Sequence[Layer], size: tuple[int, ...], settings: LucidSettings, rng: np.random.Generator
) -> DreamScene:
    """Draw a scene in which every moved object is seen.

    Args:
        layers: the objects.
        size: (H, W) of the frame.
        settings: what may change.
        rng: draws it.
    """
    indices = np.arange(len(layers))
    moved = indices
    if settings.foreground == "some":
        moved = rng.choice(indices, size=rng.integers(1, len(layers) + 1), replace=False)
    order = tuple(int(k) for k in rng.permutation(moved))
    keep = rng.random() < settings.keep_others
    removed = () if keep else tuple(int(k) for k in indices if k not in order)
    mirrored = bool(rng.random() < settings.mirror_background)
    background_tone = _tone(settings, settings.background_illumination, rng)
    tone = _tone(settings, settings.illumination, rng)
    view, views = _placed(layers, order, size, settings, rng)
    motion_of_objects = rng.integers(3)
    courses = {k: _course(layers[k], views[k], size, settings, motion_of_objects != 2, rng) for k in order}
    motion = _camera_motion(size, settings, motion_of_objects != 1, rng)
    return DreamScene(order, removed, courses, view, motion, mirrored, background_tone, tone)


def _tone(settings: LucidSettings, probability: float, rng: np.random.Generator) -> Tone:
    if rng.random() >= probability:
        return Tone()

    def curve() -> Curve:
        return rng.uniform(*settings.gain), rng.uniform(*settings.gamma), rng.uniform(*settings.offset)

    return Tone(curve(), curve())


def _placed(
    layers: Sequence[Layer],
    order: tuple[int, ...],
    size: tuple[int, ...],
    settings: LucidSettings,
    rng: np.random.Generator,
) -> tuple[Affine, dict[int, Affine]]:
    """Draw views of background and objects in which all objects are seen; else the unchanged ones."""
    for attempt in range(_TRIES):
        view = _view(size, settings, rng)
        truncated = settings.keep_truncated and attempt < _TRIES_TRUNCATED
        views = {k: _object_view(layers[k], view, size, settings, truncated, rng) for k in order}
        if _least_seen(layers, order, views, size) >= settings.min_visible:
            return view, views
    return still(), {k: still() for k in order}


def _view(size: tuple[int, ...], settings: LucidSettings, rng: np.random.Generator) -> Affine:
    height, width = size
    degrees = 0.0
    if rng.random() < settings.turn:
        half = int(settings.view_rotation // 2)
        degrees = 2.0 * rng.integers(-half, half + 1)
    sine, cosine = abs(math.sin(math.radians(degrees))), abs(math.cos(math.radians(degrees)))
    zoom = max(cosine + sine * height / width, cosine + sine * width / height)
    linear = turning(degrees, zoom if degrees else 1.0)
    if rng.random() < settings.flip:
        linear = np.diag([-1.0, 1.0]) @ linear
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    return about(linear, centre, centre)


def _object_view(
    layer: Layer,
    view: Affine,
    size: tuple[int, ...],
    settings: LucidSettings,
    truncated: bool,
    rng: np.random.Generator,
) -> Affine:
    scale = rng.uniform(*settings.object_scale)
    degrees = rng.uniform(-settings.object_rotation, settings.object_rotation)
    linear = view[:, :2] @ turning(degrees, scale)
    limit = np.array([size[1] - 1, size[0] - 1])
    outline = layer.outline @ linear.T
    ends = np.stack([-outline.min(axis=0), limit - outline.max(axis=0)])
    shift = transform(view, layer.centre[None])[0] - linear @ layer.centre
    if rng.random() < settings.relocate:
        shift = rng.uniform(ends.min(axis=0), ends.max(axis=0))
    if truncated:
        shift = _to_border(layer, linear, limit, shift)
    return np.hstack([linear, shift[:, None]])


def _to_border(layer: Layer, linear: NDArray[np.float64], limit: NDArray[np.int64], shift: Points) -> Points:
    """Shift so that what the frame border cuts lies on a border again; between two, in the middle."""
    wanted: dict[int, list[float]] = {}
    for edge in layer.edges:
        outward = linear @ edge.outward
        axis = int(np.abs(outward).argmax())
        reached = edge.points @ linear[axis]
        position = -reached.max() if outward[axis] < 0 else limit[axis] - reached.min()
        wanted.setdefault(axis, []).append(float(position))
    shift = shift.copy()
    for axis, positions in wanted.items():
        shift[axis] = sum(positions) / len(positions)
    return shift


def _least_seen(
    layers: Sequence[Layer], order: tuple[int, ...], views: dict[int, Affine], size: tuple[int, ...]
) -> float:
    """Return the smallest visible fraction of an object; later ones hide earlier ones."""
    least = 1.0
    for depth, k in enumerate(order):
        points = transform(views[k], layers[k].samples)
        seen = _inside(points, size)
        for nearer in order[depth + 1 :]:
            seen &= ~layers[nearer].covers(transform(inverse(views[nearer]), points))
        least = min(least, float(seen.mean()))
    return least


def _inside(points: Points, size: tuple[int, ...]) -> NDArray[np.bool_]:
    x, y = points.T
    return np.asarray((x >= 0) & (x <= size[1] - 1) & (y >= 0) & (y <= size[0] - 1))


def _course(
    layer: Layer,
    view: Affine,
    size: tuple[int, ...],
    settings: LucidSettings,
    moves: bool,
    rng: np.random.Generator,
) -> Course:
    box = np.array([layer.box.width, layer.box.height])
    centre = transform(view, layer.centre[None])[0]
    shift = rng.uniform(-1, 1, 2) * settings.step_shift * box
    degrees = rng.uniform(-settings.step_rotation, settings.step_rotation)
    scale = _zoom(settings.step_scale, rng)
    bend, last_bend = _bends(layer, settings, moves, rng)
    rest = SimilarityMotion(centre, np.zeros(2), 0.0, 1.0)
    for sign in (1, -1):
        motion = SimilarityMotion(centre, sign * shift, sign * degrees, scale)
        course = Course(view, motion, bend, last_bend)
        if moves and all(_seen(layer, course, time, size) >= settings.min_visible for time in _CHECKED_TIMES):
            return course
    return Course(view, rest, bend, last_bend)


def _seen(layer: Layer, course: Course, time: float, size: tuple[int, ...]) -> float:
    return float(_inside(transform(course.warp(time).affine, layer.samples), size).mean())


def _zoom(bounds: Range, rng: np.random.Generator) -> float:
    return math.exp(rng.uniform(math.log(bounds[0]), math.log(bounds[1])))


def _bends(
    layer: Layer, settings: LucidSettings, moves: bool, rng: np.random.Generator
) -> tuple[Spline | None, Spline | None]:
    bent = rng.random() < settings.deform
    controls = _controls(layer.outline, settings.control_points, rng)
    drawn = rng.uniform(-1, 1, (2, len(controls), 2))
    if len(controls) < 3:
        return None, None
    box = np.array([layer.box.width, layer.box.height])
    offsets = drawn[0] * settings.deformation * box * bent
    later = offsets + drawn[1] * settings.step_deformation * box * moves
    return tamed(thin_plate(controls, offsets), layer.box), tamed(thin_plate(controls, later), layer.box)


def _controls(outline: Points, count: int, rng: np.random.Generator) -> Points:
    """Draw points of an outline, one from each sector around its middle."""
    x, y = (outline - outline.mean(axis=0)).T
    turn = (np.arctan2(y, x) / (2 * math.pi) + rng.random()) % 1
    sector = np.minimum((turn * count).astype(int), count - 1)
    members = [np.flatnonzero(sector == k) for k in range(count)]
    return outline[[int(rng.choice(indices)) for indices in members if len(indices)]]


def _camera_motion(
    size: tuple[int, ...], settings: LucidSettings, moves: bool, rng: np.random.Generator
) -> SimilarityMotion:
    height, width = size
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    shift = rng.uniform(-1, 1, 2) * settings.camera_shift * np.array([width, height])
    degrees = rng.uniform(-settings.camera_rotation, settings.camera_rotation)
    scale = _zoom(settings.camera_scale, rng)
    return SimilarityMotion(centre, shift * moves, degrees * moves, scale if moves else 1.0)
