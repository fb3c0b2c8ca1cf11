"""Occlusion of images cell by cell: what each part of an image is worth to the model's own answer.

Loads torch only to compute. The covered images go through the same decoding, transform and network as any others.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageStat

from benchmark.cache.blocks import Store
from benchmark.cache.cache import Cache, Options
from benchmark.data.split import Rows, Split
from benchmark.inference.evaluate import Subject
from benchmark.metrics.attribution import attributions, cells_on, share_on_object
from benchmark.schemas.experiments import Attributed, Occluded
from benchmark.schemas.predictions import Predictions, take
from d3s_dataset.errors import ReleaseError
from d3s_dataset.identity import digest
from d3s_dataset.utils.pixels import rgb

if TYPE_CHECKING:
    import torch

GRID = 8  # cells per side: 65 images for one


@dataclass(frozen=True, eq=False)
class _Answered:
    """The probability of a given class on n images, (n,)."""

    probability: np.ndarray


@dataclass(frozen=True, eq=False)
class _Covered:
    """Images, each followed by itself with one cell after the other covered, as a source of images."""

    rows: Rows
    grid: int

    @property
    def n(self) -> int:
        return self.rows.n * (self.grid**2 + 1)

    @property
    def key(self) -> np.ndarray:
        return np.repeat(self.rows.key, self.grid**2 + 1)

    @property
    def foreground(self) -> np.ndarray:
        return np.repeat(self.rows.foreground, self.grid**2 + 1)

    def images(self, start: int = 0) -> Iterator[bytes | None]:
        each, skip = divmod(start, self.grid**2 + 1)
        for place, content in enumerate(self.rows.images(each), each):
            try:
                image = rgb(content)
            except ValueError as error:
                raise ReleaseError(f"{self.rows.where(place)} cannot be read: {error}") from None
            yield from _variants(image, self.grid, skip)
            skip = 0

    def where(self, index: int) -> str:
        return self.rows.where(index // (self.grid**2 + 1))

    def content(self, cache: Cache) -> str:
        return self.rows.content(cache)


def attribute(
    subject: Subject, split: Split, predictions: Predictions, per_background: int, options: Options
) -> Attributed:
    """Measure where a model looks on some images of each background.

    The images are of the same foreground photos on every background, as far as the split has them. Cells are covered
    with the image's mean colour; runs are in fp32.

    Args:
        subject: the model.
        split: the images.
        predictions: the model's on the split.
        per_background: how many images of each background; all where there are fewer.
        options: devices; the rest is not used.

    Raises:
        ModelError: the model cannot be loaded, or not be run.
        ReleaseError: an image that cannot be read, or a split without boxes.
    """
    from benchmark.inference.predict import fill

    boxes = split.boxes()
    chosen = _chosen(split, per_background)
    answer = predictions.prediction[chosen, 0].astype(np.int64)
    covered, store = _Covered(Rows(split, chosen), GRID), Store(_Answered)

    def reduce(rows: slice, logits: "torch.Tensor") -> _Answered:
        own = np.repeat(answer, GRID**2 + 1)[rows]
        probabilities = logits.softmax(1).cpu().numpy()
        return _Answered(probabilities[np.arange(len(own)), own])

    fill(subject.classifier, covered, replace(options, precision="fp32", compile=False), store, reduce)
    found = store.all(covered.n).probability.astype(np.float64).reshape(len(chosen), GRID**2 + 1)
    drops = (found[:, :1] - found[:, 1:]).reshape(-1, GRID, GRID)
    sizes = [rgb(content).size for content in covered.rows.images()]
    on = [cells_on(box, size, GRID) for box, size in zip(boxes[chosen], sizes, strict=True)]
    shares = np.array([share_on_object(drop, each) for drop, each in zip(drops, on, strict=True)])
    facts, images = split.facts(), take(predictions, chosen)
    areas = np.array([each.mean() for each in on])
    return Attributed(
        model=subject.model("fp32"),
        dataset=facts,
        grid=GRID,
        per_background=per_background,
        attributions=attributions(shares, areas, images, facts.backgrounds),
        images=[
            Occluded(
                key=str(images.key[place]),
                foreground=int(images.foreground[place]),
                background=int(images.background[place]),
                answer=int(answer[place]),
                probability=float(found[place, 0]),
                box=_relative(boxes[chosen[place]], sizes[place]),
                share=float(shares[place]),
                drop=np.round(drops[place], 5).tolist(),
            )
            for place in range(len(chosen))
        ],
    )


def _chosen(split: Split, per_background: int) -> np.ndarray:
    """Return the places of the images, sorted: the same photos on every background, in an order that a hash gives."""
    background, photos = split.column("background"), split.column("foreground_source")
    order = sorted(range(split.n), key=lambda row: (digest(str(photos[row])), str(split.key[row])))
    counts: dict[int, int] = {}
    kept = []
    for row in order:
        label = int(background[row])
        counts[label] = counts.get(label, 0) + 1
        if counts[label] <= per_background:
            kept.append(row)
    return np.sort(np.array(kept, dtype=np.int64))


def _variants(image: Image.Image, grid: int, skip: int) -> Iterator[bytes]:
    """Yield an image, then itself with one cell after the other covered; the first `skip` of them are left out."""
    mean = tuple(round(each) for each in ImageStat.Stat(image).mean)
    for number in range(skip, grid**2 + 1):
        shown = image
        if number:
            row, column = divmod(number - 1, grid)
            ends = [round(k * side / grid) for side in image.size for k in range(grid + 1)]
            xs, ys = ends[: grid + 1], ends[grid + 1 :]
            shown = image.copy()
            ImageDraw.Draw(shown).rectangle((xs[column], ys[row], xs[column + 1] - 1, ys[row + 1] - 1), fill=mean)
        sink = io.BytesIO()
        shown.save(sink, "BMP")  # lossless, and the fastest to write and read
        yield sink.getvalue()


def _relative(box: np.ndarray, size: tuple[int, int]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box.tolist()
    return left / size[0], top / size[1], right / size[0], bottom / size[1]
