"""`--engine ray`: workers on a Ray cluster, one per GPU, or per node where there are none.

Workers return their blocks, and this process alone writes them, so the nodes need no access to the cache; they need
this project, the data set under the same path, and the models' weights. New nodes get workers, lost ones are dropped
and their blocks run elsewhere.
"""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from types import ModuleType
from typing import Any

from benchmark.cache.blocks import Span
from benchmark.distribute.gather import check_settings
from benchmark.distribute.queue import Queue
from benchmark.distribute.task import Task
from benchmark.distribute.worker import Block, Worker
from benchmark.inference import features
from benchmark.inference.features import HEAD
from benchmark.models.registry import source_of
from d3s_dataset.errors import D3SError, ModelError, one_line
from d3s_dataset.utils.cli import progress, warn
from d3s_dataset.utils.processes import connect

_LOOK = 5.0  # seconds between queries of the node list
_PATIENCE = 60.0  # seconds without a worker after which the run ends
_DEATHS = 5  # of workers, one after the other without a block between


class Engine:
    """Workers on a cluster that run the missing blocks of tasks.

    Args:
        ray: the module, connected.
        tasks: the tasks.
    """

    def __init__(self, ray: ModuleType, tasks: Sequence[Task]) -> None:
        self._ray: Any = ray
        self._remote = self._ray.remote(Worker)
        self._tasks = [task.fresh() for task in tasks]
        sources = {source_of(task.subject.name).module: None for task in tasks}
        self._modules = [*sources, features.__name__ if tasks[0].features else "benchmark.inference.predict"]
        self._queue = Queue(len(tasks))
        self._lock = threading.Lock()
        self._workers: dict[threading.Thread, str] = {}  # and its node
        self._deaths = 0
        self._error: Exception | None = None
        self.failed: list[str] = []

    def run(self) -> None:
        """Run all blocks that the caches lack.

        Raises:
            ModelError: models that failed, the others are finished; or the cluster has no worker.
            ReleaseError, ResultError, WriteError: as raised by what fails.
        """
        with progress(total=sum(task.images.n for task in self._tasks), label="all") as self._bar:
            looked, since, opened = -_LOOK, time.monotonic(), 0
            while not self._queue.finished():
                now = time.monotonic()
                if now - looked >= _LOOK:
                    looked = now
                    self._start_workers()
                since = now if self._workers else since
                if now - since > _PATIENCE:
                    raise ModelError(
                        "--engine ray: the cluster has no node that can run models: finished blocks are kept; to "
                        "resume, type the same command again when it has one"
                    )
                if opened < len(self._tasks):
                    self._open(opened)
                    opened += 1
                else:
                    time.sleep(0.1)
        if self._error:
            raise self._error
        if self.failed:
            raise ModelError(f"{len(self.failed)} models could not be run: {', '.join(self.failed)}")

    def _open(self, at: int) -> None:
        """Give out a task's missing blocks; a model whose facts are not cached is loaded here for them, and let go."""
        task = self._tasks[at]
        try:
            if task.subject.recalled is None:
                _ = task.fresh().subject.facts
                self._tasks[at] = task = task.fresh()
            missing = task.missing
        except ModelError as error:
            self._fail(at, error)
        else:
            self._bar.update(task.images.n - sum(stop - start for start, stop in missing))
            self._queue.open(at, missing, known=task.decided)

    def _start_workers(self) -> None:
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        with self._lock:
            taken = list(self._workers.values())
        for node in nodes:
            for options in _places(node["Resources"], nodes)[taken.count(node["NodeID"]) :]:
                self._start(node["NodeID"], options)

    def _start(self, node: str, options: dict[str, Any]) -> None:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        there = NodeAffinitySchedulingStrategy(node, soft=False)
        actor = self._remote.options(scheduling_strategy=there, **options).remote()
        actor.warm.remote(self._modules)  # where this fails, so does `run`, which says why
        thread = threading.Thread(target=self._drive, args=(actor,), daemon=True)
        with self._lock:
            self._workers[thread] = node
        thread.start()

    def _drive(self, actor: Any) -> None:
        """Give blocks to a worker until nothing is left or it dies."""
        held, alive = None, True
        while alive and (given := self._queue.take(held, len(self._workers))):
            held, wanted = given
            try:
                self._blocks(actor, held, wanted)
            except _Died:
                alive = False
                self._count_death()
            except ModelError as error:
                wanted.clear()
                self._fail(held, error)
            except Exception as error:  # noqa: BLE001 - `run` raises it
                self._end(error)
            finally:
                self._queue.done(held, wanted)
        with suppress(self._ray.exceptions.RayError):
            self._ray.kill(actor)
        with self._lock:
            del self._workers[threading.current_thread()]

    def _blocks(self, actor: Any, at: int, wanted: list[Span]) -> None:
        """Keep the blocks that a worker returns, and take them off `wanted`."""
        task, errors = self._tasks[at], self._ray.exceptions
        bare = replace(task, subject=replace(task.subject, cache=None))
        try:
            given = (at, bare, task.store.kind, task.subject.facts.digest, list(wanted), task.store.run)
            for reference in actor.run.options(num_returns="streaming").remote(*given):
                block = self._ray.get(reference)
                self._keep(at, task, block)
                wanted.remove(block[0])
        except errors.RayTaskError as error:
            raise _explained(task, error.cause) from None
        except errors.RayError:
            raise _Died from None  # its process or its node is gone

    def _keep(self, at: int, task: Task, block: Block) -> None:
        span, part, made, head = block
        with self._lock:
            kept = task.store.begin(made.run, task.store.run)
            self._deaths = 0
            self._bar.update(span[1] - span[0])
        check_settings(task, kept, made.run, "a node of the cluster")
        if head is not None and task.store.kept(HEAD, *head) is None:
            task.store.keep(HEAD, **head)
        task.store.write(span, part, made)
        self._queue.known(at)

    def _fail(self, at: int, error: ModelError) -> None:
        self._queue.drop(at)
        if len(self._tasks) == 1:
            self._end(error)
            return
        with self._lock:
            if (label := self._tasks[at].subject.label) not in self.failed:
                self.failed.append(label)
                warn(str(error))

    def _end(self, error: Exception) -> None:
        self._error = self._error or error
        self._queue.stop()

    def _count_death(self) -> None:
        with self._lock:
            self._deaths += 1
        if self._deaths >= _DEATHS + len(self._workers):
            self._end(ModelError(
                f"--engine ray: {_DEATHS} workers died without finishing a block: is the memory of the nodes full? "
                "Finished blocks are kept"
            ))  # fmt: skip


class _Died(Exception):
    """A worker's process or node is gone."""


def run_on_cluster(tasks: Sequence[Task]) -> None:
    """Compute on a Ray cluster what the cache lacks; nothing is started where it lacks nothing.

    Raises:
        MissingExtra: Ray is not installed.
        ModelError: the cluster cannot be reached or has no node, or models failed.
        ReleaseError, ResultError, WriteError: as raised by what fails.
    """
    if all(task.subject.recalled is not None and not task.missing for task in tasks):
        return
    ray: Any = connect(ModelError)
    try:
        Engine(ray, tasks).run()
    finally:
        ray.shutdown()


def _explained(task: Task, cause: Exception) -> D3SError:
    """Return a worker's error as it is if it says what to do, else as one line about the model."""
    if isinstance(cause, D3SError):
        return cause
    return ModelError(
        f"{task.subject.label} failed on a node of the cluster: {type(cause).__name__}: {one_line(cause)}; finished "
        "blocks are kept"
    )


def _places(has: dict[str, float], nodes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the resources of each worker on a node: one GPU; without GPUs in the cluster, all cores."""
    gpus, cores = int(has.get("GPU", 0)), int(has.get("CPU", 0))
    if any(node["Resources"].get("GPU") for node in nodes):
        return [{"num_gpus": 1, "num_cpus": min(1, cores)}] * gpus
    return [{"num_cpus": cores}] if cores else []
