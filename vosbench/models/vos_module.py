"""Base of every trained method: stages, optimisation, checkpoints, test and prediction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchmetrics import MeanMetric, Metric, MetricCollection

from vosbench.composition import load_stage
from vosbench.config import StageConfig
from vosbench.data.video_datamodule import VideoDataModule
from vosbench.errors import InputError, unknown_name
from vosbench.given import segment
from vosbench.method import Detector, Inspection, Task
from vosbench.models.optimizers import ParameterGroup, build_optimizer
from vosbench.models.postprocessing.object_tracker import object_ids
from vosbench.models.validated import MONITOR, Validated, foreground_similarity, known_frames
from vosbench.scoring.evaluate import Evaluation, ProtocolVideo, evaluate_sequence
from vosbench.scoring.metrics import protocol_metrics
from vosbench.scoring.predictions import PredictionStore
from vosbench.temporary import scratch_folder
from vosbench.video import IdMap, Segmentation, Video

_MEANS = {"J_mean": "J", "F_mean": "F", "iou_mean": "J"}
"""Values of protocols as a validation logs them; ``iou_mean`` is a mean of J, too."""


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
        resolved_keys: switches that have a value for each size -> their value, also where None was given.
        inspection: maps to show in the next segmentation; None for none.
        provenance: of the weights that `vosbench.models.load` loaded; None for weights in training or without
            a file.
        clip_similarity: J of all validation clips so far.
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
        self.resolved_keys: Mapping[str, Any] = {}
        self.inspection: Inspection | None = None
        self.clip_similarity = MeanMetric()
        self.provenance: Mapping[str, Any] | None = None
        self.test_metrics: MetricCollection | None = None
        self.val_metrics: MetricCollection | None = None
        self.register_load_state_dict_pre_hook(_adapt_state)  # type: ignore[no-untyped-call]

    def configure_stage(self, name: str, settings: StageConfig | None = None) -> None:
        """Load the weights that a stage starts from, and choose the parts that it trains.

        Args:
            name: a stage of the recipe.
            settings: its settings, by default those of the packaged recipe.

        Raises:
            InputError: the recipe has no such stage, the variant has nothing to train in it, its settings
                make no sense, or weights are missing or of something else.
        """
        if name not in self.stages:
            raise unknown_name(f"stage of {self.name}", name, self.stages)
        settings = settings or load_stage(self.name, name)
        self.begin_stage(name, settings)
        self.stage, self.stage_name = settings, name

    def begin_stage(self, name: str, settings: StageConfig) -> None:
        """Load weights, train and freeze parts as a stage needs; by default all weights are trained.

        Args:
            name: of the stage, one of `stages`.
            settings: of the stage.

        Raises:
            InputError: as in `configure_stage`.
        """

    @property
    def monitor(self) -> str:
        """Name of the logged value that chooses the best checkpoint of the present stage."""
        return MONITOR

    @property
    def segments(self) -> bool:
        """False while the present stage trains a part of the network that segments no video by itself."""
        return True

    @property
    def kept(self) -> Mapping[str, str]:
        """Weights that the stage uses and does not train, or their statistics, see `RandomWeights.refuse`."""
        return {}

    @property
    def defaults(self) -> Mapping[str, Any]:
        """Switch that was left out -> the value that stands for it at this size, on which results depend."""
        return {key: value for key, value in self.resolved_keys.items() if self.hparams[key] is None}

    @property
    def packaged_weights(self) -> Mapping[str, Path]:
        """Switch -> file of the weights of another network that it takes out of the package."""
        return {}

    def parameter_groups(self) -> Sequence[nn.Parameter | ParameterGroup]:
        """Return the parameters that the stage trains: by default all that are not frozen, at one rate."""
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
        checkpoint["vosbench"] = {"name": self.name, "size": self.hparams["size"], "variant": self.variant()}

    def adapt_state(self, state: dict[str, Any], prefix: str) -> None:
        """Change the weights of another variant in place, before they are loaded; by default nothing.

        Args:
            state: name -> tensor.
            prefix: of the names of this module.
        """

    def shows(self, name: str) -> bool:
        """Return whether a map of `inspectable` is wanted of the segmentation."""
        return self.inspection is not None and name in self.inspection.maps

    def show(self, index: int, name: str, title: str, values: Tensor | NDArray[np.float32]) -> None:
        """Show a map of a frame, if it is wanted.

        Args:
            index: of the frame.
            name: of the map, one of `inspectable`.
            title: of what is shown, where a name has several maps.
            values: (h, w), in [0, 1].
        """
        if self.inspection is not None and self.shows(name):
            shown = values.float().cpu().numpy() if isinstance(values, Tensor) else values
            self.inspection.show(index, title, shown)

    def objects_of(self, video: Video, first_mask: IdMap | None) -> IdMap:
        """Return the first mask of a video for a semi-supervised method.

        Raises:
            InputError: there is no mask, or no object in it.
        """
        if first_mask is None:
            raise InputError(f"video {video.name}: {self.name} is semi-supervised, it needs the first mask")
        if not object_ids(first_mask).size:
            raise InputError(f"video {video.name}: there is no object in the first mask")
        return first_mask

    def segment(self, video: Video, first_mask: IdMap | None = None) -> Segmentation:
        """Segment every frame in bounded memory, see `vosbench.method.Method.segment`."""
        raise InputError(f"{self.name} does not segment videos")

    def validate_clips(self, batch: dict[str, Any]) -> Validated:
        """Segment clips and return `measure` of their frames."""
        raise InputError(f"{self.name} does not validate on clips")

    def log_losses(self, losses: Mapping[str, Tensor], batch_size: int) -> Tensor:
        """Log the losses of a training step by name, and their sum as ``train/loss``; return the sum."""
        total = torch.stack(list(losses.values())).sum()
        self.log_dict({f"train/{name}": value for name, value in losses.items()}, batch_size=batch_size)
        self.log("train/loss", total, prog_bar=True, batch_size=batch_size)
        return total

    def measure(self, frames: Validated) -> Validated:
        """Log ``val/J``, the mean of `foreground_similarity` over the validation frames of all devices.

        Every validation step must call this method, also without frames: the mean waits for all devices.

        Args:
            frames: of a batch; frames that are void throughout do not count.

        Returns:
            The frames that count.
        """
        known = known_frames(frames)
        self.clip_similarity.update(
            foreground_similarity(known["predicted"], known["target"]).to(self.device)
        )
        self.log(MONITOR, self.clip_similarity, prog_bar=True, on_step=False, on_epoch=True)
        return known

    def on_fit_start(self) -> None:
        """Forget the origin of the weights, which are about to change."""
        self.provenance = None

    def on_validation_epoch_start(self) -> None:
        """Make the metrics of the protocol for a validation on whole videos.

        Raises:
            InputError: the protocol is not made for the task of the method.
        """
        data = getattr(self.trainer, "datamodule", None)
        self.val_metrics = (
            self._metrics_of(data, data.val_videos(), "val/") if isinstance(data, VideoDataModule) else None
        )

    def validation_step(self, batch: Any, batch_idx: int) -> Validated | None:
        """Measure clips, or segment and score one whole video under the protocol of its DataModule.

        Returns:
            The frames of the clips, or the middle one of the annotated frames of the video; None on a device
            without a video.
        """
        if batch is None:
            return None
        if isinstance(batch, ProtocolVideo):
            return self._validate_video(batch)
        return self.validate_clips(batch)

    def _validate_video(self, batch: ProtocolVideo) -> Validated | None:
        assert self.val_metrics is not None
        video = batch.video
        with _temporary_store(batch) as store:
            self._evaluate(batch, self.val_metrics, store)
            if store.holds_detections:
                return None
            annotated = sorted(video.annotations)
            shown = annotated[len(annotated) // 2]
            predicted = store.read_ids()[shown]
        return {
            "frames": [torch.from_numpy(np.array(video.frames[shown])).permute(2, 0, 1)],
            "predicted": [torch.from_numpy(np.array(predicted))],
            "target": [torch.from_numpy(np.array(video.annotations[shown]))],
        }

    def on_validation_epoch_end(self) -> None:
        """Log the values of whole videos, ``val/J`` and ``val/F`` for the means of J and F."""
        for name, metric in {} if self.val_metrics is None else self.val_metrics.items(keep_base=True):
            assert isinstance(metric, Metric)
            # the metrics are new in every validation, and Lightning remembers those of the first
            self.log(f"val/{_MEANS.get(name, name)}", metric, metric_attribute=f"val_metrics.{name}")

    def on_test_start(self) -> None:
        """Make the metrics of the protocol of the data.

        Raises:
            InputError: the data are not those of a `VideoDataModule`, or their protocol is not made for the
                task of the method.
        """
        data = getattr(self.trainer, "datamodule", None)
        if not isinstance(data, VideoDataModule):
            raise InputError("a test needs a protocol: give Trainer.test a DataModule of vosbench.data")
        self.test_metrics = self._metrics_of(data, data.test_videos(), "test/")

    def test_step(self, batch: ProtocolVideo | None, batch_idx: int) -> dict[str, Evaluation] | None:
        """Segment and score one video; the values of the protocol are logged when all are scored."""
        if batch is None:
            return None
        assert self.test_metrics is not None
        with _temporary_store(batch) as store:
            return {"evaluation": self._evaluate(batch, self.test_metrics, store)}

    def _metrics_of(self, data: VideoDataModule, videos: Sequence[Video], prefix: str) -> MetricCollection:
        protocol = data.protocol
        if protocol.task != self.task:
            raise InputError(
                f"{self.name} is {self.task}, protocol {protocol.id} is made for {protocol.task} "
                "methods: name another protocol"
            )
        if protocol.objects == "detections" and not isinstance(self, Detector):
            raise InputError(
                f"protocol {protocol.id} scores detections, which {self.name} does not yield: name another "
                "protocol"
            )
        sequences = [video.name for video in videos]
        return protocol_metrics(protocol, data.metrics, prefix, sequences).to(self.device)

    def _evaluate(
        self, batch: ProtocolVideo, metrics: MetricCollection, store: PredictionStore
    ) -> Evaluation:
        with learning_allowed():
            evaluation = evaluate_sequence(self, [batch], store)
        metrics.update(evaluation.sequence, evaluation.score(batch.protocol.id))
        return evaluation

    def on_test_epoch_end(self) -> None:
        """Log the values of the data set."""
        assert self.test_metrics is not None
        self.log_dict(dict(self.test_metrics.items()))

    def predict_step(self, batch: ProtocolVideo | None, batch_idx: int) -> Segmentation | None:
        """Return the masks of one video, which are computed when they are looked at."""
        if batch is None:
            return None
        with learning_allowed():
            return segment(self, batch.video, batch.given)


@contextmanager
def _temporary_store(batch: ProtocolVideo) -> Iterator[PredictionStore]:
    """Yield a store for the prediction of a video, removed at the end of the block."""
    suffix = ".json" if batch.protocol.objects == "detections" else ""
    with scratch_folder("vosbench-predictions") as folder:
        yield PredictionStore(folder / f"{batch.video.name}{suffix}", batch.video.frame_names)


def _adapt_state(module: VOSModule, state: dict[str, Any], prefix: str, *_: Any) -> None:
    module.adapt_state(state, prefix)


@contextmanager
def learning_allowed() -> Iterator[None]:
    """Let methods that learn a video online do so inside loops of Lightning that keep no gradients."""
    with torch.inference_mode(mode=False), torch.enable_grad():
        yield
