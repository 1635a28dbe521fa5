"""A pinhole camera and the smooth paths that cameras and bodies follow.

Axes are Blender's, as in the camera files of FlyingThings3D: x to the right, y up, the camera looks
along -z. Depth is the distance along the viewing axis, so it is positive in front of the camera.
Pixel (0, 0) is the centre of the top left pixel; the principal point is the middle of the image,
``((W - 1) / 2, (H - 1) / 2)``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]


def translation(offset: Vector) -> Matrix:
    """Return the 4x4 matrix that moves points by `offset` (3,)."""
    matrix = np.eye(4)
    matrix[:3, 3] = offset
    return matrix


def scaling(factors: Vector) -> Matrix:
    """Return the 4x4 matrix that stretches points by `factors` (3,)."""
    return np.diag(np.append(factors, 1.0))


def rotation(vector: Vector) -> Matrix:
    """Return the 4x4 rotation by ``|vector|`` radians about the direction of `vector` (3,)."""
    angle = float(np.linalg.norm(vector))
    matrix = np.eye(4)
    if angle == 0.0:
        return matrix
    x, y, z = vector / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    matrix[:3, :3] += np.sin(angle) * cross + (1.0 - np.cos(angle)) * cross @ cross
    return matrix


@dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Attributes:
        to_world: (4, 4) camera-to-world matrix.
        focal: focal length in pixels.
        size: image height and width in pixels.
    """

    to_world: Matrix
    focal: float
    size: tuple[int, int]

    @property
    def centre(self) -> tuple[float, float]:
        """Principal point (x, y) in pixels."""
        return (self.size[1] - 1) / 2, (self.size[0] - 1) / 2

    def projection(self) -> Matrix:
        """Return the (3, 4) matrix taking world points to (x * depth, y * depth, depth)."""
        cx, cy = self.centre
        intrinsic = np.array([[self.focal, 0.0, -cx], [0.0, -self.focal, -cy], [0.0, 0.0, -1.0]])
        return np.asarray(intrinsic @ np.linalg.inv(self.to_world)[:3])

    def shifted(self, right: float) -> Camera:
        """Return the same camera moved by `right` along its own x axis (the other stereo eye)."""
        return Camera(self.to_world @ translation(np.array([right, 0.0, 0.0])), self.focal, self.size)


@dataclass(frozen=True)
class MotionPath:
    """A smooth vector function of time that is zero at time 0.

    Attributes:
        velocity: (3,) per frame.
        acceleration: (3,) per frame squared.
        amplitude: (K, 3) of the sinusoids that are added.
        frequency: (K,) cycles per frame.
        phase: (K,) radians.
    """

    velocity: Vector = field(default_factory=lambda: np.zeros(3))
    acceleration: Vector = field(default_factory=lambda: np.zeros(3))
    amplitude: Matrix = field(default_factory=lambda: np.zeros((0, 3)))
    frequency: Vector = field(default_factory=lambda: np.zeros(0))
    phase: Vector = field(default_factory=lambda: np.zeros(0))

    def __call__(self, time: float) -> Vector:
        """Return the (3,) value at `time` in frames."""
        wave = np.sin(2 * np.pi * self.frequency * time + self.phase) - np.sin(self.phase)
        return np.asarray(self.velocity * time + self.acceleration * time**2 / 2 + wave @ self.amplitude)


@dataclass(frozen=True)
class Rig:
    """Motion of the camera: pose at time 0, path, rotation path and the followed body.

    Attributes:
        start: (4, 4) camera-to-world matrix at time 0.
        travel: position path in world units.
        turn: rotation-vector path in radians, in camera axes.
        followed: path of the body that the camera follows, or None.
        follow: share of that path which the camera travels along.
        aim: share of the angle to `target` by which the camera turns to keep it in place.
        target: world point that `aim` looks at (its position at time 0).
        target_moves: whether that point moves along `followed`.
    """

    start: Matrix
    travel: MotionPath = field(default_factory=MotionPath)
    turn: MotionPath = field(default_factory=MotionPath)
    followed: MotionPath | None = None
    follow: float = 0.0
    aim: float = 0.0
    target: Vector = field(default_factory=lambda: np.array([0.0, 0.0, -1.0]))
    target_moves: bool = False

    def pose(self, time: float) -> Matrix:
        """Return the (4, 4) camera-to-world matrix at `time` in frames."""
        offset = self.travel(time)
        target = self.target
        if self.followed is not None:
            followed = self.followed(time)
            offset = offset + self.follow * followed
            target = target + followed * self.target_moves
        pose = translation(offset) @ self.start
        if self.aim:
            pose = pose @ self._aiming(pose, target)
        return np.asarray(pose @ rotation(self.turn(time)))

    def _aiming(self, pose: Matrix, target: Vector) -> Matrix:
        """Rotation that brings the target back to the direction it was seen in at time 0."""
        before = _unit((np.linalg.inv(self.start) @ np.append(self.target, 1.0))[:3])
        now = _unit((np.linalg.inv(pose) @ np.append(target, 1.0))[:3])
        axis = np.cross(before, now)
        sine = float(np.linalg.norm(axis))
        if sine < 1e-12:
            return np.eye(4)
        angle = np.arctan2(sine, float(before @ now))
        return rotation(axis / sine * angle * self.aim)


def _unit(vector: Vector) -> Vector:
    return np.asarray(vector / np.linalg.norm(vector))
