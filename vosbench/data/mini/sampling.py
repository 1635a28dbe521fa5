"""Distribution of scenes: standing and moving bodies, and the motion of the camera.

Speeds are drawn in pixels per frame of a 256-pixel-wide image, so that the statistics of optical
flow, which is all that motion networks see, are set directly and hold at every depth and focal length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vosbench.data.mini.bodies import MOVERS, SCENERY, SkinSampler
from vosbench.data.mini.camera import MotionPath, Rig, Vector, rotation
from vosbench.data.mini.primitives import ROOM
from vosbench.data.mini.render import RenderedView
from vosbench.data.mini.scene import TEXTURES, Behaviour, Body, MiniScene, Part
from vosbench.errors import InputError

REFERENCE_WIDTH = 256
GROUNDED = ("biped", "quadruped", "vehicle")

CAMERA_MOTIONS: dict[str, float] = {
    "static": 0.08,
    "handheld": 0.12,
    "pan": 0.12,
    "dolly": 0.10,
    "truck": 0.10,
    "orbit": 0.08,
    "follow": 0.25,
    "aim": 0.15,
}
"""Camera motions and how often a random scene has them. "follow" travels with the main body, "aim"
turns to keep it in place."""


_FOLLOWING = {
    "orbit": ((0.0, 0.0), (0.7, 1.0)),
    "follow": ((0.75, 1.08), (0.0, 0.0)),
    "aim": ((0.0, 0.0), (0.85, 1.0)),
}
"""How closely the camera travels along with and turns to the main body: bounds of `follow` and `aim`."""


@dataclass(frozen=True)
class Recipe:
    """Fixed properties of a scene; None leaves a property to chance.

    Attributes:
        camera: one of `CAMERA_MOTIONS`.
        main: kind of the main body, one of `MOVERS`.
        movers: number of moving bodies, the main one included.
        behaviour: of the main body.
        foreground: number of static things in front of the main body.
        main_height: height of the main body as a share of the image height.
        focal_ratio: focal length / image width.
        speed: of the main body, pixels per frame of an image 256 pixels wide.
    """

    camera: str | None = None
    main: str | None = None
    movers: int | None = None
    behaviour: Behaviour | None = None
    foreground: int | None = None
    main_height: float | None = None
    focal_ratio: float | None = None
    speed: float | None = None


def sample_scene(seed: np.random.SeedSequence, recipe: Recipe, frames: int, aspect: float) -> MiniScene:
    """Draw a scene.

    Args:
        seed: of this scene alone, so that scenes do not depend on each other.
        recipe: fixed properties.
        frames: number of frames that will be rendered; motions are centred on the middle one.
        aspect: image height / width.
    """
    return _Sampler(np.random.Generator(np.random.PCG64(seed)), recipe, frames, aspect).scene()


def sample_visible_scene(
    entropy: tuple[int, ...], recipe: Recipe, frames: int, aspect: float, min_area: float
) -> MiniScene:
    """Draw scenes until the annotated bodies are well in view from the first frame to the last.

    Args:
        entropy: seed of this scene alone.
        recipe: fixed properties.
        frames: number of frames that will be rendered.
        aspect: image height / width.
        min_area: smallest share of the image that they cover, seen in a few probe frames; at most
            half of the image.

    Raises:
        InputError: no scene was found, because the clip is too long.
    """
    size = max(round(64 * aspect), 1), 64
    probes = sorted({0, frames // 2, frames - 1})
    for attempt in range(ATTEMPTS):
        scene = sample_scene(np.random.SeedSequence((*entropy, attempt)), recipe, frames, aspect)
        areas = [RenderedView(scene, f, scene.camera(f, size)).annotation().mean() for f in probes]
        if min(areas) >= min_area and max(areas) <= 0.5:
            return scene
    raise InputError(f"no miniature scene keeps its bodies in view for {frames} frames: ask for fewer frames")


ATTEMPTS = 300
"""Scenes tried before giving up; nineteen in twenty are taken for six frames."""


class _Sampler:
    """State shared while one scene is drawn."""

    def __init__(self, rng: np.random.Generator, recipe: Recipe, frames: int, aspect: float) -> None:
        self.rng = rng
        self.recipe = recipe
        self.frames = frames
        self.aspect = aspect
        self.focal = recipe.focal_ratio or float(np.exp(rng.uniform(np.log(0.7), np.log(1.8))))
        self.pixel = 1 / (self.focal * REFERENCE_WIDTH)
        self.range = float(np.exp(rng.uniform(np.log(9), np.log(28))))
        self.skins = SkinSampler(rng, TEXTURES, self.focal * REFERENCE_WIDTH / self.range)
        kinds = CAMERA_MOTIONS
        self.camera = recipe.camera or str(rng.choice(list(kinds), p=list(kinds.values())))
        pitch = rng.uniform(-0.2, 0.06)
        self.start = rotation(np.array([pitch, 0.0, 0.0]))

    def scene(self) -> MiniScene:
        rng = self.rng
        main = self._main()
        floor = float(main.position[1] - main.scale)
        movers = self.recipe.movers or int(
            rng.choice([1, 2, 3, 4, 5, 6], p=[0.5, 0.22, 0.12, 0.08, 0.05, 0.03])
        )
        bodies = [self._room(floor), main]
        bodies += [self._mover(floor) for _ in range(movers - 1)]
        bodies += self._scenery(floor)
        light = rng.normal(size=3) * 0.6 + np.array([0.0, 1.2, 0.6])
        return MiniScene(
            tuple(bodies),
            int(rng.integers(2**63)),
            self._rig(main),
            self.focal,
            light / np.linalg.norm(light),
            float(rng.uniform(0.45, 0.85)),
            -(self.frames - 1) / 2,
        )

    def _point(self, x: float, y: float, depth: float) -> Vector:
        """World point seen at time 0 at (x, y), shares of the half image width and height."""
        half = 0.5 / self.focal
        ray = np.array([x * half, y * half * self.aspect, -1.0, 0.0])
        return np.asarray((self.start @ (ray * depth))[:3])

    def _half_height(self, share: float, depth: float) -> float:
        """Half the world height of something that covers `share` of the image height at `depth`."""
        return share * self.aspect / self.focal * depth / 2

    def _log_uniform(self, low: float, high: float) -> float:
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def _main(self) -> Body:
        rng = self.rng
        kinds = {
            "single": 0.2,
            "cluster": 0.15,
            "biped": 0.22,
            "quadruped": 0.2,
            "vehicle": 0.13,
            "bird": 0.1,
        }
        kind = self.recipe.main or str(rng.choice(list(kinds), p=list(kinds.values())))
        share = self.recipe.main_height or self._log_uniform(0.22, 1.15)
        at = self._point(rng.normal() * 0.35, rng.normal() * 0.2 - 0.1, self.range)
        behaviour = self.recipe.behaviour or Behaviour(
            str(rng.choice(["moving", "stop_and_go"], p=[0.9, 0.1]))
        )
        # A camera that follows hides the body's own speed, so that speed may be higher.
        followed = self.camera in ("follow", "aim")
        speed = self.recipe.speed or (self._log_uniform(1.5, 15) if followed else self._log_uniform(0.4, 7))
        return self._moving(kind, at, self._half_height(share, self.range), behaviour, speed)

    def _mover(self, floor: float) -> Body:
        rng = self.rng
        kind = str(rng.choice(list(MOVERS)))
        depth = self.range * self._log_uniform(0.7, 1.8)
        half = self._half_height(self._log_uniform(0.12, 0.6), depth)
        at = self._point(rng.uniform(-1, 1), rng.uniform(-1, 1), depth)
        if kind in GROUNDED:
            at[1] = floor + half
        behaviour = Behaviour(str(rng.choice(["moving", "stop_and_go"], p=[0.85, 0.15])))
        return self._moving(kind, at, half, behaviour, self._log_uniform(0.4, 7))

    def _moving(self, kind: str, at: Vector, half: float, behaviour: Behaviour, pixels: float) -> Body:
        """A body of `kind` that moves by about `pixels` per frame as seen across the line of sight."""
        rng = self.rng
        grounded = kind in GROUNDED
        depth = float(np.linalg.norm(at))
        speed = pixels * self.pixel * depth
        heading = rng.normal() * 0.7 + rng.choice([0.0, np.pi])
        direction = np.array([np.cos(heading), 0.0, -np.sin(heading) * 0.7])
        if not grounded:
            direction[1] = rng.normal() * 0.5
        wobble = rng.normal(size=(2, 3)) * speed * np.array([[0.9], [0.4]]) * (0.3 if grounded else 1.0)
        path = MotionPath(
            direction * speed,
            rng.normal(size=3) * speed * 0.05 * np.array([1, 0 if grounded else 1, 1]),
            wobble * np.array([1, 0.5, 1]),
            rng.uniform(0.03, 0.2, 2),
            rng.uniform(0, 2 * np.pi, 2),
        )
        spin = np.zeros(3)
        if not grounded and rng.random() < 0.6:
            spin = rng.normal(size=3) * self._log_uniform(0.01, 0.12)
        stretch = np.zeros(3)
        if kind in ("single", "cluster") and rng.random() < 0.35:
            # Squash and stretch at nearly constant volume.
            squash = rng.uniform(0.1, 0.4)
            stretch = squash * rng.permutation([1.0, -0.5, -0.5])
        middle = rng.uniform(-0.3, 0.3) * self.frames
        rest = rng.uniform(0.15, 0.35) * self.frames
        return Body(
            MOVERS[kind](self.skins),
            at,
            half,
            heading if grounded or kind == "bird" else rng.uniform(0, 2 * np.pi),
            path,
            spin,
            stretch,
            float(rng.uniform(0.03, 0.12)),
            behaviour,
            (middle - rest / 2, middle + rest / 2),
            annotated=True,
            kind=kind,
        )

    def _room(self, floor: float) -> Body:
        """Floor, ceiling and walls: one box seen from inside, body 0."""
        rng = self.rng
        back = self.range * self._log_uniform(1.5, 4.5)
        side = max(back * 0.5 / self.focal * rng.uniform(0.7, 1.6), self.range * 1.2)
        floor = min(floor, -0.08 * self.range)
        ceiling = max(rng.uniform(0.35, 1.2) * back * self.aspect / self.focal, 0.4 * self.range)
        front = self.range * 1.2
        size = np.array([side, (ceiling - floor) / 2, (back + front) / 2])
        density = self.skins.density * rng.uniform(0.35, 0.9)
        skin = self.skins.draw()
        part = Part(ROOM, size, type(skin)(skin.texture, skin.tint, density, skin.offset))
        return Body((part,), np.array([0.0, (ceiling + floor) / 2, (front - back) / 2]))

    def _scenery(self, floor: float) -> list[Body]:
        """Static things: some in front of the main body, the others around and behind it."""
        rng = self.rng
        front = self.recipe.foreground
        if front is None:
            front = int(rng.choice([0, 1, 2, 3], p=[0.45, 0.3, 0.15, 0.1]))
        depths = [self.range * rng.uniform(0.35, 0.75) for _ in range(front)]
        depths += [self.range * self._log_uniform(1.1, 2.8) for _ in range(rng.integers(2, 9))]
        return [self._thing(depth, floor) for depth in depths]

    def _thing(self, depth: float, floor: float) -> Body:
        rng = self.rng
        kind = str(rng.choice(list(SCENERY)))
        near = depth < self.range
        # Things in front stand towards the sides, so that they pass the main body but rarely hide it.
        x = rng.choice([-1.0, 1.0]) * rng.uniform(0.35, 1.1) if near else rng.uniform(-1.3, 1.3)
        half = self._half_height(self._log_uniform(0.2, 0.9), depth)
        at = self._point(x, rng.uniform(-0.9, 0.6), depth)
        if kind in ("tree", "pillar") or rng.random() < 0.6:
            at[1] = floor + half
        return Body(SCENERY[kind](self.skins), at, half, float(rng.uniform(0, 2 * np.pi)))

    def _rig(self, main: Body) -> Rig:
        rng = self.rng
        kind = self.camera
        shake = rng.uniform(0.8, 4) if kind == "handheld" else rng.uniform(0, 1) * (rng.random() < 0.5)
        if kind == "static":
            shake = 0.0
        shake *= self.pixel
        turning = np.zeros(3)
        if kind == "pan" or (kind != "static" and rng.random() < 0.25):
            turning = self._pan(0.6, 12 if kind == "pan" else 4)
        follow, aim = _FOLLOWING.get(kind, ((0.0, 0.0), (0.0, 0.0)))
        return Rig(
            self.start,
            travel=self._shaky(self._drift(kind), 0.3 * shake * self.range),
            turn=self._shaky(turning, shake),
            followed=main.path if kind in ("follow", "aim") else None,
            follow=float(rng.uniform(*follow)),
            aim=float(rng.uniform(*aim)),
            target=main.position,
            target_moves=kind == "aim",
        )

    def _drift(self, kind: str) -> Vector:
        """Velocity of the camera in the world."""
        rng = self.rng
        sign = rng.choice([-1.0, 1.0])
        forward = self._limited(self._log_uniform(0.004, 0.035), 0.3) * self.range
        sideways = self._limited(self._log_uniform(0.6, 12) * self.pixel, 0.5) * self.range
        drift = np.zeros(3)
        if kind in ("truck", "orbit"):
            drift = sign * sideways * np.array([1.0, rng.normal() * 0.15, rng.normal() * 0.3])
        if kind == "dolly" or (kind != "static" and rng.random() < 0.2):
            drift = drift + rng.choice([-1.0, 1.0]) * forward * np.array([rng.normal() * 0.2, 0.0, 1.0])
        return drift

    def _pan(self, slowest: float, fastest: float) -> Vector:
        """Rotation vector per frame: mostly about the vertical."""
        rng = self.rng
        speed = rng.choice([-1.0, 1.0]) * self._log_uniform(slowest, fastest) * self.pixel
        return np.asarray(speed * np.array([rng.normal() * 0.25, 1.0, 0.0]))

    def _limited(self, rate: float, total: float) -> float:
        """Cap a rate per frame so that the whole clip stays below `total`."""
        return min(rate, 2 * total / self.frames)

    def _shaky(self, velocity: Vector, size: float) -> MotionPath:
        """Constant velocity and a hand's tremor with a peak speed of about `size` per frame."""
        rng = self.rng
        frequency = rng.uniform(0.05, 0.35, 3)
        amplitude = rng.normal(size=(3, 3)) * size / (2 * np.pi * frequency[:, None]) * 0.6
        amplitude[:, 2] *= 0.4
        phase = rng.uniform(0, 2 * np.pi, 3)
        return MotionPath(velocity, amplitude=amplitude, frequency=frequency, phase=phase)
