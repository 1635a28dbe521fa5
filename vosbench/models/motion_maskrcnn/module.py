"""Motion Mask R-CNN: training and inference around `MotionMaskRCNNNet`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vosbench.config import StageConfig
from vosbench.errors import InputError
from vosbench.method import Detections, Size
from vosbench.models.layers.detection import Targets, foreground, no_loss, pixels
from vosbench.models.layers.preprocessing import Scaling, flow_tensor, frame_tensor, normalise
from vosbench.models.layers.pretrained import RANDOM
from vosbench.models.motion_maskrcnn.detections import FrameDetections, plain
from vosbench.models.motion_maskrcnn.encoding import ChannelOrder, FlowImage, FlowRange
from vosbench.models.motion_maskrcnn.lite import relative_flow
from vosbench.models.motion_maskrcnn.network import Merge, MergeInit, Route, Stream
from vosbench.models.motion_maskrcnn.options import (
    FILES,
    STAGES,
    STREAM_STAGES,
    WARMUP,
    Options,
    build_network,
    check,
    kept_parts,
)
from vosbench.models.motion_maskrcnn.weights import (
    body_hash,
    load_appearance,
    load_bodies,
    load_motion,
    load_static,
)
from vosbench.models.mpnet.module import SIZE_INSIDE
from vosbench.models.optimizers import ParameterGroup, bias_groups, warmup_factor
from vosbench.models.postprocessing.tracker import OverlapTracker
from vosbench.models.pretrained.lite_appearance import ZOO
from vosbench.models.pretrained.zoo import packaged
from vosbench.models.validated import Validated
from vosbench.models.vos_module import VOSModule
from vosbench.video import IdMap, Segmentation, Video

_ROUTES: Mapping[str, Route] = {"A": "appearance", "M1": "motion", "M2": "motion"}


class MotionMaskRCNN(VOSModule):
    """Mask R-CNN on frames, on their optical flow, or on both, and a tracker.

    Args:
        size: ``"full"`` as published; ``"lite"`` with EfficientNet-Lite0 and MP-Net in place of ResNets;
            ``"tiny"`` the same topology for a CPU.
        stream: ``joint``, ``appearance`` or ``motion``.
        coco_classes: ``objectness``, one class, or ``class_specific``: stage A and the static branch tell
            80 classes apart, and their detections are merged afterwards.
        merge: of the features of both bodies: ``3convs``, ``concat_conv``, ``average`` or ``concat``.
        merge_init: ``random``, or the stream that ``concat_conv`` copies at first.
        mask_input: what masks are drawn from: ``rgb`` or ``merged`` features.
        freeze: what the joint stages leave as it is, of ``appearance``, ``motion`` and ``mask``.
        convention: pixels and strides as the weights expect them, ``torchvision`` or ``detectron``.
        norm_eps: of frozen norms; None: 0 for ``detectron``, 1e-5 for ``torchvision``, whose weights of
            COCO need 0.
        body_weights: what every body starts from: a name of torchvision's, a file, or None.
        appearance_weights: the detector of stage A that a joint one starts from, or what stage A starts from:
            a checkpoint, a file or name of torchvision's, or None. When lite, also weights of FusionSeg lite,
            or ``"zoo"``, those that come with the package.
        motion_weights: the checkpoint of stage M2 that the joint stages start from, or None. When lite, also
            weights of MP-Net; None takes those that come with the package.
        static_objects: the joint network has the static branch, and the tracker sees its detections.
        static_weights: for inference, a checkpoint of stage A to fill the static branch with; None keeps
            what the checkpoint has.
        channel_order: of the flow image, see `FlowImage`, as are the next three; none of them when lite.
        quantise_8bit: whether flow passes through 8 bits.
        low_magnitude_threshold: pixels.
        flow_range: ``released`` or ``unit``.
        output: ``tracks``, ids of objects, or ``union``: 1 where anything moves.
        score_threshold: detections with scores above are part of the union.
        alpha_high, alpha_low, t_inactive, bidirectional: of the tracker, see `OverlapTracker`.
        warmup: iterations over which the learning rate rises from a third; None: 500, 20 when tiny.

    Raises:
        InputError: a value outside its choices, or switches that exclude each other.
    """

    name = "motion_maskrcnn"
    file_keys = FILES
    stages = STAGES
    released_switches: ClassVar[Mapping[str, Any]] = {"convention": "detectron", "static_objects": False}
    replaceable: ClassVar[Mapping[str, str]] = {"static_weights": "network.static."}
    inspectable: ClassVar[Mapping[str, str]] = {
        "moving": "highest score of the moving objects detected at each pixel",
        "static": "the same of the static branch; with output=tracks",
    }

    def __init__(
        self,
        size: Size = "full",
        stream: Stream = "joint",
        coco_classes: str = "objectness",
        merge: Merge = "3convs",
        merge_init: MergeInit = "random",
        mask_input: str = "rgb",
        freeze: Sequence[str] = ("appearance", "motion", "mask"),
        convention: Scaling = "torchvision",
        norm_eps: float | None = None,
        body_weights: str | None = None,
        appearance_weights: str | None = None,
        motion_weights: str | None = None,
        static_objects: bool = True,
        static_weights: str | None = None,
        channel_order: ChannelOrder = "bgr_code",
        quantise_8bit: bool = True,
        low_magnitude_threshold: float = 0.0,
        flow_range: FlowRange = "released",
        output: str = "tracks",
        score_threshold: float = 0.7,
        alpha_high: float = 0.9,
        alpha_low: float = 0.7,
        t_inactive: int = 10,
        bidirectional: bool = True,
        warmup: int | None = None,
    ) -> None:
        super().__init__()
        freeze = list(freeze)
        self.save_hyperparameters()
        options = Options(dict(self.hparams))
        check(options)
        self.options = options
        self.convention: Scaling = convention
        self.encode: Callable[[Tensor], Tensor] = (
            relative_flow
            if options.lite
            else FlowImage(channel_order, quantise_8bit, low_magnitude_threshold, flow_range)
        )
        self.tracker = OverlapTracker(alpha_high, alpha_low, t_inactive, bidirectional)
        self.warmup = WARMUP[size] if warmup is None else warmup
        self.needs_flow = stream != "appearance"
        self.network = build_network(options)
        self.stage_name = STREAM_STAGES[stream][0]
        self.route: Route = "main"
        self._filled = False
        self._body_of_static = None if static_weights is None else load_static(self.network, static_weights)

    @property
    def packaged_weights(self) -> dict[str, Path]:
        """Keys whose value stands for weights of the package, and the file of these."""
        if not self.options.lite:
            return {}
        taken = {}
        if self.options["appearance_weights"] == ZOO:
            taken["appearance_weights"] = packaged("fusionseg", "lite")
        if self.options["motion_weights"] is None and self.network.stream != "appearance":
            taken["motion_weights"] = packaged("mpnet", SIZE_INSIDE["lite"])
        return taken

    def adapt_state(self, state: dict[str, Any], prefix: str) -> None:
        """Leave the static branch of a checkpoint out of a joint network without one."""
        if self.network.stream == "joint" and self.network.static is None:
            for key in [key for key in state if key.startswith(f"{prefix}network.static.")]:
                del state[key]

    def begin_stage(self, name: str, settings: StageConfig) -> None:
        """Load the weights that training starts from; train the route of the stage, less the frozen parts."""
        self.options.check_stage(name)
        self.needs_flow = name != "A"
        weights = self.hparams
        if weights["body_weights"] is not None:
            load_bodies(self.network, weights["body_weights"])
        files = {
            key: weights[key] for key in ("appearance_weights", "motion_weights")
        } | self.packaged_weights
        if files["appearance_weights"] not in (None, RANDOM):
            load_appearance(self.network, files["appearance_weights"])
        if files["motion_weights"] not in (None, RANDOM):
            load_motion(self.network, files["motion_weights"])
        joint = weights["stream"] == "joint"
        self.route = _ROUTES.get(name, "main") if joint else "main"
        self.network.train_route(self.route, weights["freeze"] if joint else ())
        self._filled = False

    def load_state_dict(self, *arguments: Any, **keys: Any) -> Any:
        """Load weights; a stage that follows on from these keeps the heads they have."""
        self._filled = True
        return super().load_state_dict(*arguments, **keys)

    @property
    def segments(self) -> bool:
        """False while one of the streams of the joint network is trained."""
        return self.route == "main"

    @property
    def kept(self) -> dict[str, str]:
        """Weights that the stage uses and does not train, see `RandomWeights.refuse`."""
        return kept_parts(self.options, self.network, self.stage_name)

    def setup(self, stage: str) -> None:
        """Start the heads of the joint detector from those of the appearance model."""
        if stage != "fit":
            return
        first = self.stage_name == "J1" or (self.stage_name == "J2" and not self._filled)
        if first and self.network.static is not None and self.trainer.ckpt_path is None:
            self.network.start_from_static()

    def parameter_groups(self) -> Sequence[nn.Parameter | ParameterGroup]:
        """Return the parameters that the stage trains: biases learn twice as fast and do not decay."""
        return bias_groups(self.network)

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None
    ) -> None:
        """Make a step, in the first ones with a lower learning rate."""
        factor = warmup_factor(self.trainer.global_step, self.warmup)
        rates = [group["lr"] for group in optimizer.param_groups]
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        # given back, so that schedules of any kind go on from what they know
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Return the sum of the five losses over the frames whose objects are known."""
        pictures, targets = self._pictures(batch)
        known = [index for index, target in enumerate(targets) if target["labelled"]]
        if not known:
            return no_loss(self.network)
        heads = self.network.heads(self.route)
        losses = self.network.losses(
            [pictures[index] for index in known], [heads.classified(targets[index]) for index in known]
        )
        return self.log_losses(losses, len(known))

    def validate_clips(self, batch: dict[str, Any]) -> Validated:
        """Log J of the union of all detections against the union of all labelled objects."""
        frames, predicted, known = [], [], []
        for frame, picture, target in zip(self._frames(batch), *self._pictures(batch), strict=True):
            if not target["labelled"]:
                continue
            (found,) = self.network([picture], self.route, self.hparams["score_threshold"])
            frames.append(frame)
            predicted.append(pixels(found).any(dim=0))
            known.append(foreground(target))
        return self.measure({"frames": frames, "predicted": predicted, "target": known})

    def _frames(self, batch: dict[str, Any]) -> list[Tensor]:
        """Return the frames of which `_pictures` makes pictures."""
        clips = batch["frames"]
        fields = batch["flow"] if self.needs_flow else clips
        return [frame for clip, known in zip(clips, fields, strict=True) for frame in clip[: len(known)]]

    def _pictures(self, batch: dict[str, Any]) -> tuple[list[Tensor], Targets]:
        """Return the pictures of the frames for the network of the stage, and their targets."""
        pictures, targets = [], []
        for number, frames in enumerate(batch["frames"]):
            fields = batch["flow"][number] if self.needs_flow else [None] * len(frames)
            # frames that lead nowhere are left out
            for frame, field, target in zip(frames, fields, batch["targets"][number], strict=False):
                pictures.append(self.picture(frame, field, self.route))
                targets.append(target)
        return pictures, targets

    def picture(self, frame: Tensor, field: Tensor | None, route: Route = "main") -> Tensor:
        """Return the input of the network for a frame.

        Args:
            frame: (3, H, W) RGB in 0..255.
            field: (2, H, W) flow in pixels; None where only the frame is seen.
            route: which part of the network.

        Returns:
            (3, H, W), or frame above flow, (6, H, W); flow has 2 channels when lite.
        """
        stream = self.hparams["stream"] if route == "main" else route
        if field is None or stream == "appearance":
            return normalise(frame, self.convention)
        code = self.encode(field)
        return code if stream == "motion" else torch.cat([normalise(frame, self.convention), code])

    def segment(self, video: Video, first_mask: IdMap | None = None) -> Segmentation:
        """Segment frame by frame; a tracker that goes back yields nothing before the last frame was seen.

        The last frame has no flow: what moves in it is not known, what the static branch finds may
        continue tracks.

        Args:
            video: T frames, with flow unless the stream is ``appearance``.
            first_mask: not used, the method is unsupervised.

        Raises:
            InputError: the video has no flow and the stream needs it, or the static branch is of another
                appearance body.
        """
        self._check_video(video)
        return Segmentation(self._maps(video), len(video))

    def _maps(self, video: Video) -> Iterator[IdMap]:
        if self.hparams["output"] == "union":
            threshold = self.hparams["score_threshold"]
            yield from (frame.moving.union(threshold) for frame in self.detect(video, threshold))
            return
        least = self.tracker.alpha_low
        frames = self.detect(video, least, static=self.network.static is not None)
        yield from self.tracker.track(frame.tracked(least) for frame in frames)

    def detect(
        self, video: Video, least_score: float = 0.0, *, static: bool = False
    ) -> Iterator[FrameDetections]:
        """Yield the detections of each frame, best first, with scores above `least_score` and 0.05.

        Args:
            video: as for `segment`.
            least_score: what is not above is not looked at any further.
            static: also ask the static branch.

        Raises:
            InputError: as for `segment`.
        """
        self._check_video(video)
        self.eval()
        for index in range(len(video)):
            frame = self._detected(video, index, least_score, static)
            for name, detections in frame._asdict().items():
                if detections is not None and self.shows(name):
                    self.show(index, name, name, detections.best())
            yield frame

    @torch.inference_mode()
    def _detected(self, video: Video, index: int, least_score: float, static: bool) -> FrameDetections:
        rgb = frame_tensor(video.frames[index], self.device)[0]
        field = None
        if self.needs_flow:
            if video.flow is None or index >= len(video) - 1:
                nothing = Detections.none(*rgb.shape[1:])
                if not static:
                    return FrameDetections(nothing, None)
                (still,) = self.network([self.picture(rgb, None)], "appearance", least_score)
                return FrameDetections(nothing, plain(still))
            field = flow_tensor(video.flow[index], self.device)[0]
        pictures = [self.picture(rgb, field)]
        if not static:
            return FrameDetections(plain(self.network(pictures, "main", least_score)[0]), None)
        (moving,), (still,) = self.network.both(pictures, least_score)
        return FrameDetections(plain(moving), plain(still))

    def _check_video(self, video: Video) -> None:
        stream = self.hparams["stream"]
        if self.needs_flow and video.flow is None:
            raise InputError(f"video {video.name}: motion_maskrcnn with stream={stream} needs optical flow")
        if self._body_of_static is not None and self._body_of_static != body_hash(self.network):
            raise InputError(
                "motion_maskrcnn: static_weights are of another appearance body than the checkpoint; give "
                "the appearance model that its training started from"
            )
        self._body_of_static = None
