"""Lists of sequences that papers or this package use and no data set ships, one name a line.

``davis16_train`` and ``davis16_val``: the sequences of DAVIS 2016 (Perazzi et al., CVPR 2016), which
DAVIS 2017 labels by instance. ``davis17_moving_train`` and ``davis17_moving_val``: sequences of
DAVIS 2017 in which all labelled objects move and all moving objects are labelled (Dave et al., 2019;
the released validation list has 22 of the 23 sequences that the paper counts). ``ytvos_moving_train``
and ``ytvos_moving_val``: the same for videos of the training part of YouTube-VOS 2018.
``davis16_held_out``: the sequences of DAVIS 2016 train on which everything is chosen and nothing is trained,
those that ``data.hold_out=0.15`` holds out by their names.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path


def shipped_splits() -> tuple[str, ...]:
    """Return the names of the shipped lists."""
    files = (Path(entry.name) for entry in resources.files(__name__).iterdir())
    return tuple(sorted(path.stem for path in files if path.suffix == ".txt"))


def shipped_split(name: str) -> tuple[str, ...]:
    """Return the sequence names of a shipped list, e.g. ``"davis16_val"``.

    Raises:
        FileNotFoundError: no such list.
    """
    text = (resources.files(__name__) / f"{name}.txt").read_text(encoding="utf-8")
    return tuple(text.split())
