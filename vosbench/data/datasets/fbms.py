"""FBMS-59 (Freiburg-Berkeley motion segmentation) in its official layout."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np

from vosbench.data.datasets.base import Dataset, dataset_folder
from vosbench.data.datasets.folders import frame_index, images, last_number, masked_video, subfolders
from vosbench.data.datasets.inventory import Inventory
from vosbench.data.places import find_folder
from vosbench.errors import InputError, check_name
from vosbench.formats.fbms import Definition, read_definition, read_labels, read_regions
from vosbench.formats.file_checks import labels_size, map_size
from vosbench.video import VOID, IdMap, Video

NAME = "fbms"

MOVING = "FBMS-3D"
"""Folder of the moving-only labels beside the official split folders."""

_FOLDERS = {"train": "Trainingset", "test": "Testset"}
_FRAMES = (".jpg", ".jpeg", ".ppm", ".png")


class Fbms59(Dataset):
    """Sequences with a few labelled frames: ids of regions, 0 the background, 255 void.

    The official layout is ``Trainingset`` and ``Testset`` (in any case) with a folder per sequence:
    frames ``SEQ/*.jpg``, and in ``SEQ/GroundTruth`` a definition file ``*Def.dat`` and the maps that
    it names, PPM (colours) or PGM (grey levels). Region k of the definition has id k; the first is the
    background; colours that it does not list, and pixels of annotation probability 0, are void
    (Ochs, Malik, Brox, TPAMI 2014). Without a definition file the folder may hold label maps (PNG or
    PGM), which are read like the moving-only labels.

    A definition numbers frames from 0, whatever numbers their files have. If the folder has another
    number of frames than the definition, the frame names that it lists count instead.

    ``labels="moving"`` reads the alternative labelling of what moves in the world (Bideau and
    Learned-Miller, 2016). Unpack it beside the official folders as
    ``FBMS-3D/Testset/SEQ/GroundTruth/001_gt.png``; sequences without such a folder are left out. Its
    exact format is not public in writing; as read here [ours]: equal values of a sequence are one
    object, in ascending order of the values ids 1..K, 0 is background, and 255 is void unless it is
    the only value. The number of a file is that of its frame; where some frame number does not exist,
    all are positions from 1, or from 0.

    The names of all files are checked on opening; pixels are read when indexed.

    Args:
        root: the data root; the files are in ``root / "fbms"``.
        split: ``"train"`` or ``"test"``.
        labels: ``"all"`` (official) or ``"moving"``.
        probabilities: whether pixels of annotation probability 0 are void. The official measure
            weights every pixel by its probability; here other probabilities count fully [ours].

    Raises:
        InputError: no such folder, split or labels, or a file is missing or malformed.
    """

    def __init__(
        self, root: Path, split: str = "test", *, labels: str = "all", probabilities: bool = True
    ) -> None:
        check_name(f"split of {NAME}", split, _FOLDERS)
        check_name(f"labels of {NAME}", labels, ("all", "moving"))
        folder = _split_folder(root, split)
        if labels == "all":
            videos = [_official(folder / name, probabilities) for name in subfolders(folder)]
        else:
            videos = _moving(folder, split)
        if not videos:
            raise InputError(f"{folder}: no folders of sequences; unpack FBMS-59 again")
        super().__init__(NAME, root, split, videos)


def _split_folder(root: Path, split: str) -> Path:
    wanted = _FOLDERS[split]
    base = find_folder(root, NAME)
    folder = _any_case(base, wanted)
    if folder is not None:
        return folder
    other = next(name for name in _FOLDERS.values() if name != wanted)
    if _any_case(base, other) is not None:
        raise InputError(f"{base}: no folder '{wanted}'; unpack that part of FBMS-59 there")
    return dataset_folder(root, NAME, wanted) / wanted


def _any_case(parent: Path, name: str) -> Path | None:
    return next((parent / item for item in subfolders(parent) if item.lower() == name.lower()), None)


def _official(folder: Path, probabilities: bool) -> Video:
    frames = images(folder, _FRAMES, advice="unpack FBMS-59 again")
    truth = folder / "GroundTruth"
    definitions = sorted(truth.glob("*[Dd]ef.dat")) if truth.is_dir() else []
    if len(definitions) > 1:
        raise InputError(f"{truth}: {len(definitions)} definition files *Def.dat, but a sequence has one")
    if not definitions:
        maps = _label_maps(truth)
        if maps:
            return _label_video(folder.name, frames, maps)
        raise InputError(
            f"{truth}: no definition file *Def.dat and no label maps; unpack the ground truth of "
            f"sequence {folder.name} of FBMS-59 there"
        )
    definition = read_definition(definitions[0])
    labelled = _labelled(definition, definitions[0], frames)
    read = partial(read_regions, colours=definition.colours, probabilities=probabilities)
    return masked_video(folder.name, frames, labelled, read=read)


def _label_maps(truth: Path, images: Callable[[Path, tuple[str, ...]], list[Path]] = images) -> list[Path]:
    """Return the label maps of a folder without definition; beside PPM, PGM hold probabilities."""
    return images(truth, (".png",) if images(truth, (".ppm",)) else (".png", ".pgm"))


def _labelled(definition: Definition, source: Path, frames: list[Path]) -> dict[int, Path]:
    """Frame index -> map."""
    if not definition.labelled:
        raise InputError(f"{source}: no labelled frames; unpack the ground truth again")
    present = {path.name for path in source.parent.iterdir()}
    index_of = frame_index(frames)
    complete = len(frames) == definition.frames
    labelled: dict[int, Path] = {}
    for item in definition.labelled:
        if item.map not in present:
            raise InputError(
                f"{source}: names {item.map}, which is not beside it; unpack the ground truth again"
            )
        index = item.number if complete else index_of.get(Path(item.frame).stem, -1)
        if not 0 <= index < len(frames):
            raise InputError(
                f"{source}: labels frame {item.number} ({item.frame or 'no name'}) of {definition.frames}, "
                f"which is not among the {len(frames)} frames in {frames[0].parent}; unpack FBMS-59 again"
            )
        if index in labelled:
            raise InputError(f"{source}: frame {frames[index].name} has a second map, {item.map}")
        labelled[index] = source.parent / item.map
    return labelled


def _moving(folder: Path, split: str) -> list[Video]:
    base = folder.parent / MOVING
    truth = _any_case(base, _FOLDERS[split])
    if truth is None:
        raise InputError(
            f"{base}: no folder '{_FOLDERS[split]}' with the moving-only labels of FBMS-59; unpack "
            f"them as {MOVING}/{_FOLDERS[split]}/SEQ/GroundTruth/*.png, or use labels=all"
        )
    videos = []
    for name in subfolders(truth):
        maps = images(truth / name / "GroundTruth", (".png", ".pgm"))
        if not maps:
            raise InputError(f"{truth / name / 'GroundTruth'}: no label maps; unpack the labels again")
        frames = images(folder / name, _FRAMES, advice="unpack FBMS-59 again")
        videos.append(_label_video(name, frames, maps))
    return videos


def _label_video(name: str, frames: list[Path], maps: list[Path]) -> Video:
    labelled = _numbered(frames, maps)

    @cache
    def id_of() -> dict[int, int]:
        return _ids_of_labels(list(labelled.values()))

    def read(path: Path) -> IdMap:
        values = read_labels(path)
        ids = np.zeros(values.shape, np.uint8)
        for value, id_ in id_of().items():
            ids[values == value] = id_
        return ids

    return masked_video(name, frames, labelled, read=read)


def _numbered(frames: list[Path], maps: list[Path]) -> dict[int, Path]:
    """Frame index -> map, by the number in the name of the map."""
    of_map: dict[int, Path] = {}
    for path in maps:
        number = last_number(path.stem.removesuffix("_gt"))
        if number is None:
            raise InputError(f"{path}: no frame number in its name, such as 001_gt")
        if number in of_map:
            raise InputError(f"{path}: has the same number as {of_map[number].name}; remove one of the two")
        of_map[number] = path
    of_frame = {last_number(path.stem): index for index, path in enumerate(frames)}
    if all(number in of_frame for number in of_map):
        return {of_frame[number]: path for number, path in of_map.items()}
    for first in (1, 0):
        if all(0 <= number - first < len(frames) for number in of_map):
            return {number - first: path for number, path in of_map.items()}
    raise InputError(
        f"{maps[0].parent}: label maps number {min(of_map)} to {max(of_map)} do not fit the "
        f"{len(frames)} frames in {frames[0].parent}; unpack both again"
    )


def _ids_of_labels(maps: list[Path]) -> dict[int, int]:
    """Return value -> id for all values but 0 in the label maps of a sequence."""
    values = sorted({value for path in maps for value in np.unique(read_labels(path)).tolist() if value})
    void = VOID in values and len(values) > 1
    objects = [value for value in values if not (void and value == VOID)]
    if len(objects) >= VOID:
        raise InputError(
            f"{maps[0].parent}: {len(objects)} different labels in its maps; was one saved as JPEG?"
        )
    return {value: id_ for id_, value in enumerate(objects, start=1)} | ({VOID: VOID} if void else {})


def expected_files(root: Path, split: str) -> Inventory:
    """List the files of a split and, where they are there, the moving-only labels."""
    check_name(f"split of {NAME}", split, _FOLDERS)
    folder = _split_folder(root, split)
    names = subfolders(folder)
    inventory = Inventory(folder, sequences=len(names))
    for name in names:
        _expected_sequence(inventory, folder / name)
        truth = find_folder(root, NAME) / MOVING / _FOLDERS[split] / name / "GroundTruth"
        inventory.add(name, *inventory.list_images(truth, (".png", ".pgm")), read=labels_size)
    return inventory


def _expected_sequence(inventory: Inventory, folder: Path) -> None:
    frames = inventory.list_images(folder, _FRAMES)
    truth = folder / "GroundTruth"
    inventory.add(folder.name, *frames)
    inventory.frames += len(frames)
    definitions = sorted(truth.glob("*[Dd]ef.dat")) if truth.is_dir() else []
    if not frames:
        inventory.add_damage(folder, "missing: a sequence without frames")
    if not definitions:
        maps = _label_maps(truth, inventory.list_images)
        if not maps:
            path = truth / f"{folder.name}Def.dat"
            inventory.add_damage(path, "missing: the definition of the ground truth")
        inventory.add(folder.name, *maps, read=labels_size)
        return
    try:
        definition = read_definition(definitions[0])
    except InputError as error:
        inventory.add_damage(definitions[0], str(error).removeprefix(str(definitions[0])).lstrip(":, "))
        return
    if len(frames) < definition.frames:
        inventory.add_damage(folder, f"missing: {len(frames)} frames instead of {definition.frames}")
    for item in definition.labelled:
        inventory.add(folder.name, truth / item.map, read=map_size)
        weights = (truth / item.map).with_suffix(".pgm")
        if weights.name != item.map and weights.is_file():
            inventory.add(folder.name, weights, read=map_size)
