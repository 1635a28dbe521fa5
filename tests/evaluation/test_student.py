import math

import pytest
from scipy.special import stdtr, stdtrit

from vosbench.evaluation.student import cumulative, quantile

FREEDOM = (1, 1.3, 2, 3.7, 10, 19, 99.5, 1000)


@pytest.mark.parametrize("freedom", FREEDOM)
def test_it_is_the_distribution_that_scipy_has(freedom):
    for t in (-1e4, -50, -3, -0.1, 0, 0.5, 2, 4, 12, 100):
        assert cumulative(t, freedom) == pytest.approx(stdtr(freedom, t), abs=1e-6)
    for probability in (0.001, 0.025, 0.3, 0.5, 0.9, 0.975, 0.9995):
        assert quantile(probability, freedom) == pytest.approx(
            stdtrit(freedom, probability), rel=1e-5, abs=1e-9
        )


def test_two_sided_limits_of_tables():
    limits = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 19: 2.093, 120: 1.980}
    assert {n: round(quantile(0.975, n), 3) for n in limits} == limits


def test_infinity_is_certain():
    assert (cumulative(math.inf, 3), cumulative(-math.inf, 3)) == (1, 0)


def test_what_has_no_distribution_is_refused():
    with pytest.raises(ValueError, match="degree of freedom"):
        cumulative(1, 0.5)
    with pytest.raises(ValueError, match="degree of freedom"):
        quantile(0.5, 0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        quantile(1, 3)
