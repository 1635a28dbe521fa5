"""One video with the ground truth of a protocol: what a method is tested on."""

from __future__ import annotations

from typing import NamedTuple

from vosbench.scoring.protocol import Protocol
from vosbench.video import Video


class ProtocolVideo(NamedTuple):
    """One video under a protocol.

    Attributes:
        video: frames, ground truth as the protocol wants it, and flow that is computed when it is read.
        protocol: the rules.
        metrics: those that are computed.
    """

    video: Video
    protocol: Protocol
    metrics: tuple[str, ...]
