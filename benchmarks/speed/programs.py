"""Programs timed by `metrics`, one per process: whole programs and kernels alone.

python programs.py NAME TREE VALUES [--workers N]

Each reads the folders of `trees` and writes its values to the JSON file VALUES: per sequence J and F, or
CPU seconds per frame. Every program imports only what it needs; the programs of peers run in the environment
of the peers.
"""

import argparse
import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import trees

Values = dict[str, Any]
Pair = tuple[Any, Any]


def vos_benchmark(tree: Path, workers: int) -> Values:
    from vos_benchmark.benchmark import benchmark

    roots = [str(tree / trees.GROUND_TRUTH)], [str(tree / trees.VOS_BENCHMARK)]
    objects = benchmark(*roots, num_processes=workers, verbose=False)[3][0]
    return {
        name: {"J": region[1] / 100, "F": contour[1] / 100} for name, (region, contour) in objects.items()
    }


def trackeval(tree: Path, workers: int) -> Values:
    from trackeval import Evaluator
    from trackeval.metrics import JAndF

    settings = Evaluator.get_default_eval_config()
    # reports and pictures are not what is measured here
    settings |= dict.fromkeys(("OUTPUT_SUMMARY", "OUTPUT_DETAILED", "PLOT_CURVES", "PRINT_CONFIG"), False)
    settings |= {"USE_PARALLEL": workers > 1, "NUM_PARALLEL_CORES": workers, "LOG_ON_ERROR": None}
    results, _ = Evaluator(settings).evaluate([_trackeval_data(tree)], [JAndF()])
    sequences = results["DAVIS"]["results"]
    return {
        name: {"J": item["general"]["JAndF"]["J-Mean"], "F": item["general"]["JAndF"]["F-Mean"]}
        for name, item in sequences.items()
        if name != "COMBINED_SEQ"
    }


def plain(tree: Path, workers: int) -> Values:
    return dict(_over_sequences(_plain_sequence, tree, workers))


def decode(tree: Path, workers: int) -> Values:
    """Read the masks only: the limit of every program that reads them with this library."""
    return dict(_over_sequences(_decode_sequence, tree, workers))


def vosbench_kernel(tree: Path, _: int) -> Values:
    from vosbench.metrics.kernels.overlap import OverlapSeries
    from vosbench.metrics.kernels.temporal import PairValues

    seconds = {"J+F": 0.0, "T": 0.0}
    for pairs in _loaded(tree):
        with _added(seconds, "J+F"):
            series = OverlapSeries(("J", "F"))
            for pred, target in pairs:
                series.add(pred, target)
            series.finish()
        with _added(seconds, "T"):
            stability = PairValues()
            for pred, _target in pairs:
                stability.add(pred != 0)
            # the last ones are computed when they are asked for
            assert len(stability.values) == len(pairs) - 1
    return seconds


def vos_benchmark_kernel(tree: Path, _: int) -> Values:
    from vos_benchmark.evaluator import Evaluator

    seconds = {"J+F": 0.0}
    for pairs in _loaded(tree):
        with _added(seconds, "J+F"):
            evaluator = Evaluator()
            for pred, target in pairs:
                evaluator.feed_frame(pred, target)
            evaluator.conclude()
    return seconds


def trackeval_kernel(tree: Path, _: int) -> Values:
    """Time the metric of trackeval; encoding masks as run lengths is not counted."""
    from trackeval.metrics import JAndF

    data, seconds = _trackeval_data(tree), {"J+F": 0.0}
    for name in _sequences(tree):
        raw = data.get_raw_seq_data("results", name)
        sequence = data.get_preprocessed_seq_data(raw, "general")
        with _added(seconds, "J+F"):
            JAndF().eval_sequence(sequence)
    return seconds


def plain_kernel(tree: Path, _: int) -> Values:
    from plain import contour_accuracy, region_similarity

    seconds = {"J+F": 0.0}
    for pairs in _loaded(tree):
        with _added(seconds, "J+F"):
            for pred, target in pairs:
                region_similarity(pred != 0, target != 0)
                contour_accuracy(pred != 0, target != 0)
    return seconds


def versions(_tree: Path, _workers: int) -> Values:
    """Versions of Python and of installed packages."""
    import platform
    from importlib import metadata

    wanted = (
        "vos-benchmark",
        "trackeval",
        "numpy",
        "scipy",
        "pillow",
        "opencv-python",
        "scikit-image",
        "torch",
    )
    numbers: Values = {"python": platform.python_version()}
    for name in wanted:
        with contextlib.suppress(metadata.PackageNotFoundError):
            numbers[name] = metadata.version(name)
    return numbers


PROGRAMS: dict[str, Callable[[Path, int], Values]] = {
    "vos-benchmark": vos_benchmark,
    "trackeval": trackeval,
    "plain": plain,
    "decode": decode,
    "vosbench-kernel": vosbench_kernel,
    "vos-benchmark-kernel": vos_benchmark_kernel,
    "trackeval-kernel": trackeval_kernel,
    "plain-kernel": plain_kernel,
    "versions": versions,
}


def _trackeval_data(tree: Path) -> Any:
    from trackeval.datasets import DAVIS

    return DAVIS(
        {
            "GT_FOLDER": str(tree / trees.INNER_GROUND_TRUTH),
            "TRACKERS_FOLDER": str(tree / trees.INNER_TRACKERS),
            "PRINT_CONFIG": False,
        }
    )


def _over_sequences(
    function: Callable[[Path, str], Any], tree: Path, workers: int
) -> Iterator[tuple[str, Any]]:
    names = _sequences(tree)
    if workers == 1:
        yield from ((name, function(tree, name)) for name in names)
        return
    with Pool(workers) as pool:
        yield from zip(names, pool.map(partial(function, tree), names, chunksize=1), strict=True)


def _plain_sequence(tree: Path, name: str) -> Values:
    from plain import contour_accuracy, region_similarity

    values = [
        (region_similarity(pred != 0, target != 0), contour_accuracy(pred != 0, target != 0))
        for pred, target in _pairs(tree, name)
    ]
    regions, contours = zip(*values, strict=True)
    return {"J": sum(regions) / len(regions), "F": sum(contours) / len(contours)}


def _decode_sequence(tree: Path, name: str) -> Values:
    return {"frames": sum(1 for _ in _pairs(tree, name))}


def _loaded(tree: Path) -> list[list[Pair]]:
    return [list(_pairs(tree, name)) for name in _sequences(tree)]


def _pairs(tree: Path, name: str) -> Iterator[Pair]:
    """Prediction and ground truth of the evaluated frames, (H, W) uint8 each."""
    import numpy as np
    from PIL import Image

    files = sorted(path.name for path in (tree / trees.GROUND_TRUTH / name).iterdir())
    for file in trees.inner(files):
        yield tuple(  # type: ignore[misc]
            np.asarray(Image.open(tree / masks / name / file))
            for masks in (trees.RESULTS, trees.GROUND_TRUTH)
        )


def _sequences(tree: Path) -> Sequence[str]:
    return sorted(path.name for path in (tree / trees.RESULTS).iterdir())


@contextlib.contextmanager
def _added(seconds: dict[str, float], key: str) -> Iterator[None]:
    start = time.process_time()
    yield
    seconds[key] += time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", choices=PROGRAMS)
    parser.add_argument("tree", type=Path)
    parser.add_argument("values", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    values = PROGRAMS[options.name](options.tree, options.workers)
    options.values.write_text(json.dumps(values), encoding="utf-8")


if __name__ == "__main__":
    main()
