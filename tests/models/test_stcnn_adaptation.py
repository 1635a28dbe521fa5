"""Adaptation of STCNN to what it finds in a video: what is sure is learnt from, nothing else changes."""

import dataclasses

import numpy as np
import pytest
import torch

from vosbench.errors import InputError
from vosbench.models import build
from vosbench.models.stcnn.adaptation import STCNNAdaptation, STCNNAdaptationSettings, _shown
from vosbench.models.stcnn.keys import BY_SIZE
from vosbench.models.stcnn.online import learn_object
from vosbench.models.stcnn.tracking import STCNNTracker
from vosbench.video import Video

HEIGHT, WIDTH = 65, 97
"""A size that lite enlarges to 257 rows; tiny sees frames as they are."""


def stcnn(**keys):
    torch.manual_seed(0)
    return build("stcnn", "tiny", **({"online_iterations": 2, "online_images": 2} | keys)).eval()


def painted(colour):
    """A bright square on grey, and its mask."""
    frame = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[16:48, 32:64] = 1
    frame[mask == 1] = colour
    return frame, mask


def adaptation(model, settings, frame, mask):
    online = dataclasses.replace(model.tracking.online, seed=5)
    branch = learn_object(model.network, frame, mask, online)
    return branch, STCNNAdaptation(model.network, branch, frame, mask, online, settings)


def pixels(frame):
    return torch.from_numpy(frame).permute(2, 0, 1)[None].float()


def state(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def same(first, second):
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_pixels_that_are_not_sure_are_void():
    model = stcnn()
    _, adapted = adaptation(model, STCNNAdaptationSettings(background=0.2, object=0.7), *painted(200))
    probability = np.array([[0.1, 0.1, 0.3, 0.3], [0.1, 0.1, 0.3, 0.3], [0.9, 0.7, 0.9, 0.9]], np.float32)
    assert adapted._labels(_shown(probability, (3, 4))).tolist() == [
        [[0, 0, 255, 255], [0, 0, 255, 255], [1, 255, 1, 1]]
    ]
    # as the network sees a frame: means of areas, here of two columns
    assert adapted._labels(_shown(probability, (3, 2))).tolist() == [[[0, 255], [0, 255], [1, 1]]]


def test_a_branch_learns_on_and_the_network_stays():
    model = stcnn()
    before = state(model.network)
    frame, mask = painted(200)
    branch, adapted = adaptation(model, STCNNAdaptationSettings(steps=2, lr=0.01), frame, mask)
    learnt = state(branch)
    drawn = torch.get_rng_state()
    with torch.inference_mode():
        adapted.learn(4, pixels(frame), mask.astype(np.float32))
    assert same(state(model.network), before)
    assert torch.equal(torch.get_rng_state(), drawn)
    changed = {name for name, value in state(branch).items() if not torch.equal(value, learnt[name])}
    assert "decoder.fuse.1.weight" in changed
    assert not {name for name in changed if "running_" in name or "num_batches" in name}


def test_the_same_frames_teach_the_same():
    model, (frame, mask) = stcnn(), painted(200)
    branches = []
    for draws in range(2):
        branch, adapted = adaptation(model, STCNNAdaptationSettings(steps=3), frame, mask)
        torch.rand(draws + 1)
        for index in (4, 8):
            adapted.learn(index, pixels(frame), mask.astype(np.float32))
        branches.append(state(branch))
    assert same(*branches)


def test_an_object_of_another_colour_is_found_after_it_was_learnt():
    model = stcnn(online_iterations=30, online_lr=0.01, lucid=False)
    frame, mask = painted((200, 60, 60))
    later, _ = painted((60, 60, 200))
    settings = STCNNAdaptationSettings(steps=4, lr=0.01)
    branch, adapted = adaptation(model, settings, frame, mask)

    def gap():
        with torch.inference_mode():
            values = branch(pixels(later) / 128 - 1, _no_motion(model, later))[-1]
            logits = model.network.enlarge(values, (HEIGHT, WIDTH))[0, 0].numpy()
        return logits[mask == 1].mean() - logits[mask == 0].mean()

    before = gap()
    for index in range(4, 24, 4):
        adapted.learn(index, pixels(later), mask.astype(np.float32))
    assert gap() > before


def _no_motion(model, frame):
    past = pixels(frame).repeat(1, model.network.generator.delta, 1, 1)
    return model.network.predict(past / 127.5 - 1).features


def square(value, rows=32, around=0.0):
    """Probabilities: `value` in the upper rows of the square, `around` elsewhere."""
    probability = np.full((HEIGHT, WIDTH), around, np.float32)
    probability[16 : 16 + rows, 32:64] = value
    return probability


@pytest.mark.parametrize(
    ("index", "probability", "learns"),
    [
        (4, square(1.0), True),
        (8, square(1.0), True),
        (5, square(1.0), False),  # not one of every two
        (4, square(0.9), False),  # nothing is sure
        (4, square(1.0, rows=1), False),  # 32 pixels are too few
        (4, square(1.0, rows=2), True),
        # of 9 rows 2 are sure: something else is taken for the object
        (4, np.maximum(square(1.0, rows=2), square(0.7, rows=9)), False),
        (4, np.maximum(square(1.0, rows=3), square(0.7, rows=9)), True),
    ],
)
def test_only_frames_in_which_the_object_is_surely_seen_are_learnt_from(index, probability, learns):
    model, (frame, mask) = stcnn(), painted(200)
    branch, adapted = adaptation(model, STCNNAdaptationSettings(steps=1, lr=0.1), frame, mask)
    learnt = state(branch)
    adapted.learn(index, pixels(frame), probability)
    assert same(state(branch), learnt) is not learns


@pytest.mark.parametrize(("rows", "sure", "learns"), [(15, 5, True), (16, 8, False), (16, 9, True)])
def test_an_object_that_grows_fast_must_be_seen_for_surer(rows, sure, learns):
    model, (frame, mask) = stcnn(), painted(200)
    branch, adapted = adaptation(model, STCNNAdaptationSettings(steps=1, lr=0.1, growth=1.6), frame, mask)
    adapted.learn(2, pixels(frame), square(1.0, rows=10))
    learnt = state(branch)
    grown = np.maximum(square(1.0, rows=sure), square(0.7, rows=rows))
    adapted.learn(4, pixels(frame), grown)
    assert same(state(branch), learnt) is not learns


@pytest.mark.parametrize(
    ("size", "keys", "steps"),
    [("tiny", {}, 0), ("lite", {}, 2), ("lite", {"adapt_steps": 0}, 0), ("tiny", {"adapt_steps": 3}, 3)],
)
def test_lite_adapts_and_the_published_network_does_so_when_asked(size, keys, steps):
    settings = build("stcnn", size, **keys).tracking
    assert (settings.adaptation.steps if settings.adaptation else 0) == steps
    assert build("stcnn", size, train_phase="offline_only", **keys).tracking.adaptation is None


def test_the_full_size_does_as_published():
    assert BY_SIZE["full"]["adapt_steps"] == 0


@pytest.mark.parametrize(("key", "value"), [("adapt_steps", -1), ("adapt_steps", 0.5), ("adapt_lr", "fast")])
def test_wrong_values_are_refused_by_name(key, value):
    with pytest.raises(InputError, match=key):
        build("stcnn", "lite", **{key: value})


def test_every_frame_but_the_last_is_learnt_from_and_other_objects_are_background(monkeypatch):
    model = stcnn(adapt_steps=1, spatial_gate=False)
    seen = []

    def learn(self, index, frame, probability):
        seen.append((index, self, probability))

    monkeypatch.setattr(STCNNAdaptation, "learn", learn)
    monkeypatch.setattr(STCNNTracker, "_probabilities", lambda *args: found)
    frame, _ = painted(200)
    first = np.zeros((HEIGHT, WIDTH), np.uint8)
    first[:10, :10], first[40:50, 40:50] = 3, 7
    found = {3: np.full((HEIGHT, WIDTH), 0.6, np.float32), 7: np.full((HEIGHT, WIDTH), 0.2, np.float32)}
    found[7][:, 50:] = 0.9
    list(model.segment(Video("v", [frame] * 4, tuple("0123")), first))
    assert [index for index, _, _ in seen] == [1, 1, 2, 2]
    assert len({id(adapted) for _, adapted, _ in seen}) == 2
    (_, _, three), (_, _, seven) = seen[:2]
    assert three[:, :50].min() == np.float32(0.6)
    assert three[:, 50:].max() == 0
    assert seven[:, :50].max() == 0
    assert seven[:, 50:].min() == np.float32(0.9)


def test_the_next_frame_is_looked_at_with_what_was_learnt_before():
    frame, mask = painted(200)
    later, _ = painted(150)
    shown = Video("v", [frame, later, later], ("0", "1", "2"))
    probabilities = {}
    for steps in (0, 1):
        model = stcnn(adapt_steps=steps, adapt_lr=0.1, threshold=0.0, spatial_gate=False)
        sure = STCNNAdaptationSettings(steps, 0.1, every=1, background=0.2, object=0.4, sure=(0.0, 0.0))
        model.tracking = dataclasses.replace(model.tracking, adaptation=sure if steps else None)
        probabilities[steps] = shown_probabilities(model, shown, mask)
    np.testing.assert_array_equal(probabilities[0][0], probabilities[1][0])
    assert not np.array_equal(probabilities[0][1], probabilities[1][1])


def shown_probabilities(model, shown, mask):
    found = []

    class Noting(STCNNTracker):
        def _probabilities(self, *args):
            result = super()._probabilities(*args)
            found.append(result[1])
            return result

    list(Noting(model.network, model.tracking, model.show).masks(shown, mask))
    return found
