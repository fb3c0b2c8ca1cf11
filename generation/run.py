"""python -m generation.run: recipe -> plan -> guide -> image -> screen -> shards -> release.

A shard is the unit of work. Finished shards are read from disk, so the same command resumes an interrupted run, and a
larger `--limit` extends the same release.
"""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from d3s_dataset import manifest as manifests
from d3s_dataset.errors import D3SError, RecipeError
from d3s_dataset.schema import not_d3s
from d3s_dataset.utils.cli import Parser, natural, natural_to, note, part, positive, run_command, say, warn
from generation.execution.options import SHARD_ROWS, How, check_installed
from generation.planning import power
from generation.planning.plan import Plan
from generation.recipe.recipe import Recipe, load_recipe, shipped
from generation.recipe.sections import MOST_ROWS
from generation.release.build import Summary, finish_parts, generate, make_again
from generation.release.estimate import estimate
from generation.sources.base import ImageSource
from generation.sources.resolve import foreground_labels, open_source
from generation.sources.sample import DrawnBackgrounds, DrawnForegrounds


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
        raise RecipeError(f"recipe {recipe.name!r} needs photos: expected --foregrounds DIR (a folder per WordNet id)")
    objects = open_source(foregrounds, foreground_labels(), "foregrounds")
    return objects, open_source(backgrounds, labels, "backgrounds") if backgrounds else None


def describe(plan: Plan, limit: int | None) -> list[str]:
    """Return a summary of a plan, one line per split."""
    lines = [f"plan {plan.digest[:16]} of recipe {plan.recipe.name}: {plan.recipe.summary}"]
    warning = not_d3s(plan.recipe.release_kind)
    lines[0] += f"; {warning}" if warning else ""
    held = plan.split_rows(limit)
    for name, rows in held.items():
        if rows == 0:
            continue
        split = plan.splits[name]
        photos, scenes = sum(map(len, split.photos)), sum(map(len, split.backgrounds))
        lines.append(f"  {name}: {rows:,} rows, {len(split.labels)} classes, {photos:,} foreground photos, {scenes:,} "
                     f"background photos")  # fmt: skip
    controls = plan.recipe.configs()[1:]
    rows = sum(held[split] for split in plan.recipe.controls.splits)
    return [*lines, f"  control configs {', '.join(controls)}: {rows:,} rows each"] if controls and rows else lines


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, make the release and report it."""
    args = arguments(argv)
    recipe = _recipe(args)
    if not (args.plan_only or args.finish):
        check_installed(recipe, args.engine)
    plan = Plan(recipe, *open_sources(recipe, args.foregrounds, args.backgrounds))
    for text in plan.warnings:
        warn(text)
    for line in describe(plan, args.limit):
        say(line)
    if args.plan_only:
        for line in power.lines(plan, args.limit):
            say(line)
        return
    how = How(
        shard_rows=args.shard_rows,
        batch_size=args.batch_size,
        workers=args.workers,
        devices=args.devices and tuple(args.devices),
        engine=args.engine,
        compiled=args.compile,
        resample=args.resample or 0,
        part=args.part,
        sheets=args.sheets,
        verify=args.verify,
    )
    if args.dry_run:
        found = estimate(plan, args.out, how, args.limit)
        for line in found.lines(args.price) if found else [f"nothing left to make: {args.out}"]:
            say(line)
        return
    if args.only:
        for path in make_again(plan, args.out, how, args.limit, args.only):
            say(f"made again: {args.only} in {path}")
        return
    make = finish_parts if args.finish else lambda *given: generate(*given[:3], limit=given[3])
    _report(make(plan, args.out, how, args.limit), args)


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the parsed command line.

    Raises:
        RecipeError: flags that contradict each other, or no --out where one is needed.
    """
    args = parser().parse_args(argv)
    once = [f"--{name.replace('_', '-')}" for name in ("plan_only", "dry_run", "only", "finish") if getattr(args, name)]
    if len(once) > 1 or (args.part and (args.only or args.finish)):
        raise RecipeError(f"expected one of {', '.join(once)}{' or --part' if args.part else ''}, got all of them")
    if args.out is None and not (args.plan_only or args.dry_run):
        raise RecipeError("expected --out DIR (or --plan-only, or --dry-run)")
    return args


def _recipe(args: argparse.Namespace) -> Recipe:
    return load_recipe(args.recipe).changed(rows=args.rows, model=args.model, clip=args.clip)


def _report(summary: Summary, args: argparse.Namespace) -> None:
    listed = args.out / manifests.FILE_NAME
    if summary.rows and sum(summary.rows.values()) == 0:
        raise D3SError(f"all {summary.failures} rows failed" + ("" if args.part else f"; see failures in {listed}"))
    made = ", ".join(
        f"{rows:,} {split if config == 'default' else f'{config} {split}'}"
        for (config, split), rows in summary.rows.items()
    )
    if args.part:
        part = f"part {args.part[0]} of {args.part[1]} of {args.out}"
        say(f"made {part} ({made} rows)")
        say("after all parts: the same command with --finish instead of --part, without --devices and similar flags")
    else:
        done = "already finished" if summary.already_finished else "made"
        say(f"{done}: {args.out} ({made} rows)")
        if summary.already_finished and not args.verify:
            note(
                f"only file sizes were compared: --verify compares checksums, python -m d3s_dataset.check {args.out} "
                "checks everything"
            )
    if summary.failures:
        warn(
            f"{summary.failures} rows failed; " + ("--finish lists them" if args.part else f"see failures in {listed}")
        )


def parser() -> Parser:
    """Return the command's parser."""
    examples = (
        "--recipe sample --out demo/d3s",
        "--recipe paper --foregrounds imagenet/train --backgrounds places --out d3s --dry-run",
        "--recipe paper --foregrounds imagenet/train --backgrounds places --out d3s --devices cuda:0 cuda:1",
    )
    about = "Make a release (a dataset version) from a recipe."
    parser = Parser("python -m generation.run", description=about, examples=examples)
    add = parser.add_argument
    add("--recipe", default="sample", help=f"{', '.join(shipped())}, or the path of a TOML file")
    add("--out", type=Path, help="folder of the release; required except with --plan-only and --dry-run")
    add("--foregrounds", help="foreground photos: a folder with one subfolder per WordNet id, or hf:REPO[:SPLIT]")
    add("--backgrounds", help="background photos: a folder with one subfolder per label, or hf:REPO[:SPLIT]")
    add("--model", help="Hub id or folder of a diffusers pipeline; none: guides only (the composite images)")
    add("--clip", help="Hub id or folder of the CLIP model that scores redrawn images; none: no CLIP screen")
    add("--rows", type=natural_to(MOST_ROWS), help="number of planned rows (default: the recipe's)")
    add("--limit", type=natural, help="make only the first rows; a larger limit extends the release")
    add("--plan-only", action="store_true", help="print the plan and its statistical power, and exit")
    add("--dry-run", action="store_true", help="make a few rows, print estimated time and size of all, and exit")
    add("--price", type=positive, metavar="X", help="price of one GPU (worker) for an hour: --dry-run prints the cost")
    add("--only", metavar="KEY", help="regenerate the images of one row of a release")
    add("--resample", type=natural_to(1000), metavar="N", help="new seeds per redrawn image that fails a screen")
    add("--engine", choices=("local", "ray"), default="local", help="this machine, or the Ray cluster at RAY_ADDRESS")
    add("--part", type=part, metavar="I/N", help="make part I of N of the shards; the parts may run in parallel")
    add("--finish", action="store_true", help="write card and manifest of a release made in parts")
    add("--batch-size", type=natural_to(100_000), help="rows per batch (chosen automatically)")
    add("--shard-rows", type=natural, default=SHARD_ROWS, help="rows per shard")
    add("--workers", type=natural_to(1024), help="CPU processes that compose and encode images (one per core)")
    add("--devices", nargs="+", metavar="D", help="torch devices of the generator (all GPUs, else the CPU)")
    add("--compile", action="store_true", help="compile the generator (torch.compile)")
    add("--sheets", type=Path, metavar="DIR", help="folder for one contact sheet per shard")
    add("--verify", action="store_true", help="compare checksums of finished shards; regenerate damaged ones")
    _add_modes(parser)
    return parser


def _add_modes(parser: Parser) -> None:
    parser.only_where(
        lambda args: _recipe(args).diffuses, "does nothing where the recipe diffuses nothing",
        *("--devices", "--resample", "--compile", "--clip"),
    )  # fmt: skip
    parser.never_with("--engine ray", "--devices", "--workers")  # set by the cluster
    parser.only_with("--dry-run", "--price")
    parser.never_with("--dry-run", "--resample", "--sheets", "--verify")
    parser.never_with("--only", "--resample", "--sheets")
    how = ("--resample", "--sheets", "--engine", "--batch-size", "--workers", "--devices", "--compile")
    parser.never_with("--finish", *how)
    parser.never_with("--plan-only", *how, "--out", "--part", "--shard-rows", "--verify")


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    run_command(main)
