"""Ray clusters of several nodes on this machine, each node in processes of its own, and what runs on them."""

import os
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT


class Nodes:
    """A cluster of nodes with a core each.

    Args:
        count: of nodes; number 0 is the head.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._stack = ExitStack()

    def __enter__(self) -> "Nodes":
        from ray.cluster_utils import Cluster

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OMP_NUM_THREADS", "1")
            patch.setenv("PYTHONPATH", str(ROOT))  # what nodes start with, as if the project were installed on them
            self._cluster: Any = Cluster(
                initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
            )
            self._stack.callback(self._cluster.shutdown)
            more = [self._cluster.add_node(num_cpus=1) for _ in range(1, self._count)]
            self._nodes = [self._cluster.head_node, *more]
            self._cluster.wait_for_nodes()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def address(self) -> str:
        """The value of `RAY_ADDRESS`."""
        return self._cluster.address

    def works(self, node: int) -> bool:
        """Return whether a worker of a node is at blocks of `benchmark.run`: Ray names a process by its call."""
        return bool(_at_blocks(below([self._process(node, "raylet")])))

    def busy(self) -> set[int]:
        """Return the processes of all nodes that are at blocks of `benchmark.run`."""
        return _at_blocks(below(self._process(node, "raylet") for node in range(self._count)))

    def lose(self, node: int) -> None:
        """Kill a node with all that runs on it."""
        self._cluster.remove_node(self._nodes[node], allow_graceful=False)

    def kill(self) -> None:
        """Kill -9 all processes of all nodes at once."""
        own = [
            started.process.pid for node in self._nodes for every in node.all_processes.values() for started in every
        ]
        for process in [*own, *below(own)]:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def _process(self, node: int, kind: str) -> int:
        return self._nodes[node].all_processes[kind][0].process.pid


def below(processes: Iterable[int]) -> set[int]:
    """Return the living processes that some processes started, directly or not."""
    started = defaultdict[int, list[int]](list)
    for place in Path("/proc").iterdir():
        if place.name.isdecimal():
            with suppress(OSError):  # it has ended
                started[int(place.joinpath("stat").read_text().rpartition(")")[2].split()[1])].append(int(place.name))
    found, left = set[int](), list(processes)
    while left:
        more = [each for each in started[left.pop()] if each not in found]
        found.update(more)
        left += more
    return found


def living(processes: Iterable[int]) -> list[str]:
    """Return what those of some processes call themselves that have not ended."""
    return [title for each in processes if (title := _title(each))]


def wait_until(holds: Callable[[], bool], seconds: float) -> bool:
    """Wait until a condition holds; return whether it did in time."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _at_blocks(processes: Iterable[int]) -> set[int]:
    return {each for each in processes if _title(each).startswith("ray::Worker.run")}


def _title(process: int) -> str:
    """Return what a process calls itself; empty where it has ended, waited for or not."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""
