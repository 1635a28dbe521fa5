"""Records from scores: the key, the configuration, and the provenance of prediction and scoring."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vosbench.data.datasets.base import Edition
from vosbench.environment.load import LoadMeter
from vosbench.evaluation.record import Record
from vosbench.evaluation.store import VideoHashes, content_hash, environment, now
from vosbench.method import Method
from vosbench.scoring.evaluate import Evaluation, ProtocolVideo
from vosbench.scoring.predictions import ids_hash
from vosbench.scoring.sequence import METRIC_VERSION, SequenceScore, without_nan


@dataclass(frozen=True)
class RecordTemplate:
    """Record of one method on one video under one protocol, without the scores.

    Attributes:
        item: the video under the protocol.
        hashes: of the video.
        model: name in records, file names and tables.
        method: name of the method.
        weights: provenance of its weights, see `vosbench.models.pretrained.zoo.load_method`.
        training: how weights that are not of the zoo were trained, as far as known.
        flow: description of the optical flow; None for methods without flow.
        dataset, edition, split: of the video.
        command: that the user ran.
    """

    item: ProtocolVideo
    hashes: VideoHashes
    model: str
    method: str
    weights: Mapping[str, Any]
    training: Mapping[str, Any]
    flow: Mapping[str, Any] | None
    dataset: str
    edition: Edition
    split: str
    command: str

    @property
    def inputs(self) -> str:
        """Hash of everything that the method is given."""
        given = self.item.given
        inputs = {**self._method, "frames": self.hashes.frames}
        if given is not None:
            inputs["first_mask"] = self._given_hash
            # left out where it is 0, as in notes of earlier versions
            inputs |= {"first_frame": given.frame} if given.frame else {}
        return content_hash(inputs)

    @property
    def config(self) -> dict[str, Any]:
        """Method and rules, as records quote them."""
        config = {**self._method, **scoring_config(self.item)}
        if self.item.given is not None and self.item.protocol.given:
            # the hash of the data does not cover a first mask of another data set
            config["given"] = {**self.item.protocol.given, "content": self._given_hash}
        return config

    @property
    def key(self) -> str:
        """Hash of everything that the values of the record depend on."""
        return content_hash({**self.config, "edition": self.edition, "data": self.hashes.everything})

    def fill(self, evaluation: Evaluation, provenance: Mapping[str, Any] | None = None) -> Record:
        """Return the record of an evaluation.

        Args:
            evaluation: of the method on the video.
            provenance: of the prediction; None: that of its note.

        Raises:
            Exception: the error of scoring.
        """
        note, protocol = evaluation.note, self.item.protocol.id
        scored = {"time": now(), **{name: environment()[name] for name in ("versions", "git")}}
        return build_record(
            self.item,
            evaluation.score(protocol),
            self.hashes,
            prediction=note.content,
            config=self.config,
            model=self.model,
            size=str(self.weights.get("size", "")),
            dataset=self.dataset,
            edition=self.edition,
            split=self.split,
            key=self.key,
            seconds_per_frame={**note.seconds_per_frame, "score": evaluation.seconds[protocol]},
            provenance={
                **(note.provenance if provenance is None else provenance),
                "command": self.command,
                "weights": dict(self.weights),
                **({"training": dict(self.training)} if self.training else {}),
                "flow": self.flow,
                "frame_size": list(self.item.video.frames[0].shape[:2]),
                **({} if evaluation.computed else {"scored": scored}),
            },
        )

    @property
    def _method(self) -> dict[str, Any]:
        return {"model": self.method, "weights": dict(self.weights), "flow": self.flow}

    @property
    def _given_hash(self) -> str:
        assert self.item.given is not None
        return ids_hash([self.item.video.name], [self.item.given.ids])


def build_record(
    item: ProtocolVideo,
    score: SequenceScore,
    hashes: VideoHashes,
    *,
    prediction: str,
    config: Mapping[str, Any],
    provenance: Mapping[str, Any],
    **identity: Any,
) -> Record:
    """Return the record of a score, with the hashes of everything that its values follow from.

    Args:
        item: the video under the protocol.
        score: of a prediction of the video.
        hashes: of the video.
        prediction: its hash.
        config: method and rules.
        provenance: of the prediction.
        identity: the other fields of `Record`.
    """
    return Record(
        sequence=item.video.name,
        protocol=item.protocol.id,
        frames=len(item.video),
        values=without_nan(score.values),
        per_frame={
            letter: [None if value is None or math.isnan(value) else value for value in values]
            for letter, values in score.per_frame.items()
        },
        provenance={
            **provenance,
            "config": dict(config),
            "config_hash": content_hash(config),
            "data_hash": hashes.everything,
            "objects": score.objects,
            "content": {
                "masks": prediction,
                "truth": hashes.truth,
                "protocol": content_hash(item.protocol.definition()),
                "metric_version": METRIC_VERSION,
            },
        },
        **identity,
    )


def scoring_config(item: ProtocolVideo) -> dict[str, Any]:
    """Return the rules of a score, as records quote them."""
    return {
        "protocol": item.protocol.definition(),
        "metrics": list(item.metrics),
        "metric_version": METRIC_VERSION,
    }


def command_line() -> str:
    """Return the command that this process runs, for records."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def prediction_provenance(method: Method, meter: LoadMeter) -> dict[str, Any]:
    """Return when, where and on what device a method predicted, and the load of the machine meanwhile."""
    import torch

    device, precision = "cpu", "float32"
    weight = next(method.parameters(), None) if isinstance(method, torch.nn.Module) else None
    if weight is not None:
        device, precision = str(weight.device), str(weight.dtype).removeprefix("torch.")
        if context := getattr(method, "computing", None):
            precision = f"{precision}, {context}"
    return {
        "time": now(),
        "device": device,
        "precision": precision,
        "threads": torch.get_num_threads(),
        **environment(),
        "peak_memory": _peak_memory(),
        "load": meter.read(),
    }


def _peak_memory() -> int:
    """Return the most bytes that this process has held at once; 0 where the system does not report them."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
