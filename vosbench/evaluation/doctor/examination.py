"""Examination of the results of one sequence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from vosbench.errors import InputError
from vosbench.evaluation.doctor.content import Agreement
from vosbench.evaluation.doctor.findings import Finding
from vosbench.evaluation.doctor.values import (
    ValueRange,
    levels_of,
    range_of,
    soft_value_findings,
    value_findings,
)
from vosbench.evaluation.results.arrays import ArrayFile, Size, Values, size_hint
from vosbench.evaluation.results.files import SequenceFiles, sequence_files
from vosbench.evaluation.results.frame_loader import frame_loader
from vosbench.evaluation.results.frame_names import naming_difference
from vosbench.evaluation.results.layout import instead_of_masks
from vosbench.evaluation.results.missing_frames import missing_frames, needed_names
from vosbench.evaluation.results.reader import ResultFolder, frame_size
from vosbench.evaluation.results.shift import recent
from vosbench.evaluation.results.values import merges
from vosbench.formats.png import ColourError
from vosbench.metrics.kernels.overlap import object_count
from vosbench.video import Video

_ReadFrame = Callable[[], Values]

_RENAMING = {
    "offset": "rename every mask after its frame; a mask belongs to the frame of the same name",
    "padding": "rename every mask after its frame, with as many zeros",
    "affix": "rename every mask after its frame, with nothing before or behind the name",
}
_PICTURES = "colour images (RGB) instead of ids"
_CHECK_COLOURS = "nothing to do if that is right; ids written as grey PNG leave no doubt"
_TO_BINARY = "Image.open(file).convert('L').point(lambda v: 255 * (v > 0)).save(file)"
_TO_IDS = "save the ids: Image.fromarray(ids.astype('uint8')).save(file); colours only as a palette"


class SequenceExamination:
    """Examination of the results of one sequence: file names, then every evaluated frame once.

    Args:
        folder: the results.
        video: the sequence.
        one_object: whether the data set has one object per video, so that ids are suspicious.
    """

    def __init__(self, folder: ResultFolder, video: Video, one_object: bool) -> None:
        self._folder = folder
        self._video = video
        self._one_object = one_object
        self._size = frame_size(video)
        self._findings: list[Finding] = []
        self._levels: list[NDArray[np.bool_]] = []
        self._soft: list[ValueRange] = []
        self._sizes: Counter[Size] = Counter()
        self._damaged: list[str] = []
        self._colours: Counter[tuple[str, str]] = Counter()
        self._remarks: Counter[str] = Counter()
        self._labels = False
        first = min(video.annotations, default=None)
        self._objects = 0 if first is None else object_count(video.annotations[first])

    def findings(self) -> list[Finding]:
        """Return one finding per mistake."""
        try:
            files = sequence_files(self._folder.tree, self._folder.root, self._video.name)
            load = self._loader(files)
        except InputError as error:
            return [*self._findings, _from_error(error)]
        if load is None:
            return self._findings
        agreement = Agreement(recent(self._video), self._folder.protocol, self._objects)
        for index, read in load.items():
            self._frame(index, read, agreement)
        values = self._value_findings()
        self._findings += values
        if not any(finding.severity == "error" for finding in values):
            self._findings += agreement.findings()
        return self._findings

    def _loader(self, files: SequenceFiles) -> dict[int, _ReadFrame] | None:
        """Return frame index -> function that reads it; None when the sequence needs no further look."""
        folder, video = self._folder, self._video
        if files.suffix == ".dat":
            folder.read(video)
            return None
        evaluated = folder.evaluated(video)
        if files.whole is not None:
            stack = ArrayFile(folder.tree, files.whole)
            stack.check_stack(len(video), None)
            return {index: partial(stack.frame, index) for index in evaluated}
        if not self._names(files):
            return None
        names = {index: files.frames.get(video.frame_names[index]) for index in evaluated}
        present = {index: file for index, file in names.items() if file is not None}
        read, self._labels = frame_loader(
            folder.tree, files, list(present.values()), None, folder.protocol, None, self._remark
        )
        return {index: partial(read, file) for index, file in present.items()}

    def _names(self, files: SequenceFiles) -> bool:
        """Note missing, extra and misnamed files; False when files cannot be assigned to frames."""
        names, needed = self._video.frame_names, needed_names(self._video, self._folder.protocol)
        other = naming_difference(names, files.frames, needed)
        if other is not None:
            self._findings.append(
                Finding(len(files.frames), f"masks are {other.text}", _RENAMING[other.kind])
            )
            return False
        if not files.frames:
            tree, merged = self._folder.tree, merges(self._folder.protocol)
            hint = instead_of_masks(tree, files.folder, merged=merged)
            self._findings.append(Finding(hint.files or len(needed), hint.problem, hint.fix))
            return False
        missing = missing_frames(files, self._video, self._folder.protocol)
        if missing.is_harmless:
            fix = "nothing to do: no number depends on it"
            self._findings.append(Finding(len(missing.names), missing.note, fix, "warning"))
        elif missing.names:
            fix = "add them, or vosbench score ... --missing empty"
            self._findings.append(Finding(len(missing.names), "missing frames", fix))
        extra = set(files.frames) - set(names)
        if extra:
            fix = "nothing to do: they are ignored; remove them, or check the numbers of all others"
            self._findings.append(Finding(len(extra), "extra frames", fix, "warning"))
        return True

    def _remark(self, text: str) -> None:
        self._remarks[text] += 1

    def _frame(self, index: int, read: _ReadFrame, agreement: Agreement) -> None:
        try:
            values = read()
        except ColourError as error:
            self._colours[self._colour_words(error)] += 1
            return
        except InputError as error:
            self._damaged.append(str(error))
            return
        if values.shape != self._size:
            self._sizes[values.shape] += 1
            return
        levels = levels_of(values)
        if levels is None:
            self._soft.append(range_of(values))
            return
        if not self._labels:
            self._levels.append(levels)
        agreement.add(index, values.astype(np.uint8, copy=False))

    def _colour_words(self, error: ColourError) -> tuple[str, str]:
        if not error.is_picture:
            return error.problem, f"{error.advice}: {error.code}" if error.code else error.advice
        return _PICTURES, error.code or (_TO_BINARY if merges(self._folder.protocol) else _TO_IDS)

    def _value_findings(self) -> list[Finding]:
        rules = self._folder.protocol
        findings = [self._size_finding(size, count) for size, count in self._sizes.items()]
        findings += [Finding(count, problem, fix) for (problem, fix), count in self._colours.items()]
        findings += [Finding(count, text, _CHECK_COLOURS, "warning") for text, count in self._remarks.items()]
        if self._damaged:
            problem, _, fix = self._damaged[0].rpartition("; ")
            findings.append(Finding(len(self._damaged), problem or fix, fix))
        findings += soft_value_findings(self._soft, rules)
        if self._levels:
            findings += value_findings(
                np.array(self._levels), self._objects, rules, one_object=self._one_object
            )
        return findings

    def _size_finding(self, size: Size, count: int) -> Finding:
        height, width = self._size
        problem = (
            f"masks are {size[1]}x{size[0]}, the data set is {width}x{height}{size_hint(size, self._size)}"
        )
        if size == self._size[::-1]:
            return Finding(count, problem, "write the transposed array: mask.T")
        fix = (
            f"write them at the size of the frames: Image.open(f).resize(({width}, {height}), Image.NEAREST)"
        )
        return Finding(count, problem, fix)


def _from_error(error: InputError) -> Finding:
    problem, _, fix = str(error).rpartition("; ")
    return Finding(1, problem or fix, fix)
