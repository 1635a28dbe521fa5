"""Metrics of a protocol as torchmetrics: from scores of sequences to values of the data set."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor
from torchmetrics import MetricCollection

from vosbench.metrics.gathered import GatheredMetric
from vosbench.metrics.specs import value_names
from vosbench.scoring.protocol import Protocol
from vosbench.scoring.sequence import (
    SequenceScore,
    check_detection_library,
    class_of,
    overall,
    without_nan,
)


class ProtocolMetric(GatheredMetric):
    """Value of a data set under a protocol, such as ``J_mean``.

    The scores of all sequences are kept and gathered from all processes, and the value is that of
    `vosbench.scoring.sequence.overall`: the same as in every table, to the last bit.

    Args:
        protocol: the rules.
        name: of the value.
    """

    # scores as lines of JSON
    gathered_dtype: ClassVar[torch.dtype] = torch.uint8

    def __init__(self, protocol: Protocol, name: str) -> None:
        super().__init__(protocol.id, protocol.version, name)
        self.protocol = protocol
        self.name = name

    def update(self, sequence: str, score: SequenceScore) -> None:
        """Add one sequence.

        Args:
            sequence: its name.
            score: under the protocol.
        """
        content = {
            "sequence": sequence,
            "values": without_nan(score.values),
            "objects": score.objects,
            "evidence": score.evidence,
        }
        line = json.dumps(content)
        self._keep(torch.frombuffer(bytearray(f"{line}\n", "ascii"), dtype=torch.uint8))

    def compute(self) -> Tensor:
        """Return the value over all sequences so far: () float64, NaN where no sequence has one."""
        lines = self._all().cpu().numpy().tobytes().decode("ascii").splitlines()
        scores = {
            item["sequence"]: SequenceScore(
                item["values"], objects=item["objects"], evidence=tuple(item["evidence"])
            )
            for item in map(json.loads, lines)
        }
        value = overall(scores, self.protocol).get(self.name, math.nan)
        return torch.tensor(value, dtype=torch.float64, device=self.device)


def protocol_metrics(
    protocol: Protocol, metrics: tuple[str, ...], prefix: str = "test/", sequences: Iterable[str] = ()
) -> MetricCollection:
    """Return a collection with a `ProtocolMetric` of every value of a protocol.

    Args:
        protocol: the rules.
        metrics: of the protocol.
        prefix: of the names in the collection.
        sequences: names, of whose classes a protocol with a mean over classes also has the values.

    Raises:
        InputError: the protocol scores detections, and the library that matches them is not installed.
    """
    if protocol.objects == "detections":
        check_detection_library()
    names = value_names(metrics, protocol.variant)
    if protocol.average == "classes":
        classes = sorted({class_of(sequence) for sequence in sequences})
        names += tuple(f"{name}/{label}" for name in names for label in classes)
    return MetricCollection({name: ProtocolMetric(protocol, name) for name in names}, prefix=prefix)
