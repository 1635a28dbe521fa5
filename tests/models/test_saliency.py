import numpy as np
import pytest

from vosbench.models.saliency import REACH, SOFTNESS, _steps_until_absorbed, absorption_saliency


def walk(colours):
    """The same by dense matrices: fundamental matrix of the chain with a copy of every border cell."""
    height, width = colours.shape[:2]
    low, high = colours.min((0, 1)), colours.max((0, 1))
    values = (colours - low) / np.where(high > low, high - low, 1)
    cells = [(y, x) for y in range(height) for x in range(width)]
    border = [c for c in cells if c[0] in (0, height - 1) or c[1] in (0, width - 1)]

    def weight(a, b):
        near = max(abs(a[0] - b[0]), abs(a[1] - b[1])) <= REACH
        return np.exp(-np.linalg.norm(values[a] - values[b]) / SOFTNESS) if near else 0.0

    inner = np.array([[weight(a, b) * (a != b) for b in cells] for a in cells])
    outer = np.array([[weight(a, b) for b in border] for a in cells])
    transitions = inner / (inner.sum(1) + outer.sum(1))[:, None]
    steps = np.linalg.inv(np.eye(len(cells)) - transitions).sum(1)
    return steps.reshape(height, width)


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 2), (4, 7), (9, 6)])
def test_steps_are_those_of_an_absorbing_markov_chain(size):
    colours = np.random.default_rng(0).random((*size, 3))
    np.testing.assert_allclose(_steps_until_absorbed(colours), walk(colours), rtol=1e-9)


def test_what_touches_no_border_and_has_another_colour_is_salient():
    picture = np.full((90, 160, 3), (30, 200, 40), np.uint8)
    picture[30:60, 60:110] = (200, 30, 90)
    saliency = absorption_saliency(picture)
    assert saliency.shape == (90, 160)
    assert saliency.dtype == np.float32
    assert (saliency.min(), saliency.max()) == pytest.approx((0, 1), abs=0.05)
    assert saliency[34:56, 64:106].min() > 0.8
    assert max(saliency[:20].max(), saliency[70:].max(), saliency[:, :45].max()) < 0.2


def test_any_size_and_any_picture():
    for height, width in ((1, 1), (3, 200), (7, 5)):
        found = absorption_saliency(np.full((height, width, 3), 9, np.uint8))
        assert found.shape == (height, width)
        assert np.isfinite(found).all()
