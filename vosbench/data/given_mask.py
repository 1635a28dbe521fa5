"""First mask of a video under a protocol: its own ground truth, or that of another data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from vosbench.data.datasets.base import Dataset
from vosbench.errors import InputError
from vosbench.given import Given, first_labelled
from vosbench.scoring.protocol import Protocol
from vosbench.video import Video

OpenSplit = Callable[[str, str], Mapping[str, Video]]
"""Data set and split -> its videos by name."""


def given_mask(video: Video, protocol: Protocol, dataset: Dataset, open_split: OpenSplit) -> Given | None:
    """Return the first mask of a video; None under protocols of unsupervised methods.

    Where the protocol gives masks of another data set, which labels the same pixels by object, the mask is
    that of the video of the same name.

    Args:
        video: annotated as the protocol wants it.
        protocol: the rules.
        dataset: of the video.
        open_split: opens the other data set.

    Raises:
        InputError: there is no mask, or the other data set lacks the video or covers other pixels.
    """
    if protocol.task != "semi-supervised":
        return None
    own = first_labelled(video)
    if not gives_other_masks(protocol, dataset):
        return own
    name, split = protocol.given["dataset"], protocol.given["split"]
    other = open_split(name, split).get(video.name)
    if other is None:
        raise InputError(f"{name} {split} has no sequence {video.name}, whose objects are given")
    given = first_labelled(other)
    if given.frame != own.frame or not np.array_equal(given.ids != 0, own.ids != 0):
        raise InputError(
            f"{video.name}: the first mask of {name} covers other pixels than that of {dataset.label}; "
            "take both from the official archives at one resolution"
        )
    return given


def gives_other_masks(protocol: Protocol, dataset: Dataset) -> bool:
    """Return whether first masks are those of another data set; videos of miniatures have one object each."""
    return bool(protocol.given) and dataset.edition == "official"
