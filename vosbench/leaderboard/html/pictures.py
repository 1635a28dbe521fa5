"""Pictures for the page: frames as thumbnails, ground truth and masks as run lengths, within a budget."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vosbench.errors import InputError
from vosbench.formats.png import read_ids
from vosbench.leaderboard.board import Board
from vosbench.leaderboard.html.mask_runs import encode, pack, shrink
from vosbench.leaderboard.html.thumbnail import thumbnail, thumbnail_size
from vosbench.video import Video

WIDTHS = (320, 288, 256, 224)
"""Pixels a thumbnail may be wide; the widest with which all frames fit is taken."""

MOST_FRAMES = 2000
"""Frames encoded for one page, however small they are: the rest would take minutes."""

_RUNS, _RUN = 10, 5
"""Stretches of so many frames from which the size of all is estimated."""


@dataclass(frozen=True)
class SequencePictures:
    """The pictures of one sequence.

    Attributes:
        size: (width, height) of all of them.
        names: frame names, in order, of all frames of the video.
        indices: of the frames pictured, ascending.
        images: WebP as base64, one per index.
        truth: positions in `indices` of the frames that have ground truth.
        truth_runs: their maps, packed, as base64; ``""`` without any.
        masks: method -> its maps at all `indices`, packed, as base64.
    """

    size: tuple[int, int]
    names: tuple[str, ...]
    indices: tuple[int, ...]
    images: tuple[str, ...]
    truth: tuple[int, ...]
    truth_runs: str
    masks: Mapping[str, str]

    @property
    def content(self) -> dict[str, Any]:
        """Content for the script of the page."""
        return {
            "width": self.size[0],
            "height": self.size[1],
            "names": self.names,
            "indices": self.indices,
            "images": self.images,
            "truth": {"at": self.truth, "runs": self.truth_runs},
            "masks": self.masks,
        }

    @property
    def size_on_page(self) -> int:
        """Bytes of the page that the pictures take."""
        return len(json.dumps(self.content, ensure_ascii=False).encode())


@dataclass(frozen=True)
class Album:
    """The pictures of a page.

    Attributes:
        of: (label of the edition, sequence) -> pictures.
        note: remark for readers when frames are missing, else ``""``.
    """

    of: Mapping[tuple[str, str], SequencePictures]
    note: str = ""


@dataclass(frozen=True)
class _PicturedVideo:
    """A sequence to picture: its video, the frames that count, and the folders of masks by method."""

    label: str
    video: Video
    frames: tuple[int, ...]
    folders: Mapping[str, Path]


@dataclass
class _EncodedFrame:
    """One frame: the thumbnail, its ground truth and the masks of the methods as runs."""

    size: tuple[int, int]
    image: str
    truth: bytes | None
    masks: dict[str, bytes]


def album(
    boards: Sequence[Board],
    videos: Mapping[str, Sequence[Video]],
    masks: Path,
    *,
    budget: int,
) -> Album:
    """Return pictures of every frame that counts, or of every n-th where they would not fit.

    Args:
        boards: which methods and sequences there are.
        videos: label (``"davis16-mini"``) -> the data set.
        masks: folder with ``<label>/<model>/<sequence>/<frame>.png``.
        budget: bytes of the page that the pictures may take.

    Raises:
        InputError: a frame or a mask cannot be read, or a mask is not of the size of its frame.
    """
    sources = _pictured(boards, videos, masks)
    count = sum(len(source.frames) for source in sources)
    step = max(1, math.ceil(count / MOST_FRAMES))
    width = _width(sources, count / step, budget)
    encoded = [_encode(source, source.frames[::step], width) for source in sources]
    while True:
        made = [_pictures(source, frames) for source, frames in zip(sources, encoded, strict=True)]
        fits = sum(pictures.size_on_page for pictures in made) <= budget
        if fits or not any(len(frames) > 1 for frames in encoded):
            break
        encoded = [dict(list(frames.items())[::2]) for frames in encoded]
        step *= 2
    if not fits:
        return Album({}, "Pictures were left out: even one of each sequence would make this file too large.")
    pictures = {(s.label, s.video.name): p for s, p in zip(sources, made, strict=True)}
    thinned = f"To keep this file small, pictures show one in {step} frames."
    return Album(pictures, thinned if step > 1 else "")


def _pictured(
    boards: Sequence[Board], videos: Mapping[str, Sequence[Video]], masks: Path
) -> list[_PicturedVideo]:
    """Return the videos to picture; several boards may show one video under rules that count other frames."""
    frames: dict[tuple[str, str], set[int]] = {}
    models: dict[str, dict[str, None]] = {}
    pictured: dict[tuple[str, str], Video] = {}
    for board in boards:
        # a method of ours may be on the board a second time, with numbers that others reported
        here = (row.model for row in board.rows if row.kind == "measured")
        models.setdefault(board.label, {}).update(dict.fromkeys(here))
        shown = set(board.sequences)
        for video in videos.get(board.label, ()):
            if video.name in shown:
                key = (board.label, video.name)
                pictured.setdefault(key, video)
                frames.setdefault(key, set()).update(board.protocol.evaluated(len(video), video.annotations))
    sources = []
    for (label, name), video in pictured.items():
        if not frames[label, name]:
            continue
        folders = {model: masks / label / model / name for model in models[label]}
        present = {model: folder for model, folder in folders.items() if folder.is_dir()}
        sources.append(_PicturedVideo(label, video, tuple(sorted(frames[label, name])), present))
    return sources


def _width(sources: Sequence[_PicturedVideo], count: float, budget: int) -> int:
    """Return the widest of `WIDTHS` with which `count` frames are expected to fit."""
    # a few frames in a row, as their maps share a zlib stream
    runs = [(source, i) for source in sources for i in range(0, len(source.frames), _RUN)]
    sample = [(source, source.frames[i : i + _RUN]) for source, i in runs[:: max(1, len(runs) // _RUNS)]]
    frames = sum(len(run) for _, run in sample)
    for width in WIDTHS:
        made = [_pictures(source, _encode(source, run, width)) for source, run in sample]
        if sum(pictures.size_on_page for pictures in made) * count <= budget * frames:
            return width
    return WIDTHS[-1]


def _encode(source: _PicturedVideo, frames: Iterable[int], width: int) -> dict[int, _EncodedFrame]:
    return {index: _encode_frame(source, index, width) for index in frames}


def _encode_frame(source: _PicturedVideo, index: int, width: int) -> _EncodedFrame:
    video = source.video
    frame = video.frames[index]
    size = thumbnail_size(frame.shape[:2], width)
    truth = video.annotations.get(index)
    masks = {}
    for model, folder in source.folders.items():
        file = folder / f"{video.frame_names[index]}.png"
        if not file.is_file():
            continue
        ids = read_ids(file)
        if ids.shape != frame.shape[:2]:
            raise InputError(
                f"{file}: not the size of the frames of {video.name}; delete this folder of masks"
            )
        masks[model] = encode(shrink(ids, *size))
    runs = None if truth is None else encode(shrink(truth, *size))
    return _EncodedFrame(size, _base64(thumbnail(frame, size)), runs, masks)


def _pictures(source: _PicturedVideo, encoded: Mapping[int, _EncodedFrame]) -> SequencePictures:
    # a method that lacks a mask is not drawn on this sequence at all: its folder is not whole
    frames = encoded.values()
    whole = [model for model in source.folders if all(model in frame.masks for frame in frames)]
    truth = {position: frame.truth for position, frame in enumerate(frames) if frame.truth is not None}
    return SequencePictures(
        size=next(frame.size for frame in frames),
        names=source.video.frame_names,
        indices=tuple(encoded),
        images=tuple(frame.image for frame in frames),
        truth=tuple(truth),
        truth_runs=_base64(pack(truth.values())) if truth else "",
        masks={model: _base64(pack(frame.masks[model] for frame in frames)) for model in whole},
    )


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
