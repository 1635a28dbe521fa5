"""Masks drawn over frames, as pictures and as video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from vosbench.errors import InputError
from vosbench.files import whole_folder
from vosbench.formats.image import write_frame
from vosbench.formats.png import davis_palette, read_ids
from vosbench.formats.video_file import WRITABLE, VideoFile, write_video
from vosbench.video import Frame, IdMap, Video

# DAVIS was filmed at 24 frames per second; used where the source has no rate.
_FPS = 24.0


def overlay(frame: Frame, ids: IdMap, alpha: float = 0.5) -> Frame:
    """Tint every object in its DAVIS colour and draw its contour.

    The contour is every object pixel with a neighbour (of four) of another id, in the full colour.

    Args:
        frame: (H, W, 3) uint8 RGB.
        ids: (H, W) uint8, 0 stays untouched.
        alpha: share of the colour inside an object, 0 to 1.

    Returns:
        A new (H, W, 3) uint8 frame.
    """
    if frame.shape[:2] != ids.shape:
        raise ValueError(f"frame {frame.shape[:2]} and ids {ids.shape} differ in size")
    colours = davis_palette()[ids]
    drawn = cv2.addWeighted(frame, 1 - alpha, colours, alpha, 0)
    result: Frame = np.where((ids != 0)[..., None], drawn, frame)
    contour = _contour(ids)
    result[contour] = colours[contour]
    return result


def write_overlay(destination: Path, video: Video, masks: Path) -> None:
    """Draw the masks of a video over its frames.

    Args:
        destination: a video file (see `video_file.WRITABLE`), or a folder that gets ``FRAME.jpg``.
        video: the frames; a video file keeps its frame rate, other sources play at 24 per second.
        masks: folder with ``FRAME.png`` for every frame.
    """
    if is_video(destination):
        fps = video.frames.fps if isinstance(video.frames, VideoFile) else 0.0
        write_video(destination, _drawn(video, masks), fps or _FPS)
        return
    with whole_folder(destination) as folder:
        for name, frame in zip(video.frame_names, _drawn(video, masks), strict=True):
            write_frame(folder / f"{name}.jpg", frame)


def is_video(destination: Path) -> bool:
    """Return whether overlays go into one video file rather than a folder.

    Raises:
        InputError: the suffix is neither a video's nor empty.
    """
    suffix = destination.suffix.lower()
    if suffix in WRITABLE:
        return True
    if suffix and not destination.is_dir():
        raise InputError(f"{destination}: overlays are written to a folder or a {', '.join(WRITABLE)} file")
    return False


def _drawn(video: Video, masks: Path) -> Iterator[Frame]:
    for name, frame in zip(video.frame_names, video.frames, strict=True):
        yield overlay(frame, read_ids(masks / f"{name}.png"))


def _contour(ids: IdMap) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    edge = np.zeros(ids.shape, bool)
    across = ids[:, 1:] != ids[:, :-1]
    down = ids[1:] != ids[:-1]
    edge[:, 1:] |= across
    edge[:, :-1] |= across
    edge[1:] |= down
    edge[:-1] |= down
    contour: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = edge & (ids != 0)
    return contour
