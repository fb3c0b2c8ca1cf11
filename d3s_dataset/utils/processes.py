"""Workers: a process that ends with the process that started it, and only then; the Ray cluster of `--engine ray`."""

import logging
import multiprocessing
import os
import signal
import socket
import threading
import warnings
from multiprocessing.connection import wait
from types import ModuleType

from d3s_dataset.errors import D3SError, one_line
from d3s_dataset.utils.extras import late

_KNOCK = 10.0  # seconds within which a cluster must respond


def end_with_parent() -> None:
    """End this process when its parent dies, as after a kill -9; leave Ctrl-C to the parent, which stops in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


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
