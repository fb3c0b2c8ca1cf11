"""Photos -> splits: assignment of photos to splits, and their order. Part of the plan.

No photo occurs in two splits. All randomness is a hash of the recipe's seed, as in `plan`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from d3s_dataset.errors import SourceError
from d3s_dataset.identity import hashed
from d3s_dataset.taxonomy import classes
from generation.recipe.recipe import Recipe
from generation.sources.base import Photos

T = TypeVar("T")

SPLITS = ("train", "validation")

# Random streams; those of `plan` continue from here.
_CLASS_ORDER, _PHOTO_ORDER, _BACKGROUND_ORDER = 1, 2, 3


@dataclass(frozen=True)
class Share:
    """Photos of one split, in the order in which its rows use them.

    Attributes:
        labels: foreground labels in order of use, (classes,).
        photos: photos of each of `labels`, in random order.
        backgrounds: background photos of each background label, in random order; empty where a recipe uses none.
        rows: number of planned rows.
    """

    name: str
    labels: np.ndarray
    photos: list[list[str]]
    backgrounds: list[list[str]]
    rows: int


def divide(recipe: Recipe, objects: Photos, scenes: Photos | None, warnings: list[str]) -> dict[str, Share]:
    """Return the photos and the number of rows of each split.

    Args:
        recipe: rows, ratio of the splits, seed.
        objects: foreground photos by label.
        scenes: background photos by label; None where the recipe uses none.
        warnings: messages are appended here: classes without a photo, splits without a class.

    Raises:
        SourceError: a background without a photo, or with one only where two splits need one each.
    """
    divided = _divide_objects(recipe, objects, warnings)
    has = {name: bool(divided[name]) for name in SPLITS}
    validation = round(recipe.rows / (recipe.splits.train_rows_per_validation_row + 1))
    rows = {"validation": validation, "train": recipe.rows - validation}
    if not all(has.values()):
        full, empty = ("train", "validation") if has["train"] else ("validation", "train")
        rows = {full: recipe.rows, empty: 0}
        warnings.append(f"no class has a photo left for {empty}: all rows are {full} rows")
    settled = {name: _divide_scenes(recipe, scenes, name, rows) if rows[name] else [] for name in SPLITS}
    return {name: _ordered(recipe, name, divided[name], settled[name], rows[name]) for name in SPLITS}


def _divide_objects(recipe: Recipe, objects: Photos, warnings: list[str]) -> dict[str, dict[int, list[str]]]:
    """Return split -> label -> photos; validation gets as many as its rows need, at most half of a class."""
    missing = len(classes()) - len(objects)
    if missing and recipe.drawn is None:
        warnings.append(f"{missing} of {len(classes())} classes have no photo and are skipped")
    validation = round(recipe.rows / (recipe.splits.train_rows_per_validation_row + 1))
    needed = -(-validation // (len(recipe.backgrounds) * len(objects) * recipe.cells))
    divided: dict[str, dict[int, list[str]]] = {name: {} for name in SPLITS}
    for label, names in objects.items():
        drawn = _shuffled(recipe.seed, _PHOTO_ORDER, label, names)
        if len(drawn) == 1:
            divided[recipe.splits.single_photo][label] = drawn
            continue
        cut = min(max(needed, 1), len(drawn) // 2)
        divided["validation"][label], divided["train"][label] = drawn[:cut], drawn[cut:]
    return divided


def _divide_scenes(recipe: Recipe, scenes: Photos | None, split: str, rows: dict[str, int]) -> list[list[str]]:
    """Return the background photos of one split, by label."""
    if scenes is None:
        return []
    divided, both = [], all(rows.values())
    for label, spec in enumerate(recipe.backgrounds):
        names = scenes.get(label, [])
        if len(names) < 1 + both:
            raise SourceError(
                f"--backgrounds: expected at least {1 + both} photos of {spec.name!r} "
                f"({'one per split' if both else 'one'}), got {len(names)}"
            )
        drawn = _shuffled(recipe.seed, _BACKGROUND_ORDER, label, names)
        cut = min(max(1, round(len(drawn) * recipe.splits.validation_backgrounds)), len(drawn) - 1) if both else 0
        divided.append(drawn if not both else drawn[:cut] if split == "validation" else drawn[cut:])
    return divided


def _ordered(recipe: Recipe, name: str, photos: dict[int, list[str]], scenes: list[list[str]], rows: int) -> Share:
    labels = _shuffled(recipe.seed, _CLASS_ORDER, SPLITS.index(name), sorted(photos))
    return Share(name, np.array(labels, dtype=np.int64), [photos[each] for each in labels], scenes, rows)


def _shuffled(seed: int, stream: int, group: int, items: Sequence[T]) -> list[T]:
    """Return the items in random order, sorted by hashes: numpy's shuffles may change between versions."""
    order = np.argsort(hashed(seed, stream, group, np.arange(len(items))), kind="stable")
    return [items[i] for i in order]
