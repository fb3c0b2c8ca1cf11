"""Power of a comparison of two models: `python -m benchmark.power RESULT [RESULT_B]`, or `--n N` for a plan.

The smallest difference of top-1, on each background and on all images, that a paired comparison shows with 80 % power
at 5 %, two-sided. Of two results discordance and clustering are measured; of one the clustering of its own accuracy is;
of a number of images both are assumed, and the output states the assumptions.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmark.metrics.paired import join
from benchmark.metrics.power import ALL, of_one, of_plan, of_two
from benchmark.reports.text import DETECTABLE, describe, grid, percent, ratio
from benchmark.schemas import predictions as predictions_
from benchmark.schemas import result
from benchmark.schemas.metrics import Power
from benchmark.schemas.predictions import Predictions
from benchmark.schemas.result import beside
from d3s_dataset.errors import ResultError
from d3s_dataset.taxonomy import background_names
from d3s_dataset.utils.cli import Parser, natural, record, run_command, say, share
from d3s_dataset.utils.extras import require
from d3s_dataset.utils.power import BACKGROUND_PHOTOS, CORRELATION, DISCORDANCE, assumed, planned

_EACH = "each background"


def table(rows: dict[str, Power]) -> str:
    """Return the power on each background and on all images as text; numbers of photos are effective ones."""
    headings = ("background", "n", "foregrounds", "backgrounds", "design effect", "discordant %", "detectable")
    lines = [
        (
            *(name, str(each.n), f"{each.foregrounds:.0f}", f"{each.backgrounds:.0f}", ratio(each.effect)),
            *(percent(each.discordance), percent(each.detectable)),
        )
        for name, each in rows.items()
    ]
    return "\n".join([grid(headings, lines[:-1], lines[-1]), f"detectable, points: {DETECTABLE}"])


def measured(paths: Sequence[Path], discordance: float) -> tuple[dict[str, Power], list[str]]:
    """Return the power on the images of one or two results, and lines that say what is measured and what assumed.

    Args:
        paths: results (JSON) with their predictions next to them, or predictions (Parquet).
        discordance: assumed, where one result is given.

    Raises:
        ResultError: a file that cannot be read, other backgrounds, or no image in common.
    """
    tables = [_predictions(path) for path in paths]
    facts = [result.provenance(each.provenance, str(path)) for each, path in zip(tables, paths, strict=True)]
    backgrounds, lines = facts[0].dataset.backgrounds, [describe(facts[0].dataset)]
    if len(tables) == 1:
        lines.append(f"design effect of the accuracy of {facts[0].model.name}; discordance is assumed")
        return of_one(tables[0], backgrounds, discordance), lines
    if facts[1].dataset.backgrounds != backgrounds:
        raise ResultError(f"{paths[0]} and {paths[1]} have other backgrounds: expected two results on one release")
    joined = join(tables, [str(path) for path in paths]).tables
    lines.append(f"{facts[1].model.name} minus {facts[0].model.name} on {len(joined[0])} images in both: all measured")
    return of_two(joined[0], joined[1], backgrounds), lines


def _predictions(path: Path) -> Predictions:
    return beside(path, result.read(path), "the power") if path.suffix == ".json" else predictions_.read(path)


def _planned(args: argparse.Namespace) -> tuple[dict[str, Power], list[str]]:
    backgrounds = len(background_names())
    if args.n < 2 * backgrounds:
        raise ResultError(f"--n: expected {2 * backgrounds} images or more, two on each background, got {args.n}")
    foregrounds = args.foreground_photos or -(-args.n // backgrounds)
    photos = planned(args.n, backgrounds, foregrounds, args.background_photos)
    correlation = args.foreground_correlation, args.background_correlation
    rows = of_plan((_EACH, ALL), photos, args.discordance, correlation)
    about = f"{args.n:,} images evenly on {backgrounds} backgrounds, {foregrounds:,} foreground photos"
    scenes = f"{args.background_photos:,} background photos per background"
    return rows, [f"{about}, {scenes}", assumed(args.discordance, correlation)]


def parser() -> Parser:
    """Return the command's parser."""
    examples = ("--n 20000 --background-photos 100", "results/A.json results/B.json", "A.json --discordance 0.2")
    about = "Smallest difference between two models that a release can show (80 % power at 5 %, two-sided)."
    answer = Parser("python -m benchmark.power", description=about, examples=examples, tables=True)
    add = answer.add_argument
    add(
        "results",
        type=Path,
        nargs="*",
        metavar="RESULT",
        help="one or two JSON files that benchmark.run wrote, with their predictions next to them; or --n",
    )
    add("--n", type=natural, metavar="N", help="images of a release that is not made yet, evenly on ten backgrounds")
    add("--foreground-photos", type=natural, metavar="N", help="foreground photos (each stands once per background)")
    add("--background-photos", type=natural, default=BACKGROUND_PHOTOS, metavar="N", help="photos of each background")
    text = "share of images on which exactly one of two models is right"
    add("--discordance", type=share, default=DISCORDANCE, metavar="X", help=text)
    for kind, each in zip(("foreground", "background"), CORRELATION, strict=True):
        text = f"correlation of differences between images of one {kind} photo"
        add(f"--{kind}-correlation", type=share, default=each, metavar="X", help=text)
    answer.only_where(lambda args: not args.results, "is for images that are not there yet, not for results", "--n")
    answer.only_with(
        "--n", "--foreground-photos", "--background-photos", "--foreground-correlation", "--background-correlation"
    )
    answer.only_where(lambda args: len(args.results) < 2, "is measured on two results", "--discordance")
    return answer


def main(argv: Sequence[str] | None = None) -> None:
    """Print the power on each background and on all images."""
    made = parser()
    args = made.parse_args(argv)
    if (args.n is None) == (not args.results) or len(args.results) > 2:
        made.error(f"expected one or two results, or --n N; got {len(args.results)} results")
    require("score", "scipy", "rich")
    rows, lines = _planned(args) if args.n else measured(args.results, args.discordance)
    for line in lines:
        say(line)
    say(table(rows))
    record(power={name: each.model_dump(mode="json") for name, each in rows.items()})


if __name__ == "__main__":
    run_command(main)
