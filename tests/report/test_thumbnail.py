import io

import numpy as np
import pytest
from PIL import Image

from vosbench.report.thumbnail import thumbnail


@pytest.mark.parametrize(("width", "size"), [(50, (50, 25)), (200, (200, 100)), (1, (1, 1))])
def test_thumbnail_is_a_jpeg_of_that_width(width, size):
    frame = np.full((50, 100, 3), (200, 10, 10), np.uint8)
    image = Image.open(io.BytesIO(thumbnail(frame, width)))
    assert (image.format, image.size) == ("JPEG", size)
    assert np.abs(np.asarray(image)[0, 0].astype(int) - (200, 10, 10)).max() < 8
