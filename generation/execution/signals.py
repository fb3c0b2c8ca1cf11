"""SIGTERM and Ctrl-C: finish the current batch and stop; a second signal stops immediately."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from d3s_dataset.utils.cli import warn
from generation.execution.scheduler import Engine


@contextmanager
def in_order(engine: Engine) -> Iterator[None]:
    """Stop the run on SIGTERM or the first Ctrl-C after the batch on the device, keeping all images."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: FrameType | None) -> None:
        if engine.stopped:
            raise KeyboardInterrupt
        warn(f"{signal.Signals(number).name}: finishing the batch; repeat to stop immediately")
        engine.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
