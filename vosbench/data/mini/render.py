"""Ray casting of a scene: colours, depth, and exact motion of every visible surface point."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from vosbench.data.mini.camera import Camera, Matrix
from vosbench.data.mini.primitives import ROOM, intersect, normals
from vosbench.data.mini.scene import MiniScene, Part
from vosbench.video import FlowField, Frame, IdMap

Float = NDArray[np.float32]

MOVING_TOLERANCE = 1e-3
"""A surface point moves when it is displaced by more than this share of its depth."""


@dataclass(frozen=True)
class SurfaceMotion:
    """Motion of the visible surface points.

    Attributes:
        flow: (2, H, W) float32 pixels.
        depth: (H, W) float32 depth of the same points at the other time, in its camera.
        moving: (H, W) bool, the point moves in the world (`MOVING_TOLERANCE`).
    """

    flow: FlowField
    depth: Float
    moving: NDArray[np.bool_]


class RenderedView:
    """A scene seen by one camera at one frame.

    Args:
        scene: what to look at.
        frame: frame number.
        camera: the viewing camera.

    Attributes:
        depth: (H, W) float32 depth along the viewing axis, world units.
        part: (H, W) number of the visible primitive.
        point: (3, H, W) float32 surface point in that primitive's own coordinates.
    """

    def __init__(self, scene: MiniScene, frame: float, camera: Camera) -> None:
        self.scene = scene
        self.frame = frame
        self.camera = camera
        self.parts = [part for body in scene.bodies for part in body.parts]
        self.body_of_part = np.repeat(np.arange(len(scene.bodies)), [len(b.parts) for b in scene.bodies])
        self.to_world = scene.to_world(frame)
        height, width = camera.size
        self.depth = np.full((height, width), np.inf, np.float32)
        self.part = np.zeros((height, width), np.intp)
        self.point = np.zeros((3, height, width), np.float32)
        for number, part in enumerate(self.parts):
            self._draw(number, part)

    def _draw(self, number: int, part: Part) -> None:
        """Intersect one primitive with the rays that can meet it and keep the nearer surface."""
        window = self._window(part, self.to_world[number])
        if window is None:
            return
        rows, columns = window
        inverse = np.linalg.inv(self.to_world[number])
        pose = inverse @ self.camera.to_world
        origin = pose[:3, 3].astype(np.float32)
        cx, cy = self.camera.centre
        x = (np.arange(columns.start, columns.stop) - cx) / self.camera.focal
        y = (cy - np.arange(rows.start, rows.stop)) / self.camera.focal
        across = (pose[:3, :1] * x).astype(np.float32)
        down = (pose[:3, 1:2] * y - pose[:3, 2:3]).astype(np.float32)
        rays = (
            down[0][:, None] + across[0],
            down[1][:, None] + across[1],
            down[2][:, None] + across[2],
        )
        distance = intersect(part.shape, origin, rays)
        nearest = self.depth[window]
        hit = distance < nearest
        if not hit.any():
            return
        nearest[hit] = distance[hit]
        self.part[window][hit] = number
        for axis in range(3):
            self.point[axis][window][hit] = origin[axis] + distance[hit] * rays[axis][hit]

    def _window(self, part: Part, matrix: Matrix) -> tuple[slice, slice] | None:
        """Rows and columns that the primitive can cover, or None."""
        height, width = self.camera.size
        whole = slice(0, height), slice(0, width)
        if part.shape == ROOM:
            return whole
        projected = self.camera.projection() @ matrix @ _CORNERS
        if (projected[2] <= 0).all():
            return None
        if (projected[2] <= 1e-3).any():
            return whole
        x, y = projected[:2] / projected[2]
        left, right = max(int(np.floor(x.min())), 0), min(int(np.ceil(x.max())) + 1, width)
        top, bottom = max(int(np.floor(y.min())), 0), min(int(np.ceil(y.max())) + 1, height)
        if left >= right or top >= bottom:
            return None
        return slice(top, bottom), slice(left, right)

    @property
    def ids(self) -> IdMap:
        """(H, W) uint8 instance ids, 0 for the room."""
        return self.body_of_part[self.part].astype(np.uint8)

    def annotation(self) -> NDArray[np.bool_]:
        """(H, W) bool, a main object of the scene is visible."""
        annotated = np.array([body.annotated for body in self.scene.bodies])
        return np.asarray(annotated[self.body_of_part[self.part]])

    def motion(self, frame: float, camera: Camera) -> SurfaceMotion:
        """Follow the visible surface points to another frame, seen by `camera` there."""
        there = self.scene.to_world(frame)
        projection = camera.projection() @ there
        x, y, depth = self._transform(projection)
        depth = np.maximum(depth, np.float32(1e-3))
        rows, columns = np.indices(camera.size, dtype=np.float32)
        flow = np.stack([x / depth - columns, y / depth - rows])
        # Rounding must not leave a trace where neither the camera nor the surface moved.
        still = (projection == self.camera.projection() @ self.to_world).all(axis=(1, 2))
        flow[:, still[self.part]] = 0
        shift = self._transform(there[:, :3] - self.to_world[:, :3])
        moving = (shift**2).sum(axis=0) > (MOVING_TOLERANCE * self.depth) ** 2
        return SurfaceMotion(flow, depth, moving)

    def _transform(self, matrices: Matrix) -> Float:
        """Apply the (P, 3, 4) matrix of each pixel's primitive to its surface point: (3, H, W)."""
        of_pixel = matrices.astype(np.float32).reshape(len(self.parts), 12).T[:, self.part]
        of_pixel = of_pixel.reshape(3, 4, *self.part.shape)
        return np.asarray(np.einsum("ijhw,jhw->ihw", of_pixel[:, :3], self.point) + of_pixel[:, 3])

    def rgb(self) -> Frame:
        """Return the (H, W, 3) uint8 picture."""
        shapes = np.array([part.shape for part in self.parts], np.int8)[self.part]
        normal = normals(shapes, self.point)
        skins = [part.skin for part in self.parts]
        # Lengths at time 0: a body that stretches takes its texture along.
        extent = np.linalg.norm(self.scene.to_world(-self.scene.origin)[:, :3, :3], axis=1)
        texels = extent * np.array([[skin.density] for skin in skins])
        coordinates = self.point * texels.T.astype(np.float32)[:, self.part]
        face = np.abs(normal).argmax(axis=0)
        offset = np.array([skin.offset for skin in skins]).T.astype(np.float32)[:, self.part]
        u = np.where(face == 0, coordinates[2], coordinates[0]) + offset[0]
        v = np.where(face == 1, coordinates[2], coordinates[1]) + offset[1]

        inverse = np.asarray(np.linalg.inv(self.to_world)[:, :3, :3].transpose(0, 2, 1), np.float64)
        world = self._rotate(inverse, normal)
        world /= np.sqrt((world**2).sum(axis=0))
        facing = np.clip(np.abs(self._cosine(world)), 0.15, 1)
        density = np.array([skin.density for skin in skins], np.float32)[self.part]
        footprint = self.depth / np.float32(self.camera.focal) * density / np.sqrt(facing)
        texture = np.array([skin.texture for skin in skins], np.float32)[self.part]
        colour = self.scene.atlas.sample(texture, u, v, footprint)

        tint = np.array([skin.tint for skin in skins], np.float32)[self.part]
        light = np.tensordot(self.scene.light.astype(np.float32), world, axes=1)
        light = np.where(shapes == ROOM, -light, light)
        ambient = np.float32(self.scene.ambient)
        shade = ambient + (1 - ambient) * (light + 1) / 2
        colour *= tint * shade[..., None]
        # A lens is not a point sampler; this also hides the stairs of the silhouettes.
        colour = np.asarray(cv2.GaussianBlur(colour, (3, 3), 0.5), np.float32)
        return np.clip(np.rint(colour), 0, 255).astype(np.uint8)

    def _rotate(self, matrices: Matrix, vectors: Float) -> Float:
        of_pixel = matrices.astype(np.float32).reshape(len(self.parts), 9).T[:, self.part]
        return np.asarray(np.einsum("ijhw,jhw->ihw", of_pixel.reshape(3, 3, *self.part.shape), vectors))

    def _cosine(self, world_normal: Float) -> Float:
        """Cosine between the viewing rays and world normals (H, W)."""
        height, width = self.camera.size
        cx, cy = self.camera.centre
        x = ((np.arange(width) - cx) / self.camera.focal).astype(np.float32)
        y = ((cy - np.arange(height)) / self.camera.focal).astype(np.float32)
        in_camera = np.tensordot(self.camera.to_world[:3, :3].T.astype(np.float32), world_normal, axes=1)
        length = np.sqrt(x**2 + y[:, None] ** 2 + 1)
        return np.asarray((in_camera[0] * x + in_camera[1] * y[:, None] - in_camera[2]) / length)


_CORNERS: Matrix = np.array([[x, y, z, 1.0] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)]).T
