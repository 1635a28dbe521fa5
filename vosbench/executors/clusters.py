"""Execution of independent tasks on other machines: a Ray cluster, or jobs of Slurm through submitit.

The machines share a file system: they read data and write records where this one does.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from vosbench.errors import InputError, unknown_name
from vosbench.executors.local import (
    Executor,
    LocalExecutor,
    available_cores,
    choose_workers,
    termination_waits,
    use_threads,
)

Task = TypeVar("Task")
Result = TypeVar("Result")

EXECUTORS = ("local", "ray", "slurm")

_COMMON = ("timeout_min", "mem_gb", "cpus_per_task", "gpus_per_node", "name")
"""Options of submitit that every cluster has; others are Slurm's own, e.g. ``partition``."""

_POLL = 0.2
"""Seconds between two looks at jobs."""


class _Lost(Exception):  # noqa: N818 - news, not an error
    """The process of a task was killed."""


class _Cluster(Protocol):
    """Connection to a cluster, as `ClusterExecutor.run` uses it."""

    def submit(self, calls: Sequence[Callable[[], Any]]) -> list[Any]: ...
    def wait(self, handles: Sequence[Any]) -> list[Any]: ...
    def result(self, handle: Any) -> Any: ...


def make_executor(
    name: str,
    *,
    workers: int | None,
    address: str | None = None,
    options: Mapping[str, Any] | None = None,
    folder: Path,
) -> Executor:
    """Return the executor called `name`.

    Args:
        name: ``"local"``, ``"ray"`` or ``"slurm"``.
        workers: tasks at a time; one per core of the machine or cluster when None, for Slurm 8.
        address: of a Ray cluster; ``$RAY_ADDRESS`` when None, and without either Ray is started here.
        options: of a Ray task (``num_cpus``, ``num_gpus``, ``resources``, ``memory``) or of a Slurm job
            (``partition``, ``timeout_min``, ``mem_gb``, ``cpus_per_task``, ``gpus_per_node``, ...).
        folder: for scripts and logs of Slurm jobs.

    Raises:
        InputError: unknown name, options or an address that the executor does not take, the extra is
            not installed, or there is no such cluster.
    """
    if name not in EXECUTORS:
        raise unknown_name("executor", name, EXECUTORS)
    settings = dict(options or {})
    if address is not None and name != "ray":
        raise InputError(f"--address is that of a Ray cluster: leave it out with --executor {name}")
    if name == "local":
        if settings:
            raise InputError(f"--executor-options {next(iter(settings))}: the local executor has no options")
        return LocalExecutor(choose_workers(workers, 1 << 30))
    if name == "ray":
        return RayExecutor(workers, address or os.environ.get("RAY_ADDRESS") or None, settings)
    return SlurmExecutor(workers or 8, folder, settings)


class ClusterExecutor(ABC):
    """Tasks on other machines; a task whose process is killed is replaced at once."""

    @abstractmethod
    def connect(self, tasks: int) -> AbstractContextManager[tuple[_Cluster, int, int | None]]:
        """Connect for a number of tasks.

        Returns:
            Context with the cluster, the number of tasks at a time, and the threads of each; None: as many as
            the machine has cores.

        Raises:
            InputError: the extra is not installed, or there is no such cluster.
        """

    def run(
        self,
        function: Callable[[Task], Iterable[Result]],
        tasks: deque[Task],
        finished: Callable[[Result], None],
        lost: Callable[[Task], Iterable[Task]],
    ) -> None:
        """Run the tasks, see `vosbench.executors.local.Executor`."""
        waiting = deque(tasks)
        running: dict[Any, Task] = {}
        here = Path.cwd()
        with self.connect(len(tasks)) as (cluster, slots, threads):
            while waiting or running:
                batch = [waiting.popleft() for _ in range(min(len(waiting), slots - len(running)))]
                if batch:
                    calls = [partial(_guarded, function, task, threads, here) for task in batch]
                    running.update(zip(cluster.submit(calls), batch, strict=True))
                for handle in cluster.wait(list(running)):
                    task = running.pop(handle)
                    try:
                        results = cluster.result(handle)
                    except _Lost:
                        waiting.extend(lost(task))
                        continue
                    if isinstance(results, _Raised):
                        raise results.error
                    for result in results:
                        finished(result)


@dataclass(frozen=True)
class RayExecutor(ClusterExecutor):
    """Tasks on a Ray cluster, one at a time per worker.

    Attributes:
        workers: tasks at a time; None: as many as the cluster has cores for.
        address: of a running cluster; None starts one on this machine, and stops it at the end.
        options: of every task, e.g. ``num_gpus``.
    """

    workers: int | None
    address: str | None
    options: Mapping[str, Any] = field(default_factory=dict)

    @contextmanager
    def connect(self, tasks: int) -> Iterator[tuple[_Cluster, int, int | None]]:
        """Connect to the cluster, or start one."""
        ray = _extra("ray", "ray")
        # no reports to the makers of Ray, no lines about workers that are retried here
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        workers = self._start(ray, tasks)
        try:
            threads = max(1, available_cores() // workers) if self.address is None else None
            yield _Ray(ray, self.options), workers, threads
        finally:
            ray.shutdown()

    def _start(self, ray: Any, tasks: int) -> int:
        """Connect, or start a cluster of this machine alone; return the number of workers."""
        quiet = {"log_to_driver": False, "logging_level": "ERROR", "ignore_reinit_error": False}
        if self.address is None:
            workers = choose_workers(self.workers, max(1, tasks))
            try:
                # "local": not the cluster that somebody else has running here
                with _own_handler():
                    ray.init(address="local", num_cpus=workers, include_dashboard=False, **quiet)
            except Exception as error:  # Ray has no error of its own for a machine that is too busy
                raise InputError(
                    f"Ray does not start on this machine: {_first_line(error)}; try --executor local"
                ) from None
            return workers
        try:
            # no process is forked here that could inherit the wait
            with termination_waits(), _own_handler():
                ray.init(address=self.address, **quiet)
        except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
            raise InputError(
                f"no Ray cluster at {self.address}: {_first_line(error)}; start one with `ray start --head`, "
                "set RAY_AUTH_MODE=token for one that asks for a token, or leave --address out"
            ) from None
        return choose_workers(self.workers or int(ray.cluster_resources().get("CPU", 1)), max(1, tasks))


@contextmanager
def _own_handler() -> Iterator[None]:
    """Keep the handler of SIGTERM, which Ray replaces by one that ends the process with status 1."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if handler is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)


@dataclass(frozen=True)
class _Ray:
    ray: Any
    options: Mapping[str, Any]

    def submit(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        # lost tasks are retried here: one that is killed for lack of memory again must not go on for ever
        try:
            remote = self.ray.remote(_call).options(max_retries=0, **self.options)
        except (ValueError, TypeError) as error:
            raise InputError(f"--executor-options: Ray does not take them: {_first_line(error)}") from None
        return [remote.remote(call) for call in calls]

    def wait(self, handles: Sequence[Any]) -> list[Any]:
        done: list[Any] = self.ray.wait(list(handles), num_returns=1)[0]
        return done

    def result(self, handle: Any) -> Any:
        errors = self.ray.exceptions
        try:
            return self.ray.get(handle)
        except errors.RayTaskError as error:
            raise error.cause from None
        except (errors.WorkerCrashedError, errors.OutOfMemoryError, errors.NodeDiedError):
            raise _Lost from None


@dataclass(frozen=True)
class SlurmExecutor(ClusterExecutor):
    """Tasks as jobs of Slurm.

    Attributes:
        workers: jobs that run at a time.
        folder: for scripts, logs and results of the jobs.
        options: of the jobs; ``cluster=local`` runs them as processes of this machine instead.
    """

    workers: int
    folder: Path
    options: Mapping[str, Any] = field(default_factory=dict)

    @contextmanager
    def connect(self, tasks: int) -> Iterator[tuple[_Cluster, int, int | None]]:
        """Prepare jobs of these options."""
        submitit = _extra("submitit", "slurm")
        choose_workers(self.workers, 1)
        options = dict(self.options)
        kind: Literal["slurm", "local"] = options.pop("cluster", "slurm")
        if kind not in ("slurm", "local"):
            raise unknown_name("value of --executor-options cluster", str(kind), ("slurm", "local"))
        parameters = {key if key in _COMMON else f"slurm_{key}": value for key, value in options.items()}
        parameters.setdefault("name", "vosbench")
        if kind == "slurm":
            parameters.setdefault("slurm_array_parallelism", self.workers)
        try:
            executor = submitit.AutoExecutor(folder=self.folder, cluster=kind)
            executor.update_parameters(**{"timeout_min": 24 * 60, **parameters})
        except (RuntimeError, NameError, TypeError, ValueError) as error:
            raise InputError(f"no Slurm job can be submitted here: {_first_line(error)}") from None
        # Slurm queues what it has no room for; the processes of one machine would all start at once
        slots = max(1, tasks) if kind == "slurm" else self.workers
        threads = None if kind == "slurm" else max(1, available_cores() // self.workers)
        yield _Slurm(executor, submitit.core.utils), slots, threads


@dataclass(frozen=True)
class _Slurm:
    executor: Any
    errors: Any

    def submit(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        if len(calls) == 1:
            return [self.executor.submit(calls[0])]
        with self.executor.batch():
            return [self.executor.submit(call) for call in calls]

    def wait(self, handles: Sequence[Any]) -> list[Any]:
        while not (done := [handle for handle in handles if handle.done()]):
            time.sleep(_POLL)
        return done

    def result(self, handle: Any) -> Any:
        # errors of the task come back as values: submitit would raise its own
        try:
            return handle.result()
        except (self.errors.UncompletedJobError, self.errors.FailedJobError):
            raise _Lost from None


@dataclass(frozen=True)
class _Raised:
    """Error of a task, on its way back."""

    error: InputError


def _guarded(
    function: Callable[[Task], Iterable[Result]], task: Task, threads: int | None, folder: Path
) -> list[Result] | _Raised:
    """Run a task in the working directory of the program, where its relative paths lead to files."""
    if threads is not None:
        use_threads(threads)
    try:
        os.chdir(folder)
    except OSError as error:
        return _Raised(InputError(f"{folder}: a worker of the cluster cannot go there: {error.strerror}"))
    try:
        return list(function(task))
    except InputError as error:
        return _Raised(error)


def _call(call: Callable[[], Any]) -> Any:
    return call()


def _extra(module: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise InputError(
            f"--executor {extra} needs the package {module}: pip install 'vosbench[{extra}]'"
        ) from None


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
