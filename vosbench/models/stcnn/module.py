"""STCNN: training and inference around `STCNNNet`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from vosbench.composition import load_stage
from vosbench.config import OptimizerConfig, ScheduleConfig, StageConfig
from vosbench.errors import InputError
from vosbench.method import Size, Task
from vosbench.models.layers.preprocessing import normalise
from vosbench.models.layers.pretrained import load_pretrained, refuse_torchvision
from vosbench.models.optimizers import ParameterGroup, bias_groups, build_optimizer
from vosbench.models.pixelwise import merged_objects
from vosbench.models.pretrained.lite_appearance import ZOO, load_lite_appearance
from vosbench.models.pretrained.zoo import packaged
from vosbench.models.stcnn.blocks import TINY, StrideIn
from vosbench.models.stcnn.discriminator import Discriminator
from vosbench.models.stcnn.generator import DELTA, Prediction, scale_past
from vosbench.models.stcnn.keys import BY_SIZE, STRIDE, WIDTHS, resolved
from vosbench.models.stcnn.lite import LiteSpatialBranch
from vosbench.models.stcnn.losses import ADVERSARIAL, Balance, segmentation_loss, shrink_frames, side_weight
from vosbench.models.stcnn.network import Output, STCNNNet
from vosbench.models.stcnn.tracking import STCNNTracker, tracking_settings
from vosbench.models.stcnn.training import (
    check_alternating,
    generator_objective,
    split_clip,
    teach_discriminator,
)
from vosbench.models.validated import Validated
from vosbench.models.vos_module import VOSModule
from vosbench.video import IdMap, Segmentation, Video

STAGES = ("temporal", "spatial", "joint")
LEARNERS = {
    "temporal": ("generator", "discriminator"),
    "joint": ("segmentation", "generator", "discriminator"),
}
"""Stage -> parts with an optimiser each."""

ADVERSARY_DECAY = {"temporal": 2e-4, "joint": 5e-4}
"""Stage -> weight decay of the adversaries, by the released code."""

_STARTS = ("encoder_weights", "discriminator_weights")
"""Keys that say where weights come from, for which every size has a value."""

_FILES = (*_STARTS, "appearance_weights")
"""Keys that say where weights come from; a checkpoint holds all weights and needs none of them."""


class STCNN(VOSModule):
    """Spatio-temporal CNN: a temporal branch predicts the next frame, a spatial branch segments it.

    Args:
        size: ``"full"`` as published; ``"lite"`` on EfficientNet-Lite0, for real video on a CPU; ``"tiny"``
            the published topology for a CPU.
        tcb: whether there is a temporal coherence branch (table 3).
        attention: whether coarser maps weigh finer features (table 3).
        lucid: online training on lucid dreams of the first frame (table 3), or on changes of it alone. None:
            dreams, but changes when lite, of which dreams are half with true.
        train_phase: ``both``; ``offline_only``: no online training; ``online_only``: no stage ``joint``
            (table 5).
        online_iterations: steps of online training per object (table 4); None: 400, 100 when lite, 40 when
            tiny.
        online_images: dreams; None: 100, 20 when lite or tiny.
        online_lr: learning rate of online training; None: 1e-4, 2e-4 when lite, 0.003 when tiny.
        online_momentum, online_weight_decay: the same; what else lite does, see `LITE_ONLINE`.
        online_seed: of everything random in it.
        adapt_steps: steps of learning from what is found in every other frame, see
            `STCNNAdaptationSettings`; without online training there are none. None: 0, 2 when lite.
        adapt_lr: learning rate of these steps.
        delta: number of past frames, 3 to 6.
        start: past frames where there are too few, ``paper`` or ``code``, see `past_indices`.
        topdown: ``resize`` or ``code_crop``, see `SpatialDecoder`.
        detach_tcb: keep the gradient of the segmentation from the temporal branch.
        d_remap: the discriminator takes predicted frames for frames of ImageNet, as released.
        d_outputs: 1 as released, 2 as in the paper.
        adversarial: weight of the adversarial term of the generator.
        margin: of the balance between the two, see `Balance`.
        discriminator_lr: of its Adam.
        joint_generator_lr: of the generator's Adam in stage ``joint``; None: 1e-8, 1e-4 when lite or tiny.
        adversary_decay: weight decay of both in stage ``joint``, of the discriminator in ``temporal``; None:
            5e-4 and 2e-4.
        spatial_gate: look for the object near its last place only, by the released code.
        gate_reach, gate_least, gate_threshold: see `GateSettings`; lite takes the first two for pixels of a
            frame of 480 rows, whatever the size of the frame, and keeps whole parts. None: 80,
            160 when lite.
        tcb_bn_test_mode: statistics of the temporal branch in a test, ``stored``, or ``batch`` as released.
        released: what the released network does and the paper does not say, see `STCNNNet`.
        stride_in: ``1x1`` as released, ``3x3`` for weights of torchvision; None: 3x3, 1x1 when tiny or
            with `released`.
        norm: statistics of the spatial branch while it is trained, ``frozen`` or ``trained``; None:
            frozen, trained when tiny or from random weights.
        dice: weight of the soft Dice loss of the fused map beside the cross-entropy; None: 0, 1 when lite.
        encoder_lr: factor on the learning rate of the encoder of the spatial branch of lite.
        encoder_weights: what training starts both encoders from: a name of torchvision's, a file, or
            ``random``; None: of ImageNet where no checkpoint is given, torchvision's, those of the extra
            ``backbones`` when lite, random when tiny.
        appearance_weights: what the spatial branch of lite starts from: a checkpoint of FusionSeg lite,
            ``zoo``, the one that comes with the package, or None, nothing but its encoder.
        discriminator_weights: the same for the discriminator.
        temporal_size: [height, width] to which stage ``temporal`` resizes frames; None: 480 x 854, any
            when tiny.
        threshold: probability above which a pixel belongs to an object.

    Raises:
        InputError: a value outside its choices.
    """

    task: Task = "semi-supervised"
    name = "stcnn"
    file_keys = _FILES
    stages = STAGES
    released_switches: ClassVar[Mapping[str, Any]] = {"released": True}
    """Switches of the network for the weights that the authors released."""

    inspectable: ClassVar[Mapping[str, str]] = {
        "attention": "where each of the three attention modules looks, from coarse to fine",
        "predicted": "the frame that the temporal branch predicts, in grey",
    }

    def __init__(
        self,
        size: Size = "full",
        tcb: bool = True,
        attention: bool = True,
        lucid: bool | None = None,
        train_phase: str = "both",
        online_iterations: int | None = None,
        online_images: int | None = None,
        online_lr: float | None = None,
        online_momentum: float = 0.9,
        online_weight_decay: float = 5e-4,
        online_seed: int = 0,
        adapt_steps: int | None = None,
        adapt_lr: float = 1e-4,
        delta: int = DELTA,
        start: str = "paper",
        topdown: str = "resize",
        detach_tcb: bool = True,
        d_remap: bool = True,
        d_outputs: int = 1,
        adversarial: float = ADVERSARIAL,
        margin: float = 0.3,
        discriminator_lr: float = 1e-4,
        joint_generator_lr: float | None = None,
        adversary_decay: float | None = None,
        spatial_gate: bool = True,
        gate_reach: int | None = None,
        gate_least: int = 50,
        gate_threshold: float = 0.4,
        tcb_bn_test_mode: str = "stored",
        released: bool = False,
        stride_in: StrideIn | None = None,
        norm: str | None = None,
        dice: float | None = None,
        encoder_lr: float = 0.1,
        encoder_weights: str | None = None,
        appearance_weights: str | None = None,
        discriminator_weights: str | None = None,
        temporal_size: Sequence[int] | None = None,
        threshold: float = 0.5,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.resolved_keys = values = resolved(self.hparams)
        self.norm: str = values["norm"]
        self._start: dict[str, str] = {key: values[key] for key in _STARTS}
        self._stride_in: StrideIn = values["stride_in"]
        self.dice: float = values["dice"]
        self.temporal_size: tuple[int, int] | None = values["temporal_size"]
        self.joint_generator_lr: float = values["joint_generator_lr"]
        self.threshold = threshold
        self.tracking = tracking_settings({**self.hparams, **values})
        self.network = STCNNNet(
            tcb=tcb,
            attention=attention,
            delta=delta,
            topdown=topdown,
            detach_tcb=detach_tcb,
            tcb_bn_test_mode=tcb_bn_test_mode,
            released=released,
            widths=WIDTHS[size],
            stride_in=self._stride_in,
        )
        self.discriminator: Discriminator | None = None
        self._unfilled: set[str] = set()
        self.balance = Balance(margin=margin)
        self.stage_name = "joint"

    def adapt_state(self, state: dict[str, Any], prefix: str) -> None:
        """Leave a discriminator out of a network without one; a missing discriminator stays as it is."""
        start = f"{prefix}discriminator."
        saved = [key for key in state if key.startswith(start)]
        self._unfilled.discard("encoder_weights")
        if self.discriminator is None:
            for key in saved:
                del state[key]
        elif saved:
            self._unfilled.discard("discriminator_weights")
        else:
            state.update({start + key: value for key, value in self.discriminator.state_dict().items()})

    def begin_stage(self, name: str, settings: StageConfig) -> None:
        """Load the initial weights; train both branches and an adversary in turns, or the spatial branch."""
        keys = self.hparams
        if name == "temporal" and not keys["tcb"]:
            raise InputError("stcnn: with tcb=false there is no temporal branch, begin with stage=spatial")
        if name == "joint" and keys["train_phase"] == "online_only":
            raise InputError("stcnn: train_phase=online_only ends with stage=spatial, leave joint out")
        self.automatic_optimization = name == "spatial"
        if name != "spatial":
            check_alternating(name, settings, keys["delta"] + 1 if keys["tcb"] else 1)
        self._unfilled = {key for key in _STARTS if keys[key] is None}
        self._load_branches(keys["encoder_weights"])
        if keys["tcb"]:
            widths = WIDTHS[keys["size"]]
            width = (TINY if widths == "lite" else widths).discriminator
            judge = Discriminator(keys["d_outputs"], remap=keys["d_remap"], width=width)
            load_pretrained(judge, keys["discriminator_weights"], key="model.discriminator_weights")
            self.discriminator = judge.requires_grad_(name != "spatial")
        self.balance = Balance(generator=name != "joint", margin=keys["margin"])
        self.network.train_stage(name, frozen_norm=self.norm == "frozen")

    @property
    def segments(self) -> bool:
        """False in stage ``temporal``, which learns nothing of masks."""
        return self.stage_name != "temporal"

    @property
    def kept(self) -> dict[str, str]:
        """Weights that the stage normalises by stored statistics, see `RandomWeights.refuse`."""
        if self.stage_name == "temporal" or self.norm != "frozen":
            return {}
        weights = BY_SIZE["lite" if self.network.lite else "full"]["encoder_weights"]
        return {
            "network.segmentation.encoder.": f"write model.encoder_weights={weights}, init=CHECKPOINT or "
            "model.norm=trained"
        }

    def setup(self, stage: str) -> None:
        """Fill the parts that no other weights were given for with weights of ImageNet.

        Raises:
            InputError: they cannot be had, or do not fit the strides of the network.
        """
        if stage != "fit" or self.trainer.ckpt_path is not None:
            return
        if "encoder_weights" in self._unfilled:
            weights = self._start["encoder_weights"]
            if self._stride_in == "1x1":
                refuse_torchvision("stcnn", {"encoder_weights": weights}, STRIDE)
            self._load_branches(weights)
        if "discriminator_weights" in self._unfilled and self.discriminator is not None:
            load_pretrained(
                self.discriminator, self._start["discriminator_weights"], key="model.discriminator_weights"
            )

    def _load_branches(self, encoders: str | None) -> None:
        """Load both encoders, and all of the spatial branch where an appearance stream is given for it."""
        self.network.load_encoders(encoders, "model.encoder_weights")
        branch, appearance = self.network.segmentation, self.hparams["appearance_weights"]
        if isinstance(branch, LiteSpatialBranch) and appearance is not None:
            load_lite_appearance(branch, appearance, "stcnn")

    @property
    def packaged_weights(self) -> dict[str, Path]:
        """Keys whose value stands for weights of the package, and the file of these."""
        taken = self.hparams["appearance_weights"] == ZOO
        return {"appearance_weights": packaged("fusionseg", "lite")} if taken else {}

    @property
    def _learners(self) -> tuple[str, ...]:
        return LEARNERS[self.stage_name] if self.hparams["tcb"] else ("segmentation",)

    def parameter_groups(self) -> Sequence[nn.Parameter | ParameterGroup]:
        """Return the parameters that stage ``spatial`` trains: biases learn at a rate of their own.

        Of lite the encoder does, biases learn as the rest.
        """
        return self._spatial_groups() if self.network.lite else bias_groups(self.network)

    def _spatial_groups(self) -> list[nn.Parameter | ParameterGroup]:
        branch = self.network.segmentation
        encoder = ParameterGroup(list(branch.encoder.parameters()), lr=self.hparams["encoder_lr"])
        return [encoder, *branch.decoder.parameters()]

    def configure_optimizers(self) -> Any:
        """Return the optimiser and schedule of stage ``spatial``; of the others an optimiser per part."""
        if self.stage_name == "spatial":
            return super().configure_optimizers()
        stage, keys = self.stage or load_stage(self.name, self.stage_name), self.hparams
        rates = {"generator": self.joint_generator_lr, "discriminator": keys["discriminator_lr"]}
        decay = keys["adversary_decay"]
        decay = ADVERSARY_DECAY[self.stage_name] if decay is None else decay
        optimizers = []
        for number, name in enumerate(self._learners):
            part: nn.Module = getattr(self if name == "discriminator" else self.network, name)
            settings = OptimizerConfig("adam", rates[name], 0.9, decay) if number else stage.optimizer
            groups = self._spatial_groups() if name == "segmentation" else part.parameters()
            optimizers.append(build_optimizer(groups, settings, ScheduleConfig(), 1)["optimizer"])
        return optimizers

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write the network and the turn of the adversaries into the checkpoint."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["balance"] = [self.balance.generator, self.balance.discriminator]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the turn of the adversaries."""
        generator, discriminator = checkpoint["balance"]
        self.balance = Balance(generator, discriminator, self.hparams["margin"])

    def forward(self, frames: Tensor) -> Output:
        """Return logits of the last frame of clips, and its prediction from the frames before.

        Args:
            frames: (B, T, 3, H, W) RGB in 0..255, T at least 1 + delta; 1 without temporal branch.
        """
        past, present = split_clip({"frames": frames}, self.hparams["delta"])
        frame = normalise(present, "torchvision")
        output: Output = self.network(past if self.hparams["tcb"] else None, frame)
        return output

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor | None:
        """Return the loss of stage ``spatial``; in other stages let the parts learn in turns."""
        if self.stage_name == "spatial":
            masks = merged_objects(batch["masks"][:, -1])
            loss = segmentation_loss(self._spatial_logits(batch), masks, dice=self.dice)
            self.log("train/loss", loss, prog_bar=True, batch_size=len(batch["frames"]))
            return loss
        self._alternate(batch, batch_idx)
        return None

    def _alternate(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Let the discriminator learn, then the generator, unless they rest, and the spatial branch.

        A generator that rests learns from nothing, not even the segmentation with ``detach_tcb=false``.
        """
        opened = self.optimizers()
        optimizers: dict[str, Any] = dict(
            zip(self._learners, opened if isinstance(opened, list) else [opened], strict=True)
        )
        size = self.temporal_size if self.stage_name == "temporal" else None
        past, present = split_clip(batch, self.hparams["delta"], size)
        turn = [name for name in optimizers if name == "segmentation" or getattr(self.balance, name)]
        objective = present.new_zeros(())
        prediction = None
        if self.discriminator is not None:
            prediction, part = self._adversaries(past, present, optimizers, turn)
            objective = objective + part
        if "segmentation" in turn:
            features = () if prediction is None else prediction.features
            logits = self.network.segment(normalise(present, "torchvision"), features)
            masks = merged_objects(batch["masks"][:, -1])
            enlarged = [self.network.enlarge(level, masks.shape[-2:]) for level in logits]
            loss = segmentation_loss(enlarged, masks, side_weight(*self._progress(batch_idx)), self.dice)
            self.log("train/loss", loss, prog_bar=True, batch_size=len(past))
            objective = objective + loss
        learning = [optimizers[name] for name in turn if name != "discriminator"]
        if learning:
            for optimizer in learning:
                optimizer.zero_grad()
            self.manual_backward(objective)
            for optimizer in learning:
                optimizer.step()

    def _adversaries(
        self, past: Tensor, present: Tensor, optimizers: Mapping[str, Any], turn: Sequence[str]
    ) -> tuple[Prediction, Tensor]:
        """Let the discriminator learn, decide whose turn it is next, return the loss of the generator."""
        judge = self.discriminator
        assert judge is not None
        with torch.set_grad_enabled("generator" in turn):
            prediction = self.network.predict(past)
        real = shrink_frames(scale_past(present), prediction.frame.shape[-2:])
        losses = teach_discriminator(
            judge,
            prediction.frame,
            real,
            self.manual_backward,
            optimizers["discriminator"] if "discriminator" in turn else None,
        )
        # all devices must agree whose turn it is
        fake, true = self.trainer.strategy.reduce(losses, reduce_op="mean").tolist()
        self.balance = self.balance.after(fake, true)
        size = len(past)
        self.log_dict({"train/d_fake": fake, "train/d_real": true}, batch_size=size)
        if "generator" not in turn:
            return prediction, losses.new_zeros(())
        loss = generator_objective(judge, prediction.frame, real, self.hparams["adversarial"])
        self.log("train/g_loss", loss, prog_bar=True, batch_size=size)
        return prediction, loss

    def _progress(self, batch_idx: int) -> tuple[int, int]:
        done = self.current_epoch * int(self.trainer.num_training_batches) + batch_idx
        return done, max(1, int(self.trainer.estimated_stepping_batches))

    def _spatial_logits(self, batch: dict[str, Tensor]) -> list[Tensor]:
        """Return the maps of the last frames at their size, (B, 1, H, W) each; the past is not seen."""
        frames = batch["frames"][:, -1]
        maps = self.network.segment(normalise(frames, "torchvision"))
        return [self.network.enlarge(level, frames.shape[-2:]) for level in maps]

    def validate_clips(self, batch: dict[str, Tensor]) -> Validated:
        """Log J of the last frames that have masks.

        Raises:
            InputError: in stage ``temporal``, which learns nothing of masks.
        """
        if self.stage_name == "temporal":
            raise InputError("stcnn: stage temporal has nothing to validate, write data.val_split=null")
        logits = self._spatial_logits(batch) if self.stage_name == "spatial" else self(batch["frames"]).logits
        predicted = logits[-1][:, 0].sigmoid() > self.threshold
        frames, target = batch["frames"][:, -1], merged_objects(batch["masks"][:, -1])
        return self.measure({"frames": frames, "predicted": predicted, "target": target})

    def segment(self, video: Video, first_mask: IdMap | None = None) -> Segmentation:
        """Learn each object of the first mask, then find it frame by frame.

        Args:
            video: T frames.
            first_mask: (H, W) uint8 ids of frame 0; they are the result there.

        Raises:
            InputError: there is no mask or no object in it, or a map to inspect is not there.
        """
        first_mask = self.objects_of(video, first_mask)
        for name in () if self.inspection is None else self.inspection.maps:
            switch = {"attention": "attention", "predicted": "tcb"}[name]
            if not self.hparams[switch]:
                raise InputError(f"stcnn: with {switch}=false there is no map '{name}' to inspect")
        tracker = STCNNTracker(self.network, self.tracking, self.show)
        return Segmentation(tracker.masks(video, first_mask), len(video))
