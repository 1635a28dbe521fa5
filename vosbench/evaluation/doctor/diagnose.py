"""Finding what is wrong with a folder of results before, or after, its numbers surprise."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vosbench.data.catalogue import open_dataset
from vosbench.data.datasets.base import Dataset
from vosbench.data.roots import data_root as find_data_root
from vosbench.errors import InputError
from vosbench.evaluation.doctor.content import INVERTED, SHIFTED, Agreement
from vosbench.evaluation.doctor.values import (
    Range,
    Severity,
    Symptom,
    deep_symptoms,
    levels_of,
    range_of,
    value_symptoms,
)
from vosbench.evaluation.results.arrays import ArrayFile, Size, Values, size_hint
from vosbench.evaluation.results.files import (
    SequenceFiles,
    Tree,
    has_sequence,
    open_tree,
    sequence_files,
)
from vosbench.evaluation.results.frame_names import difference
from vosbench.evaluation.results.places import find_root, found_names, instead_of_masks, other_names_note
from vosbench.evaluation.results.reader import ResultFolder, frame_loader, frame_size
from vosbench.evaluation.results.shift import recent
from vosbench.evaluation.results.values import merges
from vosbench.evaluation.selection import choose_protocol, choose_sequences
from vosbench.formats.png import ColourError
from vosbench.metrics.kernels.overlap import object_count
from vosbench.video import Video

Progress = Callable[[int, int, str], None]
"""Called with the number of sequences done, of all, and the name of the last one."""

ONE_OBJECT = ("davis16",)
"""Data sets whose ground truth has one object per video, and another edition with several."""

_Read = Callable[[], Values]

_RENAMING = {
    "offset": "rename every mask after its frame; a mask belongs to the frame of the same name",
    "padding": "rename every mask after its frame, with as many zeros",
    "affix": "rename every mask after its frame, with nothing before or behind the name",
}
_PICTURES = "colour images (RGB) instead of ids"
_OTHER_NAMES = "rename them after their sequences; nothing to do if they are to be left out"
_CHECK_COLOURS = "nothing to do if that is right; ids written as grey PNG leave no doubt"
_TO_BINARY = "Image.open(file).convert('L').point(lambda v: 255 * (v > 0)).save(file)"
_TO_IDS = "save the ids: Image.fromarray(ids.astype('uint8')).save(file); colours only as a palette"
_SPLITS = ("val", "train", "trainval", "test", "test-dev", "all")


@dataclass(frozen=True, order=True)
class Finding:
    """One thing that is wrong with the results of one sequence.

    Attributes:
        sequence: its name; ``""`` for the folder as a whole.
        count: number of frames that show it; of sequences when `sequence` is ``""``.
        problem: what is wrong, in words that are the same for every sequence with this mistake.
        fix: the command, option or conversion that mends it.
        severity: ``"error"`` when no number or a wrong one comes out, ``"warning"`` otherwise.
    """

    sequence: str
    count: int
    problem: str
    fix: str
    severity: Severity


def diagnose(
    results: Path,
    dataset: str,
    *,
    split: str | None = None,
    protocol: str | None = None,
    data_root: Path | None = None,
    sequences: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> list[Finding]:
    """Look for what users get wrong in a folder or zip archive of results, in one pass over its files.

    Args:
        results: what would be given to `score`.
        dataset: catalogue name.
        split: the data set's default when None.
        protocol: protocol id; the data set's default when None.
        data_root: folder that holds the data sets; see `vosbench.data.roots`.
        sequences: the sequences to look at; all of the split when None.
        progress: called after every sequence.

    Returns:
        sorted findings, one per sequence and mistake; empty for results that can be scored as they are.

    Raises:
        InputError: there are no results at all, or the data set or an option cannot be used.
    """
    rules = choose_protocol(dataset, protocol)
    if rules.objects == "detections":
        raise InputError(
            f"protocol {rules.id} takes detections with scores; doctor looks at masks: name another one"
        )
    root = find_data_root(data_root)
    opened = open_dataset(dataset, root, split or rules.split, **rules.reader_options(dataset))
    chosen = choose_sequences(opened, sequences)
    tree = open_tree(Path(results))
    try:
        place = find_root(tree, list(chosen))
    except InputError:
        elsewhere = _other_split(tree, opened)
        if elsewhere is None:
            raise
        return [elsewhere]
    present = [sequence for sequence in chosen if has_sequence(tree, place, sequence)]
    findings = _absent_sequences(opened, list(chosen), present, tree, place)
    folder = ResultFolder(tree, place, rules)
    for done, sequence in enumerate(present, start=1):
        symptoms = _Examination(folder, opened[chosen[sequence]], dataset in ONE_OBJECT).symptoms()
        findings += [Finding(sequence, *symptom) for symptom in symptoms]
        if progress is not None:
            progress(done, len(present), sequence)
    return sorted(_weighed(findings, len(present)))


def _weighed(findings: Iterable[Finding], sequences: int) -> list[Finding]:
    """Let a mistake that a method may make on its own be a warning unless most sequences show it."""
    listed = list(findings)
    kinds = Counter(finding.problem.partition(" ")[0].rstrip(":") for finding in listed)
    doubtful = {kind for kind in (INVERTED, SHIFTED) if 2 * kinds[kind] <= sequences and sequences > 1}
    return [
        replace(finding, severity="warning") if finding.problem.startswith(tuple(doubtful)) else finding
        for finding in listed
    ]


def _other_split(tree: Tree, opened: Dataset) -> Finding | None:
    """Say which other split of the data set the sequences found belong to."""
    for split in _SPLITS:
        names = _split_names(opened, split)
        with suppress(InputError):
            place = find_root(tree, names)
            found = sum(has_sequence(tree, place, name) for name in names)
            problem = f"no sequence of split {opened.split}, but {found} of split {split}"
            return Finding("", found, problem, f"vosbench score ... --split {split}", "error")
    return None


def _split_names(opened: Dataset, split: str) -> list[str]:
    if split == opened.split:
        return []
    with suppress(InputError):
        return [video.name for video in open_dataset(opened.name, opened.root, split)]
    return []


def _absent_sequences(
    opened: Dataset, chosen: Sequence[str], present: Sequence[str], tree: Tree, place: str
) -> list[Finding]:
    absent = [name for name in chosen if name not in present]
    counts = {video.name: len(video) for video in opened}
    found = found_names(tree, place)
    others = set(found) - set(counts)
    note = other_names_note(found, counts, f"{opened.label} {opened.split}")
    noted = [] if note is None else [Finding("", len(others), note, _OTHER_NAMES, "warning")]
    if not absent:
        return noted
    fix = f"add them, or vosbench score ... --sequences {','.join(present)}"
    for split in _SPLITS if others else ():
        if {*others, *present} <= set(_split_names(opened, split)):
            fix, noted = f"the folder holds split {split}: vosbench score ... --split {split}", []
            break
    missing = [Finding(name, counts[name], "no results for this sequence", fix, "error") for name in absent]
    return [*missing, *noted]


class _Examination:
    """One sequence: its names, then every frame that counts once."""

    def __init__(self, folder: ResultFolder, video: Video, one_object: bool) -> None:
        self._folder = folder
        self._video = video
        self._one_object = one_object
        self._size = frame_size(video)
        self._found: list[Symptom] = []
        self._levels: list[NDArray[np.bool_]] = []
        self._soft: list[Range] = []
        self._sizes: Counter[Size] = Counter()
        self._damaged: list[str] = []
        self._colours: Counter[tuple[str, str]] = Counter()
        self._remarks: Counter[str] = Counter()
        self._labels = False
        first = min(video.annotations, default=None)
        self._objects = 0 if first is None else object_count(video.annotations[first])

    def symptoms(self) -> list[Symptom]:
        """Return everything found, one symptom per mistake."""
        try:
            files = sequence_files(self._folder.tree, self._folder.root, self._video.name)
            load = self._loader(files)
        except InputError as error:
            return [*self._found, _from_error(error)]
        if load is None:
            return self._found
        agreement = Agreement(recent(self._video), self._folder.protocol, self._objects)
        for index, read in load.items():
            self._frame(index, read, agreement)
        values = self._value_symptoms()
        self._found += values
        if not any(symptom.severity == "error" for symptom in values):
            self._found += agreement.symptoms()
        return self._found

    def _loader(self, files: SequenceFiles) -> dict[int, _Read] | None:
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
        """Note missing, extra and misnamed files; False when frames cannot be told."""
        names, needed = self._video.frame_names, self._folder.needed(self._video)
        other = difference(names, files.frames, needed)
        if other is not None:
            self._found.append(Symptom(len(files.frames), f"masks are {other.text}", _RENAMING[other.kind]))
            return False
        if not files.frames:
            tree, merged = self._folder.tree, merges(self._folder.protocol)
            hint = instead_of_masks(tree, files.folder, merged=merged)
            self._found.append(Symptom(hint.files or len(needed), hint.problem, hint.fix))
            return False
        absent = self._folder.absent(files, self._video)
        if absent.is_harmless:
            fix = "nothing to do: no number depends on it"
            self._found.append(Symptom(len(absent.names), absent.words, fix, "warning"))
        elif absent.names:
            fix = "add them, or vosbench score ... --missing empty"
            self._found.append(Symptom(len(absent.names), "missing frames", fix))
        extra = set(files.frames) - set(names)
        if extra:
            fix = "nothing to do: they are ignored; remove them, or check the numbers of all others"
            self._found.append(Symptom(len(extra), "extra frames", fix, "warning"))
        return True

    def _remark(self, text: str) -> None:
        self._remarks[text] += 1

    def _frame(self, index: int, read: _Read, agreement: Agreement) -> None:
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

    def _value_symptoms(self) -> list[Symptom]:
        rules = self._folder.protocol
        found = [self._size_symptom(size, count) for size, count in self._sizes.items()]
        found += [Symptom(count, problem, fix) for (problem, fix), count in self._colours.items()]
        found += [Symptom(count, text, _CHECK_COLOURS, "warning") for text, count in self._remarks.items()]
        if self._damaged:
            problem, _, fix = self._damaged[0].rpartition("; ")
            found.append(Symptom(len(self._damaged), problem or fix, fix))
        found += deep_symptoms(self._soft, rules)
        if self._levels:
            found += value_symptoms(np.array(self._levels), self._objects, rules, one_object=self._one_object)
        return found

    def _size_symptom(self, size: Size, count: int) -> Symptom:
        height, width = self._size
        problem = (
            f"masks are {size[1]}x{size[0]}, the data set is {width}x{height}{size_hint(size, self._size)}"
        )
        if size == self._size[::-1]:
            return Symptom(count, problem, "write the transposed array: mask.T")
        fix = (
            f"write them at the size of the frames: Image.open(f).resize(({width}, {height}), Image.NEAREST)"
        )
        return Symptom(count, problem, fix)


def _from_error(error: InputError) -> Symptom:
    problem, _, fix = str(error).rpartition("; ")
    return Symptom(1, problem or fix, fix)
