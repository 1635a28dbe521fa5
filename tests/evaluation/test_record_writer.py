"""Records of `Trainer.test` are those of `compare`, up to times and the command."""

import json
import subprocess
import sys
from dataclasses import asdict
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer

from vosbench.benchmark import compare, method_spec, run_job
from vosbench.data import DAVIS16DataModule, DAVIS17DataModule, VideoFolderDataModule
from vosbench.errors import InputError
from vosbench.evaluation import RecordWriter, score
from vosbench.evaluation.record import Record
from vosbench.formats.png import read_ids, write_ids
from vosbench.models import load
from vosbench.models.vos_module import VOSModule
from vosbench.video import Segmentation

MOMENT = ("time", "load", "peak_memory", "command", "threads")
"""Part of the provenance of a prediction that differs from run to run."""


def test(module, data, out, **options):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(accelerator="cpu", callbacks=[RecordWriter(out)], **quiet, **options)
    return trainer.test(module, data, verbose=False)[0]


test.__test__ = False


def lasting(record):
    content = asdict(record)
    del content["seconds_per_frame"]
    content["provenance"] = {key: value for key, value in content["provenance"].items() if key not in MOMENT}
    return json.loads(json.dumps(content))


def records(out):
    return {path.relative_to(out): Record.read(path) for path in sorted(out.rglob("*.json"))}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Miniatures of DAVIS 2016 and 2017: two sequences of few small frames."""
    from vosbench.data.mini import write_mini

    root = tmp_path_factory.mktemp("data")
    for name in ("davis16", "davis17"):
        write_mini(name, root, scenes=2, size=(96, 128), frames=5)
    return root


NEEDS_COCO = pytest.mark.skipif(not find_spec("faster_coco_eval"), reason="extra coco is not installed")
FAST_STCNN = {"online_iterations": 1, "adapt_steps": 1}


@pytest.mark.parametrize(
    ("method", "settings", "data", "protocol"),
    [
        # unsupervised, with flow
        ("mpnet", {"test_short_side": 32}, DAVIS16DataModule, "davis16-unsupervised"),
        # semi-supervised, learns each video
        ("stcnn", FAST_STCNN, DAVIS16DataModule, "davis16-semi-supervised"),
        # detections
        pytest.param("motion_maskrcnn", {}, DAVIS17DataModule, "davis16-map50", marks=NEEDS_COCO),
        pytest.param("lvo", {}, DAVIS16DataModule, "davis16-unsupervised", marks=pytest.mark.slow),
        pytest.param("fusionseg", {}, DAVIS16DataModule, "davis16-unsupervised", marks=pytest.mark.slow),
        pytest.param(
            "motion_maskrcnn", {}, DAVIS17DataModule, "davis17-unsupervised", marks=pytest.mark.slow
        ),
        pytest.param("lip", {}, DAVIS17DataModule, "davis17-semi-supervised", marks=pytest.mark.slow),
    ],
)
def test_records_are_those_of_compare(root, tmp_path, method, settings, data, protocol):
    logged = test(load(method, **settings), data(root, protocol), tmp_path / "lightning")
    out = tmp_path / "compare"
    name = data.dataset
    compare(models=[method], datasets=[name], data_root=root, out=out, workers=1, settings=settings)
    ours = records(tmp_path / "lightning" / "records")
    theirs = {
        path: record for path, record in records(out / "records").items() if record.protocol == protocol
    }
    assert len(theirs) == 2
    assert {path: lasting(record) for path, record in ours.items()} == {
        path: lasting(record) for path, record in theirs.items()
    }
    assert all(ours[path].seconds_per_frame.keys() == theirs[path].seconds_per_frame.keys() for path in ours)
    # values of the data set, to the last bit
    scored = score(out / "masks" / f"{name}-mini" / method, name, data_root=root, protocol=protocol)
    assert logged == {f"test/{name}": value for name, value in scored.overall.items()}


class Repeats(VOSModule):
    """Shows the given ids in every frame."""

    name = "mpnet"
    task = "semi-supervised"
    stages = ("A",)

    def __init__(self):
        super().__init__()
        self.provenance = {"weights": "none"}

    def segment(self, video, first_mask=None):
        return Segmentation((first_mask for _ in video.frames), len(video))


def test_a_device_without_a_video_writes_no_record(root, tmp_path):
    trainer = Trainer(accelerator="cpu", logger=False)
    RecordWriter(tmp_path).on_test_batch_end(trainer, Repeats(), outputs=None, batch=None, batch_idx=0)
    assert not list(tmp_path.iterdir())


PROGRAM = """
import sys
from pytorch_lightning import Trainer
from vosbench.data import DAVIS16DataModule
from vosbench.evaluation import RecordWriter
from vosbench.models import load

if __name__ == "__main__":
    root, devices, out = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    quiet = {"logger": False, "enable_progress_bar": False}
    strategy = "ddp_spawn" if devices > 1 else "auto"
    options = {"accelerator": "cpu", "devices": devices, "strategy": strategy, **quiet}
    data = DAVIS16DataModule(root, metrics=["j"])
    Trainer(callbacks=[RecordWriter(out)], **options).test(load("mpnet"), data, verbose=False)
"""


@pytest.mark.slow
def test_records_of_two_devices_are_those_of_one_with_less_than_two_videos(tmp_path):
    from vosbench.data.mini import write_mini

    write_mini("davis16", tmp_path / "data", scenes=1, size=(64, 96), frames=4)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    written = []
    for devices in (1, 2):
        out = tmp_path / f"{devices}"
        command = [sys.executable, str(program), str(tmp_path / "data"), str(devices), str(out)]
        subprocess.run(command, check=True, capture_output=True, timeout=600)
        written.append({path: lasting(record) for path, record in records(out / "records").items()})
    assert len(written[0]) == 1
    assert written[0] == written[1]


def test_first_masks_of_another_data_set_are_those_of_compare(tmp_path, make_davis, monkeypatch):
    root = make_davis(tmp_path / "data")
    other = root / "davis17"
    (other / "ImageSets/2017").mkdir(parents=True)
    (other / "ImageSets/2017/davis16_val.txt").write_text("blackswan\ndog\nzebra\n")
    (other / "JPEGImages").symlink_to(root / "davis16/JPEGImages")
    for folder in sorted((root / "davis16/Annotations/480p").iterdir()):
        ids = (read_ids(folder / "00000.png") != 0).astype(np.uint8)
        ids[:, np.flatnonzero(ids.any(axis=0))[5:]] *= 2
        write_ids(other / "Annotations/480p" / folder.name / "00000.png", ids)
    monkeypatch.setattr(method_spec, "load_method", lambda name, size=None: (Repeats(), {"weights": "none"}))
    run_job._load.cache_clear()
    protocol = "davis16-instances-semi-supervised"
    out = tmp_path / "compare"
    compare(models=["mpnet"], datasets=["davis16"], data_root=root, out=out, workers=1)
    run_job._load.cache_clear()
    test(Repeats(), DAVIS16DataModule(root, protocol), tmp_path / "lightning")
    ours = records(tmp_path / "lightning" / "records" / "davis16" / protocol)
    theirs = records(out / "records" / "davis16" / protocol)
    assert len(ours) == 3
    assert {path: lasting(record) for path, record in ours.items()} == {
        path: lasting(record) for path, record in theirs.items()
    }
    assert all(record.provenance["config"]["given"]["dataset"] == "davis17" for record in ours.values())


def test_a_method_without_detections_is_refused_under_their_protocol(root, tmp_path):
    with pytest.raises(InputError, match="davis16-map50 scores detections, which mpnet does not yield"):
        test(load("mpnet"), DAVIS17DataModule(root, "davis16-map50"), tmp_path)


def test_a_record_names_weights_of_a_file(root, tmp_path):
    data = DAVIS16DataModule(root, metrics=["j"])
    module = load("mpnet", test_short_side=32)
    module.on_fit_start()
    with pytest.raises(InputError, match=r'names the file of the weights: .*\("mpnet", checkpoint=FILE\)'):
        test(module, data, tmp_path)
    with pytest.raises(InputError, match="takes a VOSModule, not a Module"):
        RecordWriter(tmp_path).on_test_start(Trainer(logger=False), torch.nn.Module())
    assert not list(tmp_path.rglob("*.json"))


def test_records_are_of_data_sets_of_the_catalogue(root, tmp_path):
    frames, masks = (root / "davis16" / kind / "480p" for kind in ("JPEGImages", "Annotations"))
    with pytest.raises(InputError, match="records are of data sets of the catalogue"):
        test(load("mpnet"), VideoFolderDataModule(frames, masks, metrics=["j"]), tmp_path)
