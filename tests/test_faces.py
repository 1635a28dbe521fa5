"""Public names of vosbench and its packages: imported on first use, listed, with a hint for a slip."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import vosbench

ROOT = Path(vosbench.__file__).parent
FACES = ["vosbench"] + [
    f"vosbench.{path.parent.name}" for path in ROOT.glob("*/__init__.py") if "lazy(" in path.read_text()
]


def test_import_vosbench_imports_nothing_heavy():
    script = (
        "import sys, vosbench\n"
        "heavy = {'numpy', 'torch', 'torchvision', 'pytorch_lightning', 'cv2', 'yaml'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "vosbench.score\n"
        "assert 'numpy' in sys.modules and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_packages_with_a_face_are_found():
    assert {"vosbench", "vosbench.data", "vosbench.metrics", "vosbench.models"} < set(FACES)


@pytest.mark.parametrize("package", FACES)
def test_every_public_name_is_there_and_listed(package):
    face = import_module(package)
    assert face.__doc__
    for name in face.__all__:
        assert getattr(face, name) is not None
        assert name in dir(face)


def test_functions_of_vosbench_are_those_of_its_packages():
    assert vosbench.load is vosbench.models.load
    assert vosbench.open_dataset is vosbench.data.open_dataset
    assert vosbench.compare is vosbench.benchmark.compare
    for name in ("fit", "predict", "protocols", "score"):
        assert callable(getattr(vosbench, name))


@pytest.mark.parametrize(
    ("package", "name", "message"),
    [
        ("vosbench", "lod", "module 'vosbench' has no attribute 'lod'; did you mean load"),
        ("vosbench.metrics", "RegionSimilarty", "did you mean RegionSimilarity?"),
        ("vosbench", "xyz", "module 'vosbench' has no attribute 'xyz'$"),
    ],
)
def test_an_unknown_name_gives_the_nearest_ones(package, name, message):
    with pytest.raises(AttributeError, match=message.replace("?", r"\?")):
        getattr(import_module(package), name)


def test_help_shows_the_functions_with_their_arguments():
    script = "import pydoc, vosbench; print(pydoc.plain(pydoc.render_doc(vosbench)))"
    text = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert "Train, run, score and compare video object segmentation methods." in text
    for name in ("build", "compare", "fit", "load", "open_dataset", "predict", "protocols", "score"):
        assert f"\n    {name}(" in text
    assert len(text.splitlines()) < 400
