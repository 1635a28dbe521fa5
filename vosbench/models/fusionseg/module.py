"""FusionSeg: training and inference around `FusionSegNet`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from vosbench.config import StageConfig
from vosbench.data.transforms.clip_transforms import resize_flow
from vosbench.errors import InputError
from vosbench.method import Size
from vosbench.models.fusionseg.backbones import (
    Backbone,
    LiteStream,
    MotionNetwork,
    MpnetStream,
)
from vosbench.models.fusionseg.inputs import (
    LEAST,
    LastFlow,
    every_field,
    field_of,
    fitted_size,
    flow_picture,
    load_stream,
    padded,
    resized,
    stream_file,
)
from vosbench.models.fusionseg.network import (
    STREAMS,
    AnyStream,
    FusionSegNet,
    PaperFusion,
    Stream,
    StreamName,
)
from vosbench.models.fusionseg.switches import WIDTHS, check_switches
from vosbench.models.layers.preprocessing import Convention, flow_tensor, frame_tensor, normalise
from vosbench.models.layers.pretrained import RANDOM
from vosbench.models.mpnet.module import SIZE_INSIDE
from vosbench.models.optimizers import ParameterGroup
from vosbench.models.pixelwise import dice_loss, enlarge, mean_over_known, merged_objects, shrink_masks
from vosbench.models.pretrained.lite_appearance import ZOO
from vosbench.models.pretrained.zoo import packaged
from vosbench.models.validated import Validated
from vosbench.models.vos_module import VOSModule
from vosbench.video import VOID, IdMap, Segmentation, Video

STAGES = ("appearance", "motion", "joint")


class FusionSeg(VOSModule):
    """FusionSeg: what looks like an object, what moves like one, and a small network that decides.

    Args:
        size: ``"full"`` as published; ``"lite"`` with EfficientNet-Lite0 and MP-Net in place of ResNets;
            ``"tiny"`` the same topology for a CPU.
        stream: ``joint``, ``appearance`` (A of the paper) or ``motion`` (M). A single stream can be had of
            a joint checkpoint, too.
        fusion: of the joint model, ``paper`` or ``released``.
        fusion_start: of the paper's fusion before training, ``random`` or ``identity``; None: random,
            identity when not full. The released one starts at random.
        appearance_weights: what training starts from: a name of torchvision's, a file, weights of
            fusionseg, ``zoo``, those that come with the package, or ``random``; None is random, too, but
            ImageNet for ``efficientnet_lite0``.
        motion_weights: the same for the motion stream; for ``mpnet`` also weights of mpnet, of which None
            takes those that come with the package.
        backbone: of the appearance stream, ``resnet`` as published, or ``efficientnet_lite0``, which is lite
            and starts from ImageNet (extra ``backbones``); None: that of the size.
        motion_network: ``resnet`` as published or, when lite, ``efficientnet_lite0``, which see a picture of
            the flow; or ``mpnet``, the network of that method, which sees its angle field. None: resnet,
            mpnet when lite.
        norm: batch normalisation of both streams, ``frozen`` or ``trained``; None: frozen, trained in a tiny
            ResNet.
        dice: weight of the soft Dice loss beside the cross-entropy of a stream; None: 0, 1 when lite.
        convention: ``torchvision``, pixels and strides as its weights expect them, or ``caffe``, as the
            released ones do.
        head_lr: factor on the learning rate of the classifiers; None: 10, 1 in a tiny ResNet.
        fusion_lr: factor on that of the fusion.
        fusion_bias_lr: factor on that of its biases.
        longest_side: larger frames are made smaller for inference, pixels; None for any size.
        pad: add black at the right and at the bottom, to 289 x 513 at least; None: true when full.
        last_flow: flow of the last frame where the video comes without the one to the frame before: the
            field before it, ``negated`` or ``repeated``.
        threshold: probability above which a pixel is foreground.

    Raises:
        InputError: a value outside its choices.
    """

    name = "fusionseg"
    file_keys = ("appearance_weights", "motion_weights")
    stages = STAGES
    released_switches: ClassVar[Mapping[str, Any]] = {"convention": "caffe", "fusion": "released"}
    """What the network is built with for the weights that the authors released."""

    inspectable: ClassVar[Mapping[str, str]] = {
        "appearance": "what the appearance stream holds for an object",
        "motion": "what the motion stream holds for an object",
        "branches": "chosen channels of the branches of the fusion, each frame's largest value is 1",
    }

    def __init__(
        self,
        size: Size = "full",
        stream: str = "joint",
        fusion: str = "paper",
        fusion_start: str | None = None,
        appearance_weights: str | None = None,
        motion_weights: str | None = None,
        backbone: Backbone | None = None,
        motion_network: MotionNetwork | None = None,
        norm: str | None = None,
        dice: float | None = None,
        convention: Convention = "torchvision",
        head_lr: float | None = None,
        fusion_lr: float = 10.0,
        fusion_bias_lr: float = 20.0,
        longest_side: int | None = 513,
        pad: bool | None = None,
        last_flow: LastFlow = "negated",
        threshold: float = 0.5,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        check_switches(self.hparams)
        self.convention: Convention = convention
        self.longest_side = longest_side
        self.pad = size == "full" if pad is None else pad
        self.resolved_keys = {"pad": self.pad}
        self.dice = float(size == "lite") if dice is None else dice
        self.last_flow: LastFlow = last_flow
        self.threshold = threshold
        self.needs_flow = stream != "appearance"
        motion = motion_network or ("mpnet" if size == "lite" else "resnet")
        self.sees_flow = motion == "mpnet"
        others: dict[StreamName, Callable[[], AnyStream]] = {}
        if size == "lite":
            others = dict.fromkeys(STREAMS, LiteStream)
        if self.sees_flow:
            others["motion"] = partial(MpnetStream, size)
        frozen = norm == "frozen" if norm is not None else size != "tiny"
        by_itself: tuple[StreamName, ...] = tuple(others) if norm is None else ()
        self.frozen_norm = STREAMS if frozen else by_itself
        self.network = FusionSegNet(
            stream, fusion, WIDTHS[size], convention, frozen_norm=self.frozen_norm, others=others
        )
        start = fusion_start or ("random" if size == "full" else "identity")
        if start == "identity" and isinstance(self.network.fusion, PaperFusion):
            self.network.fusion.start_as_identity()
        self.stage_name = stream
        self.network.train_stage(stream)

    @property
    def packaged_weights(self) -> dict[str, Path]:
        """Keys whose value stands for weights of the package, and the file of these."""
        size: Size = self.hparams["size"]
        values = {f"{name}_weights": self.hparams[f"{name}_weights"] for name in self.network.streams}
        taken = {key: packaged("fusionseg", size) for key, value in values.items() if value == ZOO}
        if self.sees_flow and values.get("motion_weights", ZOO) is None:
            taken["motion_weights"] = packaged("mpnet", SIZE_INSIDE[size])
        return taken

    def adapt_state(self, state: dict[str, Any], prefix: str) -> None:
        """Leave the other stream and the fusion of a joint checkpoint out of a single stream."""
        for part in (*STREAMS, "fusion"):
            if getattr(self.network, part) is None:
                for key in [key for key in state if key.startswith(f"{prefix}network.{part}.")]:
                    del state[key]

    def begin_stage(self, name: str, settings: StageConfig) -> None:
        """Load what the streams start from; train one of them, or the fusion beside both."""
        stream = self.hparams["stream"]
        if stream not in ("joint", name):
            raise InputError(f"fusionseg: stream={stream} has nothing to train there, write stage={stream}")
        self.needs_flow = name != "appearance"
        for each, module in self.network.streams.items():
            size: Size = self.hparams["size"]
            weights = stream_file(self.hparams[f"{each}_weights"], size)
            load_stream(module, each, weights, size, self.convention, fresh=each == name)
        self.network.train_stage(name)

    @property
    def segments(self) -> bool:
        """False while a stream of the joint model is trained."""
        return bool(self.stage_name == self.hparams["stream"])

    @property
    def kept(self) -> dict[str, str]:
        """Weights that the stage uses and does not train, or their statistics, see `RandomWeights.refuse`."""
        stage = self.stage_name
        if stage == "joint":
            return {
                f"network.{name}.": f"write model.{name}_weights=CHECKPOINT of stage {name}, init=CHECKPOINT "
                f"or model.{name}_weights=random"
                for name in self.network.streams
                if self.hparams[f"{name}_weights"] != RANDOM
            }
        if stage not in self.frozen_norm:
            return {}
        body = "network." if stage == "motion" and self.sees_flow else "body."
        fill = f"write model.{stage}_weights=ResNet101_Weights.IMAGENET1K_V1, or model.norm=trained"
        return {f"network.{stage}.{body}": fill}

    def parameter_groups(self) -> Sequence[nn.Parameter | ParameterGroup]:
        """Return what the stage trains; classifiers and the fusion learn at rates of their own."""
        trained = {name: p for name, p in self.network.named_parameters() if p.requires_grad}
        if self.stage_name == "joint":
            weights = [p for name, p in trained.items() if name.endswith("weight")]
            biases = [p for name, p in trained.items() if name.endswith("bias")]
            return [
                ParameterGroup(weights, lr=self.hparams["fusion_lr"]),
                ParameterGroup(biases, lr=self.hparams["fusion_bias_lr"]),
            ]
        head = [p for name, p in trained.items() if ".head." in name]
        body: list[nn.Parameter] = [p for name, p in trained.items() if ".head." not in name]
        return [*body, ParameterGroup(head, lr=self._head_lr())]

    def _head_lr(self) -> float:
        given: float | None = self.hparams["head_lr"]
        if given is not None:
            return given
        stream = getattr(self.network, self.stage_name)
        return 1.0 if self.hparams["size"] == "tiny" and isinstance(stream, Stream) else 10.0

    def forward(self, frames: Tensor, flow: Tensor | None = None) -> Tensor:
        """Return logits of background and foreground, (B, T, 2, H, W).

        Args:
            frames: (B, T, 3, H, W) RGB in 0..255.
            flow: (B, T-1 or T, 2, H, W) pixels to the next frame; None without motion stream.
        """
        pictures = self._pictures(frames, flow)
        logits: Tensor = self.network(pictures.get("appearance"), pictures.get("motion"))
        return logits.reshape(*frames.shape[:2], *logits.shape[1:])

    def _pictures(self, frames: Tensor, flow: Tensor | None) -> dict[StreamName, Tensor]:
        """Return what each stream that there are data for is given, (B * T, C, H, W)."""
        found: dict[StreamName, Tensor] = {"appearance": normalise(frames.flatten(0, 1), self.convention)}
        if flow is not None:
            found["motion"] = every_field(flow, frames.shape[1], self.last_flow).flatten(0, 1)
            if not self.sees_flow:
                found["motion"] = normalise(flow_picture(found["motion"]), self.convention)
        return found

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Return the mean cross-entropy over frames and pixels, void ones left out.

        Over an eighth of the pixels for a ResNet, all of them for EfficientNet-Lite0 and for the fusion;
        `dice` adds the soft Dice loss of a stream.
        """
        logits = self._logits(batch, grid=True)
        target = shrink_masks(merged_objects(batch["masks"].flatten(0, 1)), logits.shape[-2:])
        losses = F.cross_entropy(logits, target.long(), ignore_index=VOID, reduction="none")
        loss = mean_over_known(losses, target)
        if self.dice and self.stage_name != "joint":
            loss = loss + self.dice * dice_loss(logits.softmax(dim=1)[:, 1], target)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch["frames"]))
        return loss

    def validate_clips(self, batch: dict[str, Tensor]) -> Validated:
        """Log J of the frames that have masks."""
        probability = self._logits(batch, grid=False).softmax(dim=1)[:, 1]
        frames, target = batch["frames"].flatten(0, 1), merged_objects(batch["masks"].flatten(0, 1))
        predicted = probability > self.threshold
        return self.measure({"frames": frames, "predicted": predicted, "target": target})

    def _logits(self, batch: dict[str, Tensor], *, grid: bool) -> Tensor:
        """Return (B * T, 2, H, W) logits of what the stage trains; of a stream at an eighth, if wanted."""
        if self.stage_name == "joint":
            fused: Tensor = self(batch["frames"], batch.get("flow"))
            return fused.flatten(0, 1)
        name: StreamName = "motion" if self.stage_name == "motion" else "appearance"
        pictures = self._pictures(batch["frames"], batch.get("flow") if name == "motion" else None)
        stream = self.network.streams[name]
        logits: Tensor = stream.scores(pictures[name]) if grid else stream(pictures[name])
        return logits

    def segment(self, video: Video, first_mask: IdMap | None = None) -> Segmentation:
        """Segment frame by frame.

        Args:
            video: T frames, with flow if there is a motion stream: T-1 fields, or T, the last one from
                the last frame to the one before.
            first_mask: not used, the method is unsupervised.

        Raises:
            InputError: the video has no flow and the motion stream needs it, or a map to inspect is not
                there.
        """
        if "motion" in self.network.streams and video.flow is None:
            raise InputError(f"video {video.name}: fusionseg with its motion stream needs optical flow")
        if "motion" in self.network.streams and not video.flow:
            raise InputError(f"video {video.name} has one frame: fusionseg's motion stream compares two")
        self._check_inspection()
        return Segmentation(self._masks(video), len(video))

    def _masks(self, video: Video) -> Iterator[IdMap]:
        self.eval()
        for index in range(len(video)):
            yield (self.probability(video, index) > self.threshold).astype(np.uint8)

    @torch.inference_mode()
    def probability(self, video: Video, index: int) -> NDArray[np.float32]:
        """Return the probability, (H, W) float32, that each pixel of frame `index` is foreground."""
        frame = frame_tensor(video.frames[index], self.device)
        height, width = frame.shape[-2:]
        size = fitted_size(height, width, self.longest_side)
        logits: dict[StreamName, Tensor] = {}
        for name in self.network.streams:
            if name == "appearance":
                logits[name] = self.network.logits(name, self._input(resized(frame, size)))
            else:
                logits[name] = self._motion_logits(video, index, size)
            self.show(index, name, name, _cropped(logits[name].softmax(dim=1), size)[0, 1])
        found = self._fused(index, list(logits.values()), size)
        probability = _cropped(found.float().softmax(dim=1)[:, 1:], size)
        if size != (height, width):
            probability = enlarge(probability, (height, width))
        result: NDArray[np.float32] = probability[0, 0].cpu().numpy()
        return result

    def _motion_logits(self, video: Video, index: int, size: tuple[int, int]) -> Tensor:
        """Return (1, 2, h, w) for a frame of `size`, larger where pictures are padded."""
        flow = flow_tensor(field_of(video, index, self.last_flow), self.device)
        if self.sees_flow:
            # logits are padded: padded flow would say that the border stands still
            return self._padded(self.network.logits("motion", resize_flow(flow, *size)))
        return self.network.logits("motion", self._input(flow_picture(flow, size)))

    def _input(self, picture: Tensor) -> Tensor:
        return normalise(self._padded(picture), self.convention)

    def _padded(self, picture: Tensor) -> Tensor:
        return padded(picture, LEAST) if self.pad else picture

    def _fused(self, index: int, logits: list[Tensor], size: tuple[int, int]) -> Tensor:
        fusion = self.network.fusion
        if fusion is None:
            return logits[0]
        if self.inspection is not None and self.shows("branches"):
            parts = [_cropped(part, size)[0] for part in fusion.parts(*logits)]
            for channel in self.inspection.channels_of("branches", fusion.channels):
                largest = max(float(part[channel].max()) for part in parts) or 1.0
                for branch, part in zip(fusion.branches, parts, strict=True):
                    self.show(index, "branches", f"branch {branch} {channel}", part[channel] / largest)
        result: Tensor = fusion(*logits)
        return result

    def _check_inspection(self) -> None:
        if self.inspection is None:
            return
        fusion, stream = self.network.fusion, self.hparams["stream"]
        for name in self.inspection.maps:
            if fusion is None and name != stream:
                raise InputError(f"fusionseg: stream={stream} has nothing to inspect but '{stream}'")
        if fusion is None or "branches" not in self.inspection.maps:
            return
        self.inspection.channels_of("branches", fusion.channels)


def _cropped(values: Tensor, size: tuple[int, int]) -> Tensor:
    return values[..., : size[0], : size[1]]
