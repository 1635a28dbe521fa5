"""Objectness: how many object proposals cover a pixel, and motion weighed by it.

The variant MP-Net-F of MP-Net (Tokmakov et al., "Learning motion patterns in videos", CVPR 2017) with 100
proposals of SharpMask per frame. The rule of `reweight` and the scaling of the counts are from memory of
that paper and **unverified**: no copy of it and no code of this step was at hand. The scale used here is
the largest count of the frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vosbench.errors import InputError, one_line, shown
from vosbench.formats.coco_results import Detection, detections_by_frame
from vosbench.formats.png import read_header, read_ids
from vosbench.formats.run_length import decode_segmentation
from vosbench.video import LazySequence, Video

PROPOSALS = 100
"""Those of the highest score of a frame count; the number is the release's."""

Map = NDArray[np.float32]
"""(H, W) float32 in 0..1."""


def reweight(motion: NDArray[np.floating], objectness: NDArray[np.floating]) -> Map:
    """Return ``min(m (0.5 + o), 1)``: motion counts half where nothing looks like an object.

    Unverified, see the module.

    Args:
        motion: (H, W) probability in 0..1 that a pixel moves.
        objectness: (H, W) in 0..1.

    Raises:
        ValueError: sizes differ.
    """
    if motion.shape != objectness.shape:
        raise ValueError(f"motion {motion.shape} and objectness {objectness.shape} differ in size")
    return np.minimum(motion * (0.5 + objectness), 1).astype(np.float32)


def objectness_of(masks: NDArray[np.bool_]) -> Map:
    """Return how many proposals cover each pixel, scaled so that the most covered pixel has 1.

    Args:
        masks: (N, H, W) bool; without a proposal, or with empty ones, the result is 0.

    Raises:
        ValueError: not three dimensions.
    """
    if masks.ndim != 3:
        raise ValueError(f"masks are (N, H, W), not {masks.shape}")
    return _scaled(masks.sum(axis=0, dtype=np.int64))


class ObjectnessMaps:
    """Objectness of videos, made by another program.

    Per sequence there is either a folder of 8-bit grey maps, ``SEQUENCE/FRAME.png`` of 0 to 255 for 0 to
    1, or a file of proposals, ``SEQUENCE.json`` in the format of COCO results: ``image_id`` (the name of
    the frame), ``score`` and ``segmentation`` (run lengths or polygons).

    Args:
        folder: holds them.

    Raises:
        InputError: no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise InputError(f"{folder}: no such folder of objectness maps")
        self.folder = folder

    def of(self, video: Video) -> Sequence[Map]:
        """Return the objectness of each frame, (H, W) of the frames, read when indexed.

        Raises:
            InputError: there is none or twice, a frame lacks its map, or a file is no such file; when
                indexed, a map cannot be read or has another size, or a proposal cannot be used.
        """
        maps, proposals = self.folder / video.name, self.folder / f"{video.name}.json"
        if maps.is_dir() and proposals.exists():
            raise InputError(f"{maps}: objectness as maps and as {proposals.name}; keep one of them")
        if maps.is_dir():
            return _grey_maps(maps, video)
        if not proposals.is_file():
            raise InputError(
                f"{self.folder}: no objectness of {video.name}; expected {video.name}/FRAME.png or "
                f"{proposals.name}"
            )
        return _counted(proposals, video)


def _grey_maps(folder: Path, video: Video) -> Sequence[Map]:
    files = [folder / f"{name}.png" for name in video.frame_names]
    absent = [file for file in files if not file.is_file()]
    if absent:
        raise InputError(f"{absent[0]}: no objectness map of this frame, {len(absent)} of {len(files)} lack")
    return LazySequence(lambda index: _grey(files[index], _size(video, index)), len(files))


def _grey(file: Path, size: tuple[int, int]) -> Map:
    header = read_header(file)
    # an indexed PNG holds ids, whatever their colours
    if (header.colour, header.bits) != (0, 8):
        raise InputError(f"{file}: an objectness map is an 8-bit grey PNG; convert it")
    levels = read_ids(file)
    if levels.shape != size:
        raise InputError(
            f"{file}: map is {levels.shape[1]}x{levels.shape[0]} pixels, the frame is {size[1]}x{size[0]}"
        )
    return (levels / 255).astype(np.float32)


def _counted(file: Path, video: Video) -> Sequence[Map]:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror or error})") from None
    found = detections_by_frame(content, file, video)

    def load(index: int) -> Map:
        name = video.frame_names[index]
        return _count(found.get(name, []), _size(video, index), f"{file}: frame {name}")

    return LazySequence(load, len(video))


def _count(proposals: Sequence[Detection], size: tuple[int, int], where: str) -> Map:
    counts = np.zeros(size, np.int64)
    ranked = sorted(proposals, key=lambda item: _score(item, where), reverse=True)
    for item in ranked[:PROPOSALS]:
        try:
            counts += decode_segmentation(item.get("segmentation"), *size)
        except ValueError as error:
            raise InputError(f"{where}: a proposal cannot be used: {one_line(error)}") from None
    return _scaled(counts)


def _score(item: Detection, where: str) -> int | float:
    score = item.get("score")
    # not below infinity is also what is no number at all
    if isinstance(score, bool) or not isinstance(score, int | float) or not abs(score) < math.inf:
        raise InputError(f"{where}: a proposal has score {shown(score)}; give a number")
    return score


def _scaled(counts: NDArray[np.int64]) -> Map:
    return (counts / max(int(counts.max(initial=0)), 1)).astype(np.float32)


def _size(video: Video, index: int) -> tuple[int, int]:
    height, width = video.frames[index].shape[:2]
    return height, width
