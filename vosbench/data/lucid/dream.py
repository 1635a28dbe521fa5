"""Lucid dreaming: new frames with exact masks from one annotated frame.

Khoreva, Benenson, Ilg, Brox, Schiele, "Lucid Data Dreaming for Video Object Segmentation", IJCV 2019,
in the form of STCNN's online stage (Xu et al., "Spatiotemporal CNN for Video Object Segmentation",
CVPR 2019, section 3.3, and its released code): illumination, split of objects and background, motion of
the objects, motion of the camera, merging.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from vosbench.data.lucid.inpaint import fill
from vosbench.data.lucid.layers import Layer, cut_out, paste
from vosbench.data.lucid.motion import Course, DreamScene, plan
from vosbench.data.lucid.settings import LucidSettings
from vosbench.data.lucid.warp import (
    Affine,
    Points,
    Window,
    chain,
    displacement,
    inverse,
    knot_step,
    transform,
)
from vosbench.video import VOID, FlowField, Frame, IdMap


@dataclass(frozen=True)
class Dream:
    """Synthetic short video.

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
            steps = zip(shots, pairwise(times.tolist()), strict=False)
            fields = np.stack([self._flow(scene, owners, *step) for (_, _, owners), step in steps])
        return Dream(np.stack([shot[0] for shot in shots]), np.stack([shot[1] for shot in shots]), fields)

    def _around(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        side = 2 * self._settings.grow + 1
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
        return np.asarray(cv2.dilate(mask.astype(np.uint8), kernel) > 0)

    def _stage(self, scene: DreamScene) -> _DreamLayers:
        """Make what lies behind the moved objects."""
        removed = [self._layers[k].id for k in (*scene.moved, *scene.removed)]
        gone = np.isin(self._ids, removed)
        picture = np.where(self._around(gone)[..., None], self._filled, self._frame)
        # Neighbours that stay lose nothing to the border of what goes.
        staying = (self._ids != 0) & (self._ids != VOID) & ~gone
        picture[staying] = self._frame[staying]
        labels = np.where(gone, np.uint8(0), self._ids)
        if scene.mirrored:
            picture, labels = picture[:, ::-1], labels[:, ::-1]
        for tone in (scene.background_tone, scene.tone):
            picture = tone(np.ascontiguousarray(picture))
        unchanged = not (scene.mirrored or scene.removed or scene.background_tone.changes)
        moved = {k: self._layers[k] for k in scene.moved}
        layers = {k: replace(layer, colours=scene.tone(layer.colours)) for k, layer in moved.items()}
        return _DreamLayers(
            picture, np.ascontiguousarray(labels), layers, scene.tone(self._frame) if unchanged else None
        )

    def _shot(
        self, scene: DreamScene, stage: _DreamLayers, time: float
    ) -> tuple[Frame, IdMap, NDArray[np.uint8]]:
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

    def _flow(self, scene: DreamScene, owners: NDArray[np.uint8], now: float, then: float) -> FlowField:
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
class _DreamLayers:
    picture: Frame
    labels: IdMap
    layers: dict[int, Layer]
    original: Frame | None
    """The given frame in the light of the dream, where the background is the given one."""


def _seen(picture: Frame, labels: IdMap, camera: Affine) -> tuple[Frame, IdMap]:
    """Return background and ids as a camera sees them, mirrored beyond the border."""
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
