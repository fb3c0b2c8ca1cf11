"""Processes that are killed in the middle of their work, as a machine that goes down would."""

import signal
import subprocess
import time
from collections.abc import Callable
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
