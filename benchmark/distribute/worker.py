"""A worker on a cluster: it holds one model's network and gives each block back as soon as it is finished."""

import queue
import threading
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from benchmark.cache.blocks import Made, Span, Store
from benchmark.distribute.task import Task
from benchmark.inference.features import HEAD
from benchmark.schemas.result import Run
from d3s_dataset.errors import ModelError, ReleaseError
from d3s_dataset.utils.processes import keep_freed_memory

Block = tuple[Span, Any, Made, dict[str, Any] | None]  # rows, part, how it was made, the model's head (features)


class Outbox(Store[Any]):
    """A store in memory that passes each part on, signed.

    Args:
        kind: of the parts.
        wanted: the rows of each.
        run: settings that are decided already.
    """

    def __init__(self, kind: type[Any], wanted: Sequence[Span], run: Run | None) -> None:
        super().__init__(kind)
        self._wanted, self._run = list(wanted), run
        self.sent: queue.SimpleQueue[Block | BaseException | None] = queue.SimpleQueue()

    def missing(self, n: int) -> list[Span]:
        """Return the spans that are wanted, of however many rows the caller's blocks are."""
        return self._wanted

    def write(self, span: Span, part: Any, made: Made | None = None) -> None:
        """Pass on what a span of rows gave."""
        made = made or self.signature()
        assert made is not None  # `Task.compute` signs
        self.sent.put((span, part, made, self.kept(HEAD, "weight", "bias")))


class Worker:
    """A Ray actor that runs blocks of one model after the other."""

    def __init__(self) -> None:
        self._number, self._task = -1, None
        keep_freed_memory()

    def warm(self, modules: Sequence[str]) -> None:
        """Import what models need, seconds of torch, while the caller still looks for the blocks to run."""
        for each in modules:
            import_module(each)

    def run(
        self, number: int, task: Task, kind: type[Any], digest: str, wanted: Sequence[Span], run: Run | None
    ) -> Iterator[Block]:
        """Yield blocks of a task.

        Args:
            number: of the task; the network of the last one is kept.
            task: without a cache.
            kind: of the blocks.
            digest: of the weights that the caller has.
            wanted: the blocks.
            run: settings that are decided already.

        Raises:
            ModelError: the model cannot be loaded or run, or has other weights here.
            ReleaseError: the data set is not here, or an image cannot be read.
        """
        if number != self._number:
            self._number, self._task = number, task.fresh(self._task)
        for path in task.split.paths:
            if not path.is_file():
                raise ReleaseError(f"no file {path} on a node: expected --dataset under the same path on every node")
        assert self._task is not None
        if self._task.subject.facts.digest != digest:
            raise ModelError(f"{task.subject.label} has other weights on a node than here: expected the same files")
        outbox = Outbox(kind, wanted, run)
        threading.Thread(target=_fill, args=(self._task, list(wanted), outbox), daemon=True).start()
        while (said := outbox.sent.get()) is not None:
            if isinstance(said, BaseException):
                raise said
            yield said


def _fill(task: Task, wanted: list[Span], outbox: Outbox) -> None:
    try:
        task.compute(wanted, outbox)
    except BaseException as error:  # noqa: BLE001 - raised where the caller waits
        outbox.sent.put(error)
    else:
        outbox.sent.put(None)
