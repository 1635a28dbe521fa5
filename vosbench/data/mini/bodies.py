"""Bodies of the miniature world: figures, animals, vehicles, birds, plants, pillars.

A builder returns the parts of a body about two body units high whose feet are at y = -1.
The body faces +x.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

from vosbench.data.mini.camera import Vector
from vosbench.data.mini.primitives import BOX, CYLINDER, ELLIPSOID
from vosbench.data.mini.scene import Part, Skin, Swing


@dataclass(frozen=True)
class SkinSampler:
    """Random skins for the parts of bodies.

    Attributes:
        rng: source of randomness.
        textures: number of textures in the atlas.
        density: texels per world unit of an ordinary skin.
    """

    rng: np.random.Generator
    textures: int
    density: float

    def draw(self) -> Skin:
        """Return a random skin."""
        rng = self.rng
        tint = rng.uniform(0.8, 1.5) * rng.uniform(0.8, 1.2, 3)
        density = self.density * np.exp(rng.uniform(-0.5, 0.6))
        return Skin(int(rng.integers(self.textures)), tint, density, rng.uniform(0, 256, 2))

    def draw_parts(self, count: int) -> list[Skin]:
        """Return `count` skins for the parts of one body, of one to three kinds."""
        kinds = [self.draw() for _ in range(self.rng.integers(1, 4))]
        return [kinds[self.rng.integers(len(kinds))] for _ in range(count)]


Builder = Callable[[SkinSampler], tuple[Part, ...]]


def _v(x: float, y: float, z: float) -> Vector:
    return np.array([x, y, z])


def single(skins: SkinSampler) -> tuple[Part, ...]:
    """Return one ellipsoid, box or cylinder of random proportions and tilt."""
    rng = skins.rng
    shape = int(rng.choice([ELLIPSOID, BOX, CYLINDER]))
    size = np.exp(rng.uniform(-0.6, 0.2, 3))
    tilt = rng.normal(size=3) * rng.choice([0.0, 0.8])
    return (Part(shape, size / size.max(), skins.draw(), tilt=tilt),)


def cluster(skins: SkinSampler) -> tuple[Part, ...]:
    """Return two to five overlapping primitives: a concave rigid object."""
    rng = skins.rng
    count = int(rng.integers(2, 6))
    return tuple(
        Part(
            int(rng.choice([ELLIPSOID, BOX, CYLINDER])),
            np.exp(rng.uniform(-1.6, -0.5, 3)),
            skin,
            offset=rng.uniform(-0.6, 0.6, 3),
            tilt=rng.normal(size=3) * 0.7,
        )
        for skin in skins.draw_parts(count)
    )


def biped(skins: SkinSampler) -> tuple[Part, ...]:
    """Return a walking figure: torso, head, arms and legs that swing in opposite phase."""
    rng = skins.rng
    rate, phase = rng.uniform(0.03, 0.12), rng.uniform(0, 2 * np.pi)
    stride = rng.uniform(0.3, 0.8)
    cloth, trousers, face, sleeves = (skins.draw() for _ in range(4))
    girth = rng.uniform(0.8, 1.4)
    parts = [
        Part(ELLIPSOID, _v(0.2 * girth, 0.42, 0.27 * girth), cloth, joint=_v(0, 0.22, 0)),
        Part(ELLIPSOID, _v(0.17, 0.2, 0.16), face, joint=_v(0.03, 0.8, 0)),
    ]
    for side in (-1.0, 1.0):
        beat = phase + (side < 0) * np.pi
        hip, shoulder = _v(0, -0.1, 0.13 * side), _v(0, 0.5, 0.3 * side * girth)
        leg, arm = Swing(_v(0, 0, stride), rate, beat), Swing(_v(0, 0, -stride), rate, beat)
        parts.append(Part(ELLIPSOID, _v(0.13, 0.47, 0.13), trousers, _v(0, -0.43, 0), hip, swing=leg))
        parts.append(Part(ELLIPSOID, _v(0.08, 0.36, 0.08), sleeves, _v(0, -0.32, 0), shoulder, swing=arm))
    return tuple(parts)


def quadruped(skins: SkinSampler) -> tuple[Part, ...]:
    """Return a four-legged animal with head, neck and tail."""
    rng = skins.rng
    rate, phase = rng.uniform(0.04, 0.14), rng.uniform(0, 2 * np.pi)
    stride = rng.uniform(0.25, 0.7)
    fur, other = skins.draw(), skins.draw()
    length = rng.uniform(0.8, 1.3)
    nod, wag = Swing(_v(0, 0, 0.15), rate, phase), Swing(_v(0, 0.5, 0.2), rate * 1.7, phase)
    nape, rump = _v(0.8 * length, 0.3, 0), _v(-0.9 * length, 0.3, 0)
    parts = [
        Part(ELLIPSOID, _v(length, 0.42, 0.38), fur, joint=_v(0, 0.15, 0)),
        Part(ELLIPSOID, _v(0.2, 0.42, 0.18), fur, _v(0, 0.25, 0), nape, _v(0, 0, -0.6), nod),
        Part(ELLIPSOID, _v(0.34, 0.2, 0.19), other, _v(0.35, 0.6, 0), nape, swing=nod),
        Part(ELLIPSOID, _v(0.4, 0.07, 0.07), other, _v(-0.38, 0, 0), rump, _v(0, 0, 0.5), wag),
    ]
    for end, side in product((-1.0, 1.0), repeat=2):
        leg = Swing(_v(0, 0, stride), rate, phase + (end * side > 0) * np.pi)
        joint = _v(0.65 * length * end, 0.0, 0.22 * side)
        parts.append(Part(ELLIPSOID, _v(0.13, 0.55, 0.12), fur, _v(0, -0.48, 0), joint, swing=leg))
    return tuple(parts)


def vehicle(skins: SkinSampler) -> tuple[Part, ...]:
    """Return a car or cart: two boxes on four turning wheels."""
    rng = skins.rng
    paint, glass, rubber = (skins.draw() for _ in range(3))
    length, height = rng.uniform(1.2, 1.9), rng.uniform(0.3, 0.5)
    cabin = _v(length * rng.uniform(0.35, 0.6), 0.32, 0.6)
    spin = _v(0, rng.uniform(-0.6, -0.1), 0)
    parts = [
        Part(BOX, _v(length, height, 0.7), paint, joint=_v(0, -0.3, 0)),
        Part(BOX, cabin, glass, joint=_v(-0.15 * length, height, 0)),
    ]
    # The cylinder stands on y; lay it across and let it turn about its own axis.
    lay = _v(np.pi / 2, 0, 0)
    for end, side in product((-1.0, 1.0), repeat=2):
        joint = _v(0.62 * length * end, -0.65, 0.7 * side)
        parts.append(Part(CYLINDER, _v(0.35, 0.12, 0.35), rubber, joint=joint, tilt=lay, spin=spin))
    return tuple(parts)


def bird(skins: SkinSampler) -> tuple[Part, ...]:
    """Return a body between two flapping wings."""
    rng = skins.rng
    rate, phase, beat = rng.uniform(0.05, 0.2), rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 1.0)
    plumage, feathers = skins.draw(), skins.draw()
    parts = [
        Part(ELLIPSOID, _v(0.75, 0.3, 0.3), plumage),
        Part(ELLIPSOID, _v(0.22, 0.2, 0.2), feathers, joint=_v(0.8, 0.15, 0)),
    ]
    for side in (-1.0, 1.0):
        flap = Swing(_v(beat * side, 0, 0), rate, phase)
        joint = _v(0, 0.15, 0.15 * side)
        parts.append(Part(ELLIPSOID, _v(0.35, 0.06, 0.8), feathers, _v(0, 0, 0.75 * side), joint, swing=flap))
    return tuple(parts)


def tree(skins: SkinSampler) -> tuple[Part, ...]:
    """Return a trunk with one to three crowns."""
    rng = skins.rng
    bark, leaves = skins.draw(), skins.draw()
    parts = [Part(CYLINDER, _v(0.1, 0.7, 0.1), bark, joint=_v(0, -0.3, 0))]
    for _ in range(rng.integers(1, 4)):
        size = rng.uniform(0.3, 0.55, 3)
        parts.append(Part(ELLIPSOID, size, leaves, joint=rng.uniform(-0.25, 0.25, 3) + _v(0, 0.5, 0)))
    return tuple(parts)


def pillar(skins: SkinSampler) -> tuple[Part, ...]:
    """Return an upright column or post."""
    radius = skins.rng.uniform(0.08, 0.3)
    shape = int(skins.rng.choice([BOX, CYLINDER]))
    return (Part(shape, _v(radius, 1.0, radius), skins.draw()),)


MOVERS: dict[str, Builder] = {
    "single": single,
    "cluster": cluster,
    "biped": biped,
    "quadruped": quadruped,
    "vehicle": vehicle,
    "bird": bird,
}
SCENERY: dict[str, Builder] = {"single": single, "cluster": cluster, "tree": tree, "pillar": pillar}
