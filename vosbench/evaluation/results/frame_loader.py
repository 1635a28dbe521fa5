"""Loaders of the values of one frame, by the format of the files."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from vosbench.errors import InputError
from vosbench.evaluation.results.arrays import ArrayFile, ColourIds, Size, Values, read_netpbm, read_png
from vosbench.evaluation.results.files import SequenceFiles
from vosbench.evaluation.results.trees import Tree
from vosbench.evaluation.results.values import merges
from vosbench.scoring.protocol import Protocol


def frame_loader(
    tree: Tree,
    files: SequenceFiles,
    used: Sequence[str],
    size: Size | None,
    protocol: Protocol,
    threshold: float | None,
    remark: Callable[[str], None],
) -> tuple[Callable[[str], Values], bool]:
    """Return a function: file of a frame -> its values, and whether these are labels that need no reading.

    Args:
        tree: where the files lie.
        files: the files of the sequence, one per frame.
        used: those that will be read: colours are numbered over all of them.
        size: height and width they must have; any when None.
        protocol: decides whether grey levels of PGM are labels (FBMS) or are read as those of PNG.
        threshold: as `ResultFolder` has it.
        remark: called with a remark on a file that is read.

    Raises:
        InputError: colours where ids or levels are needed.
    """
    if files.suffix == ".png":
        return _png_loader(tree, size, protocol, remark), False
    if files.suffix in (".npy", ".npz"):
        return lambda file: ArrayFile(tree, file).whole(size), False
    if files.suffix == ".pgm" and (threshold is not None or protocol.objects != "volumes"):
        return lambda file: read_netpbm(tree, file, size).astype(np.uint8), False
    if threshold is not None or protocol.objects not in ("volumes", "union"):
        needed = "grey levels" if threshold is not None else "object ids"
        raise InputError(
            f"{tree.where(files.folder)}: PPM files have colours where {needed} are needed; write indexed PNG"
        )
    colours: list[ColourIds] = []

    def label_ids(file: str) -> Values:
        # All colours before the first id: which id a colour gets must not depend on the frame asked for
        if not colours:
            # The official measure takes the background for a region like the others
            background = protocol.variant != "official"
            colours.append(ColourIds(tree, used, size, background=background))
        return colours[0].ids(read_netpbm(tree, file, size))

    return label_ids, True


def _png_loader(
    tree: Tree, size: Size | None, protocol: Protocol, remark: Callable[[str], None]
) -> Callable[[str], Values]:
    def load(file: str) -> Values:
        read = read_png(tree, file, size, told_apart=not merges(protocol))
        if read.remark is not None:
            remark(read.remark)
        return read.values

    return load
