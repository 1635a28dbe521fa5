"""Execution of independent tasks in processes of this machine, ended cleanly whatever happens."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import socket
import struct
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from multiprocessing import connection
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from vosbench.errors import InputError

if TYPE_CHECKING:
    from multiprocessing.context import BaseContext
    from multiprocessing.synchronize import Lock

Task = TypeVar("Task")
Result = TypeVar("Result")

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

_HEAVY = ("numpy", "cv2", "torch", "torchvision", "pytorch_lightning")
"""Libraries whose import takes longer than the start of a process."""

_POLL = 0.1
"""Seconds between two looks at the results of tasks that go on."""

_SIZE = struct.Struct("!Q")
"""Number of bytes, before a message of a worker."""


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


class Executor(Protocol):
    """Execution of independent tasks, on this machine or others."""

    def run(
        self,
        function: Callable[[Task], Iterable[Result]],
        tasks: deque[Task],
        finished: Callable[[Result], None],
        lost: Callable[[Task], Iterable[Task]],
    ) -> None:
        """Call `finished` with every result of every task, in order of completion.

        Args:
            function: of a module that the workers can import; yields results, which are handed over as soon
                as the executor has them.
            tasks: plain data; taken from the left when a worker is free.
            finished: called in this process; may add tasks and change their order where they run on this
                machine.
            lost: called with a task whose process was killed, some of whose results may have been handed
                over; returns the tasks to run instead, with nothing beside them in their process.

        Raises:
            InputError: raised by `function`, or there is nothing to run the tasks on.
        """
        ...


@dataclass(frozen=True)
class LocalExecutor:
    """Processes of this machine; one worker runs everything in this process.

    Attributes:
        workers: number of processes.
    """

    workers: int

    def run(
        self,
        function: Callable[[Task], Iterable[Result]],
        tasks: deque[Task],
        finished: Callable[[Result], None],
        lost: Callable[[Task], Iterable[Task]],
    ) -> None:
        """Run the tasks, see `Executor`."""
        if self.workers == 1:
            while tasks:
                for result in function(tasks.popleft()):
                    finished(result)
            return
        threads = max(1, available_cores() // self.workers)
        while tasks:
            suspects = _run_pool(function, tasks, self.workers, threads, finished)
            # which of the running tasks killed its process is unknown: they go on one at a time, with the
            # threads that they had: more can give other values
            retried = deque(replacement for task in suspects for replacement in lost(task))
            while retried:
                killed = _run_pool(function, retried, 1, threads, finished)
                retried.extend(replacement for task in killed for replacement in lost(task))


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
    LocalExecutor(workers).run(partial(_only_result, function), deque(tasks), finished, _refuse_lost)


def _only_result(function: Callable[[Task], Result], task: Task) -> tuple[Result]:
    return (function(task),)


def _refuse_lost(task: object) -> list[Any]:
    raise InputError(
        "a worker process was killed, most likely for lack of memory; run again with fewer workers"
    )


def preload(modules: Sequence[str]) -> None:
    """Import modules once for all workers to come, and return at once.

    A server process imports them meanwhile, and workers are forked from it. Only the first call has an
    effect. Only on Linux: elsewhere every worker imports for itself.

    Args:
        modules: that can be imported; their import starts no thread.
    """
    if sys.platform != "linux":
        return
    from multiprocessing import forkserver, resource_tracker

    multiprocessing.get_context("forkserver").set_forkserver_preload(list(modules))
    # workers set their number of threads; pools that are started by an import do not survive a fork.
    # modules in the working directory are none of those that are meant
    own = dict.fromkeys(_THREADS, "1") | {"PYTHONSAFEPATH": "1"}
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    # the start of the tracker would unblock the signal
    resource_tracker.ensure_running()
    # the server inherits the mask, and stays silent when the user interrupts an import
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def _run_pool(
    function: Callable[[Task], Iterable[Result]],
    waiting: deque[Task],
    workers: int,
    threads: int,
    finished: Callable[[Result], None],
) -> list[Task]:
    """Run the waiting tasks until there are none or a process is killed; return the tasks that ran then."""
    others = set(multiprocessing.active_children())
    method = _start_method()
    if method == "forkserver":
        # no effect where the server runs already
        preload([name for name in _HEAVY if name in sys.modules])
    context = multiprocessing.get_context(method)
    results = _Results(context)
    pool = ProcessPoolExecutor(
        workers,
        mp_context=context,
        initializer=_start_worker,
        initargs=(threads, dict(os.environ), results.sender),
    )
    running: dict[Future[None], tuple[int, Task]] = {}
    ended: set[int] = set()
    numbers = count()
    try:
        while waiting or running:
            # no more than run at once: the tasks that a killed process stops are then known
            while waiting and len(running) < workers:
                number = next(numbers)
                with termination_waits():
                    future = pool.submit(_send_results, function, waiting[0], number)
                running[future] = number, waiting.popleft()
            done = wait(running, timeout=_POLL, return_when=FIRST_COMPLETED).done
            # a task that is done has sent all its results before
            ended |= _hand_over(results, finished)
            for future in done:
                future.result()
                del running[future]
    except BrokenProcessPool:
        pool.shutdown(wait=True)
        ended |= _hand_over(results, finished)
        return [task for number, task in running.values() if number not in ended]
    except BaseException:
        # the results of the others are of no use now; waiting for them looks like a hang
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        results.close()
    return []


@dataclass(frozen=True)
class _Sender:
    """End of a connection for workers, one at a time."""

    socket: socket.socket
    lock: Lock

    def send(self, number: int, results: tuple[Any, ...]) -> None:
        """Send results of the task of a number; none: there will be no more."""
        message = ForkingPickler.dumps((number, results))
        with self.lock:
            self.socket.sendall(_SIZE.pack(len(message)))
            self.socket.sendall(message)


class _Results:
    """Results that workers have sent, without a wait for what a killed one has begun to send."""

    def __init__(self, context: BaseContext) -> None:
        self._socket, sending = socket.socketpair()
        self.sender = _Sender(sending, context.Lock())
        self._received = bytearray()

    def read(self) -> Iterator[tuple[int, tuple[Any, ...]]]:
        """Yield the number of a task and some of its results; none after the last."""
        # the rest of a message is on its way unless its sender is dead
        while connection.wait([self._socket], _POLL if self._received else 0):
            self._received += self._socket.recv(1 << 20)
            while len(self._received) >= _SIZE.size:
                end = _SIZE.size + _SIZE.unpack_from(self._received)[0]
                if len(self._received) < end:
                    break
                message = pickle.loads(self._received[_SIZE.size : end])  # noqa: S301 - of our own workers
                del self._received[:end]
                yield message

    def close(self) -> None:
        self._socket.close()
        self.sender.socket.close()


def _hand_over(results: _Results, finished: Callable[[Any], None]) -> set[int]:
    """Hand over the results that workers have sent; return the numbers of tasks that sent their last."""
    ended = set()
    for number, sent in results.read():
        if not sent:
            ended.add(number)
        for result in sent:
            finished(result)
    return ended


def _start_method() -> str:
    """Fork where that is safe, which spares importing everything again.

    The thread pools of torch and OpenCV do not survive a fork, nor do locks that another thread holds: then a
    server that has only imported is forked, where the system has that.
    """
    if sys.platform != "linux":
        return "spawn"
    safe = threading.active_count() == 1 and not {"torch", "cv2"} & sys.modules.keys()
    return "fork" if safe else "forkserver"


@contextmanager
def termination_waits() -> Iterator[None]:
    """Let SIGTERM wait until the block ends: a fork forgets it, and Ray has an answer of its own to it."""
    if sys.platform == "win32":
        yield
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


class _Worker:
    """A process of a pool: where it sends results to."""

    sender: ClassVar[_Sender]


def _send_results(function: Callable[[Task], Iterable[Any]], task: Task, number: int) -> None:
    """Run a task in a worker and send the results one by one, and at the end none."""
    for result in function(task):
        _Worker.sender.send(number, (result,))
    _Worker.sender.send(number, ())


def _start_worker(threads: int, environment: Mapping[str, str], sender: _Sender) -> None:
    _Worker.sender = sender
    # the server that a worker is forked from has the environment of an earlier time
    os.environ.clear()
    os.environ.update(environment)
    # only the parent answers signals; a worker would add a traceback
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if sys.platform != "win32":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    threading.Thread(target=_end_with_parent, daemon=True).start()
    use_threads(threads)


def use_threads(threads: int) -> None:
    """Let the libraries that compute in this process use so many threads."""
    os.environ.update(dict.fromkeys(_THREADS, str(threads)))
    # Flow of one pair gains little from threads, and sequences already run side by side.
    os.environ["OPENCV_FOR_THREADS_NUM"] = "1"
    # the variables are read on import; libraries that are imported already are set directly
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if "cv2" in sys.modules:
        sys.modules["cv2"].setNumThreads(1)


def _end_with_parent() -> None:
    """Exit when the parent is gone: after a SIGKILL nothing else ends the workers."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    connection.wait([parent.sentinel])
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
