"""What columns of a suite show beside one value per sequence: detections, classes, frames, folds."""

import math
from typing import NamedTuple

import numpy as np
import pytest

import vosbench.data.mini
from vosbench.ablations.load import parse_suite
from vosbench.ablations.motion_frames import select_frames
from vosbench.ablations.report import markdown
from vosbench.ablations.run import SuiteOptions, run_suite
from vosbench.ablations.testing import open_column, plan_jobs, plan_tests
from vosbench.ablations.training import TrainOutcome
from vosbench.ablations.training_plan import plan_trainings
from vosbench.data.catalogue import open_dataset
from vosbench.data.mini.pictures import write_picture
from vosbench.errors import InputError
from vosbench.evaluation.detections import DetectionFolder
from vosbench.formats.png import write_ids
from vosbench.method import Detections
from vosbench.models.baselines import BASELINES, CentreBox
from vosbench.scoring.protocol import load_protocol
from vosbench.scoring.sequence import overall

SHAPE = (32, 48)


def make_suite(columns, rows=None, **changes):
    return parse_suite(
        {
            "id": "small",
            "title": "A small table",
            "paper": "Somebody et al.",
            "table": 1,
            "method": "Net",
            "varies": "nothing",
            "flows": {"dis": {"title": "DIS", "official": "dis", "mini": "dis"}},
            "columns": columns,
            "editions": {"mini": {"size": "tiny", "seeds": [0]}},
            "trainings": {},
            "rows": rows or {"box": {"title": "a box", "model": "centre_box", "variant": None}},
            "orderings": [],
            **changes,
        },
        "small.yaml",
    )


@pytest.fixture
def options(tmp_path, monkeypatch):
    """Options of runs on small miniatures; `home` is where a test may put its own data first."""
    monkeypatch.setenv("VOSBENCH_CACHE", str(tmp_path / "cache"))
    render = vosbench.data.mini.write_mini

    def ensure(name, home):
        if not (home / name).is_dir():
            render(name, home, frames=3 if name == "davis16" else 11, size=SHAPE)
        return home / name

    monkeypatch.setattr(vosbench.data.mini, "ensure_mini", ensure)
    return SuiteOptions(edition="mini", out=tmp_path / "out", workers=1, device="cpu")


# -- several values of one test -----------------------------------------------------------------------


def test_columns_that_differ_in_the_metric_only_are_one_test(options):
    common = {"dataset": "davis16", "split": "val", "protocol": "davis16-unsupervised"}
    suite = make_suite({name.lower(): {**common, "metric": name} for name in ("J_mean", "F_mean", "T_mean")})
    tested = []
    result = run_suite(suite, options, lambda done, total, name: tested.append(name))
    values = {column: cell.value.mean for (_, column), cell in result.cells.items()}
    assert len(tested) == len({*tested}) == result.cells["box", "j_mean"].expected
    assert len({*values.values()}) == 3
    assert [path.name for path in result.folder.iterdir()] == ["j_mean"]


def test_columns_with_other_flow_are_other_tests(options):
    common = {"dataset": "davis16", "split": "val", "protocol": "davis16-unsupervised", "metric": "J_mean"}
    suite = make_suite({"without": common, "dis": {**common, "flow": "dis"}})
    result = run_suite(suite, options)
    assert sorted(path.name for path in result.folder.iterdir()) == ["dis", "without"]


def test_a_column_can_count_one_class(options):
    common = {"dataset": "youtube_objects", "split": "all", "protocol": "youtube-objects-unsupervised"}
    names = {"all": "iou_mean", "dog": "iou_mean/dog", "bird": "iou_mean/bird", "boat": "iou_mean/boat"}
    suite = make_suite({name: {**common, "metric": metric} for name, metric in names.items()})
    cells = {column: cell for (_, column), cell in run_suite(suite, options).cells.items()}
    values = cells["all"].by_seed[0]
    dogs = [values[name]["iou_mean"] for name in ("dog_0001", "dog_0002")]
    assert cells["dog"].value.mean == pytest.approx(np.mean(dogs))
    assert (cells["dog"].sequences, cells["dog"].expected) == (2, 2)
    assert cells["bird"].value.mean == values["bird_0001"]["iou_mean"]
    assert (cells["boat"].value, cells["boat"].expected) == (None, 0)
    # the mean over classes is none of sequences
    of_classes = [np.mean(dogs), values["bird_0001"]["iou_mean"], values["car_0001"]["iou_mean"]]
    assert cells["all"].value.mean == pytest.approx(np.mean(of_classes))


def test_a_column_can_count_the_frames_that_move_most(options):
    common = {
        "dataset": "youtube_objects",
        "split": "all",
        "protocol": "youtube-objects-unsupervised",
        "metric": "iou_mean",
        "flow": "dis",
    }
    columns = {which: {**common, "motion": which} for which in ("most", "least")}
    cells = {column: cell for (_, column), cell in run_suite(make_suite(columns), options).cells.items()}
    # 4 videos of 11 frames have 8 labelled ones, a tenth of which would be less than the least number
    for cell in cells.values():
        rows = cell.by_seed[0]
        assert sum(row["frames"] for row in rows.values()) == 4
        of_frames = sum(row["iou_mean"] * row["frames"] for row in rows.values()) / 4
        assert cell.value.mean == pytest.approx(of_frames)
        assert cell.expected == cell.sequences == len(rows)
    assert cells["most"].by_seed != cells["least"].by_seed


def test_a_tenth_of_the_frames_is_that_of_all_sequences():
    motion = {"a": [0.1 * k for k in range(30)], "b": [5.0] * 10, "c": [0.0, 9.0, 0.0, 9.0, 0.05] * 2}
    # 5 of 50
    assert select_frames(motion, "most") == {"b": [0], "c": [1, 3, 6, 8]}
    assert select_frames(motion, "least") == {"a": [0], "c": [0, 2, 5, 7]}
    assert select_frames({"a": [0.3, 0.1, 0.2, 0.5, 0.4, 0.6]}, "most") == {"a": [0, 3, 4, 5]}


# -- halves of the data -------------------------------------------------------------------------------


def test_each_half_is_tested_with_what_was_learnt_from_the_other(options, tmp_path):
    column = {
        "dataset": "davis16",
        "split": "trainval",
        "protocol": "davis16-unsupervised",
        "metric": "J_mean",
    }
    fit = {"model": "mpnet", "stage": "A"}
    suite = make_suite(
        {"davis16": column},
        {"net": {"title": "Net", "training": "of_train", "folds": {"train": "of_val"}, "variant": None}},
        trainings={"of_train": fit, "of_val": {**fit, "set": {"model.decoder_units": 1}}},
    )
    plan = plan_trainings(suite, "mini", suite.rows["net"].needs, [0, 1], tmp_path / "runs", None)
    outcomes = {key: TrainOutcome(task, "trained") for key, task in plan.tasks.items()}
    opened = open_column(suite.columns["davis16"], None)
    tests = plan_tests(suite, "mini", list(suite.rows.values()), [0, 1], outcomes, {"davis16": opened}, {})
    jobs = plan_jobs(tests, tmp_path / "out", "cpu", None)
    train = {video.name for video in open_dataset("davis16", opened.root, "train")}
    assert 0 < len(train) < len(jobs)
    for job in jobs:
        wanted = "of_val" if job.sequence in train else "of_train"
        assert [model.checkpoint for model in job.methods] == [
            plan.tasks[wanted, seed].checkpoint for seed in (0, 1)
        ]
        assert [model.label for model in job.methods] == ["net-seed0", "net-seed1"]


def test_mistakes_are_one_line():
    column = {"dataset": "davis16", "split": "val", "protocol": "davis16-unsupervised", "metric": "J_mean"}
    box = {"title": "a box", "model": "centre_box"}
    with pytest.raises(InputError, match=r"rows\.box: folds need a training"):
        make_suite(
            {"x": column}, {"box": {**box, "folds": {"train": "a"}}}, trainings={"a": {"model": "mpnet"}}
        )
    with pytest.raises(InputError, match=r"unknown training in small\.yaml: rows\.box 'a'"):
        make_suite({"x": column}, {"box": {**box, "folds": {"train": "a"}}})
    with pytest.raises(InputError, match=r"columns\.x\.motion: choose from most, least"):
        make_suite({"x": {**column, "motion": "fast"}})


# -- detections ---------------------------------------------------------------------------------------


class OneFrame(NamedTuple):
    moving: Detections


class Bright(CentreBox):
    """Finds what is bright, each column of the picture by itself, and is surer of what is on the left."""

    def detect(self, video):
        assert not video.annotations
        for frame in video.frames:
            found = [frame[..., 0] > 150 for _ in range(2)]
            found[0][:, 24:] = found[1][:, :24] = False
            found = [mask for mask in found if mask.any()]
            boxes = [[x.min(), y.min(), x.max() + 1, y.max() + 1] for y, x in map(np.nonzero, found)]
            masks = np.array(found, bool).reshape(-1, *SHAPE)
            scores = np.linspace(0.9, 0.5, 2)[: len(found)]
            yield OneFrame(
                Detections(np.array(boxes, np.float32).reshape(-1, 4), scores.astype(np.float32), masks)
            )


@pytest.fixture
def detections(options, tmp_path, monkeypatch):
    """Two columns on two videos: two bright objects in one, a bright and a dark one in the other."""
    pytest.importorskip("faster_coco_eval", reason="extra coco is not installed")
    folder = tmp_path / "cache/mini/davis17"
    for name, second in (("both", 220), ("half", 60)):
        for t in range(4):
            ids, picture = np.zeros(SHAPE, np.uint8), np.zeros((*SHAPE, 3), np.uint8)
            ids[8:24, 4 + t : 12 + t], ids[8:24, 28:40] = 1, 2
            picture[ids == 1], picture[ids == 2] = 220, second
            write_picture(folder / f"JPEGImages/480p/{name}/{t:05}.jpg", picture)
            write_ids(folder / f"Annotations/480p/{name}/{t:05}.png", ids)
    lists = folder / "ImageSets/2017"
    lists.mkdir(parents=True)
    (lists / "davis16_val.txt").write_text("both\nhalf\n")
    (folder / "MINI.json").write_text("{}")
    monkeypatch.setitem(BASELINES, "bright", Bright)
    common = {"dataset": "davis17", "split": "davis16_val", "protocol": "davis16-map50"}
    rows = {
        name: {"title": name, "model": model, "variant": None}
        for name, model in (("bright", "bright"), ("box", "centre_box"))
    }
    return make_suite({x: {**common, "metric": f"map50_{x}"} for x in ("det", "seg")}, rows)


def test_average_precision_is_that_of_all_frames(detections, options, tmp_path):
    result = run_suite(detections, replace_rows(options, "bright"))
    assert result.failures == ()
    rules = load_protocol("davis16-map50")
    written = result.folder / "det/masks/davis17-mini/bright"
    assert sorted(path.name for path in written.glob("[!.]*")) == ["both.json", "half.json"]
    videos = list(open_dataset("davis17", tmp_path / "cache/mini", "davis16_val"))
    folder = DetectionFolder.open(written, ["both", "half"], rules)
    pooled = overall({video.name: folder.score(video) for video in videos}, rules)
    for name in ("det", "seg"):
        cell = result.cells["bright", name]
        assert cell.value.mean == pytest.approx(pooled[f"map50_{name}"])
        alone = {sequence: row[f"map50_{name}"] for sequence, row in cell.by_seed[0].items()}
        assert alone["both"] == pytest.approx(1)
        assert alone["half"] < cell.value.mean < 1
        # two sequences have no interval
        assert math.isnan(cell.value.interval.low)
    # 3 of 4 objects are found, the sums of the two videos' values know nothing of that
    assert result.cells["bright", "seg"].value.mean == pytest.approx(76 / 101)


def test_detections_are_kept_while_their_file_is(detections, options):
    def states():
        seen = []
        result = run_suite(detections, replace_rows(options, "bright"), lambda a, b, name: seen.append(name))
        return result, sorted(seen)

    result, first = states()
    assert first == ["both bright: computed", "half bright: computed"]
    assert states()[1] == ["both bright: kept", "half bright: kept"]
    (result.folder / "det/masks/davis17-mini/bright/half.json").unlink()
    again, third = states()
    assert third == ["both bright: kept", "half bright: computed"]
    assert again.cells == result.cells


def test_a_method_without_detections_is_one_line(detections, options):
    result = run_suite(detections, options)
    assert result.failures == (
        "box in column det, both and 1 more: CentreBox yields no detections, which the protocol scores",
    )
    text = markdown(result, {})
    assert "Average precision is that of the frames of all sequences at once: its intervals come from" in text
    assert result.cells["box", "det"].value is None
    assert result.cells["bright", "det"].value is not None


def replace_rows(options, *rows):
    return SuiteOptions(**{**vars(options), "rows": list(rows)})
