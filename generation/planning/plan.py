"""Recipe x sources -> rows. The only source of randomness.

A row is a pure function of (recipe, lists of photos, split, position in the split): any part of a plan can be computed
on any machine, and nothing of it is kept in memory. Each split of any size has three guarantees:

- balanced: the counts of its class x background cells differ by at most one;
- disjoint: no foreground or background photo of it occurs in the other split;
- crossed (validation): each foreground photo occurs once on each background before any repeats, and repeats on
  background photos that it was not combined with.

A recipe with a grid of sizes and places or with levels of severity has a row for each of their combinations, its cells,
of every such pair of a foreground and a background photo, which share whatever is drawn: seed, and size and place where
they are random. Visits of a class take the cells in turn, shifted from class to class, so that the counts of the cells
differ by at most one on each photo and background, and every prefix holds all of them where it holds as many classes.

Plan order interleaves the splits and the backgrounds, so that every prefix of 60 rows or more holds every split that
has rows, and all backgrounds; `--limit` takes a prefix.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np

from d3s_dataset.errors import RecipeError
from d3s_dataset.identity import digest, hashed, row_key, uniform
from d3s_dataset.taxonomy import ImageNetClass, classes
from generation.planning.splits import SPLITS, Share, divide
from generation.recipe.recipe import Recipe
from generation.sources.base import ImageSource, Photos

_CHUNK = 4096

# One random stream per sampled quantity; streams 1 to 3 belong to `divide`.
_PHOTO, _BACKGROUND, _SCALE, _LEFT, _TOP, _NOISE, _AGAIN = range(4, 11)


class Row(NamedTuple):
    """One planned image, with all inputs of later stages."""

    key: str
    split: str
    foreground: int
    background: int
    wnid: str
    prompt: str
    seed: int
    foreground_source: str
    background_source: str | None
    box: tuple[int, int, int, int]
    attempt: int = 0
    ladder: str | None = None
    severity: float | None = None

    def again(self, attempt: int) -> "Row":
        """Return this planned row with the seed of its `attempt`-th further try; 0 is the row as planned."""
        if attempt == 0:
            return self
        return self._replace(attempt=attempt, seed=int(hashed(self.seed, _AGAIN, attempt) >> np.uint64(1)))


class Plan:
    """All rows of a release, computed on demand.

    Args:
        recipe: the recipe.
        foregrounds: photos of the objects.
        backgrounds: photos of the backgrounds; None where the recipe uses none.

    Raises:
        SourceError: a background without a photo, or with too few for two splits.
        RecipeError: a recipe that uses background photos, without a source of them, or the reverse.
    """

    def __init__(self, recipe: Recipe, foregrounds: ImageSource, backgrounds: ImageSource | None) -> None:
        if (backgrounds is None) != (recipe.guide.background == "none"):
            wants = "no --backgrounds" if backgrounds else "--backgrounds DIR"
            has = f"recipe {recipe.name!r} has guide.background = {recipe.guide.background!r}"
            raise RecipeError(f"{has}: expected {wants}")
        self.recipe = recipe
        self.foregrounds, self.backgrounds = foregrounds, backgrounds
        objects = foregrounds.photos()
        scenes = None if backgrounds is None else backgrounds.photos()
        self.digest = digest([recipe.to_json(), _listing(objects), _listing(scenes or {})])
        self.warnings: list[str] = []
        self.splits = divide(recipe, objects, scenes, self.warnings)
        self._validation = self.splits["validation"].rows
        self.warnings += self._uncrossed()

    def __len__(self) -> int:
        return self.recipe.rows

    @cached_property
    def prompts(self) -> dict[tuple[int, int], str]:
        """Prompts by (foreground, background) label."""
        labels = {int(label) for split in self.splits.values() for label in split.labels}
        template, specs = self.recipe.prompt.planned, self.recipe.backgrounds
        return {
            (label, i): make_prompt(template, classes()[label], spec.phrase)
            for label in sorted(labels)
            for i, spec in enumerate(specs)
        }

    def split_rows(self, limit: int | None = None) -> dict[str, int]:
        """Return the number of rows per split among the first `limit` rows of the plan."""
        limit = len(self) if limit is None else min(limit, len(self))
        validation = limit * self._validation // len(self)
        return {"train": limit - validation, "validation": validation}

    def rows(self, split: str, start: int, stop: int) -> Iterator[Row]:
        """Yield rows `start` to `stop` of one split."""
        for begin in range(start, stop, _CHUNK):
            yield from self._chunk(self.splits[split], np.arange(begin, min(begin + _CHUNK, stop)))

    def find(self, key: str) -> tuple[str, int] | None:
        """Return the split of a key's row and its position there, or None; searches all keys."""
        for name, split in self.splits.items():
            for position in range(split.rows):
                if row_key(f"{self.digest}:{name}", position) == key:
                    return name, position
        return None

    def __iter__(self) -> Iterator[Row]:
        """Yield all rows in plan order."""
        streams = {name: self.rows(name, 0, split.rows) for name, split in self.splits.items()}
        total, validation = len(self), self._validation
        for i in range(total):
            is_validation = (i + 1) * validation // total > i * validation // total
            yield next(streams["validation" if is_validation else "train"])

    def _chunk(self, split: Share, positions: np.ndarray) -> Iterator[Row]:
        places = len(self.recipe.backgrounds)
        pairs, cell = _pairs(len(split.labels) * places, places, self.recipe.cells, positions)
        cells = _train_cells if split.name == "train" else _validation_cells
        slot, background, photo, template = cells(self.recipe.seed, split, places, pairs)
        point, level = np.divmod(cell, self.recipe.cells // len(self.recipe.guide.grid))
        boxes = self._boxes(split, pairs, point).tolist()
        seeds = (self._words(split, _NOISE, pairs) >> np.uint64(1)).tolist()  # int64 columns hold 63 bits
        labels = split.labels[slot].tolist()
        ladders = (pairs * len(self.recipe.guide.grid) + point).tolist()
        draws = zip(positions.tolist(), slot.tolist(), labels, background.tolist(), photo.tolist(), template.tolist(),
                    boxes, seeds, ladders, level.tolist(), strict=True)  # fmt: skip
        severity = self.recipe.severity
        for position, place, label, scene, which, where, box, seed, ladder, step in draws:
            yield Row(
                key=row_key(f"{self.digest}:{split.name}", position),
                split=split.name,
                foreground=label,
                background=scene,
                wnid=classes()[label].wnid,
                prompt=self.prompts[label, scene],
                seed=seed,
                foreground_source=split.photos[place][which],
                background_source=split.backgrounds[scene][where] if split.backgrounds else None,
                box=(box[0], box[1], box[2], box[3]),
                ladder=row_key(f"{self.digest}:{split.name}:ladder", ladder) if severity else None,
                severity=severity.levels[step] if severity else None,
            )

    def photo_pairs(self, split: str, rows: int) -> int:
        """Return in how many pairs of photos the first `rows` rows of a split stand."""
        whole = len(self.splits[split].labels) * len(self.recipe.backgrounds)
        laps, rest = divmod(rows, whole * self.recipe.cells)
        return laps * whole + min(rest, whole)

    def _uncrossed(self) -> Iterator[str]:
        """Yield a warning for each split that ends before its photos have met every cell."""
        for name, split in self.splits.items():
            whole = len(split.labels) * len(self.recipe.backgrounds) * self.recipe.cells
            if self.recipe.cells > 1 and split.rows and split.rows % whole:
                yield (
                    f"{name} has {split.rows} rows, so not every photo meets every size, place and level: expected a "
                    f"multiple of {whole} (classes x backgrounds x {self.recipe.cells})"
                )

    def _words(self, split: Share, stream: int, positions: np.ndarray) -> np.ndarray:
        return hashed(self.recipe.seed, stream, SPLITS.index(split.name), positions)

    def _boxes(self, split: Share, pairs: np.ndarray, point: np.ndarray) -> np.ndarray:
        """Return (n, 4) boxes: squares of the grid's sizes and places; a random scale or a uniform place without.

        Args:
            split: the photos.
            pairs: (n,) int, which pair of photos.
            point: (n,) int, which point of the grid.
        """
        (least, greatest), size, grid = self.recipe.guide.scale, self.recipe.guide.size, self.recipe.guide.grid
        share = least + (greatest - least) * uniform(self._words(split, _SCALE, pairs))
        if grid[0][0] is not None:
            share = np.array([each[0] for each in grid], dtype=np.float64)[point]
        side = np.floor(size * share).astype(np.int64)  # the paper's 0.4 of 512 is 204
        corner = []
        for axis, stream in enumerate((_LEFT, _TOP)):
            placed = uniform(self._words(split, stream, pairs)) * (size - side + 1)
            if grid[0][1] is not None:
                placed = np.array([each[1][axis] for each in grid if each[1]])[point] * (size - side) + 0.5
            corner.append(np.floor(placed).astype(np.int64))
        return np.stack([corner[0], corner[1], corner[0] + side, corner[1] + side], axis=1)


def _pairs(whole: int, places: int, cells: int, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) which pair of photos rows are of, and which of its cells they are.

    Args:
        whole: number of classes times backgrounds: pairs in one lap over the classes.
        places: number of backgrounds.
        cells: rows of each pair.
        positions: (n,) of the rows in their split.
    """
    visit, within = np.divmod(positions, whole)
    lap, turn = np.divmod(visit, cells)
    return lap * whole + within, (turn + within // places) % cells


Cells = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _train_cells(seed: int, split: Share, backgrounds: int, positions: np.ndarray) -> Cells:
    """Return (slot, background, photo, template) of train rows.

    A block contains every class x background cell once. Backgrounds vary fastest, and neighbours differ in class.
    """
    n = len(split.labels)
    block, within = np.divmod(positions, n * backgrounds)
    turn, background = np.divmod(within, backgrounds)
    slot = (turn + background * -(-n // backgrounds)) % n
    photo = _rotated(seed, _PHOTO, slot, block * backgrounds + background, _counts(split.photos)[slot])
    template = _template(seed, split, background, block * n + turn)
    return slot, background, photo, template


def _validation_cells(seed: int, split: Share, backgrounds: int, positions: np.ndarray) -> Cells:
    """Return (slot, background, photo, template) of validation rows: one photo on all backgrounds, then the next."""
    n = len(split.labels)
    visit, background = np.divmod(positions, backgrounds)
    lap, slot = np.divmod(visit, n)
    again, photo = np.divmod(lap, _counts(split.photos)[slot])
    template = _template(seed, split, background, photo * n + slot, again)
    return slot, background, photo, template


def _template(
    seed: int, split: Share, background: np.ndarray, visit: np.ndarray, again: int | np.ndarray = 0
) -> np.ndarray:
    if not split.backgrounds:
        return np.zeros_like(background)
    counts = _counts(split.backgrounds)[background]
    return (_rotated(seed, _BACKGROUND, background, visit, counts) + again) % counts


def _rotated(seed: int, stream: int, group: np.ndarray, visit: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the index of the photo of a group's `visit`-th use: each of `counts` once per lap, at a random shift.

    The shift decorrelates photos from classes and backgrounds, which are visited in a fixed order.
    """
    lap, place = np.divmod(visit, counts)
    return (place + (hashed(seed, stream, group, lap) % counts.astype(np.uint64)).astype(np.int64)) % counts


def _counts(photos: list[list[str]]) -> np.ndarray:
    return np.array([len(each) for each in photos], dtype=np.int64)


def _listing(photos: Photos) -> str:
    return digest([[label, list(names)] for label, names in sorted(photos.items())])


def make_prompt(template: str, foreground: ImageNetClass, phrase: str) -> str:
    """Return the prompt for one class and one background (arXiv 2211.10370, section 3).

    Args:
        template: text with the fields {synonym}, {gloss} and {phrase}.
        foreground: the class; its first synonym and WordNet gloss are used. Two pairs of classes share a first
            synonym (crane 134 and 517, maillot 638 and 639): the gloss distinguishes them.
        phrase: background phrase, such as "on grass".
    """
    return template.format(synonym=foreground.synonym, gloss=foreground.gloss, phrase=phrase)
