"""SIGTERM and Ctrl-C: end a run in order, or at once where asked twice."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from d3s_dataset.utils.cli import warn
from generation.execution.scheduler import Engine


@contextmanager
def in_order(engine: Engine) -> Iterator[None]:
    """Let SIGTERM and the first Ctrl-C end the run in order: the batch on the device is finished, all is kept."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, _: FrameType | None) -> None:
        if engine.stopped:
            raise KeyboardInterrupt
        warn(f"{signal.Signals(number).name}: finishing the batch; once more to stop at once")
        engine.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
