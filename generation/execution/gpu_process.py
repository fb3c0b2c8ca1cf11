"""Device worker in its own process, one per GPU of this machine; restarted when it dies."""

import itertools
import multiprocessing
import pickle
import signal
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from d3s_dataset.errors import GenerationError, one_line
from d3s_dataset.utils.cli import warn
from d3s_dataset.utils.processes import begin_worker
from generation.execution.worker import LaneDied, LocalLane, Spec
from generation.images.rows import Made
from generation.planning.plan import Row

_LIVES = 3  # restarts of a worker without a finished batch in between


class ProcessLane:
    """A `LocalLane` in its own process, with the interface that an engine uses.

    Args:
        spec: configuration of the worker.
        device: its torch device.
        workers: number of its CPU worker processes.
    """

    window = LocalLane.window

    def __init__(self, spec: Spec, device: str | None, workers: int) -> None:
        self.name, self.batch_size = str(device), None
        self._start = (spec, device, workers)
        self._numbers = itertools.count()
        self._asked: dict[int, Future[Any]] = {}
        self._lock, self._restarting, self._deaths = threading.Lock(), threading.Lock(), 0
        self._environment: dict[str, str] = {}
        self._closing = False
        self._launch()

    def _launch(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        # Not a daemon: it has its own CPU workers. It ends with this process in any case.
        self._process = context.Process(target=_serve, args=(theirs, *self._start), daemon=False)
        self._process.start()
        theirs.close()
        self._opened: Future[Any] = Future()
        threading.Thread(target=self._read, args=(self._connection, self._opened), daemon=True).start()

    def wait_until_open(self) -> None:
        """Wait until the models are loaded; raises ModelError on failure."""
        try:
            self.batch_size, self._environment = self._opened.result()
        except LaneDied:
            self._process.join(timeout=10)
            code = self._process.exitcode
            raise GenerationError(
                f"the process of --devices {self.name} died while loading (exit code {code}), possibly out of memory"
            ) from None

    def make(self, rows: list[Row], redraw: bool) -> list[Made]:
        """Return the record or failure of each row; a process that dies is restarted and the batch repeated."""
        while True:
            process = self._process
            try:
                made, self._environment = self._ask("make", rows, redraw)
            except LaneDied:
                self._again(process)
                continue
            self._deaths = 0
            return made

    def _ask(self, what: str, *arguments: Any) -> Any:
        number, answer = next(self._numbers), Future[Any]()
        with self._lock:
            self._asked[number] = answer
            try:
                self._connection.send((number, what, arguments))
            except OSError:
                self._asked.pop(number, None)
                raise LaneDied(self.name) from None
        return answer.result()

    def _again(self, dead: Any) -> None:
        with self._restarting:
            if self._process is not dead:
                return  # another thread has restarted it
            self._deaths += 1
            if self._closing or self._deaths > _LIVES:
                raise LaneDied(self.name)
            warn(f"the process of device {self.name} died (exit code {dead.exitcode}): restarting it")
            self._launch()
            self.batch_size, self._environment = self._opened.result()

    def _read(self, connection: Connection, opened: Future[Any]) -> None:
        """Deliver results to the waiting threads, until the process ends."""
        try:
            while True:
                number, error, value = connection.recv()
                answer = opened if number is None else self._asked.pop(number)
                if error is None:
                    answer.set_result(value)
                else:
                    answer.set_exception(error)
        except Exception:  # noqa: BLE001 - the process ended, or its result cannot be unpickled: no thread may wait for it
            with self._lock:
                left, self._asked = list(self._asked.values()), {}
            for answer in [opened, *left]:
                if not answer.done():
                    answer.set_exception(LaneDied(self.name))

    def stop(self) -> None:
        """Start no further batch."""
        self._closing = True
        self._tell("stop")

    def _tell(self, what: str) -> None:
        with self._lock, suppress(OSError):  # it may have ended already
            self._connection.send((None, what, ()))

    def close(self) -> None:
        """End the process."""
        self._closing = True
        self._tell("close")
        self._process.join(timeout=10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._connection.close()

    def environment(self) -> dict[str, str]:
        """Return the versions and settings outside the recipe that affect the pixels."""
        return self._environment


def _serve(connection: Connection, spec: Spec, device: str | None, workers: int) -> None:
    """Open a worker and process requests until the connection is closed."""
    begin_worker()
    # Schedulers send it to every process, but only the parent decides when to stop.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sending = threading.Lock()

    def answer(number: int | None, error: BaseException | None, value: Any) -> None:
        with sending:
            connection.send((number, error and _portable(error), value))

    try:
        lane = LocalLane(spec, device, workers)
    except Exception as error:  # noqa: BLE001 - any error is re-raised in the parent
        return answer(None, error, None)
    answer(None, None, (lane.batch_size, lane.environment()))

    def make(number: int, rows: list[Row], redraw: bool) -> None:
        try:
            answer(number, None, (lane.make(rows, redraw), lane.environment()))
        except Exception as error:  # noqa: BLE001 - as above
            answer(number, error, None)

    with ThreadPoolExecutor(LocalLane.window) as threads:
        while True:
            try:
                number, what, arguments = connection.recv()
            except EOFError:
                break
            if what == "close":
                break
            if what == "stop":
                lane.stop()
            else:
                threads.submit(make, number, *arguments)
    lane.close()


def _portable(error: BaseException) -> BaseException:
    """Return an error that can be pickled: itself, or a GenerationError with its message."""
    try:
        return pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:  # noqa: BLE001 - an error's class may raise anything when unpickled
        return GenerationError(f"{type(error).__name__}: {one_line(error)}")
