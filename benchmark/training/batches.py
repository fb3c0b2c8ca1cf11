"""The order of training images and the views that are made of them: functions of one seed alone.

Torch half. An epoch's order is drawn at its start and its views step by step, from one generator, so that the
generator's state at the start and now are all that a checkpoint needs.
"""

import tempfile
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmark.data.imagenet import Folder
from benchmark.data.split import Split
from benchmark.training.augment import augment, decode, resized
from benchmark.training.distributed import World
from d3s_dataset.errors import SourceError, one_line
from d3s_dataset.utils.cli import cores
from d3s_dataset.utils.pixels import rgb

_AHEAD = 4  # steps whose photos are decoded while the network works


@dataclass(frozen=True, eq=False)
class Batch:
    """One step's images.

    Attributes:
        views: (own, 3, size, size) float32 in [0, 1], this process' share: of the release's images, then of photos.
        own: how many of the views are of the release.
        foreground: labels of the whole batch, the release's images first.
        background: labels of the release's images.
    """

    views: torch.Tensor
    own: int
    foreground: torch.Tensor
    background: torch.Tensor


class Batches:
    """Epochs of steps over a release's images, joined by as many photos of ImageNet where there are any.

    Args:
        pixels: (n, 3, side, side) uint8.
        foreground: (n,) int64 labels.
        background: (n,) int64 labels.
        rows: which of the images are used, (m,) int64.
        photos: an ImageNet folder, whose photos make half of each batch.
        batch_size: images per step, of all processes together.
        size: side of a view in pixels.
        seed: of order and views.
        world: which share of every batch is ours.
    """

    def __init__(
        self,
        pixels: torch.Tensor,
        foreground: torch.Tensor,
        background: torch.Tensor,
        rows: torch.Tensor,
        photos: Folder | None,
        *,
        batch_size: int,
        size: int,
        seed: int,
        world: World,
    ) -> None:
        self._pixels, self._foreground, self._background = pixels, foreground, background
        self._rows, self._photos, self._size, self._world = rows, photos, size, world
        self.steps = max(1, len(rows) // (batch_size // 2 if photos else batch_size))
        self._generator = torch.Generator().manual_seed(seed)
        self._start = self._generator.get_state()

    def epoch(self, first: int, device: torch.device) -> Generator[Batch]:
        """Yield the steps of an epoch from the number `first` on; the state is that of a step once it was yielded."""
        now = self._generator.get_state()
        self._generator.set_state(self._start if first else now)
        self._start = self._generator.get_state()
        order = self._rows[self._order(len(self._rows))]
        rows = [each[: self._world.whole(len(each))] for each in order.tensor_split(self.steps)]
        photos = list(self._order_of_photos([len(each) for each in rows]))
        if first:
            self._generator.set_state(now)
        decoded = self._decoded(photos[first:])
        for step in range(first, self.steps):
            yield self._batch(rows[step], photos[step], next(decoded), device)

    def state(self) -> dict[str, torch.Tensor]:
        """Return the generator's state at the epoch's start and now."""
        return {"start": self._start, "now": self._generator.get_state()}

    def load(self, state: dict[str, torch.Tensor]) -> None:
        """Take a checkpoint's state."""
        self._start = state["start"]
        self._generator.set_state(state["now"])

    def _batch(self, rows: torch.Tensor, photos: torch.Tensor, decoded: torch.Tensor, device: torch.device) -> Batch:
        own = self._world.share(rows)
        parts = [self._views(self._pixels[own].to(device), len(rows))]
        if len(photos):
            parts.append(self._views(decoded.to(device), len(photos)))
        labels = torch.from_numpy(self._photos.foreground)[photos] if self._photos else photos
        foreground = torch.cat([self._foreground[rows], labels])
        return Batch(torch.cat(parts), len(own), foreground.to(device), self._background[rows].to(device))

    def _views(self, images: torch.Tensor, count: int) -> torch.Tensor:
        return augment(images, self._size, self._generator, (self._world.rank * len(images), count))

    def _order(self, count: int) -> torch.Tensor:
        return torch.randperm(count, generator=self._generator)

    def _order_of_photos(self, counts: list[int]) -> Iterator[torch.Tensor]:
        """Yield the photos of each step: all of them in a random order before any comes again."""
        waiting = torch.empty(0, dtype=torch.int64)
        for count in counts:
            while self._photos and len(waiting) < count:
                waiting = torch.cat([waiting, self._order(self._photos.n)])
            yield waiting[:count]
            waiting = waiting[count:]

    def _decoded(self, steps: list[torch.Tensor]) -> Iterator[torch.Tensor]:
        """Yield this process' photos of each step, decoded ahead of time: ImageNet does not fit into a memory."""
        if self._photos is None:
            yield from (torch.empty(0) for _ in steps)
            return
        with ThreadPoolExecutor(cores()) as pool:
            waiting: deque[list[Future[np.ndarray]]] = deque()
            for at in range(len(steps)):
                for each in steps[at + len(waiting) : at + _AHEAD]:
                    waiting.append([pool.submit(self._photo, index) for index in self._world.share(each).tolist()])
                yield torch.from_numpy(np.stack([each.result() for each in waiting.popleft()]))

    def _photo(self, index: int) -> np.ndarray:
        assert self._photos is not None
        path = self._photos.paths[index]
        try:
            return resized(rgb(path.read_bytes()), self._pixels.shape[-1])
        except (OSError, ValueError) as error:
            raise SourceError(f"{path} cannot be read: {one_line(error)}") from None


def decode_once(split: Split, side: int, folder: Path, world: World) -> torch.Tensor:
    """Return a split's images as `decode` does; of several processes on a machine one decodes, and all share a file."""
    if world.size == 1:
        return decode(split, side, folder)
    with tempfile.NamedTemporaryFile(dir=folder) as own:
        place = Path(world.collect(own.name)[0])
        if world.leads:
            decode(split, side, folder, place)
        world.wait()
        pixels = np.memmap(place, dtype=np.uint8, mode="r+", shape=(split.n, 3, side, side))
        world.wait()  # the file may lose its name once all have it
    return torch.from_numpy(pixels)
