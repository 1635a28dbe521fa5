"""Video files through OpenCV, whose wheels bundle FFmpeg: nothing else to install."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import cv2
import numpy as np

from vosbench.errors import InputError
from vosbench.files import atomic_path
from vosbench.video import Frame, LazySequence, Video

SUFFIXES = frozenset(
    {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".ogv", ".gif"}
)
"""Lower-case endings of files taken for videos."""

WRITABLE = {".mp4": "vp09", ".mov": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
"""Suffix -> codec that the OpenCV wheels can encode; of these, browsers play VP9 alone."""

# A method and its flow look a few frames back; more than this means a new pass from the start.
_KEPT_FRAMES = 8


class VideoFile(LazySequence[Frame]):
    """The frames of a video file, decoded in order and dropped soon after.

    Reading forwards costs one decoding per frame. The last few frames are kept; an index before
    them decodes from the start again, because seeking is not exact in every container. Frames are
    counted by going through the file once, because containers only estimate their number.

    Args:
        path: the file.

    Attributes:
        fps: frames per second as stated by the file; 0 when it states none.

    Raises:
        InputError: no such file, or nothing in it can be decoded.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"{path}: no such video file")
        with _opened(path) as capture:
            self.fps = float(capture.get(cv2.CAP_PROP_FPS))
        length = _length(path)
        if not length:
            raise InputError(
                f"{path}: not a video that can be decoded; convert it to mp4 or to a folder of images"
            )
        super().__init__(_Decoder(path, length).frame, length)


class _Decoder:
    """Decoder of single frames, which keeps the last few."""

    def __init__(self, path: Path, length: int) -> None:
        self._path = path
        self._stream: Iterator[Frame] = iter(())
        self._next = length
        self._kept: OrderedDict[int, Frame] = OrderedDict()
        # a thread reads ahead of a method, see `vosbench.pipeline`, while panels are drawn in another
        self._lock = Lock()

    def frame(self, index: int) -> Frame:
        with self._lock:
            return self._frame(index)

    def _frame(self, index: int) -> Frame:
        if index in self._kept:
            return self._kept[index]
        if index < self._next:
            self._stream, self._next = _decode(self._path, skip=index), index
        while self._next <= index:
            frame = next(self._stream, None)
            if frame is None:
                raise InputError(
                    f"{self._path}: frame {self._next} cannot be decoded any more; has the file changed?"
                )
            self._kept[self._next] = frame
            self._next += 1
            if len(self._kept) > _KEPT_FRAMES:
                self._kept.popitem(last=False)
        return self._kept[index]


def open_video(path: Path) -> Video:
    """Open a video file; its frames are named ``00000``, ``00001``, ...

    Raises:
        InputError: no such file, or nothing in it can be decoded.
    """
    frames = VideoFile(path)
    return Video(path.stem, frames, tuple(f"{index:05d}" for index in range(len(frames))))


def write_video(path: Path, frames: Iterable[Frame], fps: float) -> None:
    """Write frames as a video, atomically: VP9 in mp4, MPEG-4 in mov and mkv, Motion JPEG in avi.

    Args:
        path: its suffix chooses the container.
        frames: (H, W, 3) uint8 RGB, all of one size; an odd last row or column is cut off by the codec.
        fps: frames per second.

    Raises:
        InputError: the suffix is none that can be written, or the file cannot be written whole.
    """
    if path.suffix.lower() not in WRITABLE:
        raise InputError(f"{path}: cannot write video as '{path.suffix}'; use {', '.join(WRITABLE)}")
    codec = cv2.VideoWriter.fourcc(*WRITABLE[path.suffix.lower()])
    with atomic_path(path) as temporary, _quiet():
        writer = cv2.VideoWriter()
        written = 0
        for frame in frames:
            if not writer.isOpened():
                height, width = frame.shape[:2]
                writer.open(str(temporary), cv2.CAP_FFMPEG, codec, fps, (width, height))
            if not writer.isOpened():
                break
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
            written += 1
        if not writer.isOpened():
            raise InputError(f"{path}: the video could not be encoded; write a folder of images instead")
        writer.release()
        # OpenCV does not say that a disk is full
        if (kept := _length(temporary)) < written:
            raise InputError(f"{path}: only {kept} of {written} frames could be written; make room")


def _length(path: Path) -> int:
    with _opened(path) as capture:
        return sum(1 for _ in iter(capture.grab, False))


def _decode(path: Path, skip: int) -> Iterator[Frame]:
    with _opened(path) as capture:
        for _ in range(skip):
            capture.grab()
        while True:
            decoded, image = capture.read()
            if not decoded:
                return
            yield np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    with _quiet():
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        yield capture
    finally:
        capture.release()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep OpenCV and FFmpeg from writing to stderr: the caller raises one error instead."""
    # OpenCV reads this before its first use of FFmpeg; -8 is AV_LOG_QUIET. Users who set it keep theirs.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    # OpenCV 5 moved the function.
    set_level = getattr(cv2, "setLogLevel", None) or cv2.utils.logging.setLogLevel
    before = set_level(0)
    try:
        yield
    finally:
        set_level(before)
