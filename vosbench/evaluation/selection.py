"""Choice of the protocol and the sequences to score on a data set."""

from __future__ import annotations

from collections.abc import Sequence

from vosbench.data.catalogue import dataset_spec, scoring_protocols
from vosbench.data.datasets.base import Dataset
from vosbench.errors import InputError, unknown_name
from vosbench.scoring.protocol import Protocol, load_protocol


def choose_protocol(dataset: str, name: str | None) -> Protocol:
    """Return the protocol called `name`, or the default one of a data set.

    Raises:
        InputError: no such protocol, one made for other data sets, or none is named for a training set.
    """
    name = name or dataset_spec(dataset).protocol
    if name is None:
        raise InputError(f"{dataset} is a training set without a protocol; name one to score on it")
    protocol = load_protocol(name)
    if name not in scoring_protocols(dataset):
        raise InputError(
            f"protocol {name} is made for {', '.join(protocol.datasets)}, not for {dataset}; "
            f"choose from {', '.join(scoring_protocols(dataset)) or 'none'}"
        )
    return protocol


def choose_sequences(dataset: Dataset, names: Sequence[str] | None) -> dict[str, int]:
    """Return sequence name -> index in `dataset`, of all or of those named.

    Raises:
        InputError: a name that is not in the split, or none at all.
    """
    indices = {video.name: index for index, video in enumerate(dataset)}
    if names is None:
        return indices
    if not names:
        raise InputError("no sequence to score was named")
    for name in names:
        if name not in indices:
            raise unknown_name(f"sequence of {dataset.label} {dataset.split}", name, indices)
    return {name: index for name, index in indices.items() if name in set(names)}
