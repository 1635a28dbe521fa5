"""Running independent tasks in processes of this machine, ended cleanly whatever happens."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from typing import TypeVar

from vosbench.errors import InputError

Task = TypeVar("Task")
Result = TypeVar("Result")


def available_cores() -> int:
    """Return the number of processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_workers(asked: int | None, tasks: int) -> int:
    """Return how many processes to use: `asked`, else one per core, never more than `tasks`.

    Raises:
        InputError: `asked` is below 1.
    """
    if asked is not None and asked < 1:
        raise InputError(f"workers is {asked}: give 1 or more")
    return max(1, min(asked or available_cores(), tasks))


def run_tasks(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    finished: Callable[[Result], None],
) -> None:
    """Call `finished` with the result of every task, in order of completion.

    With one worker everything runs in this process. Otherwise `function` and the tasks must be
    picklable, and a script calling this needs the usual ``if __name__ == "__main__"``, for processes
    may be spawned. They share the cores between them and end with this one, however it ends.

    Raises:
        InputError: raised by `function`, or a worker process was killed.
    """
    if workers == 1:
        for task in tasks:
            finished(function(task))
        return
    threads = max(1, available_cores() // workers)
    others = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context(_start_method()),
        initializer=_start_worker,
        initargs=(threads,),
    )
    try:
        for future in as_completed([pool.submit(function, task) for task in tasks]):
            finished(future.result())
    except BrokenProcessPool:
        raise InputError(
            "a worker process was killed, most likely for lack of memory; run again with fewer workers"
        ) from None
    except BaseException:
        # What the others are still computing is of no use now; waiting for it looks like a hang.
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_method() -> str:
    """Fork where that is safe, which spares importing everything again; spawn elsewhere.

    The thread pools of torch and OpenCV do not survive a fork, nor do locks that another thread holds.
    """
    safe = sys.platform == "linux" and threading.active_count() == 1
    return "fork" if safe and not {"torch", "cv2"} & sys.modules.keys() else "spawn"


def _start_worker(threads: int) -> None:
    # The parent alone answers Ctrl-C; a worker would only add a traceback.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    # Flow of one pair gains little from threads, and sequences already run side by side.
    os.environ["OPENCV_FOR_THREADS_NUM"] = "1"
    # The variables are read on import; what the user's own script imported already is told directly.
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)


def _end_with_parent() -> None:
    """Leave when the parent is gone: after a SIGKILL nobody else ends the workers."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def grouped_notes(notes: Iterable[tuple[str, str]], everything: int) -> list[str]:
    """Return one line per distinct note from (sequence, note) pairs, naming its sequences.

    Args:
        notes: pairs in any order.
        everything: number of sequences; a note on all of them names none.
    """
    sequences: dict[str, list[str]] = {}
    for sequence, note in notes:
        sequences.setdefault(note, []).append(sequence)
    return [
        f"all sequences: {note}" if len(names) == everything else f"{', '.join(sorted(names))}: {note}"
        for note, names in sorted(sequences.items())
    ]
