"""The same results twice: for any number of threads and of frames that are computed together."""

import numpy as np
import pytest
import torch

from vosbench.given import Given, segment
from vosbench.models import METHODS, build
from vosbench.video import Video

HEIGHT, WIDTH, FRAMES = 64, 96, 3
OF_FRAMES = 1e-4
"""Most by which a logit may change with the frames beside its own, as a share of the largest: rounding."""


def clip():
    random = np.random.default_rng(0)
    noise = random.integers(0, 120, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    frames, flow = [], np.zeros((2, HEIGHT, WIDTH), np.float32)
    flow[0, 20:44, 10:60] = 6
    for t in range(FRAMES):
        frame = noise.copy()
        frame[20:44, 10 + 6 * t : 34 + 6 * t] = 220
        frames.append(frame)
    names = tuple(f"{t:05d}" for t in range(FRAMES))
    return Video("cat", frames, names, flow=[flow] * (FRAMES - 1))


def first_mask():
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[20:44, 10:34] = 1
    return Given(0, ids)


@pytest.fixture
def threads():
    """Return a function that sets the number of threads, for this test alone."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def masks(name):
    torch.manual_seed(0)
    method = build(name, "tiny").eval()
    with torch.no_grad():
        return segment(method, clip(), first_mask() if method.task == "semi-supervised" else None).stack()


LEARNING = ("lip", "stcnn")
"""Networks that learn from the first mask, which takes long."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LEARNING)) for name in METHODS]
)
def test_masks_are_the_same_twice_and_for_any_number_of_threads(name, threads):
    threads(1)
    once = masks(name)
    np.testing.assert_array_equal(masks(name), once)
    threads(2)
    # sums of another order may turn a pixel whose score is the threshold to a rounding
    assert np.mean(masks(name) != once) < 1e-3


@pytest.mark.parametrize("name", ["mpnet", "fusionseg"])
def test_a_frame_has_the_same_logits_alone_and_in_a_batch(name):
    torch.manual_seed(0)
    network = build(name, "tiny").eval().network
    frames, flow = torch.randn(4, 3, HEIGHT, WIDTH), torch.randn(4, 3, HEIGHT, WIDTH)

    def logits(part):
        if name == "fusionseg":
            return network(frames[part], flow[part])
        return network(flow[part, : next(network.parameters()).shape[1]])

    with torch.no_grad():
        together = logits(slice(None))
        alone = torch.cat([logits(slice(index, index + 1)) for index in range(4)])
    assert (together - alone).abs().max() <= OF_FRAMES * together.abs().max()
