"""Rendering of miniature editions: whole, in parallel, only when missing."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, Protocol

from vosbench.data.catalogue import catalogue, load_object
from vosbench.data.places import find_folder
from vosbench.errors import InputError, check_name
from vosbench.executors.local import run_tasks
from vosbench.files import whole_folder, write_text, writing
from vosbench.locks import claimed
from vosbench.waiting import Waiting, unreported

GENERATOR = "6"
"""Changes whenever the same settings give other bytes."""

MARKER = "MINI.json"
NOTE = "Rendered miniature made by vosbench: a test bed in the official folder layout, not the real data set."


class MiniSettings(Protocol):
    """Settings of a miniature, a dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def jobs(self) -> Iterator[tuple[str, int]]:
        """Yield (split, number) of every sequence or image."""

    def write_scene(self, folder: Path, job: tuple[str, int]) -> None:
        """Render one job into `folder`."""

    def finish(self, folder: Path) -> None:
        """Write files about the whole edition, such as lists."""


def write_mini(
    name: str, root: Path, *, workers: int = 1, waiting: Waiting = unreported, **settings: Any
) -> Path:
    """Render the miniature edition of a data set into ``root / name``.

    The folder appears when everything is written; an earlier miniature is replaced then. The bytes
    depend on the settings only, not on `workers`.

    Args:
        name: data set with a miniature edition.
        root: the data root.
        workers: processes.
        waiting: called with the number of finished scenes.
        settings: of the miniature; None for the default. All have `seed` (of all random choices), `scenes`
            (number of scenes, for ft3d in TRAIN, or of sequences per split), `size` (image height and width)
            and `frames` (per scene); for more see `Ft3dMini`.

    Returns:
        The folder of the data set.

    Raises:
        InputError: unknown name or setting, a bad value, the folder exists and is no miniature, or it
            cannot be written.
    """
    folder, selected = Path(root) / name, _settings(name, **settings)
    _refuse_foreign(find_folder(Path(root), name))
    with claimed(Path(root), name, wait=math.inf):
        _write(name, selected, folder, workers, waiting)
    return folder


def _write(name: str, settings: MiniSettings, folder: Path, workers: int, waiting: Waiting) -> None:
    with writing(folder), whole_folder(folder) as new:
        _render(settings, new, workers, partial(waiting, f"rendering the miniature of {name}"))
        write_text(new / MARKER, _marker(name, settings))
        _refuse_foreign(folder)


def ensure_mini(
    name: str, root: Path, *, workers: int = 1, waiting: Waiting = unreported, **settings: Any
) -> Path:
    """Render a miniature edition unless the same one is already there or being made by another process.

    Args:
        name: data set with a miniature edition.
        root: the data root.
        workers: processes.
        waiting: as for `write_mini`; not called when nothing is rendered.
        settings: as for `write_mini`.

    Returns:
        The folder of the data set.

    Raises:
        InputError: as `write_mini`.
    """
    folder, selected = Path(root) / name, _settings(name, **settings)
    _refuse_foreign(find_folder(Path(root), name))
    if not _is_there(name, selected, folder):
        with claimed(Path(root), name, wait=math.inf):
            if not _is_there(name, selected, folder):
                _write(name, selected, folder, workers, waiting)
    return folder


def count_scenes(name: str, **settings: Any) -> int:
    """Return the number of scenes or sequences that a miniature edition has.

    Args:
        name: data set with a miniature edition.
        settings: as for `write_mini`.

    Raises:
        InputError: unknown name or setting, or a bad value.
    """
    return sum(1 for _ in _settings(name, **settings).jobs())


def _is_there(name: str, settings: MiniSettings, folder: Path) -> bool:
    marker = folder / MARKER
    try:
        return marker.read_text(encoding="utf-8", errors="replace") == _marker(name, settings)
    except OSError:
        return False


def _settings(name: str, **options: Any) -> MiniSettings:
    paths = {spec.name: spec.mini for spec in catalogue().values() if spec.mini is not None}
    check_name("miniature data set", name, paths)
    kind: Callable[..., MiniSettings] = load_object(paths[name])
    selected = {key: value for key, value in options.items() if value is not None}
    known = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    for key in selected:
        check_name(f"setting of the miniature {name}", key, known)
    _check_numbers(name, selected)
    return kind(**selected)


def _check_numbers(name: str, selected: dict[str, Any]) -> None:
    for key in ("scenes", "frames"):
        if key in selected and selected[key] < 1:
            raise InputError(f"mini {name}: {key} is {selected[key]}, but must be at least 1")
    if "size" in selected and min(selected["size"]) < 16:
        height, width = selected["size"]
        raise InputError(f"mini {name}: size {height}x{width} is too small, at least 16x16")


def _marker(name: str, settings: MiniSettings) -> str:
    stated = {key: value for key, value in asdict(settings).items() if value is not None}
    described = {"note": NOTE, "dataset": name, "generator": GENERATOR, "settings": stated}
    return json.dumps(described, indent=2) + "\n"


def _refuse_foreign(folder: Path) -> None:
    """Refuse a folder that this module has not written: it may hold official data."""
    if not folder.exists() or (folder / MARKER).is_file():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise InputError(
            f"{folder}: exists without {MARKER}, so it may be official data; choose another data root"
        )


def _render(settings: MiniSettings, folder: Path, workers: int, rendered: Callable[[int, int], None]) -> None:
    render = partial(settings.write_scene, folder)
    jobs = list(settings.jobs())
    rendered(0, len(jobs))
    number = count(1)
    run_tasks(render, jobs, min(workers, len(jobs)), lambda _: rendered(next(number), len(jobs)))
    settings.finish(folder)
