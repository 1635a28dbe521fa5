"""RAFT (Teed and Deng, "RAFT: Recurrent All-Pairs Field Transforms", ECCV 2020), torchvision's network."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vosbench.errors import InputError, check_name, unknown_name
from vosbench.tensor_files import downloaded, is_file, read_tensors, sha256
from vosbench.video import FlowField, Frame

if TYPE_CHECKING:
    from torch import Tensor, nn

_VARIANTS = ("small", "large")

# Original name -> torchvision's, applied in order to names without "module.".
_RENAMED = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^fnet\.", "feature_encoder."),
        (r"^cnet\.", "context_encoder."),
        (r"(?<=_encoder)\.conv1\.", ".convnormrelu.0."),
        (r"(?<=_encoder)\.norm1\.", ".convnormrelu.1."),
        (r"(?<=_encoder)\.conv2\.", ".conv."),
        (r"(layer\d\.\d)\.conv(\d)\.", r"\1.convnormrelu\2.0."),
        (r"(layer\d\.\d)\.norm(\d)\.", r"\1.convnormrelu\2.1."),
        (r"^update_block\.encoder\.convc(\d)\.", r"update_block.motion_encoder.convcorr\1.0."),
        (r"^update_block\.encoder\.convf(\d)\.", r"update_block.motion_encoder.convflow\1.0."),
        (r"^update_block\.encoder\.conv\.", "update_block.motion_encoder.conv.0."),
        (r"^update_block\.gru\.conv([zrq])\.", r"update_block.recurrent_block.convgru1.conv\1."),
        (r"^update_block\.gru\.conv([zrq])(\d)\.", r"update_block.recurrent_block.convgru\2.conv\1."),
        (r"^update_block\.mask\.0\.", "mask_predictor.convrelu.0."),
        (r"^update_block\.mask\.2\.", "mask_predictor.conv."),
    )
)
# The norm of a shortcut is listed twice in the original files: norm3 (norm4 in a bottleneck block) is the
# same layer as downsample.1.
_LISTED_TWICE = re.compile(r"layer\d\.\d\.norm(3|4)\.")

# The coarsest level of the correlation pyramid is 1/64 of the frame and needs two cells a side.
_SMALLEST_SIDE = 128
_STRIDE = 8

# torchvision's network keeps the correlation volume of the pair at hand on itself.
_IN_USE = threading.Lock()


class RAFT:
    """RAFT from torchvision, in float32; frames are scaled to [-1, 1].

    Frames are padded by repeating their edge, half on each side as the authors do for Sintel, to
    multiples of 8 and at least 128 pixels; the flow is cut back. The correlation volume takes
    ``(H W / 64)^2 * 5.3`` bytes: 0.2 GB at 854x480, 5.6 GB at 1920x1080.

    Args:
        weights: a file (torchvision's or the authors' own, whose layers are renamed) or a name of
            torchvision, e.g. ``"C_T_V2"``, ``"C_T_SKHT_V2"`` or ``"Raft_Large_Weights.C_T_V2"``,
            downloaded once by torch.hub.
        variant: ``"small"`` or ``"large"``; None follows the weights.
        iterations: refinements; 12 as in training, while the authors evaluate with 24 (FlyingChairs,
            KITTI) and 32 (Sintel).
        short_side: pixels to which a longer shorter side of frames is resized first; the flow is enlarged
            again. 0: frames are seen as they are.
        device: as `vosbench.models.pretrained.zoo.move_to`; the same on every run, but CPU and CUDA differ in
            the last digits.

    Raises:
        InputError: unknown name, a file that is no RAFT, weights that cannot be downloaded, no such
            device, fewer than one iteration, or a shorter side below 128.
    """

    name = "raft"

    def __init__(
        self,
        weights: str = "C_T_V2",
        variant: str | None = None,
        iterations: int = 12,
        device: str = "auto",
        short_side: int = 0,
    ) -> None:
        import torch
        import torchvision  # type: ignore[import-untyped]

        if variant is not None:
            check_name("variant of raft", variant, _VARIANTS)
        if iterations < 1:
            raise InputError(f"raft: iterations is {iterations}; it must be at least 1")
        if 0 != short_side < _SMALLEST_SIDE:
            raise InputError(f"raft: short_side is {short_side}; it must be 0 or at least {_SMALLEST_SIDE}")
        self._device = _device(device)
        path = Path(weights) if is_file(weights) else _downloaded(weights, variant)
        state = renamed(read_tensors(path))
        stored = "large" if any(key.startswith("mask_predictor.") for key in state) else "small"
        if variant not in (None, stored):
            raise InputError(f"{path}: weights of raft_{stored}, not of raft_{variant}")
        network = _filled(path, stored, state)
        self._network = network.eval().requires_grad_(requires_grad=False).to(self._device)
        self._iterations = iterations
        self._short_side = short_side
        self.settings: dict[str, Any] = {
            "variant": stored,
            "weights": path.name,
            "sha256": sha256(path),
            "iterations": iterations,
            "device": self._device.type,
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
        } | ({} if short_side == 0 else {"short_side": short_side})

    def __call__(self, first: Frame, second: Frame) -> FlowField:
        """Return the (2, H, W) float32 flow in pixels from `first` to `second`, (H, W, 3) uint8 each."""
        import torch
        from torch.nn import functional as F

        height, width = first.shape[:2]
        images = torch.from_numpy(np.stack([first, second])).to(self._device).permute(0, 3, 1, 2).float()
        size = self._size(height, width)
        if size == (height, width):
            return self._estimate(images)
        small = F.interpolate(images, size, mode="bilinear", antialias=True)
        flow = torch.from_numpy(self._estimate(small))[None]
        scale = torch.tensor([width / size[1], height / size[0]])[:, None, None]
        enlarged = F.interpolate(flow, (height, width), mode="bilinear") * scale
        return enlarged[0].numpy()

    def _size(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width at which the network sees frames."""
        short = min(height, width)
        if self._short_side == 0 or short <= self._short_side:
            return height, width
        scale = self._short_side / short
        return round(height * scale), round(width * scale)

    def _estimate(self, images: Tensor) -> FlowField:
        """Return the (2, H, W) flow from the first to the second of (2, 3, H, W) pixels in 0..255."""
        import torch
        from torch.backends import cudnn

        height, width = images.shape[-2:]
        padding = (*_margins(width), *_margins(height))
        left, top = padding[0], padding[2]
        images = images / 127.5 - 1
        with (
            _IN_USE,
            torch.inference_mode(),
            torch.autocast(self._device.type, enabled=False),
            cudnn.flags(deterministic=True, benchmark=False, allow_tf32=False),
        ):
            images = torch.nn.functional.pad(images, padding, mode="replicate")
            estimates = self._network(images[:1], images[1:], num_flow_updates=self._iterations)
            flow = estimates[-1][0, :, top : top + height, left : left + width]
        return np.ascontiguousarray(flow.float().cpu().numpy())


class RAFTSmall(RAFT):
    """RAFT with the weights of torchvision's `raft_small`; arguments as `RAFT`."""

    def __init__(
        self,
        weights: str = "C_T_V2",
        iterations: int = 12,
        device: str = "auto",
        short_side: int = 0,
    ) -> None:
        super().__init__(weights, "small", iterations, device, short_side)


class RAFTLarge(RAFT):
    """RAFT with the weights of torchvision's `raft_large`; arguments as `RAFT`."""

    def __init__(
        self,
        weights: str = "C_T_V2",
        iterations: int = 12,
        device: str = "auto",
        short_side: int = 0,
    ) -> None:
        super().__init__(weights, "large", iterations, device, short_side)


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict of the authors' RAFT under torchvision's names; names of torchvision stay."""
    plain = {key.removeprefix("module."): value for key, value in state.items()}
    result: dict[str, Tensor] = {}
    for key, value in plain.items():
        if _LISTED_TWICE.search(key) and re.sub(r"\.norm\d\.", ".downsample.1.", key) in plain:
            continue
        for pattern, name in _RENAMED:
            key = pattern.sub(name, key)
        result[key] = value
    return result


def _filled(path: Path, variant: str, state: Mapping[str, Tensor]) -> nn.Module:
    from torchvision.models import optical_flow  # type: ignore[import-untyped]

    network: nn.Module = getattr(optical_flow, f"raft_{variant}")(weights=None)
    expected = network.state_dict()
    missing, left = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    # Files of old releases do not count batches; the count means nothing here.
    missing = [key for key in missing if not key.endswith(".num_batches_tracked")]
    if missing or left:
        raise InputError(
            f"{path}: not the weights of raft_{variant}: {len(missing)} tensors are missing"
            f"{_example(missing)} and {len(left)} do not belong{_example(left)}"
        )
    try:
        network.load_state_dict(state, strict=False)
    except RuntimeError as error:
        wrong = str(error).splitlines()[-1].strip()
        raise InputError(f"{path}: not the weights of raft_{variant}: {wrong}") from None
    return network


def _example(names: list[str]) -> str:
    return f" (e.g. {names[0]})" if names else ""


def _downloaded(name: str, variant: str | None) -> Path:
    """Return the file of torchvision's weights of this name, downloaded when it is not there yet."""
    from torchvision.models import optical_flow

    prefix, _, member = name.rpartition(".")
    known: dict[str, Any] = {}
    # Both sizes have weights of the same names: the large one is the default.
    for size in (variant,) if variant else reversed(_VARIANTS):
        enum = getattr(optical_flow, f"Raft_{size.capitalize()}_Weights")
        if prefix in ("", enum.__name__):
            known = dict(enum.__members__) | known
    if member not in known:
        raise unknown_name("weights of raft (nor is there such a file)", name, known)
    return downloaded(str(known[member].url), "RAFT", "raft:FILE")


def _device(name: str) -> Any:
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.zeros(0, device=name).device
    except (RuntimeError, AssertionError):
        raise InputError(f"device '{name}' is not available here: choose auto, cpu or cuda") from None


def _margins(side: int) -> tuple[int, int]:
    """Return the numbers of pixels to add before and after, half on each side."""
    lacking = max(-(-side // _STRIDE) * _STRIDE, _SMALLEST_SIDE) - side
    return lacking // 2, lacking - lacking // 2
