"""Base of every trained method: stages, optimisation, checkpoints, test and prediction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from torch import nn
from torchmetrics import MetricCollection

from vosbench.config import StageConfig, load_stage
from vosbench.data.modules import VideoDataModule
from vosbench.data.protocol_video import ProtocolVideo
from vosbench.errors import InputError, unknown_name
from vosbench.given import first_labelled
from vosbench.method import Inspection, Task
from vosbench.models.evaluate import Evaluation, evaluate_sequence, segmented
from vosbench.models.optimizers import ParameterGroup, build_optimizer
from vosbench.models.validated import Validated, ValidationIoU
from vosbench.scoring.metrics import protocol_metrics
from vosbench.video import IdMap, Segmentation, Video


class VOSModule(pl.LightningModule):
    """Method of video object segmentation that is trained in stages.

    A method gives its networks, `training_step`, `validate_clips` and `segment`. It overrides `begin_stage`
    where a stage loads, trains or freezes something in particular, and `parameter_groups` where parts learn
    at rates of their own. `Trainer.test` and `Trainer.predict` take a `VideoDataModule`.

    Attributes:
        name: of the method, also that of its recipe.
        task: ``"semi-supervised"`` methods are given the mask of the first frame.
        needs_flow: whether `segment`, and training in the present stage, read optical flow.
        stages: of training, in their order.
        file_keys: switches that say where weights come from; a checkpoint does not repeat them.
        stage: settings of the stage in training; None before `configure_stage`.
        stage_name: name of that stage.
        inspection: maps to show in the next segmentation; None for none.
        iou: what `validate_clips` measures with.
        test_metrics: the values of the protocol, while and after it is tested.
        val_metrics: the same of a validation on whole videos; None on clips.
    """

    name: ClassVar[str]
    task: Task = "unsupervised"
    needs_flow: bool = False
    stages: ClassVar[tuple[str, ...]]
    file_keys: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        super().__init__()
        self.stage: StageConfig | None = None
        self.stage_name = self.stages[0]
        self.inspection: Inspection | None = None
        self.iou = ValidationIoU()
        self.test_metrics: MetricCollection | None = None
        self.val_metrics: MetricCollection | None = None

    def configure_stage(self, name: str, settings: StageConfig | None = None) -> None:
        """Load what a stage starts from, choose what is trained and what `configure_optimizers` sets up.

        Args:
            name: a stage of the recipe.
            settings: its settings, by default those of the packaged recipe.

        Raises:
            InputError: the recipe has no such stage, the variant has nothing to train in it, its settings
                make no sense, or weights are missing or of something else.
        """
        if name not in self.stages:
            raise unknown_name(f"stage of {self.name}", name, self.stages)
        chosen = settings or load_stage(self.name, name)
        self.begin_stage(name, chosen)
        self.stage, self.stage_name = chosen, name

    def begin_stage(self, name: str, settings: StageConfig) -> None:
        """Load, train and freeze what a stage asks for; by default all weights are trained.

        Args:
            name: of the stage, one of `stages`.
            settings: of the stage.

        Raises:
            InputError: as in `configure_stage`.
        """

    @property
    def kept(self) -> Mapping[str, str]:
        """Weights that the stage uses and does not train, or their statistics, see `RandomWeights.refuse`."""
        return {}

    @property
    def packaged_weights(self) -> Mapping[str, Path]:
        """Switch -> file of the weights of another network that it takes out of the package."""
        return {}

    def parameter_groups(self) -> Sequence[nn.Parameter | ParameterGroup]:
        """Return what the stage trains: by default every parameter that is not frozen, all alike."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def configure_optimizers(self) -> Any:
        """Return the optimiser and schedule of the stage."""
        stage = self.stage or load_stage(self.name, self.stage_name)
        attached = self._trainer is not None
        steps = int(self.trainer.estimated_stepping_batches) if attached else stage.epochs
        return build_optimizer(self.parameter_groups(), stage.optimizer, stage.schedule, steps)

    def variant(self) -> dict[str, Any]:
        """Return the switches that a checkpoint is loaded with."""
        return {key: value for key, value in self.hparams.items() if key not in ("size", *self.file_keys)}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write into the checkpoint which network it is of."""
        described = {"name": self.name, "size": self.hparams["size"], "variant": self.variant()}
        checkpoint["vosbench"] = described

    def segment(self, video: Video, first_mask: IdMap | None = None) -> Segmentation:
        """Segment every frame in bounded memory, see `vosbench.method.Method.segment`."""
        raise InputError(f"{self.name} does not segment videos")

    def validate_clips(self, batch: dict[str, Any]) -> Validated:
        """Measure clips by `iou` and return their frames, see `ValidationIoU.measure`."""
        raise InputError(f"{self.name} does not validate on clips")

    def on_validation_epoch_start(self) -> None:
        """Make the metrics of the protocol where whole videos are validated on.

        Raises:
            InputError: the protocol is not made for the task of the method.
        """
        data = getattr(self.trainer, "datamodule", None)
        if isinstance(data, VideoDataModule):
            self.val_metrics = self._metrics_of(data, "val/")

    def validation_step(self, batch: Any, batch_idx: int) -> Validated | None:
        """Measure clips, or segment and score one whole video under the protocol of its DataModule."""
        if not isinstance(batch, ProtocolVideo):
            return self.validate_clips(batch)
        assert self.val_metrics is not None
        self._evaluate(batch, self.val_metrics)
        return None

    def on_validation_epoch_end(self) -> None:
        """Log the values of whole videos."""
        if self.val_metrics is not None:
            self.log_dict(dict(self.val_metrics.items()))

    def on_test_start(self) -> None:
        """Make the metrics of the protocol of the data.

        Raises:
            InputError: the data are not those of a `VideoDataModule`, or their protocol is not made for the
                task of the method.
        """
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, VideoDataModule):
            raise InputError("a test needs a protocol: give Trainer.test a DataModule of vosbench.data")
        self.test_metrics = self._metrics_of(data, "test/")

    def test_step(self, batch: ProtocolVideo, batch_idx: int) -> dict[str, Evaluation]:
        """Segment and score one video; the values of the protocol are logged when all are scored."""
        assert self.test_metrics is not None
        return {"evaluation": self._evaluate(batch, self.test_metrics)}

    def _metrics_of(self, data: VideoDataModule, prefix: str) -> MetricCollection:
        if data.protocol.task != self.task:
            raise InputError(
                f"{self.name} is {self.task}, protocol {data.protocol.id} is made for {data.protocol.task} "
                "methods: name another protocol"
            )
        return protocol_metrics(data.protocol, data.metrics, prefix).to(self.device)

    def _evaluate(self, batch: ProtocolVideo, metrics: MetricCollection) -> Evaluation:
        with learning_allowed():
            evaluation = evaluate_sequence(self, batch)
        metrics.update(evaluation.sequence, evaluation.score)
        return evaluation

    def on_test_epoch_end(self) -> None:
        """Log the values of the data set."""
        assert self.test_metrics is not None
        self.log_dict(dict(self.test_metrics.items()))

    def predict_step(self, batch: ProtocolVideo, batch_idx: int) -> Segmentation:
        """Return the masks of one video, which are computed when they are looked at."""
        video = batch.video
        given = first_labelled(video) if self.task == "semi-supervised" else None
        return Segmentation(segmented(self, video, given), len(video))


@contextmanager
def learning_allowed() -> Iterator[None]:
    """Let methods that learn a video online do so inside loops of Lightning that keep no gradients."""
    with torch.inference_mode(mode=False), torch.enable_grad():
        yield
