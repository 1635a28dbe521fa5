"""Scenes: bodies (groups of primitives that share an id), their motion, the camera."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property

import numpy as np

from vosbench.data.mini.camera import (
    Camera,
    Matrix,
    MotionPath,
    Rig,
    Vector,
    rotation,
    scaling,
    translation,
)
from vosbench.data.mini.textures import Atlas

TEXTURES = 8
"""Textures per scene."""


class Behaviour(StrEnum):
    """Motion of a body in the world."""

    STATIC = "static"
    MOVING = "moving"
    STOP_AND_GO = "stop_and_go"


@dataclass(frozen=True)
class Skin:
    """Appearance of a primitive.

    Attributes:
        texture: number in the atlas.
        tint: (3,) factor on the colour.
        density: texels per world unit.
        offset: (2,) texels.
    """

    texture: int
    tint: Vector
    density: float
    offset: Vector


@dataclass(frozen=True)
class Swing:
    """A joint that swings to and fro.

    Attributes:
        deflection: (3,) rotation vector of the largest deflection.
        frequency: swings per frame.
        phase: radians.
    """

    deflection: Vector = field(default_factory=lambda: np.zeros(3))
    frequency: float = 0.0
    phase: float = 0.0

    def at(self, time: float) -> Matrix:
        """Return the (4, 4) rotation at `time`."""
        return rotation(self.deflection * np.sin(2 * np.pi * self.frequency * time + self.phase))


@dataclass(frozen=True)
class Part:
    """A primitive in its body: stretched, moved by `offset`, then swung about a joint.

    Attributes:
        shape: see `vosbench.data.mini.primitives`.
        size: (3,) half extents in body units.
        skin: appearance.
        offset: (3,) centre relative to the joint.
        joint: (3,) joint in body coordinates.
        tilt: (3,) fixed rotation vector of the part about its joint.
        swing: how it swings about its joint.
        spin: (3,) rotation vector per frame, for wheels.
    """

    shape: int
    size: Vector
    skin: Skin
    offset: Vector = field(default_factory=lambda: np.zeros(3))
    joint: Vector = field(default_factory=lambda: np.zeros(3))
    tilt: Vector = field(default_factory=lambda: np.zeros(3))
    swing: Swing = field(default_factory=Swing)
    spin: Vector = field(default_factory=lambda: np.zeros(3))

    def to_body(self, time: float) -> Matrix:
        """Return the (4, 4) matrix from the unit shape to body coordinates at `time`."""
        turn = self.swing.at(time) @ rotation(self.tilt) @ rotation(self.spin * time)
        return np.asarray(translation(self.joint) @ turn @ translation(self.offset) @ scaling(self.size))


@dataclass(frozen=True)
class Body:
    """Parts that share one instance id and one pose.

    Attributes:
        parts: the primitives.
        position: (3,) world position at time 0.
        scale: world units per body unit.
        yaw: heading at time 0, radians about the vertical.
        path: movement in the world.
        spin: (3,) rotation vector per frame, world axes.
        stretch: (3,) logarithm of the largest stretch along the body axes.
        stretch_frequency: cycles per frame.
        behaviour: static, moving, or moving with a pause.
        pause: first and last time of the pause of a stop-and-go body.
        annotated: whether it is a main object of the scene.
        kind: what it is, a name in `vosbench.data.mini.bodies`; empty when it does not matter.
    """

    parts: tuple[Part, ...]
    position: Vector
    scale: float = 1.0
    yaw: float = 0.0
    path: MotionPath = field(default_factory=MotionPath)
    spin: Vector = field(default_factory=lambda: np.zeros(3))
    stretch: Vector = field(default_factory=lambda: np.zeros(3))
    stretch_frequency: float = 0.0
    behaviour: Behaviour = Behaviour.STATIC
    pause: tuple[float, float] = (0.0, 0.0)
    annotated: bool = False
    kind: str = ""

    def own_time(self, time: float) -> float:
        """Return the body's clock: it stands still for a static body and during a pause."""
        if self.behaviour is Behaviour.STATIC:
            return 0.0
        if self.behaviour is Behaviour.MOVING:
            return time
        start, end = self.pause
        return min(time, start) + max(time - end, 0.0)

    def to_world(self, time: float) -> list[Matrix]:
        """Return one (4, 4) matrix per part, from the unit shape to the world, at `time`."""
        clock = self.own_time(time)
        wave = np.sin(2 * np.pi * self.stretch_frequency * clock)
        pose = (
            translation(self.position + self.path(clock))
            @ rotation(self.spin * clock)
            @ rotation(np.array([0.0, self.yaw, 0.0]))
            @ scaling(self.scale * np.exp(self.stretch * wave))
        )
        return [pose @ part.to_body(clock) for part in self.parts]


@dataclass(frozen=True)
class MiniScene:
    """Bodies, textures and a camera; body number k has instance id k, the first is the room (id 0).

    Attributes:
        bodies: the room first.
        texture_seed: seed of the textures, which are made when first needed.
        rig: camera motion.
        focal_ratio: focal length / image width.
        light: (3,) direction towards the light, unit length.
        ambient: share of the light that reaches every surface, 1 turns shading off.
        origin: time of frame 0; motions are zero at time 0.
    """

    bodies: tuple[Body, ...]
    texture_seed: int
    rig: Rig
    focal_ratio: float
    light: Vector = field(default_factory=lambda: np.array([0.0, 1.0, 0.0]))
    ambient: float = 0.6
    origin: float = 0.0

    @cached_property
    def atlas(self) -> Atlas:
        """The textures."""
        rng = np.random.Generator(np.random.PCG64(self.texture_seed))
        return Atlas.random(rng, TEXTURES)

    def camera(self, frame: float, size: tuple[int, int]) -> Camera:
        """Return the (left) camera at `frame` for an image of `size` (H, W)."""
        return Camera(self.rig.pose(frame + self.origin), self.focal_ratio * size[1], size)

    def to_world(self, frame: float) -> Matrix:
        """Return (P, 4, 4): the matrix of every part of every body at `frame`."""
        time = frame + self.origin
        return np.array([matrix for body in self.bodies for matrix in body.to_world(time)])
