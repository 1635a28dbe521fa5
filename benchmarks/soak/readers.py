"""Readers of files of others: a sound file of every format, and the function that reads one."""

import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 9, 13
_RANDOM = np.random.default_rng(0)
PIXELS = _RANDOM.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
IDS = _RANDOM.integers(0, 4, (HEIGHT, WIDTH)).astype(np.uint8)
FLOW = _RANDOM.normal(0, 9, (2, HEIGHT, WIDTH)).astype(np.float32)
FLOW_64THS = (np.round(FLOW * 64) / 64).astype(np.float32)
"""What KITTI's format can hold."""

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Reader:
    """A format and its reader.

    Attributes:
        file: name of the file.
        write: writes a sound one.
        read: reads one, and uses what it holds as its command does.
        text: whether the content is JSON or YAML, which is damaged by its parts.
        torch: whether PyTorch is needed.
        share: of the damaged files; slow readers get fewer.
    """

    file: str
    write: Callable[[Path], Any]
    read: Callable[[Path], Any]
    text: bool = False
    torch: bool = False
    share: float = 1.0


def readers() -> dict[str, Reader]:
    """Return the readers by name."""
    return {**_images(), **_arrays(), **_lists(), **_records(), **_suites(), **_archives(), **_weights()}


def _images() -> dict[str, Reader]:
    from vosbench.formats.fbms import read_labels, read_regions
    from vosbench.formats.flow_picture import range_path, read_angle_magnitude
    from vosbench.formats.image import image_size, read_frame
    from vosbench.formats.mask import read_mask
    from vosbench.formats.png import decode_mask, read_ids, read_palette, write_ids
    from vosbench.formats.pnm import read_pnm, write_pnm
    from vosbench.formats.video_file import VideoFile, write_video

    def picture(path: Path) -> None:
        codes = PIXELS.copy()
        codes[..., 2] = 0
        Image.fromarray(codes).save(path)
        range_path(path).write_text("0.5 12.25")

    def film(path: Path) -> None:
        write_video(path, [np.full((32, 48, 3), 30 * index, np.uint8) for index in range(3)], 5.0)

    def frames_of(path: Path) -> list[Any]:
        frames = VideoFile(path)
        return [frames[index] for index in range(min(len(frames), 3))]

    def saved(options: Mapping[str, Any]) -> Callable[[Path], None]:
        return lambda path: Image.fromarray(PIXELS).save(path, **options)

    options: dict[str, dict[str, Any]] = {
        "png": {},
        "jpg": {"quality": 90},
        "bmp": {},
        "webp": {"lossless": True},
        "tif": {"compression": "tiff_lzw"},
    }
    pictures = {
        f"frame, {suffix}": Reader(f"a.{suffix}", saved(how), read_frame) for suffix, how in options.items()
    }
    return {
        **pictures,
        "soft mask, 16-bit PNG": Reader(
            "a.png",
            lambda p: Image.fromarray(IDS.astype(np.uint16) * 5000).save(p),
            lambda p: decode_mask(p.read_bytes(), p, by_object=True).values,
        ),
        "frame, CMYK": Reader("a.jpg", lambda p: Image.fromarray(PIXELS).convert("CMYK").save(p), read_frame),
        "size of a frame": Reader("a.jpg", lambda p: Image.fromarray(PIXELS).save(p), image_size),
        "ids, PNG": Reader("a.png", lambda p: write_ids(p, IDS), read_ids, share=2.0),
        "palette": Reader("a.png", lambda p: write_ids(p, IDS), read_palette),
        "labels, PNG": Reader("a.png", lambda p: write_ids(p, IDS), read_labels),
        "mask, PNG": Reader("a.png", lambda p: Image.fromarray(IDS * 80).save(p), read_mask),
        "regions, PPM": Reader(
            "a.ppm",
            lambda p: write_pnm(p, np.stack([0 * IDS, 0 * IDS, IDS], axis=-1)),
            lambda p: read_regions(p, (0, 1, 2, 3)),
        ),
        "PGM": Reader("a.pgm", lambda p: write_pnm(p, IDS), read_pnm),
        "PPM": Reader("a.ppm", lambda p: write_pnm(p, PIXELS), read_pnm),
        "flow as a picture": Reader("a.png", picture, read_angle_magnitude),
        "video file": Reader("a.avi", film, frames_of, share=0.15),
    }


def _arrays() -> dict[str, Reader]:
    from vosbench.formats.caffemodel import read_caffemodel
    from vosbench.formats.camera import read_cameras, write_cameras
    from vosbench.formats.detectron_pickle import read_blobs
    from vosbench.formats.flo import read_flo, write_flo
    from vosbench.formats.kitti import read_kitti, write_kitti
    from vosbench.formats.mat5 import read_struct
    from vosbench.formats.pfm import read_pfm, write_pfm

    def matlab(path: Path) -> None:
        from scipy.io import savemat

        content = {"GTcls": {"Segmentation": IDS, "CategoriesPresent": np.arange(3.0)}}
        savemat(path, content, do_compression=True)

    def blobs(path: Path) -> None:
        content = {"blobs": {"conv1_w": FLOW, "conv1_b": np.arange(3.0), "lr": 0.1}, "cfg": "a: 1"}
        path.write_bytes(pickle.dumps(content, 2))

    def poses(path: Path) -> None:
        pose = np.vstack([_RANDOM.normal(size=(3, 4)), [0, 0, 0, 1]])
        write_cameras(path, {6: (pose, pose), 7: (pose, pose)})

    def layers(path: Path) -> None:
        numbers = np.arange(6, dtype="<f4").tobytes()
        blob = b"\x2a" + bytes([len(numbers)]) + numbers + b"\x3a\x04\x0a\x02\x02\x03"
        layer = b"\x0a\x05conv1\x12\x0bConvolution\x3a" + bytes([len(blob)]) + blob
        path.write_bytes(b"\x0a\x03net\xa2\x06" + bytes([len(layer)]) + layer)

    return {
        "flow, .flo": Reader("a.flo", lambda p: write_flo(p, FLOW), read_flo),
        "flow, .pfm": Reader("a.pfm", lambda p: write_pfm(p, FLOW[0]), read_pfm),
        "flow, KITTI": Reader(
            "a.png", lambda p: write_kitti(p, (np.round(FLOW * 64) / 64).astype(np.float32)), read_kitti
        ),
        "flow, cache": Reader("a.npz", _cache_entry, _read_cached, share=0.5),
        "camera poses": Reader("camera_data.txt", poses, read_cameras),
        "MATLAB": Reader("a.mat", matlab, lambda p: read_struct(p, "GTcls")),
        "pickle of Detectron": Reader("a.pkl", blobs, read_blobs, share=2.0),
        "Caffe model": Reader("a.caffemodel", layers, read_caffemodel),
    }


def _video() -> Any:
    from vosbench.video import Video

    return Video("cat", [PIXELS, PIXELS[::-1].copy(), PIXELS], ("00000", "00001", "00002"), {0: IDS, 1: IDS})


class _Fixed:
    """Estimator whose flow is in the entry of the cache."""

    name = "fixed"
    settings: Mapping[str, Any] = {"kind": "fixed"}

    def __call__(self, first: Any, second: Any) -> Any:
        return FLOW.astype(np.float16).astype(np.float32)


def _cache_entry(path: Path) -> None:
    from vosbench.flow.cache import attach_flow

    flow = attach_flow(_video(), _Fixed(), path.parent / "cache").flow
    assert flow is not None
    _ = flow[0]
    (entry,) = (path.parent / "cache").rglob("*.npz")
    path.write_bytes(entry.read_bytes())


def _read_cached(path: Path) -> Any:
    from vosbench.flow.cache import attach_flow

    entry = next((path.parent / "cache").rglob("*.npz"))
    entry.write_bytes(path.read_bytes())
    flow = attach_flow(_video(), _Fixed(), path.parent / "cache").flow
    assert flow is not None
    return flow[0]


def _lists() -> dict[str, Reader]:
    from vosbench.data.datasets.ytvos import read_categories
    from vosbench.flow.provenance import FILE, describe, read_provenance, write_provenance
    from vosbench.formats.coco_json import CocoFile
    from vosbench.formats.coco_results import detections_by_frame
    from vosbench.formats.fbms import Definition, LabelledFrame, read_definition, write_definition
    from vosbench.formats.run_length import compress, decode_segmentation, run_lengths
    from vosbench.formats.voc_xml import read_boxes
    from vosbench.leaderboard.bibtex import parse_bibtex

    cat = {"id": 1, "image_id": 1, "category_id": 3, "iscrowd": 0, "area": 12, "bbox": [1, 2, 4, 3]}
    crowd = cat | {"id": 2, "iscrowd": 1}
    counts = {"size": [HEIGHT, WIDTH], "counts": [0, 9, 108]}
    image = {"id": 1, "file_name": "a.jpg", "height": HEIGHT, "width": WIDTH}
    coco = {
        "images": [image],
        "annotations": [
            cat | {"segmentation": [[1, 2, 5, 2, 5, 5, 1, 5]]},
            crowd | {"segmentation": counts},
        ],
        "categories": [{"id": 3, "name": "cat", "supercategory": "animal"}],
    }
    mask = {"size": [HEIGHT, WIDTH], "counts": compress(run_lengths(IDS > 1))}
    found = [
        {"image_id": "00001", "category_id": 1, "score": 0.5, "bbox": [1, 2, 4, 3], "segmentation": mask}
    ]
    videos = {"videos": {"cat": {"objects": {"1": {"category": "cat", "frames": ["00000"]}}}}}

    def masks_of(path: Path) -> list[Any]:
        file = CocoFile(path)
        return [file.mask(thing, index) for index in range(len(file)) for thing in file.objects(index)]

    def detections(path: Path) -> list[Any]:
        by_frame = detections_by_frame(path.read_bytes(), path, _video())
        return [_decoded(item, path) for items in by_frame.values() for item in items]

    def _decoded(item: dict[str, Any], path: Path) -> Any:
        try:
            return decode_segmentation(item.get("segmentation"), HEIGHT, WIDTH)
        except ValueError as error:
            raise _refused(path, error) from None

    def labelled(path: Path) -> None:
        frames = (LabelledFrame(0, "cats01_0000_gt.ppm", "cats01_0001.ppm"), LabelledFrame(9, "b.ppm", ""))
        write_definition(path, Definition((0, 255, 65280), 10, frames))

    boxes = (
        "<annotation><size><width>13</width><height>9</height></size><object><trackid>0</trackid>"
        "<name>n02691156</name><bndbox><xmax>9</xmax><xmin>2</xmin><ymax>7</ymax><ymin>1</ymin></bndbox>"
        "</object></annotation>"
    )
    paper = "@article{doe20,\n title = {A {Big} title},\n rows = {a, b}\n}\n"
    return {
        "COCO": Reader("a.json", _json(coco), masks_of, text=True),
        "detections": Reader("a.json", _json(found), detections, text=True),
        "YouTube-VOS": Reader("meta.json", _json(videos), read_categories, text=True),
        "provenance of flow": Reader(
            FILE,
            lambda p: write_provenance(p.parent, describe("dis", {"preset": "fast"}, "forward", {"0": "a"})),
            lambda p: read_provenance(p.parent),
            text=True,
        ),
        "FBMS definition": Reader("aDef.dat", labelled, read_definition),
        "VOC boxes": Reader("a.xml", lambda p: p.write_text(boxes), read_boxes),
        "BibTeX": Reader(
            "a.bib", lambda p: p.write_text(paper), lambda p: parse_bibtex(p.read_text("latin-1"), p.name)
        ),
    }


def _refused(path: Path, error: Exception) -> Exception:
    from vosbench.errors import InputError, one_line

    return InputError(f"{path}: {one_line(error)}")


def _json(content: Any) -> Callable[[Path], Any]:
    return lambda path: path.write_text(json.dumps(content), encoding="utf-8")


def sound_record() -> dict[str, Any]:
    """Return a record with everything in its provenance that tables read."""
    training = {
        "data": {"name": "davis16, ft3d", "edition": "official, mini", "sequences": ["cat"], "rendered": []},
        "selection": [{"name": "davis16", "edition": "official", "split": "val", "sequences": ["cat"]}],
        "parts": [{"key": "shared", "weights": "a.safetensors", "sha256": "ab", "training": {}}],
    }
    return {
        "model": "mpnet",
        "size": "tiny",
        "dataset": "davis16",
        "edition": "official",
        "split": "val",
        "sequence": "cat",
        "protocol": "davis16-unsupervised",
        "frames": 5,
        "key": "k",
        "schema": 1,
        "values": {"J_mean": 0.5, "F_mean": 0.25, "T_mean": None},
        "per_frame": {"J": [0.25, 0.5, 0.75], "F": [0.25, 0.25, 0.25]},
        "seconds_per_frame": {"segment": 0.125, "flow": 0.5},
        "provenance": {
            "command": "vosbench compare",
            "time": "2026-11-21T08:00:00+00:00",
            "objects": 1,
            "peak_memory": 1000,
            "frame_size": [9, 13],
            "config": {"model": "mpnet", "metric_version": 1, "protocol": {"version": 1}},
            "content": {"masks": "ab"},
            "flow": {"estimator": "dis", "preset": "medium"},
            "git": {"commit": "0123456789abcdef", "clean": True},
            "load": {"cores": 2, "before": 0.5, "after": 1.0, "seconds": 1.0, "cpu_seconds": 0.9},
            "paper": {"title": "A", "url": "https://example.org", "bibtex": "@misc{a,\n title = {A}\n}"},
            "training": training,
            "versions": {"torch": "2.15.0"},
            "weights": {"name": "mpnet", "weights": "a.ckpt", "sha256": "ab", "variant": {"threshold": 0.5}},
        },
    }


def _records() -> dict[str, Reader]:
    from vosbench.evaluation.record import Failure, Record
    from vosbench.leaderboard.baseline import baseline_text, read_baseline
    from vosbench.leaderboard.published import load_published
    from vosbench.scoring.predictions import PredictionStore

    fields = ("model", "size", "dataset", "edition", "split", "sequence", "protocol")
    failure = {key: sound_record()[key] for key in fields} | {"error": "e", "command": "c", "time": "t"}
    published = {
        "dataset": "davis16",
        "split": "val",
        "unit": 1000,
        "note": "",
        "remarks": {},
        "sources": {"a": {"text": "a", "licence": "none"}},
        "methods": {
            "old": {
                "title": "OLD",
                "sources": ["a"],
                "note": "",
                "protocol": "davis16-unsupervised",
                "table": {"J_mean": 0.5},
                "sequences": {"cat": {"per_frame": {"J": [250, 500, None], "F": [250, 500, 750]}}},
            }
        },
    }
    note = {"inputs": "a", "content": "b", "seconds_per_frame": {"segment": 0.1}, "provenance": {}}
    return {
        "record": Reader("cat.json", _json(sound_record()), Record.read, text=True, share=3.0),
        "record, as tables": Reader("cat.json", _json(sound_record()), _tables, text=True, share=0.5),
        "failure": Reader("a.json", _json(failure), Failure.read, text=True),
        "baseline": Reader(
            "a.json",
            lambda p: p.write_text(baseline_text([Record(**sound_record())])),
            read_baseline,
            text=True,
        ),
        "published numbers": Reader("a.json", _json(published), load_published, text=True),
        "note of a prediction": Reader(
            ".cat.origin.json",
            _json(note),
            lambda p: PredictionStore(p.with_name("cat"), ("0",)).note("a", "b"),
            text=True,
        ),
    }


def _tables(path: Path) -> list[str]:
    from vosbench.benchmark.leakage import leaks
    from vosbench.evaluation.record import Record
    from vosbench.leaderboard.assemble import make_boards
    from vosbench.leaderboard.bibtex import citations, references
    from vosbench.leaderboard.html.page import html
    from vosbench.leaderboard.latex import latex
    from vosbench.leaderboard.tables import markdown

    records = [Record.read(path)]
    boards = make_boards(records, [])
    cited = citations(boards, {})
    texts = [markdown(boards, "title"), latex(boards, cited), references(cited), html(boards, "title")]
    for text in texts:
        text.encode()
    return [*texts, *(f"{leak}" for leak in leaks(records, {}))]


def _suites() -> dict[str, Reader]:
    from vosbench.ablations.load import load_suite
    from vosbench.leaderboard.reported import load_reported
    from vosbench.leaderboard.verdicts import load_deviations
    from vosbench.plain_data import read_yaml
    from vosbench.scoring.protocol import parse_protocol

    reported = (
        "papers: {a: 'Doe et al.: A title'}\nentries:\n"
        "  - {paper: a, table: 1, method: MP-Net, dataset: DAVIS16, split: val, metric: J_mean, value: 52,\n"
        "     unit: percent, variant: 'flow=LDOF; x=1', note: n, own_method: true}\n"
        "conditions:\n  - {paper: a, method: MP-Net, training: [ft3d], flow: LDOF, switches: {crf: true}}\n"
    )
    deviations = (ROOT / "leaderboards" / "deviations.yaml").read_text(encoding="utf-8")
    suite = (ROOT / "benchmarks" / "ablations" / "mpnet_table2.yaml").read_text(encoding="utf-8")
    rules = (ROOT / "vosbench" / "configs" / "protocol" / "davis16-unsupervised.yaml").read_text("utf-8")

    return {
        "suite": Reader("a.yaml", lambda p: p.write_text(suite), load_suite, text=True, share=0.5),
        "reported numbers": Reader("a.yaml", lambda p: p.write_text(reported), load_reported, text=True),
        "deviations": Reader(
            "a.yaml", lambda p: p.write_text(deviations), load_deviations, text=True, share=0.3
        ),
        "protocol": Reader(
            "a.yaml", lambda p: p.write_text(rules), lambda p: parse_protocol(read_yaml(p), p.name), text=True
        ),
    }


def _archives() -> dict[str, Reader]:
    files = {"DAVIS/a/00000.jpg": b"frame" * 50, "DAVIS/b/00000.png": b"mask", "DAVIS/README.md": b""}

    def zipped(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)

    def tarred(mode: Any) -> Callable[[Path], None]:
        def write(path: Path) -> None:
            with tarfile.open(path, mode) as archive:
                for name, content in files.items():
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
                link = tarfile.TarInfo("DAVIS/link")
                link.type, link.linkname = tarfile.SYMTYPE, "a"
                archive.addfile(link)

        return write

    def masks(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for name in ("00000", "00001", "00002"):
                buffer = io.BytesIO()
                Image.fromarray(IDS).save(buffer, "PNG")
                archive.writestr(f"results/cat/{name}.png", buffer.getvalue())

    def stack(path: Path) -> None:
        np.savez_compressed(path, np.stack([IDS, IDS, IDS]))

    return {
        "archive, zip": Reader("a.zip", zipped, _unpacked, share=0.7),
        "archive, tar": Reader("a.tar", tarred("w"), _unpacked, share=0.7),
        "archive, tar.gz": Reader("a.tar.gz", tarred("w:gz"), _unpacked, share=0.7),
        "results, zip": Reader("a.zip", masks, _scored),
        "results, .npy": Reader(
            "cat.npy", lambda p: np.save(p, np.stack([IDS, IDS, IDS])), lambda p: _scored(p.parent)
        ),
        "results, .npz": Reader("cat.npz", stack, lambda p: _scored(p.parent)),
        "results, .dat": Reader(
            "cat.dat", lambda p: p.write_text("3\n1\n1 3\n1 1 0\n2 2 1\n3 3 2\n"), _tracked
        ),
    }


def _unpacked(path: Path) -> Any:
    """Unpack, and see that nothing appears beside the folder.

    Raises:
        AssertionError: something does.
    """
    import shutil

    from vosbench.data.download.archives import unpack

    out = path.parent / "out" / "inner"
    shutil.rmtree(out.parent, ignore_errors=True)
    try:
        unpack(path, out)
    finally:
        beside = {item.name for item in (*path.parent.iterdir(), *out.parent.glob("*"))}
        assert beside <= {path.name, "out", "inner"}, beside
    return [item.resolve().relative_to(out.resolve()) for item in out.rglob("*")]


def _tracked(path: Path) -> Any:
    return _scored(path.parent, "fbms-official")


def _scored(path: Path, protocol: str = "davis17-semi-supervised") -> Any:
    from vosbench.evaluation.results.reader import ResultFolder
    from vosbench.scoring.protocol import load_protocol

    video = _video()
    rules = load_protocol(protocol)
    masks = ResultFolder.open(path, ["cat"], rules, missing="empty").read(video)
    return [np.asarray(masks.ids[index]) for index in rules.evaluated(len(video), video.annotations)]


def _weights() -> dict[str, Reader]:
    described = {"name": "mpnet", "size": "tiny", "variant": {"threshold": 0.5}}
    training = sound_record()["provenance"]["training"]

    def tensors() -> dict[str, Any]:
        import torch

        return {"a.weight": torch.ones(2, 3), "a.bias": torch.zeros(2), "b.count": torch.tensor(3)}

    def safetensors(path: Path) -> None:
        from safetensors.torch import save_file

        save_file(tensors(), path, metadata={"vosbench": json.dumps(described | {"training": training})})

    def saved(content: Callable[[], Any], *, zipped: bool) -> Callable[[Path], None]:
        def write(path: Path) -> None:
            import torch

            torch.save(content(), path, _use_new_zipfile_serialization=zipped)

        return write

    def checkpoint() -> dict[str, Any]:
        return {"state_dict": tensors(), "vosbench": described, "training": training, "epoch": 1}

    def state(path: Path) -> Any:
        from vosbench.models.pretrained.weight_files import read_state, training_of

        return read_state(path), training_of(path)

    def released(path: Path) -> Any:
        from vosbench.models.pretrained.released_files import read_released

        return read_released(path)

    return {
        "safetensors": Reader("a.safetensors", safetensors, state, torch=True, share=0.3),
        "checkpoint": Reader("a.ckpt", saved(checkpoint, zipped=True), state, torch=True, share=0.3),
        "checkpoint, old": Reader("a.ckpt", saved(checkpoint, zipped=False), state, torch=True, share=0.3),
        "released .pth": Reader("a.pth", saved(tensors, zipped=True), released, torch=True, share=0.3),
        "released .pth, old": Reader("a.pth", saved(tensors, zipped=False), released, torch=True, share=0.3),
    }
