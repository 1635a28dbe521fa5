"""Mean, recall and decay of a sequence."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vosbench.metrics.functional import sequence_statistics


def test_quarters_of_five_values_share_their_edges():
    # bins 0-1, 1-2, 2-3, 3-4
    assert sequence_statistics([1.0, 0.8, 0.0, 0.4, 0.2]) == pytest.approx(
        {"mean": 0.48, "recall": 0.4, "decay": 0.6}
    )


def test_recall_is_strict():
    assert sequence_statistics([0.5, 0.5 + 1e-12])["recall"] == 0.5


def test_one_value_has_no_decay():
    assert sequence_statistics([0.7]) == {"mean": 0.7, "recall": 1.0, "decay": 0.0}


def test_no_values_no_statistics():
    assert all(math.isnan(value) for value in sequence_statistics([]).values())


def test_nan_is_ignored_by_means_and_fails_recall():
    statistics = sequence_statistics(torch.tensor([math.nan, 1.0, 1.0, 0.6]))
    # edges 0, 1, 2, 2, 3: the first quarter is (NaN, 1), the last (1, 0.6)
    assert statistics == pytest.approx({"mean": 2.6 / 3, "recall": 0.75, "decay": 0.2})


def test_long_sequences_do_not_overflow():
    values = np.repeat([1.0, 0.5, 0.5, 0.0], 100)
    # edges 0, 100, 200, 299, 399: one frame of the neighbour enters the first quarter, a zero each the last
    assert sequence_statistics(values)["decay"] == pytest.approx((100 + 0.5) / 101 - 0.5 / 101)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=700))
def test_equals_the_textbook_formula(values):
    n = len(values)
    edges = [math.floor(e + 1e-10 + 0.5) - 1 for e in np.linspace(1, n, 5)]
    statistics = sequence_statistics(values)
    assert statistics["mean"] == pytest.approx(np.mean(values))
    assert statistics["recall"] == pytest.approx(np.mean(np.array(values) > 0.5))
    first, last = values[edges[0] : edges[1] + 1], values[edges[3] : edges[4] + 1]
    assert statistics["decay"] == pytest.approx(np.mean(first) - np.mean(last), abs=1e-12)


def test_refuses_a_matrix():
    with pytest.raises(ValueError, match="one-dimensional"):
        sequence_statistics(torch.zeros(2, 2))
