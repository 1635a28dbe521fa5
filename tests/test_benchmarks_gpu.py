"""The one call for a GPU: its steps on a CPU, its tables, and what it does with failures."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import vosbench

GPU = Path(vosbench.__file__).parents[1] / "benchmarks/gpu"
pytestmark = pytest.mark.skipif(not GPU.is_dir(), reason="a checkout has the benchmarks")


@pytest.fixture(scope="module")
def tables(gpu_program):
    return gpu_program("tables")


def report(items, small=False):
    machine = {
        "date": "2026-01-01",
        "device": "NVIDIA H200",
        "versions": {"torch": "2.11.0"},
        "commit": "0123456789abcdef",
    }
    return {"machine": machine, "small": small, "items": items}


def test_the_tables_have_the_numbers_of_the_files_and_name_what_failed_or_is_missing(tables):
    reports = {
        "parity": report(
            [
                {"method": "lvo", "weights": "packaged", "equal_pixels": 0.9999, "foreground": 0.25},
                {"metric": "JFMeasure", "difference": 0.0},
            ]
        ),
        "throughput": report(
            [
                {"method": "lvo", "precision": "fp32", "frames_per_second": 12.34, "peak_mb": 2048.4},
                {"method": "lvo", "precision": "bf16", "error": "out of memory"},
            ]
        ),
        "compile": report(
            [
                {
                    "method": "mpnet",
                    "precision": "fp32",
                    "plain_ms": 8.0,
                    "compiled_ms": 4.0,
                    "difference": 1e-6,
                }
            ]
        ),
    }
    text = tables.to_markdown(reports)
    assert "| lvo | packaged | 99.99% | 25.0% |" in text
    assert "| JFMeasure | 0.0e+00 |" in text
    assert "| lvo | 12.3 | 2048 |  |  |" in text
    assert "- lvo bf16: out of memory" in text
    assert "| mpnet | fp32 | 8 | 4 | 2.00 |  | 1.0e-06 |" in text
    assert text.count("Not measured.") == 3
    assert "NVIDIA H200, torch 2.11.0, commit 0123456789ab. full size" in text


def test_results_are_copied_and_a_folder_without_any_is_refused(tables, tmp_path):
    with pytest.raises(SystemExit, match="no results"):
        tables.main([str(tmp_path)])
    content = report([{"metric": "MeanFrameIoU", "difference": 1e-17}], small=True)
    (tmp_path / "parity.json").write_text(json.dumps(content))
    tables.main([str(tmp_path), "--results", str(tmp_path / "kept")])
    assert json.loads((tmp_path / "kept/parity.json").read_text()) == content
    assert "a test of the steps" in (tmp_path / "kept/gpu.md").read_text()


def run(out, **environment):
    env = os.environ | {
        "OUT": str(out),
        "DEVICE": "cpu",
        "SMALL": "1",
        "PYTHON": sys.executable,
        **environment,
    }
    return subprocess.run(["bash", GPU / "run.sh"], env=env, capture_output=True, text=True)


def test_a_step_that_fails_is_named_and_does_not_stop_the_others(tmp_path):
    fails = tmp_path / "python"
    fails.write_text("#!/bin/sh\n[ $2 = compile ] && exit 3\nexit 0\n")
    fails.chmod(0o755)
    done = run(tmp_path / "out", PYTHON=str(fails), SECONDS_IN_ALL="600")
    assert done.returncode == 1
    [line] = (tmp_path / "out/failed.txt").read_text().splitlines()
    assert line.startswith("compile: status 3")


@pytest.mark.slow
def test_every_step_runs_on_a_cpu(tmp_path, tables):
    done = run(tmp_path / "out", SECONDS_IN_ALL="3000", VOSBENCH_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 0, done.stderr
    found = {step: json.loads((tmp_path / f"out/{step}.json").read_text()) for step in tables.SECTIONS}
    assert all("error" not in item for content in found.values() for item in content["items"])
    assert all(item.get("equal_pixels", 1) == 1 for item in found["parity"]["items"])
    assert "Not measured" not in tables.to_markdown(found)
