"""Data sets of one's own: folders of frames and masks, named by their paths instead of a catalogue name."""

from __future__ import annotations

import re
from pathlib import Path

from vosbench.data.spec import DatasetSpec
from vosbench.errors import InputError
from vosbench.files import expanded

PROTOCOLS = ("davis16-unsupervised", "davis16-semi-supervised")
"""Protocols of a comparison where none is named: one foreground, without and with its first mask."""

FRAMES, MASKS = "JPEGImages", "Annotations"

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+-]*")


def is_path(text: str) -> bool:
    """Return whether a text is a path to data of one's own.

    One has a slash, begins with a dot or ``~``, or names folders in the working folder.
    """
    place = text.partition("=")[2] or text
    if "/" in place or "\\" in place or place.startswith((".", "~")):
        return True
    return all(part and Path(part).is_dir() for part in place.split(":"))


def own_spec(text: str) -> DatasetSpec:
    """Describe data of one's own.

    Args:
        text: ``[LABEL=]FOLDER``, with frames in ``FOLDER/JPEGImages/SEQUENCE`` and masks in
            ``FOLDER/Annotations/SEQUENCE``, or ``[LABEL=]FRAMES:MASKS``, a folder of folders each. The label
            is the name in tables, by default that of the folder, or of the folder around both.

    Returns:
        The description; `DatasetSpec.reference` has absolute paths.

    Raises:
        InputError: no such folder, or a label that cannot name files.
    """
    label, place = _split_label(text)
    frames, masks = _folders(text, place)
    if not label:
        named = frames if masks is None or masks.parent != frames.parent else frames.parent
        label = re.sub(r"[^A-Za-z0-9_+-]", "-", named.name).lstrip("_+-") or "own"
    return DatasetSpec(
        name=label,
        title=label,
        reader="vosbench.data.datasets.video_folders:VideoFolders",
        split="all",
        train_split="all",
        protocol=PROTOCOLS[0],
        size="not counted",
        layout=f"{FRAMES}/SEQ/FRAME.jpg, {MASKS}/SEQ/FRAME.png, and for splits ImageSets/SPLIT.txt",
        licence="one's own",
        citation="",
        url="",
        options={"name": label, "frames": frames, "masks": masks},
        reference=own_reference(label, frames, masks),
    )


def own_reference(label: str, frames: Path, masks: Path | None) -> str:
    """Return the text that `own_spec` reads as these folders under this label."""
    return f"{label}={frames}" if masks is None else f"{label}={frames}:{masks}"


def _split_label(text: str) -> tuple[str, str]:
    label, equals, place = text.partition("=")
    if not equals or "/" in label or label.startswith((".", "~")):
        return "", text
    if not _LABEL.fullmatch(label):
        raise InputError(f"--dataset {text}: a label has letters, digits, '_', '+' and '-', not '{label}'")
    return label, place


def _folders(text: str, place: str) -> tuple[Path, Path | None]:
    whole = expanded(place).absolute()
    if whole.is_dir():
        return whole, None
    frames, colon, masks = place.rpartition(":")
    folders = [expanded(part).absolute() for part in ((frames, masks) if colon else (place,))]
    for folder in folders:
        if not folder.is_dir():
            raise InputError(
                f"--dataset {text}: no such folder {folder}; write a folder with {FRAMES}/SEQ and "
                f"{MASKS}/SEQ, or FRAMES:MASKS"
            )
    return folders[0], folders[1]
