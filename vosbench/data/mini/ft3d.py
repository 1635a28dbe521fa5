"""Miniature FlyingThings3D in the official folder layout."""

from __future__ import annotations

import string
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vosbench.data.datasets.ft3d_motion import BASELINE
from vosbench.data.mini.camera import Camera
from vosbench.data.mini.pictures import write_picture
from vosbench.data.mini.render import RenderedView, SurfaceMotion
from vosbench.data.mini.sampling import Recipe, sample_visible_scene
from vosbench.data.mini.scene import MiniScene
from vosbench.errors import InputError
from vosbench.formats.camera import StereoPose, write_cameras
from vosbench.formats.pfm import write_pfm
from vosbench.video import Frame

FOCAL_RATIO = 1050 / 960
FIRST_FRAME = 6
SCENES_PER_LETTER = 750
SHUTTER = (-0.25, 0.0, 0.25)

_DIRECTIONS = {"into_future": (1, "OpticalFlowIntoFuture"), "into_past": (-1, "OpticalFlowIntoPast")}
_CHOICES = {
    "views": ("left", "right"),
    "passes": ("cleanpass", "finalpass"),
    "directions": tuple(_DIRECTIONS),
}


@dataclass(frozen=True)
class Ft3dMini:
    """Settings of the miniature FlyingThings3D.

    Attributes:
        seed: every pixel follows from it.
        scenes: number of TRAIN scenes.
        test_scenes: number of TEST scenes.
        frames: frames per scene.
        size: height and width; the focal length is 1050 pixels at width 960.
        views: cameras to write.
        passes: "cleanpass", "finalpass" (with motion blur and noise).
        directions: optical flow to write.
        disparity_change: whether to write it (exact depth of the moved points).
    """

    seed: int = 0
    scenes: int = 24
    test_scenes: int = 6
    frames: int = 6
    size: tuple[int, int] = (108, 192)
    views: tuple[str, ...] = ("left", "right")
    passes: tuple[str, ...] = ("cleanpass",)
    directions: tuple[str, ...] = ("into_future",)
    disparity_change: bool = True

    def __post_init__(self) -> None:
        for key, choices in _CHOICES.items():
            wrong = set(getattr(self, key)) - set(choices)
            if wrong:
                raise InputError(f"mini ft3d: {key} has '{wrong.pop()}': choose from {', '.join(choices)}")
        limit = SCENES_PER_LETTER * len(string.ascii_uppercase)
        if max(self.scenes, self.test_scenes) > limit:
            raise InputError(f"mini ft3d: at most {limit} scenes per split")

    def jobs(self) -> Iterator[tuple[str, int]]:
        """Yield (split, scene number) for every scene."""
        yield from (("TRAIN", index) for index in range(self.scenes))
        yield from (("TEST", index) for index in range(self.test_scenes))

    def scene(self, split: str, index: int) -> MiniScene:
        """Draw one scene; it depends on the seed, the split and its number only."""
        entropy = (self.seed, ("TRAIN", "TEST").index(split), index)
        return sample_visible_scene(
            entropy, Recipe(focal_ratio=FOCAL_RATIO), self.frames, self.size[0] / self.size[1], 0.01
        )

    def write_scene(self, folder: Path, job: tuple[str, int]) -> None:
        """Render one scene into `folder`, the root of the data set."""
        split, index = job
        scene = self.scene(split, index)
        letter = string.ascii_uppercase[index // SCENES_PER_LETTER]
        inner = f"{split}/{letter}/{index % SCENES_PER_LETTER:04d}"
        cameras: dict[int, StereoPose] = {}
        for frame in range(self.frames):
            left, right = (self._camera(scene, frame, side).to_world for side in ("left", "right"))
            cameras[FIRST_FRAME + frame] = left, right
            for side in self.views:
                self._write_frame(folder, inner, scene, frame, side)
        write_cameras(folder / "camera_data" / inner / "camera_data.txt", cameras)

    def finish(self, folder: Path) -> None:
        """Nothing is left to write: the official layout has no lists."""

    def _view(self, scene: MiniScene, frame: float, side: str) -> RenderedView:
        return RenderedView(scene, frame, self._camera(scene, frame, side))

    def _camera(self, scene: MiniScene, frame: float, side: str) -> Camera:
        left = scene.camera(frame, self.size)
        return left if side == "left" else left.shifted(BASELINE)

    def _write_frame(self, folder: Path, inner: str, scene: MiniScene, frame: int, side: str) -> None:
        view = self._view(scene, frame, side)
        name = f"{FIRST_FRAME + frame:04d}"
        for kind in self.passes:
            picture = view.rgb() if kind == "cleanpass" else self._final(scene, frame, side)
            write_picture(folder / f"frames_{kind}" / inner / side / f"{name}.png", picture)
        to_disparity = np.float32(view.camera.focal * BASELINE)
        disparity = to_disparity / view.depth
        write_pfm(folder / "disparity" / inner / side / f"{name}.pfm", disparity)
        for direction in self.directions:
            step, prefix = _DIRECTIONS[direction]
            motion = view.motion(frame + step, self._camera(scene, frame + step, side))
            directed = f"{inner}/{direction}/{side}"
            flow_name = f"{prefix}_{name}_{side[0].upper()}.pfm"
            write_pfm(folder / "optical_flow" / directed / flow_name, _three_channels(motion))
            if self.disparity_change:
                change = to_disparity / motion.depth - disparity
                write_pfm(folder / "disparity_change" / directed / f"{name}.pfm", change)

    def _final(self, scene: MiniScene, frame: int, side: str) -> Frame:
        """Motion blur over half a frame and sensor noise."""
        pictures = [self._view(scene, frame + shift, side).rgb().astype(np.float32) for shift in SHUTTER]
        noise = np.random.Generator(np.random.PCG64((self.seed, frame)))
        picture = np.mean(pictures, axis=0) + noise.normal(scale=2, size=pictures[0].shape)
        return np.asarray(np.clip(np.rint(picture), 0, 255).astype(np.uint8))


def _three_channels(motion: SurfaceMotion) -> NDArray[np.float32]:
    """Flow as the official files store it: (H, W, 3) with an empty third channel."""
    u, v = motion.flow
    return np.stack([u, v, np.zeros_like(u)], axis=-1)
