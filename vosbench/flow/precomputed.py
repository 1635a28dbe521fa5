"""Precomputed optical flow, read from files of other programs."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vosbench.errors import InputError, check_name
from vosbench.flow.flow_files import NAMINGS, flow_files, sequence_folder
from vosbench.flow.provenance import FILE, frame_digest, read_provenance
from vosbench.formats.flo import read_flo
from vosbench.formats.flow_picture import range_path, read_angle_magnitude
from vosbench.formats.kitti import read_kitti
from vosbench.formats.pfm import read_flow_pfm
from vosbench.formats.png import read_header
from vosbench.video import FlowField, LazySequence, Video

DIRECTIONS = ("forward", "backward")

# Middlebury's mark of unknown flow is 1e9 or more.
_UNKNOWN = 1e9


class Precomputed:
    """Flow that another program wrote.

    Formats: ``.flo``, ``.pfm``, 16-bit ``.png`` of KITTI, and 8-bit ``.png`` of angle and magnitude
    with its range beside it (lossy). Colour wheels cannot be read back and are refused.

    Folders: ``FOLDER/SEQUENCE``, and ``FOLDER/forward/SEQUENCE`` or ``FOLDER/SEQUENCE/forward`` (or
    ``fw``, ``into_future``); a folder without a direction in its name is taken for forward.

    Names: of the frame that the flow starts from (``00000.flo``, ``00000_flow.flo``,
    ``flow_00000.flo``, ``00000LDOF.flo``, ``00000_epic.flo``), of both frames
    (``00000_00001.flo``), or the index of the pair from 0 (``0000000.flo``, as FlowNet2 writes).
    A video of T frames has T-1 files; one more for the last frame is passed over.

    A ``provenance.json`` as `vosbench.flow.compute` writes it is compared with the frames.

    Args:
        folder: holds a folder per sequence.
        direction: ``"forward"``, from a frame to the next, which is what methods expect, or
            ``"backward"``: item t is then the flow from frame t+1 to frame t.
        naming: ``"frame"`` or ``"index"`` where names could mean both; ``"index"`` also takes numbers
            from 1.

    Raises:
        InputError: no such folder, direction or naming.
    """

    name = "precomputed"

    def __init__(self, folder: Path | str, direction: str = "forward", naming: str = "auto") -> None:
        self._folder = Path(folder)
        if not self._folder.is_dir():
            raise InputError(f"{folder}: no such folder of precomputed flow")
        check_name("direction of precomputed flow", direction, DIRECTIONS)
        check_name("naming of precomputed flow", naming, NAMINGS)
        self._backward = direction == "backward"
        self._naming = naming
        self.settings: dict[str, Any] = {"folder": str(folder), "direction": direction, "naming": naming}

    def read(self, video: Video) -> LazySequence[FlowField]:
        """Return the T-1 fields of a video, read when indexed.

        Raises:
            InputError: a file is missing, or it is unclear which belongs to which frame; when
                indexed, broken, of another size than the frames, without flow for some pixels, or
                computed from other frames.
        """
        if len(video) < 2:
            return LazySequence(lambda index: np.zeros(0, np.float32), 0)
        paths = self._files(video)
        provenance = self.provenance(video)

        # the next pair starts with the second frame of the last one
        @lru_cache(maxsize=1)
        def frame_size(index: int) -> tuple[int, ...]:
            """Height and width of a frame, from which the flow was computed as far as is known."""
            frame, name = video.frames[index], video.frame_names[index]
            if provenance is not None and provenance["frames"].get(name) != frame_digest(frame):
                raise InputError(
                    f"{paths[0].parent / FILE}: the flow was computed from another frame {name} than that of "
                    f"{video.name}; compute it again, or remove this file to use it all the same"
                )
            return frame.shape[:2]

        def load(index: int) -> FlowField:
            flow = _read(paths[index])
            height, width = frame_size(index)
            if flow.shape[1:] != (height, width):
                raise InputError(
                    f"{paths[index]}: flow is {flow.shape[2]}x{flow.shape[1]}, "
                    f"the frames of {video.name} are {width}x{height}"
                )
            if provenance is not None:
                frame_size(index + 1)
            return flow

        return LazySequence(load, len(paths))

    def provenance(self, video: Video) -> dict[str, Any] | None:
        """Return the provenance of the flow of a video, see `read_provenance`; None without one.

        Raises:
            InputError: no folder of this video, a damaged ``provenance.json``, or the other direction.
        """
        if len(video) < 2:
            return None
        folder = self._sequence(video)
        content = read_provenance(folder)
        if content is not None and content["direction"] != self.settings["direction"]:
            raise InputError(
                f"{folder / FILE}: the flow is {content['direction']}, not {self.settings['direction']}"
            )
        return content

    def content_hash(self, video: Video) -> str:
        """Return a SHA-256 over the files of a video.

        Raises:
            InputError: a file is missing.
        """
        digest = hashlib.sha256()
        for path in self._files(video):
            for part in (path, range_path(path)):
                if part == path or (path.suffix == ".png" and part.is_file()):
                    with part.open("rb") as file:
                        digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def _sequence(self, video: Video) -> Path:
        return sequence_folder(self._folder, video.name, backward=self._backward)

    def _files(self, video: Video) -> list[Path]:
        if len(video) < 2:
            return []
        return flow_files(
            self._sequence(video), video.frame_names, backward=self._backward, naming=self._naming
        )


def _read(path: Path) -> FlowField:
    if path.suffix == ".flo":
        return _complete(path, read_flo(path))
    if path.suffix == ".pfm":
        return _complete(path, read_flow_pfm(path))
    if read_header(path).bits != 16:
        return read_angle_magnitude(path)
    return _complete(path, *read_kitti(path))


def _complete(path: Path, flow: FlowField, valid: NDArray[np.bool_] | None = None) -> FlowField:
    # not a number compares false too
    known = (np.abs(flow) < _UNKNOWN).all(axis=0) if valid is None else valid
    unknown = known.size - np.count_nonzero(known)
    if unknown:
        raise InputError(f"{path}: {unknown} pixels have no flow, but methods need it everywhere; fill them")
    return flow
