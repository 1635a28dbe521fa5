"""Executors: the same tasks give the same results wherever they run, also when a worker is killed."""

import importlib
import os
import sys
import time
from collections import deque
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from vosbench import plugins
from vosbench.benchmark import compare
from vosbench.errors import InputError
from vosbench.evaluation.record import Record
from vosbench.evaluation.store import read_failures
from vosbench.executors.clusters import ClusterExecutor, RayExecutor, SlurmExecutor, make_executor
from vosbench.executors.local import LocalExecutor

HELPERS = """
import os, signal, threading, time
from pathlib import Path
from vosbench.errors import InputError

def square(number):
    yield number * number

def refuse(number):
    raise InputError(f"{number} is refused")

def die_once(task):
    number, marker = task
    if number == 2 and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    yield number

def threads_after_death(task):
    for _ in die_once(task):
        yield os.environ["OMP_NUM_THREADS"]

def die_always(task):
    if task in (2, (2, "alone")):
        os.kill(os.getpid(), signal.SIGKILL)
    yield task


def go_on_when_seen(marker):
    yield "first"
    deadline = time.monotonic() + 60
    while not Path(marker).exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    yield "second" if Path(marker).exists() else "nobody saw the first"


def die_while_sending(task):
    yield os.getpid()
    threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGKILL]).start()
    # more than a pipe holds
    yield bytes(10_000_000)


class KilledOnDog:
    task = "unsupervised"
    needs_flow = False

    def segment(self, video, first_mask=None):
        import numpy as np
        from vosbench.video import Segmentation
        # what a running cluster is told: its workers have the environment of its start
        when = Path(__file__).with_name("when")
        if video.name == "dog" and when.exists():
            if when.read_text() == "once":
                when.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return Segmentation((np.ones((32, 48), np.uint8) for _ in video.frames), len(video))
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder of a package that workers can import, as they can import vosbench; it has a method."""
    site = tmp_path_factory.mktemp("site")
    (site / "cluster_helpers.py").write_text(HELPERS)
    metadata = site / "helpers-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: helpers\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[vosbench.methods]\nkilled = cluster_helpers:KilledOnDog\n")
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])]
        patch.setenv("PYTHONPATH", os.pathsep.join(paths))
        patch.syspath_prepend(str(site))
        plugins._declared.cache_clear()
        yield site
    sys.modules.pop("cluster_helpers", None)
    plugins._declared.cache_clear()


@pytest.fixture
def helpers(site):
    (site / "when").unlink(missing_ok=True)
    return importlib.import_module("cluster_helpers")


@pytest.fixture(scope="module")
def cluster(site):
    """The address of a running Ray cluster with two workers."""
    pytest.importorskip("ray", reason="the extra ray is not installed")
    from ray.cluster_utils import Cluster

    running = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    yield running.address
    running.shutdown()


everywhere = pytest.mark.parametrize(
    "name",
    ["local", pytest.param("ray", marks=pytest.mark.slow), pytest.param("slurm", marks=pytest.mark.slow)],
)


@pytest.fixture
def executor(request, tmp_path):
    def make(name):
        if name == "local":
            return make_executor("local", workers=2, folder=tmp_path)
        if name == "ray":
            address = request.getfixturevalue("cluster")
            return make_executor("ray", workers=2, address=address, folder=tmp_path)
        pytest.importorskip("submitit", reason="the extra slurm is not installed")
        return make_executor("slurm", workers=2, options={"cluster": "local"}, folder=tmp_path / "jobs")

    return make


@everywhere
def test_every_task_is_reported_once(helpers, executor, name):
    found = []
    executor(name).run(helpers.square, deque([3, 4, 5, 6]), found.append, pytest.fail)
    assert sorted(found) == [9, 16, 25, 36]


@pytest.mark.parametrize("name", ["here", "local"])
def test_a_result_is_there_while_its_task_goes_on_and_may_bring_others(tmp_path, helpers, executor, name):
    tasks, found = deque([str(tmp_path / "0")]), []

    def finished(result):
        found.append(result)
        if result == "first":
            (tmp_path / str(found.count("first") - 1)).touch()
        if found == ["first"]:
            tasks.append(str(tmp_path / "1"))

    chosen = LocalExecutor(1) if name == "here" else executor(name)
    chosen.run(helpers.go_on_when_seen, tasks, finished, pytest.fail)
    assert sorted(found) == ["first", "first", "second", "second"]


@everywhere
def test_an_input_error_keeps_its_sentence(helpers, executor, name):
    with pytest.raises(InputError, match=r"^7 is refused$"):
        executor(name).run(helpers.refuse, deque([7]), print, pytest.fail)


@everywhere
def test_a_task_whose_worker_is_killed_runs_again(tmp_path, helpers, executor, name):
    tasks = [(number, str(tmp_path / "marker")) for number in range(5)]
    found, lost = [], []

    def again(task):
        lost.append(task)
        return [task]

    executor(name).run(helpers.die_once, deque(tasks), found.append, again)
    assert sorted(found) == [0, 1, 2, 3, 4]
    assert tasks[2] in lost
    # where nobody says whose process it was, what ran beside it is suspected too
    assert len(lost) <= (2 if name == "local" else 1)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_that_is_killed_while_it_sends_a_result_stops_nobody(helpers, executor):
    found, lost = [], []

    def finished(worker):
        found.append(worker)
        state = Path(f"/proc/{worker}/stat")
        while state.exists() and " Z " not in state.read_text():
            time.sleep(0.01)

    executor("local").run(
        helpers.die_while_sending, deque([1]), finished, lambda task: lost.append(task) or []
    )
    assert (len(found), lost) == (1, [1])


def test_a_task_that_runs_again_has_the_threads_of_the_others(tmp_path, helpers, executor, monkeypatch):
    monkeypatch.setattr("vosbench.executors.local.available_cores", lambda: 8)
    tasks, found = [(number, str(tmp_path / "marker")) for number in range(4)], []
    executor("local").run(helpers.threads_after_death, deque(tasks), found.append, lambda task: [task])
    assert found == ["4"] * 4


@everywhere
def test_a_task_that_kills_every_worker_is_given_up_and_the_others_are_not(helpers, executor, name):
    found, lost = [], []

    def replaced(task):
        lost.append(task)
        return [] if task == (2, "alone") else [(task, "alone")]

    executor(name).run(helpers.die_always, deque([0, 1, 2, 3]), found.append, replaced)
    assert {each if isinstance(each, int) else each[0] for each in found} == {0, 1, 3}
    assert lost[-1] == (2, "alone")


@pytest.fixture
def run(tmp_path, make_davis, helpers, executor, site):
    root = make_davis(tmp_path / "data")

    def run(name, models, when=None):
        if when is not None:
            (site / "when").write_text(when)
        chosen = LocalExecutor(1) if name == "here" else executor(name)
        options = {"models": models, "data_root": root, "metrics": ["j"], "cache": tmp_path / "cache"}
        return compare(**options, out=tmp_path / name, executor=chosen)

    return run


def content(record: Record):
    """What must not depend on where and when it was computed."""
    same = {"config", "config_hash", "weights", "data_hash", "flow", "objects", "content"}
    kept = {key: value for key, value in record.provenance.items() if key in same}
    return {**vars(record), "seconds_per_frame": set(record.seconds_per_frame), "provenance": kept}


def files(folder: Path):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@everywhere
def test_records_and_their_order_are_the_same_everywhere(run, name):
    models = ["centre_box", "flow_threshold"]
    here, there = run("here", models), run(name, models)
    assert [content(item) for item in there.records] == [content(item) for item in here.records]
    outcomes = [
        [vars(item) | {"record": None, "path": item.path.relative_to(result.out)} for item in result.outcomes]
        for result in (here, there)
    ]
    assert outcomes[0] == outcomes[1]
    assert files(there.out) == files(here.out)
    for path in (here.out / "masks").rglob("*.png"):
        assert (there.out / path.relative_to(here.out)).read_bytes() == path.read_bytes()


class OddError(Exception):
    """An error that is none of Python's."""


class InOtherFolder(ClusterExecutor):
    """A cluster whose workers, all in this process, have another working directory."""

    def __init__(self, folder):
        self.folder = folder

    @contextmanager
    def connect(self, tasks):
        yield self, 1, None

    def submit(self, calls):
        os.chdir(self.folder)
        results = [call() for call in calls]
        return [lambda result=result: result for result in results]

    def wait(self, handles):
        return handles

    def result(self, handle):
        return handle()


OWN_METHOD = """
from vosbench.models.baselines import CentreBox

class Own(CentreBox):
    pass
"""


def test_relative_paths_mean_the_same_on_a_cluster(tmp_path, make_davis, monkeypatch):
    make_davis(tmp_path / "data")
    (tmp_path / "own.py").write_text(OWN_METHOD)
    monkeypatch.setattr(plugins, "_used", {})
    (tmp_path / "node").mkdir()
    monkeypatch.chdir(tmp_path)
    options = {
        "models": ["own.py:Own", "flow_threshold"],
        "datasets": ["davis16", "clips=data/davis16/JPEGImages/480p:data/davis16/Annotations/480p"],
        "data_root": Path("data"),
        "cache": Path("cache"),
        "metrics": ["j"],
    }
    here = compare(**options, out=Path("here"), workers=1)
    there = compare(**options, out=Path("there"), executor=InOtherFolder(tmp_path / "node"))
    assert [content(item) for item in there.records] == [content(item) for item in here.records]
    assert len(there.records) == 2 * 2 * 3
    assert list((tmp_path / "node").iterdir()) == []


def test_a_worker_without_the_working_directory_is_one_line(tmp_path, helpers, monkeypatch):
    monkeypatch.setattr(Path, "cwd", lambda: tmp_path / "here")
    with pytest.raises(InputError, match=r"here: a worker of the cluster cannot go there: No such file"):
        InOtherFolder(tmp_path).run(helpers.square, deque([3]), pytest.fail, pytest.fail)


@pytest.mark.parametrize(
    "error", [ConnectionError("no"), type("AuthenticationError", (OddError,), {})("no token")]
)
def test_a_cluster_that_refuses_is_one_line(monkeypatch, error):
    def refuse(**_):
        raise error

    exceptions = SimpleNamespace(RayError=OddError)
    ray = SimpleNamespace(init=refuse, exceptions=exceptions, shutdown=lambda: None)
    monkeypatch.setitem(sys.modules, "ray", ray)
    with pytest.raises(InputError, match=r"no Ray cluster at there:1: no.*RAY_AUTH_MODE=token"):
        RayExecutor(1, "there:1").run(abs, deque([1]), print, pytest.fail)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["local", "ray", "slurm"])
def test_a_method_that_is_killed_once_is_made_good(run, name):
    result = run(name, ["centre_box", "killed"], when="once")
    assert (result.exit_status, len(result.records)) == (0, 6)
    assert read_failures(result.out) == []


@everywhere
def test_a_method_that_is_killed_always_leaves_a_hole_and_the_others_go_on(run, name):
    result = run(name, ["killed", "centre_box"], when="always")
    [hole] = read_failures(result.out)
    assert (hole.model, hole.sequence) == ("killed", "dog")
    assert "killed twice" in hole.error
    assert result.exit_status == 1
    assert [item.state for item in result.outcomes].count("failed") == 1
    assert len(result.records) == 5
    order = [(item.sequence, item.model) for item in result.outcomes]
    assert order == [(s, m) for s in ("blackswan", "dog", "zebra") for m in ("killed", "centre_box")]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cloud", {}, "unknown executor 'cloud': choose from"),
        ("local", {"address": "auto"}, "--address is that of a Ray cluster"),
        ("local", {"options": {"partition": "gpu"}}, "partition: the local executor has no options"),
        ("local", {"workers": 0}, "workers is 0"),
    ],
)
def test_what_an_executor_does_not_take_is_refused(tmp_path, name, options, message):
    with pytest.raises(InputError, match=message):
        make_executor(name, folder=tmp_path, **{"workers": 2} | options)


@pytest.mark.parametrize(
    ("chosen", "module"),
    [(RayExecutor(2, None), "ray"), (SlurmExecutor(2, Path("jobs")), "submitit")],
)
def test_a_missing_extra_says_how_to_get_it(monkeypatch, chosen, module):
    monkeypatch.setitem(sys.modules, module, None)
    extra = {"submitit": "slurm"}.get(module, module)
    with pytest.raises(InputError, match=rf"needs the package {module}: pip install 'vosbench\[{extra}\]'"):
        chosen.run(abs, deque([1]), print, pytest.fail)


@pytest.mark.slow
def test_a_cluster_is_started_where_none_is_named(tmp_path, helpers):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    found = []
    started = make_executor("ray", workers=2, folder=tmp_path)
    started.run(helpers.square, deque([3, 4]), found.append, pytest.fail)
    assert sorted(found) == [9, 16]


@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_one_line(tmp_path):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    chosen = make_executor("ray", workers=1, address="127.0.0.1:1", folder=tmp_path)
    with pytest.raises(InputError, match=r"no Ray cluster at 127\.0\.0\.1:1"):
        chosen.run(abs, deque([1]), print, pytest.fail)


def test_slurm_where_there_is_none_is_one_line(tmp_path, monkeypatch):
    pytest.importorskip("submitit", reason="the extra slurm is not installed")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="no Slurm job can be submitted here"):
        make_executor("slurm", workers=1, folder=tmp_path).run(abs, deque([1]), print, pytest.fail)
    wrong = make_executor("slurm", workers=1, options={"cluster": "moon"}, folder=tmp_path)
    with pytest.raises(InputError, match="unknown value of --executor-options cluster 'moon'"):
        wrong.run(abs, deque([1]), print, pytest.fail)
