import io

import numpy as np
import pytest
from PIL import Image

from vosbench.leaderboard.html.thumbnail import thumbnail, thumbnail_size


@pytest.mark.parametrize(("width", "size"), [(50, (50, 25)), (1, (1, 1)), (200, (100, 50))])
def test_a_thumbnail_keeps_its_proportions_and_is_never_larger_than_the_frame(width, size):
    assert thumbnail_size((50, 100), width) == size


def test_a_thumbnail_is_webp_of_that_size():
    frame = np.full((50, 100, 3), (200, 10, 10), np.uint8)
    image = Image.open(io.BytesIO(thumbnail(frame, (40, 20))))
    assert (image.format, image.size) == ("WEBP", (40, 20))
    assert np.abs(np.asarray(image)[0, 0].astype(int) - (200, 10, 10)).max() < 8
