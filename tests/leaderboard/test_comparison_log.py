"""A comparison in a log: one table of methods and one of sequences per board, curves, masks over frames."""

import csv

import numpy as np
import pytest
from PIL import Image

from vosbench.formats.png import write_ids
from vosbench.leaderboard.comparison_log import log_comparison
from vosbench.video import Video

SIZE = (24, 32)


def video(name="bear", frames=9):
    truth = np.zeros(SIZE, np.uint8)
    truth[:12] = 255
    return Video(
        name=name,
        frames=[np.full((*SIZE, 3), 10 * index, np.uint8) for index in range(frames)],
        frame_names=[f"{index:05d}" for index in range(frames)],
        annotations=dict.fromkeys(range(frames), truth),
        flow=None,
    )


@pytest.fixture
def logged(tmp_path, make_record):
    """Two methods on three sequences, the masks of one of them kept, logged to files."""
    records = [
        make_record(model, sequence, j=j)
        for model, sequence, j in (
            ("mpnet", "bear", (0.5, 0.7)),
            ("mpnet", "dog", (0.9, 0.9)),
            ("mpnet", "elk", (0.7, 0.8)),
            ("centre_box", "bear", (0.1, 0.3)),
        )
    ]
    for index in range(9):
        write_ids(tmp_path / f"masks/davis16/mpnet/bear/{index:05d}.png", np.ones(SIZE, np.uint8))
    videos = {"davis16": [video()]}
    folder = log_comparison(tmp_path, "csv", records, videos, {("davis16", "val"): 3})
    assert folder == tmp_path / "logs/csv"
    return folder / "davis16/val/davis16-unsupervised"


def read(file):
    with file.open() as opened:
        return list(csv.DictReader(opened))


def test_methods_have_data_set_values_with_intervals_and_say_how_complete_they_are(logged):
    first, second = read(logged / "methods.csv")
    assert (first["method"], first["sequences"]) == ("mpnet (tiny)", "3 of 3")
    assert (second["method"], second["sequences"]) == ("centre_box", "1 of 3")
    assert float(first["J_mean"]) == pytest.approx(0.75)
    assert 0 < float(first["J_mean from"]) < 0.75 < float(first["J_mean to"]) < 1
    # one sequence has no spread
    assert second["J_mean from"] == second["J_mean to"] == ""


def test_sequences_have_a_row_per_method_that_ran(logged):
    rows = [(row["sequence"], row["method"], row["J_mean"]) for row in read(logged / "sequences.csv")]
    assert rows == [
        ("bear", "mpnet (tiny)", "0.6"),
        ("bear", "centre_box", "0.2"),
        ("dog", "mpnet (tiny)", "0.9"),
        ("elk", "mpnet (tiny)", "0.75"),
    ]


def test_curves_have_a_column_per_method(logged):
    assert read(logged / "curves/bear.csv") == [
        {"index": "0", "mpnet (tiny)": "0.5", "centre_box": "0.1"},
        {"index": "1", "mpnet (tiny)": "0.7", "centre_box": "0.3"},
    ]


def test_pictures_show_three_frames_with_ground_truth_and_the_masks_that_were_kept(logged):
    pixels = np.asarray(Image.open(logged / "pictures/bear.png")).astype(int)
    assert pixels.shape == (3 * 240, 3 * 320, 3)
    frame, truth, prediction = (pixels[180::240, 160 + 320 * column] for column in range(3))
    # of frames 1 to 7, which count; in the bottom half only the prediction has an object
    assert frame[:, 0].tolist() == [20, 40, 60]
    assert np.array_equal(truth, frame)
    assert (prediction != frame).any(axis=1).all()
    # 255 is an object of DAVIS 2016
    top = pixels[60::240, 160 + 320]
    assert (top != frame).any(axis=1).all()
    assert not (logged / "pictures/dog.png").exists()
