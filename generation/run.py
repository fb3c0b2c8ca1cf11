"""python -m generation.run: recipe -> plan -> guide -> image -> screen -> shards -> release.

The loop that joins the stages. A shard is the unit of work: what is finished is read from disk, so the same command
goes on where a killed one stopped, and a larger `--limit` extends the same release.
"""

import importlib.metadata
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d3s_dataset import manifest as manifests
from d3s_dataset.command import Parser, cores, natural, progress, run_command, say, warn
from d3s_dataset.errors import D3SError, ModelError, RecipeError
from d3s_dataset.manifest import Failure
from generation.diffuse import ImageToImage
from generation.engine import Failed, LocalEngine, Maker
from generation.plan import Plan
from generation.recipe import Recipe, load_recipe
from generation.release import finish
from generation.shards import read_records, write_shard
from generation.sources import DrawnBackgrounds, DrawnForegrounds, ImageSource, foreground_labels, open_source
from generation.state import Begun, State, Task, tasks

_SHARD_ROWS = 1000  # at 512 px and JPEG quality 95 about 200 MB


@dataclass(frozen=True)
class Summary:
    """What a run made: rows by split (failed ones not counted), failures, and whether all was there already."""

    rows: dict[str, int]
    failures: int
    already_finished: bool


def open_sources(
    recipe: Recipe, foregrounds: str | None, backgrounds: str | None
) -> tuple[ImageSource, ImageSource | None]:
    """Return the sources of a recipe: drawn, or the folders or data sets that were named.

    Raises:
        RecipeError: the recipe needs photos that were not named, or draws its own and photos were named.
        SourceError: a folder or data set that cannot be used.
    """
    labels = {spec.name: i for i, spec in enumerate(recipe.backgrounds)}
    if recipe.drawn is not None:
        if foregrounds or backgrounds:
            raise RecipeError(f"recipe {recipe.name!r} draws its own photos: leave out --foregrounds and --backgrounds")
        scenes = DrawnBackgrounds(recipe.drawn.templates, labels) if recipe.guide.background == "photo" else None
        return DrawnForegrounds(recipe.drawn.instances), scenes
    if foregrounds is None:
        raise RecipeError(f"recipe {recipe.name!r} needs photos: expected --foregrounds DIR (one folder a WordNet id)")
    objects = open_source(foregrounds, foreground_labels(), "foregrounds")
    return objects, open_source(backgrounds, labels, "backgrounds") if backgrounds else None


def generate(
    plan: Plan,
    out: Path,
    *,
    limit: int | None = None,
    shard_rows: int = _SHARD_ROWS,
    batch_size: int = 8,
    workers: int | None = None,
    device: str | None = None,
    order: Callable[[list[Task]], list[Task]] = list,
) -> Summary:
    """Make a release, or go on with one.

    Args:
        plan: the rows.
        out: the release's folder.
        limit: make only the first rows of the plan.
        shard_rows: rows a shard.
        batch_size: rows a batch, also of the diffuser.
        workers: processes that compose and encode; None is one per core.
        device: torch device of the diffuser; None chooses.
        order: reorders the shards to make; the release does not depend on it.

    Raises:
        ReleaseError: the folder holds something else, or cannot be written.
        ModelError: the generator cannot be loaded.
    """
    limit = min(limit or len(plan), len(plan))
    state = State(out)
    begun = Begun(recipe=plan.recipe.name, plan_digest=plan.digest, shard_rows=shard_rows, limit=limit)
    if state.begin(begun):
        return _summary(manifests.read(out), True)
    wanted = tasks(plan, limit, shard_rows)
    state.rename(wanted)
    done = state.entries(wanted)
    pending = [task for task in wanted if task not in done or done[task].failures]  # failed rows get another try
    if pending:
        with _engine(plan, _diffuser(plan, state, device), workers, batch_size) as engine:
            _make_all(plan, state, engine, order(pending), sum(task.stop - task.start for task in wanted))
    return _summary(finish(plan, state, begun, wanted), False)


def _summary(manifest: manifests.Manifest, already_finished: bool) -> Summary:
    rows = {split: manifest.rows("default", split) for split in manifest.splits()}
    return Summary(rows, len(manifest.failures), already_finished)


def _diffuser(plan: Plan, state: State, device: str | None) -> ImageToImage | None:
    if not plan.recipe.diffuses:
        return None
    try:
        return ImageToImage(plan.recipe.generator, device)
    except ModelError:
        state.abandon()
        raise


def _engine(plan: Plan, diffuser: ImageToImage | None, workers: int | None, batch_size: int) -> LocalEngine:
    maker = Maker(plan.recipe, plan.foregrounds, plan.backgrounds)
    return LocalEngine(maker, diffuser, workers or cores(), batch_size)


def _make_all(plan: Plan, state: State, engine: LocalEngine, pending: list[Task], total: int) -> None:
    left = sum(task.stop - task.start for task in pending)
    with progress(total=total, label="making") as bar:
        bar.update(total - left)
        for task in pending:
            _make_shard(plan, state, engine, task, bar)


def _make_shard(plan: Plan, state: State, engine: LocalEngine, task: Task, bar: Any) -> None:
    path = state.out / task.path
    # What an earlier run wrote and could not record, or a smaller --limit left in a shorter last shard.
    kept = read_records(path)
    rows = list(plan.rows(task.split, task.start, task.stop))
    made = {row.key: record for row, record in engine.make(row for row in rows if row.key not in kept)}
    records, failures = [], []
    for index, row in enumerate(rows, task.start):
        record = kept.get(row.key) or made[row.key]
        if isinstance(record, Failed):
            failures.append(Failure(key=row.key, split=row.split, index=index, **vars(record)))
        else:
            records.append(record)
    size, checksum = write_shard(path, records, plan.recipe.background_names())
    state.finish_shard(task, size, checksum, len(records), failures, _environment(engine))
    bar.update(len(rows))


def _environment(engine: LocalEngine) -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in ("d3s", "pillow", "numpy", "pyarrow")}
    return versions | (engine.diffuser.environment() if engine.diffuser else {})


def describe(plan: Plan, limit: int | None) -> list[str]:
    """Return what a plan holds, in lines for a person."""
    lines = [f"plan {plan.digest[:16]} of recipe {plan.recipe.name}: {plan.recipe.description}"]
    for name, rows in plan.split_rows(limit).items():
        if rows == 0:
            continue
        split = plan.splits[name]
        photos, scenes = sum(map(len, split.photos)), sum(map(len, split.backgrounds))
        lines.append(f"  {name}: {rows:,} rows, {len(split.labels)} classes, {photos:,} foreground photos, {scenes:,} "
                     f"background photos")  # fmt: skip
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, make the release, say what was made."""
    args = _parser().parse_args(argv)
    recipe = load_recipe(args.recipe).changed(rows=args.rows, model=args.model)
    if args.device and not recipe.diffuses:
        raise RecipeError(f"--device {args.device}: recipe {recipe.name!r} diffuses nothing: leave it out")
    plan = Plan(recipe, *open_sources(recipe, args.foregrounds, args.backgrounds))
    for text in plan.warnings:
        warn(text)
    for line in describe(plan, args.limit):
        say(line)
    if args.plan_only:
        return
    if args.out is None:
        raise RecipeError("expected --out DIR (or --plan-only)")
    summary = generate(plan, args.out, limit=args.limit, shard_rows=args.shard_rows, batch_size=args.batch_size,
                       workers=args.workers, device=args.device)  # fmt: skip
    if sum(summary.rows.values()) == 0:
        raise D3SError(f"all {summary.failures} rows failed; see failures in {args.out / manifests.FILE_NAME}")
    made = ", ".join(f"{rows:,} {split}" for split, rows in summary.rows.items())
    say(f"{'already finished' if summary.already_finished else 'made'}: {args.out} ({made} rows)")
    if summary.failures:
        warn(f"{summary.failures} rows failed; see failures in {args.out / manifests.FILE_NAME}")


def _parser() -> Parser:
    parser = Parser("python -m generation.run", description="Make a release from a recipe.")
    parser.add_argument("--recipe", default="sample", help="sample, paper, geography, time, or the path of a TOML file")
    parser.add_argument("--out", type=Path, help="the release's folder")
    parser.add_argument("--foregrounds", help="photos of objects: a folder of WordNet-id folders, or hf:REPO[:SPLIT]")
    parser.add_argument("--backgrounds", help="photos of backgrounds: a folder of named folders, or hf:REPO[:SPLIT]")
    parser.add_argument("--model", help="Hub id or folder of a diffusers pipeline; none: the guides are the images")
    parser.add_argument("--rows", type=natural, help="size of the plan")
    parser.add_argument("--limit", type=natural, help="make only the first rows; a larger one extends the release")
    parser.add_argument("--plan-only", action="store_true", help="say what would be made, and stop")
    parser.add_argument("--batch-size", type=natural, default=8, help="rows a batch")
    parser.add_argument("--shard-rows", type=natural, default=_SHARD_ROWS, help="rows a shard")
    parser.add_argument("--workers", type=natural, help="processes that compose and encode (one per core)")
    parser.add_argument("--device", help="torch device of the generator (the first GPU, else the CPU)")
    return parser


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    run_command(main)
