"""Feature pyramid on EfficientNet-Lite0: one map at a quarter of the picture ([ours], for a CPU).

The pyramid is that of Lin et al. (CVPR 2017) with a mean over the picture added at its top.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from vosbench.models.layers.efficientnet_lite import EfficientNetLite0
from vosbench.models.layers.resnet import group_norm

GROUPS = 6
"""Groups of EfficientNet-Lite0 under the pyramid; the seventh, at the stride of the sixth, is left out."""

LEVELS = (1, 2, 4, 5)
"""Maps of an `EfficientNetLite0` that the pyramid sees, at 1/4, 1/8, 1/16 and 1/32."""

WIDTH = 64
STRIDE = 32


class LitePyramid(nn.Module):
    """Sum of four maps of EfficientNet-Lite0, from the deepest to the one at a quarter."""

    def __init__(self) -> None:
        super().__init__()
        channels = [EfficientNetLite0.channels[level] for level in LEVELS]
        self.channels = width = WIDTH
        self.context = nn.Conv2d(channels[-1], width, kernel_size=1)
        self.lateral = nn.ModuleList(nn.Conv2d(count, width, kernel_size=1) for count in channels)
        self.smooth = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, kernel_size=3, padding=1, bias=False), group_norm(width), nn.ReLU()
            )
            for _ in channels
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Return (N, `channels`, h, w) at a quarter, not negative, of the maps of an `EfficientNetLite0`."""
        return self.levels(maps)[0]

    def levels(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return four maps (N, `channels`, h, w), not negative: at 1/4, 1/8, 1/16 and 1/32 of the picture."""
        x: Tensor = self.context(maps[LEVELS[-1]].mean(dim=(2, 3), keepdim=True))
        result = []
        for level, lateral, smooth in reversed(list(zip(LEVELS, self.lateral, self.smooth, strict=True))):
            shown = lateral(maps[level])
            x = smooth(shown + F.interpolate(x, shown.shape[-2:], mode="bilinear", align_corners=True))
            result.append(x)
        return result[::-1]


class LiteFeatures(nn.Module):
    """EfficientNet-Lite0 and its pyramid."""

    def __init__(self) -> None:
        super().__init__()
        self.body = lite_body()
        self.pyramid = LitePyramid()
        self.channels = self.pyramid.channels

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, `channels`, h, w) at a quarter of `fitted` (N, 3, H, W) normalised pixels."""
        result: Tensor = self.pyramid(self.body(fitted(x)))
        return result

    def levels(self, x: Tensor) -> list[Tensor]:
        """Return the maps of `LitePyramid.levels`, finest first, of `fitted` (N, 3, H, W) pixels."""
        return self.pyramid.levels(self.body(fitted(x)))

    def load_stream(self, state: Mapping[str, Tensor]) -> None:
        """Copy an appearance stream of FusionSeg lite, all but its classifiers, or that of LVO lite.

        Raises:
            RuntimeError: tensors are missing or left over, as in `load_state_dict`.
        """
        classifiers = "head.classifiers."
        kept = {key: value for key, value in state.items() if not key.startswith(classifiers)}
        self.load_state_dict({key.removeprefix("head."): value for key, value in kept.items()})


def lite_body() -> EfficientNetLite0:
    """Return the encoder under a pyramid, at random."""
    return EfficientNetLite0(groups=GROUPS)


SPARE: tuple[str, ...] = (*EfficientNetLite0.spare, "body.blocks.15.")
"""Tensors of the package's weights that an encoder named ``body`` has no place for."""


def fitted(x: Tensor) -> Tensor:
    """Resize pictures until either side is 1 more than a multiple of 32, the nearest one.

    Only there do the corners of all maps stand for the corners of the picture.

    Args:
        x: (N, C, H, W) floating point.
    """
    size = [STRIDE * max(1, round((side - 1) / STRIDE)) + 1 for side in x.shape[-2:]]
    if size == list(x.shape[-2:]):
        return x
    return F.interpolate(x, size, mode="bilinear", align_corners=True)


def fitted_size(height: int, width: int, short_side: int) -> tuple[int, int]:
    """Return the size that `fitted` keeps nearest to (height, width) with a shorter side of `short_side`."""
    scale = short_side / min(height, width)
    first, second = (STRIDE * max(1, round((side * scale - 1) / STRIDE)) + 1 for side in (height, width))
    return first, second


def adapt(state: Mapping[str, Tensor], own: Sequence[str]) -> dict[str, Tensor]:
    """Return weights with those of the package under ``body.``.

    Args:
        state: of a file.
        own: prefixes of tensors that have the right name already.
    """
    named = EfficientNetLite0.adapt(state).items()
    kept = (*own, *EfficientNetLite0.spare)
    return {key if key.startswith(kept) else f"body.{key}": value for key, value in named}
