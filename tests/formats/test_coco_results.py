import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vosbench.errors import InputError
from vosbench.formats.coco_results import detections_by_frame
from vosbench.video import Video

VIDEO = Video("dog", [np.zeros((4, 6, 3), np.uint8)] * 2, ("00000", "00001"))
WHERE = Path("found/dog.json")


def read(content):
    return detections_by_frame(json.dumps(content).encode(), WHERE, VIDEO)


def test_detections_are_grouped_by_frame_in_the_order_of_the_file():
    first, second, third = (
        {"image_id": name, "score": score} for name, score in (("00001", 1), ("00000", 2), ("00001", 3))
    )
    assert read([first, second, third]) == {"00001": [first, third], "00000": [second]}
    assert read([]) == {}


@pytest.mark.parametrize("content", [b"", b"[", b"\xff", b"[" * 100_000])
def test_rubbish(content):
    with pytest.raises(InputError, match=r"dog\.json: not a JSON file"):
        detections_by_frame(content, WHERE, VIDEO)


@pytest.mark.parametrize("content", [{}, 3, None, [[]], [{"image_id": "00000"}, "x"]])
def test_no_list_of_detections(content):
    with pytest.raises(InputError, match=r"dog\.json: expected a list of detections"):
        read(content)


@pytest.mark.parametrize("name", [0, None, "00002", ["00000"]])
def test_frames_are_called_by_their_name(name):
    with pytest.raises(InputError, match=r"detection 2 has image_id .*of dog, as text, e\.g\. '00000'"):
        read([{"image_id": "00000"}, {"image_id": name}])


@given(st.data())
def test_damage_is_named_or_harmless(data):
    sound = json.dumps([{"image_id": "00001", "score": 0.5}, {"image_id": "00000", "score": 1}]).encode()
    start = data.draw(st.integers(0, len(sound)))
    end = data.draw(st.integers(start, len(sound)))
    damaged = sound[:start] + data.draw(st.binary(max_size=8)) + sound[end:]
    found = {}
    with contextlib.suppress(InputError):
        found = detections_by_frame(damaged, WHERE, VIDEO)
    assert set(found) <= set(VIDEO.frame_names)
