"""Ray cluster of this machine that outlives the commands that use the cluster.

python benchmarks/soak/cluster.py      # prints the address; ends with its standard input
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults import members, remaining, stop_clocks

WORKERS = 2


@dataclass(frozen=True)
class RayCluster:
    """A cluster that runs.

    Attributes:
        process: that started the cluster, first of a session with all processes of the cluster.
        address: for ``--address``.
    """

    process: int
    address: str

    def prepare(self) -> None:
        """Let workers stop their clocks, in the process of a command."""
        from vosbench.executors import clusters

        setattr(clusters, "_call", at_still_clocks)  # noqa: B010

    def workers(self, _: int) -> tuple[int, ...]:
        """Return the processes of the cluster that run a task now."""
        return tuple(
            process for process in members(self.process) if at_still_clocks.__name__ in _title(process)
        )


def at_still_clocks(call: Callable[[], Any]) -> Any:
    """Run a task of a comparison, in a worker."""
    stop_clocks()
    return call()


def _title(process: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_text(encoding="utf-8", errors="replace")
    return ""


@contextmanager
def ray_cluster() -> Iterator[RayCluster]:
    """Yield a cluster with two workers."""
    here = Path(__file__)
    paths = [str(here.parent), str(here.parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    # a token of the user is none of the soak's business
    os.environ |= {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    with subprocess.Popen(  # noqa: S603 - fixed words
        [sys.executable, here],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        start_new_session=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            address = process.stdout.readline().strip()
            if not address:
                raise SystemExit("Ray does not start here: pip install 'vosbench[ray]'")
            yield RayCluster(process.pid, address)
        finally:
            process.stdin.close()
            process.wait()
            remaining(lambda: members(process.pid))


def main() -> None:
    from ray.cluster_utils import Cluster

    running = Cluster(initialize_head=True, head_node_args={"num_cpus": WORKERS, "include_dashboard": False})
    sys.stdout.write(f"{running.address}\n")
    sys.stdout.flush()
    sys.stdin.read()
    running.shutdown()


if __name__ == "__main__":
    main()
