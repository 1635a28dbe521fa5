"""Diagnosis of a folder of results: usual mistakes, before or after scoring."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from vosbench.data.catalogue import open_dataset
from vosbench.data.datasets.base import Dataset
from vosbench.data.roots import data_root as find_data_root
from vosbench.errors import InputError
from vosbench.evaluation.doctor.content import INVERTED, SHIFTED
from vosbench.evaluation.doctor.examination import SequenceExamination
from vosbench.evaluation.doctor.findings import Finding
from vosbench.evaluation.results.files import has_sequence
from vosbench.evaluation.results.layout import find_root, found_names, other_names_note
from vosbench.evaluation.results.reader import ResultFolder
from vosbench.evaluation.results.trees import Tree, open_tree
from vosbench.evaluation.selection import choose_protocol, choose_sequences

Progress = Callable[[int, int, str], None]
"""Called with the number of sequences done, of all, and the name of the last one."""

ONE_OBJECT = ("davis16",)
"""Data sets whose ground truth has one object per video, and another edition with several."""

_OTHER_NAMES = "rename them after their sequences; nothing to do if they are to be left out"
_SPLITS = ("val", "train", "trainval", "test", "test-dev", "all")


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
    """Look for usual mistakes in a folder or zip archive of results, in one pass over its files.

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
    indices = choose_sequences(opened, sequences)
    tree = open_tree(Path(results))
    try:
        results_root = find_root(tree, list(indices))
    except InputError:
        elsewhere = _other_split(tree, opened)
        if elsewhere is None:
            raise
        return [elsewhere]
    present = [sequence for sequence in indices if has_sequence(tree, results_root, sequence)]
    findings = _absent_sequences(opened, list(indices), present, tree, results_root)
    folder = ResultFolder(tree, results_root, rules)
    for done, sequence in enumerate(present, start=1):
        examination = SequenceExamination(folder, opened[indices[sequence]], dataset in ONE_OBJECT)
        findings += [replace(finding, sequence=sequence) for finding in examination.findings()]
        if progress is not None:
            progress(done, len(present), sequence)
    weighed = _weighed(findings, len(present))
    return sorted(weighed, key=lambda finding: (finding.sequence, finding.count, finding.problem))


def _weighed(findings: Iterable[Finding], sequences: int) -> list[Finding]:
    """Make a mistake that may be the method's own a warning, unless most sequences have it."""
    listed = list(findings)
    kinds = Counter(finding.problem.partition(" ")[0].rstrip(":") for finding in listed)
    doubtful = {kind for kind in (INVERTED, SHIFTED) if 2 * kinds[kind] <= sequences and sequences > 1}
    return [
        replace(finding, severity="warning") if finding.problem.startswith(tuple(doubtful)) else finding
        for finding in listed
    ]


def _other_split(tree: Tree, opened: Dataset) -> Finding | None:
    """Return a finding that names the split of the sequences in the folder, where it is another one."""
    for split in _SPLITS:
        names = _split_names(opened, split)
        with suppress(InputError):
            results_root = find_root(tree, names)
            count = sum(has_sequence(tree, results_root, name) for name in names)
            problem = f"no sequence of split {opened.split}, but {count} of split {split}"
            return Finding(count, problem, f"vosbench score ... --split {split}")
    return None


def _split_names(opened: Dataset, split: str) -> list[str]:
    if split == opened.split:
        return []
    with suppress(InputError):
        return [video.name for video in open_dataset(opened.reference, opened.root, split)]
    return []


def _absent_sequences(
    opened: Dataset, wanted: Sequence[str], present: Sequence[str], tree: Tree, results_root: str
) -> list[Finding]:
    absent = [name for name in wanted if name not in present]
    counts = {video.name: len(video) for video in opened}
    names = found_names(tree, results_root)
    others = set(names) - set(counts)
    note = other_names_note(names, counts, f"{opened.label} {opened.split}")
    noted = [] if note is None else [Finding(len(others), note, _OTHER_NAMES, "warning")]
    if not absent:
        return noted
    fix = f"add them, or vosbench score ... --sequences {','.join(present)}"
    for split in _SPLITS if others else ():
        if {*others, *present} <= set(_split_names(opened, split)):
            fix, noted = f"the folder holds split {split}: vosbench score ... --split {split}", []
            break
    problem = "no results for this sequence"
    missing = [Finding(counts[name], problem, fix, sequence=name) for name in absent]
    return [*missing, *noted]
