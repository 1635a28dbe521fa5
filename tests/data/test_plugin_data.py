"""Data sets and protocols of other packages, found by their entry points."""

import sys

import numpy as np
import pytest
from PIL import Image

from vosbench import plugins
from vosbench.data import open_dataset
from vosbench.data.catalogue import catalogue, compared_protocols, dataset_spec
from vosbench.errors import InputError
from vosbench.evaluation import score
from vosbench.formats.png import write_ids
from vosbench.scoring.protocol import load_protocol, protocols

MODULE = """
from vosbench.data.datasets.base import Dataset, dataset_folder
from vosbench.data.datasets.folders import images, masked_video, masks_of
from vosbench.data.spec import DatasetSpec


class Ponds(Dataset):
    def __init__(self, root, split="all"):
        folder = dataset_folder(root, "ponds", "frames")
        frames = images(folder / "frames")
        masks = masks_of(frames, folder / "masks", "unpack it again")
        super().__init__("ponds", root, split, [masked_video("pond", frames, masks)])


PONDS = DatasetSpec(
    name="ponds",
    title="Ponds 2026",
    reader="pond_package:Ponds",
    split="all",
    protocol="ponds-iou",
    size="all: 1 sequence, 3 frames",
    layout="frames/00000.png, masks/00000.png",
    licence="CC BY 4.0",
    citation="Nobody et al.",
    url="https://example.org/ponds",
)
"""

PROTOCOL = """
id: ponds-iou
title: Ponds, one foreground, first frame left out
order: 900
datasets: [ponds]
frames: after_first
objects: union
void: ignore
metrics: [j]
average: sequences
source: this test
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that writes what an installer writes: the entry points of a package."""
    site = tmp_path / "site"
    monkeypatch.syspath_prepend(str(site))

    def write(**groups):
        folder = site / "ponds_package-1.0.dist-info"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: ponds-package\nVersion: 1.0\n")
        lines = [f"[vosbench.{group}]\n{line}\n" for group, line in groups.items()]
        (folder / "entry_points.txt").write_text("\n".join(lines))
        forget()
        return site

    yield write
    forget()


def forget():
    plugins._declared.cache_clear()
    load_protocol.cache_clear()
    sys.modules.pop("pond_package", None)


@pytest.fixture
def ponds(install, tmp_path):
    """The package, installed, and the data root with its data set."""
    site = install(datasets="ponds = pond_package:PONDS", protocols="ponds-iou = pond_package")
    (site / "pond_package").mkdir()
    (site / "pond_package/__init__.py").write_text(MODULE)
    (site / "pond_package/configs/protocol").mkdir(parents=True)
    (site / "pond_package/configs/protocol/ponds-iou.yaml").write_text(PROTOCOL)
    for number in range(3):
        ids = np.zeros((16, 24), np.uint8)
        ids[4:12, 4 + number : 12 + number] = 1
        for kind, values in (("frames", np.repeat(200 * ids[..., None], 3, axis=2)), ("masks", ids)):
            path = tmp_path / f"data/ponds/{kind}/{number:05d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(path)
    return tmp_path / "data"


def test_a_data_set_of_another_package_is_opened_by_its_name(ponds):
    assert dataset_spec("ponds").title == "Ponds 2026"
    assert list(catalogue())[-1] == "ponds"
    [video] = open_dataset("ponds", ponds)
    assert int(video.annotations[2].sum()) == 64


def test_a_protocol_of_another_package_scores_it(ponds, tmp_path):
    assert [protocol.id for protocol in protocols("ponds")] == ["ponds-iou"]
    assert [protocol.id for protocol in compared_protocols("ponds")] == ["ponds-iou"]
    for number in range(3):
        ids = np.zeros((16, 24), np.uint8)
        ids[4:12, 4:12] = number != 0
        write_ids(tmp_path / f"results/pond/{number:05d}.png", ids)
    scored = score(tmp_path / "results", "ponds", data_root=ponds, workers=1)
    # columns shared with the second frame: 7 of 9, with the third: 6 of 10; the first does not count
    assert scored.overall["J_mean"] == pytest.approx((7 / 9 + 6 / 10) / 2)


def test_commands_list_it(ponds, run):
    assert "Ponds 2026" in run("data", "list", "--data-root", ponds)[1]
    out = run("data", "list", "ponds", "--data-root", ponds)[1]
    assert "protocols ponds-iou" in out


@pytest.mark.parametrize(
    ("groups", "call", "message"),
    [
        ({"datasets": "davis16 = a:B"}, catalogue, "both have a data set called davis16: rename it in the"),
        (
            {"datasets": "ponds = nowhere:B"},
            catalogue,
            "ponds of the package ponds-package: nowhere:B",
        ),
        ({"datasets": "ponds = json:dumps"}, catalogue, "json:dumps is no vosbench.data.spec.DatasetSpec"),
        ({"protocols": "davis16-matlab = a"}, protocols, "both have a protocol called davis16-matlab"),
        (
            {"protocols": "ponds-iou = json"},
            protocols,
            "ponds-iou of the package ponds-package: no file",
        ),
    ],
)
def test_a_broken_package_is_one_line_and_leaves_the_others(install, groups, call, message):
    install(**groups)
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
    assert dataset_spec("davis16").name == "davis16"
