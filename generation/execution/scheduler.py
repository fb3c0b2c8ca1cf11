"""Who makes which batch: lanes (a GPU each, or this machine's cores) that take batches as they come free.

Every engine makes the same rows into the same records; what differs is where. A batch whose lane died is made by
another; an engine without lanes ends the run, which can be taken up where it stopped.
"""

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol

from d3s_dataset.errors import GenerationError
from generation.execution.gpu_process import ProcessLane
from generation.execution.worker import LaneDied, LocalLane, Spec, Stopped
from generation.images.rows import Made
from generation.planning.plan import Row

ROWS_A_BATCH = 8  # where no device says how many it takes at once
_MOST_THREADS = 512


@dataclass(frozen=True)
class Batch:
    """Rows that are made together, and the shard that each belongs to."""

    rows: list[Row]
    shards: list[Any]
    redraw: bool


class Lanes(Protocol):
    """A lane as an engine sees it: `make` is called by up to `window` threads at once."""

    name: str
    window: int
    batch_size: int | None

    def make(self, rows: list[Row], redraw: bool) -> list[Made]:
        """Return what was made of each row; raises LaneDied, or Stopped."""
        ...

    def stop(self) -> None:
        """Begin nothing more."""
        ...

    def close(self) -> None:
        """Free what it holds."""
        ...

    def environment(self) -> dict[str, str]:
        """Return what beside the recipe decides the pixels."""
        ...


class Engine:
    """Spreads batches over lanes. A context manager.

    Args:
        lanes: at least one.
    """

    def __init__(self, lanes: list[Lanes]) -> None:
        self.lanes, self.stopped = lanes, False
        self._busy: dict[int, int] = {}
        self._threads = ThreadPoolExecutor(_MOST_THREADS, thread_name_prefix="lane")
        self._seen: dict[str, set[str]] = {}

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        for lane in self.lanes:
            lane.stop()
        self._threads.shutdown(cancel_futures=True)
        with ThreadPoolExecutor(max(1, len(self.lanes))) as closing:
            list(closing.map(lambda lane: lane.close(), self.lanes))

    @property
    def batch_size(self) -> int:
        """Rows a batch: what the devices take at once."""
        return max((lane.batch_size or 0 for lane in self.lanes), default=0) or ROWS_A_BATCH

    def make(self, batches: Iterable[Batch]) -> Iterator[tuple[Lanes, Batch, list[Made]]]:
        """Yield every batch with who made it and what was made of its rows, as they come; fewer after `stop`.

        Raises:
            GenerationError: no lane is left.
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
                self._note(lane)
                yield lane, batch, made

    def stop(self) -> None:
        """Begin nothing more; what is on a device is finished and yielded."""
        self.stopped = True
        for lane in self.lanes:
            lane.stop()

    def grow(self) -> None:
        """Add lanes where there is room for more; here there never is."""

    def lost(self, lane: Lanes) -> None:
        """Take a lane that died off the list."""
        if lane in self.lanes:
            self.lanes.remove(lane)
            lane.close()

    def environment(self) -> dict[str, str]:
        """Return what beside the recipe decides the pixels; where lanes differ, all of it."""
        return {name: " and ".join(sorted(values)) for name, values in self._seen.items()}

    def _note(self, lane: Lanes) -> None:
        for name, value in lane.environment().items():
            self._seen.setdefault(name, set()).add(value)

    def _free(self) -> Lanes | None:
        """Return the least busy lane that can take another batch."""
        free = [lane for lane in self.lanes if self._busy.get(id(lane), 0) < lane.window]
        return min(free, key=lambda lane: self._busy.get(id(lane), 0), default=None)

    def _wait_for_lanes(self) -> None:
        """Wait for lanes to come back, where that can be; else say that there are none."""
        for _ in range(self.patience):
            self.grow()
            if self.lanes:
                return
            time.sleep(1)
        raise GenerationError("no device is left to make images on: what was made is kept; type the same command again")

    patience = 1  # seconds without any lane


def local_engine(spec: Spec, devices: list[str | None], workers: int) -> Engine:
    """Return an engine of this machine: one lane a device, in processes of their own where there are several.

    Args:
        spec: what lanes are made from.
        devices: torch devices; [None] is the first GPU, else the CPU.
        workers: worker processes in all; 1 composes and encodes in the lane's own process.

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
