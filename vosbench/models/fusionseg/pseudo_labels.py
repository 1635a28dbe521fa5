"""Pseudo labels: training masks of FusionSeg's motion stream, made from videos with boxes.

An appearance method guesses a mask of each frame with boxes, `bootstrap_rules` says what of it to
believe, and what is left is written in the layout that `vosbench.data.datasets.fusionseg_vid` reads.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vosbench.data.datasets.fusionseg_vid import ANNOTATIONS, NAME, REPORT
from vosbench.errors import InputError
from vosbench.files import write_text, writing
from vosbench.flow.cache import attach_flow
from vosbench.flow.encodings import colour_wheel
from vosbench.flow.estimators import FlowEstimator, Precomputed
from vosbench.formats.mask import read_mask
from vosbench.formats.png import read_ids, read_palette, write_ids
from vosbench.locks import claimed
from vosbench.models.fusionseg.pseudo_label_rules import BootstrapSettings, Counts, Mask, judge
from vosbench.plain_data import parse_json
from vosbench.video import VOID, Box, FlowField, Frame, Segmentation, Video

Segmenter = Callable[[Video, int], NDArray[Any]]
"""Video and frame index -> (H, W) bool mask, integer ids (0 background), or floating-point probability."""

FlowSource = Callable[[Video, int], FlowField]
"""Video and frame index -> (2, H, W) flow in pixels, on the grid of that frame."""

Progress = Callable[[int, int], None]
"""Number of finished videos, and of all."""

FRAMES = "frames.txt"
"""Beside the report: ``VIDEO/FRAME`` of every mask that was kept, a line each."""

_JOURNAL = "journal"
_REMEDY = "make room or give another data root, and run it again: finished frames are kept"
# Raise it when equal settings come to mean other masks.
_FORMAT = 1


@dataclass(frozen=True)
class Report:
    """Pseudo labels that a run kept, earlier parts of the run included.

    Attributes:
        frames: with at least one box.
        kept_frames: with a mask now.
        boxes: in these frames.
        dropped_overlap, dropped_fill, dropped_contrast: boxes that a test took away; each is
            counted by the first that it failed.
        kept: boxes whose foreground is in a mask.
    """

    frames: int
    kept_frames: int
    boxes: int
    dropped_overlap: int
    dropped_fill: int
    dropped_contrast: int
    kept: int


def prepare(
    videos: Sequence[Video],
    segmenter: Segmenter,
    flow: FlowSource,
    root: Path,
    settings: BootstrapSettings | None = None,
    progress: Progress | None = None,
    *,
    provenance: Mapping[str, Any] | None = None,
) -> Report:
    """Write ``root/fusionseg_vid/Annotations/VIDEO/FRAME.png`` (0 and 1), the list of them and the report.

    Files appear whole, and each frame is entered in a journal when it is done. Run again, frames of
    the same settings, provenance and boxes are not computed again; others are, and masks that do
    not pass any longer are removed. Videos that are not among `videos` are left alone.

    Args:
        videos: with `Video.boxes`; frames without a box are passed over.
        segmenter: guesses masks, see `of_method`, `of_frames` and `MaskFolder`.
        flow: see `flow_source`.
        root: the data root.
        settings: the thresholds.
        progress: called after each video.
        provenance: what determines the output of `segmenter` and `flow`, JSON values, such as the
            method, the hash of its weights, the settings of the estimator and the `fingerprint` of
            folders that are read.

    Raises:
        InputError: a name that is no plain file name, a mask or flow of another size than its frame,
            nothing with boxes, the miniature edition or another process is in the way, or a file
            cannot be written; readers raise it, too.
    """
    chosen = settings or BootstrapSettings()
    folder = root / NAME
    if (folder / "MINI.json").is_file():
        raise InputError(f"{folder}: holds the miniature edition; remove it or give another data root")
    origin = {"format": _FORMAT, "settings": asdict(chosen), "provenance": dict(provenance or {})}
    total, frames, kept = Counts(), 0, list[str]()
    with claimed(root, NAME):
        for done, video in enumerate(videos, 1):
            for name, counts in _video(video, segmenter, flow, folder, chosen, origin):
                total, frames = total + counts, frames + 1
                if counts.kept:
                    kept.append(f"{video.name}/{name}")
            if progress is not None:
                progress(done, len(videos))
        if not frames:
            raise InputError(
                f"none of the {len(videos)} videos has boxes; unpack the Annotations of ilsvrc_vid"
            )
        report = Report(frames, len(kept), *total.values)
        with writing(folder, _REMEDY):
            write_text(folder / FRAMES, "".join(f"{line}\n" for line in kept))
            write_text(folder / REPORT, json.dumps({**asdict(report), **origin}, indent=2) + "\n")
    return report


def fingerprint(folder: Path) -> str:
    """Return a hash of the names, sizes and times of the files in a folder, at any depth."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(item for item in folder.rglob("*") if item.is_file()):
        found = path.stat()
        digest.update(f"{path.relative_to(folder)}\0{found.st_size}\0{found.st_mtime_ns}\0".encode())
    return digest.hexdigest()


def of_frames(segment: Callable[[Frame], NDArray[Any]]) -> Segmenter:
    """Make a segmenter of a function of one (H, W, 3) uint8 frame."""
    return lambda video, index: segment(video.frames[index])


def of_method(segment: Callable[[Video], Segmentation]) -> Segmenter:
    """Make a segmenter of the `segment` of a method that looks at single frames and needs no flow."""

    def guess(video: Video, index: int) -> NDArray[Any]:
        alone = Video(video.name, [video.frames[index]], (video.frame_names[index],))
        return np.asarray(segment(alone).stack()[0])

    return guess


class MaskFolder:
    """Masks that another program wrote: ``FOLDER/VIDEO/FRAME.png``.

    Indexed PNG hold ids, 255 is void; grey and coloured pictures are foreground above half of white.

    Args:
        folder: holds a folder per video.

    Raises:
        InputError: no such folder; when called, no such file.
    """

    def __init__(self, folder: Path | str) -> None:
        self._folder = Path(folder)
        if not self._folder.is_dir():
            raise InputError(f"{folder}: no such folder of appearance masks")

    def __call__(self, video: Video, index: int) -> Mask:
        """Return the (H, W) bool mask of a frame."""
        path = self._folder / video.name / f"{video.frame_names[index]}.png"
        if not path.is_file():
            raise InputError(f"{path}: missing; every frame with boxes needs an appearance mask")
        if read_palette(path) is None:
            return read_mask(path)
        ids = read_ids(path)
        return np.asarray((ids != 0) & (ids != VOID))


def flow_source(estimator: FlowEstimator | Precomputed, cache: Path | None = None) -> FlowSource:
    """Return flow from each frame to the next; of the last, to the one before, as the authors' code has it.

    Files of precomputed flow lead forward only: there, the last frame has that of the frame before,
    reversed [ours]. A video of one frame has no flow: zero.

    Args:
        estimator: computes a pair, or reads files.
        cache: where computed forward flow is kept; None computes it each time.
    """

    def of_frame(video: Video, index: int) -> FlowField:
        last = len(video) - 1
        if last == 0:
            return np.zeros((2, *video.frames[0].shape[:2]), np.float32)
        if index == last and not isinstance(estimator, Precomputed):
            return estimator(video.frames[last], video.frames[last - 1])
        fields = attach_flow(video, estimator, cache, overwrite=True).flow
        assert fields is not None
        return fields[index] if index < last else -fields[last - 1]

    return of_frame


def _video(
    video: Video,
    segmenter: Segmenter,
    flow: FlowSource,
    folder: Path,
    settings: BootstrapSettings,
    origin: Mapping[str, Any],
) -> Iterator[tuple[str, Counts]]:
    """Yield the name and counts of every frame with boxes, made now or before."""
    _check_name(video.name, "video")
    journal = _Journal(folder / _JOURNAL / f"{video.name}.jsonl")
    for index in sorted(video.boxes):
        boxes = video.boxes[index]
        if not boxes:
            continue
        name = video.frame_names[index]
        _check_name(name, f"frame of {video.name}")
        path = folder / ANNOTATIONS / video.name / f"{name}.png"
        key = _key(origin, boxes)
        counts = journal.find(name, key)
        if counts is None or path.is_file() != bool(counts.kept):
            mask, counts = _frame(video, index, boxes, segmenter, flow, settings)
            with writing(folder, _REMEDY):
                _store(path, mask, bool(counts.kept))
                journal.add(name, key, counts)
        yield name, counts


def _frame(
    video: Video,
    index: int,
    boxes: Sequence[Box],
    segmenter: Segmenter,
    flow: FlowSource,
    settings: BootstrapSettings,
) -> tuple[Mask, Counts]:
    where = f"{video.name}, frame {video.frame_names[index]}"
    mask = _foreground(np.asarray(segmenter(video, index)), settings.probability)
    size = video.frames[index].shape[:2]
    _check_size(mask.shape, size, f"{where}: the appearance mask")

    def flow_image() -> Frame:
        field = flow(video, index)
        _check_size(field.shape[1:], size, f"{where}: the flow")
        painted = colour_wheel(torch.from_numpy(np.ascontiguousarray(field)))
        return np.asarray(painted.permute(1, 2, 0).numpy())

    return judge(mask, boxes, flow_image, settings)


def _foreground(guess: NDArray[Any], probability: float) -> Mask:
    if guess.dtype == np.bool_:
        return guess
    if np.issubdtype(guess.dtype, np.floating):
        return np.asarray(guess > probability)
    return np.asarray(guess != 0)


def _check_size(found: tuple[int, ...], wanted: tuple[int, ...], what: str) -> None:
    if found != wanted:
        shown = ["x".join(str(side) for side in reversed(size)) for size in (found, wanted)]
        raise InputError(f"{what} is {shown[0]}, but the frame is {shown[1]}; make it of the same frames")


def _check_name(name: str, what: str) -> None:
    if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise InputError(f"{what} '{name}': cannot be a file name; rename it in the data set")


def _store(path: Path, mask: Mask, keep: bool) -> None:
    if keep:
        write_ids(path, mask.astype(np.uint8))
        return
    path.unlink(missing_ok=True)
    if path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()


def _key(origin: Mapping[str, Any], boxes: Sequence[Box]) -> str:
    places = [(box.x, box.y, box.width, box.height) for box in boxes]
    text = json.dumps([origin, places], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class _Journal:
    """The finished frames of a video, a JSON line each; the last line of a frame counts."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found: dict[str, tuple[str, Counts]] = {}
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
        # A line that was cut off when a run broke off must not spoil the next.
        self._start = "" if text == "" or text.endswith("\n") else "\n"
        for line in text.splitlines():
            entry = _entry(line)
            if entry is not None:
                self._found[entry[0]] = entry[1:]

    def find(self, name: str, key: str) -> Counts | None:
        found = self._found.get(name)
        return found[1] if found is not None and found[0] == key else None

    def add(self, name: str, key: str, counts: Counts) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"frame": name, "key": key, "counts": counts.values})
        with self._path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"{self._start}{line}\n")
        self._start = ""
        self._found[name] = key, counts


def _entry(line: str) -> tuple[str, str, Counts] | None:
    """Return frame, key and counts; None for a damaged line, whose frame is computed again."""
    try:
        entry = parse_json(line, "entry")
        name, key, values = entry["frame"], entry["key"], entry["counts"]
    except (InputError, KeyError, TypeError):
        return None
    sound = isinstance(values, list) and len(values) == len(Counts().values)
    if not sound or not all(type(value) is int and value >= 0 for value in values):
        return None
    counts = Counts(*values)
    return (name, key, counts) if counts.boxes == sum(counts.values[1:]) else None
