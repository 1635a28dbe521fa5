"""Which files each data set should have, listed without stopping at the first that is missing.

Readers refuse a damaged data set at once; here every expected file becomes a `Check`, so that
`vosbench.data.verify.verify` can name all that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vosbench.data.datasets.base import dataset_folder
from vosbench.data.datasets.folders import find_dataset, last_number, no_list, subfolders
from vosbench.data.splits import shipped_split
from vosbench.data.verify.file_checks import ids_size, labels_size, map_size, mask_size, picture_size
from vosbench.data.verify.inventory import Check, Inventory
from vosbench.errors import InputError, unknown_name
from vosbench.formats.camera import read_cameras
from vosbench.formats.fbms import read_definition


def davis16(root: Path, split: str) -> Inventory:
    """List DAVIS 2016 at 480p."""
    folder = dataset_folder(root, "davis16", "JPEGImages")
    frames, masks = folder / "JPEGImages/480p", folder / "Annotations/480p"
    path = folder / "ImageSets/480p" / f"{split}.txt"
    if split == "all":
        stock = Inventory(frames)
        pairs = [
            (frames / name / f"{stem}.jpg", masks / name / f"{stem}.png")
            for name in sorted({*subfolders(frames), *subfolders(masks)})
            for stem in sorted(_stems(frames / name, ".jpg") | _stems(masks / name, ".png"))
        ]
    else:
        stock = Inventory(path)
        pairs = list(_listed_pairs(folder, path, stock))
    sequences: dict[str, list[str]] = {}
    for frame, mask in pairs:
        group = frame.parent.name
        stock.checks += [Check(frame, picture_size, group), Check(mask, mask_size, group)]
        sequences.setdefault(frame.parent.name, []).append(frame.stem)
    for name, stems in sequences.items():
        stock.gaps(frames / name, stems, ".jpg", first=0)
    stock.sequences, stock.frames = len(sequences), len(pairs)
    return stock


def _listed_pairs(folder: Path, path: Path, stock: Inventory) -> Iterator[tuple[Path, Path]]:
    for number, line in enumerate(_list(path, "davis16").splitlines(), start=1):
        fields = line.split()
        if len(fields) == 2:
            yield folder / fields[0].lstrip("/"), folder / fields[1].lstrip("/")
        elif fields:
            stock.lacks(path, f"line {number} is no frame and its mask: '{line.strip()[:60]}'")


def _list(path: Path, name: str) -> str:
    if path.is_file():
        return path.read_text(encoding="utf-8", errors="replace")
    there = [item.stem for item in path.parent.glob("*.txt")] if path.parent.is_dir() else []
    raise no_list(name, path, {"all", *there})


def _folders(stock: Inventory, names: Iterable[str]) -> Iterator[str]:
    """Yield the names of folders in a list; what would lead elsewhere is damage of the list."""
    for name in names:
        if name in (".", "..") or "/" in name or "\\" in name:
            stock.lacks(stock.source, f"'{name[:60]}' is no name of a sequence")
        else:
            yield name


def _stems(folder: Path, *suffixes: str) -> set[str]:
    if not folder.is_dir():
        return set()
    return {p.stem for p in folder.iterdir() if p.suffix.lower() in suffixes and not p.name.startswith(".")}


def davis17(root: Path, split: str) -> Inventory:
    """List DAVIS 2017 at 480p, with the masks of both editions."""
    from vosbench.data.datasets.davis17 import SHIPPED

    folder = dataset_folder(root, "davis17", "JPEGImages")
    frames = folder / "JPEGImages/480p"
    path = folder / "ImageSets/2017" / f"{split}.txt"
    if path.is_file() or (split not in SHIPPED and split != "all"):
        names = tuple(_list(path, "davis17").split())
    else:
        names = tuple(subfolders(frames)) if split == "all" else shipped_split(SHIPPED[split])
    stock = Inventory(path if path.is_file() else frames)
    homes, unsupervised = [folder / "Annotations/480p"], folder / "Annotations_unsupervised/480p"
    if unsupervised.is_dir():
        homes.append(unsupervised)
    elif split in ("train", "val"):
        archive = "DAVIS-2017-Unsupervised-trainval-480p.zip"
        stock.lacks(unsupervised, f"missing: the ground truth of davis17-unsupervised, in {archive}")
    for name in _folders(stock, names):
        _davis17_sequence(
            stock, frames / name, [home / name for home in homes], hidden=split.startswith("test")
        )
    stock.sequences = len(names)
    return stock


def _davis17_sequence(stock: Inventory, frames: Path, homes: list[Path], *, hidden: bool) -> None:
    of_home = {home: _stems(home, ".png") for home in homes}
    stems = sorted(_stems(frames, ".jpg", ".jpeg").union(*of_home.values()))
    if not frames.is_dir() or not stems:
        stock.lacks(frames, "missing: the split lists this sequence")
        return
    for stem in stems:
        stock.pair(frames.name, frames / f"{stem}.jpg", None)
        for home, masks in of_home.items():
            if stem in masks or not (hidden or masks == {stems[0]}):
                stock.checks.append(Check(home / f"{stem}.png", ids_size, frames.name))
    stock.gaps(frames, stems, ".jpg", first=0)
    stock.frames += len(stems)


def ytvos(root: Path, split: str) -> Inventory:
    """List the labelled frames of YouTube-VOS."""
    from vosbench.data.datasets.ytvos import SHIPPED, read_categories

    home = dataset_folder(root, "ytvos", "train") / "train"
    if split != "train" and split not in SHIPPED:
        raise unknown_name("split of ytvos", split, ["train", *SHIPPED])
    own = home.parent / "ImageSets" / f"{split}.txt"
    if split == "train":
        source = home / "meta.json"
        names = tuple(sorted(read_categories(source)))
    elif own.is_file():
        source, names = own, tuple(own.read_text(encoding="utf-8", errors="replace").split())
    else:
        source, names = home, shipped_split(SHIPPED[split])
    stock = Inventory(source, sequences=len(names))
    for name in _folders(stock, names):
        frames, masks = home / "JPEGImages" / name, home / "Annotations" / name
        labelled = _stems(masks, ".png")
        stems = sorted(labelled | _stems(frames, ".jpg", ".jpeg"))
        if not labelled:
            stock.lacks(masks, "missing: a video without masks")
        for stem in stems:
            stock.pair(name, frames / f"{stem}.jpg", masks / f"{stem}.png" if stem in labelled else None)
        stock.frames += len(stems)
    return stock


def stills(root: Path, split: str, name: str, pictures: str, masks: str) -> Inventory:
    """List pictures with masks of the same names, in two folders or in one.

    Args:
        root: the data root.
        split: ``"train"``.
        name: data set.
        pictures: folder of the pictures, the part before the first slash may be missing.
        masks: folder of the masks, likewise.
    """
    if split != "train":
        raise unknown_name(f"split of {name}", split, ["train"])
    outer, _, inner = pictures.partition("/")
    folder = find_dataset(root, name, (outer, inner))
    if (folder / pictures).is_dir():
        folder = folder / outer
    home, truth = folder / inner, folder / masks.partition("/")[2]
    stems = sorted(_stems(home, ".jpg", ".jpeg") | _stems(truth, ".png"))
    stock = Inventory(home, sequences=len(stems), frames=len(stems))
    for stem in stems:
        stock.checks += [
            Check(home / f"{stem}.jpg", picture_size, stem),
            Check(truth / f"{stem}.png", picture_size, stem),
        ]
    return stock


def segtrack(root: Path, split: str) -> Inventory:
    """List SegTrack-v2."""
    if split != "all":
        raise unknown_name("split of segtrack", split, ["all"])
    folder = dataset_folder(root, "segtrack", "JPEGImages")
    lists = folder / "ImageSets/all.txt"
    names = subfolders(folder / "JPEGImages")
    if lists.is_file():
        names = [name for word in lists.read_text(errors="replace").split() if (name := word.lstrip("*"))]
    stock = Inventory(lists if lists.is_file() else folder / "JPEGImages", sequences=len(names))
    for name in _folders(stock, names):
        _segtrack_sequence(stock, folder, name)
    return stock


def _segtrack_sequence(stock: Inventory, folder: Path, name: str) -> None:
    frames, truth = folder / "JPEGImages" / name, folder / "GroundTruth" / name
    listed = folder / "ImageSets" / f"{name}.txt"
    paths = {path.stem: path for path in stock.images(frames)}
    suffix = next((path.suffix for path in paths.values()), ".png")
    homes = [truth / item for item in subfolders(truth)] or [truth]
    masks = [{path.stem: path for path in stock.images(home)} for home in homes]
    if listed.is_file():
        stems = [Path(word).name for word in listed.read_text(errors="replace").split()[1:]]
    else:
        stems = sorted(set(paths).union(*masks), key=lambda stem: (last_number(stem) or 0, stem))
    if not stems:
        stock.lacks(frames, "missing: a sequence without frames")
    for stem in stems:
        stock.checks.append(Check(paths.get(stem, frames / f"{stem}{suffix}"), picture_size, name))
        for home, found in zip(homes, masks, strict=True):
            stock.checks.append(Check(found.get(stem, home / f"{stem}.png"), picture_size, name))
    stock.frames += len(stems)


def fbms(root: Path, split: str) -> Inventory:
    """List FBMS-59 and, where they are there, the moving-only labels."""
    wanted = {"train": "Trainingset", "test": "Testset"}.get(split)
    if wanted is None:
        raise unknown_name("split of fbms", split, ["test", "train"])
    home = root / "fbms"
    found = next((home / item for item in subfolders(home) if item.lower() == wanted.lower()), None)
    folder = found or dataset_folder(root, "fbms", wanted) / wanted
    names = subfolders(folder)
    stock = Inventory(folder, sequences=len(names))
    for name in names:
        _fbms_sequence(stock, folder / name)
        for path in stock.images(home / "FBMS-3D" / wanted / name / "GroundTruth", (".png", ".pgm")):
            stock.checks.append(Check(path, labels_size, name))
    return stock


def _fbms_sequence(stock: Inventory, folder: Path) -> None:
    frames = stock.images(folder, (".jpg", ".jpeg", ".ppm", ".png"))
    truth = folder / "GroundTruth"
    stock.checks += [Check(path, picture_size, folder.name) for path in frames]
    stock.frames += len(frames)
    definitions = sorted(truth.glob("*[Dd]ef.dat")) if truth.is_dir() else []
    if not frames:
        stock.lacks(folder, "missing: a sequence without frames")
    if not definitions:
        maps = stock.images(truth, (".png",) if stock.images(truth, (".ppm",)) else (".png", ".pgm"))
        if not maps:
            stock.lacks(truth / f"{folder.name}Def.dat", "missing: the definition of the ground truth")
        stock.checks += [Check(path, labels_size, folder.name) for path in maps]
        return
    try:
        definition = read_definition(definitions[0])
    except InputError as error:
        stock.lacks(definitions[0], str(error).removeprefix(str(definitions[0])).lstrip(":, "))
        return
    if len(frames) < definition.frames:
        stock.lacks(folder, f"missing: {len(frames)} frames instead of {definition.frames}")
    for item in definition.labelled:
        stock.checks.append(Check(truth / item.map, map_size, folder.name))
        weights = (truth / item.map).with_suffix(".pgm")
        if weights.name != item.map and weights.is_file():
            stock.checks.append(Check(weights, map_size, folder.name))


def youtube_objects(root: Path, split: str) -> Inventory:
    """List YouTube-Objects: the masks and all frames of their shots."""
    if split != "all":
        raise unknown_name("split of youtube_objects", split, ["all"])
    folder = find_dataset(root, "youtube_objects", ("youtube_masks", "GroundTruth", "Annotations"))
    masks = next((p for p in (folder / "youtube_masks", folder / "GroundTruth") if p.is_dir()), None)
    stock = Inventory(masks or folder / "Annotations")
    if masks is None:
        for name in subfolders(folder / "Annotations"):
            _shot(stock, name, [folder / "JPEGImages" / name], folder / "Annotations" / name)
        return stock
    for labels in sorted(masks.glob("*/data/*/shots/*/labels")):
        place = labels.parent.relative_to(masks)
        homes = [folder / "v1" / place, folder / place, labels.parent / "images"]
        _shot(stock, f"{place.parts[0]}_{place.parts[2]}_{place.parts[4]}", homes, labels)
    return stock


def _shot(stock: Inventory, name: str, homes: list[Path], labels: Path) -> None:
    stock.sequences += 1
    masks = stock.images(labels)
    frames: list[Path] = next((found for home in homes if (found := stock.images(home))), [])
    frames = [path for path in frames if path.stem.startswith("frame")] or frames
    stock.checks += [Check(path, picture_size, f"{name} masks") for path in masks]
    stock.checks += [Check(path, picture_size, f"{name} frames") for path in frames]
    stock.frames += len(frames)
    if not masks:
        stock.lacks(labels, "missing: a shot without masks")
    if not frames:
        stock.lacks(homes[0], "missing: the frames of the masks")
        return
    numbers = {last_number(path.stem) for path in frames}
    for mask in masks:
        number = last_number(mask.stem)
        if number not in numbers:
            stock.lacks(
                frames[0].parent / f"frame{number or 0:04d}{frames[0].suffix}",
                f"missing: frame of {mask.name}",
            )


def ft3d(root: Path, split: str) -> Inventory:
    """List the clean pass of FlyingThings3D with flow, disparity and cameras."""
    if split.lower() not in ("train", "test"):
        raise unknown_name("split of ft3d", split, ("train", "test"))
    folder, part = dataset_folder(root, "ft3d", "frames_cleanpass"), split.upper()
    base = folder / "frames_cleanpass" / part
    stock = Inventory(base)
    kinds = ["optical_flow", "disparity", "camera_data"]
    for kind in kinds:
        if not (folder / kind / part).is_dir():
            stock.lacks(folder / kind / part, "missing: this part of the data set was not unpacked")
    there = [k for k in (*kinds, "disparity_change") if (folder / k / part).is_dir()]
    for scene in sorted(base.glob("*/*")):
        for view in subfolders(scene):
            _clip(stock, folder, f"{part}/{scene.parent.name}/{scene.name}", view, there)
    return stock


def _clip(stock: Inventory, folder: Path, scene: str, view: str, kinds: list[str]) -> None:
    frames = folder / "frames_cleanpass" / scene / view
    disparity = folder / "disparity" / scene / view
    flow = folder / "optical_flow" / scene / "into_future" / view
    change = folder / "disparity_change" / scene / "into_future" / view
    flows = {m[1] for stem in _stems(flow, ".pfm") if (m := re.search(r"_(\d+)_[LR]$", stem))}
    own = _stems(frames, ".png", ".webp")
    stems = sorted(own | _stems(disparity, ".pfm") | flows)
    suffix = next((p.suffix for p in sorted(frames.iterdir()) if p.stem in own), ".png")
    group = f"{scene}/{view}"
    stock.checks += [Check(frames / f"{stem}{suffix}", picture_size, group) for stem in stems]
    if "disparity" in kinds:
        stock.checks += [Check(disparity / f"{stem}.pfm", map_size, group) for stem in stems]
    for stem in stems:
        later = (
            ("optical_flow", flow / f"OpticalFlowIntoFuture_{stem}_{view[0].upper()}.pfm"),
            ("disparity_change", change / f"{stem}.pfm"),
        )
        # the last frame leads to one that is not there
        expected = [path for kind, path in later if kind in kinds and (stem != stems[-1] or path.exists())]
        stock.checks += [Check(path, map_size, group) for path in expected]
    if "camera_data" in kinds and view == "left":
        stock.checks.append(Check(folder / "camera_data" / scene / "camera_data.txt", _Cameras(tuple(stems))))
    stock.gaps(frames, stems, suffix)
    stock.sequences += 1
    stock.frames += len(stems)


@dataclass(frozen=True)
class _Cameras:
    """Reads a camera file, which must have every frame."""

    frames: tuple[str, ...]

    def __call__(self, path: Path) -> None:
        there = read_cameras(path)
        lost = [stem for stem in self.frames if not stem.isdigit() or int(stem) not in there]
        if lost:
            raise InputError(f"{path}: no camera of frame {', '.join(lost)}")


LISTINGS: dict[str, Callable[[Path, str], Inventory]] = {
    "davis16": davis16,
    "davis17": davis17,
    "fbms": fbms,
    "segtrack": segtrack,
    "youtube_objects": youtube_objects,
    "ft3d": ft3d,
    "ytvos": ytvos,
    "msra10k": lambda root, split: stills(
        root, split, "msra10k", "MSRA10K_Imgs_GT/Imgs", "MSRA10K_Imgs_GT/Imgs"
    ),
    "duts": lambda root, split: stills(root, split, "duts", "DUTS-TR/DUTS-TR-Image", "DUTS-TR/DUTS-TR-Mask"),
}
"""Data set -> its listing, (data root, split) -> inventory; other data sets are read as their reader does."""
