"""FlyingThings3D: frames, exact optical flow, and moving labels derived from scene geometry."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from vosbench.data.datasets.base import Dataset, dataset_folder
from vosbench.data.datasets.folders import subfolders
from vosbench.data.datasets.ft3d_motion import TOLERANCE, moving_instances, moving_label
from vosbench.data.datasets.inventory import Check, Inventory, stems
from vosbench.errors import InputError, check_name
from vosbench.formats.camera import StereoPose, read_cameras
from vosbench.formats.file_checks import map_size
from vosbench.formats.image import read_frame
from vosbench.formats.pfm import read_flow_pfm, read_pfm
from vosbench.video import IdMap, LazyMapping, LazySequence, Video

FOCAL_960 = 1050.0
"""Focal length in pixels at the official width of 960 pixels."""

_PASSES = ("cleanpass", "finalpass")
_VIEWS = ("left", "right")
_SUFFIXES = (".png", ".webp")
"""The official frames can be had as either."""


class FlyingThings3D(Dataset):
    """Videos by scene and view, e.g. ``"A/0000/left"``, with ground-truth flow and moving labels.

    Official layout inside ``root / "ft3d"``: ``frames_cleanpass/TRAIN/A/0000/left/0006.png`` (or webp),
    ``optical_flow/TRAIN/A/0000/into_future/left/OpticalFlowIntoFuture_0006_L.pfm``,
    ``disparity/TRAIN/A/0000/left/0006.pfm``, ``camera_data/TRAIN/A/0000/camera_data.txt`` and, when
    there, ``disparity_change/TRAIN/A/0000/into_future/left/0006.pfm``. Views that were not unpacked
    are left out.

    `Video.annotations` has an entry {0, 1} for every frame but the last: 1 where the scene point
    moves in the world (MP-Net section 6.1, `moving_label`). With `instances` it tells moving objects
    apart: by ``object_index/TRAIN/A/0000/left/0006.pfm`` where that was unpacked, otherwise regions of
    moving pixels that touch each other are objects [ours]. Objects of less than a five-thousandth of the
    picture are void (255), and ids of one frame have no relation to the ids of the next.

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
        check_name("split of ft3d", split.lower(), ("train", "test"))
        check_name("pass of ft3d", pass_, _PASSES)
        for view in views:
            check_name("view of ft3d", view, _VIEWS)
        folder = dataset_folder(root, "ft3d", f"frames_{pass_}")
        base = folder / f"frames_{pass_}" / split.upper()
        videos = [
            _video(
                _Clip(folder, base.name, f"{scene.parent.name}/{scene.name}", view),
                scene / view,
                partial(_label, tolerance=tolerance, focal_960=focal_960, instances=instances),
            )
            for scene in sorted(base.glob("*/*"))
            for view in views
            if (scene / view).is_dir()
        ]
        if not videos:
            view = views[0] if views else "left"
            raise InputError(f"{base}: no scenes such as A/0000/{view} with frames in it")
        super().__init__("ft3d", root, split.lower(), videos)


@dataclass(frozen=True)
class _Clip:
    """Paths of one scene seen by one eye."""

    folder: Path
    split: str
    scene: str
    view: str

    def _path(self, kind: str, inner: str) -> Path:
        return self.folder / kind / self.split / self.scene / inner

    def disparity(self, name: str) -> Path:
        return self._path("disparity", f"{self.view}/{name}.pfm")

    def disparity_change(self, name: str) -> Path:
        return self._path("disparity_change", f"into_future/{self.view}/{name}.pfm")

    def flow(self, name: str) -> Path:
        file = f"OpticalFlowIntoFuture_{name}_{self.view[0].upper()}.pfm"
        return self._path("optical_flow", f"into_future/{self.view}/{file}")

    def objects(self, name: str) -> Path:
        return self._path("object_index", f"{self.view}/{name}.pfm")

    def cameras(self) -> Path:
        return self._path("camera_data", "camera_data.txt")


def _video(clip: _Clip, folder: Path, label: Callable[[_Clip, str, str], IdMap]) -> Video:
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
        LazyMapping(lambda t: label(clip, names[t], names[t + 1]), range(pairs)),
        LazySequence(lambda t: read_flow_pfm(clip.flow(names[t])), pairs),
    )


def _label(
    clip: _Clip, name: str, following: str, *, tolerance: float, focal_960: float, instances: bool
) -> IdMap:
    disparity = read_pfm(clip.disparity(name))
    change = clip.disparity_change(name)
    eye = _VIEWS.index(clip.view)
    moving = moving_label(
        disparity,
        read_flow_pfm(clip.flow(name)),
        _pose(clip.cameras(), name)[eye],
        _pose(clip.cameras(), following)[eye],
        focal_960 * disparity.shape[1] / 960,
        change=read_pfm(change) if change.is_file() else None,
        next_disparity=None if change.is_file() else read_pfm(clip.disparity(following)),
        tolerance=tolerance,
    )
    if not instances:
        return moving.astype(np.uint8)
    objects = clip.objects(name)
    return moving_instances(moving, read_pfm(objects) if objects.is_file() else None)


def _pose(path: Path, name: str) -> StereoPose:
    poses = read_cameras(path)
    if not name.isdigit() or int(name) not in poses:
        raise InputError(f"{path}: no camera for frame {name}")
    return poses[int(name)]


def expected_files(root: Path, split: str) -> Inventory:
    """List the clean pass with flow, disparity and cameras."""
    check_name("split of ft3d", split.lower(), ("train", "test"))
    folder, part = dataset_folder(root, "ft3d", "frames_cleanpass"), split.upper()
    base = folder / "frames_cleanpass" / part
    inventory = Inventory(base)
    kinds = ["optical_flow", "disparity", "camera_data"]
    for kind in kinds:
        if not (folder / kind / part).is_dir():
            inventory.add_damage(folder / kind / part, "missing: this part of the data set was not unpacked")
    present = [kind for kind in (*kinds, "disparity_change") if (folder / kind / part).is_dir()]
    for scene in sorted(base.glob("*/*")):
        for view in subfolders(scene):
            _expect_clip(inventory, folder, f"{part}/{scene.parent.name}/{scene.name}", view, present)
    return inventory


def _expect_clip(inventory: Inventory, folder: Path, scene: str, view: str, kinds: list[str]) -> None:
    frames = folder / "frames_cleanpass" / scene / view
    disparity = folder / "disparity" / scene / view
    flow = folder / "optical_flow" / scene / "into_future" / view
    change = folder / "disparity_change" / scene / "into_future" / view
    flows = {m[1] for stem in stems(flow, ".pfm") if (m := re.search(r"_(\d+)_[LR]$", stem))}
    own = stems(frames, ".png", ".webp")
    names = sorted(own | stems(disparity, ".pfm") | flows)
    suffix = next((p.suffix for p in sorted(frames.iterdir()) if p.stem in own), ".png")
    group = f"{scene}/{view}"
    inventory.add(group, *(frames / f"{stem}{suffix}" for stem in names))
    if "disparity" in kinds:
        inventory.add(group, *(disparity / f"{stem}.pfm" for stem in names), read=map_size)
    for stem in names:
        later = (
            ("optical_flow", flow / f"OpticalFlowIntoFuture_{stem}_{view[0].upper()}.pfm"),
            ("disparity_change", change / f"{stem}.pfm"),
        )
        # the last frame leads to one that is not there
        expected = [path for kind, path in later if kind in kinds and (stem != names[-1] or path.exists())]
        inventory.add(group, *expected, read=map_size)
    if "camera_data" in kinds and view == "left":
        cameras = folder / "camera_data" / scene / "camera_data.txt"
        inventory.checks.append(Check(cameras, partial(_check_cameras, frames=names)))
    inventory.add_gaps(frames, names, suffix)
    inventory.sequences += 1
    inventory.frames += len(names)


def _check_cameras(path: Path, frames: Sequence[str]) -> None:
    """Check that a camera file has every frame."""
    present = read_cameras(path)
    missing = [stem for stem in frames if not stem.isdigit() or int(stem) not in present]
    if missing:
        raise InputError(f"{path}: no camera of frame {', '.join(missing)}")
