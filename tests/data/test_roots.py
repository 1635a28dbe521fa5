import subprocess
import sys
from pathlib import Path

from vosbench.data.roots import cache_root, data_root


def test_data_root_option_then_environment_then_working_folder(monkeypatch):
    monkeypatch.setenv("VOSBENCH_DATA", "/from/environment")
    assert data_root(Path("/chosen")) == Path("/chosen")
    assert data_root(None) == Path("/from/environment")
    monkeypatch.setenv("VOSBENCH_DATA", "")
    assert data_root() == Path("data")
    monkeypatch.delenv("VOSBENCH_DATA")
    assert data_root() == Path("data")


def test_cache_root_environment_then_user_cache(monkeypatch):
    monkeypatch.setenv("VOSBENCH_CACHE", "/from/environment")
    assert cache_root() == Path("/from/environment")
    monkeypatch.delenv("VOSBENCH_CACHE")
    assert cache_root().name == "vosbench"
    assert cache_root().is_absolute()


def test_importing_the_catalogue_is_light():
    code = "import sys, vosbench.data.catalogue, vosbench.data.roots; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
