import pytest

from vosbench.errors import InputError
from vosbench.models.switches import require, require_count, require_share


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: require("m", "input", "rbg", ("rgb", "flow")), "unknown m input 'rbg': did you mean rgb"),
        (lambda: require("m", "units", True, (1, 4)), "m: units is True, choose from 1, 4"),
        (lambda: require("m", "units", "1", (1, 4)), "m: units is '1', choose from 1, 4"),
        (lambda: require_share("m", "threshold", 1.5), "m: threshold is 1.5, it must be between 0 and 1"),
        (lambda: require_count("m", "side", 31, 32, "pixels"), "m: side is 31, at least 32 pixels"),
        (lambda: require_count("m", "side", True), "m: side is True, at least 1"),
    ],
)
def test_a_value_outside_its_choices_is_one_line(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_fitting_values_pass():
    require("m", "input", "rgb", ("rgb", "flow"))
    require_share("m", "threshold", 1)
    require_count("m", "side", 32, 32)
