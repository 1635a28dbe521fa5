"""Lucid dreaming: new frames with exact masks from one annotated frame.

Khoreva, Benenson, Ilg, Brox, Schiele, "Lucid Data Dreaming for Video Object Segmentation", IJCV 2019,
in the form of STCNN's online stage (Xu et al., "Spatiotemporal CNN for Video Object Segmentation",
CVPR 2019, section 3.3, and its released code): illumination, split of objects and background, motion of
the objects, motion of the camera, merging.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from vosbench.data.lucid_inpaint import Filling, fill
from vosbench.data.lucid_layers import Layer, cut_out, paste
from vosbench.data.lucid_scene import Course, Scene, plan
from vosbench.data.lucid_warp import (
    Affine,
    Points,
    Window,
    chain,
    displacement,
    inverse,
    knot_step,
    transform,
)
from vosbench.data.video import VOID, FlowField, Frame, IdMap

Range = tuple[float, float]


@dataclass(frozen=True)
class LucidSettings:
    """What a dream may change. Numbers are those of STCNN's released code unless marked.

    Probabilities are per dream: all frames of a pair or clip share what is drawn, and only motion
    differs between them.

    Attributes:
        foreground: ``"some"`` moves a random non-empty subset of the objects, of random size;
            ``"all"`` moves every one. With one object they are the same.
        keep_others: probability that objects that are not moved stay in the background, with their
            ids; otherwise they are removed.
        mirror_background: probability of a background with left and right swapped.
        background_illumination, illumination: probability of other light on the background, and
            after that on everything.
        gain, gamma, offset: ranges of a, b, c in ``a x^b + c`` for saturation and value, x in [0, 1].
        relocate: probability that objects are put at a uniformly random place; 1 in the code.
        object_scale: range of the size of an object.
        object_rotation: degrees, either way; 0 in the code, 30 in Khoreva et al.
        deform: probability of a thin-plate deformation.
        deformation: displacement of its control points, fraction of the object's box.
        control_points: how many of them, on the outline. The code draws them freely; here one comes from
            each of as many sectors, and no deformation is so strong that it folds [ours].
        turn: probability that the whole picture turns, zoomed so that nothing outside is seen.
        view_rotation: degrees, either way; the code draws even numbers and stretches the picture
            slightly, here the zoom keeps the aspect [ours].
        flip: probability that the whole picture is mirrored.
        step_shift: motion of an object from the first frame to the last, fraction of its box.
        step_rotation, step_scale: the same in degrees and as a range; none in the code [ours].
        step_deformation: the same of the control points.
        camera_shift: motion of the background from the first frame to the last, fraction of the frame.
        camera_rotation, camera_scale: the same in degrees and as a range; the code scales x and y
            apart, which no camera does [ours].
        min_visible: least visible part of a moved object in every frame, as far as the frame border
            and, in the first frame, other objects hide it [ours].
        keep_truncated: objects cut by the frame border stay cut by it, so that no straight cut is
            seen inside [ours].
        filling: how the background behind objects is made, see `vosbench.data.lucid_inpaint.fill`; the
            code uses patches, too.
        grow: pixels around an object that are filled as well, where its colours bleed [ours; 2 in
            the code].
        feather: pixels of soft rim of a pasted object; 0 pastes hard. The code clones the rim with
            Poisson's equation; here its colours come from inside the object, so that nothing of the
            old background shows [ours: as clean, and more than ten times as fast as ``cv2.seamlessClone``].
    """

    foreground: Literal["some", "all"] = "some"
    keep_others: float = 0.5
    mirror_background: float = 0.5
    background_illumination: float = 0.5
    illumination: float = 0.5
    gain: Range = (0.97, 1.03)
    gamma: Range = (0.8, 1.2)
    offset: Range = (-0.05, 0.05)
    relocate: float = 1.0
    object_scale: Range = (0.85, 1.15)
    object_rotation: float = 0.0
    deform: float = 0.5
    deformation: float = 0.05
    control_points: int = 5
    turn: float = 0.5
    view_rotation: float = 30.0
    flip: float = 0.5
    step_shift: float = 0.05
    step_rotation: float = 3.0
    step_scale: Range = (0.95, 1.05)
    step_deformation: float = 0.05
    camera_shift: float = 0.05
    camera_rotation: float = 3.0
    camera_scale: Range = (0.95, 1.05)
    min_visible: float = 0.5
    keep_truncated: bool = True
    filling: Filling = "patches"
    grow: int = 4
    feather: float = 1.0

    def __post_init__(self) -> None:
        if self.control_points < 3:
            raise ValueError(f"control_points is {self.control_points}, but a plate bends from 3 on")
        if not 0 < self.min_visible <= 1:
            raise ValueError(f"min_visible is {self.min_visible}, but it is a fraction above 0")


KHOREVA = LucidSettings(
    foreground="all",
    background_illumination=0.0,
    illumination=1.0,
    gain=(0.95, 1.05),
    gamma=(0.7, 1.3),
    offset=(-0.07, 0.07),
    object_rotation=30.0,
    deform=1.0,
    deformation=0.1,
    turn=0.0,
    flip=0.0,
    mirror_background=0.0,
    step_shift=0.1,
    step_rotation=30.0,
    step_scale=(0.85, 1.15),
    step_deformation=0.1,
    camera_shift=0.1,
    camera_rotation=30.0,
    camera_scale=(0.85, 1.15),
)
"""The ranges of Khoreva et al., section 4: larger motion, no mirroring."""

IDENTITY = LucidSettings(
    foreground="all",
    mirror_background=0.0,
    background_illumination=0.0,
    illumination=0.0,
    relocate=0.0,
    object_scale=(1.0, 1.0),
    deform=0.0,
    turn=0.0,
    flip=0.0,
    step_shift=0.0,
    step_rotation=0.0,
    step_scale=(1.0, 1.0),
    step_deformation=0.0,
    camera_shift=0.0,
    camera_rotation=0.0,
    camera_scale=(1.0, 1.0),
)
"""Every frame is the given one; a base for settings that change one thing."""


@dataclass(frozen=True)
class Dream:
    """A short video that never was.

    Attributes:
        frames: (T, H, W, 3) uint8 RGB.
        masks: (T, H, W) uint8 ids; void of the given frame stays void where it is seen.
        flow: (T-1, 2, H, W) float32 pixels from each frame to the next, of the layer that is seen
            there, also where it is hidden in the next; None unless asked for.
    """

    frames: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    flow: NDArray[np.float32] | None = None


class Dreamer:
    """Dreams of one annotated frame.

    A dream depends on the frame, the settings, the seed and its index alone: workers that share a
    seed and divide the indices make what one process would make. Nothing global is read or changed.

    Args:
        frame: (H, W, 3) uint8.
        ids: (H, W) uint8, 0 background, 1..254 objects, 255 void.
        settings: what may change.
        seed: of everything that is drawn.

    Raises:
        ValueError: no object in `ids`, or shapes or types that do not fit.
    """

    def __init__(
        self, frame: Frame, ids: IdMap, settings: LucidSettings | None = None, seed: int = 0
    ) -> None:
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise ValueError(f"frame is (H, W, 3) uint8, not {frame.shape} {frame.dtype}")
        if ids.shape != frame.shape[:2] or ids.dtype != np.uint8:
            raise ValueError(f"ids are {frame.shape[:2]} uint8 like the frame, not {ids.shape} {ids.dtype}")
        self._settings = settings or LucidSettings()
        self._seed = seed
        self._frame = frame.copy()
        self._ids = ids.copy()
        objects = [int(value) for value in np.unique(ids) if value not in (0, VOID)]
        if not objects:
            raise ValueError("no object in the ids: lucid dreaming moves the objects of a mask")
        self._layers = [cut_out(frame, ids, value, self._settings.feather) for value in objects]
        hole = self._around(np.isin(ids, objects))
        random = np.random.default_rng([seed, 0])
        self._filled = fill(frame, hole, self._settings.filling, random)
        self._next = 0

    @property
    def background(self) -> Frame:
        """(H, W, 3) uint8, the frame without any object."""
        return self._filled.copy()

    def pair(self, index: int | None = None, *, flow: bool = False) -> Dream:
        """Return two frames, see `clip`."""
        return self.clip(2, index, flow=flow)

    def clip(self, length: int, index: int | None = None, *, flow: bool = False) -> Dream:
        """Return consecutive frames of even motion; the whole clip moves as far as a pair.

        Args:
            length: number of frames; 1 gives the still images of STCNN's online stage.
            index: which dream, from 0; None for the one after the last.
            flow: whether to compute the flow between frames.

        Raises:
            ValueError: `length` is below 1.
        """
        if length < 1:
            raise ValueError(f"a clip has at least 1 frame, not {length}")
        number = self._next if index is None else index
        self._next = number + 1
        random = np.random.default_rng([self._seed, 1, number])
        scene = plan(self._layers, self._ids.shape, self._settings, random)
        stage = self._stage(scene)
        times = np.linspace(0, 1, length) if length > 1 else np.zeros(1)
        shots = [self._shot(scene, stage, float(time)) for time in times]
        fields = None
        if flow and length > 1:
            fields = np.stack(
                [
                    self._flow(scene, shots[k][2], float(times[k]), float(times[k + 1]))
                    for k in range(length - 1)
                ]
            )
        return Dream(np.stack([shot[0] for shot in shots]), np.stack([shot[1] for shot in shots]), fields)

    def _around(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        side = 2 * self._settings.grow + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)

    def _stage(self, scene: Scene) -> _Stage:
        """Make what lies behind the moved objects."""
        removed = [self._layers[k].id for k in (*scene.moved, *scene.removed)]
        gone = np.isin(self._ids, removed)
        picture = np.where(self._around(gone)[..., None], self._filled, self._frame)
        # Neighbours that stay lose nothing to the border of what goes.
        staying = (self._ids != 0) & (self._ids != VOID) & ~gone
        picture[staying] = self._frame[staying]
        labels = np.where(gone, np.uint8(0), self._ids)
        original = self._frame
        if scene.mirrored:
            picture, labels = picture[:, ::-1], labels[:, ::-1]
        for tone in (scene.background_tone, scene.tone):
            picture = tone(np.ascontiguousarray(picture))
        unchanged = not (scene.mirrored or scene.removed or scene.background_tone.changes)
        layers = {k: self._layers[k].toned(scene.tone) for k in scene.moved}
        return _Stage(
            picture, np.ascontiguousarray(labels), layers, scene.tone(original) if unchanged else None
        )

    def _shot(self, scene: Scene, stage: _Stage, time: float) -> tuple[Frame, IdMap, NDArray[np.uint8]]:
        """Return frame, ids, and the layer seen at each pixel: 0 the background, k + 1 object k."""
        camera = scene.camera(time)
        if stage.original is not None and scene.rests(time):
            # What does not move against the background needs no cutting out.
            owners = np.zeros_like(self._ids)
            for k in scene.moved:
                owners[self._ids == self._layers[k].id] = k + 1
            return stage.original.copy(), self._ids.copy(), owners
        picture, labels = _seen(stage.picture, stage.labels, camera)
        owners = np.zeros_like(labels)
        for k in scene.moved:
            paste(picture, labels, owners, stage.layers[k], scene.courses[k].warp(time), k + 1)
        return picture, labels, owners

    def _flow(self, scene: Scene, owners: NDArray[np.uint8], now: float, then: float) -> FlowField:
        height, width = owners.shape
        back = inverse(scene.camera(now))
        motion = chain(scene.camera(then), back)
        frame = Window(0, 0, height, width)
        field = displacement(lambda points: transform(motion, points), frame, 16)
        for k in scene.moved:
            seen = owners == k + 1
            if not seen.any():
                continue
            x, y, box_width, box_height = cv2.boundingRect(seen.astype(np.uint8))
            window = Window(y, x, box_height, box_width)
            own = displacement(_carry(scene.courses[k], now, then), window, knot_step(window))
            part = seen[window.slices]
            field[window.slices][part] = own[part]
        return np.ascontiguousarray(field.transpose(2, 0, 1))


@dataclass(frozen=True)
class _Stage:
    picture: Frame
    labels: IdMap
    layers: dict[int, Layer]
    original: Frame | None
    """The given frame in the light of the dream, where the background is the given one."""


def _seen(picture: Frame, labels: IdMap, camera: Affine) -> tuple[Frame, IdMap]:
    """Look at the background with a camera; beyond its border it is mirrored, with its ids."""
    height, width = labels.shape
    # OpenCV never returns from mirroring at a side of one pixel.
    border = cv2.BORDER_REFLECT_101 if min(height, width) > 1 else cv2.BORDER_REPLICATE
    moved = cv2.warpAffine(picture, camera, (width, height), flags=cv2.INTER_CUBIC, borderMode=border)
    ids = cv2.warpAffine(labels, camera, (width, height), flags=cv2.INTER_NEAREST, borderMode=border)
    return np.asarray(moved), np.asarray(ids)


def _carry(course: Course, now: float, then: float) -> Callable[[Points], Points]:
    """Return the motion of image points of an object from one time to another."""
    first, second = course.warp(now), course.warp(then)
    return lambda points: second.to_image(first.to_source(points))
