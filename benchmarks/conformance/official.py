"""Values of the released programs as JSON, in the environment of these programs.

    python official.py davis17-unsupervised CASES.npz VALUES.json --davis2017 CHECKOUT
    python official.py davis16-map50 CASES.json VALUES.json
    python official.py versions - VALUES.json

Values of DAVIS are lists with one of every object, in the program's order.
"""

import argparse
import contextlib
import io
import json
import platform
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

PACKAGES = ("numpy", "scipy", "pillow", "opencv-python-headless", "scikit-image", "pycocotools")
STATISTICS = {"mean": "M", "recall": "R", "decay": "D"}
VOID = 255


def davis16(arrays: Any, names: list[str]) -> list[dict[str, list[float]]]:
    """The measures of the DAVIS 2017 code on one foreground, first and last frame left out."""
    from davis2017 import metrics, utils

    objects = []
    for name in names:
        pred, target = (arrays[f"{name}/{key}"][1:-1] != 0 for key in ("pred", "target"))
        values = {"J": metrics.db_eval_iou(target, pred), "F": metrics.db_eval_boundary(target, pred)}
        statistics = {measure: utils.db_statistics(np.asarray(x, float)) for measure, x in values.items()}
        objects.append(
            {
                f"{measure}_{word}": [float(number)]
                for measure, numbers in statistics.items()
                for word, number in zip(STATISTICS, numbers, strict=True)
            }
        )
    return objects


def davis17(arrays: Any, names: list[str], task: str) -> list[dict[str, list[float]]]:
    """The DAVIS 2017 program, from files to the values of every object."""
    from davis2017.evaluation import DAVISEvaluation

    with tempfile.TemporaryDirectory() as temporary:
        root, results = Path(temporary, "DAVIS"), Path(temporary, "results")
        annotations = (
            root / ("Annotations" if task == "semi-supervised" else "Annotations_unsupervised") / "480p"
        )
        for name in names:
            _write(annotations / name, arrays[f"{name}/target"])
            _write(results / name, arrays[f"{name}/pred"])
        sets = root / "ImageSets" / "2017"
        sets.mkdir(parents=True)
        (sets / "val.txt").write_text("\n".join(names), encoding="utf-8")
        # with codalab=True no frames are asked for, only masks
        program = DAVISEvaluation(str(root), task, "val", codalab=True)
        with contextlib.redirect_stderr(io.StringIO()):
            scores = program.evaluate(str(results))
    objects = [key.rpartition("_")[0] for key in scores["J"]["M_per_object"]]
    values: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    for measure in "JF":
        for word, letter in STATISTICS.items():
            for name, number in zip(objects, scores[measure][letter], strict=True):
                values[name].setdefault(f"{measure}_{word}", []).append(float(number))
    return [values[name] for name in names]


def average_precision(sets: list[dict[str, Any]]) -> list[dict[str, list[float]]]:
    """AP at 0.5 of every data set: {"truth": COCO, "found": results}."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    out = []
    for content in sets:
        values = {}
        for name, kind in (("map50_det", "bbox"), ("map50_seg", "segm")):
            with contextlib.redirect_stdout(io.StringIO()):
                truth = COCO()
                truth.dataset = content["truth"]
                truth.createIndex()
                # the reader of results fails on none
                detections = (
                    truth.loadRes([dict(item) for item in content["found"]]) if content["found"] else COCO()
                )
                evaluation = COCOeval(truth, detections, kind)
                evaluation.params.iouThrs = np.array([0.5])
                evaluation.params.maxDets = [100]
                evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
                evaluation.evaluate()
                evaluation.accumulate()
            precision = evaluation.eval["precision"][0, :, 0, 0, 0]
            values[name] = [float(precision.mean()) if (precision > -1).any() else -1.0]
        out.append(values)
    return out


def versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions of Python and of installed packages."""
    numbers = {"python": platform.python_version()}
    for package in packages:
        with contextlib.suppress(PackageNotFoundError):
            numbers[package] = version(package)
    return numbers


def _write(folder: Path, ids: Any) -> None:
    from PIL import Image

    folder.mkdir(parents=True)
    for t, frame in enumerate(ids):
        Image.fromarray(frame).save(folder / f"{t:05}.png", compress_level=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("protocol")
    parser.add_argument("cases", type=Path)
    parser.add_argument("values", type=Path)
    parser.add_argument("--davis2017", type=Path)
    options = parser.parse_args()
    values: Any
    if options.protocol == "versions":
        values = versions(PACKAGES)
    elif options.cases.suffix == ".json":
        values = average_precision(json.loads(options.cases.read_text(encoding="utf-8")))
    else:
        sys.path.insert(0, str(options.davis2017))
        with np.load(options.cases) as arrays:
            names = sorted({key.partition("/")[0] for key in arrays.files})
            if options.protocol.startswith("davis16"):
                values = davis16(arrays, names)
            else:
                values = davis17(arrays, names, options.protocol.removeprefix("davis17-"))
        values = dict(zip(names, values, strict=True))
    options.values.write_text(json.dumps(values), encoding="utf-8")


if __name__ == "__main__":
    main()
