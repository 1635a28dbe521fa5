"""A data set is added by its reader and one `DatasetSpec`; commands and packages read nothing else."""

import hashlib
import http.server
import io
import sys
import threading
import zipfile
from functools import partial

import numpy as np
import pytest
from PIL import Image

from vosbench import cli
from vosbench.benchmark import compare
from vosbench.data import CatalogueDataModule, open_dataset
from vosbench.data.catalogue import CATALOGUE
from vosbench.data.spec import Archive, DatasetSpec, SplitCounts
from vosbench.data.verify import verify
from vosbench.errors import InputError
from vosbench.evaluation import score

MODULE = """
from dataclasses import dataclass

from vosbench.data.datasets.base import Dataset, dataset_folder
from vosbench.data.datasets.folders import images, masked_video, masks_of
from vosbench.data.datasets.inventory import Inventory


class Ponds(Dataset):
    def __init__(self, root, split="all"):
        folder = dataset_folder(root, "ponds", "frames")
        frames = images(folder / "frames")
        masks = masks_of(frames, folder / "masks", "unpack it again")
        super().__init__("ponds", root, split, [masked_video("pond", frames, masks)])


def expected_files(root, split):
    folder = dataset_folder(root, "ponds", "frames")
    inventory = Inventory(folder, sequences=1)
    for frame in images(folder / "frames"):
        inventory.add("pond", frame, folder / "masks" / f"{frame.stem}.png")
    return inventory


@dataclass(frozen=True)
class PondsMini:
    seed: int = 0
    scenes: int = 1

    def jobs(self):
        yield "all", 0

    def write_scene(self, folder, job):
        (folder / "frames").mkdir()

    def finish(self, folder):
        pass
"""


def picture(values, kind):
    content = io.BytesIO()
    Image.fromarray(values).save(content, kind)
    return content.getvalue()


def archive_of_three_frames(path):
    mask = np.zeros((24, 32), np.uint8)
    mask[8:16, 8:24] = 1
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(3):
            frame = np.roll(np.repeat(mask[..., None] * 200, 3, axis=2), number, axis=1)
            archive.writestr(f"Ponds/frames/{number:05d}.jpg", picture(frame, "JPEG"))
            archive.writestr(f"Ponds/masks/{number:05d}.png", picture(np.roll(mask, number, axis=1), "PNG"))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Describe the data set, serve its archive, and return an empty data root."""
    site = tmp_path / "site"
    site.mkdir()
    archive_of_three_frames(site / "ponds.zip")
    (tmp_path / "ponds_reader.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    address = f"http://127.0.0.1:{server.server_address[1]}/ponds.zip"
    checksum = hashlib.sha256((site / "ponds.zip").read_bytes()).hexdigest()
    spec = DatasetSpec(
        name="ponds",
        title="Ponds 2026",
        reader="ponds_reader:Ponds",
        files="ponds_reader:expected_files",
        mini="ponds_reader:PondsMini",
        split="all",
        protocol="segtrack-iou",
        size="all: 1 sequence, 3 frames",
        layout="frames/00000.jpg, masks/00000.png",
        licence="CC BY 4.0",
        citation="Nobody et al.",
        url="https://example.org/ponds",
        counts={"all": SplitCounts(1)},
        archives=(Archive(address, "ponds.zip", checksum=f"sha256:{checksum}", inner="frames"),),
    )
    monkeypatch.setitem(CATALOGUE, "ponds", spec)
    yield tmp_path / "root"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def run(root, monkeypatch, capsys):
    """Run a command line on the data root; return its status and what it prints."""

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["vosbench", *words, "--data-root", str(root)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        return left.value.code or 0, capsys.readouterr().out

    return command


def test_the_commands_list_download_and_verify_it(root, run):
    assert "Ponds 2026" in run("data", "list")[1]
    description = run("data", "list", "ponds")[1]
    assert "protocols segtrack-iou" in description
    assert "/ponds.zip (sha256:" in description
    assert run("data", "download", "ponds") == (0, f"{root / 'ponds'}\n")
    assert run("data", "verify", "ponds") == (0, "")
    (root / "ponds/masks/00001.png").unlink()
    assert run("data", "verify", "ponds") == (1, f"{root}/ponds/masks/00001.png: missing\n")


def test_its_miniature_is_rendered(root, run):
    assert run("data", "mini", "ponds") == (0, f"{root / 'ponds'}\n")
    assert (root / "ponds/frames").is_dir()


def test_too_few_sequences_are_damage(root, run, monkeypatch):
    run("data", "download", "ponds")
    monkeypatch.setitem(CATALOGUE["ponds"].counts, "all", SplitCounts(2))
    assert [damage.problem for damage in verify("ponds", root)] == ["1 sequences instead of 2"]


def test_it_is_opened_tested_scored_and_compared(root, run, tmp_path):
    run("data", "download", "ponds")
    (video,) = open_dataset("ponds", root)
    assert [int(video.annotations[frame].sum()) for frame in range(3)] == [128] * 3

    module = CatalogueDataModule(root, dataset="ponds")
    module.setup("test")
    (step,) = module.test_dataloader()
    assert (step.video.name, step.protocol.id) == ("pond", "segtrack-iou")

    planned = compare(models=["centre_box"], datasets=["all"], data_root=root, out=tmp_path, dry_run=True)
    assert planned.lengths == {("ponds", "all"): 1}
    result = compare(models=["centre_box"], datasets=["ponds"], data_root=root, out=tmp_path, workers=1)
    assert [(r.dataset, r.sequence, r.protocol) for r in result.records] == [
        ("ponds", "pond", "segtrack-iou")
    ]


def test_a_protocol_that_it_does_not_name_is_refused(root, run):
    run("data", "download", "ponds")
    with pytest.raises(InputError, match="davis16-unsupervised is not made for ponds: choose from segtrack"):
        CatalogueDataModule(root, "davis16-unsupervised", dataset="ponds")
    with pytest.raises(InputError, match="not for ponds; choose from segtrack-iou"):
        score(root, "ponds", protocol="davis16-unsupervised", data_root=root)
