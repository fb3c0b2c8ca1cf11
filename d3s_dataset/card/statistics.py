"""Counts over the shards of a release: rows by split, background and class, screens, verification."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from d3s_dataset.manifest import Manifest, open_shard
from d3s_dataset.schema import lacking

_COLUMNS = (
    "foreground",
    "background",
    "screen_failed",
    "screen_unsafe",
    "screen_clip_foreground",
    "screen_vlm_object",
    "fidelity_features",
    "attempt",
    "verified",
)


@dataclass
class Counts:
    """Counts of one split of one config.

    Attributes:
        rows: all rows.
        backgrounds: rows per background label.
        foregrounds: rows per foreground label.
        failed: rows per failed screen.
        fail_any: rows that fail at least one.
        judged: rows scored by a model: `safety`, `clip`, `vlm`, `features`.
        redrawn_again: rows made with a seed other than the planned one.
        verified: (annotated rows, verified rows).
    """

    rows: int = 0
    backgrounds: Counter[int] = field(default_factory=Counter[int])
    foregrounds: Counter[int] = field(default_factory=Counter[int])
    failed: Counter[str] = field(default_factory=Counter[str])
    fail_any: int = 0
    judged: Counter[str] = field(default_factory=Counter[str])
    redrawn_again: int = 0
    verified: tuple[int, int] = (0, 0)

    def add(self, columns: dict[str, list[Any]]) -> None:
        """Count the rows of one shard, given by column."""
        failed = [text.split(",") for text in columns["screen_failed"] if text]
        known = [value for value in columns["verified"] if value is not None]
        self.rows += len(columns["foreground"])
        self.backgrounds.update(columns["background"])
        self.foregrounds.update(columns["foreground"])
        self.failed.update(name for names in failed for name in names)
        self.fail_any += len(failed)
        self.judged["safety"] += sum(value is not None for value in columns["screen_unsafe"])
        self.judged["clip"] += sum(value is not None for value in columns["screen_clip_foreground"])
        self.judged["features"] += sum(value is not None for value in columns.get("fidelity_features", ()))
        self.judged["vlm"] += sum(value is not None for value in columns.get("screen_vlm_object", ()))
        self.redrawn_again += sum(attempt > 0 for attempt in columns["attempt"])
        self.verified = (self.verified[0] + len(known), self.verified[1] + sum(known))


def count(folder: Path, manifest: Manifest) -> dict[tuple[str, str], Counts]:
    """Return the counts of every split of every config with images, (config, split) -> Counts, read from the shards."""
    found: dict[tuple[str, str], Counts] = {}
    for shard in manifest.shards:
        if shard.config != "votes":
            file = open_shard(folder, shard)
            older = lacking(file.schema_arrow.names)
            columns = file.read([name for name in _COLUMNS if name not in older]).to_pydict()
            found.setdefault((shard.config, shard.split), Counts()).add(columns)
    return found
