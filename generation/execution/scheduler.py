"""Batch scheduler: workers (one per GPU, or this machine's cores; `Lanes`) take batches as they become free.

Every engine makes the same records from the same rows, on different machines. If a worker dies, its batches are
rescheduled; an engine without workers ends the run, which can be resumed.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol

from d3s_dataset.errors import GenerationError
from generation.execution.gpu_process import ProcessLane
from generation.execution.worker import LaneDied, LocalLane, Spec, Stopped
from generation.images.rows import Made
from generation.planning.plan import Row

ROWS_A_BATCH = 8  # where no device sets the batch size
_MOST_THREADS = 512


@dataclass(frozen=True)
class Batch:
    """Rows that are made together, and the shard of each."""

    rows: list[Row]
    shards: list[Any]
    redraw: bool


class Lanes(Protocol):
    """Interface of a worker: `make` is called by up to `window` threads concurrently."""

    name: str
    window: int
    batch_size: int | None

    def make(self, rows: list[Row], redraw: bool) -> list[Made]:
        """Return the record or failure of each row; raises LaneDied, or Stopped."""
        ...

    def stop(self) -> None:
        """Start no further batch."""
        ...

    def close(self) -> None:
        """Release all resources."""
        ...

    def environment(self) -> dict[str, str]:
        """Return the versions and settings outside the recipe that affect the pixels."""
        ...


class Engine:
    """Distributes batches over workers. A context manager.

    Args:
        lanes: at least one worker.
    """

    def __init__(self, lanes: list[Lanes]) -> None:
        self.lanes, self.stopped = lanes, False
        self._busy: dict[int, int] = {}
        self._threads = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="lane")
        self._seen: dict[str, set[str]] = {}
        # Done in this process with rows before they become batches; `open_engine` sets it.
        self.prepare: Callable[[Sequence[Row]], None] = lambda rows: None

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        for lane in self.lanes:
            lane.stop()
        self._threads.shutdown(cancel_futures=True)
        with ThreadPoolExecutor(max(1, len(self.lanes))) as closing:
            list(closing.map(lambda lane: lane.close(), self.lanes))

    def note(self, environment: dict[str, str]) -> None:
        """Record versions and settings that affect the pixels."""
        for name, value in environment.items():
            self._seen.setdefault(name, set()).add(value)

    @property
    def batch_size(self) -> int:
        """Rows per batch: the maximum over the devices."""
        return max((lane.batch_size or 0 for lane in self.lanes), default=0) or ROWS_A_BATCH

    def make(self, batches: Iterable[Batch]) -> Iterator[tuple[Lanes, Batch, list[Made]]]:
        """Yield (worker, batch, records or failures) in order of completion; fewer after `stop`.

        Raises:
            GenerationError: no worker is left.
        """
        source, again = iter(batches), list[Batch]()
        working: dict[Future[list[Made]], tuple[Batch, Lanes]] = {}
        while True:
            self.grow()
            while not self.stopped and (lane := self._free()) is not None:
                batch = again.pop() if again else next(source, None)
                if batch is None:
                    break
                self._busy[id(lane)] = self._busy.get(id(lane), 0) + 1
                working[self._threads.submit(lane.make, batch.rows, batch.redraw)] = (batch, lane)
            if not working:
                if again and not self.stopped:
                    self._wait_for_lanes()
                    continue
                return
            done, _ = wait(working, timeout=1, return_when=FIRST_COMPLETED)
            for future in done:
                batch, lane = working.pop(future)
                self._busy[id(lane)] -= 1
                try:
                    made = future.result()
                except Stopped:
                    continue
                except LaneDied:
                    again.append(batch)
                    self.lost(lane)
                    continue
                self.note(lane.environment())
                yield lane, batch, made

    def stop(self) -> None:
        """Start no further batch; batches on a device are finished and yielded."""
        self.stopped = True
        for lane in self.lanes:
            lane.stop()

    def grow(self) -> None:
        """Add workers where resources became available; a no-op here."""

    def lost(self, lane: Lanes) -> None:
        """Remove a worker that died."""
        if lane in self.lanes:
            self.lanes.remove(lane)
            lane.close()

    def environment(self) -> dict[str, str]:
        """Return the versions and settings outside the recipe that affect the pixels; all values if workers differ."""
        return {name: " and ".join(sorted(values)) for name, values in self._seen.items()}

    def _free(self) -> Lanes | None:
        """Return the least busy worker that can take another batch."""
        free = [lane for lane in self.lanes if self._busy.get(id(lane), 0) < lane.window]
        return min(free, key=lambda lane: self._busy.get(id(lane), 0), default=None)

    def _wait_for_lanes(self) -> None:
        """Wait for workers to come back; raises GenerationError if none does."""
        for _ in range(self.patience):
            self.grow()
            if self.lanes:
                return
            time.sleep(1)
        raise GenerationError("no device is left: finished images are kept; type the same command again to resume")

    patience = 1  # seconds without any worker


def local_engine(spec: Spec, devices: list[str | None], workers: int) -> Engine:
    """Return an engine on this machine: one worker per device, in separate processes for several devices.

    Args:
        spec: what lanes are made from.
        devices: torch devices; [None] is the first GPU, else the CPU.
        workers: CPU worker processes in total; 1 composes and encodes in the device worker's own process.

    Raises:
        ModelError: a model cannot be loaded, or a device cannot be used.
    """
    share = max(1, workers // len(devices))
    if len(devices) == 1:
        return Engine([LocalLane(spec, devices[0], share)])
    lanes: list[Lanes] = []
    try:
        starting = [ProcessLane(spec, device, share) for device in devices]
        lanes += starting
        for lane in starting:
            lane.wait_until_open()
    except BaseException:
        for lane in lanes:
            lane.close()
        raise
    return Engine(lanes)
