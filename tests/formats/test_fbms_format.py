import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vosbench.errors import InputError
from vosbench.formats.fbms import (
    Definition,
    LabelledFrame,
    read_definition,
    read_labels,
    read_regions,
    write_definition,
)
from vosbench.formats.png import davis_palette
from vosbench.formats.pnm import write_pnm

# Headings and order as the released evaluation program reads them; values made up.
TEXT = """Ground truth definition file; do not change!

Total number of regions:
3
Scale of region 0:
16777215
Scale of region 1:
65535
Scale of region 2:
200

Confusion penality matrix:
0 1 1
1 0 0.5
1 0.5 0

Total number of frames in this shot:
800
Total number of labeled frames for this shot:
2
Frame number:
0
File name:
cats03_0001_gt.ppm
Input file name:
cats03_0001.ppm
Frame number:
799
File name:
cats03_0800_gt.ppm
Input file name:
cats03_0800.ppm
"""


def read(tmp_path, text):
    path = tmp_path / "aDef.dat"
    path.write_bytes(text.encode())
    return read_definition(path)


def test_a_definition_file(tmp_path):
    expected = Definition(
        colours=(16777215, 65535, 200),
        frames=800,
        labelled=(
            LabelledFrame(0, "cats03_0001_gt.ppm", "cats03_0001.ppm"),
            LabelledFrame(799, "cats03_0800_gt.ppm", "cats03_0800.ppm"),
        ),
    )
    assert read(tmp_path, TEXT) == expected
    assert read(tmp_path, TEXT.replace("\n", "\r\n")) == expected


def test_blank_lines_between_regions_and_paths_of_the_annotator(tmp_path):
    text = TEXT.replace("Scale", "\nScale").replace("cats03_0001_gt", r"D:\data\cats03_0001_gt")
    assert read(tmp_path, text).labelled[0].map == "cats03_0001_gt.ppm"


def test_names_of_frames_may_be_missing(tmp_path):
    bare = TEXT.replace("cats03_0001.ppm\n", "\n").replace("Input file name:\ncats03_0800.ppm\n", "")
    assert [item.frame for item in read(tmp_path, bare).labelled] == ["", ""]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "regions:\n3",
            "regions:\nthree",
            r"aDef\.dat, line 4: expected the number of regions, found 'three'",
        ),
        ("regions:\n3", "regions:\n0", "line 4: 0 regions, but 1 to 255"),
        ("regions:\n3", "regions:\n999999999", "line 4: 999999999 regions"),
        ("regions:\n3", "regions:\n4", "expected 'scale of region', found 'Confusion"),
        ("65535", "16777216", "line 8: scale 16777216 is no colour"),
        ("65535", "-1", "expected the scale of a region, found '-1'"),
        ("799", "0", "frame 0 has a second map, cats03_0800_gt.ppm"),
        ("shot:\n2\n", "shot:\n3\n", r"aDef\.dat: truncated, it ends before 'frame number'"),
        ("File name:\ncats03_0800_gt.ppm", "File name:\n/", "expected a file name"),
        ("labeled frames", "frames", "truncated, it ends before 'total number of labeled frames'"),
        (TEXT, "", "truncated, it ends before 'total number of regions'"),
    ],
)
def test_damage_is_named(tmp_path, old, new, message):
    assert TEXT.count(old)
    with pytest.raises(InputError, match=message):
        read(tmp_path, TEXT.replace(old, new))


def test_every_truncation_is_an_error_of_one_line(tmp_path):
    whole = TEXT.rstrip().removesuffix("cats03_0800.ppm").rstrip().removesuffix("Input file name:").rstrip()
    last_name = whole.rindex("cats03")
    for end in range(last_name + 1):
        with pytest.raises(InputError, match=r"aDef\.dat") as caught:
            read(tmp_path, TEXT[:end])
        assert "\n" not in str(caught.value)


LINES = st.sampled_from([*TEXT.splitlines(), "7", "-3", "9" * 30, "²", "a/", "\0"])


def outcome(path):
    """Return "a definition", or the lines of the message of the error."""
    try:
        read_definition(path)
    except InputError as error:
        return str(error).splitlines()
    return "a definition"


def is_clear(result, path):
    return result == "a definition" or (len(result) == 1 and result[0].startswith(str(path)))


@given(text=st.one_of(st.text(max_size=200), st.lists(LINES, max_size=40).map("\n".join)))
def test_any_text_gives_a_definition_or_one_clear_error(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("fuzz") / "aDef.dat"
    path.write_bytes(text.encode())
    assert is_clear(outcome(path), path)


@given(place=st.integers(0, len(TEXT) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_never_crashes(tmp_path_factory, place, bit):
    content = bytearray(TEXT.encode())
    content[place] ^= 1 << bit
    path = tmp_path_factory.mktemp("flip") / "aDef.dat"
    path.write_bytes(content)
    assert is_clear(outcome(path), path)


NAMES = st.from_regex(r"[a-z]{1,8}[0-9]{0,4}_gt\.ppm", fullmatch=True)
DEFINITIONS = st.builds(
    Definition,
    st.lists(st.integers(0, 2**24 - 1), min_size=1, max_size=6).map(tuple),
    st.integers(1, 1000),
    st.lists(
        st.builds(LabelledFrame, st.integers(0, 999), NAMES, st.just("") | NAMES),
        max_size=5,
        unique_by=lambda item: item.number,
    ).map(tuple),
)


@given(definition=DEFINITIONS)
def test_what_is_written_is_read(tmp_path_factory, definition):
    path = tmp_path_factory.mktemp("round") / "aDef.dat"
    write_definition(path, definition)
    assert read_definition(path) == definition


def test_too_large_a_file(tmp_path):
    (tmp_path / "aDef.dat").write_bytes(b"\n" * (2**20 + 1))
    with pytest.raises(InputError, match="larger than 1 MiB"):
        read_definition(tmp_path / "aDef.dat")


WHITE, CYAN = (255, 255, 255), (0, 255, 255)


def test_colours_become_regions_and_others_void(tmp_path):
    write_pnm(tmp_path / "a.ppm", np.array([[WHITE, CYAN, (0, 0, 200), (9, 9, 9)]], np.uint8))
    assert read_regions(tmp_path / "a.ppm", (16777215, 65535, 200)).tolist() == [[0, 1, 2, 255]]
    write_pnm(tmp_path / "a.pgm", np.array([[0, 155, 40, 9]], np.uint8))
    assert read_regions(tmp_path / "a.pgm", (0, 155, 40)).tolist() == [[0, 1, 2, 255]]


def test_pixels_of_no_probability_are_void(tmp_path):
    write_pnm(tmp_path / "a.ppm", np.array([[WHITE, CYAN, CYAN]], np.uint8))
    write_pnm(tmp_path / "a.pgm", np.array([[255, 0, 1]], np.uint8))
    assert read_regions(tmp_path / "a.ppm", (16777215, 65535)).tolist() == [[0, 255, 1]]
    assert read_regions(tmp_path / "a.ppm", (16777215, 65535), probabilities=False).tolist() == [[0, 1, 1]]
    write_pnm(tmp_path / "a.pgm", np.zeros((2, 3), np.uint8))
    with pytest.raises(InputError, match=r"a\.pgm: not a grey map of the size of a\.ppm"):
        read_regions(tmp_path / "a.ppm", (16777215, 65535))


def test_a_map_without_any_listed_colour(tmp_path):
    write_pnm(tmp_path / "a.ppm", np.array([[CYAN]], np.uint8))
    with pytest.raises(InputError, match=r"a\.ppm: no pixel has a colour of its definition file"):
        read_regions(tmp_path / "a.ppm", (16777215,))


@pytest.mark.parametrize("mode", ["L", "P", "LA", "RGB", "RGBA"])
def test_labels_of_every_kind_of_png(tmp_path, mode):
    image = Image.fromarray(np.array([[0, 3, 255]], np.uint8))
    if mode == "P":
        image.putpalette([1, 2, 3] * 256)
    elif mode != "L":
        image = image.convert(mode)
    image.save(tmp_path / "a.png")
    assert read_labels(tmp_path / "a.png").tolist() == [[0, 3, 255]]


def test_labels_with_a_palette_in_another_order(tmp_path):
    image = Image.fromarray(np.array([[2, 0, 1]], np.uint8))
    image.putpalette(davis_palette()[[1, 2, 0]].tobytes())
    image.save(tmp_path / "a.png")
    assert read_labels(tmp_path / "a.png").tolist() == [[0, 1, 2]]


def test_coloured_labels_stay_apart_from_grey_ones(tmp_path):
    Image.fromarray(np.array([[(0, 0, 5), (5, 5, 5), (255, 0, 0)]], np.uint8)).save(tmp_path / "a.png")
    values = read_labels(tmp_path / "a.png")[0].tolist()
    assert values[1] == 5
    assert len(set(values)) == 3


def test_label_files_that_cannot_be_read(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"a\.png: not a readable image"):
        read_labels(path)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 40), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(InputError, match=r"a\.png: not a readable image"):
        read_labels(path)
    Image.fromarray(np.zeros((2, 2), np.uint16)).save(path)
    with pytest.raises(InputError, match="more than 8 bits per pixel"):
        read_labels(path)
