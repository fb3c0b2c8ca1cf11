"""Processes of ours: workers, which end with the process that started them; memory; the Ray cluster."""

import ctypes
import logging
import multiprocessing
import os
import signal
import socket
import threading
import warnings
from contextlib import suppress
from multiprocessing.connection import wait
from types import ModuleType

from d3s_dataset.errors import D3SError, one_line
from d3s_dataset.utils.extras import late

_KNOCK = 10.0  # seconds within which a cluster must respond
# Parameters of glibc's `mallopt` (malloc.h): free memory is never returned, larger blocks are mapped and are, threads
# share one heap, since each further one returns what is larger than 64 MiB.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_KEPT = {_M_TRIM_THRESHOLD: -1, _M_MMAP_THRESHOLD: 1 << 30, _M_ARENA_MAX: 1}


def begin_worker() -> None:
    """Set up a worker process: it ends when its parent dies, as after a kill -9, and keeps freed memory.

    Ctrl-C is left to the parent, which stops in order.
    """
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def keep_freed_memory() -> None:
    """Let this process use freed memory again instead of returning it to the system; glibc only, else nothing.

    Networks and images free and allocate the same large blocks over and over. By default each comes from the system
    anew, and page by page at a fault each: in a virtual machine half the time of a small network on a CPU
    (`benchmark/RESULTS.md`). Called by commands and workers; a program that calls the library decides for itself.
    """
    with suppress(AttributeError, OSError, TypeError):  # another system's C library
        for parameter, value in _KEPT.items():
            ctypes.CDLL(None).mallopt(parameter, value)


def connect(error: type[D3SError]) -> ModuleType:
    """Connect to the cluster at `RAY_ADDRESS`, else one started on this machine, else a new one; return module `ray`.

    Args:
        error: what to raise where the cluster cannot be reached.

    Raises:
        MissingExtra: Ray is not installed.
    """
    ray = late("ray", "ray")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            _knock(os.environ.get("RAY_ADDRESS", ""))
            ray.init(logging_level=logging.ERROR, log_to_driver=False, configure_logging=False)
        except (OSError, ValueError, RuntimeError) as problem:
            raise error(
                f"--engine ray: the cluster cannot be reached: {one_line(problem)}; expected RAY_ADDRESS=host:port of "
                "a running one (ray start --head), or none to start one here"
            ) from None
    return ray


def _knock(address: str) -> None:
    """Raise OSError if nothing listens at host:port: Ray itself would retry for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        try:
            socket.create_connection((host, int(port)), timeout=_KNOCK).close()
        except OSError as error:
            raise OSError(f"{address}: {error.strerror or error}") from None
