"""Results in a zip archive, read where they lie."""

import io
import multiprocessing
import os
import pickle
import zipfile
import zlib
from functools import partial

import numpy as np
import pytest
from PIL import Image

from vosbench.errors import InputError
from vosbench.evaluation.results import trees as result_trees
from vosbench.evaluation.results.reader import ResultFolder
from vosbench.scoring.protocol import load_protocol
from vosbench.video import LazySequence, Video

DAVIS16 = load_protocol("davis16-unsupervised")
FBMS = load_protocol("fbms-official")
SIZE = (4, 6)


def clip(frames=3, labelled=()):
    empty = np.zeros((*SIZE, 3), np.uint8)
    truth = {t: np.zeros(SIZE, np.uint8) for t in labelled}
    names = tuple(f"{t:05}" for t in range(frames))
    return Video("dog", LazySequence(lambda t: empty, frames), names, truth)


def png(value, size=SIZE):
    ids = np.zeros(size, np.uint8)
    ids[0, 0] = value
    buffer = io.BytesIO()
    Image.fromarray(ids).save(buffer, format="PNG")
    return buffer.getvalue()


def pack(path, files, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def frames(folder="dog", values=(0, 1, 1)):
    return {f"{folder}/{t:05}.png": png(value) for t, value in enumerate(values)}


def opened(path, protocol=DAVIS16, video=None, **options):
    return ResultFolder.open(path, ["dog"], protocol, **options).read(video or clip())


def corners(masks):
    return [int(ids[0, 0]) for ids in masks.ids]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
def test_masks_in_a_zip(tmp_path, compression):
    path = pack(tmp_path / "results.zip", frames(), compression)
    assert corners(opened(path)) == [0, 1, 1]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("nesting", ["", "results/", "results/480p/", "./", "results\\"])
def test_the_root_may_lie_deeper(tmp_path, nesting):
    path = pack(tmp_path / "results.zip", {nesting + name: data for name, data in frames().items()})
    folder = ResultFolder.open(path, ["dog"], DAVIS16)
    assert corners(folder.read(clip())) == [0, 1, 1]
    inner = nesting.strip("./\\")
    assert folder.notes == ((f"masks found in {path / inner}",) if inner else ())


def test_what_a_mac_adds_is_passed_over(tmp_path):
    twins = {f"__MACOSX/dog/._{t:05}.png": b"mac" for t in range(3)}
    extra = {"dog/.DS_Store": b"mac", "dog/._00000.png": b"mac"}
    path = pack(tmp_path / "results.zip", frames() | twins | extra)
    masks = opened(path)
    assert corners(masks) == [0, 1, 1]
    assert masks.notes == ()


def test_two_result_sets_in_a_zip_are_ambiguous(tmp_path):
    path = pack(tmp_path / "results.zip", frames("a/dog") | frames("b/dog"))
    with pytest.raises(InputError, match=r"holds 2 result sets \(a, b\)"):
        opened(path)


def test_arrays_in_a_zip_are_read_frame_by_frame(tmp_path):
    masks = np.zeros((3, *SIZE), bool)
    masks[1:, 0, 0] = True
    for name, save in (("dog.npy", np.save), ("dog.npz", np.savez_compressed)):
        buffer = io.BytesIO()
        save(buffer, masks)
        path = pack(tmp_path / f"{name}.zip", {name: buffer.getvalue()})
        read = opened(path)
        assert [int(read.ids[t][0, 0]) for t in (2, 0, 1)] == [1, 0, 1]


def test_tracks_in_a_zip(tmp_path):
    path = pack(tmp_path / "results.zip", {"dog.dat": "3\n1\n4\n1\n0 0 0\n"})
    masks = opened(path, FBMS, clip(labelled=[0]))
    assert masks.ids[0][0, 0] == 4
    assert masks.partial


def test_an_opened_archive_travels_to_another_process(tmp_path):
    path = pack(tmp_path / "results.zip", frames())
    sent = pickle.dumps(ResultFolder.open(path, ["dog"], DAVIS16))
    assert len(sent) < 5000  # the table of contents stays behind
    assert corners(pickle.loads(sent).read(clip())) == [0, 1, 1]


def test_a_packed_again_archive_is_read_anew(tmp_path):
    path = pack(tmp_path / "results.zip", frames())
    assert corners(opened(path)) == [0, 1, 1]
    pack(path, frames(values=(1, 0, 0)))
    assert corners(opened(path)) == [1, 0, 0]


def test_files_inside_are_named_in_errors(tmp_path):
    path = pack(tmp_path / "results.zip", frames() | {"dog/00001.png": png(90)})
    with pytest.raises(InputError, match=r"results\.zip[\\/]dog[\\/]00001\.png: 2 grey levels up to 90"):
        corners(opened(path))


def test_missing_frames_and_sequences(tmp_path):
    path = pack(tmp_path / "results.zip", frames(values=(0, 1)))
    assert opened(path).notes == ("no mask of the last frame, which davis16-unsupervised does not evaluate",)
    path = pack(tmp_path / "results.zip", frames(values=(0,)))
    with pytest.raises(InputError, match="sequence dog lacks frame 00001"):
        opened(path)
    with pytest.raises(InputError, match="no results for 1 of 2 sequences: camel"):
        ResultFolder.open(path, ["dog", "camel"], DAVIS16)
    with pytest.raises(InputError, match="holds none of the 1 sequences"):
        ResultFolder.open(path, ["camel"], DAVIS16)


# --- damage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off"])
def test_a_damaged_archive(tmp_path, content):
    path = tmp_path / "results.zip"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"results\.zip: damaged zip archive"):
        opened(path)


def test_a_truncated_archive(tmp_path):
    path = pack(tmp_path / "results.zip", frames())
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"results\.zip: damaged zip archive"):
        opened(path)


def test_a_file_that_is_no_archive(tmp_path):
    path = tmp_path / "results.tar"
    path.write_bytes(b"something else")
    with pytest.raises(InputError, match="is no folder and no zip archive"):
        opened(path)


def test_a_damaged_member_is_named(tmp_path):
    path = pack(tmp_path / "results.zip", frames(), zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(b"IDAT") + 6] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"dog[\\/]00000\.png: damaged"):
        corners(opened(path))


def patched(path, field, value):
    """Set a 16-bit field of every member, in its local header and in the table of contents."""
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", field), (b"PK\x01\x02", field + 2)):
        start = data.find(signature)
        while start >= 0:
            data[start + offset : start + offset + 2] = value.to_bytes(2, "little")
            start = data.find(signature, start + 4)
    path.write_bytes(data)


def test_an_encrypted_archive(tmp_path):
    path = pack(tmp_path / "results.zip", frames())
    patched(path, 6, 1)
    with pytest.raises(InputError, match=r"00000\.png: is encrypted; unpack the archive"):
        corners(opened(path))


def test_an_unknown_compression(tmp_path):
    path = pack(tmp_path / "results.zip", frames())
    patched(path, 8, 97)
    with pytest.raises(InputError, match=r"00000\.png: damaged .*method is not supported"):
        corners(opened(path))


# --- bombs ----------------------------------------------------------------------------------------


def test_a_file_of_absurd_size_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(result_trees, "MOST_BYTES", 2**20)
    path = pack(tmp_path / "results.zip", frames() | {"dog/00001.png": bytes(3 * 2**20)})
    with pytest.raises(InputError, match=r"00001\.png: 3 MB for one frame, more than the 1"):
        corners(opened(path))


def test_a_picture_of_absurd_size_is_not_decoded(tmp_path):
    header = b"IHDR" + (60000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    bomb = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4, "big") + header + zlib.crc32(header).to_bytes(4, "big")
    path = pack(tmp_path / "results.zip", frames() | {"dog/00001.png": bomb})
    with pytest.raises(InputError, match="the mask is 60000x60000, the data set 6x4"):
        corners(opened(path))


def test_an_array_of_absurd_size_is_not_unpacked(tmp_path):
    buffer = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (3, 10**6, 10**6)}
    np.lib.format.write_array_header_1_0(buffer, header)
    path = pack(tmp_path / "results.zip", {"dog.npy": buffer.getvalue()})
    with pytest.raises(InputError, match="the mask is 1000000x1000000"):
        opened(path)


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_forked_process_reads_without_moving_its_parents_place_in_the_archive(tmp_path):
    # longer than what a reader fetches ahead
    padding = {"dog/notes.txt": np.random.default_rng(0).bytes(200_000)}
    path = pack(tmp_path / "results.zip", frames() | padding)
    tree = result_trees.open_tree(path)
    place = result_trees._archive(path).file.fp.fileno()
    before = os.lseek(place, 0, os.SEEK_CUR)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        (data,) = pool.map(partial(read_member, tree), ["dog/00001.png"])
    assert data == frames()["dog/00001.png"]
    assert os.lseek(place, 0, os.SEEK_CUR) == before


def read_member(tree, file):
    with tree.open(file) as stream:
        return stream.read()
