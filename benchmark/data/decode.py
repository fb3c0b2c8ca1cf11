"""Images decoded and transformed by all cores, straight into memory that the parent sees: no copy on the way.

On a CPU a block is decoded by all cores, then answered by all cores: the two at once would make every parallel region
of the network wait for the thread whose core a decoder has. With a GPU the next block is decoded meanwhile. Memory
holds the blocks under way, however many images there are.
"""

import mmap
import multiprocessing
import pickle
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol

import numpy as np
from PIL import Image

from benchmark.cache.blocks import Span
from benchmark.cache.cache import Cache
from benchmark.cache.decoded import Decoded
from d3s_dataset.errors import ReleaseError, one_line
from d3s_dataset.utils.cli import cores
from d3s_dataset.utils.pixels import rgb
from d3s_dataset.utils.processes import begin_worker

_MOST_WORKERS = 32
_FEW_IMAGES = 64  # starting workers for fewer costs more than they save
_TASK = 8  # images a worker is given at a time
_UNREADABLE = (OSError, SyntaxError, ValueError, TypeError, Image.DecompressionBombError)

Prepare = Callable[[Image.Image], Any]
_Wrong = list[tuple[int, str]]  # slot of a block, and why its image cannot be read


class Images(Protocol):
    """Images with a class, in order: a split, some rows of one, an ImageNet folder, images made of others."""

    @property
    def n(self) -> int:
        """The number of images."""
        ...

    @property
    def key(self) -> np.ndarray:
        """The key of each image, (n,)."""
        ...

    @property
    def foreground(self) -> np.ndarray:
        """The class of each image, (n,)."""
        ...

    def images(self, start: int = 0) -> Iterator[bytes | None]:
        """Yield the encoded images from row `start` on."""
        ...

    def where(self, index: int) -> str:
        """Return the file and the key of an image."""
        ...

    def content(self, cache: Cache) -> str:
        """Return the digest of the images."""
        ...


class Source(Protocol):
    """Images in order: the bytes of each from a row on, and what an error calls one."""

    def images(self, start: int) -> Iterator[bytes | None]:
        """Yield the encoded images from row `start` on."""
        ...

    def where(self, index: int) -> str:
        """Return the file and the key of an image."""
        ...


def blocks(
    source: Source, prepare: Prepare, spans: Sequence[Span], *, ahead: int = 0, held: int = 1
) -> Iterator[tuple[Span, np.ndarray]]:
    """Yield each span of rows with its images, ready for the network.

    Args:
        source: the images.
        prepare: an RGB image to an array or a CPU tensor, of one shape and type for all.
        spans: (start, stop) of each block, ascending.
        ahead: how many blocks are decoded while the caller works on one.
        held: how many blocks the caller uses at once; an earlier one's memory is written over.

    Raises:
        ReleaseError: images that cannot be read: how many of the block, and the first with its file and key.
    """
    if not spans:
        return
    first = _first(source, prepare, spans[0][0])
    most = max(stop - start for start, stop in spans)
    fill = _Fill([_shared((most, *first.shape), first.dtype) for _ in range(min(ahead + held, len(spans)))], prepare)
    with _pool(fill, sum(stop - start for start, stop in spans)) as pool:
        reader, under_way, coming = _Reader(source), deque[_Block](), iter(enumerate(spans))
        for number, span in coming:
            under_way.append((number, span, _submit(pool, fill, number, reader.take(*span))))
            if len(under_way) > ahead:
                yield _finish(source, fill, under_way.popleft())
        while under_way:
            yield _finish(source, fill, under_way.popleft())


def shared_blocks(
    source: Source,
    prepare: Prepare,
    spans: Sequence[Span],
    decoded: Decoded,
    content: str,
    *,
    ahead: int = 0,
    held: int = 1,
) -> Iterator[tuple[Span, np.ndarray]]:
    """Yield as `blocks` does; what a model before decoded alike is taken from memory.

    Args:
        source: the images.
        prepare: as of `blocks`.
        spans: as of `blocks`.
        decoded: the memory.
        content: the digest of the images.
        ahead: as of `blocks`.
        held: as of `blocks`.
    """
    try:
        transform = pickle.dumps(prepare)  # equal bytes, equal transforms
    except (pickle.PicklingError, AttributeError, TypeError):
        yield from blocks(source, prepare, spans, ahead=ahead, held=held)
        return
    there = {span: decoded.get(content, transform, span) for span in spans}
    fresh = blocks(source, prepare, [each for each in spans if there[each] is None], ahead=ahead, held=held)
    for span in spans:
        pixels = there.pop(span)
        if pixels is None:
            _, pixels = next(fresh)
            decoded.put(content, transform, span, pixels)
        yield span, pixels


class _Fill:
    """Writes images into blocks of shared memory; called in the workers, which inherit it."""

    def __init__(self, buffers: list[np.ndarray], prepare: Prepare) -> None:
        self.buffers = buffers
        self.prepare = prepare

    def buffer(self, number: int) -> np.ndarray:
        return self.buffers[number % len(self.buffers)]

    def __call__(self, number: int, slot: int, images: list[bytes | None]) -> _Wrong:
        wrong = []
        for at, content in enumerate(images, slot):
            try:
                self._put(self.buffer(number)[at], _prepared(self.prepare, content))
            except _UNREADABLE as error:
                wrong.append((at, one_line(error)))
        return wrong

    @staticmethod
    def _put(place: np.ndarray, made: np.ndarray) -> None:
        # NumPy would stretch an array of another shape.
        if (made.shape, made.dtype) != (place.shape, place.dtype):
            raise ValueError(f"its transform gives {made.dtype} {made.shape}, expected {place.dtype} {place.shape}")
        place[...] = made


_Block = tuple[int, tuple[int, int], list[Future[_Wrong]]]
_fill: _Fill | None = None  # a worker's own


class _Reader:
    """A source read on from where the last span ended."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._images: Iterator[bytes | None] = iter(())
        self._at = -1

    def take(self, start: int, stop: int) -> Iterator[list[bytes | None]]:
        """Yield the images of a span, some at a time."""
        if start != self._at:
            self._images = self._source.images(start)
        self._at = stop
        for at in range(start, stop, _TASK):
            yield list(islice(self._images, min(_TASK, stop - at)))


def _submit(
    pool: Executor | None, fill: _Fill, number: int, tasks: Iterator[list[bytes | None]]
) -> list[Future[_Wrong]]:
    made = []
    for turn, task in enumerate(tasks):
        if pool is not None:
            made.append(pool.submit(_call, number, turn * _TASK, task))
            continue
        done: Future[_Wrong] = Future()
        done.set_result(fill(number, turn * _TASK, task))
        made.append(done)
    return made


def _finish(source: Source, fill: _Fill, block: _Block) -> tuple[tuple[int, int], np.ndarray]:
    number, (start, stop), tasks = block
    try:
        wrong = [each for task in tasks for each in task.result()]
    except BrokenProcessPool:
        raise ReleaseError("a process that decodes images was ended from outside: is the memory full?") from None
    if wrong:
        slot, reason = wrong[0]
        more = f" (and {len(wrong) - 1} more of rows {start} to {stop - 1})" if len(wrong) > 1 else ""
        raise ReleaseError(f"{source.where(start + slot)} cannot be read: {reason}{more}")
    return (start, stop), fill.buffer(number)[: stop - start]


def _first(source: Source, prepare: Prepare, index: int) -> np.ndarray:
    try:
        return _prepared(prepare, next(source.images(index)))
    except _UNREADABLE as error:
        raise ReleaseError(f"{source.where(index)} cannot be read: {one_line(error)}") from None


def _prepared(prepare: Prepare, content: bytes | None) -> np.ndarray:
    return np.asarray(prepare(rgb(content)))


def _shared(shape: tuple[int, ...], kind: np.dtype) -> np.ndarray:
    # Anonymous, not in /dev/shm, which containers make small.
    count = int(np.prod(shape))
    return np.frombuffer(mmap.mmap(-1, max(1, count * kind.itemsize)), kind, count).reshape(shape)


@contextmanager
def _pool(fill: _Fill, images: int) -> Iterator[Executor | None]:
    """Give worker processes that share `fill`'s memory, or None where this process does it alone."""
    workers = min(cores(), _MOST_WORKERS)
    if images <= _FEW_IMAGES or "fork" not in multiprocessing.get_all_start_methods():
        yield None
        return
    # Forked workers inherit the memory and the transform; they start no threads of torch's.
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("fork"), initializer=_begin, initargs=(fill,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin(fill: _Fill) -> None:
    """Take the parent's memory; end when the parent dies, and only then."""
    global _fill
    _fill = fill
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)  # for transforms made of its operations; its threads do not survive the fork
    begin_worker()


def _call(number: int, slot: int, images: list[bytes | None]) -> _Wrong:
    assert _fill is not None
    return _fill(number, slot, images)
