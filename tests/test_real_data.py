"""Tests of real data skip, or fail, where the data is absent."""

import pytest


def test_absent_data_skips_a_test(request, monkeypatch, tmp_path):
    monkeypatch.setenv("VOSBENCH_DATA", str(tmp_path))
    monkeypatch.delenv("VOSBENCH_DATA_REQUIRED", raising=False)
    with pytest.raises(pytest.skip.Exception, match="davis16 is not under the data root"):
        request.getfixturevalue("real_data")("davis16")


def test_absent_data_fails_a_test_of_a_job_that_needs_it(request, monkeypatch, tmp_path):
    monkeypatch.setenv("VOSBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("VOSBENCH_DATA_REQUIRED", "1")
    with pytest.raises(pytest.fail.Exception, match="davis16 is not under the data root"):
        request.getfixturevalue("real_data")("davis16")
