"""Input and output of a prediction: videos from a path or name, folders that may be written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vosbench.data.catalogue import CATALOGUE, open_dataset
from vosbench.data.datasets.base import Dataset
from vosbench.data.roots import data_root as resolve_data_root
from vosbench.errors import InputError, unknown_name
from vosbench.formats.frame_folder import open_folder
from vosbench.formats.video_file import SUFFIXES as VIDEO_SUFFIXES
from vosbench.formats.video_file import open_video
from vosbench.inference.inspection import InspectionRequest
from vosbench.inference.overlay import is_video
from vosbench.video import Video


def open_source(
    source: str | Path, *, data_root: Path | None = None, split: str | None = None
) -> Sequence[Video]:
    """Open what `predict` takes: a data set name, a folder of images or a video file.

    Raises:
        InputError: it is none of these, or cannot be opened.
    """
    if isinstance(source, str) and source in CATALOGUE:
        return open_dataset(source, resolve_data_root(data_root), split)
    if split is not None:
        raise InputError(
            f"{source}: a split belongs to a data set; leave it out for a folder or a video file"
        )
    path = Path(source)
    if path.is_dir():
        return [open_folder(path)]
    if path.is_file():
        return [open_video(path)]
    if path.name == str(source) and path.suffix.lower() not in VIDEO_SUFFIXES:
        raise InputError(f"no such file or folder, and {unknown_name('data set', str(source), CATALOGUE)}")
    raise InputError(f"{source}: no such file or folder")


@dataclass(frozen=True)
class Targets:
    """Folders of the results of one sequence; of the overlay also a video file."""

    masks: Path
    overlay: Path | None
    panels: Path | None


def plan_targets(
    out: Path, overlay: Path | None, inspect: InspectionRequest | None, videos: Sequence[Video]
) -> list[Targets]:
    """Return the targets of every video.

    Raises:
        InputError: one overlay file for several videos, or neither a folder nor a video file.
    """
    file = overlay if overlay is not None and is_video(overlay) else None
    if file is not None and len(videos) > 1:
        raise InputError(f"{file}: one video file cannot show {len(videos)} sequences; give a folder")
    return [
        Targets(
            masks=out / video.name,
            overlay=None if overlay is None else file or overlay / video.name,
            panels=None if inspect is None else inspect.folder / video.name,
        )
        for video in videos
    ]


def check_targets(targets: Sequence[Targets], source: str | Path, videos: Sequence[Video]) -> None:
    """Refuse targets that would replace each other, the input, or files that are no results.

    Raises:
        InputError: as above.
    """
    paths: set[Path] = set()
    for target in targets:
        for path, suffix in ((target.masks, ".png"), (target.overlay, ".jpg"), (target.panels, ".png")):
            if path is None:
                continue
            _check_target(path, suffix, source, videos)
            if path.resolve() in paths:
                raise _colliding(path)
            paths.add(path.resolve())
    for path in sorted(paths):
        if paths.intersection(path.parents):
            raise _colliding(path)


def _colliding(path: Path) -> InputError:
    return InputError(f"{path}: masks, overlays and panels would replace each other; choose another folder")


def _check_target(target: Path, suffix: str, source: str | Path, videos: Sequence[Video]) -> None:
    """Refuse to replace anything that does not look like a result, above all the input itself."""
    resolved = target.resolve()
    given = videos.root / videos.name if isinstance(videos, Dataset) else Path(source)
    if resolved == given.resolve() or (isinstance(videos, Dataset) and given.resolve() in resolved.parents):
        raise InputError(f"{target}: results would replace the input; choose another output folder")
    if not target.exists() or (target.is_file() and target.suffix.lower() in VIDEO_SUFFIXES):
        return
    if not target.is_dir() or any(file.suffix != suffix or file.is_dir() for file in target.iterdir()):
        raise InputError(
            f"{target}: holds other things than {suffix} results and would be replaced; choose another folder"
        )
