"""Every reader of a format gets damaged files: it says which file is wrong, or returns what it promises.

Files are cut off, bits are flipped, numbers in headers become huge, parts are removed, repeated or
overwritten. No other exception than InputError, no memory for sizes that a header merely claims, and,
where a format carries checksums, never other values than were written.
"""

import io
import json
import re
import struct
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import vosbench.formats
from vosbench.errors import InputError
from vosbench.flow.cache import attach_flow
from vosbench.flow.provenance import FILE, describe, read_provenance, write_provenance
from vosbench.formats.camera import read_cameras, write_cameras
from vosbench.formats.coco_json import CocoFile
from vosbench.formats.fbms import (
    Definition,
    LabelledFrame,
    read_definition,
    read_labels,
    read_regions,
    write_definition,
)
from vosbench.formats.flo import read_flo, write_flo
from vosbench.formats.flow_picture import range_path, read_angle_magnitude
from vosbench.formats.frame_folder import open_folder
from vosbench.formats.image import image_size, read_frame, write_frame
from vosbench.formats.kitti import read_kitti, write_kitti
from vosbench.formats.mask import read_mask
from vosbench.formats.mat5 import read_struct
from vosbench.formats.pfm import read_flow_pfm, read_pfm, write_pfm
from vosbench.formats.png import decode_mask, read_ids, read_palette, write_ids
from vosbench.formats.pnm import read_pnm, write_pnm
from vosbench.formats.video_file import VideoFile, write_video
from vosbench.formats.voc_xml import read_boxes
from vosbench.plain_data import read_json
from vosbench.video import Video

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")

HEIGHT, WIDTH = 9, 13
RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
IDS = RANDOM.integers(0, 4, (HEIGHT, WIDTH)).astype(np.uint8)
FLOW = RANDOM.normal(0, 9, (2, HEIGHT, WIDTH)).astype(np.float32)
FLOW_64THS = (np.round(FLOW * 64) / 64).astype(np.float32)


@dataclass(frozen=True)
class Format:
    """A file name, how to write a sound file, how to read one, what reading promises.

    `checked`: the format has checksums over everything that is read, so damage never changes values.
    `whole`: a file that is cut off never reads as anything else.
    `most_bytes`: of memory for a file of less than a kilobyte.
    """

    name: str
    write: Callable[[Path], Any]
    read: Callable[[Path], Any]
    promised: Callable[[Any], bool]
    checked: bool = False
    whole: bool = True
    most_bytes: int = 64 * 2**20


def an_array(dtype, *dimensions):
    """Return the promise of an array: None is any size, at least 1."""

    def promised(value):
        fits = len(value.shape) == len(dimensions) and all(
            size > 0 and wanted in (None, size) for size, wanted in zip(value.shape, dimensions, strict=True)
        )
        return fits and value.dtype == dtype and value.dtype.isnative

    return promised


def save(**options):
    return lambda path: Image.fromarray(PIXELS).save(path, **options)


def interlaced_png(path):
    """A PNG that says it is interlaced, which the quick decoder leaves to Pillow."""
    buffer = io.BytesIO()
    Image.fromarray(IDS[:1, :1]).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[28] = 1
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    path.write_bytes(data)


def grey_sixteen(path):
    Image.fromarray(IDS.astype(np.uint16) * 5000).save(path)


def flow_picture(path):
    codes = PIXELS.copy()
    codes[..., 2] = 0
    Image.fromarray(codes).save(path)
    range_path(path).write_text("0.5 12.25")


def flow_range(path):
    flow_picture(path.with_name("range.png"))


def definition(path):
    labelled = (LabelledFrame(0, "cats01_0000_gt.ppm", "cats01_0001.ppm"), LabelledFrame(9, "b.ppm", ""))
    write_definition(path, Definition((0, 255, 65280), 10, labelled))


def regions(path):
    write_pnm(path, np.stack([0 * IDS, 0 * IDS, IDS], axis=-1))


def poses(path):
    pose = np.vstack([RANDOM.normal(size=(3, 4)), [0, 0, 0, 1]])
    write_cameras(path, {6: (pose, pose), 7: (pose, pose)})


def is_cameras(value):
    return all(
        isinstance(frame, int) and all(an_array(np.float64, 4, 4)(pose) for pose in pair)
        for frame, pair in value.items()
    )


def pair_of_frames():
    return Video("cat", [PIXELS, PIXELS[::-1].copy()], ("0", "1"))


class Estimator:
    name = "fixed"
    settings = {"kind": "fixed"}  # noqa: RUF012, never changed

    def __call__(self, first, second):
        return FLOW.astype(np.float16).astype(np.float32)


def cache_entry(path):
    _ = attach_flow(pair_of_frames(), Estimator(), path.parent / "cache").flow[0]
    (entry,) = (path.parent / "cache").rglob("*.npz")
    path.write_bytes(entry.read_bytes())


def read_cached(path):
    (entry,) = (path.parent / "cache").rglob("*.npz")
    entry.write_bytes(path.read_bytes())
    return attach_flow(pair_of_frames(), Estimator(), path.parent / "cache").flow[0]


def read_folder(path):
    video = open_folder(path.parent)
    return np.stack(list(video.frames))


def provenance(path):
    write_provenance(
        path.parent, describe("dis", {"preset": "fast"}, "forward", {"00000": "a0", "00001": "b1"})
    )


def video(path):
    write_video(path, [np.full((32, 48, 3), 30 * index, np.uint8) for index in range(4)], 5.0)


def read_first_frames(path):
    frames = VideoFile(path)
    return np.stack([frames[index] for index in range(min(len(frames), 4))])


def coco(path):
    image = {"id": 1, "file_name": "a.jpg", "height": HEIGHT, "width": WIDTH}
    cat = {"id": 1, "image_id": 1, "category_id": 3, "iscrowd": 0, "area": 12, "bbox": [1, 2, 4, 3]}
    crowd = cat | {"id": 2, "iscrowd": 1}
    cat["segmentation"] = [[1, 2, 5, 2, 5, 5, 1, 5]]
    crowd["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": [0, 9, 108]}
    categories = [{"id": 3, "name": "cat", "supercategory": "animal"}]
    path.write_text(json.dumps({"images": [image], "annotations": [cat, crowd], "categories": categories}))


def read_coco(path):
    file = CocoFile(path)
    return [file.mask(thing, index) for index in range(len(file)) for thing in file.objects(index)]


def boxes(path):
    path.write_text(
        "<annotation><size><width>13</width><height>9</height></size><object><trackid>0</trackid>"
        "<name>n02691156</name><bndbox><xmax>9</xmax><xmin>2</xmin><ymax>7</ymax><ymin>1</ymin></bndbox>"
        "</object></annotation>"
    )


def matlab(path):
    from scipy.io import savemat

    savemat(path, {"GTcls": {"Segmentation": IDS, "CategoriesPresent": np.arange(3.0)}}, do_compression=True)


FRAME = an_array(np.uint8, None, None, 3)
A_FLOW = an_array(np.float32, 2, None, None)

FORMATS = {
    "flo": Format("a.flo", lambda p: write_flo(p, FLOW), read_flo, A_FLOW),
    "pfm": Format("a.pfm", lambda p: write_pfm(p, FLOW[0]), read_pfm, an_array(np.float32, None, None)),
    "pfm_big_endian": Format(
        "a.pfm",
        lambda p: p.write_bytes(
            b"PF\n%d %d\n1.0\n" % FLOW.shape[:0:-1] + np.stack([*FLOW, FLOW[0]], -1).astype(">f4").tobytes()
        ),
        read_flow_pfm,
        A_FLOW,
    ),
    "kitti": Format("a.png", lambda p: write_kitti(p, FLOW_64THS), lambda p: read_kitti(p)[0], A_FLOW, True),
    "flow_picture": Format("a.png", flow_picture, read_angle_magnitude, A_FLOW),
    "flow_range": Format(
        "range_magnitude_minmax.txt",
        flow_range,
        lambda p: read_angle_magnitude(p.with_name("range.png")),
        A_FLOW,
        whole=False,
    ),
    "flow_cache": Format("a.npz", cache_entry, read_cached, an_array(np.float32, 2, HEIGHT, WIDTH), True),
    "provenance": Format(
        FILE, provenance, lambda p: read_provenance(p.parent), lambda v: isinstance(v, dict)
    ),
    "camera": Format("camera_data.txt", poses, read_cameras, is_cameras, whole=False),
    "ids": Format("a.png", lambda p: write_ids(p, IDS), read_ids, an_array(np.uint8, None, None), True),
    "ids_grey": Format(
        "a.png", lambda p: Image.fromarray(IDS).save(p), read_ids, an_array(np.uint8, None, None), True
    ),
    "ids_one_bit": Format(
        "a.png",
        lambda p: Image.fromarray(IDS > 1).save(p),
        read_ids,
        an_array(np.uint8, None, None),
        True,
    ),
    "ids_interlaced": Format("a.png", interlaced_png, read_ids, an_array(np.uint8, None, None)),
    "palette": Format(
        "a.png", lambda p: write_ids(p, IDS), read_palette, lambda v: v is None or v.shape == (256, 3)
    ),
    "pgm": Format("a.pgm", lambda p: write_pnm(p, IDS), read_pnm, lambda v: v.dtype == np.uint8 and v.size),
    "ppm": Format(
        "a.ppm", lambda p: write_pnm(p, PIXELS), read_pnm, lambda v: v.dtype == np.uint8 and v.size
    ),
    "definition": Format(
        "aDef.dat", definition, read_definition, lambda v: isinstance(v, Definition), whole=False
    ),
    "regions": Format(
        "a.ppm", regions, lambda p: read_regions(p, (0, 1, 2, 3)), an_array(np.uint8, None, None)
    ),
    "labels": Format(
        "a.png", lambda p: write_ids(p, IDS), read_labels, an_array(np.uint32, None, None), whole=False
    ),
    "levels_16_bits": Format(
        "a.png",
        grey_sixteen,
        lambda p: decode_mask(p.read_bytes(), p, by_object=True).values,
        lambda v: v.dtype in (np.uint8, np.uint16) and v.ndim == 2,
    ),
    "mask": Format(
        "a.png", lambda p: write_frame(p, PIXELS), read_mask, an_array(np.bool_, None, None), whole=False
    ),
    **{
        f"frame_{suffix}": Format(f"a.{suffix}", save(**options), read_frame, FRAME, whole=False)
        for suffix, options in {
            "png": {},
            "jpg": {"quality": 90},
            "bmp": {},
            "ppm": {},
            "webp": {"lossless": True},
            "tif": {"compression": "tiff_lzw"},
            "tiff": {},
        }.items()
    },
    "image_size": Format(
        "a.jpg", lambda p: write_frame(p, PIXELS), image_size, lambda v: min(v) > 0, whole=False
    ),
    "frame_folder": Format(
        "frames/00000.png",
        lambda p: write_frame(p, PIXELS),
        read_folder,
        an_array(np.uint8, 1, None, None, 3),
        whole=False,
    ),
    "video_file": Format(
        "a.avi", video, read_first_frames, an_array(np.uint8, None, None, None, 3), whole=False
    ),
    "json": Format("a.json", coco, read_json, lambda v: isinstance(v, dict)),
    "coco": Format(
        "a.json",
        coco,
        read_coco,
        lambda v: all(an_array(np.bool_, None, None)(mask) for mask in v),
        # nothing but the file says how large the image is that a polygon lies in
        most_bytes=2**29,
    ),
    "voc_xml": Format("a.xml", boxes, read_boxes, lambda v: min(v[0]) > 0),
    "mat5": Format(
        "a.mat",
        matlab,
        lambda p: read_struct(p, "GTcls"),
        lambda v: all(isinstance(field, np.ndarray) for field in v.values()),
        whole=False,
    ),
}
REACHED_THROUGH_OTHERS = {"png_palette", "png_pixels", "run_length"}
WITH_TESTS_OF_THEIR_OWN = {"file_checks", "caffemodel", "coco_results", "detectron_pickle"}
SLOW = {"video_file": 15}


def test_no_module_of_formats_is_forgotten():
    (folder,) = vosbench.formats.__path__
    modules = {path.stem for path in Path(folder).glob("[!_]*.py")}
    text = Path(__file__).read_text(encoding="utf-8")
    imported = set(re.findall(r"^from vosbench\.formats\.(\w+) import", text, re.MULTILINE))
    assert modules == imported | REACHED_THROUGH_OTHERS | WITH_TESTS_OF_THEIR_OWN


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """Return a function: name of a format -> the path of a sound file, its bytes, its value."""
    known = {}

    def make(name):
        if name not in known:
            form = FORMATS[name]
            path = tmp_path_factory.mktemp(name) / form.name
            path.parent.mkdir(exist_ok=True)
            form.write(path)
            known[name] = path, path.read_bytes(), form.read(path)
        return known[name]

    return make


def equal(first, second):
    if isinstance(first, np.ndarray):
        return isinstance(second, np.ndarray) and np.array_equal(first, second)
    return bool(first == second)


def outcome(name, path, content):
    """Read the file with this content; return its value, or None when it is refused as it should be."""
    form = FORMATS[name]
    path.write_bytes(content)
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    try:
        value = form.read(path)
    except InputError as error:
        message = str(error)
        assert path.name in message or path.stem in message or path.parent.name in message, message
        assert "\n" not in message, message
        value = None
    else:
        assert form.promised(value), value
    _, peak = tracemalloc.get_traced_memory()
    assert peak - before < form.most_bytes
    return value


@pytest.fixture(autouse=True, scope="module")
def traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("name", FORMATS)
def test_sound_files_are_read(name, sound):
    path, content, value = sound(name)
    assert FORMATS[name].promised(value)
    if not isinstance(value, (dict, list, tuple)):
        assert equal(outcome(name, path, content), value)


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_is_cut_off_is_refused_or_lost_nothing(name, sound):
    path, content, value = sound(name)
    step = 1 + len(content) // (20 if name in SLOW else 30)
    ends = sorted({*range(0, len(content), step), *range(max(len(content) - 12, 0), len(content))})
    if name == "pfm_big_endian":
        # flow that lost a third is a sound file of two channels
        ends = [end for end in ends if end != len(content) - 4 * HEIGHT * WIDTH]
    for end in ends:
        cut = outcome(name, path, content[:end])
        if FORMATS[name].whole or FORMATS[name].checked:
            assert cut is None or same(cut, value), end


def same(first, second):
    if isinstance(first, list):
        return len(first) == len(second) and all(map(equal, first, second))
    return equal(first, second)


HUGE = (0, 1, 255, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 40_000)


@st.composite
def damage(draw):
    """Return a function: sound bytes -> damaged bytes."""
    kind = draw(
        st.sampled_from(["flip", "field", "digits", "prepend", "remove", "repeat", "overwrite", "swap"])
    )
    where = draw(st.floats(0, 1, exclude_max=True))
    seed = draw(st.integers(0, 2**32 - 1))

    def apply(content):
        random = np.random.default_rng(seed)
        data = bytearray(content)
        # half of all damage is where headers are
        at = int(where * len(data)) if seed % 2 else int(where * min(len(data), 64))
        length = int(random.integers(1, 40))
        if kind == "flip":
            for position in {at, *random.integers(0, len(data), seed % 4).tolist()}:
                data[position] ^= 1 << int(random.integers(8))
        elif kind == "field":
            order = "<" if seed % 4 < 2 else ">"
            size = "HI"[seed // 4 % 2]
            value = HUGE[seed // 8 % len(HUGE)] % (2**16 if size == "H" else 2**32)
            data[at : at + struct.calcsize(size)] = struct.pack(order + size, value)
        elif kind == "digits":
            numbers = [match.span() for match in re.finditer(rb"[0-9]+", data)] or [(at, at)]
            start, end = (
                numbers[seed // 2 % len(numbers)] if seed % 2 else numbers[seed // 2 % min(3, len(numbers))]
            )
            data[start:end] = [b"0", b"-1", b"999999", b"99999999", b"9" * 5000, b"1e9", b"", b"\xb2"][
                seed % 8
            ]
        elif kind == "prepend":
            data[:0] = random.bytes(length)
        elif kind == "remove":
            del data[at : at + length]
        elif kind == "repeat":
            data[at:at] = data[at : at + length] * int(random.integers(1, 4))
        elif kind == "overwrite":
            data[at : at + length] = random.bytes(length)
        else:
            data[at : at + 4] = data[at : at + 4][::-1]
        return bytes(data)

    return apply


@pytest.mark.parametrize("name", FORMATS)
def test_damage_is_named_or_harmless(name, sound):
    path, content, value = sound(name)

    @settings(
        max_examples=SLOW.get(name, 40),
        deadline=5000,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(damage())
    def check(apply):
        read = outcome(name, path, apply(content))
        if FORMATS[name].checked:
            assert read is None or same(read, value)

    check()


def png_of_size(content, width, height):
    """The PNG with another size in its header, and the checksum that goes with it."""
    header = b"IHDR" + struct.pack(">II", width, height) + content[24:29]
    return content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:]


def with_numbers(content, width, height):
    """The text header with another size in place of its first two numbers."""
    return content.replace(f"{WIDTH} {HEIGHT}".encode(), f"{width} {height}".encode(), 1)


SIZED = {
    "flo": lambda content, w, h: content[:4] + struct.pack("<II", w, h) + content[12:],
    "pfm": with_numbers,
    "pfm_big_endian": with_numbers,
    "pgm": with_numbers,
    "ppm": with_numbers,
    "frame_ppm": with_numbers,
    "frame_bmp": lambda content, w, h: content[:18] + struct.pack("<II", w, h) + content[26:],
    **dict.fromkeys(
        (
            "kitti",
            "ids",
            "ids_grey",
            "ids_one_bit",
            "ids_interlaced",
            "labels",
            "mask",
            "frame_png",
            "flow_picture",
        ),
        png_of_size,
    ),
}


@pytest.mark.parametrize("name", SIZED)
@pytest.mark.parametrize(
    "size",
    [
        (2**31 - 1, 2**31 - 1),
        (2**32 - 1, 1),
        (1, 2**31 - 1),
        (30_000, 30_000),
        (8000, 8000),
        (2**16, 2**16),
        (0, 9),
    ],
)
def test_a_size_that_the_pixels_do_not_fill_is_refused_before_memory_is_taken(name, size, sound):
    path, content, _ = sound(name)
    changed = SIZED[name](content, *size)
    assert changed != content
    assert outcome(name, path, changed) is None


def test_an_entry_of_the_cache_that_claims_a_huge_array_is_computed_again(sound):
    path, _, value = sound("flow_cache")
    header = b"{'descr': '<f2', 'fortran_order': False, 'shape': (2, 90000, 90000), }".ljust(117) + b"\n"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("flow.npy", array + bytes(4 * HEIGHT * WIDTH))
    assert equal(outcome("flow_cache", path, buffer.getvalue()), value)
