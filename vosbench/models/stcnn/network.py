"""Network of STCNN: both branches (Xu et al., CVPR 2019, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from vosbench.models.layers.pretrained import Loaded
from vosbench.models.lvo.lite import enlarged
from vosbench.models.pixelwise import enlarge
from vosbench.models.stcnn.blocks import STCNNWidths, StrideIn
from vosbench.models.stcnn.generator import DELTA, Generator, Prediction
from vosbench.models.stcnn.lite import LiteGenerator, LiteSpatialBranch, seen
from vosbench.models.stcnn.segmentation import SpatialBranch

TRAINED = {
    "temporal": ("generator",),
    "spatial": ("segmentation",),
    "joint": ("generator", "segmentation"),
    "online": ("segmentation",),
}
"""Stage of training -> parts that it trains."""

STAGES = tuple(TRAINED)
AnyGenerator = Generator | LiteGenerator
AnySpatialBranch = SpatialBranch | LiteSpatialBranch
TCB_NORMS = ("stored", "batch")


class Output(NamedTuple):
    """Output of the network for a frame.

    Attributes:
        logits: five maps (N, 1, H, W), from coarse to fine, then the fused one, which is the result.
        predicted: (N, 3, ceil(H / 4), ceil(W / 4)) the frame as predicted from the past, None without
            temporal branch.
    """

    logits: tuple[Tensor, ...]
    predicted: Tensor | None


class STCNNNet(nn.Module):
    """Object or not, per pixel of a frame, from the frame and the frames before it.

    The temporal branch runs without gradient and with its batch normalisation as in a test where a stage
    does not train it, whatever `train` says.

    Args:
        tcb: whether there is a temporal coherence branch; without, past frames do not matter.
        attention: whether coarser maps weigh finer features.
        delta: number of past frames.
        topdown: ``"resize"`` or ``"code_crop"``, see `SpatialDecoder`.
        detach_tcb: keep the gradient of the segmentation from the temporal branch, as the released code
            does; the paper lets it pass.
        tcb_bn_test_mode: statistics of the temporal branch in a test: ``"stored"``, or ``"batch"``, those
            of the frames that are shown, as the released scripts have it (one at a time).
        released: what the released joint network does and the paper does not say: no ReLU before the
            deconvolutions of the temporal branch, and ``topdown="code_crop"`` in place of any other.
        widths: size; None: as published, ``"lite"``: EfficientNet-Lite0 in both branches.
        stride_in: which convolution of a residual block has the stride, ``"1x1"`` as released; weights of
            torchvision were trained with ``"3x3"``. No matter when lite, as are `topdown` and `released`.
    """

    def __init__(
        self,
        *,
        tcb: bool = True,
        attention: bool = True,
        delta: int = DELTA,
        topdown: str = "resize",
        detach_tcb: bool = True,
        tcb_bn_test_mode: str = "stored",
        released: bool = False,
        widths: STCNNWidths | Literal["lite"] | None = None,
        stride_in: StrideIn = "1x1",
    ) -> None:
        super().__init__()
        self.detach_tcb = detach_tcb
        self.tcb_bn_test_mode = tcb_bn_test_mode
        self.lite = widths == "lite"
        self.generator: AnyGenerator | None = None
        self.segmentation: AnySpatialBranch
        if widths == "lite":
            self.generator = LiteGenerator(delta) if tcb else None
            self.segmentation = LiteSpatialBranch(_channels(self.generator), attention=attention)
        else:
            relu = not released
            self.generator = Generator(delta, widths, relu=relu, stride_in=stride_in) if tcb else None
            self.segmentation = SpatialBranch(
                _channels(self.generator),
                attention=attention,
                topdown="code_crop" if released else topdown,
                widths=widths,
                stride_in=stride_in,
            )
        # makes the convolutions a third faster on CPUs and under mixed precision
        cast(Any, self).to(memory_format=torch.channels_last)
        self.trained: tuple[str, ...] = ()
        self._frozen_norm = True
        self.train_stage("joint")

    def train_stage(self, stage: str, *, frozen_norm: bool = True) -> None:
        """Let the gradient reach what `stage` trains and nothing else.

        Args:
            stage: one of `STAGES`.
            frozen_norm: keep the statistics of the spatial branch where it is trained, as published; its
                scales and shifts learn nevertheless.
        """
        self.trained = TRAINED[stage]
        self._frozen_norm = frozen_norm
        for name, part in self.named_children():
            part.requires_grad_(name in self.trained)
        self.train(self.training)

    def train(self, mode: bool = True) -> STCNNNet:
        """Switch what is trained to training; the rest stays as in a test."""
        super().train(mode)
        for name, part in self.named_children():
            if name not in self.trained:
                part.eval()
        if self._frozen_norm:
            for norm in _norms(self.segmentation):
                norm.eval()
        if self.generator is not None:
            by_batch = not self.generator.training and self.tcb_bn_test_mode == "batch"
            for norm in _norms(self.generator):
                # such a layer takes the statistics of the batch and stores nothing
                norm.track_running_stats = not by_batch
                norm.training = self.generator.training or by_batch
        return self

    def predict(self, past: Tensor) -> Prediction:
        """Return the predicted frame and the temporal features of past frames.

        Args:
            past: (N, 3 * delta, H, W), -1..1, the oldest frame first.

        Raises:
            ValueError: there is no temporal branch.
        """
        if self.generator is None:
            raise ValueError("this network has no temporal branch")
        with torch.set_grad_enabled(torch.is_grad_enabled() and "generator" in self.trained):
            result: Prediction = self.generator(past)
        return result

    def segment(self, frame: Tensor, features: Sequence[Tensor] = ()) -> tuple[Tensor, ...]:
        """Return five maps of logits, (N, 1, h, w), on the grids of the network.

        Args:
            frame: (N, 3, H, W) pixels normalised for ImageNet.
            features: of `predict`; none stand for zeros, as while the spatial branch learns by itself.
        """
        if self.detach_tcb:
            features = [level.detach() for level in features]
        result: tuple[Tensor, ...] = self.segmentation(frame, features)
        return result

    def forward(self, past: Tensor | None, frame: Tensor) -> Output:
        """Return logits at the size of the frame, and the predicted frame.

        Args:
            past: (N, 3 * delta, H, W), see `predict`; not looked at without temporal branch. None for the
                spatial branch by itself.
            frame: (N, 3, H, W), see `segment`.
        """
        prediction = None if self.generator is None or past is None else self.predict(past)
        logits = self.segment(frame, () if prediction is None else prediction.features)
        return Output(
            tuple(self.enlarge(level, frame.shape[-2:]) for level in logits),
            None if prediction is None else prediction.frame,
        )

    def enlarge(self, maps: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
        """Resize maps (N, C, h, w) of the network bilinearly to the size of a frame."""
        return enlarged(maps, size) if self.lite else enlarge(maps, size)

    def seen(self, frames: Tensor) -> Tensor:
        """Return whole frames, (N, C, H, W), at the size that the network looks at: smaller when lite."""
        return seen(frames) if self.lite else frames

    def load_encoders(self, weights: str | Path | None, key: str = "encoder_weights") -> dict[str, Loaded]:
        """Start the encoders of both branches from weights of ImageNet.

        Raises:
            InputError: see `load_pretrained`.
        """
        branches = {"generator": self.generator, "segmentation": self.segmentation}
        return {name: part.load_encoder(weights, key) for name, part in branches.items() if part is not None}


def _channels(generator: AnyGenerator | None) -> tuple[int, ...]:
    return () if generator is None else generator.channels


def _norms(part: nn.Module) -> list[nn.BatchNorm2d]:
    return [layer for layer in part.modules() if isinstance(layer, nn.BatchNorm2d)]
