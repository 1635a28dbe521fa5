import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from vosbench.errors import InputError
from vosbench.formats.kitti import read_kitti, write_kitti


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_by_hand(pixels, *, extra=b"", bits=16, colour=2):
    """(H, W, 3) integers, red first, as a PNG without filters."""
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in np.asarray(pixels))
    height, width = np.shape(pixels)[:2]
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = chunk(b"IHDR", header) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def test_values_by_hand(tmp_path):
    # the development kit: u = (R - 2^15) / 64, v = (G - 2^15) / 64, B is 1 where there is flow
    zero = 2**15
    pixels = [[(zero + 64, zero - 128, 1), (zero, zero + 1, 1)], [(0, 65535, 1), (0, 0, 0)]]
    (tmp_path / "a.png").write_bytes(png_by_hand(pixels))
    flow, valid = read_kitti(tmp_path / "a.png")
    assert flow.dtype == np.float32
    assert flow[0].tolist() == [[1, 0], [-512, 0]]
    assert flow[1].tolist() == [[-2, 1 / 64], [511.984375, 0]]
    assert valid.tolist() == [[True, True], [True, False]]


def test_what_is_written_is_read_to_a_64th(tmp_path):
    flow = np.random.default_rng(0).uniform(-511, 511, (2, 30, 41)).astype(np.float32)
    valid = np.random.default_rng(1).random((30, 41)) > 0.3
    write_kitti(tmp_path / "a.png", flow, valid)
    read, known = read_kitti(tmp_path / "a.png")
    assert np.array_equal(known, valid)
    assert np.abs(read - flow)[:, valid].max() <= 1 / 128
    assert not read[:, ~valid].any()
    stored = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED)
    assert stored.dtype == np.uint16
    assert np.array_equal(stored[..., 2][valid], np.round(flow[0][valid] * 64) + 2**15)


def test_transparency_and_gamma_beside_the_pixels_do_not_matter(tmp_path):
    extra = chunk(b"gAMA", struct.pack(">I", 45455)) + chunk(b"tRNS", struct.pack(">HHH", 2**15, 2**15, 1))
    pixels = np.full((3, 4, 3), (2**15, 2**15, 1))
    (tmp_path / "a.png").write_bytes(png_by_hand(pixels, extra=extra))
    flow, valid = read_kitti(tmp_path / "a.png")
    assert flow.shape == (2, 3, 4)
    assert not flow.any()
    assert valid.all()


def test_eight_bits_are_refused(tmp_path):
    Image.fromarray(np.zeros((3, 4, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.png: not a flow PNG of KITTI"):
        read_kitti(tmp_path / "a.png")


def test_a_cut_file_is_refused_wherever_it_is_cut(tmp_path):
    write_kitti(tmp_path / "a.png", np.random.default_rng(0).normal(0, 9, (2, 20, 30)).astype(np.float32))
    content = (tmp_path / "a.png").read_bytes()
    end_of_pixels = content.index(b"IEND") - 8
    for end in range(0, end_of_pixels, 97):
        (tmp_path / "a.png").write_bytes(content[:end])
        with pytest.raises(InputError, match=r"a\.png: "):
            read_kitti(tmp_path / "a.png")


@pytest.mark.parametrize("value", [512, -512.1, np.nan, np.inf])
def test_flow_out_of_range_is_not_clipped(tmp_path, value):
    with pytest.raises(InputError, match=r"a\.png: flow of 512 pixels or more.*write \.flo"):
        write_kitti(tmp_path / "a.png", np.full((2, 2, 2), value, np.float32))
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"a\.png: no such file"):
        read_kitti(tmp_path / "a.png")
