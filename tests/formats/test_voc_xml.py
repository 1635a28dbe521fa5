import pytest
from hypothesis import given
from hypothesis import strategies as st

from vosbench.errors import InputError
from vosbench.formats.voc_xml import XmlObject, read_boxes

TEXT = """<annotation>
<folder>ILSVRC2015_val_00000000</folder><filename>000000</filename>
<size><width>1280</width><height>720</height></size>
<object>
  <trackid>0</trackid><name>n02084071</name>
  <bndbox><xmax>416</xmax><xmin>4</xmin><ymax>719</ymax><ymin>10</ymin></bndbox>
  <occluded>0</occluded><generated>1</generated>
</object>
<object>
  <name>dog</name><part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>
  <bndbox><xmin>1.5</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>
</object>
</annotation>
"""


def write(folder, text):
    path = folder / "000000.xml"
    path.write_text(text)
    return path


def test_size_and_boxes(tmp_path):
    size, objects = read_boxes(write(tmp_path, TEXT))
    assert size == (720, 1280)
    assert objects == [
        XmlObject("n02084071", 0, 4, 10, 412, 709),
        XmlObject("dog", None, 1.5, 2, 1.5, 2),
    ]


def test_a_frame_without_objects(tmp_path):
    text = "<annotation><size><width>8</width><height>6</height></size></annotation>"
    assert read_boxes(write(tmp_path, text)) == ((6, 8), [])


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb">]><a>&b;</a>'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no XML description"),
        ("no xml", "no XML description"),
        ("<annotation></annotation>", "no XML description"),
        (BOMB, "declares a document type"),
        (TEXT.replace("<width>1280</width>", "<width>0</width>"), "a frame of size 0x720"),
        (TEXT.replace("<ymin>10</ymin>", ""), "an object without ymin"),
        (TEXT.replace("<xmin>4</xmin>", "<xmin>417</xmin>"), "a box from 417.0"),
        (TEXT.replace("<xmin>4</xmin>", "<xmin>nan</xmin>"), "a box from nan"),
        (TEXT.replace("<trackid>0</trackid>", "<trackid>-1</trackid>"), "trackid -1"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, message):
    with pytest.raises(InputError, match=rf"000000\.xml: .*{message}"):
        read_boxes(write(tmp_path, text))


def test_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_boxes(tmp_path / "no.xml")


def is_clear(path):
    try:
        (height, width), objects = read_boxes(path)
    except InputError as error:
        return str(path) in str(error) and "\n" not in str(error)
    return min(height, width) > 0 and all(found.width >= 0 and found.height >= 0 for found in objects)


@given(end=st.integers(0, len(TEXT) - 3))
def test_a_truncated_file_is_an_error(tmp_path_factory, end):
    path = write(tmp_path_factory.mktemp("cut"), TEXT[:end])
    with pytest.raises(InputError, match=r"000000\.xml"):
        read_boxes(path)


@given(place=st.integers(0, len(TEXT) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_never_crashes(tmp_path_factory, place, bit):
    content = bytearray(TEXT.encode())
    content[place] ^= 1 << bit
    path = tmp_path_factory.mktemp("flip") / "000000.xml"
    path.write_bytes(content)
    assert is_clear(path)


@given(content=st.binary(max_size=80), encoding=st.text("abcdefghijklmnopqrstuvwxyz0123456789-", max_size=12))
def test_any_bytes_and_encodings_never_crash(tmp_path_factory, content, encoding):
    path = tmp_path_factory.mktemp("any") / "000000.xml"
    path.write_bytes(f'<?xml version="1.0" encoding="{encoding}"?><a>'.encode() + content)
    assert is_clear(path)
