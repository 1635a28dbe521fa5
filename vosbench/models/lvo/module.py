"""LVO: training and inference around `LVONet`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.classification import MulticlassJaccardIndex

from vosbench.config import StageConfig
from vosbench.errors import InputError
from vosbench.flow.encodings import Angle
from vosbench.method import Size, Task
from vosbench.models.layers.deeplab import CLASSES
from vosbench.models.layers.preprocessing import Convention, normalise
from vosbench.models.layers.pretrained import RANDOM, refuse_torchvision
from vosbench.models.lvo.network import (
    APPEARANCES,
    DEEPLABS,
    MEMORY_NAMES,
    MOTIONS,
    STAGES,
    TINY,
    USED,
    LVONet,
    Widths,
)
from vosbench.models.lvo.streams import (
    ZOO,
    field_of_every_frame,
    load_appearance,
    load_motion,
    motion_code,
)
from vosbench.models.mpnet.module import TEST_SHORT_SIDE
from vosbench.models.mpnet.network import SMALLEST_SIDE
from vosbench.models.pixelwise import enlarge, mean_over_known, shrink_masks
from vosbench.models.postprocessing.crf import parse_crf, refine, require_crf
from vosbench.models.postprocessing.windows import STEP, WINDOW, stream_windows
from vosbench.models.pretrained.zoo import packaged
from vosbench.models.switches import require, require_count, require_share
from vosbench.models.validated import MONITOR, Validated
from vosbench.models.vos_module import VOSModule
from vosbench.video import VOID, IdMap, Segmentation, Video

WIDTHS = {"full": Widths(), "tiny": TINY}
CLASS_IOU = "val/class_iou"
"""Logged mean over the classes of VOC, of which background is one."""
PRETRAINS = ("voc", "imagenet")
NORMS = ("frozen", "trained")
_FILES = ("appearance_weights", "motion_weights", "motion_test")
"""Keys that say where weights come from; a checkpoint holds all weights and needs none of them."""


class LVO(VOSModule):
    """Learning video object segmentation: an appearance and a motion stream, and a memory of what moved.

    Args:
        size: ``"full"`` as published, ``"tiny"`` the same topology for a CPU.
        appearance: ``deeplab_v2``, ``deeplab_v1_fc6``, ``deeplab_v1_fc7``, ``deeplab_v1_conv5``, ``cnn2``,
            ``rgb`` or ``none``.
        appearance_pretrain: ``voc``: stage ``appearance`` fine-tunes the DeepLab on PASCAL VOC;
            ``imagenet``: it keeps its classification weights.
        appearance_weights: what training starts from: a name of torchvision's, a file (also a checkpoint
            of stage ``appearance``), or ``random``; None: those of the checkpoint it goes on from.
        appearance_norm: batch normalisation while the DeepLab is fine-tuned, ``frozen`` or ``trained``;
            None: frozen, trained when tiny.
        convention: ``torchvision``, pixels and strides as its weights expect them, or ``caffe``, as those
            released with DeepLab do.
        motion: ``mpnet`` or ``none``.
        motion_weights: what training starts from: ``zoo`` (the MP-Net of this size that comes with the
            package), a checkpoint, or ``random``.
        motion_test: the same for inference alone, in place of the motion weights of the checkpoint
            (table 5); None keeps those.
        motion_short_side: shorter side of the flow that MP-Net sees, pixels; None for its test size.
        angle: encoding of flow that the motion weights were trained with.
        memory: ``convgru``, ``convlstm``, ``convrnn`` or ``none``.
        bidirectional: run the memory in both directions.
        threshold: probability above which a pixel is foreground.
        crf: refine the probability of each frame by a dense CRF (extra ``crf``); false, true, or
            settings, see `vosbench.models.postprocessing.crf.CrfSettings`.
        window: frames of a window of a long video.
        step: frames from one window to the next.

    Raises:
        InputError: a value outside its choices, or neither of the two streams.
    """

    task: Task = "unsupervised"
    name = "lvo"
    file_keys = _FILES
    stages = STAGES
    inspectable: ClassVar[Mapping[str, str]] = {
        "gates": "gates of the memory, forward in time: 'reset' and 'update' of chosen channels of a ConvGRU",
        "motion": "what the motion stream holds for moving",
    }

    replaceable: ClassVar[Mapping[str, str]] = {"motion_test": "network.motion."}

    def __init__(
        self,
        size: Size = "full",
        appearance: str = "deeplab_v2",
        appearance_pretrain: str = "voc",
        appearance_weights: str | None = None,
        appearance_norm: str | None = None,
        convention: Convention = "torchvision",
        motion: str = "mpnet",
        motion_weights: str = ZOO,
        motion_test: str | None = None,
        motion_short_side: int | None = None,
        angle: Angle = "unsigned",
        memory: str = "convgru",
        bidirectional: bool = True,
        threshold: float = 0.5,
        crf: bool | Mapping[str, Any] = False,
        window: int = WINDOW,
        step: int = STEP,
    ) -> None:
        super().__init__()
        require("lvo", "size", size, tuple(WIDTHS))
        require("lvo", "appearance", appearance, APPEARANCES)
        require("lvo", "appearance_pretrain", appearance_pretrain, PRETRAINS)
        require("lvo", "convention", convention, get_args(Convention))
        require("lvo", "motion", motion, MOTIONS)
        require("lvo", "angle", angle, get_args(Angle))
        require("lvo", "memory", memory, MEMORY_NAMES)
        require("lvo", "bidirectional", bidirectional, (False, True))
        if appearance_norm is not None:
            require("lvo", "appearance_norm", appearance_norm, NORMS)
        if appearance_weights is not None and appearance not in DEEPLABS:
            raise InputError(f"lvo: appearance={appearance} has no weights to load, leave appearance_weights")
        if appearance == motion == "none":
            raise InputError("lvo: appearance and motion are both none, the memory would see nothing")
        if convention == "caffe":
            refuse_torchvision("lvo", {"appearance_weights": appearance_weights}, "convention=torchvision")
        short_side = TEST_SHORT_SIDE[size] if motion_short_side is None else motion_short_side
        require_share("lvo", "threshold", threshold)
        require_count("lvo", "motion_short_side", short_side, SMALLEST_SIDE, "pixels")
        require_count("lvo", "window", window)
        require_count("lvo", "step", step)
        if step > window:
            raise InputError(f"lvo: step is {step}, at most the window of {window}, or frames are left out")
        self.save_hyperparameters()
        self.angle: Angle = angle
        self.convention: Convention = convention
        self.threshold = threshold
        self.motion_short_side = short_side
        self.crf = parse_crf(crf)
        self.window, self.step = window, step
        self.needs_flow = motion != "none"
        self.network = LVONet(appearance, motion, memory, bidirectional, WIDTHS[size], convention)
        if self.network.motion is not None and motion_test is not None:
            load_motion(self.network.motion, motion_test, size, angle)
        self.class_iou = MulticlassJaccardIndex(CLASSES, ignore_index=VOID)
        self.stage_name = "memory"
        self.frozen_norm = True

    @property
    def packaged_weights(self) -> dict[str, Path]:
        """Keys whose value stands for weights of the package, and the file of these."""
        keys = ("motion_weights", "motion_test") if self.network.motion is not None else ()
        return {key: packaged("mpnet", self.hparams["size"]) for key in keys if self.hparams[key] == ZOO}

    def begin_stage(self, name: str, settings: StageConfig) -> None:
        """Load the streams' weights; train the DeepLab on VOC, or the memory beside frozen streams."""
        keys = self.hparams
        if name == "appearance" and (
            keys["appearance"] not in DEEPLABS or keys["appearance_pretrain"] != "voc"
        ):
            raise InputError(
                f"lvo: with appearance={keys['appearance']} and appearance_pretrain="
                f"{keys['appearance_pretrain']} nothing is fine-tuned on VOC, write stage=memory"
            )
        self.needs_flow = keys["motion"] != "none" and name == "memory"
        if self.network.appearance is not None and keys["appearance_weights"] is not None:
            load_appearance(self.network.appearance, keys["appearance_weights"])
        if self.network.motion is not None:
            load_motion(self.network.motion, keys["motion_weights"], keys["size"], self.angle)
        norm = keys["appearance_norm"] or ("trained" if keys["size"] == "tiny" else "frozen")
        self.frozen_norm = norm == "frozen"
        self.network.train_stage(name, frozen_norm=self.frozen_norm)

    @property
    def monitor(self) -> str:
        """Name of the value that chooses the best checkpoint: of classes in stage ``appearance``, else J."""
        return CLASS_IOU if self.stage_name == "appearance" else MONITOR

    @property
    def segments(self) -> bool:
        """False in stage ``appearance``, which learns the classes of VOC."""
        return self.stage_name == "memory"

    @property
    def kept(self) -> dict[str, str]:
        """Weights that the stage uses and does not train, or their statistics, see `RandomWeights.refuse`."""
        if self.hparams["appearance"] not in DEEPLABS:
            return {}
        key = "model.appearance_weights"
        if self.stage_name == "memory":
            if self.hparams["appearance_weights"] == RANDOM:
                return {}
            fill = f"write {key}=CHECKPOINT of stage appearance, init=CHECKPOINT or {key}=random"
            return {f"network.appearance.{part}.": fill for part in USED[self.hparams["appearance"]]}
        fill = f"write {key}=ResNet101_Weights.IMAGENET1K_V2 or model.appearance_norm=trained"
        return {"network.appearance.body.": fill} if self.frozen_norm else {}

    def forward(self, frames: Tensor, flow: Tensor | None = None) -> Tensor:
        """Return logits of background and foreground, (B, T, 2, h, w), h and w an eighth of H and W.

        Args:
            frames: (B, T, 3, H, W) RGB in 0..255.
            flow: (B, T, 2, H, W) pixels to the next frame, or (B, T-1, 2, H, W): the last frame then
                keeps the field before it; None without motion stream.
        """
        code = None
        if self.network.motion is not None and flow is not None:
            fields = field_of_every_frame(flow, frames.shape[1])
            flat = motion_code(fields.flatten(0, 1), self.motion_short_side, self.angle)
            code = flat.reshape(*fields.shape[:2], *flat.shape[1:])
        logits: Tensor = self.network(normalise(frames, self.convention), code)
        return logits

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Return the mean cross-entropy over frames and the eighth grid, void pixels left out.

        Of two classes, background and foreground; in stage ``appearance`` of those of VOC.
        """
        scores, target = self._scores(batch)
        target = shrink_masks(target, scores.shape[-2:])
        losses = F.cross_entropy(scores, target.long(), ignore_index=VOID, reduction="none")
        loss = mean_over_known(losses, target)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch["frames"]))
        return loss

    def validate_clips(self, batch: dict[str, Tensor]) -> Validated:
        """Log J at the size of the masks; in stage ``appearance`` also the mean IoU of the classes."""
        scores, target = self._scores(batch)
        frames, probability = batch["frames"].flatten(0, 1), enlarge(scores.softmax(dim=1), target.shape[-2:])
        if self.stage_name == "appearance":
            classes = probability.argmax(dim=1)
            self.class_iou.update(classes, target.long())
            self.log(CLASS_IOU, self.class_iou, prog_bar=True, on_step=False, on_epoch=True)
            return self.measure({"frames": frames, "predicted": classes, "target": target})
        predicted = probability[:, 1] > self.threshold
        return self.measure({"frames": frames, "predicted": predicted, "target": target})

    def _scores(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return (B * T, classes, h, w) scores and (B * T, H, W) uint8 classes, 255 void."""
        target = batch["masks"].flatten(0, 1)
        if self.stage_name == "appearance":
            return self.network.scores(normalise(batch["frames"].flatten(0, 1), self.convention)), target
        logits = self(batch["frames"], batch.get("flow"))
        return logits.flatten(0, 1), torch.where(target == VOID, target, (target > 0).to(target.dtype))

    def segment(self, video: Video, first_mask: IdMap | None = None) -> Segmentation:
        """Segment in windows; in each the memory looks at all frames, in the overlaps they are averaged.

        The last frame, which has no successor, keeps the motion before it.

        Args:
            video: T frames, with flow unless there is no motion stream.
            first_mask: not used, the method is unsupervised.

        Raises:
            InputError: the video has no flow or a single frame and the motion stream needs them, a map
                to inspect is not there, or the CRF is not installed.
        """
        if self.network.motion is not None and video.flow is None:
            raise InputError(f"video {video.name}: lvo with motion=mpnet needs optical flow")
        if self.network.motion is not None and len(video) < 2:
            raise InputError(f"video {video.name} has one frame: lvo with motion=mpnet needs a successor")
        if self.crf is not None:
            require_crf()
        return Segmentation(self._masks(video, self._window_runner()), len(video))

    def _masks(self, video: Video, run: _Run) -> Iterator[IdMap]:
        self.eval()
        size = video.frames[0].shape[:2]
        features = self._features(video)
        maps = stream_windows(features, len(video), run, window=self.window, step=self.step)
        for index, grid in enumerate(maps):
            probability = enlarge(torch.from_numpy(grid)[None, None], size)[0, 0].numpy()
            if self.crf is not None:
                probability = refine(video.frames[index], probability, self.crf)
            yield (probability > self.threshold).astype(np.uint8)

    def _features(self, video: Video) -> Iterator[_Seen]:
        motion = None
        for index in range(len(video)):
            if self.network.motion is not None and video.flow is not None and index < len(video) - 1:
                motion = self._motion(video.flow[index])
            if motion is not None:
                self._show(index, "motion", "motion", motion[0, 0])
            yield _Seen(index, self._seen(video.frames[index], motion))

    @torch.inference_mode()
    def _motion(self, field: NDArray[np.float32]) -> Tensor:
        """(2, H, W) pixels -> (1, 1, h, w) probability."""
        flow = torch.from_numpy(np.array(field, dtype=np.float32))[None].to(self.device)
        return self.network.motion_probability(motion_code(flow, self.motion_short_side, self.angle))

    @torch.inference_mode()
    def _seen(self, frame: NDArray[np.uint8], motion: Tensor | None) -> Tensor:
        """(H, W, 3) -> (C, h, w)."""
        pixels = torch.from_numpy(np.array(frame)).to(self.device).permute(2, 0, 1)[None]
        return self.network.features(normalise(pixels, self.convention), motion)[0]

    def _window_runner(self) -> _Run:
        """Return what runs the memory over a window; gates of a frame are shown by the first that sees it."""
        inspection = self.inspection
        gates = inspection is not None and "gates" in inspection.maps
        if gates and self.hparams["memory"] not in ("convgru", "convlstm"):
            raise InputError(f"lvo: memory={self.hparams['memory']} has no gates to inspect")
        count = WIDTHS[self.hparams["size"]].memory
        channels = inspection.channels_of("gates", count) if inspection is not None and gates else ()
        shown = -1

        @torch.inference_mode()
        def run(window: list[_Seen]) -> NDArray[np.floating]:
            nonlocal shown

            def watch(step: int, values: Mapping[str, Tensor]) -> None:
                index = window[step].frame
                if inspection is None or index <= shown:
                    return
                for channel in channels:
                    for gate, maps in values.items():
                        self._show(index, "gates", f"{gate} {channel}", maps[0, channel])

            x = torch.stack([seen.features for seen in window])[None]
            logits = self.network.remember(x, watch if gates else None)
            shown = max(shown, window[-1].frame)
            result: NDArray[np.floating] = logits[0].softmax(dim=1)[:, 1].cpu().numpy()
            return result

        return run

    def _show(self, index: int, name: str, title: str, values: Tensor) -> None:
        if self.inspection is not None and name in self.inspection.maps:
            self.inspection.show(index, title, values.float().cpu().numpy())


class _Seen(NamedTuple):
    """What the streams see of a frame; features are (C, h, w)."""

    frame: int
    features: Tensor


_Run = Callable[[list[_Seen]], NDArray[np.floating]]
