"""Image folders: listing, order by number, size checks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

from vosbench.data.datasets.base import dataset_folder, repair_advice
from vosbench.data.places import find_folder
from vosbench.errors import InputError, check_name, unknown_name
from vosbench.formats.frame_folder import check_stems
from vosbench.formats.image import SUFFIXES, image_size, read_frame
from vosbench.formats.png import read_ids
from vosbench.video import IdMap, LazyMapping, LazySequence, Video

_PUBLISHED = frozenset({"train", "val", "trainval"})
_LARGER = ("1080p", "Full-Resolution")
_DIGITS = re.compile(r"([0-9]+)$")


def find_dataset(root: Path, name: str, markers: Sequence[str]) -> Path:
    """Return the folder of a data set if it holds one of the folders `markers`.

    Raises:
        InputError: it does not; the advice looks for the first marker.
    """
    folder = find_folder(root, name)
    if any((folder / marker).is_dir() for marker in markers):
        return folder
    if folder.is_dir() and len(markers) > 1:
        raise InputError(
            f"{folder}: none of the folders {', '.join(markers)} in it, so this is not {name} in its "
            f"official layout; {repair_advice(folder, name, markers[0])}"
        )
    return dataset_folder(root, name, markers[0])


def check_resolution(pictures: Path, resolution: str) -> None:
    """Check that `pictures` has a folder of sequences at a resolution.

    Raises:
        InputError: it has not.
    """
    present = subfolders(pictures)
    if not present:
        raise InputError(f"{pictures}: empty; expected a folder '{resolution}' of sequences")
    if resolution == "480p" not in present:
        raise InputError(f"{pictures}: no folder '480p'; {_way_to_480p(pictures, present)}")
    check_name(f"resolution of {pictures.parent}", resolution, present)


def _way_to_480p(pictures: Path, present: Sequence[str]) -> str:
    larger = [name for name in present if name in _LARGER]
    if larger:
        return f"results are compared at 480p: unpack those frames and masks beside {', '.join(larger)}"
    masks = pictures.parent / "Annotations"
    return (
        f"if frames of 480p are in {pictures / present[0]} and so on, make the links "
        f"ln -s . {pictures / '480p'} and ln -s . {masks / '480p'}"
    )


def no_list(name: str, path: Path, choices: Iterable[str]) -> InputError:
    """Build the error for a split of `name` whose list, the file `path`, is not there."""
    if path.stem in _PUBLISHED:
        others = ", ".join(sorted(choices))
        return InputError(
            f"{path}: missing, it lists split '{path.stem}'; copy it again or choose from {others}"
        )
    return unknown_name(f"split of {name} in {path.parent}", path.stem, choices)


def subfolders(parent: Path) -> list[str]:
    """Return the names of the visible folders in `parent`, sorted; none when there is no `parent`."""
    if not parent.is_dir():
        return []
    return sorted(path.name for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))


def check_subfolders(parent: Path, names: Sequence[str], source: str, advice: str) -> None:
    """Check that `parent` has a folder for every one of the sequences `names`, which `source` lists.

    Raises:
        InputError: folders are missing; ends with `advice`.
    """
    present = set(subfolders(parent))
    missing = [name for name in names if name not in present]
    if missing:
        raise InputError(
            f"{parent}: lacks {len(missing)} of {len(names)} sequences of {source}, first {missing[0]}; "
            f"{advice}"
        )


def images(folder: Path, suffixes: Iterable[str] = SUFFIXES, *, advice: str = "") -> list[Path]:
    """Return the visible images in `folder` in the order of the number that ends their names.

    Args:
        folder: a folder that does not exist has none.
        suffixes: lower-case endings of files taken for images.
        advice: end of the error for a folder without images; without advice, that is no error.

    Raises:
        InputError: two images have one stem, so that their results would have one name, or there are none.
    """
    wanted = frozenset(suffixes)
    files = folder.iterdir() if folder.is_dir() else ()
    paths = [path for path in files if path.suffix.lower() in wanted and not path.name.startswith(".")]
    if advice and not paths:
        raise InputError(f"{folder}: sequence without frames; {advice}")
    paths.sort(key=lambda path: (last_number(path.stem) or 0, path.name))
    check_stems(paths)
    return paths


def last_number(stem: str) -> int | None:
    """Return the number that ends a file stem (``"cars1_07"`` -> 7); None without one."""
    match = _DIGITS.search(stem)
    return int(match[1]) if match else None


def by_number(paths: Iterable[Path]) -> dict[int, Path]:
    """Map the number that ends each stem to its path; paths without a number are left out.

    Raises:
        InputError: two paths have one number.
    """
    numbered: dict[int, Path] = {}
    for path in paths:
        number = last_number(path.stem)
        if number is None:
            continue
        if number in numbered:
            raise InputError(f"{path}: has the same number as {numbered[number].name}; remove one of the two")
        numbered[number] = path
    return numbered


def masks_of(frames: Sequence[Path], folder: Path, advice: str) -> dict[int, Path]:
    """Map the index of each frame to the PNG of the same name in `folder`; frames may lack one.

    Raises:
        InputError: a mask without frame; ends with `advice`.
    """
    index_of = frame_index(frames)
    masks: dict[int, Path] = {}
    for mask in images(folder, (".png",)):
        if mask.stem not in index_of:
            raise InputError(f"{mask}: there is no frame {mask.stem} in {frames[0].parent}; {advice}")
        masks[index_of[mask.stem]] = mask
    return masks


def masked_video(
    name: str,
    frames: Sequence[Path],
    masks: Mapping[int, Path],
    categories: Mapping[int, str] | None = None,
    *,
    read: Callable[[Path], IdMap] = read_ids,
) -> Video:
    """Return a video of pictures and masks of one size, which are read when indexed.

    Args:
        name: of the video.
        frames: in order.
        masks: frame index -> its mask.
        categories: see `Video`.
        read: path -> (H, W) uint8 ids.
    """

    @cache
    def size() -> tuple[int, int]:
        # a header per mask would take a tenth of scoring it
        return image_size(frames[0])

    return Video(
        name=name,
        frames=LazySequence(lambda index: read_frame(frames[index]), len(frames)),
        frame_names=tuple(path.stem for path in frames),
        annotations=LazyMapping(
            lambda index: check_size(masks[index], read(masks[index]), frames[index], size()), masks
        ),
        categories=categories or {},
    )


def frame_index(paths: Sequence[Path]) -> Mapping[str, int]:
    """Map the stem of each frame to its index."""
    return {path.stem: index for index, path in enumerate(paths)}


def check_size(mask: Path, ids: IdMap, frame: Path, size: tuple[int, int] | None = None) -> IdMap:
    """Return `ids` (H, W), read from `mask`, if the picture `frame` has the same size.

    Args:
        mask: file of the ids.
        ids: its content.
        frame: picture of the same size, e.g. any frame of the video.
        size: (height, width) of `frame` where it is known; read from its header when None.

    Raises:
        InputError: it has not.
    """
    height, width = size or image_size(frame)
    if ids.shape != (height, width):
        raise InputError(
            f"{mask}: {ids.shape[1]}x{ids.shape[0]} pixels, but its frame {frame} is "
            f"{width}x{height}; take both from the same resolution of the data set"
        )
    return ids
