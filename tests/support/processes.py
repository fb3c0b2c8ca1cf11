"""Processes: killed in the middle of their work, as a machine that goes down would; and this one's threads of torch."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def kill_when(process: subprocess.Popen[Any], ready: Callable[[], bool], seconds: float) -> None:
    """Kill -9 a process as soon as a condition holds, and wait for its end.

    Fails if it ends by itself before, or if the condition does not hold within `seconds`; it is killed then too.
    """
    try:
        deadline = time.monotonic() + seconds
        while not ready():
            assert time.monotonic() < deadline, f"not ready to be killed within {seconds} s"
            assert process.poll() is None, "the process ended before it could be killed"
            time.sleep(0.002)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Run torch on so many threads, and afterwards on as many as before: sums of later tests depend on it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
