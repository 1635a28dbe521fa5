"""Still images with masks of salient objects: MSRA10K, and the training part of DUTS."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vosbench.data.datasets.base import Dataset
from vosbench.data.datasets.folders import find_dataset, images, masked_video
from vosbench.data.datasets.inventory import Inventory, stems
from vosbench.errors import InputError, check_name
from vosbench.formats.mask import read_mask
from vosbench.video import IdMap, LazySequence, Video

NAME = "msra10k"
DUTS = "duts"

LEAST_PART = 0.1
"""Share of the largest part that a part needs to be an object of its own."""


class Msra10k(Dataset):
    """10000 images with one salient region each: ids 0 and 1.

    The official layout is ``MSRA10K_Imgs_GT/Imgs/77.jpg`` with the mask ``77.png`` beside it (Cheng et
    al., TPAMI 2015); ``Imgs`` may also lie there by itself. Masks are cut at half intensity. A video is
    one image, called like its file without the suffix.

    That every image has a mask is checked on opening; pixels are read when indexed.

    Args:
        root: the data root; the files are in ``root / "msra10k"``.
        split: ``"train"``: there is no other.

    Raises:
        InputError: no such folder or split, or an image or mask is missing.
    """

    def __init__(self, root: Path, split: str = "train") -> None:
        check_name(f"split of {NAME}", split, ["train"])
        base = find_dataset(root, NAME, ("MSRA10K_Imgs_GT", "Imgs"))
        archive = base / "MSRA10K_Imgs_GT" / "Imgs"
        folder = archive if archive.is_dir() else base / "Imgs"
        super().__init__(NAME, root, split, _stills(folder, folder, "MSRA10K_Imgs_GT.zip"))


class Duts(Dataset):
    """DUTS-TR, 10553 images with salient regions: ids 0 and 1.

    The official layout is ``DUTS-TR/DUTS-TR-Image/ILSVRC2012_test_00000004.jpg`` and
    ``DUTS-TR/DUTS-TR-Mask/ILSVRC2012_test_00000004.png`` (Wang et al., CVPR 2017); the two folders may
    also lie there by themselves. Masks are cut at half intensity. A video is one image, called like its
    file without the suffix.

    That every image has a mask is checked on opening; pixels are read when indexed.

    Args:
        root: the data root; the files are in ``root / "duts"``.
        split: ``"train"``: there is no other.
        instances: give parts of the foreground that do not touch ids of their own, see `separated`.

    Raises:
        InputError: no such folder or split, or an image or mask is missing.
    """

    def __init__(self, root: Path, split: str = "train", instances: bool = False) -> None:
        check_name(f"split of {DUTS}", split, ["train"])
        base = find_dataset(root, DUTS, ("DUTS-TR", "DUTS-TR-Image"))
        folder = base / "DUTS-TR" if (base / "DUTS-TR").is_dir() else base
        videos = _stills(folder / "DUTS-TR-Image", folder / "DUTS-TR-Mask", "DUTS-TR.zip", instances)
        super().__init__(DUTS, root, split, videos)


def separated(mask: IdMap) -> IdMap:
    """Give every connected part of the foreground an id of its own, the largest first ([ours]).

    Parts of less than `LEAST_PART` of the largest one get its id, such as an object seen through a fence.

    Args:
        mask: (H, W) uint8, 0 background.

    Returns:
        (H, W) uint8 ids from 1 on.
    """
    import cv2

    _, regions, facts, _ = cv2.connectedComponentsWithStats((mask > 0).astype(np.uint8), connectivity=8)
    areas = facts[1:, cv2.CC_STAT_AREA]
    ids = np.zeros(len(facts), dtype=np.uint8)
    if areas.size:
        ranked = np.argsort(-areas, kind="stable")
        large = areas[ranked] >= LEAST_PART * areas.max()
        ids[1 + ranked] = np.where(large, np.arange(1, 1 + len(areas)), 1)
    result: IdMap = ids[regions]
    return result


def _stills(pictures: Path, masks: Path, archive: str, instances: bool = False) -> LazySequence[Video]:
    """Pair pictures with the masks of the same names."""
    frames = images(pictures, (".jpg", ".jpeg"))
    mask_of = {path.stem: path for path in images(masks, (".png",))}
    if not frames:
        raise InputError(f"{pictures}: no images; unpack {archive} again")
    stems = {path.stem for path in frames}
    lost = [f"{path}: has no mask {masks / path.stem}.png" for path in frames if path.stem not in mask_of]
    lost += [
        f"{path}: has no image {pictures / stem}.jpg" for stem, path in mask_of.items() if stem not in stems
    ]
    if lost:
        others = f", and {len(lost) - 1} others lack theirs" if len(lost) > 1 else ""
        raise InputError(f"{lost[0]}{others}; unpack {archive} again")
    read = _read_instances if instances else _read_region
    return LazySequence(
        lambda index: masked_video(
            frames[index].stem, [frames[index]], {0: mask_of[frames[index].stem]}, read=read
        ),
        len(frames),
    )


def _read_region(path: Path) -> IdMap:
    return read_mask(path).astype(np.uint8)


def _read_instances(path: Path) -> IdMap:
    return separated(_read_region(path))


def expected_msra10k(root: Path, split: str) -> Inventory:
    """List the files of MSRA10K."""
    return _expected_stills(root, split, NAME, "MSRA10K_Imgs_GT/Imgs", "MSRA10K_Imgs_GT/Imgs")


def expected_duts(root: Path, split: str) -> Inventory:
    """List the files of DUTS-TR."""
    return _expected_stills(root, split, DUTS, "DUTS-TR/DUTS-TR-Image", "DUTS-TR/DUTS-TR-Mask")


def _expected_stills(root: Path, split: str, name: str, pictures: str, masks: str) -> Inventory:
    """List pictures with masks of the same names, in two folders or in one.

    Args:
        root: the data root.
        split: ``"train"``.
        name: data set.
        pictures: folder of the pictures, the part before the first slash may be missing.
        masks: folder of the masks, likewise.
    """
    check_name(f"split of {name}", split, ["train"])
    outer, _, inner = pictures.partition("/")
    folder = find_dataset(root, name, (outer, inner))
    if (folder / pictures).is_dir():
        folder = folder / outer
    base, truth = folder / inner, folder / masks.partition("/")[2]
    names = sorted(stems(base, ".jpg", ".jpeg") | stems(truth, ".png"))
    inventory = Inventory(base, sequences=len(names), frames=len(names))
    for name in names:
        inventory.add(name, base / f"{name}.jpg", truth / f"{name}.png")
    return inventory
