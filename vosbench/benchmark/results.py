"""Reading result folders written by other people's code."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vosbench.benchmark.protocols import Protocol
from vosbench.data.formats.png import read_ids
from vosbench.data.video import VOID, IdMap, Video
from vosbench.errors import InputError

Missing = Literal["error", "empty"]

NESTING = 2
"""How many folders may lie between the folder given and the sequence folders."""

HIGHEST_ID = 20
"""Larger values, other than 255, are taken for grey levels and not for object ids."""


@dataclass(frozen=True)
class SequenceMasks:
    """Predicted ids of one sequence.

    Attributes:
        ids: (T, H, W) uint8.
        notes: what the reader should know about how the files were understood.
    """

    ids: NDArray[np.uint8]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ResultFolder:
    """Masks as ``<path>/<sequence>/<frame>.png``, indexed or grey.

    Attributes:
        path: folder that holds the sequence folders.
        protocol: rules the masks are read for: whether ids are told apart.
        missing: a missing frame is an error, or counts as an empty mask.
        threshold: grey level; brighter pixels are foreground. None: soft masks are refused.
        notes: how the folder was understood.
    """

    path: Path
    protocol: Protocol
    missing: Missing = "error"
    threshold: int | None = None
    notes: tuple[str, ...] = field(default=())

    @classmethod
    def open(
        cls,
        path: Path,
        sequences: Collection[str],
        protocol: Protocol,
        *,
        missing: Missing = "error",
        threshold: int | None = None,
    ) -> ResultFolder:
        """Find the folder that holds `sequences` in `path` or up to two levels below it.

        Raises:
            InputError: `path` is no folder, holds no sequence, holds several result sets, lacks
                one of `sequences`, or an option is not usable with this protocol.
        """
        _check_options(protocol, missing, threshold)
        if not path.is_dir():
            raise InputError(f"{path}: no such folder of results")
        found = _find_sequences(path, sequences)
        absent = [name for name in sequences if not (found / name).is_dir()]
        if absent:
            raise InputError(
                f"{found}: no results for {len(absent)} of {len(sequences)} sequences: {_few(absent)}; "
                "add them, or name the sequences to score"
            )
        notes = () if found == path else (f"masks found in {found}",)
        return cls(found, protocol, missing, threshold, notes)

    def read(self, video: Video) -> SequenceMasks:
        """Read the masks of all frames of `video`.

        Raises:
            InputError: a frame is missing (unless it counts as empty), has another size than the
                video, cannot be read, or holds values this protocol cannot take.
        """
        folder = self.path / video.name
        present = {file.stem for file in folder.iterdir() if file.suffix == ".png"}
        height, width = _size(video)
        ids = np.zeros((len(video.frame_names), height, width), np.uint8)
        kinds: set[str] = set()
        absent = [name for name in video.frame_names if name not in present]
        if absent and self.missing == "error":
            raise InputError(self._missing_message(video, absent, present))
        for index, name in enumerate(video.frame_names):
            if name in present:
                file = folder / f"{name}.png"
                raw = read_ids(file)
                _check_size(file, raw, (height, width))
                ids[index], kind = self._interpret(file, raw)
                kinds |= kind
        return SequenceMasks(ids, self._notes(video, absent, present, kinds))

    def _interpret(self, file: Path, raw: IdMap) -> tuple[IdMap, set[str]]:
        if self.threshold is not None:
            return (raw > self.threshold).astype(np.uint8), {f"foreground where grey > {self.threshold}"}
        highest = int(raw.max(initial=0))
        if highest <= 1:
            return raw, set()
        values = {int(value) for value in np.unique(raw)}
        binary = values <= {0, VOID}
        if self.protocol.objects != "union":
            return _object_ids(file, raw, binary, self.protocol), set()
        if binary:
            return (raw != 0).astype(np.uint8), {"0/255 masks read as background/foreground"}
        if highest <= HIGHEST_ID:
            return (raw != 0).astype(np.uint8), {"several ids read as one foreground"}
        raise InputError(
            f"{file}: {len(values)} grey levels up to {highest} are neither a mask (0/1 or 0/255) nor object "
            "ids; give a threshold (a grey level; brighter is foreground), or write binary masks"
        )

    def _missing_message(self, video: Video, absent: list[str], present: set[str]) -> str:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        if not present:
            folder = self.path / video.name
            return f"{folder}: no PNG mask in it, expected {absent[0]}.png{more}; masks must be PNG files"
        counted = {video.frame_names[index] for index in self.protocol.evaluated(len(video))}
        harmless = (
            "" if counted & set(absent) else f" (not evaluated by {self.protocol.id}, so nothing changes)"
        )
        return (
            f"{self.path}: sequence {video.name} lacks frame {absent[0]} ({absent[0]}.png){more}; "
            f"add it, or count missing frames as empty with missing=empty{harmless}"
        )

    def _notes(
        self, video: Video, absent: list[str], present: set[str], kinds: Iterable[str]
    ) -> tuple[str, ...]:
        notes = sorted(kinds)
        if absent:
            notes.append(f"{len(absent)} missing frames counted as empty ({_few(absent)})")
        extra = sorted(present - set(video.frame_names))
        if extra:
            notes.append(f"{len(extra)} extra frames ignored ({_few(extra)})")
        return tuple(notes)


def _check_options(protocol: Protocol, missing: str, threshold: int | None) -> None:
    if missing not in ("error", "empty"):
        raise InputError(f"missing is '{missing}': choose error or empty")
    if threshold is None:
        return
    if protocol.objects != "union":
        raise InputError(f"a threshold makes binary masks, but protocol {protocol.id} needs object ids")
    if not isinstance(threshold, int) or not 0 <= threshold < VOID:
        raise InputError(
            f"threshold is {threshold}: give a grey level 0..254; brighter pixels are foreground"
        )


def _find_sequences(path: Path, sequences: Collection[str]) -> Path:
    level = [path]
    for _ in range(NESTING + 1):
        holding = [folder for folder in level if any((folder / name).is_dir() for name in sequences)]
        if len(holding) > 1:
            names = _few([str(folder.relative_to(path)) for folder in holding])
            raise InputError(f"{path}: holds {len(holding)} result sets ({names}); name one of them")
        if holding:
            return holding[0]
        level = sorted(child for folder in level for child in folder.iterdir() if child.is_dir())
    example = next(iter(sequences), "<sequence>")
    raise InputError(
        f"{path}: holds none of the {len(sequences)} sequences to score; "
        f"expected {path / example}/<frame>.png and so on"
    )


def _object_ids(file: Path, raw: IdMap, binary: bool, protocol: Protocol) -> IdMap:
    if binary:
        raise InputError(
            f"{file}: values 0 and 255 are a binary mask, but protocol {protocol.id} tells objects apart: "
            "write object ids 1, 2, ... (a single object is id 1)"
        )
    if raw.max() == VOID:
        raise InputError(
            f"{file}: id 255 means void and cannot be predicted; write object ids 1, 2, ..., 0 for background"
        )
    return raw


def _size(video: Video) -> tuple[int, int]:
    for ids in video.annotations.values():
        return ids.shape[0], ids.shape[1]
    frame = video.frames[0]
    return frame.shape[0], frame.shape[1]


def _check_size(file: Path, ids: IdMap, size: tuple[int, int]) -> None:
    if ids.shape != size:
        raise InputError(
            f"{file}: the mask is {ids.shape[1]}x{ids.shape[0]}, the data set {size[1]}x{size[0]} "
            "(width x height); masks are never resized: write them at the size of the frames"
        )


def _few(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
