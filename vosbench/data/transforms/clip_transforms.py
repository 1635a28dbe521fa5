"""Transforms of a clip, applied alike to frames, flow fields and masks.

Randomness comes from torch's generator, which the loader seeds per worker.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import torch
from torch import Tensor
from torch.nn import functional as F

from vosbench.video import VOID

Augmentation = Callable[["Clip"], "Clip"]


@dataclass(frozen=True)
class Clip:
    """Consecutive frames of a video, the flow between them and masks of some of them.

    Attributes:
        frames: (T, 3, H, W) uint8 RGB.
        masks: (M, H, W) uint8 ids, 255 void.
        flow: (N, 2, H, W) float32 pixels, item t from frame t to t+1; N is T-1, or T where the flow to the
            frame after the clip is known; None where the method reads none.
        backward: (T-1, 2, H, W) float32 pixels, item t from frame t+1 to t; None unless time is to be
            reversed.
    """

    frames: Tensor
    masks: Tensor
    flow: Tensor | None = None
    backward: Tensor | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self.frames.shape[-2], self.frames.shape[-1]

    def mapped(
        self,
        frames: Callable[[Tensor], Tensor],
        masks: Callable[[Tensor], Tensor],
        flow: Callable[[Tensor], Tensor],
    ) -> Clip:
        """Return a clip with a function applied to each kind of content; `flow` to both directions."""
        return Clip(
            frames(self.frames),
            masks(self.masks),
            None if self.flow is None else flow(self.flow),
            None if self.backward is None else flow(self.backward),
        )


def chance(probability: float) -> bool:
    """Return True with `probability`."""
    return torch.rand(()).item() < probability


def uniform(low: float, high: float) -> float:
    """Return a number from [low, high)."""
    return low + (high - low) * torch.rand(()).item()


def rescale(clip: Clip, scale: float) -> Clip:
    """Resize by `scale`, flow vectors included; masks by nearest neighbour."""
    if scale == 1:
        return clip
    size = scaled_size(clip.size, scale)
    return clip.mapped(
        lambda frames: resize_frames(frames, *size),
        lambda masks: resize_masks(masks, *size),
        lambda flow: resize_flow(flow, *size),
    )


def scaled_size(size: Sequence[int], scale: float) -> tuple[int, int]:
    """Return (height, width) times `scale`, at least one pixel each."""
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize_frames(frames: Tensor, height: int, width: int) -> Tensor:
    """Resize (T, 3, H, W) uint8 frames bilinearly, without aliasing."""
    resized = F.interpolate(frames.float(), (height, width), mode="bilinear", antialias=True)
    return resized.round().to(torch.uint8)


def resize_masks(masks: Tensor, height: int, width: int) -> Tensor:
    """Resize (M, H, W) uint8 ids by nearest neighbour."""
    return F.interpolate(masks[:, None], (height, width), mode="nearest-exact")[:, 0]


def resize_flow(flow: Tensor, height: int, width: int) -> Tensor:
    """Resize (N, 2, H, W) pixel flow to (height, width), vectors scaled to the new grid."""
    factor = flow.new_tensor([width / flow.shape[-1], height / flow.shape[-2]])
    return F.interpolate(flow, (height, width), mode="bilinear", antialias=True) * factor[:, None, None]


def random_crop(clip: Clip, height: int, width: int) -> Clip:
    """Cut the same random (height, width) window from everything; a side that is shorter stays whole."""
    top = _random_offset(clip.size[0], height)
    left = _random_offset(clip.size[1], width)

    def cut(values: Tensor) -> Tensor:
        return values[..., top : top + height, left : left + width]

    return clip.mapped(cut, cut, cut)


def mirror(clip: Clip) -> Clip:
    """Swap left and right; the horizontal component of flow changes sign."""
    return clip.mapped(
        lambda frames: frames.flip(-1),
        lambda masks: masks.flip(-1),
        lambda flow: flow.flip(-1) * flow.new_tensor([-1, 1])[:, None, None],
    )


def rotate(clip: Clip, degrees: float, zoom: float = 1.0) -> Clip:
    """Turn everything counter-clockwise about the centre and enlarge it, in a picture of the same size.

    Frames and flow are sampled bilinearly, masks by nearest neighbour; flow vectors turn and grow along.
    What comes from outside is black, void and without flow.
    """
    height, width = clip.size
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, zoom)
    turn = torch.from_numpy(matrix[:, :2]).float()

    def warped(plane: Tensor, method: int, border: int) -> Tensor:
        moved = cv2.warpAffine(
            plane.numpy(), matrix, (width, height), flags=method, borderMode=cv2.BORDER_CONSTANT,
            borderValue=(border,) * 3,
        )  # fmt: skip
        return torch.from_numpy(moved)

    def frames(values: Tensor) -> Tensor:
        rows = values.permute(0, 2, 3, 1).contiguous()
        return torch.stack([warped(row, cv2.INTER_LINEAR, 0) for row in rows]).permute(0, 3, 1, 2)

    def masks(values: Tensor) -> Tensor:
        planes = [warped(plane.contiguous(), cv2.INTER_NEAREST, VOID) for plane in values]
        return torch.stack(planes) if planes else values

    def flow(values: Tensor) -> Tensor:
        turned = torch.einsum("ij,njhw->nihw", turn, values).contiguous()
        planes = [warped(plane, cv2.INTER_LINEAR, 0) for plane in turned.flatten(0, 1)]
        return torch.stack(planes).reshape(values.shape) if planes else values

    return clip.mapped(frames, masks, flow)


def reverse(clip: Clip) -> Clip:
    """Play the clip backwards; the flow on the way back becomes its flow.

    Raises:
        ValueError: the clip has flow and no backward flow (what is hidden and what appears change places, so
            negated flow would be wrong), or flow that leads beyond its last frame.
    """
    flow, backward = clip.flow, clip.backward
    if flow is not None:
        if len(flow) >= len(clip.frames):
            raise ValueError("flow beyond the last frame: a reversed clip would need that before the first")
        if backward is None:
            raise ValueError("time is reversed with backward flow only: read it, or no flow at all")
        flow, backward = backward.flip(0), flow.flip(0)
    return Clip(clip.frames.flip(0), clip.masks.flip(0), flow, backward)


def stop_and_go(clip: Clip, copies: int = 5) -> Clip:
    """Let the clip stand still for its last or its first `copies` steps (LVO: a motion that stops).

    The last frame is appended, or the first put in front, `copies` times, without flow between copies;
    of the longer clip the T frames with all copies remain. At least one step keeps moving.

    Raises:
        ValueError: the clip has masks of some frames only.
    """
    length = len(clip.frames)
    if len(clip.masks) not in (0, length):
        raise ValueError("stop_and_go needs a mask for every frame, or none")
    copies = min(copies, length - 2)
    if copies < 1:
        return clip
    at_end = chance(0.5)
    if at_end:
        shown = torch.arange(copies, length + copies).clamp(max=length - 1)
    else:
        shown = torch.arange(-copies, length - copies).clamp(min=0)
    stands = torch.cat([shown[1:] == shown[:-1], torch.tensor([at_end])])

    def retimed(values: Tensor, fields: Tensor) -> Tensor:
        still = stands[: len(values), None, None, None]
        return torch.where(still, 0.0, values[fields[: len(values)].clamp(max=len(values) - 1)])

    flow = None if clip.flow is None else retimed(clip.flow, shown)
    backward = None if clip.backward is None else retimed(clip.backward, shown)
    masks = clip.masks[shown] if len(clip.masks) else clip.masks
    return Clip(clip.frames[shown], masks, flow, backward)


def jitter_colours(clip: Clip, strength: float) -> Clip:
    """Change brightness, contrast and saturation of all frames alike, each by up to `strength`, a share."""
    brightness, contrast, saturation = (uniform(1 - strength, 1 + strength) for _ in range(3))
    frames = clip.frames.float() * brightness
    grey = (frames * frames.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=1, keepdim=True)
    # about the mean grey and about the grey of each pixel: both keep what they turn about
    frames = grey + saturation * (frames - grey)
    mean = grey.mean()
    frames = mean + contrast * (frames - mean)
    return replace(clip, frames=frames.round().clamp(0, 255).to(torch.uint8))


def _random_offset(side: int, crop: int) -> int:
    return int(torch.randint(max(0, side - crop) + 1, ()).item())
