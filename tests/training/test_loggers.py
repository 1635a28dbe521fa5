"""The same tables, curves and pictures in every kind of log, read back as their users read them."""

import csv
import json
import time

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from vosbench.errors import InputError
from vosbench.formats.png import davis_palette
from vosbench.training.loggers import LoggedFrame, open_log, sheet, wandb_is_offline, wandb_project


def scene(name="00003", size=(60, 80), void=False, grey=100):
    """A grey frame whose ground truth is its left half, and a prediction of nothing."""
    truth = np.zeros(size, np.uint8)
    truth[:, : size[1] // 2] = 1
    if void:
        truth[:, size[1] // 2 :] = 255
    frame = np.full((*size, 3), grey, np.uint8)
    return LoggedFrame(name, frame, {"ground truth": truth, "prediction": np.zeros(size, np.uint8)})


def write_all(log):
    log.table("board/methods", ["method", "J"], [["a", 0.5], ["b", None]])
    log.curves("board/curves", {"a": [0.25, None, 0.75], "b": [0.5]})
    log.pictures("pictures/val", [scene()], step=3)
    log.pictures("pictures/val", [scene(), scene("00004", grey=50)], step=12)
    log.close()


def test_a_sheet_has_a_row_per_scene_and_a_column_for_the_frame_and_every_mask():
    picture = sheet([scene(), scene(size=(30, 80))])
    assert picture.shape == (240 + 120, 3 * 320, 3)
    frame, truth, prediction = np.split(picture[:240], 3, axis=1)
    assert (frame[120] == 100).all()
    assert (prediction[120] == 100).all()
    assert (truth[120, 300] == 100).all()
    tint = (davis_palette()[1].astype(int) + 100) / 2
    assert np.abs(truth[120, 60] - tint).max() <= 1


def test_void_is_not_drawn():
    assert np.array_equal(sheet([scene(void=True)])[40:, 320 + 170 : 640], sheet([scene()])[40:, 490:640])


def test_large_frames_become_panels_of_the_usual_width():
    assert sheet([scene(size=(480, 854))]).shape == (180, 960, 3)


def test_files_hold_everything(tmp_path):
    write_all(open_log("csv", tmp_path, "run"))
    with (tmp_path / "board/methods.csv").open() as file:
        assert list(csv.DictReader(file)) == [{"method": "a", "J": "0.5"}, {"method": "b", "J": ""}]
    assert (tmp_path / "board/curves.csv").read_text() == "index,a,b\n0,0.25,0.5\n1,,\n2,0.75,\n"
    sizes = [Image.open(tmp_path / f"pictures/val-{step:06d}.png").size for step in (3, 12)]
    assert sizes == [(960, 240), (960, 480)]


def test_pictures_without_a_step_have_none_in_their_name(tmp_path):
    open_log("csv", tmp_path, "run").pictures("bear", [scene()])
    assert [path.name for path in tmp_path.iterdir()] == ["bear.png"]


def test_tensorboard_reads_everything_back(tmp_path):
    write_all(open_log("tensorboard", tmp_path, "run"))
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    images = [(event.step, event.width, event.height) for event in events.Images("pictures/val")]
    assert images == [(3, 960, 240), (12, 960, 480)]
    assert [(event.step, event.value) for event in events.Scalars("board/curves/a")] == [(0, 0.25), (2, 0.75)]
    text = events.Tensors("board/methods/text_summary")[0].tensor_proto.string_val[0].decode()
    assert text.splitlines() == ["| method | J |", "| --- | --- |", "| a | 0.5 |", "| b | - |"]


def within(seconds, happened):
    end = time.monotonic() + seconds
    while not happened() and time.monotonic() < end:
        time.sleep(0.1)
    return happened()


def test_an_offline_run_of_wandb_holds_everything(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    write_all(open_log("wandb", tmp_path, "run"))
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    (table,) = run.glob("files/media/table/board/methods_*.table.json")
    told = json.loads(table.read_text())
    assert (told["columns"], told["data"]) == (["method", "J"], [["a", 0.5], ["b", None]])
    (curves,) = run.glob("files/media/table/board/curves_*.table.json")
    assert [0, "a", 0.25] in json.loads(curves.read_text())["data"]
    assert len(list(run.glob("files/media/images/pictures/*.png"))) == 3
    masks = [np.asarray(Image.open(file)) for file in run.glob("files/media/images/mask/pictures/*.png")]
    # equal masks of a step share a file
    assert sorted(int((mask == 1).sum()) for mask in masks) == [0, 0, 2400, 2400]
    (file,) = run.glob("*.wandb")
    # W&B writes it from a process of its own, which on a busy machine ends later than the run
    assert within(30, lambda: b"trainer/global_step" in file.read_bytes())


@pytest.mark.parametrize(("mode", "offline"), [(None, True), ("offline", True), ("online", False)])
def test_wandb_is_offline_unless_the_user_says_otherwise(monkeypatch, mode, offline):
    monkeypatch.delenv("WANDB_MODE", raising=False)
    if mode is not None:
        monkeypatch.setenv("WANDB_MODE", mode)
    assert wandb_is_offline() is offline


def test_the_project_of_wandb_can_be_chosen(monkeypatch):
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    assert wandb_project() == "vosbench"
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    assert wandb_project() == "mine"


def test_an_unknown_log_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"unknown logger 'wand'.*did you mean wandb"):
        open_log("wand", tmp_path, "run")
