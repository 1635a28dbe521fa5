"""LIP: training and inference around `LIPNet`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vosbench.config import StageConfig
from vosbench.errors import InputError
from vosbench.method import Size, Task
from vosbench.models.layers.detection import Targets, foreground, no_loss, pixels
from vosbench.models.layers.preprocessing import Scaling, normalise
from vosbench.models.layers.pretrained import RANDOM, load_pretrained
from vosbench.models.lip.adaptation import THRESHOLDS, IdTuning
from vosbench.models.lip.heads import IdLoss
from vosbench.models.lip.keys import NAME, WIDTHS, resolved
from vosbench.models.lip.lite import LiteBackbone
from vosbench.models.lip.network import LIPNet
from vosbench.models.lip.online import LIPOnlineSettings
from vosbench.models.lip.pyramid import RECURRENCE, Memory
from vosbench.models.lip.rules import DetectionRules, Order, candidates
from vosbench.models.lip.tracking import LIPTracker, LIPTrackingSettings
from vosbench.models.lip.training import ObjectLabels, expanded
from vosbench.models.pretrained.lite_appearance import ZOO, load_lite_appearance
from vosbench.models.pretrained.zoo import packaged
from vosbench.models.validated import Validated
from vosbench.models.vos_module import VOSModule
from vosbench.video import IdMap, Segmentation, Video

STAGES = ("coco", "vos")
"""Of offline training; the third is part of inference."""

APPEARANCE = "appearance_weights"
"""In the place of a file: weights that come with the package."""

_LAST = "network.heads.roi_heads.box_predictor.cls_score."


class LIP(VOSModule):
    """Mask R-CNN with a memory on every level of its pyramid, which learns the objects of each video by id.

    Args:
        size: ``"full"`` as published; ``"lite"`` on the encoder of FusionSeg lite; ``"tiny"`` the same
            topology for a CPU.
        memory: ``dynamic``, or ``zero``: the state before every frame is zero (table 3).
        bottom_up: finer levels are added to coarser ones after the memory.
        shortcut: features of regions are added to the last convolution of the heads, from stage ``vos`` on.
        gru_on_p6: whether the coarsest level has a memory; None: true, false when lite.
        mask_deconv: masks of 56 x 56 rather than 28 x 28.
        recurrence: frames that a gradient passes together in stage ``vos``; None: all of a clip.
        ids: rows of the last layer of ids, without background; None: 80, the classes of COCO, 1 when lite.
            Checkpoints say how many they have.
        vos_ids: most objects of the videos of stage ``vos``; None: 144 (DAVIS 2017 train), 60 when lite,
            200 when tiny.
        convention: of pixels, ``detectron`` or ``torchvision``, see `normalise`; None: ``detectron``,
            ``torchvision`` when lite.
        body_weights: what the ResNet of stage ``coco`` starts from, a file of one with group
            normalisation; None: random weights.
        appearance_weights: what encoder and pyramid of stage ``coco`` start from when lite: a checkpoint of
            FusionSeg lite, ``zoo``, the one that comes with the package, or ``random``; None: those of the
            checkpoint it goes on from.
        train_sides: shorter sides that frames are resized to in training, one per clip; None: 320 to 640.
        test_side: the same in a test; None: 640, 257 when lite, 128 when tiny.
        online: learn the heads on the first frame; otherwise the last layer of ids alone.
        online_iterations: at most; None: 1000, 80 when lite, 100 when tiny.
        online_lr: None: 0.002, 0.02 when lite or tiny.
        online_seed: of everything random in it.
        online_views: random affine changes of the first frame that are learnt from, too; None: 24 when lite,
            otherwise none.
        id_threshold: of the loss of ids, online and between frames: below, it is low enough; None: 0.02,
            0.002 when lite or tiny.
        focal_gamma, focal_alpha: of the loss of ids online, see `IdLoss`.
        one_maximum: of an id at most one detection is believed.
        location_continuity: ids that were sure of their place stay near it.
        rule_order: which of the two comes first, see `DetectionRules`.
        least_score, candidates, trusted_score, least_iou: see `DetectionRules`.
        overlap_weight: see `DetectionRules`; None: 0.3 when lite, otherwise 0.
        follow: last boxes are proposals, and no id is lost that is near its own, see `DetectionRules`; None:
            true when lite, otherwise false.
        mask_margin: share of width and height that boxes gain before their masks are drawn, see
            `LIPTrackingSettings`; None: 0.15 when lite, otherwise 0.
        mask_growths: how often a box may grow where it cuts its mask off, see `draw_whole`; None: 3 when
            lite, otherwise 0.
        inference_id_tuning: tune the last layer of ids between frames.
        id_tuning_iterations: at most; None: 500, 50 when lite.
        id_tuning_score: see `IdTuning`.
        id_tuning_lr: None: 0.002, 0.01 when lite or tiny.

    Raises:
        InputError: a value outside its choices.
    """

    task: Task = "semi-supervised"
    name = NAME
    file_keys = ("body_weights", "appearance_weights")
    stages = STAGES

    def __init__(
        self,
        size: Size = "full",
        memory: Memory = "dynamic",
        bottom_up: bool = True,
        shortcut: bool = True,
        gru_on_p6: bool | None = None,
        mask_deconv: bool = True,
        recurrence: int | None = RECURRENCE,
        ids: int | None = None,
        vos_ids: int | None = None,
        convention: Scaling | None = None,
        body_weights: str | None = None,
        appearance_weights: str | None = None,
        train_sides: Sequence[int] | None = None,
        test_side: int | None = None,
        online: bool = True,
        online_iterations: int | None = None,
        online_lr: float | None = None,
        online_seed: int = 0,
        online_views: int | None = None,
        id_threshold: float | None = None,
        focal_gamma: float = 2.0,
        focal_alpha: float = 0.25,
        one_maximum: bool = True,
        location_continuity: bool = True,
        rule_order: Order = "continuity_first",
        least_score: float = 0.2,
        candidates: int = 10,
        trusted_score: float = 0.4,
        least_iou: float = 0.3,
        overlap_weight: float | None = None,
        follow: bool | None = None,
        mask_margin: float | None = None,
        mask_growths: int | None = None,
        inference_id_tuning: bool = True,
        id_tuning_iterations: int | None = None,
        id_tuning_score: float = 0.4,
        id_tuning_lr: float | None = None,
    ) -> None:
        super().__init__()
        train_sides = None if train_sides is None else list(train_sides)
        self.save_hyperparameters()
        self.resolved_keys = resolved_keys = resolved(self.hparams)
        self.sides: tuple[int, ...] = resolved_keys["train_sides"]
        self.convention: Scaling = resolved_keys["convention"]
        id_loss = IdLoss(focal=True, gamma=focal_gamma, alpha=focal_alpha, last_layer_only=True)
        self.tracking = LIPTrackingSettings(
            online=LIPOnlineSettings(
                heads=online,
                iterations=resolved_keys["online_iterations"],
                lr=resolved_keys["online_lr"],
                sides=self.sides,
                id_loss=id_loss,
                thresholds=THRESHOLDS | {"loss_classifier": resolved_keys["id_threshold"]},
                seed=online_seed,
                views=resolved_keys["online_views"],
            ),
            tuning=IdTuning(
                iterations=resolved_keys["id_tuning_iterations"],
                threshold=resolved_keys["id_threshold"],
                lr=resolved_keys["id_tuning_lr"],
                loss=id_loss,
                least_score=id_tuning_score,
            )
            if inference_id_tuning
            else None,
            rules=DetectionRules(
                least_score=least_score,
                candidates=candidates,
                trusted_score=trusted_score,
                # nothing overlaps less than not at all
                least_iou=least_iou if location_continuity else 0.0,
                order=rule_order,
                one_maximum=one_maximum,
                overlap_weight=resolved_keys["overlap_weight"],
                follow=resolved_keys["follow"],
            ),
            side=resolved_keys["test_side"],
            convention=self.convention,
            margin=resolved_keys["mask_margin"],
            growths=resolved_keys["mask_growths"],
        )
        self.network = LIPNet(
            resolved_keys["ids"],
            memory=memory,
            bottom_up=bottom_up,
            shortcut=shortcut,
            gru_on_p6=resolved_keys["gru_on_p6"],
            mask_deconv=mask_deconv,
            widths=WIDTHS[size],
        )
        self.object_labels = ObjectLabels(resolved_keys["vos_ids"])
        self.stage_name = "vos"

    def adapt_state(self, state: dict[str, Any], prefix: str) -> None:
        """Make room for as many ids as a checkpoint has."""
        weights = state.get(f"{prefix}{_LAST}weight")
        if weights is not None and len(weights) != 1 + self.network.heads.ids:
            self.network.heads.replace_ids(len(weights) - 1)

    def begin_stage(self, name: str, settings: StageConfig) -> None:
        """Load the body of stage ``coco``; train what the stage does not freeze."""
        if name == "vos" and len(settings.data) > 1:
            raise InputError(f"{NAME}: objects of stage vos are told apart in one data set, not in several")
        if name == "coco":
            self._load_backbone()
        self.network.train_stage("coco" if name == "coco" else "vos")

    def _load_backbone(self) -> None:
        backbone, keys = self.network.backbone, self.hparams
        if isinstance(backbone, LiteBackbone):
            if keys["appearance_weights"] is not None:
                load_lite_appearance(backbone, keys["appearance_weights"], "lip")
            return
        load_pretrained(backbone.body, keys["body_weights"], key="model.body_weights")

    @property
    def packaged_weights(self) -> dict[str, Path]:
        """Switch -> file of the FusionSeg that comes with the package, where encoder and pyramid are its."""
        return {APPEARANCE: packaged("fusionseg", "lite")} if self.hparams[APPEARANCE] == ZOO else {}

    @property
    def segments(self) -> bool:
        """False in stage ``coco``, which trains no memory."""
        return self.stage_name == "vos"

    @property
    def kept(self) -> dict[str, str]:
        """Weights that the stage uses and does not train, see `RandomWeights.refuse`."""
        if isinstance(self.network.backbone, LiteBackbone):
            if self.hparams[APPEARANCE] == RANDOM:
                return {}
            return {
                "network.backbone.body.": "write model.appearance_weights=CHECKPOINT of fusionseg, size lite"
            }
        if self.stage_name == "vos":
            return {"network.backbone.": "write init=CHECKPOINT of stage coco"}
        body = "write model.body_weights=FILE, a ResNet-101 with group normalisation, or init=CHECKPOINT"
        frozen = ("conv1.", "layer1.") if self.network.widths.frozen_stages else ()
        return {f"network.backbone.body.{name}": body for name in frozen}

    def setup(self, stage: str) -> None:
        """Give stage ``vos`` a new last layer of ids, unless training goes on from a checkpoint of it."""
        if stage == "fit" and self.stage_name == "vos" and self.trainer.ckpt_path is None:
            self.network.heads.replace_ids(self.object_labels.most)

    def variant(self) -> dict[str, Any]:
        """Return the switches that a checkpoint is loaded with, and its number of ids."""
        # stage coco knows no shortcut, except when lite
        known = self.stage_name != "coco" or self.network.widths.lite
        shortcut = self.hparams["shortcut"] and known
        return super().variant() | {"ids": self.network.heads.ids, "shortcut": shortcut}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write into the checkpoint which network it is of, and which objects have which id."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["objects"] = [list(pair) for pair in self.object_labels.objects]

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the ids that objects have."""
        objects = [(video, number) for video, number in checkpoint["objects"]]
        self.object_labels = ObjectLabels(self.object_labels.most, objects)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Return the sum of the five losses, each a mean over the frames of the clips."""
        side = self.sides[int(torch.randint(len(self.sides), ()))]
        losses = self.network.losses(
            [normalise(clip, self.convention) for clip in batch["frames"]],
            self._targets(batch),
            short_side=side,
            recurrence=self.hparams["recurrence"],
        )
        if not losses:
            return no_loss(self.network)
        return self.log_losses({name: loss.mean() for name, loss in losses.items()}, len(batch["frames"]))

    def _targets(self, batch: dict[str, Any]) -> list[Targets]:
        """Return the targets of each clip: in stage ``vos`` with larger boxes, and ids of the whole set."""
        clips: list[Targets] = batch["targets"]
        if self.stage_name == "coco":
            return clips
        videos = [int(video) for video in batch["video"]]
        self.object_labels.enter(
            [
                (video, number)
                for video, clip in zip(videos, clips, strict=True)
                for target in clip
                for number in target["ids"].tolist()
            ]
        )
        return [
            [
                expanded(target) | {"labels": self.object_labels.labels(video, target["ids"])}
                for target in clip
            ]
            for video, clip in zip(videos, clips, strict=True)
        ]

    def validate_clips(self, batch: dict[str, Any]) -> Validated:
        """Log J of the union of all detections, of any id, against the union of all labelled objects."""
        rules = self.tracking.rules
        frames, predicted, known = [], [], []
        for clip, targets in zip(batch["frames"], batch["targets"], strict=True):
            state = None
            for frame, target in zip(clip, targets, strict=True):
                found, state, *_ = self.network(
                    normalise(frame, self.convention),
                    state,
                    choose=lambda found: candidates(found, rules),
                    short_side=self.tracking.side,
                )
                if not target["labelled"]:
                    continue
                frames.append(frame)
                predicted.append(pixels(found).any(dim=0))
                known.append(foreground(target))
        return self.measure({"frames": frames, "predicted": predicted, "target": known})

    def segment(self, video: Video, first_mask: IdMap | None = None) -> Segmentation:
        """Learn the objects of the first mask, then find them frame by frame.

        Args:
            video: T frames.
            first_mask: (H, W) uint8 ids of frame 0; they are the result there.

        Raises:
            InputError: there is no mask or no object in it.
        """
        first_mask = self.objects_of(video, first_mask)
        return Segmentation(LIPTracker(self.network, self.tracking).masks(video, first_mask), len(video))
