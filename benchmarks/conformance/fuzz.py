"""Conformance of vosbench with released programs and plain definitions, on random videos.

    git clone https://github.com/davisvideochallenge/davis2017-evaluation DAVIS2017
    python benchmarks/conformance/fuzz.py --davis2017 DAVIS2017 --peers PEERS

Every protocol has its own videos. PEERS is the environment of the released programs, made when missing; in
a temporary folder when not given. The largest differences are printed and written; any above 1e-9 is an
error. README.md says what is compared with what.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import definitions
import numpy as np
from official import versions
from ours import CROWDS, Scored, Torchmetrics, results, run_lengths, tight
from videos import VOID, Case, cases

import vosbench
from vosbench.scoring.protocol import load_protocol, protocols

HERE = Path(__file__).resolve().parent
TOLERANCE = 1e-9
PEERS = ("opencv-python-headless", "scikit-image", "pycocotools", "scipy", "pillow", "tqdm")
OWN = ("numpy", "scipy", "torch", "torchmetrics", "faster-coco-eval")
OPTIONAL = {"JF_mean", "delta_obj"}
"""Values that a protocol may leave out."""

CHECKS = (*(protocol.id for protocol in protocols()), f"davis16-map50{CROWDS}")

Values = dict[str, float]


@dataclass(frozen=True)
class Reference:
    """Values of the videos by a program that is not vosbench.

    Attributes:
        source: name of the program.
        videos: per video the values of every equally good reading.
        whole: of the data set, from the reading taken of every video.
    """

    source: str
    videos: Sequence[Sequence[Values]]
    whole: Any


@dataclass
class Row:
    """Largest differences of one value under a protocol; None where there is nothing to compare.

    Attributes:
        value: its name.
        score: of videos, by `score_sequence`.
        overall: of all videos, by `overall`.
        metric: of videos, by the torchmetrics.
        collection: of all videos, by the torchmetrics.
    """

    value: str
    score: float | None = None
    overall: float | None = None
    metric: float | None = None
    collection: float | None = None

    @property
    def largest(self) -> float:
        differences = (self.score, self.overall, self.metric, self.collection)
        return max(difference for difference in differences if difference is not None)


def measure(protocol: str, count: int, seed: int, peers: "Peers", work: Path) -> dict[str, Any]:
    """Compare all values under a protocol; return the content of its JSON file."""
    videos = cases(protocol, count, seed)
    folder = work / protocol
    folder.mkdir(parents=True)
    reference = _reference(protocol, videos, peers, folder)
    ways: dict[tuple[str, str], Any] = {("metric", "collection"): Torchmetrics(protocol, videos)}
    if not protocol.endswith(CROWDS):
        ways["score", "overall"] = Scored(protocol, videos, folder)
    own = {"vosbench": vosbench.__version__, **versions(OWN)}
    return {
        "protocol": protocol,
        "against": reference.source,
        "videos": count,
        "seed": seed,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": _git(HERE, "rev-parse", "HEAD")[:12],
        "versions": own | {f"{name} (peers)": number for name, number in peers.versions(work).items()},
        "rows": [asdict(row) for row in compare(ways, reference)],
    }


def compare(ways: Mapping[tuple[str, str], Any], reference: Reference) -> list[Row]:
    """Return the largest differences of every value.

    Args:
        ways: names of the columns for videos and for all of them -> what has both.
        reference: what they must agree with.
    """
    rows: dict[str, Row] = {}
    for (of_videos, of_all), way in ways.items():
        own_values = way.videos()
        selected = [
            min(readings, key=partial(_furthest, own))
            for own, readings in zip(own_values, reference.videos, strict=True)
        ]
        pairs = [_apart(own, other) for own, other in zip(own_values, selected, strict=True)]
        for name in sorted(pairs[0]):
            setattr(rows.setdefault(name, Row(name)), of_videos, max(pair[name] for pair in pairs))
        for name, apart in sorted(_apart(way.whole(), reference.whole(selected)).items()):
            setattr(rows.setdefault(name, Row(name)), of_all, apart)
    return list(rows.values())


def _furthest(own: Values, other: Values) -> float:
    return max(_apart(own, other).values())


def _apart(own: Values, other: Values) -> Values:
    """Difference of every value; undefined ones are equal to each other alone."""
    if own.keys() - other.keys() or other.keys() - own.keys() - OPTIONAL:
        raise SystemExit(f"there are values {sorted(own)}, to be compared with {sorted(other)}")
    out = {}
    for name, a in own.items():
        undefined = math.isnan(a), math.isnan(other[name])
        out[name] = abs(a - other[name]) if not any(undefined) else 0.0 if all(undefined) else math.inf
    return out


def _reference(protocol: str, videos: Sequence[Case], peers: "Peers", folder: Path) -> Reference:
    rules = load_protocol(protocol.removesuffix(CROWDS))
    if rules.objects == "detections":
        return _detection_reference(videos, peers, folder)
    if "iou" in rules.metrics or rules.objects == "volumes":
        return _plain_reference(protocol, videos, classes=rules.average == "classes")
    kind = "davis16" if rules.objects == "union" else rules.id
    objects = peers.davis(kind, videos, folder)
    means = [_with_mean({name: float(np.mean(of)) for name, of in values.items()}) for values in objects]
    everything = {name: float(np.mean(np.concatenate([v[name] for v in objects]))) for name in objects[0]}
    return Reference("davis2017-evaluation", [[v] for v in means], lambda selected: _with_mean(everything))


def _with_mean(values: Values) -> Values:
    return {"JF_mean": (values["J_mean"] + values["F_mean"]) / 2, **values}


def _plain_reference(protocol: str, videos: Sequence[Case], classes: bool) -> Reference:
    names = [case.name for case in videos]

    def whole(selected: Sequence[Values]) -> Values:
        if classes:
            return definitions.over_classes(dict(zip(names, selected, strict=True)))
        return definitions.overall(protocol, selected)

    return Reference("plain definition", [definitions.candidates(protocol, case) for case in videos], whole)


def _detection_reference(videos: Sequence[Case], peers: "Peers", folder: Path) -> Reference:
    *per_video, everything = peers.detections([*([case] for case in videos), videos], folder)
    return Reference("pycocotools", [[values] for values in per_video], lambda selected: everything)


def coco(videos: Sequence[Case]) -> dict[str, Any]:
    """Ground truth and detections of all frames but the last of every video, as COCO has them."""
    images: list[dict[str, Any]] = []
    regions: list[dict[str, Any]] = []
    detections: list[dict[str, Any]] = []
    for case in sorted(videos, key=lambda case: case.name):
        of_frame: dict[str, list[dict[str, Any]]] = {}
        for result in results(case):
            of_frame.setdefault(result["image_id"], []).append(result)
        for t, ids in enumerate(case.target[:-1]):
            image = len(images) + 1
            images.append({"id": image, "height": ids.shape[0], "width": ids.shape[1]})
            for region in sorted(set(ids.ravel().tolist()) - {0, VOID}):
                mask = ids == region
                regions.append(
                    {
                        "id": len(regions) + 1,
                        "image_id": image,
                        "category_id": 1,
                        "bbox": tight(mask),
                        "segmentation": {"size": list(mask.shape), "counts": run_lengths(mask)},
                        "area": float(mask.sum()),
                        "iscrowd": int(region in case.crowds),
                    }
                )
            detections += [detection | {"image_id": image} for detection in of_frame.get(f"{t:05}", [])]
    truth = {"images": images, "annotations": regions, "categories": [{"id": 1, "name": "moving object"}]}
    return {"truth": truth, "found": detections}


class Peers:
    """The released programs, in a separate environment."""

    def __init__(self, folder: Path, davis2017: Path | None) -> None:
        self._davis2017 = davis2017
        self._python = _environment(folder.absolute())

    def davis(self, kind: str, videos: Sequence[Case], folder: Path) -> list[dict[str, list[float]]]:
        """Return the values of every object of every video."""
        if self._davis2017 is None:
            raise SystemExit("--davis2017 is needed for the protocols of DAVIS: see --help")
        arrays = {f"{case.name}/{key}": getattr(case, key) for case in videos for key in ("pred", "target")}
        np.savez(folder / "cases.npz", **arrays)
        values = self._values(kind, folder / "cases.npz", folder, "--davis2017", str(self._davis2017))
        return [values[case.name] for case in videos]

    def detections(self, sets: Sequence[Sequence[Case]], folder: Path) -> list[Values]:
        """Return the average precision of every data set."""
        file = folder / "sets.coco.json"
        file.write_text(json.dumps([coco(videos) for videos in sets]), encoding="utf-8")
        return [{name: of[0] for name, of in values.items()} for values in self._values("-", file, folder)]

    def versions(self, folder: Path) -> dict[str, str]:
        """Versions of the packages, and the commit of the DAVIS code."""
        numbers: dict[str, str] = self._values("versions", Path("-"), folder)
        if self._davis2017 is not None:
            numbers["davis2017-evaluation"] = _git(self._davis2017, "rev-parse", "HEAD")[:12]
        return numbers

    def _values(self, what: str, file: Path, folder: Path, *options: str) -> Any:
        out = folder / "values.out.json"
        out.unlink(missing_ok=True)
        _call([str(self._python), str(HERE / "official.py"), what, str(file), str(out), *options], writes=out)
        return json.loads(out.read_text(encoding="utf-8"))


def _environment(folder: Path) -> Path:
    """Return the interpreter of an environment with the packages of the peers, made when missing."""
    python = folder / "bin" / "python"
    probe = [str(python), "-c", "import cv2, skimage, pycocotools.mask, scipy, PIL, tqdm"]
    if python.exists() and not subprocess.run(probe, capture_output=True, check=False).returncode:  # noqa: S603
        return python
    uv = shutil.which("uv")
    make = [uv, "venv", "--python", sys.executable] if uv else [sys.executable, "-m", "venv"]
    install = [uv, "pip", "install", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
    if not python.exists():
        _call([*make, str(folder)])
    _call([*install, *PEERS])
    return python


def _call(command: Sequence[str], writes: Path | None = None) -> None:
    finished = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    # the DAVIS program gives up with status 0
    if finished.returncode or (writes is not None and not writes.exists()):
        raise SystemExit(f"{' '.join(command)}\n{finished.stdout}{finished.stderr}")


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603


def to_markdown(reports: Sequence[Mapping[str, Any]]) -> str:
    """Table of the largest difference of every value."""
    lines = [
        "# Conformance of the metrics",
        "",
        "Largest differences on random videos, as fractions. Empty: no such way, or no such value.",
        "",
        "| protocol | videos | against | value | score_sequence | overall | torchmetric, a video | all |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for report in reports:
        for row in (Row(**content) for content in report["rows"]):
            numbers = map(_number, (row.score, row.overall, row.metric, row.collection))
            cells = (report["protocol"], report["videos"], report["against"], row.value, *numbers)
            lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += ["", f"Largest of all: {_number(largest(reports))}; tolerance {TOLERANCE:.0e}.", ""]
    return "\n".join([*lines, *(f"* {line}" for line in _circumstances(reports)), ""])


def _circumstances(reports: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Seed, date, commit and versions, once for all protocols that share them."""
    protocols: dict[str, list[str]] = {}
    for report in reports:
        versions = ", ".join(f"{name} {number}" for name, number in report["versions"].items())
        run = f"seed {report['seed']}, {report['date']}, commit {report['commit']}; {versions}."
        protocols.setdefault(run, []).append(report["protocol"])
    for run, names in protocols.items():
        yield f"{', '.join(names)}: {run}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}" if value else "0"


def largest(reports: Sequence[Mapping[str, Any]]) -> float:
    """Return the largest difference in reports."""
    return max(Row(**row).largest for report in reports for row in report["rows"])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--davis2017", type=Path, help="checkout of davis2017-evaluation")
    parser.add_argument("--peers", type=Path, help="environment of the released programs")
    parser.add_argument("--videos", type=int, default=2000, help="of every protocol")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--protocols", nargs="+", choices=CHECKS, default=CHECKS, metavar="PROTOCOL")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    return parser.parse_args()


def main() -> None:
    options = _arguments()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    options.out.mkdir(parents=True, exist_ok=True)
    measured = []
    with tempfile.TemporaryDirectory(prefix="vosbench-conformance-") as temporary:
        work = Path(temporary)
        peers = Peers(
            (options.peers or work / "peers").resolve(), options.davis2017 and options.davis2017.resolve()
        )
        for protocol in options.protocols:
            measured.append(measure(protocol, options.videos, options.seed, peers, work))
            print(f"{protocol}: {_number(largest(measured[-1:]))} on {options.videos} videos", flush=True)
            text = json.dumps(measured[-1], indent=1) + "\n"
            (options.out / f"{protocol}.json").write_text(text, encoding="utf-8")
    # those of earlier runs as well
    files = [options.out / f"{protocol}.json" for protocol in CHECKS]
    reports = [json.loads(file.read_text(encoding="utf-8")) for file in files if file.exists()]
    (options.out / "README.md").write_text(to_markdown(reports), encoding="utf-8")
    print(to_markdown(reports))
    sys.exit(largest(measured) > TOLERANCE)


if __name__ == "__main__":
    main()
