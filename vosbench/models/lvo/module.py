"""LVO: training and inference around `LVONet`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.classification import MulticlassJaccardIndex

from vosbench.config import StageConfig
from vosbench.data.roots import cache_root
from vosbench.errors import InputError
from vosbench.flow.encodings import Angle
from vosbench.method import Size
from vosbench.models.layers.deeplab import CLASSES
from vosbench.models.layers.preprocessing import Convention, flow_tensor, frame_tensor, normalise
from vosbench.models.layers.pretrained import RANDOM
from vosbench.models.lvo.feature_cache import FeatureCache
from vosbench.models.lvo.lite import cut_clip, enlarged, on_fine_grid, to_fine_grid
from vosbench.models.lvo.network import (
    DEEPLABS,
    LITE,
    STAGES,
    USED,
    LVONet,
    on_grid,
)
from vosbench.models.lvo.streams import (
    field_of_every_frame,
    load_appearance,
    load_motion,
    motion_code,
)
from vosbench.models.lvo.switches import WIDTHS, check
from vosbench.models.mpnet.module import SIZE_INSIDE, TEST_SHORT_SIDE
from vosbench.models.pixelwise import enlarge, mean_over_known, merged_objects, shrink_masks
from vosbench.models.postprocessing.crf import parse_crf, refine, require_crf
from vosbench.models.postprocessing.windows import STEP, WINDOW, stream_windows
from vosbench.models.pretrained.lite_appearance import ZOO
from vosbench.models.pretrained.zoo import packaged
from vosbench.models.validated import MONITOR, Validated
from vosbench.models.vos_module import VOSModule
from vosbench.video import VOID, IdMap, Segmentation, Video

CLASS_IOU = "val/class_iou"
"""Logged mean over the classes of VOC, of which background is one."""
_LONGER = 4
"""A window of more than so many times the frames that the memory was trained on is warned of."""


class LVO(VOSModule):
    """Learning video object segmentation: an appearance and a motion stream, and a memory of what moved.

    Args:
        size: ``"full"`` as published; ``"lite"`` with the appearance stream of FusionSeg lite;
            ``"tiny"`` the same topology for a CPU.
        appearance: ``deeplab_v2``, ``deeplab_v1_fc6``, ``deeplab_v1_fc7``, ``deeplab_v1_conv5``, ``cnn2``,
            ``rgb`` or ``none``; when lite ``efficientnet_lite0`` in place of the DeepLabs. None: that of
            the size, ``deeplab_v2`` or ``efficientnet_lite0``.
        appearance_pretrain: ``voc``: stage ``appearance`` fine-tunes the DeepLab on PASCAL VOC;
            ``imagenet``: it keeps its classification weights.
        appearance_weights: what training starts from: a name of torchvision's, a file (also a checkpoint
            of stage ``appearance`` or, when lite, of FusionSeg lite), ``zoo`` (when lite, the FusionSeg that
            comes with the package), or ``random``; None: those of the checkpoint it goes on from.
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
        cache_features: compute the maps of the frozen streams once per frame and keep them under the cache
            folder while the memory is trained.
        map_crop: share of either side of the maps that a training clip keeps, cut at random.
        shortest_clip: fewest frames of a training clip, which is cut to a random length; None: whole clips.
        trained_frames: most frames of the clips that the memory was trained on; set by training.

    Raises:
        InputError: a value outside its choices, or neither of the two streams.
    """

    name = "lvo"
    file_keys = ("appearance_weights", "motion_weights", "motion_test")
    stages = STAGES
    inspectable: ClassVar[Mapping[str, str]] = {
        "gates": "gates of the memory, forward in time: 'reset' and 'update' of chosen channels of a ConvGRU",
        "motion": "what the motion stream holds for moving",
    }

    replaceable: ClassVar[Mapping[str, str]] = {"motion_test": "network.motion."}

    def __init__(
        self,
        size: Size = "full",
        appearance: str | None = None,
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
        cache_features: bool = False,
        map_crop: float = 1.0,
        shortest_clip: int | None = None,
        trained_frames: int | None = None,
    ) -> None:
        super().__init__()
        lite = size == "lite"
        appearance = appearance or (LITE if lite else "deeplab_v2")
        self.save_hyperparameters()
        self.hparams["appearance"] = appearance
        check(self.hparams)
        short_side = TEST_SHORT_SIDE[SIZE_INSIDE[size]] if motion_short_side is None else motion_short_side
        self.lite = lite
        self.angle: Angle = angle
        self.convention: Convention = convention
        self.threshold = threshold
        self.motion_short_side = short_side
        self.resolved_keys = {"motion_short_side": short_side}
        self.crf = parse_crf(crf)
        self.window, self.step = window, step
        self.needs_flow = motion != "none"
        self.network = LVONet(appearance, motion, memory, bidirectional, WIDTHS[size], convention)
        if self.network.motion is not None and motion_test is not None:
            load_motion(self.network.motion, motion_test, size, angle)
        self.class_iou = MulticlassJaccardIndex(CLASSES, ignore_index=VOID)
        self.stage_name = "memory"
        self.frozen_norm = True
        self._cached: dict[str, FeatureCache] = {}

    @property
    def packaged_weights(self) -> dict[str, Path]:
        """Keys whose value stands for weights of the package, and the file of these."""
        size: Size = self.hparams["size"]
        files = {"appearance_weights": packaged("fusionseg", size)} if self.lite else {}
        if self.network.motion is not None:
            files |= dict.fromkeys(("motion_weights", "motion_test"), packaged("mpnet", SIZE_INSIDE[size]))
        return {key: file for key, file in files.items() if self.hparams[key] == ZOO}

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
        if name == "memory":
            keys["trained_frames"] = max(settings.clip.length, keys["trained_frames"] or 0)
            self._cached = {}
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
        if self.hparams["appearance"] not in USED:
            return {}
        key = "model.appearance_weights"
        if self.stage_name == "memory":
            if self.hparams["appearance_weights"] == RANDOM:
                return {}
            of = "of fusionseg, size lite" if self.lite else "of stage appearance"
            fill = f"write {key}=CHECKPOINT {of}, init=CHECKPOINT or {key}=random"
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
        return self.network.remember(self._streams(frames, flow))

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Return the mean cross-entropy over frames and the eighth grid, void pixels left out.

        When lite, over a grid twice as fine as the maps. Of two classes, background and foreground; in stage
        ``appearance`` of those of VOC.
        """
        scores, target = self._training_scores(batch)
        losses = F.cross_entropy(scores, target.long(), ignore_index=VOID, reduction="none")
        loss = mean_over_known(losses, target)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch["frames"]))
        return loss

    def validate_clips(self, batch: dict[str, Tensor]) -> Validated:
        """Log J at the size of the masks; in stage ``appearance`` also the mean IoU of the classes."""
        scores, target = self._scores(batch)
        frames = batch["frames"].flatten(0, 1)
        probability = self._enlarged(scores.softmax(dim=1), target.shape[-2:])
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
        x = self._streams(batch["frames"], batch.get("flow"))
        logits = self.network.remember(x)
        return logits.flatten(0, 1), merged_objects(target)

    def _training_scores(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return scores (N, classes, h, w) and the classes that they are compared with, (N, h, w) uint8."""
        if self.stage_name == "appearance" or not self.lite:
            scores, target = self._scores(batch)
            return scores, shrink_masks(target, scores.shape[-2:])
        x = self._streams(batch["frames"], batch.get("flow"))
        size = tuple(x.shape[-2:])
        target = on_fine_grid(merged_objects(batch["masks"].flatten(0, 1)), (size[0], size[1]))
        target = target.reshape(*x.shape[:2], *target.shape[1:])
        x, target = cut_clip(x, target, self.hparams["shortest_clip"], self.hparams["map_crop"])
        return to_fine_grid(self.network.remember(x).flatten(0, 1)), target.flatten(0, 1)

    def _streams(self, frames: Tensor, flow: Tensor | None) -> Tensor:
        """Return what the memory sees, (B, T, C, h, w); the arguments are those of `forward`."""
        size = self.network.grid(*frames.shape[-2:])
        appearance = motion = None
        if self.network.appearance is not None:
            appearance = self._maps("appearance", frames.flatten(0, 1), self._appearance_map)
        if self.network.motion is not None and flow is not None:
            fields = field_of_every_frame(flow, frames.shape[1]).flatten(0, 1)
            motion = self._maps("motion", fields, lambda field: on_grid(self._motion_map(field), size))
        x = self.network.joined(appearance, motion)
        return x.reshape(*frames.shape[:2], *x.shape[1:])

    def _appearance_map(self, frames: Tensor) -> Tensor:
        return self.network.appearance_map(normalise(frames, self.convention))

    def _motion_map(self, fields: Tensor) -> Tensor:
        return self.network.motion_probability(motion_code(fields, self.motion_short_side, self.angle))

    def _maps(self, stream: str, inputs: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """Return maps of a stream, (N, C, h, w), of the cache where it is frozen and features are cached."""
        if not self.hparams["cache_features"] or stream in self.network.trained:
            return compute(inputs)
        if stream not in self._cached:
            keys = ("motion_short_side", "angle", "convention")
            settings = {"stream": stream} | {key: getattr(self, key) for key in keys}
            self._cached[stream] = FeatureCache(cache_root(), getattr(self.network, stream), settings)
        return self._cached[stream].maps(inputs, compute)

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
        self._warn_of_long_windows(len(video))
        return Segmentation(self._masks(video, self._window_runner()), len(video))

    def _warn_of_long_windows(self, frames: int) -> None:
        trained, seen = self.hparams["trained_frames"], min(self.window, frames)
        if trained is not None and seen > _LONGER * trained:
            logging.getLogger(__name__).warning(
                "lvo: its memory was trained on clips of at most %d frames and looks at %d at once: "
                "set window and step to smaller numbers",
                trained,
                seen,
            )

    def _enlarged(self, values: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
        return enlarged(values, size) if self.lite else enlarge(values, size)

    def _masks(self, video: Video, run: _Run) -> Iterator[IdMap]:
        self.eval()
        size = video.frames[0].shape[:2]
        features = self._features(video)
        maps = stream_windows(features, len(video), run, window=self.window, step=self.step)
        for index, grid in enumerate(maps):
            probability = self._enlarged(torch.from_numpy(grid)[None, None], size)[0, 0].numpy()
            if self.crf is not None:
                probability = refine(video.frames[index], probability, self.crf)
            yield (probability > self.threshold).astype(np.uint8)

    def _features(self, video: Video) -> Iterator[_Seen]:
        motion = None
        for index in range(len(video)):
            if self.network.motion is not None and video.flow is not None and index < len(video) - 1:
                motion = self._motion(video.flow[index])
            if motion is not None:
                self.show(index, "motion", "motion", motion[0, 0])
            yield _Seen(index, self._seen(video.frames[index], motion))

    @torch.inference_mode()
    def _motion(self, field: NDArray[np.float32]) -> Tensor:
        """(2, H, W) pixels -> (1, 1, h, w) probability."""
        return self._motion_map(flow_tensor(field, self.device))

    @torch.inference_mode()
    def _seen(self, frame: NDArray[np.uint8], motion: Tensor | None) -> Tensor:
        """(H, W, 3) -> (C, h, w)."""
        pixels = frame_tensor(frame, self.device)
        return self.network.features(normalise(pixels, self.convention), motion)[0]

    def _window_runner(self) -> _Run:
        """Return what runs the memory over a window; gates of a frame are shown by the first that sees it."""
        inspection = self.inspection
        gates = self.shows("gates")
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
                        self.show(index, "gates", f"{gate} {channel}", maps[0, channel])

            x = torch.stack([seen.features for seen in window])[None]
            logits = self.network.remember(x, watch if gates else None)
            shown = max(shown, window[-1].frame)
            result: NDArray[np.floating] = logits[0].softmax(dim=1)[:, 1].cpu().numpy()
            return result

        return run


class _Seen(NamedTuple):
    """Output of the streams for a frame; features are (C, h, w)."""

    frame: int
    features: Tensor


_Run = Callable[[list[_Seen]], NDArray[np.floating]]
