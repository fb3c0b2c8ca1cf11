"""Shards -> release: the card, the citation and, last, the manifest. All counts are recomputed from disk."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow.parquet as pq

from d3s_dataset import card
from d3s_dataset import manifest as manifests
from d3s_dataset.atomic import write_atomic
from d3s_dataset.errors import ReleaseError
from d3s_dataset.manifest import Manifest
from generation.plan import Plan
from generation.state import Begun, Entry, State, Task


def finish(plan: Plan, state: State, begun: Begun, wanted: list[Task]) -> Manifest:
    """Write card, citation and, last, the manifest of a release whose shards are all there; return the manifest.

    Raises:
        ReleaseError: a shard has gone since it was made.
    """
    entries = state.entries(wanted)
    missing = [task.path for task in wanted if task not in entries]
    if missing:
        raise ReleaseError(f"{state.out} lost {missing[0]} while it was made: type the same command again")
    manifest = _manifest(plan, begun, [entries[task] for task in wanted])
    readme = card.render(manifest, count_cells(state.out, manifest))
    write_atomic(state.out / "README.md", readme.encode())
    write_atomic(state.out / "CITATION.cff", card.shipped_file("CITATION.cff").read_bytes())
    manifests.write(state.out, manifest)
    state.close()
    return manifest


def _manifest(plan: Plan, begun: Begun, entries: Sequence[Entry]) -> Manifest:
    recipe = plan.recipe
    return Manifest(
        name=recipe.name if recipe.release_kind == recipe.kind else f"{recipe.name}-{recipe.release_kind}",
        kind=recipe.release_kind,
        recipe=recipe.to_json(),
        plan_digest=plan.digest,
        planned_rows=len(plan),
        limit=begun.limit,
        shard_rows=begun.shard_rows,
        backgrounds=recipe.background_names(),
        image_size=recipe.guide.size,
        sources=[source.info for source in (plan.foregrounds, plan.backgrounds) if source],
        environment=_environment(entries),
        shards=[entry.shard for entry in entries],
        failures=[failure for entry in entries for failure in entry.failures],
    )


def _environment(entries: Sequence[Entry]) -> dict[str, str]:
    """Return what made the shards; where they were made by different versions, all of them."""
    names = dict.fromkeys(name for entry in entries for name in entry.environment)
    found = {name: sorted({entry.environment.get(name, "none") for entry in entries}) for name in names}
    return {name: " and ".join(versions) for name, versions in found.items()}


def count_cells(release: Path, manifest: Manifest) -> dict[str, Counter[str]]:
    """Return split -> background name -> rows, counted in the shards of the default config."""
    cells: dict[str, Counter[str]] = {}
    for shard in (each for each in manifest.shards if each.config == "default"):
        labels = pq.read_table(release / shard.path, columns=["background"])["background"].to_pylist()
        cells.setdefault(shard.split, Counter()).update(manifest.backgrounds[label] for label in labels)
    return cells
