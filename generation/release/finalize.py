"""Shards -> release: near-duplicates, card and the like, and, last, the manifest; all recomputed from disk."""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import pyarrow.parquet as pq

from d3s_dataset import manifest as manifests
from d3s_dataset.card import files
from d3s_dataset.errors import ReleaseError
from d3s_dataset.manifest import Manifest
from generation.images.rows import mark_screens
from generation.planning.plan import Plan
from generation.release.shards import Task, read_records, write_shard
from generation.release.state import Begun, Entry, State
from generation.screening.near_duplicates import earlier_twins

Names = tuple[str, str, str | None]  # key, foreground photo, background photo


def finish(plan: Plan, state: State, begun: Begun, wanted: list[Task]) -> Manifest:
    """Write the describing files and, last, the manifest of a release with complete shards; return the manifest.

    Raises:
        ReleaseError: a shard is missing.
    """
    check_whole(state, wanted)
    mark_duplicates(plan, state, wanted)
    entries = state.entries(wanted)
    manifest = _manifest(plan, begun, [entries[task] for task in wanted])
    files.write(state.out, manifest)
    manifests.write(state.out, manifest)
    state.close()
    return manifest


def check_whole(state: State, wanted: list[Task]) -> None:
    """Raise ReleaseError where a shard of `wanted` is not finished."""
    entries = state.entries(wanted)
    missing = [task.path for task in wanted if task not in entries]
    if missing:
        raise ReleaseError(
            f"{state.out} lacks {len(missing)} of {len(wanted)} shards, such as {missing[0]}: make them first with the "
            "same command without --finish (each unfinished --part)"
        )


def mark_duplicates(plan: Plan, state: State, wanted: list[Task]) -> None:
    """Write the column `screen_duplicate_of`, within and across splits; validation counts as earlier.

    Only shards in which it changes are rewritten. Rows that differ in size, place or severity alone are no duplicates.
    """
    tasks = [task for task in wanted if task.config == "default"]
    tasks.sort(key=lambda task: (task.split != "validation", task.split, task.index))
    counts, parts = [], []
    for task in tasks:
        column = pq.read_table(state.out / task.path, columns=["screen_hash"])["screen_hash"].combine_chunks()
        counts.append(len(column))
        parts.append(np.frombuffer(bytes.fromhex("".join(column.to_pylist())), ">u8"))
    hashes = np.concatenate(parts or [np.zeros(0, ">u8")]).astype(np.uint64)
    twins = earlier_twins(hashes, plan.recipe.screen.duplicate_bits)
    bounds = np.cumsum([0, *counts])

    @lru_cache(maxsize=256)  # shards whose keys and photos are kept in memory
    def names(shard: int) -> list[Names]:
        columns = ["key", "foreground_source", "background_source"]
        table = pq.read_table(state.out / tasks[shard].path, columns=columns)
        return list(zip(*(table[each].to_pylist() for each in columns), strict=True))

    def twin_of(row: int) -> str | None:
        """Return the key of a row's twin; None for none, and for another cell of its own pair of photos."""
        if twins[row] < 0:
            return None
        (_, *own), (key, *photos) = (_at(bounds, each, names) for each in (row, int(twins[row])))
        return None if plan.recipe.cells > 1 and own == photos else key

    for number, task in enumerate(tasks):
        _mark_shard(plan, state, task, [twin_of(row) for row in range(bounds[number], bounds[number + 1])])


def _at(bounds: np.ndarray, row: int, names: Callable[[int], list[Names]]) -> Names:
    shard = int(np.searchsorted(bounds, row, side="right")) - 1
    return names(shard)[row - int(bounds[shard])]


def _mark_shard(plan: Plan, state: State, task: Task, twins: list[str | None]) -> None:
    path = state.out / task.path
    if pq.read_table(path, columns=["screen_duplicate_of"])["screen_duplicate_of"].to_pylist() == twins:
        return
    entry = state.entries([task])[task]
    records = [
        mark_screens({**record, "screen_duplicate_of": twin}, plan.recipe)
        for record, twin in zip(read_records(path).values(), twins, strict=True)
    ]
    state.forget(task)
    size, checksum = write_shard(path, records, plan.recipe.background_names())
    state.finish_shard(task, size, checksum, len(records), entry.failures, entry.environment)


def _manifest(plan: Plan, begun: Begun, entries: Sequence[Entry]) -> Manifest:
    recipe = plan.recipe
    return Manifest(
        name=recipe.name if recipe.release_kind == recipe.kind else f"{recipe.name}-{recipe.release_kind}",
        kind=recipe.release_kind,
        recipe=recipe.to_json() | {"description": recipe.summary},
        plan_digest=plan.digest,
        planned_rows=len(plan),
        limit=begun.limit,
        shard_rows=begun.shard_rows,
        backgrounds=recipe.background_names(),
        image_size=recipe.guide.size,
        sources=[source.info for source in (plan.foregrounds, plan.backgrounds) if source],
        environment=_environment(entries),
        resample=begun.resample,
        shards=[entry.shard for entry in entries],
        failures=[failure for entry in entries for failure in entry.failures],
    )


def _environment(entries: Sequence[Entry]) -> dict[str, str]:
    """Return the environment of the shards; all values where versions differ."""
    found: dict[str, set[str]] = {}
    for entry in entries:
        for name, value in entry.environment.items():
            found.setdefault(name, set()).update(value.split(" and "))
    return {name: " and ".join(sorted(values)) for name, values in found.items()}
