"""Who makes which part of a shard: worker processes compose and encode, this process diffuses.

Rows travel in order and in small batches, so that neither the number of workers nor of rows moves a byte of the
result or grows the memory.
"""

import io
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

import numpy as np
from PIL import Image

from d3s_dataset.errors import PhotoError
from generation.diffuse import Diffuser
from generation.guide import compose
from generation.plan import Row
from generation.recipe import Recipe
from generation.screen import screen
from generation.sources import ImageSource

_AHEAD = 3  # batches a worker may be ahead of the consumer


@dataclass(frozen=True)
class Failed:
    """Why a row could not be made, and at which stage."""

    stage: str
    reason: str


Made = dict[str, Any] | Failed


@dataclass(frozen=True)
class Maker:
    """Makes rows: all a worker process needs, picklable."""

    recipe: Recipe
    foregrounds: ImageSource
    backgrounds: ImageSource | None

    def guide(self, row: Row) -> Image.Image | Failed:
        """Return the guide of a row, or why there is none."""
        size = self.recipe.guide.size
        try:
            foreground = self.foregrounds.open(row.foreground_source, row.box[2] - row.box[0])
            scene = self._scene(row, size)
            return compose(foreground, scene, row.box, size)
        except PhotoError as error:
            return Failed("guide", str(error))

    def _scene(self, row: Row, size: int) -> Image.Image | None:
        if self.backgrounds is None or row.background_source is None:
            return None
        return self.backgrounds.open(row.background_source, size)

    def guides(self, rows: Sequence[Row]) -> list[Image.Image | Failed]:
        """Return the guides of a batch of rows."""
        return [self.guide(row) for row in rows]

    def finished_guides(self, rows: Sequence[Row]) -> list[Made]:
        """Return a batch of records whose images are their guides."""
        guides = zip(rows, self.guides(rows), strict=True)
        return [each if isinstance(each, Failed) else self.record(row, each, None) for row, each in guides]

    def record(self, row: Row, image: Image.Image, generator: str | None) -> dict[str, Any]:
        """Return a row's record (`d3s_dataset.schema.Record`), image encoded."""
        settings = self.recipe.generator
        made = {
            "generator": generator,
            "scheduler": settings.scheduler,
            "steps": settings.steps,
            "strength": settings.strength,
            "guidance_scale": settings.guidance_scale,
        }
        fields = {name: value for name, value in row._asdict().items() if name not in ("split", "box")}
        box = dict(zip(("left", "top", "right", "bottom"), row.box, strict=True))
        stored = {"bytes": self._encode(image), "path": f"{row.key}.{self._suffix}"}
        return {"image": stored, **fields, "box": box, **(made if generator else {}), **screen(image)}

    @property
    def _suffix(self) -> str:
        return {"jpeg": "jpg", "png": "png"}[self.recipe.image.format]

    def _encode(self, image: Image.Image) -> bytes:
        buffer = io.BytesIO()
        # 4:4:4: a red object on grass keeps its edge.
        jpeg = {"quality": self.recipe.image.quality, "subsampling": 0}
        image.save(buffer, self.recipe.image.format, **(jpeg if self.recipe.image.format == "jpeg" else {}))
        return buffer.getvalue()


class LocalEngine:
    """Worker processes of this machine, and at most one diffuser. A context manager.

    Args:
        maker: makes guides and records.
        diffuser: redraws guides; None takes the guides as images.
        workers: processes; 1 works in this process.
        batch_size: rows a batch.
    """

    def __init__(self, maker: Maker, diffuser: Diffuser | None, workers: int, batch_size: int) -> None:
        self.maker, self.diffuser, self.batch_size, self.workers = maker, diffuser, batch_size, workers
        self._pool: Executor | None = None

    def __enter__(self) -> "LocalEngine":
        if self.workers > 1:
            # Not fork: torch's threads do not survive it.
            context = multiprocessing.get_context("spawn")
            self._pool = ProcessPoolExecutor(self.workers, context, initializer=_end_with_parent)
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def make(self, rows: Iterable[Row]) -> Iterator[tuple[Row, Made]]:
        """Yield every row with its record, or with why it failed, in order."""
        batches = _batched(rows, self.batch_size)
        if self.diffuser is None:
            for batch, made in self._ahead("finished_guides", batches):
                yield from zip(batch, made, strict=True)
            return
        for batch, guides in self._ahead("guides", batches):
            yield from zip(batch, self._diffuse(self.diffuser, batch, guides), strict=True)

    def _diffuse(self, diffuser: Diffuser, batch: Sequence[Row], guides: Sequence[Image.Image | Failed]) -> list[Made]:
        good = [(row, guide) for row, guide in zip(batch, guides, strict=True) if isinstance(guide, Image.Image)]
        if not good:
            return [guide for guide in guides if isinstance(guide, Failed)]
        pixels = diffuser([guide for _, guide in good], [row.prompt for row, _ in good], [row.seed for row, _ in good])
        redrawn = iter(pixels)
        return [
            guide if isinstance(guide, Failed) else self._redrawn(row, next(redrawn), diffuser.name)
            for row, guide in zip(batch, guides, strict=True)
        ]

    def _redrawn(self, row: Row, pixels: np.ndarray | None, generator: str) -> Made:
        if pixels is None:
            return Failed("diffuse", "the generator gave values that are not finite")
        return self.maker.record(row, Image.fromarray(pixels), generator)

    def _ahead(self, stage: str, batches: Iterable[Sequence[Row]]) -> Iterator[tuple[Sequence[Row], list[Any]]]:
        """Yield batches with what a stage made of them, in order, a few of them worked on ahead."""
        work = getattr(self.maker, stage)
        if self._pool is None:
            for batch in batches:
                yield batch, work(batch)
            return
        waiting: deque[tuple[Sequence[Row], Future[list[Any]]]] = deque()
        for batch in batches:
            waiting.append((batch, self._pool.submit(work, batch)))
            if len(waiting) > _AHEAD * self.workers:
                ready, future = waiting.popleft()
                yield ready, future.result()
        for ready, future in waiting:
            yield ready, future.result()


def _batched(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _end_with_parent() -> None:
    """End this worker when its parent dies, and only then: after a kill -9 nobody else would."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which stops in order
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
