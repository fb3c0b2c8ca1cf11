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
from benchmark.models.registry import source_of

if TYPE_CHECKING:
    from benchmark.models.classifier import Classifier


def in_turn(models: Sequence[Subject], ahead: Callable[[Subject], bool]) -> Iterator[Subject]:
    """Yield models one after the other; two at most are in memory, the caller's and the next.

    A model that cannot be loaded raises where the caller uses it.

    Args:
        models: not loaded.
        ahead: whether to load a model before its turn.
    """
    if len(models) == 1:
        yield from models
        return
    pool, waiting = ThreadPoolExecutor(1, "weights"), deque(models)
    try:
        coming = _begin(pool, waiting, ahead)
        while waiting:
            each = replace(waiting.popleft(), coming=coming)
            coming = _begin(pool, waiting, ahead)
            yield each
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _begin(pool: Executor, waiting: Sequence[Subject], ahead: Callable[[Subject], bool]) -> "Future[Classifier] | None":
    return pool.submit(waiting[0].load) if waiting and ahead(waiting[0]) else None


def loads_ahead(model: Subject, sources: Sequence[Images], options: Options) -> bool:
    """Return whether to load a model in another thread: it is needed, and loading computes nothing.

    Code, and a zero-shot model, which embeds class names, may depend on settings of the process that a run changes.

    Args:
        model: not loaded.
        sources: what it is to be run on; begun on one of them, by the cache's notes, it waits for its turn.
        options: how.
    """
    source = source_of(model.name)
    if source.embeds or not source.cacheable:
        return False
    if model.cache is None or model.recalled is None:
        return True
    return any(store_of(model, distinct(each, model.cache)[0], options).run is None for each in sources)
