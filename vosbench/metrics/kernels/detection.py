"""Average precision at IoU 0.5 of boxes and masks, frame by frame; the COCO library does the matching."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vosbench.errors import one_line, shown

NAMES: Mapping[str, str] = {"map50_det": "bbox", "map50_seg": "segm"}
"""Value -> the library's name of what is compared."""

IOU = 0.5
MAX_DETECTIONS = 100
"""Detections of a frame that count, those of the highest score."""

CATEGORY = 1
"""There is one class: moving object."""

UNDEFINED = -1.0
"""The value without a region to find."""


class DetectionPool:
    """Detections and true regions of many frames, kept as run lengths, and their average precision.

    All frames are one collection of one class. Per frame the 100 detections of the highest score are
    matched in this order, each to the free region of the highest IoU of at least 0.5. Average precision
    is the mean of the interpolated precision at the recalls 0, 0.01, ..., 1.

    A pool is plain data and can be sent between processes; `records` of several make one.

    Args:
        records: frames to begin with, as the `records` of another pool.

    Raises:
        ImportError: faster-coco-eval is not installed.

    Source: Lin et al., Microsoft COCO, ECCV 2014, and its evaluation library.

    Example:
        >>> import numpy as np
        >>> pool = DetectionPool()
        >>> ids = np.zeros((4, 6), np.uint8)
        >>> ids[1:3, 1:4] = 1
        >>> pool.add_masks([ids == 1], [0.9], target_ids=ids)
        >>> pool.compute()
        {'map50_det': 1.0, 'map50_seg': 1.0}
    """

    def __init__(self, records: Iterable[str] = ()) -> None:
        require_library()
        self.records = list(records)
        """One line of JSON per frame."""

    def add_frame(
        self,
        target_ids: NDArray[np.integer],
        detections: Sequence[Mapping[str, Any]],
        *,
        crowd_ids: Collection[int] = (),
        image_id: str | int | None = None,
    ) -> None:
        """Add a frame whose detections come from a results file of the COCO format.

        Args:
            target_ids: (H, W) integer ids; every id but 0 is a region to find.
            detections: per detection ``score``, ``segmentation`` with ``size`` (height, width) and
                run-length ``counts``, compressed or not, and ``bbox`` (x, y, width, height in pixels),
                the tight box of the mask where absent. What else is in them is ignored.
            crowd_ids: ids whose region is a crowd: what is found in it is neither right nor wrong.
            image_id: name of the frame. Equal scores count in the order of these names, or without them
                in the order frames were added. All frames of a pool are named, or none.

        Raises:
            ValueError: ids that are not (H, W) integers, or a detection that misses a key, has another
                size, a score that is no number or run lengths that cannot be read.
        """
        size = _check_ids(target_ids)
        detected = [_read_detection(detection, size) for detection in detections]
        self._add(size, *_target_regions(target_ids, crowd_ids), detected, image_id)

    def add_masks(
        self,
        masks: Sequence[NDArray[np.bool_]] | NDArray[np.bool_],
        scores: ArrayLike,
        boxes: ArrayLike | None = None,
        *,
        target_ids: NDArray[np.integer] | None = None,
        target_masks: Sequence[NDArray[np.bool_]] | NDArray[np.bool_] = (),
        crowd: Sequence[bool] | NDArray[np.bool_] | None = None,
        image_id: str | int | None = None,
    ) -> None:
        """Add a frame of masks.

        Args:
            masks: (N, H, W) bool, detections.
            scores: (N,) real.
            boxes: (N, 4) x, y, width, height in pixels; the tight boxes of the masks where absent.
            target_ids: (H, W) integer ids, every id but 0 a region to find; or else
            target_masks: (M, H, W) bool, regions to find, which may overlap.
            crowd: (M,) bool, which regions are crowds, in the order of the masks or of the ids.
            image_id: name of the frame, see `add_frame`.

        Raises:
            ValueError: shapes or types that do not fit, a score that is no number.
        """
        if target_ids is not None:
            _check_ids(target_ids)
            target_masks = [target_ids == region for region in np.unique(target_ids).tolist() if region]
        shapes = {np.shape(mask) for mask in (*masks, *target_masks)}
        shapes |= {target_ids.shape} if target_ids is not None else set()
        if len(shapes) > 1 or any(len(shape) != 2 for shape in shapes):
            raise ValueError(f"masks must all have one shape (H, W), got {sorted(shapes)}")
        values = np.asarray(scores, np.float64)
        if values.shape != (len(masks),):
            raise ValueError(f"scores must be ({len(masks)},), one per mask, got {values.shape}")
        counts = [_encode(mask) for mask in masks]
        size = shapes.pop() if shapes else (0, 0)
        if boxes is None:
            given: NDArray[np.float64] = _boxes(size, counts)
        else:
            given = np.asarray(boxes, np.float64)
        if given.shape != (len(masks), 4):
            raise ValueError(f"boxes must be ({len(masks)}, 4), one per mask, got {given.shape}")
        flags = [False] * len(target_masks) if crowd is None else [bool(flag) for flag in crowd]
        if len(flags) != len(target_masks):
            raise ValueError(f"crowd must be ({len(target_masks)},), one per region, got {len(flags)}")
        detected = list(zip(values.tolist(), given.tolist(), counts, strict=True))
        self._add(size, [_encode(mask) for mask in target_masks], flags, detected, image_id)

    def compute(self) -> dict[str, float]:
        """Return ``map50_det`` (boxes) and ``map50_seg`` (masks) in [0, 1]; -1 without a region to find.

        Raises:
            ValueError: some frames have a name and others have none.
        """
        frames = [json.loads(record) for record in self.records]
        named = [frame["image_id"] is not None for frame in frames]
        if any(named) and not all(named):
            raise ValueError("image_id must be given for all frames or for none")
        if any(named):
            frames.sort(key=lambda frame: (isinstance(frame["image_id"], str), frame["image_id"]))
        regions, detected = _annotations(frames)
        if all(region["iscrowd"] for region in regions):
            return dict.fromkeys(NAMES, UNDEFINED)
        images = [
            {"id": number, "height": frame["size"][0], "width": frame["size"][1]}
            for number, frame in enumerate(frames, start=1)
        ]
        return {name: _average_precision(images, regions, detected, kind) for name, kind in NAMES.items()}

    def _add(
        self,
        size: tuple[int, int],
        targets: Sequence[str],
        crowd: Sequence[bool],
        detections: Sequence[tuple[float, list[float], str]],
        image_id: str | int | None,
    ) -> None:
        for score, box, _ in detections:
            if math.isnan(score) or not all(map(math.isfinite, box)):
                raise ValueError(f"scores and boxes must be numbers, got score {score} and box {box}")
        # sorting is stable: detections of equal score stay in the order they came in
        kept = sorted(detections, key=lambda detection: -detection[0])[:MAX_DETECTIONS]
        boxes = _boxes(size, targets).tolist()
        self.records.append(
            json.dumps(
                {
                    "image_id": image_id,
                    "size": [int(side) for side in size],
                    "targets": list(zip(boxes, targets, crowd, strict=True)),
                    "detections": kept,
                },
                separators=(",", ":"),
            )
        )


def require_library() -> None:
    """Refuse to go on without the library that does the matching.

    Raises:
        ImportError: faster-coco-eval is not installed.
    """
    try:
        import_module("faster_coco_eval")
    except ImportError as error:
        raise ImportError(
            "average precision of detections needs faster-coco-eval: pip install 'vosbench[coco]'"
        ) from error


def _run_lengths() -> Any:
    # imported by name, for the type checker must pass without the optional package too
    return import_module("faster_coco_eval.core.mask")


def _check_ids(target_ids: NDArray[np.integer]) -> tuple[int, int]:
    if target_ids.ndim != 2 or target_ids.dtype.kind not in "iu":
        raise ValueError(f"target_ids must be (H, W) integer ids, got {target_ids.dtype} {target_ids.shape}")
    height, width = target_ids.shape
    return height, width


def _target_regions(
    target_ids: NDArray[np.integer], crowd_ids: Collection[int]
) -> tuple[list[str], list[bool]]:
    ids = [region for region in np.unique(target_ids).tolist() if region != 0]
    return [_encode(target_ids == region) for region in ids], [region in crowd_ids for region in ids]


def _encode(mask: NDArray[np.bool_]) -> str:
    """Return the compressed run lengths of a (H, W) bool mask."""
    if mask.dtype != np.bool_:
        raise ValueError(f"masks must be bool, got {mask.dtype}")
    region = {"size": list(mask.shape), "counts": _runs(mask)}
    counts: bytes = _run_lengths().frPyObjects(region, *mask.shape)["counts"]
    return counts.decode("ascii")


def _runs(mask: NDArray[np.bool_]) -> list[int]:
    """Return the lengths of the runs of background and region in turns, down one column after the other.

    Only the box around the region is looked at; the encoder of the library takes three times as long.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return [mask.size]
    top, left = rows[0], columns[0]
    box = mask[top : rows[-1] + 1, left : columns[-1] + 1].T
    inside = np.zeros((box.shape[0], box.shape[1] + 2), dtype=bool)
    inside[:, 1:-1] = box
    column, row = np.nonzero(inside[:, 1:] != inside[:, :-1])
    edges = (left + column) * len(mask) + top + row
    # what reaches the bottom goes on at the top of the next column
    joined = 2 * np.flatnonzero(edges[1:-1:2] == edges[2::2]) + 1
    edges = np.delete(edges, [*joined, *(joined + 1)])
    lengths: list[int] = np.diff(edges, prepend=0, append=mask.size).tolist()
    return lengths if lengths[-1] else lengths[:-1]


def _boxes(size: tuple[int, int], counts: Sequence[str]) -> NDArray[np.float64]:
    """Return the tight boxes of masks: (N, 4) x, y, width, height."""
    if not counts:
        return np.zeros((0, 4))
    regions = [_segmentation(size, count) for count in counts]
    return np.asarray(_run_lengths().toBbox(regions), np.float64).reshape(-1, 4)


def _segmentation(size: Sequence[int], counts: str) -> dict[str, Any]:
    return {"size": [int(side) for side in size], "counts": counts.encode("ascii")}


def _read_detection(detection: Mapping[str, Any], size: tuple[int, int]) -> tuple[float, list[float], str]:
    """Return score, box and compressed run lengths of a detection of a results file."""
    try:
        score, segmentation, box = float(detection["score"]), detection["segmentation"], detection.get("bbox")
        own_size, counts = tuple(segmentation["size"]), segmentation["counts"]
        sides = None if box is None else [float(side) for side in box]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            "a detection needs a score, a segmentation with size and counts and, if any, a bbox of four "
            f"numbers; got {shown(dict(detection))}"
        ) from error
    if own_size != size:
        raise ValueError(f"the segmentation of a detection has size {own_size}, its frame has {size}")
    if sides is not None and len(sides) != 4:
        raise ValueError(f"bbox must be x, y, width, height, got {sides}")
    text = _compressed(counts, size)
    return score, _boxes(size, [text])[0].tolist() if sides is None else sides, text


def _compressed(counts: Any, size: tuple[int, int]) -> str:
    """Return run lengths in their compressed form, having made sure that they cover the frame."""
    library = _run_lengths()
    region: dict[str, Any] = {"size": list(size), "counts": counts}
    try:
        if isinstance(counts, str):
            region["counts"] = counts.encode("ascii")
        if isinstance(counts, list):
            region = library.frPyObjects(region, *size)
        library.decode(region)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"the run lengths of a detection do not make a mask of {size}: {one_line(error)}"
        ) from error
    compressed: bytes = region["counts"]
    return compressed.decode("ascii")


def _annotations(frames: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return regions and detections as the library wants them; ids of both count up from 1."""
    regions: list[dict[str, Any]] = []
    detected: list[dict[str, Any]] = []
    for number, frame in enumerate(frames, start=1):
        common = {"image_id": number, "category_id": CATEGORY}
        for box, counts, crowd in frame["targets"]:
            mask = _segmentation(frame["size"], counts)
            regions.append(
                common | {"id": len(regions) + 1, "bbox": box, "segmentation": mask, "iscrowd": int(crowd)}
            )
        for score, box, counts in frame["detections"]:
            mask = _segmentation(frame["size"], counts)
            detected.append(
                common | {"id": len(detected) + 1, "score": score, "bbox": box, "segmentation": mask}
            )
    for annotation in (*regions, *detected):
        # no range of areas is asked for, so that any area does
        annotation["area"] = 1.0
    return regions, detected


def _average_precision(
    images: list[dict[str, Any]], regions: list[dict[str, Any]], detected: list[dict[str, Any]], kind: str
) -> float:
    library = import_module("faster_coco_eval")
    collections = []
    for members in (regions, detected):
        collection = library.COCO()
        # the library writes into its annotations
        collection.dataset = {
            "images": images,
            "annotations": [dict(member) for member in members],
            "categories": [{"id": CATEGORY, "name": "moving object"}],
        }
        collection.createIndex()
        collections.append(collection)
    evaluation = library.COCOeval_faster(*collections, iouType=kind)
    evaluation.params.iouThrs = np.array([IOU])
    evaluation.params.maxDets = [MAX_DETECTIONS]
    evaluation.params.areaRng = [[0, math.inf]]
    evaluation.params.areaRngLbl = ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    # (IoU, recall, class, range of areas, number of detections)
    precision = np.asarray(evaluation.eval["precision"])[0, :, 0, 0, 0]
    return math.fsum(precision.tolist()) / len(precision)
