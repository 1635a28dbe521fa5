import math
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import deque

import pytest

from vosbench.errors import InputError
from vosbench.executors import local
from vosbench.executors.local import available_cores, choose_workers, grouped_notes, run_tasks
from vosbench.scoring.protocol import load_protocol

# Tasks are functions of the standard library or the package: a new process can import them.


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_is_reported_once(workers):
    results = []
    run_tasks(math.factorial, [3, 4, 5], workers, results.append)
    assert sorted(results) == [6, 24, 120]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_input_error_keeps_its_sentence(workers):
    with pytest.raises(InputError, match="unknown protocol 'nothing'"):
        run_tasks(load_protocol, ["nothing"], workers, print)


def test_processes_share_the_cores():
    results = []
    run_tasks(os.getenv, ["OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"], 2, results.append)
    assert sorted(results) == sorted([str(max(1, available_cores() // 2)), "1"])


def test_a_killed_worker_is_explained():
    with pytest.raises(InputError, match=r"a worker process was killed.*fewer workers"):
        run_tasks(os._exit, [3], 2, print)


@pytest.mark.skipif(sys.platform != "linux", reason="forks a process that has imported torch")
def test_a_worker_that_is_terminated_before_it_begins_ends(monkeypatch):
    begin = local._start_worker

    def terminated(*arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        begin(*arguments)

    monkeypatch.setattr(local, "_start_method", lambda: "fork")
    monkeypatch.setattr(local, "_start_worker", terminated)
    # a signal that comes while a process is forked is forgotten, as by this handler
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    lost, found = [], []
    try:
        local.LocalExecutor(2).run(range, deque([1]), found.append, lambda task: lost.append(task) or [])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (lost, found) == ([1], [])


def test_an_interrupt_ends_the_workers_at_once():
    def interrupt(_):
        raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_tasks(time.sleep, [0.01, 600], 2, interrupt)
    assert time.monotonic() - start < 60
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("threads", [0, 1], ids=["forked", "forked from a server"])
def test_workers_end_when_their_parent_is_killed(tmp_path, threads):
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, threading, time\n"
        "from vosbench.executors.local import run_tasks\n"
        "if __name__ == '__main__':\n"
        f"    for _ in range({threads}):\n"
        "        threading.Thread(target=time.sleep, args=[60], daemon=True).start()\n"
        "    run_tasks(os.system, ['echo $PPID; exec sleep 0.1', 'sleep 20'], 2, print)\n"
    )
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    worker = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while running(worker) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not running(worker)


@pytest.mark.skipif(sys.platform != "linux", reason="workers are spawned")
def test_workers_of_a_process_with_threads_have_what_was_imported_before_and_the_environment_of_now(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, threading, time\n"
        "from vosbench.executors.local import preload, run_tasks\n"
        "if __name__ == '__main__':\n"
        "    threading.Thread(target=time.sleep, args=[60], daemon=True).start()\n"
        "    preload(['wave'])\n"
        "    for value in 'ab':\n"
        "        os.environ['VALUE'] = value\n"
        '        asked = [\'"wave" in __import__("sys").modules\', \'__import__("os").environ["VALUE"]\']\n'
        "        results = []\n"
        "        run_tasks(eval, asked, 2, results.append)\n"
        "        print(sorted(map(str, results)))\n"
    )
    printed = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines() == ["['True', 'a']", "['True', 'b']"]


@pytest.mark.skipif(sys.platform != "linux", reason="workers are spawned")
def test_an_interrupt_while_the_server_of_the_workers_imports_prints_nothing(tmp_path):
    (tmp_path / "slow.py").write_text("import time\nopen('importing', 'w').close()\ntime.sleep(1)\n")
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, signal, time\n"
        "from vosbench.executors.local import preload\n"
        "preload(['slow'])\n"
        "while not os.path.exists('importing'):\n"
        "    time.sleep(0.01)\n"
        "signal.signal(signal.SIGINT, lambda *_: os._exit(7))\n"
        "os.killpg(0, signal.SIGINT)\n"
        "time.sleep(60)\n"
    )
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, cwd=tmp_path, env=env, start_new_session=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, b"", b"")


def running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_choosing_workers():
    assert choose_workers(None, 100) == min(available_cores(), 100)
    assert choose_workers(8, 3) == 3
    assert choose_workers(None, 0) == 1
    with pytest.raises(InputError, match="workers is 0"):
        choose_workers(0, 3)


def test_notes_name_their_sequences_unless_they_concern_all():
    notes = [("b", "odd"), ("a", "odd"), ("a", "even"), ("b", "even"), ("c", "even")]
    assert grouped_notes(notes, 3) == ["all sequences: even", "a, b: odd"]
