"""A lane in a process of its own, one for each GPU of this machine; restarted where it dies."""

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
from d3s_dataset.utils.processes import end_with_parent
from generation.execution.worker import LaneDied, LocalLane, Spec
from generation.images.rows import Made
from generation.planning.plan import Row

_LIVES = 3  # times that a lane is started again without having made a batch in between


class ProcessLane:
    """A `LocalLane` in a process of its own, as an engine sees it.

    Args:
        spec: what the lane is made from.
        device: its torch device.
        workers: its worker processes.
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
        # Not a daemon: it has worker processes of its own. It ends with this process in any case.
        self._process = context.Process(target=_serve, args=(theirs, *self._start), daemon=False)
        self._process.start()
        theirs.close()
        self._opened: Future[Any] = Future()
        threading.Thread(target=self._read, args=(self._connection, self._opened), daemon=True).start()

    def wait_until_open(self) -> None:
        """Wait until the networks are loaded; raises ModelError where they cannot be."""
        try:
            self.batch_size, self._environment = self._opened.result()
        except LaneDied:
            self._process.join(timeout=10)
            code = self._process.exitcode
            raise GenerationError(
                f"the process of --device {self.name} ended while it loaded (exit code {code}): as when memory runs out"
            ) from None

    def make(self, rows: list[Row], redraw: bool) -> list[Made]:
        """Return what was made of each row; a process that dies is started again and asked again."""
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
                return  # another thread has seen to it
            self._deaths += 1
            if self._closing or self._deaths > _LIVES:
                raise LaneDied(self.name)
            warn(f"the process of device {self.name} died (exit code {dead.exitcode}): it is started again")
            self._launch()
            self.batch_size, self._environment = self._opened.result()

    def _read(self, connection: Connection, opened: Future[Any]) -> None:
        """Hand answers to those who asked, until the process ends."""
        try:
            while True:
                number, error, value = connection.recv()
                answer = opened if number is None else self._asked.pop(number)
                if error is None:
                    answer.set_result(value)
                else:
                    answer.set_exception(error)
        except Exception:  # noqa: BLE001 - the end of the process, or an answer that cannot be read: nobody may wait on
            with self._lock:
                left, self._asked = list(self._asked.values()), {}
            for answer in [opened, *left]:
                if not answer.done():
                    answer.set_exception(LaneDied(self.name))

    def stop(self) -> None:
        """Begin nothing more."""
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
        """Return what beside the recipe decides the pixels."""
        return self._environment


def _serve(connection: Connection, spec: Spec, device: str | None, workers: int) -> None:
    """Open a lane and answer until the connection is closed."""
    end_with_parent()
    # Schedulers send it to every process: when to stop is the parent's to say.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sending = threading.Lock()

    def answer(number: int | None, error: BaseException | None, value: Any) -> None:
        with sending:
            connection.send((number, error and _portable(error), value))

    try:
        lane = LocalLane(spec, device, workers)
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent raises it again
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
    """Return an error that survives the way to another process: itself, or one with its words."""
    try:
        return pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    except Exception:  # noqa: BLE001 - whatever an error's own class does when it is made again
        return GenerationError(f"{type(error).__name__}: {one_line(error)}")
