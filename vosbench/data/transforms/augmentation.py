"""Random changes of a training clip, the same for all of its frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vosbench.data.transforms.clip_transforms import (
    Clip,
    chance,
    jitter_colours,
    mirror,
    random_crop,
    rescale,
    reverse,
    rotate,
    stop_and_go,
    uniform,
)
from vosbench.data.transforms.flow_transforms import degrade_flow, move_camera, stop_camera
from vosbench.errors import InputError


@dataclass(frozen=True)
class ClipTransform:
    """Random changes of a training clip, in this order; by default none.

    Attributes:
        resize: smallest and largest factor on the size of the picture.
        zoom: smallest and largest factor on its content, within a picture of the same size.
        rotate: largest angle to either side, degrees.
        crop: (height, width) in pixels, or the share of each side to keep; None: whole pictures.
        mirror: probability.
        reverse: probability of playing backwards; a clip with flow needs backward flow.
        stop: probability of `stop_and_go`.
        stop_frames: frames that stand still then.
        camera: probability of the flow of another camera, for methods that see flow alone: one in five
            stands still (`stop_camera`), the others move (`move_camera`).
        degrade: probability of errors such as a flow estimator makes (`degrade_flow`).
        colour: largest change of brightness, contrast and saturation, a share.

    Raises:
        InputError: a value that makes no sense.
    """

    resize: tuple[float, float] = (1.0, 1.0)
    zoom: tuple[float, float] = (1.0, 1.0)
    rotate: float = 0.0
    crop: tuple[int, int] | float | None = None
    mirror: float = 0.0
    reverse: float = 0.0
    stop: float = 0.0
    stop_frames: int = 5
    camera: float = 0.0
    degrade: float = 0.0
    colour: float = 0.0

    def __post_init__(self) -> None:
        for key in ("mirror", "reverse", "stop", "camera", "degrade", "colour"):
            if not 0 <= getattr(self, key) <= 1:
                raise InputError(f"{key} is {getattr(self, key)}: it must be from 0 to 1")
        for key in ("resize", "zoom"):
            low, high = getattr(self, key)
            if not 0 < low <= high:
                raise InputError(f"{key} is [{low}, {high}]: write [smallest,largest], both above 0")
        if self.rotate < 0:
            raise InputError(f"rotate is {self.rotate}: write the largest angle, in degrees, at least 0")
        if not _is_crop(self.crop):
            raise InputError(f"crop is {self.crop}: write [height,width] in pixels or a share, above 0 to 1")

    def __call__(self, clip: Clip) -> Clip:
        """Return a random variant of `clip`, its flow float32 under any autocast."""
        with torch.autocast("cpu", enabled=False):
            return self._changed(clip)

    def _changed(self, clip: Clip) -> Clip:
        clip = self._placed(clip)
        if chance(self.mirror):
            clip = mirror(clip)
        if chance(self.reverse):
            clip = reverse(clip)
        if chance(self.stop):
            clip = stop_and_go(clip, self.stop_frames)
        if chance(self.camera):
            clip = stop_camera(clip) if chance(0.2) else move_camera(clip)
        if chance(self.degrade):
            clip = degrade_flow(clip)
        if self.colour:
            clip = jitter_colours(clip, self.colour)
        return clip

    def _placed(self, clip: Clip) -> Clip:
        clip = rescale(clip, uniform(*self.resize))
        if self.rotate or self.zoom != (1, 1):
            clip = rotate(clip, uniform(-self.rotate, self.rotate), uniform(*self.zoom))
        if self.crop is None:
            return clip
        if isinstance(self.crop, tuple):
            return random_crop(clip, *self.crop)
        height, width = (max(1, round(side * self.crop)) for side in clip.size)
        return random_crop(clip, height, width)


def _is_crop(crop: tuple[int, int] | float | None) -> bool:
    if crop is None:
        return True
    return min(crop) >= 1 if isinstance(crop, tuple) else 0 < crop <= 1
