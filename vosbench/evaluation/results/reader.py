"""Readers of the results of any method: folders and zip archives of masks, arrays and tracks.

One frame is read at a time, so a sequence of any length takes the memory of one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from vosbench.errors import InputError
from vosbench.evaluation.results.arrays import ArrayFile, Size, Values
from vosbench.evaluation.results.files import SequenceFiles, few, has_sequence, sequence_files
from vosbench.evaluation.results.frame_loader import frame_loader
from vosbench.evaluation.results.frame_names import naming_difference
from vosbench.evaluation.results.layout import find_root, found_names, instead_of_masks, missing_names
from vosbench.evaluation.results.missing_frames import (
    MissingFrames,
    evaluated_names,
    missing_frames,
    needed_names,
)
from vosbench.evaluation.results.tracks import draw_tracks
from vosbench.evaluation.results.trees import ReadErrors, Tree, open_tree
from vosbench.evaluation.results.values import check_threshold, check_unit, interpret, merges
from vosbench.scoring.protocol import Protocol
from vosbench.video import IdMap, LazySequence, Video

Missing = Literal["error", "empty"]


@dataclass
class SequenceMasks:
    """Predicted ids of one sequence, read when indexed.

    Attributes:
        ids: T items, each (H, W) uint8, decoded and checked when asked for and not kept; an index
            raises `InputError` naming the file when it cannot be used.
        known: notes known before any frame is read.
        seen: notes added while frames are read.
        partial: whether some pixels have no prediction: their value in `ids` is 255.
        unproven: whether the first or the last frame has no mask, so that the names of the others do not
            show that every mask is named after its own frame.
    """

    ids: Sequence[IdMap]
    known: Sequence[str] = ()
    seen: set[str] = field(default_factory=set)
    partial: bool = False
    unproven: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on how the files were read; complete once the frames that count have been read."""
        return (*sorted(self.seen), *self.known)


@dataclass(frozen=True)
class ResultFolder:
    """Masks of a method, one set of sequences. Can be pickled.

    Formats, one kind per sequence, in a folder or in a zip archive: ``<sequence>/<frame>.png`` with
    ids (indexed or grey), 0/1, 0/255, or soft grey levels of 8 or 16 bits with a threshold;
    ``<sequence>/<frame>.pgm`` or ``.ppm`` with one grey level or colour per object, black for
    background; ``<sequence>.npy`` or ``.npz`` (frames, height, width) and ``<sequence>/<frame>.npy``
    (height, width), bool, integer or float; ``<sequence>.dat`` or one ``<sequence>/*.dat`` with tracks.

    Attributes:
        tree: the folder or archive given.
        root: folder inside it that holds the sequences, ``""`` for itself.
        protocol: rules the masks are read for: whether ids are distinguished, which frames count.
        missing: a missing frame is an error, or counts as an empty mask.
        threshold: values above are foreground, in the unit of the files: a grey level for images.
            None: soft masks are refused.
        notes: how the folder was understood.
    """

    tree: Tree
    root: str
    protocol: Protocol
    missing: Missing = "error"
    threshold: float | None = None
    notes: tuple[str, ...] = field(default=())

    @classmethod
    def open(
        cls,
        path: Path,
        sequences: Collection[str],
        protocol: Protocol,
        *,
        missing: Missing = "error",
        threshold: float | None = None,
    ) -> ResultFolder:
        """Find the folder that holds `sequences` in `path` or up to two levels below it.

        Raises:
            InputError: `path` is no folder and no zip archive, holds no sequence, holds several result
                sets, lacks one of `sequences`, or an option is not usable with this protocol.
        """
        if missing not in ("error", "empty"):
            raise InputError(f"missing is '{missing}': choose error or empty")
        check_threshold(threshold, protocol)
        tree = open_tree(path)
        root = find_root(tree, sequences)
        absent = [name for name in sequences if not has_sequence(tree, root, name)]
        if absent:
            raise InputError(
                f"{tree.where(root)}: no results for {len(absent)} of {len(sequences)} sequences: "
                f"{missing_names(absent, found_names(tree, root))}; add them, or name the sequences to score"
            )
        notes = () if not root else (f"masks found in {tree.where(root)}",)
        return cls(tree, root, protocol, missing, threshold, notes)

    @property
    def path(self) -> Path:
        """The folder that holds the sequences; a path within the archive for a zip."""
        return self.tree.where(self.root)

    def read(self, video: Video) -> SequenceMasks:
        """Open the masks of `video`; names are checked now, pixels when they are asked for.

        Raises:
            InputError: a frame that is needed is missing (unless it counts as empty), files are
                named after other frames, formats are mixed, or sparse tracks meet a protocol that
                has no rule for pixels without a prediction.
        """
        files = sequence_files(self.tree, self.root, video.name)
        size = frame_size(video)
        if files.suffix == ".dat":
            return self._tracks(files, video, size)
        if files.whole is not None:
            stack = ArrayFile(self.tree, files.whole)
            stack.check_stack(len(video), size)
            return self._masks(video, stack.frame, [stack.where] * len(video), (), set())
        missing = self._checked_names(files, video)
        evaluated = self.evaluated(video)
        used = [files.frames[name] for name in evaluated_names(video, self.protocol) if name in files.frames]
        seen: set[str] = set()
        load, labels = frame_loader(self.tree, files, used, size, self.protocol, self.threshold, seen.add)
        where = [self.tree.where(files.frames.get(name, name)) for name in video.frame_names]

        def values(index: int) -> Values:
            name = video.frame_names[index]
            if name in files.frames:
                return load(files.frames[name])
            if index not in evaluated and self.missing == "error":
                raise InputError(f"{self.path}: sequence {video.name} has no mask for frame {name}")
            return np.zeros(size, np.uint8)

        notes = self._notes(video, files, missing)
        if labels:
            masks = self._labels(video, values, notes, seen)
        else:
            masks = self._masks(video, values, where, notes, seen)
        masks.unproven = bool(missing.ends)
        return masks

    def _masks(
        self,
        video: Video,
        load: Callable[[int], Values],
        where: Sequence[Path],
        notes: Sequence[str],
        seen: set[str],
    ) -> SequenceMasks:
        def ids(index: int) -> IdMap:
            decoded, kind = interpret(load(index), where[index], self.protocol, self.threshold)
            if kind is not None:
                seen.add(kind)
            return decoded

        if self.threshold is not None:
            evaluated = self.evaluated(video)
            probes = [evaluated[len(evaluated) * part // 4] for part in (1, 2, 3)] if evaluated else []
            check_unit([load(index) for index in probes], self.threshold, self.path / video.name)
        return SequenceMasks(LazySequence(ids, len(video)), notes, seen)

    def _labels(
        self, video: Video, load: Callable[[int], Values], notes: Sequence[str], seen: set[str]
    ) -> SequenceMasks:
        def ids(index: int) -> IdMap:
            return one_foreground(load(index), self.protocol)

        remark = "colours read as objects, black as background"
        return SequenceMasks(LazySequence(ids, len(video)), (remark, *notes), seen)

    def _tracks(self, files: SequenceFiles, video: Video, size: Size) -> SequenceMasks:
        assert files.whole is not None
        where = self.tree.where(files.whole)
        if self.threshold is not None:
            raise InputError(f"{where}: tracks have labels and no grey levels; leave out the threshold")
        with self.tree.open(files.whole) as stream, ReadErrors(where):
            drawn = draw_tracks(stream, where, self.evaluated(video), len(video), size)
        partial = drawn.covered < 1
        if partial and self.protocol.variant != "official":
            raise InputError(
                f"{where}: tracks cover {drawn.covered:.1%} of the pixels, and protocol {self.protocol.id} "
                "needs a prediction for every pixel; write dense masks, or score with protocol fbms-official"
            )
        notes = [f"tracks cover {drawn.covered:.1%} of the pixels"]
        if drawn.shared:
            notes.append(f"{drawn.shared} track points on a pixel of another label: the last track counts")

        def ids(index: int) -> IdMap:
            if index not in drawn.maps:
                raise InputError(f"{where}: frame {index} is not evaluated and was not drawn")
            return one_foreground(drawn.maps[index], self.protocol)

        return SequenceMasks(LazySequence(ids, len(video)), notes, partial=partial)

    def evaluated(self, video: Video) -> Sequence[int]:
        """Return the indices of the frames that count."""
        return self.protocol.evaluated(len(video), video.annotations)

    def _checked_names(self, files: SequenceFiles, video: Video) -> MissingFrames:
        other = naming_difference(video.frame_names, files.frames, needed_names(video, self.protocol))
        if other is not None:
            raise InputError(
                f"{self.tree.where(files.folder)}: masks are {other.text}; rename them after their frames"
            )
        missing = missing_frames(files, video, self.protocol)
        if not files.frames or (missing.names and not missing.is_harmless and self.missing == "error"):
            raise InputError(self._missing_message(video, files, missing.names))
        return missing

    def _missing_message(self, video: Video, files: SequenceFiles, missing: Sequence[str]) -> str:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        if not files.frames:
            hint = instead_of_masks(self.tree, files.folder, merged=merges(self.protocol))
            return (
                f"{self.tree.where(files.folder)}: no PNG mask in it, expected {missing[0]}.png{more}; "
                f"{hint.problem}; {hint.fix}"
            )
        file = f"{missing[0]}{files.suffix}"
        counts = set(evaluated_names(video, self.protocol)) & set(missing)
        harmless = "" if counts else f" (not evaluated by {self.protocol.id}, so nothing changes)"
        return (
            f"{self.path}: sequence {video.name} lacks frame {missing[0]} ({file}){more}; "
            f"add it, or count missing frames as empty with missing=empty{harmless}"
        )

    def _notes(self, video: Video, files: SequenceFiles, missing: MissingFrames) -> list[str]:
        notes = []
        if missing.names and self.missing == "empty":
            notes.append(f"{len(missing.names)} missing frames counted as empty ({few(missing.names)})")
        elif missing.names:
            notes.append(missing.note)
        extra = sorted(set(files.frames) - set(video.frame_names))
        if extra:
            notes.append(f"{len(extra)} extra frames ignored ({few(extra)})")
        return notes


def one_foreground(ids: IdMap, protocol: Protocol) -> IdMap:
    """Return (H, W) ids, all objects as id 1 where the protocol distinguishes none."""
    return (ids != 0).astype(np.uint8) if merges(protocol) else ids


def frame_size(video: Video) -> Size:
    """Return height and width of the ground truth, of the frames where there is none."""
    for ids in video.annotations.values():
        return ids.shape[0], ids.shape[1]
    frame = video.frames[0]
    return frame.shape[0], frame.shape[1]
