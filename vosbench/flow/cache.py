"""Cache of optical flow: attached to a video lazily, stored under the hash of its inputs."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
import zlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from vosbench.files import atomic_path
from vosbench.flow.estimators import FlowEstimator, Precomputed
from vosbench.flow.provenance import frame_digest
from vosbench.video import FlowField, Frame, LazySequence, Video

# Raise it when the content of an entry changes its meaning.
_FORMAT = 1
# Of the array in the file, in bytes: what numpy writes before the values.
_HEADER_ROOM = 1 << 12
_REMEDY = "set VOSBENCH_CACHE to another folder"


def attach_flow(
    video: Video, estimator: FlowEstimator | Precomputed, cache: Path | None, *, overwrite: bool = False
) -> Video:
    """Return the video with forward flow, computed or read when indexed.

    Computed fields are rounded to float16 (half a per mille of each component), cached or not, so
    that a result never depends on the state of the cache.

    An entry is found by the content of both frames, the estimator's name and its settings (which
    hold library versions): renamed or repeated frames share entries, changed frames never do. An
    entry that cannot be read is computed again. Processes may share a cache.

    Args:
        video: flow that it already has, such as ground truth, is kept.
        estimator: computes a pair, or reads files.
        cache: the cache root (`vosbench.data.roots.cache_root`); None computes on every access.
        overwrite: replace flow that the video already has.

    Returns:
        The same video with T-1 flow fields, each (2, H, W) float32 pixels.

    Raises:
        InputError: precomputed files are missing; when indexed, the cache cannot be written.
    """
    if video.flow is not None and not overwrite:
        return video
    if isinstance(estimator, Precomputed):
        return replace(video, flow=estimator.read(video))
    cached = CachedEstimator(estimator, cache)

    # the next pair starts with the second frame of the last one
    @lru_cache(maxsize=1)
    def frame(index: int) -> Frame:
        return video.frames[index]

    pairs = max(len(video) - 1, 0)
    return replace(video, flow=LazySequence(lambda index: cached(frame(index), frame(index + 1)), pairs))


class CachedEstimator:
    """A flow estimator whose fields are kept on disk, for pairs in any order.

    Args:
        estimator: computes what is not there yet.
        cache: the cache root; None computes on every call.

    Attributes:
        name, settings: those of the estimator.
    """

    def __init__(self, estimator: FlowEstimator, cache: Path | None) -> None:
        self.name = estimator.name
        self.settings = estimator.settings
        self._estimator = estimator
        self._cache = cache
        self._last: tuple[Frame, str] | None = None

    def __call__(self, first: Frame, second: Frame) -> FlowField:
        """Return the (2, H, W) float32 flow in pixels from `first` to `second`, (H, W, 3) uint8 each.

        Raises:
            InputError: the cache cannot be written.
        """
        if self._cache is None:
            return _rounded(self._estimator(first, second)).astype(np.float32)
        origin = {
            "format": _FORMAT,
            "first": self._digest(first),
            "second": self._digest(second),
            "estimator": self.name,
            "settings": dict(self.settings),
        }
        path = _entry(self._cache, origin)
        stored = _read(path, first.shape[:2])
        if stored is None:
            stored = _rounded(self._estimator(first, second))
            _write(path, stored, origin)
        return stored.astype(np.float32)

    def _digest(self, frame: Frame) -> str:
        # the second frame of a pair is the first of the next
        last = self._last
        digest = last[1] if last is not None and last[0] is frame else frame_digest(frame)
        self._last = (frame, digest)
        return digest


def _entry(cache: Path, origin: dict[str, Any]) -> Path:
    text = json.dumps(origin, sort_keys=True)
    key = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return cache / "flow" / str(origin["estimator"]) / key[:2] / f"{key}.npz"


def _rounded(flow: FlowField) -> np.ndarray[Any, np.dtype[np.float16]]:
    # Largest float16 instead of infinity: an exploding estimate stays a number.
    limit = float(np.finfo(np.float16).max)
    return np.clip(flow, -limit, limit).astype(np.float16)


def _read(path: Path, size: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float16]] | None:
    """Return the stored field, or None when there is no sound entry; zip files carry a checksum."""
    expected = 2 * size[0] * size[1] * np.dtype(np.float16).itemsize
    try:
        with zipfile.ZipFile(path) as entry:
            member = entry.getinfo("flow.npy")
            if not expected < member.file_size <= expected + _HEADER_ROOM:
                return None
            content = io.BytesIO(entry.read(member))
        # The header is looked at by itself: numpy takes memory for any size in it.
        if np.lib.format.read_magic(content) != (1, 0):
            return None
        shape, columns_first, dtype = np.lib.format.read_array_header_1_0(content)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, RuntimeError):
        # RuntimeError: zipfile's answer to a damaged header that asks for an unknown feature or password.
        return None
    values = content.read()
    if shape != (2, *size) or columns_first or dtype != np.float16 or len(values) != expected:
        return None
    return np.frombuffer(values, np.float16).reshape(shape)


def _write(path: Path, flow: np.ndarray[Any, np.dtype[np.float16]], origin: dict[str, Any]) -> None:
    provenance = np.array(json.dumps(origin, sort_keys=True))
    with atomic_path(path, _REMEDY) as temporary:
        # Not compressed: deflate saves a third of the bytes and costs more time than DIS itself.
        np.savez(temporary, flow=flow, provenance=provenance)
