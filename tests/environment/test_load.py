import os
import time

import pytest

from vosbench.environment.load import LoadMeter, describe_load


def load(before=0.0, after=0.0, seconds=10.0, cpu=10.0):
    return {"before": before, "after": after, "cores": 2, "seconds": seconds, "cpu_seconds": cpu}


def test_waiting_takes_seconds_but_no_cpu_seconds():
    meter = LoadMeter()
    time.sleep(0.2)
    found = meter.read()
    assert found["seconds"] >= 0.2
    assert found["cpu_seconds"] < 0.15
    assert found["cores"] == os.cpu_count()
    assert found["before"] >= 0
    assert found["after"] >= 0


def test_loads_are_one_line():
    busy = load(before=0.5, after=6.25, cpu=1.0)
    assert describe_load([load(), busy]) == (
        "load average 0.0 to 6.2 on 2 cores, 0.55 CPU seconds per second"
    )


@pytest.mark.parametrize("loads", [[], [None, None]])
def test_of_old_records_it_is_not_known(loads):
    assert describe_load(loads) == "load of the machine not recorded"


def test_records_with_and_without_are_counted():
    assert describe_load([load(), None, None]).endswith("not recorded for 2 of 3")
