"""Masks of one object as pictures, in whatever colours."""

import numpy as np
import pytest
from PIL import Image

from vosbench.errors import InputError
from vosbench.formats.mask import read_mask
from vosbench.formats.png import davis_palette, write_ids

INSIDE = np.zeros((6, 8), bool)
INSIDE[1:4, 2:7] = True


def grey(level):
    return Image.fromarray(INSIDE * np.uint8(level))


@pytest.mark.parametrize(
    "image",
    [
        grey(1),
        grey(255),
        grey(200).convert("RGB"),
        Image.fromarray(INSIDE).convert("1"),
        grey(255).quantize(2),
        Image.fromarray(np.where(INSIDE[..., None], np.uint8([0, 0, 255]), np.uint8(0))),
        # id 8 of DAVIS is dark red, (64, 0, 0)
        Image.fromarray(davis_palette()[INSIDE * 8]),
        Image.merge("LA", [Image.new("L", (8, 6), 255), grey(255)]),
        Image.merge("RGBA", [Image.new("L", (8, 6), 255)] * 3 + [grey(255)]),
    ],
)
def test_the_object_in_every_form(tmp_path, image):
    image.save(tmp_path / "a.png")
    assert np.array_equal(read_mask(tmp_path / "a.png"), INSIDE)


@pytest.mark.parametrize("index", [1, 2, 8, 9, 20])
def test_an_indexed_mask_of_any_id(tmp_path, index):
    write_ids(tmp_path / "a.png", (INSIDE * index).astype(np.uint8))
    assert np.array_equal(read_mask(tmp_path / "a.png"), INSIDE)


def test_soft_edges_are_cut_at_half(tmp_path):
    Image.fromarray(np.array([[0, 127, 128, 255]], np.uint8)).save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png").tolist() == [[False, False, True, True]]


def test_a_mask_in_its_transparency_only_is_refused(tmp_path):
    Image.merge("LA", [Image.new("L", (8, 6)), grey(255)]).save(tmp_path / "a.png")
    with pytest.raises(InputError, match="in its transparency only"):
        read_mask(tmp_path / "a.png")
