"""Sizes of LIP."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import nn

from vosbench.models.layers.resnet import RESNET101, Blocks


@dataclass(frozen=True)
class LIPWidths:
    """Size of the network, by default the published one.

    Attributes:
        width: channels of the first convolution of the ResNet.
        blocks: residual blocks of its four stages.
        channels: of the feature pyramid, the memories and the convolutions of the heads.
        groups: of all group normalisations.
        hidden: of the fully connected layer of the box and id head.
        anchors: side of the anchors of each level, pixels.
        canonical: side, in pixels, of a region that is pooled from the third level.
        proposals: before and after their suppression in training, then in a test; before is per level
            (Detectron's, as torchvision has them).
        sampled_anchors: anchors that losses are taken over, of each picture.
        frozen_stages: where the backbone is trained, the stem and so many stages less one keep their
            weights, as in Detectron; 0: all are trained.
        short_side: pictures are resized to it, pixels; the paper does not say it for tests, 640 is the
            largest of training.
        long_side: the longer side is at most this; not looked at when lite.
        lite: whether the pyramid is that of `LiteBackbone`, and masks are pooled from its finest level.
        gain: whether what the memories return is added to the pyramid, times a gain per channel that starts
            at 0; otherwise it takes its place.
        regions: of a picture that losses are taken over; None: those of the stage.
    """

    width: int = 64
    blocks: Blocks = RESNET101
    channels: int = 256
    groups: int = 32
    hidden: int = 1024
    anchors: tuple[int, int, int, int, int] = (32, 64, 128, 256, 512)
    canonical: int = 224
    proposals: tuple[int, int, int, int] = (2000, 2000, 1000, 1000)
    sampled_anchors: int = 256
    frozen_stages: int = 2
    short_side: int = 640
    long_side: int = 1333
    lite: bool = False
    gain: bool = False
    regions: int | None = None

    def norm(self, channels: int) -> nn.GroupNorm:
        """Return a group normalisation; of fewer groups where `groups` does not divide `channels`."""
        return nn.GroupNorm(math.gcd(self.groups, channels), channels)


TINY = LIPWidths(
    width=16,
    blocks=(1, 1, 1, 1),
    channels=32,
    groups=4,
    hidden=128,
    anchors=(8, 16, 32, 64, 128),
    canonical=56,
    proposals=(200, 100, 200, 50),
    sampled_anchors=128,
    frozen_stages=0,
    short_side=128,
    long_side=256,
)
"""[ours] The same topology for a CPU and small pictures; groups are as wide as in the full pyramid."""

LITE = LIPWidths(
    channels=64,
    groups=8,
    hidden=64,
    anchors=(16, 32, 64, 128, 256),
    canonical=112,
    proposals=(300, 150, 200, 40),
    sampled_anchors=128,
    short_side=257,
    lite=True,
    gain=True,
    regions=64,
)
"""[ours] Heads and memories of 64 channels on the encoder of FusionSeg lite."""
