"""Prediction: a method segments videos, its masks, overlays and panels are written."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vosbench.errors import InputError, error_line
from vosbench.files import whole_folder
from vosbench.flow.cache import attach_flow
from vosbench.flow.estimators import DIS, FlowEstimator, Precomputed
from vosbench.formats.png import read_ids, write_ids
from vosbench.formats.png_palette import HIGHEST_ID
from vosbench.given import Given, first_labelled, segment
from vosbench.inference.inspection import InspectionRequest, Panels, check_request, inspecting
from vosbench.inference.overlay import write_overlay
from vosbench.inference.targets import Clip, Source, Targets, plan_prediction
from vosbench.method import Method
from vosbench.method_files import place_of
from vosbench.pipeline import Writer
from vosbench.scoring.predictions import PredictionNote, PredictionStore, ids_hash
from vosbench.video import VOID, IdMap, Video

Progress = Callable[[str, int, int], None]
"""Called with the sequence, the number of frames written so far, from 0 on, and their total."""


@dataclass(frozen=True)
class PredictedVideo:
    """Files written for one sequence.

    Attributes:
        sequence: its name.
        folder: holds ``FRAME.png`` for every frame.
        frames: number of frames.
        seconds: wall time, flow and writing of masks and panels included, overlay not.
        panels: holds ``FRAME.png`` with the maps that were asked for; None when none were.
        kept: whether the masks are those of an earlier run from the same inputs.
        failure: why there are no masks, one line; ``""`` where there are.
    """

    sequence: str
    folder: Path
    frames: int
    seconds: float
    panels: Path | None = None
    kept: bool = False
    failure: str = ""


def predict(
    source: str | Path,
    method: Method,
    out: Path,
    *,
    data_root: Path | None = None,
    split: str | None = None,
    first_mask: Path | None = None,
    overlay: Path | None = None,
    inspect: InspectionRequest | None = None,
    estimator: FlowEstimator | Precomputed | None = None,
    cache: Path | None = None,
    identity: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> list[PredictedVideo]:
    """Segment a data set, a folder of frames, a video file, or a folder of such folders and files.

    Masks are indexed PNG in DAVIS colours, ``out/SEQUENCE/FRAME.png``. A sequence folder appears when
    all its masks are written; one from an earlier run is replaced then. Of several videos, one that fails
    does not stop the others.

    Args:
        source: a data set name, a path to data of one's own (see `vosbench.data.own_data.own_spec`), a folder
            of images, a video file, or a folder of those; ``./NAME`` is a folder called like a data set.
        method: segments the videos.
        out: folder for the results.
        data_root: where data sets are; see `vosbench.data.roots.data_root`.
        split: of a data set; its default split when None.
        first_mask: ids of frame 0 for a semi-supervised method on a folder or file, a {0, 255} mask
            being one object; for a folder of clips a folder of ``CLIP.png``; data sets have their own.
        overlay: also draw the masks over the frames: a video file such as ``seen.mp4`` for a single
            sequence, or a folder that gets ``SEQUENCE/FRAME.jpg``.
        inspect: also draw maps from the inside of the method.
        estimator: flow for a method that needs it; given, it replaces ground-truth flow. DIS when None.
        cache: the cache root for flow; None keeps nothing.
        identity: of the method and its weights, as `vosbench.models.pretrained.zoo.load_method` returns it:
            masks that the same method made of the same frames are kept. None: all are made again.
        progress: called before the first frame and after every frame.

    Returns:
        One item per sequence, in order; of several sequences, those that failed with the reason.

    Raises:
        InputError: the source is missing, empty or broken, the mask is missing, not wanted or of another
            size, the method has no such map to inspect, or the results would overwrite files that
            are no results, or each other.
    """
    opened, targets = plan_prediction(
        source, out, overlay=overlay, inspect=inspect, data_root=data_root, split=split
    )
    _check_mask(source, opened, method, first_mask)
    if inspect is not None:
        check_request(method, inspect)

    def run(clip: Clip, target: Targets) -> PredictedVideo:
        video = clip.open()
        mask = first_mask if first_mask is None or opened.alone else first_mask / f"{clip.name}.png"
        given = _given(video, method, mask)
        store = PredictionStore(target.masks, video.frame_names)
        inputs = None if identity is None else _inputs_hash(video, method, given, estimator, identity)
        start = time.perf_counter()
        kept = inputs is not None and inspect is None and store.note(inputs, store.content()) is not None
        if not kept:
            with_flow = _with_flow(video, method, estimator, cache)
            if inspect is None or target.panels is None:
                _segment_into(target.masks, with_flow, method, given, progress)
            else:
                _inspect_into(target.masks, target.panels, with_flow, method, given, progress, inspect)
            if inputs is not None:
                _save_note(store, inputs)
        seconds = time.perf_counter() - start
        if target.overlay is not None:
            write_overlay(target.overlay, video, target.masks)
        return PredictedVideo(video.name, target.masks, len(video), seconds, target.panels, kept)

    done = []
    for clip, target in zip(opened.clips, targets, strict=True):
        try:
            done.append(run(clip, target))
        except Exception as error:
            if len(opened.clips) == 1:
                raise
            done.append(
                PredictedVideo(
                    clip.name, target.masks, 0, 0.0, failure=f"{error_line(error)}{place_of(error)}"
                )
            )
    return done


def _inputs_hash(
    video: Video,
    method: Method,
    given: Given | None,
    estimator: FlowEstimator | Precomputed | None,
    identity: Mapping[str, Any],
) -> str:
    """Return the hash of everything that the masks of a video follow from."""
    inputs: dict[str, Any] = {"method": dict(identity), "frames": ids_hash(video.frame_names, video.frames)}
    if method.needs_flow:
        flow = estimator or DIS()
        inputs["flow"] = {"estimator": flow.name, **flow.settings}
        if isinstance(flow, Precomputed):
            inputs["flow"]["content"] = flow.content_hash(video)
    if given is not None:
        inputs["given"] = [given.frame, ids_hash([video.name], [given.ids])]
    return hashlib.sha256(json.dumps(inputs, sort_keys=True, default=str).encode()).hexdigest()


def _save_note(store: PredictionStore, inputs: str) -> None:
    content = store.content()
    if content is None:
        raise InputError(f"{store.path}: the masks just written were removed or changed; run it again")
    store.save_note(PredictionNote(inputs, content, {}, {}))


def _check_mask(source: str | Path, opened: Source, method: Method, first_mask: Path | None) -> None:
    if first_mask is None:
        if method.task == "semi-supervised" and not opened.has_masks:
            raise InputError(f"{source}: this method is semi-supervised; give the mask of the first frame")
        return
    if method.task == "unsupervised":
        raise InputError(f"{first_mask}: this method is unsupervised and takes no first mask; leave it out")
    if opened.has_masks:
        raise InputError(f"{first_mask}: {source} has its own first masks; leave it out")
    if not opened.alone and not first_mask.is_dir():
        raise InputError(
            f"{first_mask}: no folder; several clips take a folder with a mask CLIP.png for each"
        )


def _given(video: Video, method: Method, path: Path | None) -> Given | None:
    if method.task == "unsupervised":
        return None
    if path is None:
        return first_labelled(video)
    ids = read_ids(path)
    height, width = video.frames[0].shape[:2]
    if ids.shape != (height, width):
        raise InputError(
            f"{path}: mask is {ids.shape[1]}x{ids.shape[0]} pixels, "
            f"the frames of {video.name} are {width}x{height}"
        )
    if not ids.any():
        raise InputError(f"{path}: mask is empty; mark at least one object with an id above 0")
    different = len(np.unique(ids[(ids != 0) & (ids != VOID)]))
    if different > HIGHEST_ID:
        raise InputError(
            f"{path}: {different} different values are grey levels; write ids 1, 2, ..., 0 for background"
        )
    # A black and white mask is one object, not void everywhere.
    return Given(0, (ids != 0).astype(np.uint8) if set(np.unique(ids)) <= {0, VOID} else ids)


def _with_flow(
    video: Video, method: Method, estimator: FlowEstimator | Precomputed | None, cache: Path | None
) -> Video:
    if not method.needs_flow:
        return video
    return attach_flow(video, estimator or DIS(), cache, overwrite=estimator is not None)


_Written = Callable[[int, IdMap], None]
"""Called with the index of a frame and its ids, when these are written."""


def _segment_into(
    target: Path,
    video: Video,
    method: Method,
    given: Given | None,
    progress: Progress | None,
    written: _Written | None = None,
) -> None:
    segmentation = segment(method, video, given)
    if progress is not None:
        # some methods learn the first frame for half a minute
        progress(video.name, 0, len(video))
    with whole_folder(target) as folder, Writer() as writer:
        for index, (name, ids) in enumerate(zip(video.frame_names, segmentation, strict=True)):
            # a method may use the array again for its next map
            writer.call(write_ids, folder / f"{name}.png", ids.copy())
            if written is not None:
                written(index, ids)
            if progress is not None:
                progress(video.name, index + 1, len(video))


def _inspect_into(
    target: Path,
    pictures: Path,
    video: Video,
    method: Method,
    given: Given | None,
    progress: Progress | None,
    request: InspectionRequest,
) -> None:
    panels = Panels(video, start=given.frame if given is not None else 0)
    with inspecting(method, request, panels), whole_folder(pictures) as folder:

        def draw(index: int, ids: IdMap) -> None:
            panels.write(folder, index, ids)

        _segment_into(target, video, method, given, progress, draw)
