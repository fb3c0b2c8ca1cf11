"""Check what a recipe varies by plan: sizes and places of the objects, levels of severity."""

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d3s_dataset.manifest import Manifest, Shard, open_shard
from d3s_dataset.schema import lacking

_SIDES = ("left", "top", "right", "bottom")
_SHARED = ("foreground_source", "background", "background_source", "box", "seed")
_COLUMNS = ["key", *_SHARED, "attempt", "ladder", "severity", "strength", "generator"]
_REJECTED = "_rejected"


def check_factors(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Yield one line per row that is not of the recipe's grids, and per ladder whose rows do not belong together.

    Args:
        folder: of a release whose files are whole and whose rows are sound.
        manifest: its manifest.
    """
    shards = [shard for shard in manifest.shards if shard.config != "votes"]
    older = {lacking(open_shard(folder, shard).schema_arrow.names) for shard in shards}
    if len(older) > 1:
        yield "shards differ in their columns: expected those of one version"
        return
    try:
        wanted = _Wanted.of(manifest)
    except (TypeError, ValueError, AttributeError, KeyError):
        yield "the recipe has sizes, places or severity that are no grid of numbers"
        return
    if "severity" in next(iter(older), ()):
        if wanted.levels:
            yield "the recipe has levels of severity, and its shards no columns ladder and severity"
        return
    for split in dict.fromkeys(each.removesuffix(_REJECTED) for each in manifest.splits()):
        parts = [
            shard for shard in shards if shard.config == "default" and shard.split.removesuffix(_REJECTED) == split
        ]
        lost = sum(each.config == "default" and each.split == split for each in manifest.failures)
        rows = (row for shard in parts for row in _rows(folder, shard))
        yield from (f"{split}: {text}" for text in _check_split(rows, wanted, lost))


@dataclass(frozen=True)
class _Wanted:
    """Grids of a recipe: sides in pixels, places as shares of the room, levels as float32; empty where it does not.

    `strength` says whether the levels are those of the generator's strength.
    """

    size: int
    sides: frozenset[int]
    places: tuple[tuple[float, float], ...]
    levels: frozenset[float]
    strength: bool

    @classmethod
    def of(cls, manifest: Manifest) -> "_Wanted":
        size, recipe = manifest.image_size, manifest.recipe
        guide: dict[str, Any] = recipe.get("guide") or {}
        severity: dict[str, Any] = recipe.get("severity") or {}
        sides = frozenset(int(size * share) for share in guide.get("sizes") or ())
        places = tuple((float(x), float(y)) for x, y in guide.get("places") or ())
        levels = frozenset(array("f", severity.get("levels") or ()).tolist())  # as the column holds them
        return cls(size, sides, places, levels, severity.get("of") == "strength")

    def corners(self, side: int) -> set[tuple[int, int]]:
        """Return the left top corners of boxes of a side."""
        room = self.size - side
        return {(int(x * room + 0.5), int(y * room + 0.5)) for x, y in self.places}

    def point(self, row: dict[str, Any]) -> tuple[float, ...]:
        """Return at which point of the grid a row is."""
        left, top, right, _ = row["box"]
        own = (right - left,) if self.sides else ()
        return (*own, *((left, top) if self.places else ()), *((row["severity"],) if self.levels else ()))


def _rows(folder: Path, shard: Shard) -> Iterator[dict[str, Any]]:
    for batch in open_shard(folder, shard).iter_batches(columns=_COLUMNS):
        for row in batch.to_pylist():
            yield row | {"box": tuple(row["box"][side] for side in _SIDES)}


def _check_split(rows: Iterator[dict[str, Any]], wanted: _Wanted, lost: int) -> Iterator[str]:
    first: dict[str, dict[str, Any]] = {}  # of each ladder
    counts: dict[tuple[str, int], Counter[tuple[float, ...]]] = {}
    points: set[tuple[float, ...]] = set()
    for row in rows:
        found = [*_check_box(row, wanted), *_check_level(row, wanted)]
        if wanted.levels and not found:
            found = list(_differ(row, first.setdefault(row["ladder"], row)))
        yield from (f"row {row['key']}: {text}" for text in found)
        if wanted.sides or wanted.places or wanted.levels:
            point = wanted.point(row)
            points.add(point)
            counts.setdefault((row["foreground_source"], row["background"]), Counter())[point] += 1
    for (photo, background), own in counts.items():
        every = [own[point] for point in points]
        if max(every) - min(every) > 1 + lost:
            yield (
                f"photo {photo} on background {background} has {min(every)} to {max(every)} rows of a size, place and "
                "level: expected counts that differ by at most one"
            )


def _check_box(row: dict[str, Any], wanted: _Wanted) -> Iterator[str]:
    """Recompute the box of a grid: a side of its sizes, a corner of its places."""
    left, top, right, bottom = row["box"]
    if wanted.sides and not (right - left in wanted.sides and bottom - top == right - left):
        yield f"box {row['box']} has none of the recipe's sizes"
    elif wanted.places and (left, top) not in wanted.corners(right - left):
        yield f"box {row['box']} has none of the recipe's places"


def _check_level(row: dict[str, Any], wanted: _Wanted) -> Iterator[str]:
    level = row["severity"]
    if {row["ladder"] is None, level is None, not wanted.levels} != {not wanted.levels}:
        expected = "expected both" if wanted.levels else "expected neither, as the recipe has no severity"
        yield f"its ladder is {row['ladder']} and its severity {level}: {expected}"
    elif wanted.levels and level not in wanted.levels:
        yield f"severity {level:g} is none of the recipe's levels"
    elif wanted.strength and row["generator"] and row["strength"] != level:
        yield f"strength {row['strength']} is not its severity, {level:g}"


def _differ(row: dict[str, Any], first: dict[str, Any]) -> Iterator[str]:
    """Compare a row of a ladder with the ladder's first: all but the level is the same."""
    again = row["attempt"] or first["attempt"]  # further tries have seeds of their own
    for name in _SHARED[:-1] if again else _SHARED:
        if row[name] != first[name]:
            yield f"its {name} is another than that of row {first['key']} of its ladder"
    if row is not first and row["severity"] == first["severity"]:
        yield f"its severity is that of row {first['key']} of its ladder"
