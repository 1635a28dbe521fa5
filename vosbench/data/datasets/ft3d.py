"""FlyingThings3D: frames, exact optical flow, and moving labels derived from scene geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vosbench.data.datasets.base import Dataset, dataset_folder
from vosbench.errors import InputError, unknown_name
from vosbench.formats.camera import StereoPose, read_cameras
from vosbench.formats.image import read_frame
from vosbench.formats.pfm import read_pfm
from vosbench.video import VOID, FlowField, IdMap, LazyMapping, LazySequence, Video

BASELINE = 1.0
"""Distance between the eyes in world units."""

FOCAL_960 = 1050.0
"""Focal length in pixels at the official width of 960 pixels."""

TOLERANCE = 0.001
"""Share of the depth by which a standing point may seem to move [ours; the paper says "rounding error"].

It is one pixel at the official width of 960 and above the rounding of half-precision disparities;
1 % of the depth would be 10 pixels and calls two in five moving pixels of the miniature static.
"""

SMALLEST = 0.0002
"""Share of the picture that an object has at least [ours]; 100 pixels at the official size."""

_PASSES = ("cleanpass", "finalpass")
_VIEWS = ("left", "right")
_SUFFIXES = (".png", ".webp")
"""The official frames can be had as either."""


class FlyingThings3D(Dataset):
    """One video per scene and view, e.g. ``"A/0000/left"``, with ground-truth flow and moving labels.

    Official layout inside ``root / "ft3d"``: ``frames_cleanpass/TRAIN/A/0000/left/0006.png`` (or webp),
    ``optical_flow/TRAIN/A/0000/into_future/left/OpticalFlowIntoFuture_0006_L.pfm``,
    ``disparity/TRAIN/A/0000/left/0006.pfm``, ``camera_data/TRAIN/A/0000/camera_data.txt`` and, when
    there, ``disparity_change/TRAIN/A/0000/into_future/left/0006.pfm``. Views that were not unpacked
    are left out.

    `Video.annotations` has an entry {0, 1} for every frame but the last: 1 where the scene point
    moves in the world (MP-Net section 6.1, `moving_label`). With `instances` it tells moving objects
    apart: by ``object_index/TRAIN/A/0000/left/0006.pfm`` where that was unpacked, otherwise regions of
    moving pixels that touch each other are objects [ours]. Objects of less than a five-thousandth of the
    picture are void (255), and ids of one frame say nothing about those of the next.

    Args:
        root: the data root.
        split: ``"train"`` or ``"test"`` (any case).
        pass_: ``"cleanpass"`` or ``"finalpass"``.
        views: which eyes.
        tolerance: displacement that still counts as standing, as a share of the depth.
        focal_960: focal length in pixels at width 960 (450 for scenes made with the 15 mm lens).
        instances: tell moving objects apart.

    Raises:
        InputError: unknown split, pass or view, or files are missing.
    """

    def __init__(
        self,
        root: Path,
        split: str = "train",
        *,
        pass_: str = "cleanpass",  # noqa: S107 a rendering pass, no password
        views: Sequence[str] = _VIEWS,
        tolerance: float = TOLERANCE,
        focal_960: float = FOCAL_960,
        instances: bool = False,
    ) -> None:
        if split.lower() not in ("train", "test"):
            raise unknown_name("split of ft3d", split, ("train", "test"))
        if pass_ not in _PASSES:
            raise unknown_name("pass of ft3d", pass_, _PASSES)
        for view in views:
            if view not in _VIEWS:
                raise unknown_name("view of ft3d", view, _VIEWS)
        folder = dataset_folder(root, "ft3d", f"frames_{pass_}")
        options = _Options(folder, split.upper(), pass_, tolerance, focal_960, instances)
        super().__init__("ft3d", root, split.lower(), _videos(options, views))


@dataclass(frozen=True)
class _Options:
    folder: Path
    split: str
    pass_: str
    tolerance: float
    focal_960: float
    instances: bool


@dataclass(frozen=True)
class _Clip:
    """Paths of one scene seen by one eye."""

    options: _Options
    scene: str
    view: str

    def _place(self, kind: str, inner: str) -> Path:
        return self.options.folder / kind / self.options.split / self.scene / inner

    def disparity(self, name: str) -> Path:
        return self._place("disparity", f"{self.view}/{name}.pfm")

    def disparity_change(self, name: str) -> Path:
        return self._place("disparity_change", f"into_future/{self.view}/{name}.pfm")

    def flow(self, name: str) -> Path:
        file = f"OpticalFlowIntoFuture_{name}_{self.view[0].upper()}.pfm"
        return self._place("optical_flow", f"into_future/{self.view}/{file}")

    def objects(self, name: str) -> Path:
        return self._place("object_index", f"{self.view}/{name}.pfm")

    def cameras(self) -> Path:
        return self._place("camera_data", "camera_data.txt")


def _videos(options: _Options, views: Sequence[str]) -> list[Video]:
    base = options.folder / f"frames_{options.pass_}" / options.split
    videos = []
    for folder in sorted(base.glob("*/*")):
        scene = f"{folder.parent.name}/{folder.name}"
        videos += [
            _video(_Clip(options, scene, view), folder / view) for view in views if (folder / view).is_dir()
        ]
    if not videos:
        raise InputError(
            f"{base}: no scenes such as A/0000/{views[0] if views else 'left'} with frames in it"
        )
    return videos


def _video(clip: _Clip, folder: Path) -> Video:
    paths = sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    names = tuple(path.stem for path in paths)
    if len(names) < 2:
        wanted = " or ".join(f"*{suffix}" for suffix in _SUFFIXES)
        raise InputError(f"{folder}: {len(names)} frames ({wanted}), but a clip needs two or more")
    pairs = len(names) - 1
    return Video(
        f"{clip.scene}/{clip.view}",
        LazySequence(lambda t: read_frame(paths[t]), len(paths)),
        names,
        LazyMapping(lambda t: _label(clip, names[t], names[t + 1]), range(pairs)),
        LazySequence(lambda t: _read_flow(clip.flow(names[t])), pairs),
    )


def _read_flow(path: Path) -> FlowField:
    values = read_pfm(path)
    if values.ndim != 3:
        raise InputError(f"{path}: one channel, but optical flow needs a colour PFM (u, v, 0)")
    return np.ascontiguousarray(values[..., :2].transpose(2, 0, 1))


def _label(clip: _Clip, name: str, following: str) -> IdMap:
    options = clip.options
    disparity = read_pfm(clip.disparity(name))
    change = clip.disparity_change(name)
    eye = _VIEWS.index(clip.view)
    moving = moving_label(
        disparity,
        _read_flow(clip.flow(name)),
        _pose(clip.cameras(), name)[eye],
        _pose(clip.cameras(), following)[eye],
        options.focal_960 * disparity.shape[1] / 960,
        change=read_pfm(change) if change.is_file() else None,
        next_disparity=None if change.is_file() else read_pfm(clip.disparity(following)),
        tolerance=options.tolerance,
    )
    if not options.instances:
        return moving.astype(np.uint8)
    objects = clip.objects(name)
    return moving_instances(moving, read_pfm(objects) if objects.is_file() else None)


def moving_instances(
    moving: NDArray[np.bool_], objects: NDArray[np.float32] | None = None, smallest: float = SMALLEST
) -> IdMap:
    """Tell moving objects apart.

    Args:
        moving: (H, W) bool.
        objects: (H, W) number of the object at each pixel; None: moving pixels that touch each other,
            also at a corner, are one object.
        smallest: share of the picture; smaller objects are void.

    Returns:
        (H, W) uint8: 0 where nothing moves, 1..K, 255 where an object is too small, or beyond the 254th.
    """
    if objects is None:
        _, regions = cv2.connectedComponents(moving.astype(np.uint8), connectivity=8)
    else:
        regions = np.where(moving, objects.astype(np.int64) - int(objects.min()) + 1, 0)
    numbers, places, counts = np.unique(regions, return_inverse=True, return_counts=True)
    large = (counts >= smallest * moving.size) & (numbers > 0)
    ids = np.where(large & (large.cumsum() < VOID), large.cumsum(), VOID)
    ids[numbers == 0] = 0
    result: IdMap = ids[places].reshape(moving.shape).astype(np.uint8)
    return result


def _pose(path: Path, name: str) -> StereoPose:
    poses = read_cameras(path)
    if not name.isdigit() or int(name) not in poses:
        raise InputError(f"{path}: no camera for frame {name}")
    return poses[int(name)]


def moving_label(
    disparity: NDArray[np.float32],
    flow: FlowField,
    pose: NDArray[np.float64],
    next_pose: NDArray[np.float64],
    focal: float,
    *,
    change: NDArray[np.float32] | None = None,
    next_disparity: NDArray[np.float32] | None = None,
    tolerance: float = TOLERANCE,
) -> NDArray[np.bool_]:
    """Say which scene points move in the world between two frames (MP-Net section 6.1).

    The point behind every pixel, from its disparity and the camera pose, is compared with the point
    reached through the optical flow at the next frame. Its depth there comes from the disparity
    change; without it, from the next disparity map. Where that shows another surface (outside the
    frame, behind something nearer) the point is given the depth that it would have if it stood
    still, so that only motion across the line of sight counts there.

    Cameras look along -z with x right and y up; the principal point is the middle of the image. The
    sign of the disparity does not matter.

    Args:
        disparity: (H, W) pixels.
        flow: (2, H, W) pixels, to the next frame.
        pose: (4, 4) camera-to-world matrix.
        next_pose: the same at the next frame.
        focal: focal length in pixels.
        change: (H, W) disparity at the next frame, at the point reached, minus disparity.
        next_disparity: (H, W) disparity of the next frame; needed when `change` is None.
        tolerance: displacement that still counts as standing, as a share of the depth.

    Returns:
        (H, W) bool.
    """
    height, width = disparity.shape
    rows, columns = np.indices((height, width), dtype=np.float64)
    centre = (width - 1) / 2, (height - 1) / 2
    depth = _depth(disparity, focal)
    here = _to_world(columns, rows, depth, pose, focal, centre)
    reached = columns + flow[0], rows + flow[1]
    if change is not None:
        next_depth = _depth(np.abs(disparity) + np.where(disparity < 0, -change, change), focal)
    else:
        if next_disparity is None:
            raise ValueError("moving_label needs change or next_disparity")
        inverse = np.linalg.inv(next_pose)
        standing = -(np.tensordot(inverse[2, :3], here, axes=1) + inverse[2, 3])
        next_depth = _depth_around(next_disparity, *reached, focal, standing)
    there = _to_world(*reached, next_depth, next_pose, focal, centre)
    distance: NDArray[np.float64] = np.linalg.norm(there - here, axis=0)
    return distance > tolerance * depth


def _depth(disparity: NDArray[np.float32] | NDArray[np.float64], focal: float) -> NDArray[np.float64]:
    return focal * BASELINE / np.maximum(np.abs(disparity.astype(np.float64)), 1e-6)


def _to_world(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    depth: NDArray[np.float64],
    pose: NDArray[np.float64],
    focal: float,
    centre: tuple[float, float],
) -> NDArray[np.float64]:
    """Lift pixels (H, W) at `depth` to world points (3, H, W)."""
    point = np.stack([(x - centre[0]) * depth / focal, (centre[1] - y) * depth / focal, -depth])
    result: NDArray[np.float64] = np.tensordot(pose[:3, :3], point, axes=1) + pose[:3, 3, None, None]
    return result


def _depth_around(
    disparity: NDArray[np.float32],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    focal: float,
    standing: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Depth nearest to `standing` that the four pixels around (x, y) of the next frame span.

    Interpolating between them would see motion at every crease and border. Where (x, y) lies outside
    the frame or behind something clearly nearer there is no evidence: the result is `standing`.
    """
    height, width = disparity.shape
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    left = np.clip(np.floor(x), 0, width - 2).astype(np.intp)
    top = np.clip(np.floor(y), 0, height - 2).astype(np.intp)
    corners = np.stack([np.abs(disparity[top + i, left + j]) for i in (0, 1) for j in (0, 1)])
    depth = np.clip(standing, _depth(corners.max(axis=0), focal), _depth(corners.min(axis=0), focal))
    hidden = depth < (1 - _HIDDEN) * standing
    return np.where(inside & ~hidden, depth, standing)


_HIDDEN = 0.1
"""A surface nearer than the expected depth by this share hides the point instead of being it."""
