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
from benchmark.training.augment import augment, decode, moved, resized
from benchmark.training.distributed import World
from benchmark.training.network import normalise
from d3s_dataset.errors import SourceError, one_line
from d3s_dataset.utils.cli import cores
from d3s_dataset.utils.pixels import rgb

_AHEAD = 4  # steps whose photos are decoded while the network works


@dataclass(frozen=True, eq=False)
class Batch:
    """One step's images.

    Attributes:
        views: (own, 3, size, size) float32 in the network's colours, this process' share: of the release's images, then
            of photos.
        own: how many of the views are of the release.
        foreground: labels of the whole batch, the release's images first.
        background: labels of the release's images.
        sources: (2, m) codes of the foreground and background photos of the release's images.
    """

    views: torch.Tensor
    own: int
    foreground: torch.Tensor
    background: torch.Tensor
    sources: torch.Tensor


class Batches:
    """Epochs of steps over a release's images, joined by as many photos of ImageNet where there are any.

    Args:
        pixels: (n, 3, side, side) uint8.
        foreground: (n,) int64 labels.
        background: (n,) int64 labels.
        sources: (2, n) int64 codes of the foreground and background photos.
        rows: which of the images are used, (m,) int64.
        photos: an ImageNet folder, whose photos make half of each batch.
        batch_size: images per step, of all processes together.
        per_photo: images of a foreground photo per step, of those of the release; None: images in any order.
        size: side of a view in pixels.
        seed: of order and views.
        world: which share of every batch is ours.
    """

    def __init__(
        self,
        pixels: torch.Tensor,
        foreground: torch.Tensor,
        background: torch.Tensor,
        sources: torch.Tensor,
        rows: torch.Tensor,
        photos: Folder | None,
        *,
        batch_size: int,
        per_photo: int | None,
        size: int,
        seed: int,
        world: World,
    ) -> None:
        self._pixels, self._foreground, self._background = pixels, foreground, background
        self._sources, self._rows = sources, rows
        self._photos, self._size, self._world = photos, size, world
        own = batch_size // 2 if photos else batch_size
        self.steps = max(1, len(rows) // own)
        self._together = None if per_photo is None else max(2, own // per_photo)  # foreground photos of a step
        self._generator = torch.Generator().manual_seed(seed)
        self._start = self._generator.get_state()

    def epoch(self, first: int, device: torch.device) -> Generator[Batch]:
        """Yield the steps of an epoch from the number `first` on; the state is that of a step once it was yielded."""
        now = self._generator.get_state()
        self._generator.set_state(self._start if first else now)
        self._start = self._generator.get_state()
        order = self._rows[self._order_of_rows()]
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
        parts = [self._views(moved(self._pixels[own], device), len(rows))]
        if len(photos):
            parts.append(self._views(moved(decoded, device), len(photos)))
        labels = torch.from_numpy(self._photos.foreground)[photos] if self._photos else photos
        foreground = torch.cat([self._foreground[rows], labels])
        labels = (foreground, self._background[rows], self._sources[:, rows])
        return Batch(torch.cat(parts), len(own), *(moved(each, device) for each in labels))

    def _views(self, images: torch.Tensor, count: int) -> torch.Tensor:
        views = augment(images, self._size, self._generator, (self._world.rank * len(images), count))
        return normalise(views)

    def _order_of_rows(self) -> torch.Tensor:
        if self._together is None:
            return self._order(len(self._rows))
        return paired_order(self._sources[:, self._rows], self._together, self._generator)

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


def paired_order(sources: torch.Tensor, together: int, generator: torch.Generator) -> torch.Tensor:
    """Return an order of all rows in which those of one photo, of either kind, are close to each other.

    Background photos are ranked at random. Foreground photos are sorted by the lowest rank on which they stand, ties
    at random, so that neighbours share that background photo (the idea of MinHash, Broder 1997), and divided into
    groups; a group's rows are sorted by rank. Consecutive rows of a group are therefore P foreground photos x B
    background photos where every photo stands on every background, and come as close to it as the release allows.

    Args:
        sources: (2, n) int64 codes of the foreground and background photos.
        together: foreground photos of a group.
        generator: decides every draw.
    """
    foreground, background = (torch.unique(each, return_inverse=True)[1] for each in sources)
    rank = torch.randperm(int(background.max()) + 1, generator=generator)[background]
    count = int(foreground.max()) + 1
    lowest = torch.full((count,), len(rank)).scatter_reduce(0, foreground, rank, "amin")
    shuffled = torch.randperm(count, generator=generator)
    place = torch.empty_like(shuffled)
    place[shuffled[torch.argsort(lowest[shuffled], stable=True)]] = torch.arange(count)
    group = place[foreground] // together
    by_rank = torch.argsort(rank, stable=True)
    return by_rank[torch.argsort(group[by_rank], stable=True)]


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
