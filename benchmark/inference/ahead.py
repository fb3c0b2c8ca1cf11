"""Models in turn, the next one's weights loading while the caller works on one. Loads torch only to load a model."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from benchmark.cache.cache import Options
from benchmark.data.decode import Images
from benchmark.data.distinct import distinct
from benchmark.inference.evaluate import Subject, store_of

if TYPE_CHECKING:
    from benchmark.models.classifier import Classifier


def in_turn(models: Sequence[Subject], runs: Callable[[Subject], bool]) -> Iterator[Subject]:
    """Yield models one after the other; two at most are in memory, the caller's and the next.

    A model that cannot be loaded raises where the caller uses it.

    Args:
        models: not loaded.
        runs: whether a model's weights will be needed.
    """
    if len(models) == 1:
        yield from models
        return
    pool, waiting = ThreadPoolExecutor(1, "weights"), deque(models)
    try:
        coming = _begin(pool, waiting, runs)
        while waiting:
            each = replace(waiting.popleft(), coming=coming)
            coming = _begin(pool, waiting, runs)
            yield each
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _begin(pool: Executor, waiting: Sequence[Subject], runs: Callable[[Subject], bool]) -> "Future[Classifier] | None":
    return pool.submit(waiting[0].load) if waiting and runs(waiting[0]) else None


def to_be_run(model: Subject, sources: Sequence[Images], options: Options) -> bool:
    """Return whether a model has not been begun on one of the sources, as far as the cache's notes tell quickly."""
    if model.cache is None or model.recalled is None:
        return True
    return any(store_of(model, distinct(each, model.cache)[0], options).run is None for each in sources)
