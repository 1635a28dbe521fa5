import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vosbench.data import open_dataset
from vosbench.data.catalogue import CATALOGUE
from vosbench.data.mini import davis16, ensure_mini, sampling, write_mini, writers
from vosbench.errors import InputError
from vosbench.formats.camera import read_cameras
from vosbench.formats.pfm import read_pfm
from vosbench.video import VOID

TINY = {
    "ft3d": {"scenes": 2, "test_scenes": 1, "frames": 2, "size": (36, 64)},
    "davis16": {"scenes": 1, "frames": 3, "size": (36, 64)},
    "davis17": {"scenes": 1, "frames": 3, "size": (36, 64)},
    "fbms": {"scenes": 2, "frames": 6, "size": (36, 64)},
    "segtrack": {"scenes": 2, "frames": 2, "size": (36, 64)},
    "youtube_objects": {"scenes": 2, "frames": 3, "size": (36, 64)},
    "coco": {"scenes": 2, "size": (36, 64)},
    "voc2012": {"scenes": 1, "size": (36, 64)},
    "msra10k": {"scenes": 2, "size": (36, 64)},
    "duts": {"scenes": 2, "size": (36, 64)},
    "ilsvrc_vid": {"scenes": 1, "frames": 3, "size": (36, 64)},
    "fusionseg_vid": {"scenes": 1, "frames": 4, "size": (36, 64)},
    "ytvos": {"scenes": 1, "frames": 6, "size": (36, 64)},
}

WIDER = {"scenes": 3, "frames": 4, "size": (72, 128)}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """Return a function: data set and settings -> root of its miniature, which must not be changed."""

    @cache
    def make(name, **settings):
        root = tmp_path_factory.mktemp("rendered")
        write_mini(name, root, **(TINY[name] | settings))
        return root

    return make


def test_ft3d_has_the_official_layout(tmp_path):
    options = {"passes": ("cleanpass", "finalpass"), "directions": ("into_future", "into_past")}
    folder = write_mini("ft3d", tmp_path, **(TINY["ft3d"] | options))
    assert folder == tmp_path / "ft3d"
    files = set(content(folder))
    for split, scene in (("TRAIN", "A/0001"), ("TEST", "A/0000")):
        assert {
            f"frames_cleanpass/{split}/{scene}/left/0006.png",
            f"frames_finalpass/{split}/{scene}/right/0007.png",
            f"optical_flow/{split}/{scene}/into_future/left/OpticalFlowIntoFuture_0006_L.pfm",
            f"optical_flow/{split}/{scene}/into_past/right/OpticalFlowIntoPast_0007_R.pfm",
            f"disparity/{split}/{scene}/right/0006.pfm",
            f"disparity_change/{split}/{scene}/into_future/left/0006.pfm",
            f"camera_data/{split}/{scene}/camera_data.txt",
        } <= files
    flow = read_pfm(folder / "optical_flow/TRAIN/A/0000/into_future/left/OpticalFlowIntoFuture_0006_L.pfm")
    assert flow.shape == (36, 64, 3)
    assert not flow[..., 2].any()
    left, right = read_cameras(folder / "camera_data/TRAIN/A/0000/camera_data.txt")[6]
    np.testing.assert_allclose(np.linalg.inv(left) @ right, np.eye(4) + np.eye(4, k=3), atol=1e-9)
    clean, final = (
        np.array(Image.open(folder / f"frames_{kind}/TRAIN/A/0000/left/0006.png"), int)
        for kind in ("cleanpass", "finalpass")
    )
    assert 0 < np.abs(clean - final).mean() < 25


def test_ft3d_leaves_out_what_is_not_asked_for(tmp_path):
    options = {"views": ["left"], "directions": ["into_future"], "disparity_change": False}
    files = content(write_mini("ft3d", tmp_path, **(TINY["ft3d"] | options)))
    assert not any("right" in f or "into_past" in f or "disparity_change" in f for f in files)
    assert sum(f.endswith(".png") for f in files) == 3 * 2


def test_davis16_has_the_official_layout(tmp_path, capfd):
    folder = write_mini("davis16", tmp_path, **TINY["davis16"])
    assert capfd.readouterr() == ("", "")
    lines = (folder / "ImageSets/480p/val.txt").read_text().splitlines()
    name = "camera-tracks-walker"
    assert lines[0] == f"/JPEGImages/480p/{name}/00000.jpg /Annotations/480p/{name}/00000.png"
    assert len((folder / "ImageSets/480p/trainval.txt").read_text().splitlines()) == 2 * 3
    for image, mask in (line.split() for line in lines):
        assert Image.open(folder / image[1:]).size == (64, 36)
        annotation = Image.open(folder / mask[1:])
        assert annotation.mode == "L"
        assert set(np.unique(np.array(annotation))) == {0, 255}


def test_davis17_labels_several_objects_and_writes_every_list(rendered):
    root = rendered("davis17")
    for split in ("val", "moving_val", "davis16_val"):
        dataset = open_dataset("davis17", root, split)
        assert [video.name for video in dataset] == ["walker-and-another"]
    assert dataset.label == "davis17-mini"
    assert list(dataset[0].annotations) == [0, 1, 2]
    assert np.unique(dataset[0].annotations[0]).tolist() == [0, 1, 2]
    assert [video.name for video in open_dataset("davis17", root, "train")] == [
        "handheld-vehicle-and-another"
    ]


def test_fbms_labels_few_frames_in_both_kinds_of_map(rendered):
    root = rendered("fbms")
    folder = root / "fbms"
    truth = folder / "Testset/vehicles1/GroundTruth"
    assert sorted(p.name for p in truth.iterdir()) == [
        "vehicles1Def.dat",
        *(f"vehicles1_{n:02d}.pgm" for n in (1, 4)),
    ]
    colours, grey = open_dataset("fbms", root)
    assert colours.frame_names[0] == "animals01_0011"
    assert (folder / "Testset/animals01/GroundTruth/animals01_0011_gt.ppm").is_file()
    for video in (colours, grey):
        assert list(video.annotations) == [0, 3]
        assert np.unique(video.annotations[0]).tolist() == [0, 1, 2]
    assert [video.name for video in open_dataset("fbms", root, "train")] == ["things01", "walkers01"]


def test_fbms_moving_labels_leave_out_what_stands_still(tmp_path):
    write_mini("fbms", tmp_path, scenes=2, size=(36, 64))
    everything = open_dataset("fbms", tmp_path)
    moving = open_dataset("fbms", tmp_path, labels="moving")
    assert [video.name for video in moving] == [video.name for video in everything]
    shares = []
    for some, all_ in zip(moving, everything, strict=True):
        for index, ids in all_.annotations.items():
            assert not (some.annotations[index] > 0)[ids == 0].any()
            shares.append((some.annotations[index] > 0).sum() / (ids > 0).sum())
    assert min(shares) < 1
    assert np.mean(shares) > 0.5


def test_segtrack_has_a_folder_per_object_where_there_are_several(rendered):
    root = rendered("segtrack")
    folder = root / "segtrack"
    assert (folder / "GroundTruth/bird-aim/00001.png").is_file()
    assert (folder / "GroundTruth/animal-and-another/2/00002.png").is_file()
    assert (folder / "ImageSets/all.txt").read_text() == "*bird-aim\n*animal-and-another\n"
    one, two = open_dataset("segtrack", root)
    assert np.unique(one.annotations[0]).tolist() == [0, 1]
    assert np.unique(two.annotations[0]).tolist() == [0, 1, 2]
    assert two.frame_names == ("00001", "00002")


def test_youtube_objects_has_classes_and_few_masks(tmp_path):
    folder = write_mini("youtube_objects", tmp_path, scenes=2, frames=11, size=(36, 64))
    assert (folder / "youtube_masks/car/data/0001/shots/001/labels/00011.jpg").is_file()
    bird, car = open_dataset("youtube_objects", tmp_path)
    assert (bird.name, car.name) == ("bird_0001", "car_0001")
    assert bird.frame_names == tuple(f"frame{number:04d}" for number in range(1, 12))
    assert list(car.annotations) == [0, 10]
    assert np.unique(car.annotations[10]).tolist() == [0, 1]


def test_objects_have_consecutive_ids_and_stand_out_from_static_things(rendered):
    for video in open_dataset("davis17", rendered("davis17", **WIDER)):
        ids = np.unique(video.annotations[0])
        assert ids.tolist() == list(range(len(ids)))
        assert 3 <= len(ids) <= 4
        assert 0.02 < (video.annotations[0] > 0).mean() < 0.6


def test_unsupervised_annotations_of_davis17_label_other_objects(rendered):
    root = rendered("davis17", **WIDER)
    for split in ("val", "train"):
        both = (
            open_dataset("davis17", root, split, annotations=name)
            for name in ("semi-supervised", "unsupervised")
        )
        more = []
        for semi, salient in zip(*both, strict=True):
            objects, highest = (
                int(ids[ids != VOID].max()) for ids in (semi.annotations[0], salient.annotations[0])
            )
            more.append(highest - objects)
            assert (salient.annotations[0] == VOID).any()
            for index, ids in semi.annotations.items():
                # the moving objects are the same; nothing of the other labels lies on them
                same = salient.annotations[index]
                np.testing.assert_array_equal(np.where(same <= objects, same, 0), ids)
        # a thing that stands still is one more
        assert more == [1, 0, 0]


def test_more_davis16_sequences_than_names_are_numbered(tmp_path):
    folder = write_mini("davis16", tmp_path, scenes=6, frames=1, size=(18, 32))
    names = sorted(p.name for p in (folder / "JPEGImages/480p").iterdir())
    assert len(names) == 12
    assert {"camera-tracks-walker", "camera-tracks-walker-2"} <= set(names)


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_bytes_depend_on_the_seed_and_not_on_the_workers(tmp_path, rendered, name):
    one = content(write_mini(name, tmp_path / "one", seed=4, **TINY[name]))
    two = content(write_mini(name, tmp_path / "two", seed=4, workers=2, **TINY[name]))
    other = content(rendered(name) / name)
    assert one == two
    assert one.keys() == other.keys()
    pictures = [f for f in one if f.endswith((".png", ".jpg", ".JPEG"))]
    assert all(one[f] != other[f] for f in pictures)


def test_a_davis16_of_one_split_has_its_bytes_and_nothing_of_the_others(tmp_path, rendered):
    whole = content(rendered("davis16") / "davis16")
    part = content(write_mini("davis16", tmp_path / "part", splits=("val",), **TINY["davis16"]))
    assert part.pop("MINI.json") != whole.pop("MINI.json")
    assert set(whole) > set(part)
    assert part == {name: whole[name] for name in part}
    assert len(open_dataset("davis16", tmp_path / "part", "val")) == TINY["davis16"]["scenes"]
    for split in ("train", "trainval"):
        with pytest.raises(InputError, match=split):
            open_dataset("davis16", tmp_path / "part", split)


def test_a_scene_does_not_depend_on_how_many_there_are(tmp_path, rendered):
    few = content(write_mini("ft3d", tmp_path, **(TINY["ft3d"] | {"scenes": 1})))
    many = content(rendered("ft3d") / "ft3d")
    del few["MINI.json"]
    assert few.items() <= many.items()


def test_the_marker_says_how_it_was_made(tmp_path):
    marker = json.loads(
        (write_mini("davis16", tmp_path, seed=9, **TINY["davis16"]) / "MINI.json").read_text()
    )
    assert marker["settings"] == {"seed": 9, "scenes": 1, "frames": 3, "size": [36, 64]}
    assert marker["generator"] == writers.GENERATOR
    assert "not the real data set" in marker["note"]


@pytest.mark.parametrize("make", [write_mini, ensure_mini])
def test_a_folder_that_is_no_miniature_is_never_touched(tmp_path, make):
    official = tmp_path / "davis16" / "JPEGImages"
    official.mkdir(parents=True)
    with pytest.raises(InputError, match="may be official data"):
        make("davis16", tmp_path, **TINY["davis16"])
    assert list((tmp_path / "davis16").iterdir()) == [official]
    assert list(tmp_path.iterdir()) == [tmp_path / "davis16"]


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "davis16").mkdir()
    assert (write_mini("davis16", tmp_path, **TINY["davis16"]) / "MINI.json").is_file()


def test_a_root_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file: cannot be written"):
        write_mini("davis16", tmp_path / "file", **TINY["davis16"])


def test_a_clip_too_long_for_its_bodies_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "ATTEMPTS", 3)
    with pytest.raises(InputError, match="in view for 2000 frames: ask for fewer"):
        write_mini("davis16", tmp_path, scenes=1, frames=2000, size=(36, 64))
    assert names(tmp_path) == {".locks"}


def test_an_interrupted_rendering_leaves_nothing_new(tmp_path, monkeypatch):
    before = content(write_mini("davis16", tmp_path, **TINY["davis16"]))

    def fail(self, folder, job):
        (folder / "half").write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(davis16.Davis16Mini, "write_scene", fail)
    with pytest.raises(KeyboardInterrupt):
        write_mini("davis16", tmp_path, seed=1, **TINY["davis16"])
    assert content(tmp_path / "davis16") == before
    assert names(tmp_path) == {"davis16", ".locks"}


def test_processes_that_want_the_same_miniature_render_it_once(tmp_path):
    code = (
        "import sys; from pathlib import Path; from vosbench.data.mini import ensure_mini;"
        "folder = ensure_mini('davis16', Path(sys.argv[1]), scenes=2, frames=4, size=(72, 128));"
        "print((folder / 'MINI.json').stat().st_ino)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(3)]
    inodes = {process.communicate()[0] for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(inodes) == 1
    assert len(open_dataset("davis16", tmp_path)) == 2


def test_ensure_renders_only_what_is_missing_or_different(tmp_path, monkeypatch):
    marker = ensure_mini("davis16", tmp_path, **TINY["davis16"]) / "MINI.json"
    first = marker.stat().st_mtime_ns
    ensure_mini("davis16", tmp_path, **TINY["davis16"])
    assert marker.stat().st_mtime_ns == first
    ensure_mini("davis16", tmp_path, seed=1, **TINY["davis16"])
    assert json.loads(marker.read_text())["settings"]["seed"] == 1
    monkeypatch.setattr(writers, "GENERATOR", "next")
    ensure_mini("davis16", tmp_path, seed=1, **TINY["davis16"])
    assert json.loads(marker.read_text())["generator"] == "next"


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("davis71", {}, "unknown miniature data set 'davis71': did you mean davis17"),
        ("davis16", {"viws": 1}, "unknown setting of the miniature davis16 'viws'"),
        ("davis16", {"views": ["left"]}, "unknown setting"),
        ("ft3d", {"views": ["lefft"]}, "views has 'lefft': choose from left, right"),
        ("ft3d", {"scenes": 0}, "scenes is 0"),
        ("ft3d", {"scenes": 10**6}, "at most"),
        ("davis16", {"frames": 0}, "frames is 0"),
        ("davis16", {"size": (8, 64)}, "size 8x64"),
    ],
)
def test_bad_settings_are_explained_and_leave_nothing(tmp_path, name, settings, message):
    with pytest.raises(InputError, match=message):
        write_mini(name, tmp_path, **settings)
    assert not list(tmp_path.iterdir())


def test_rendering_reports_every_scene_and_nothing_when_all_is_there(tmp_path):
    calls = []
    settings = {"scenes": 1, "frames": 2, "size": (32, 48)}
    for _ in range(2):
        ensure_mini("segtrack", tmp_path, waiting=lambda *call: calls.append(call), **settings)
    total = len(calls) - 1
    assert total > 0
    assert calls == [("rendering the miniature of segtrack", done, total) for done in range(total + 1)]
