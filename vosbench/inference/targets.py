"""Input and output of a prediction: videos from a path or name, folders that may be written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vosbench.data.catalogue import catalogue, dataset_spec, open_dataset
from vosbench.data.own_data import FRAMES, is_path
from vosbench.data.places import find_folder
from vosbench.data.roots import data_root as resolve_data_root
from vosbench.errors import InputError, unknown_name
from vosbench.files import check_folder, expanded
from vosbench.formats.frame_folder import image_paths, open_folder
from vosbench.formats.video_file import SUFFIXES as VIDEO_SUFFIXES
from vosbench.formats.video_file import open_video
from vosbench.inference.inspection import InspectionRequest
from vosbench.inference.overlay import is_video
from vosbench.video import Video


@dataclass(frozen=True)
class Clip:
    """A video to predict, opened when its turn comes.

    Attributes:
        name: of the video, and of the folder of its masks.
        open: returns the video; raises InputError where it cannot be read.
    """

    name: str
    open: Callable[[], Video]


@dataclass(frozen=True)
class Source:
    """Everything that a prediction reads.

    Attributes:
        clips: in order.
        folders: of the input, which results must not replace.
        has_masks: whether first masks come with the videos, as in a data set.
        alone: whether this is one video that was named by itself.
    """

    clips: Sequence[Clip]
    folders: tuple[Path, ...]
    has_masks: bool = False
    alone: bool = False


def open_source(source: str | Path, *, data_root: Path | None = None, split: str | None = None) -> Source:
    """Open what `predict` takes: a data set, a folder of images, a video file, or a folder of those.

    Raises:
        InputError: it is none of these, or cannot be opened.
    """
    path = expanded(source)
    if isinstance(source, str) and source in catalogue():
        return _dataset_source(source, resolve_data_root(data_root), split)
    text = str(source)
    if (path / FRAMES).is_dir() or (not path.exists() and is_path(text) and set(text) & {"=", ":"}):
        return _dataset_source(dataset_spec(text).reference, Path(), split)
    if split is not None:
        raise InputError(
            f"{source}: a split belongs to a data set; leave it out for a folder or a video file"
        )
    if path.is_dir():
        inner = [] if image_paths(path) else _clips_in(path)
        if inner:
            return Source(inner, (path, *(path / clip.name for clip in inner)))
        video = open_folder(path)
        return Source([Clip(video.name, lambda: video)], (path,), alone=True)
    if path.is_file():
        video = open_video(path)
        return Source([Clip(video.name, lambda: video)], (path,), alone=True)
    if path.name == str(source) and path.suffix.lower() not in VIDEO_SUFFIXES:
        raise InputError(f"no such file or folder, and {unknown_name('data set', str(source), catalogue())}")
    raise InputError(f"{source}: no such file or folder")


def _dataset_source(reference: str, root: Path, split: str | None) -> Source:
    dataset = open_dataset(reference, root, split)
    own = dataset_spec(reference).options
    folders = (own["frames"], own["masks"]) if "frames" in own else (find_folder(root, reference),)
    clips = [Clip(video.name, partial(_itself, video)) for video in dataset]
    labelled = any(video.annotations for video in dataset) if "frames" in own else True
    return Source(clips, tuple(folder for folder in folders if folder is not None), has_masks=labelled)


def _itself(video: Video) -> Video:
    return video


def _clips_in(folder: Path) -> list[Clip]:
    """Return the video files and folders of images in a folder, by name."""
    clips: dict[str, Clip] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and image_paths(path):
            clip = Clip(path.name, partial(open_folder, path))
        elif path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES:
            clip = Clip(path.stem, partial(open_video, path))
        else:
            continue
        if clip.name in clips:
            raise InputError(f"{path}: another clip there is called {clip.name}, too; rename one of the two")
        clips[clip.name] = clip
    return list(clips.values())


@dataclass(frozen=True)
class Targets:
    """Folders of the results of one sequence; of the overlay also a video file."""

    masks: Path
    overlay: Path | None
    panels: Path | None


def plan_targets(
    out: Path, overlay: Path | None, inspect: InspectionRequest | None, clips: Sequence[Clip]
) -> list[Targets]:
    """Return the targets of every video.

    Raises:
        InputError: one overlay file for several videos, or neither a folder nor a video file.
    """
    file = overlay if overlay is not None and is_video(overlay) else None
    if file is not None and len(clips) > 1:
        raise InputError(f"{file}: one video file cannot show {len(clips)} sequences; give a folder")
    return [
        Targets(
            masks=out / clip.name,
            overlay=None if overlay is None else file or overlay / clip.name,
            panels=None if inspect is None else inspect.folder / clip.name,
        )
        for clip in clips
    ]


def plan_prediction(
    source: str | Path,
    out: Path,
    *,
    overlay: Path | None,
    inspect: InspectionRequest | None,
    data_root: Path | None,
    split: str | None,
) -> tuple[Source, list[Targets]]:
    """Open what is to be segmented and check where the results go; no network is needed for that.

    Raises:
        InputError: see `open_source`, `plan_targets` and `check_targets`.
    """
    opened = open_source(source, data_root=data_root, split=split)
    targets = plan_targets(out, overlay, inspect, opened.clips)
    check_targets(targets, opened)
    return opened, targets


def check_targets(targets: Sequence[Targets], source: Source) -> None:
    """Refuse targets that would replace each other, the input, or files that are no results.

    Raises:
        InputError: as above, or a folder cannot be written.
    """
    paths: set[Path] = set()
    for target in targets:
        for path, suffix in ((target.masks, ".png"), (target.overlay, ".jpg"), (target.panels, ".png")):
            if path is None:
                continue
            _check_target(path, suffix, source)
            if path.resolve() in paths:
                raise _colliding(path)
            paths.add(path.resolve())
    for path in sorted(paths):
        if paths.intersection(path.parents):
            raise _colliding(path)
    for folder in sorted({path.parent for path in paths}):
        check_folder(folder)


def _colliding(path: Path) -> InputError:
    return InputError(f"{path}: masks, overlays and panels would replace each other; choose another folder")


def _check_target(target: Path, suffix: str, source: Source) -> None:
    """Refuse to replace anything that does not look like a result, above all the input itself."""
    resolved = target.resolve()
    given = [folder.resolve() for folder in source.folders]
    inside = source.has_masks and any(folder in resolved.parents for folder in given)
    if inside or resolved in given:
        raise InputError(f"{target}: results would replace the input; choose another output folder")
    if not target.exists() or (target.is_file() and target.suffix.lower() in VIDEO_SUFFIXES):
        return
    if not target.is_dir() or any(file.suffix != suffix or file.is_dir() for file in target.iterdir()):
        raise InputError(
            f"{target}: holds other things than {suffix} results and would be replaced; choose another folder"
        )
