"""Every reader, given damaged files: a value or one clear line, in bounded time and memory.

The same program reads more than 100 000 files: ``python benchmarks/soak/hostile_files.py``.
"""

import json
import random

import pytest

from vosbench.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

FILES = 25
NAMES = (
    *(
        "frame, png",
        "frame, jpg",
        "frame, bmp",
        "frame, webp",
        "frame, tif",
        "frame, CMYK",
    ),
    *(
        "size of a frame",
        "soft mask, 16-bit PNG",
        "ids, PNG",
        "palette",
        "labels, PNG",
        "mask, PNG",
    ),
    *(
        "regions, PPM",
        "PGM",
        "PPM",
        "flow as a picture",
        "video file",
        "flow, .flo",
        "flow, .pfm",
    ),
    *(
        "flow, KITTI",
        "flow, cache",
        "camera poses",
        "MATLAB",
        "pickle of Detectron",
        "Caffe model",
    ),
    *(
        "COCO",
        "detections",
        "YouTube-VOS",
        "provenance of flow",
        "FBMS definition",
        "VOC boxes",
    ),
    *(
        "BibTeX",
        "record",
        "record, as tables",
        "failure",
        "baseline",
        "published numbers",
    ),
    *(
        "note of a prediction",
        "suite",
        "reported numbers",
        "deviations",
        "protocol",
        "archive, zip",
    ),
    *(
        "archive, tar",
        "archive, tar.gz",
        "results, zip",
        "results, .npy",
        "results, .npz",
    ),
    *("results, .dat",),
)
"""Of the readers that need no PyTorch; the others have tests of their own."""


@pytest.fixture(scope="module")
def program(soak_program):
    return soak_program("hostile_files")


@pytest.fixture(scope="module")
def known(soak_program):
    return soak_program("readers").readers()


def test_every_reader_is_here(known):
    assert set(NAMES) == {name for name, reader in known.items() if not reader.torch}


@pytest.mark.parametrize("name", NAMES)
def test_damaged_files_end_as_a_value_or_one_line(program, known, name):
    tally = program.run(name, known[name], FILES, seed=1)
    assert tally.lost == {}
    assert tally.files == FILES
    # the first one is sound
    assert tally.outcomes["read"] >= 1


class Broken:
    """Readers with the faults that the program is there to see."""

    @staticmethod
    def loops(path):
        while True:
            pass

    @staticmethod
    def takes_all_memory(path):
        return bytearray(1 << 31)

    @staticmethod
    def fails(path):
        return {}[path.name]

    @staticmethod
    def ends_the_process(path):
        import os

        os._exit(3)

    @staticmethod
    def names_no_file(path):
        raise InputError("something is wrong")


@pytest.mark.parametrize(
    ("fault", "what"),
    [
        ("loops", "more than 0.05 s"),
        ("takes_all_memory", "MemoryError"),
        ("fails", "KeyError: 'a.txt'"),
        ("ends_the_process", "the process ended or hung"),
        ("names_no_file", "a message without the file"),
    ],
)
def test_the_program_sees_faults(program, soak_program, monkeypatch, tmp_path, fault, what):
    monkeypatch.setattr(program, "SECONDS", 0.05)
    reader = soak_program("readers").Reader(
        "a.txt", lambda path: path.write_text("x" * 99), getattr(Broken, fault)
    )
    tally = program.run("broken", reader, 3, seed=0, keep=tmp_path / "kept")
    assert sorted(tally.lost) == [0, 1, 2]
    assert all(what in text or "the sound file is not read" in text for text in tally.lost.values())
    assert what in tally.lost[1]
    assert len(list((tmp_path / "kept").iterdir())) == 3
    (row,) = program.content_of_results({"broken": tally}, "command")["rows"]
    assert (row["tried"], row["survived"], row["lost"]) == (3, 0, 3)


def test_the_same_number_is_the_same_file(program):
    sound = json.dumps({"a": [1, {"b": "c"}], "d": 0.5}).encode()
    for number in range(1, 40):
        one, other = (program.content_of("x", sound, number, 7, text=True) for _ in range(2))
        assert one == other
    contents = {program.content_of("x", sound, number, 7, text=True) for number in range(40)}
    assert len(contents) > 30
    assert program.content_of("x", sound, 0, 7, text=True) == sound


def test_damage_needs_no_content(program):
    for text in (True, False):
        assert program.damaged(b"", random.Random(0), text=text) == b""


def test_results_are_what_the_table_reads(program, tmp_path):
    out = tmp_path / "h.json"
    assert program.main(["--files", "60", "--only", "PGM;PPM", "--out", str(out)]) == 0
    content = json.loads(out.read_text())
    assert [row["subject"] for row in content["rows"]] == ["PGM", "PPM"]
    assert content["command"] == "python benchmarks/soak/hostile_files.py --files 60 --seed 0"
    keys = {"subject", "fault", "tried", "survived", "lost"}
    assert all(row.keys() == keys for row in content["rows"])
    assert program.main(["--files", "60", "--seed", "1", "--only", "PPM", "--out", str(out)]) == 0
    renewed = json.loads(out.read_text())
    assert renewed["command"] == content["command"]
    assert renewed["rows"][0] == content["rows"][0]
