"""Shared fixtures: root of the real data, programs outside the package, a small DAVIS 2016."""

import gc
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import ArrayLike, NDArray
from PIL import Image

HEIGHT, WIDTH = 32, 48

ROOT = Path(__file__).parents[1]

if "PYTEST_XDIST_WORKER" in os.environ:
    # every core has its own worker; torch reads this when it is first imported
    os.environ.setdefault("OMP_NUM_THREADS", "1")


# what collection imports and makes stays: looking through it for garbage, again and again, is a fifth of the
# time of the tests
gc.disable()


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    # libraries complain at the end of what was not freed
    gc.unfreeze()


# the time of an example depends on what else the machine does
settings.register_profile("vosbench", deadline=None)
settings.load_profile("vosbench")


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """Return a function: folder under the data root -> the root, skipping when it is absent.

    With ``VOSBENCH_DATA_REQUIRED`` set an absent folder is a failure: a job that is there for real data
    must not pass without.
    """
    absent = pytest.fail if os.environ.get("VOSBENCH_DATA_REQUIRED") else pytest.skip

    def require(folder: str) -> Path:
        root = os.environ.get("VOSBENCH_DATA")
        if root is None:
            absent("VOSBENCH_DATA is not set: no real data")
        if not (Path(root) / folder).is_dir():
            absent(f"{folder} is not under the data root {root}")
        return Path(root)

    return require


@pytest.fixture(scope="module")
def speed_program() -> Iterator[Callable[[str], ModuleType]]:
    """Return a function: name -> module of benchmarks/speed, unloaded after the test module."""
    with programs_of("speed") as load:
        yield load


@pytest.fixture(scope="module")
def intervals_program() -> Iterator[Callable[[str], ModuleType]]:
    """Return the function of `speed_program` for benchmarks/intervals."""
    with programs_of("intervals") as load:
        yield load


@pytest.fixture(scope="module")
def ablations_program() -> Iterator[Callable[[str], ModuleType]]:
    """Return the function of `speed_program` for benchmarks/ablations."""
    with programs_of("ablations") as load:
        yield load


@pytest.fixture(scope="module")
def soak_program() -> Iterator[Callable[[str], ModuleType]]:
    """Return the function of `speed_program` for benchmarks/soak."""
    with programs_of("soak") as load:
        yield load


@pytest.fixture(scope="module")
def first_hour_program() -> Iterator[Callable[[str], ModuleType]]:
    """Return the function of `speed_program` for benchmarks/first_hour."""
    with programs_of("first_hour") as load:
        yield load


@pytest.fixture(scope="module")
def zoo_program() -> Iterator[Callable[[str], ModuleType]]:
    """Return the function of `speed_program` for benchmarks/zoo."""
    with programs_of("zoo") as load:
        yield load


@pytest.fixture(scope="module")
def conformance_program() -> Iterator[Callable[[str], ModuleType]]:
    """Return the function of `speed_program` for benchmarks/conformance."""
    with programs_of("conformance") as load:
        yield load


@pytest.fixture(scope="module")
def gpu_program() -> Iterator[Callable[[str], ModuleType]]:
    """Return the function of `speed_program` for benchmarks/gpu."""
    with programs_of("gpu") as load:
        yield load


@pytest.fixture(scope="module")
def docs_program() -> Iterator[Callable[[str], ModuleType]]:
    """Return the function of `speed_program` for .github/docs."""
    with programs_in(ROOT / ".github" / "docs") as load:
        yield load


def programs_of(name: str) -> AbstractContextManager[Callable[[str], ModuleType]]:
    return programs_in(ROOT / "benchmarks" / name)


@contextmanager
def programs_in(folder: Path) -> Iterator[Callable[[str], ModuleType]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield importlib.import_module
    for loaded, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").parent == folder:
            del sys.modules[loaded]


def square(x: int, y: int = 10, side: int = 10) -> NDArray[np.uint8]:
    """Return (H, W) ids: 1 within a square, else 0."""
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[y : y + side, x : x + side] = 1
    return ids


def write_grey(path: Path, values: ArrayLike) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


@pytest.fixture(scope="session")
def make_davis() -> Callable[..., Path]:
    """Return a function: (root, {sequence: frames}) -> root, a square moving over noise."""

    def make(root: Path, sequences: Mapping[str, int] | None = None, seed: int = 0) -> Path:
        sequences = sequences or {"blackswan": 6, "dog": 5, "zebra": 5}
        random = np.random.default_rng(seed)
        lines = []
        for name, frames in sequences.items():
            background = random.integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
            for t in range(frames):
                ids = square(x=4 + 2 * t)
                frame = np.where(ids[..., None] == 1, np.uint8(200), background)
                image = f"JPEGImages/480p/{name}/{t:05}.jpg"
                mask = f"Annotations/480p/{name}/{t:05}.png"
                write_grey(root / "davis16" / image, frame)
                write_grey(root / "davis16" / mask, ids * 255)
                lines.append(f"/{image} /{mask} ")
        (root / "davis16" / "ImageSets" / "480p").mkdir(parents=True, exist_ok=True)
        (root / "davis16" / "ImageSets" / "480p" / "val.txt").write_text("\n".join(lines) + "\n")
        return root

    return make


@pytest.fixture(scope="session")
def write_results() -> Callable[..., Path]:
    """Return a function writing the ground truth of a tiny DAVIS as results, shifted by some pixels."""

    def write(folder: Path, root: Path, shift: int = 0, foreground: int = 1) -> Path:
        for mask in sorted((root / "davis16" / "Annotations" / "480p").rglob("*.png")):
            ids = np.asarray(Image.open(mask)) // 255 * foreground
            write_grey(folder / mask.parent.name / mask.name, np.roll(ids, shift, axis=1))
        return folder

    return write


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Return a function: words of a command line -> status, stdout and stderr.

    The command runs in this process and in an empty folder, without data or flow of this machine.
    """
    monkeypatch.chdir(tmp_path)
    for variable in ("VOSBENCH_DATA", "VOSBENCH_FLOW_LDOF"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))

    def command(*words: object) -> tuple[int, str, str]:
        from vosbench import cli

        monkeypatch.setattr(sys, "argv", ["vosbench", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        status = left.value.code or 0
        assert isinstance(status, int)
        return status, out, err

    return command
