"""The tracker against its definition, written without regard to time."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from vosbench.models.postprocessing.tracker import OverlapTracker

HEIGHT, WIDTH = 2, 4
LEVELS = (0.6, 0.7, 0.75, 0.9, 0.92, 0.95, 0.99)


@st.composite
def videos(draw, distinct=False):
    frames = []
    for _ in range(draw(st.integers(1, 9))):
        number = draw(st.integers(0, 4))
        scores = st.lists(st.sampled_from(LEVELS), min_size=number, max_size=number, unique=distinct)
        masks = draw(arrays(bool, (number, HEIGHT, WIDTH)))
        frames.append((masks, np.array(draw(scores), float), draw(arrays(bool, number))))
    return frames


options = st.fixed_dictionaries(
    {
        "t_inactive": st.integers(0, 4),
        "bidirectional": st.booleans(),
        "iou_min": st.sampled_from((0, 0.1, 0.5)),
    }
)


class ByTheBook:
    """Tracks as lists of (frame, detection): the definition, everything looked at every time."""

    def __init__(self, frames, t_inactive, bidirectional, iou_min):
        self.frames, self.iou_min, self.tracks = frames, iou_min, []
        for t in range(len(frames)):
            self.extend([(s, max(s)) for s in self.tracks if t - max(s)[0] <= t_inactive], t)
            may_start = frames[t][2]
            self.tracks += [[s] for s in self.free(t) if self.score(s) > 0.9 and may_start[s[1]]]
        for t in reversed(range(len(frames) if bidirectional else 0)):
            ends_after = [track for track in self.tracks if max(track)[0] > t]
            starts_before = [track for track in ends_after if min(track)[0] < t + t_inactive]
            not_here = [track for track in starts_before if t not in dict(track)]
            self.extend([(track, min(seen for seen in track if seen[0] > t)) for track in not_here], t)

    def score(self, seen):
        return self.frames[seen[0]][1][seen[1]]

    def iou(self, one, other):
        a, b = self.frames[one[0]][0][one[1]], self.frames[other[0]][0][other[1]]
        return (a & b).sum() / (a | b).sum() if (a | b).any() else 0.0

    def free(self, t):
        kept = [(t, i) for i, value in enumerate(self.frames[t][1]) if value > 0.7]
        return [seen for seen in kept if not any(seen in track for track in self.tracks)]

    def extend(self, candidates, t):
        for gap in range(1, len(self.frames)):
            group = [(track, anchor) for track, anchor in candidates if abs(anchor[0] - t) == gap]
            group.sort(key=lambda item: -self.score(item[1]))
            free = sorted(self.free(t), key=lambda seen: -self.score(seen))
            if not group or not free:
                continue
            table = np.array([[self.iou(anchor, seen) for seen in free] for _, anchor in group])
            for row, column in zip(*linear_sum_assignment(-table), strict=True):
                if table[row, column] > self.iou_min:
                    group[row][0].append(free[column])

    def ids(self):
        ids = np.zeros((len(self.frames), HEIGHT, WIDTH), int)
        numbered = [(number, seen) for number, track in enumerate(self.tracks, 1) for seen in track]
        for number, (t, i) in sorted(numbered, key=lambda item: self.score(item[1])):
            ids[t][self.frames[t][0][i]] = number
        return ids


def as_lists(numbers):
    """Tracks as lists of (frame, detection) from a number per detection."""
    total = max((found.max(initial=0) for found in numbers), default=0)
    seen = [[] for _ in range(total)]
    for t, found in enumerate(numbers):
        for i in np.flatnonzero(found):
            seen[found[i] - 1].append((t, int(i)))
    return seen


@settings(max_examples=300)
@given(frames=videos(), chosen=options)
def test_tracks_and_ids_are_those_of_the_definition(frames, chosen):
    book = ByTheBook(frames, **chosen)
    tracker = OverlapTracker(**chosen)
    assert as_lists(tracker.assign(frames)) == [sorted(track) for track in book.tracks]
    assert np.array_equal(tracker(iter(frames)), book.ids())


@settings(max_examples=100)
@given(frames=videos(distinct=True), chosen=options, random=st.randoms(use_true_random=False))
def test_the_order_of_detections_changes_only_the_numbers_of_tracks(frames, chosen, random):
    orders = [random.sample(range(len(scores)), len(scores)) for _, scores, _ in frames]
    shuffled = [tuple(values[order] for values in item) for item, order in zip(frames, orders, strict=True)]
    tracker = OverlapTracker(**chosen)
    before, after = tracker.assign(frames), tracker.assign(shuffled)
    back = [found[np.argsort(order)] for found, order in zip(after, orders, strict=True)]
    assert sorted(as_lists(before)) == sorted(as_lists(back))
    renamed = dict(zip(np.concatenate(before).tolist(), np.concatenate(back).tolist(), strict=True)) | {0: 0}
    assert np.array_equal(np.vectorize(renamed.get)(tracker(frames)), tracker(shuffled))


@settings(max_examples=50)
@given(frames=videos())
def test_tensors_are_tracked_like_arrays(frames):
    tensors = [tuple(map(torch.from_numpy, item)) for item in frames]
    assert np.array_equal(OverlapTracker()(tensors), OverlapTracker()(frames))
