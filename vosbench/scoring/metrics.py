"""The metrics of a protocol as torchmetrics: scores of sequences go in, values of the data set come out."""

from __future__ import annotations

import json
import math
from typing import ClassVar

import torch
from torch import Tensor
from torchmetrics import MetricCollection

from vosbench.metrics.gathered import GatheredMetric
from vosbench.metrics.specs import value_names
from vosbench.scoring.protocol import Protocol
from vosbench.scoring.sequence import SequenceScore, overall, without_nan


class ProtocolMetric(GatheredMetric):
    """One value of a data set under a protocol, such as ``J_mean``.

    Every sequence is kept as it was scored and gathered from all processes, and the value is that of
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
        line = json.dumps(
            {"sequence": sequence, "values": without_nan(score.values), "objects": score.objects}
        )
        self._keep(torch.frombuffer(bytearray(f"{line}\n", "ascii"), dtype=torch.uint8))

    def compute(self) -> Tensor:
        """Return the value over all sequences so far: () float64, NaN where no sequence has one."""
        lines = self._all().cpu().numpy().tobytes().decode("ascii").splitlines()
        scores = {
            each["sequence"]: SequenceScore(each["values"], objects=each["objects"])
            for each in map(json.loads, lines)
        }
        value = overall(scores, self.protocol).get(self.name, math.nan)
        return torch.tensor(value, dtype=torch.float64, device=self.device)


def protocol_metrics(protocol: Protocol, metrics: tuple[str, ...], prefix: str = "test/") -> MetricCollection:
    """Return a collection with a `ProtocolMetric` of every value of a protocol.

    Args:
        protocol: the rules, not those of detections.
        metrics: of the protocol.
        prefix: of the names in the collection.
    """
    named = {name: ProtocolMetric(protocol, name) for name in value_names(metrics, protocol.variant)}
    return MetricCollection(dict(named), prefix=prefix)
