"""Metrics from predictions, without torch: `python -m benchmark.score PREDICTIONS [--out results]`.

`benchmark.run` computes its numbers by the same `score`, so a result can be made again from its predictions, byte for
byte. Predictions from elsewhere, without provenance, are scored and shown; no result is written for them.
"""

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmark import predictions as predictions_
from benchmark import results
from benchmark.groups import Groups, by_background, by_foreground, codes
from benchmark.metrics import gap, group_means, hits, mean, worst
from benchmark.predictions import BEST, Predictions
from benchmark.stats import FEW_PHOTOS, LEVEL, RESAMPLES, SEED, interval, photos
from d3s_dataset.command import Parser, run_command, say
from d3s_dataset.errors import MissingExtra
from d3s_dataset.taxonomy import background_names

_METHOD = "two-way bootstrap over photos, percentile, never narrower than Wilson"
_INTERVAL = {"method": _METHOD, "level": LEVEL, "resamples": RESAMPLES, "seed": SEED}


def score(predictions: Predictions, backgrounds: Sequence[str]) -> results.Metrics:
    """Compute every metric of a result.

    Args:
        predictions: what a model said.
        backgrounds: the release's background names in label order.

    Raises:
        ResultError: a background label without a name.
    """
    groups = by_background(predictions, backgrounds)
    top1 = hits(predictions.foreground, predictions.prediction, 1)
    top5 = hits(predictions.foreground, predictions.prediction, BEST)
    sources = codes(predictions.foreground_source), codes(predictions.background_source)
    means, _ = group_means(top1, groups.labels, len(groups))
    lowest = worst(means)
    overall = mean(top1)
    return results.Metrics(
        n=len(predictions),
        top1=overall,
        top5=mean(top5),
        ci95=interval(top1, *sources, groups.labels),
        loss=mean(predictions.loss.astype(np.float64)),
        by_background=_backgrounds(groups, top1, top5, *sources),
        worst_background=None if lowest is None else results.Worst(name=groups.names[lowest], top1=means[lowest]),
        gap=gap(overall, means),
        by_foreground=_classes(by_foreground(predictions), top1, top5),
        interval=_INTERVAL,
    )


def _backgrounds(
    groups: Groups, top1: np.ndarray, top5: np.ndarray, front: np.ndarray, behind: np.ndarray
) -> dict[str, results.BackgroundScore]:
    scores = {}
    for label, name in enumerate(groups.names):
        rows = groups.labels == label
        scores[name] = results.BackgroundScore(
            n=int(rows.sum()),
            top1=mean(top1[rows]),
            top5=mean(top5[rows]),
            ci95=interval(top1[rows], front[rows], behind[rows], groups.labels[rows]),
            foreground_sources=photos(front[rows]),
            background_sources=photos(behind[rows]),
        )
    return scores


def _classes(groups: Groups, top1: np.ndarray, top5: np.ndarray) -> dict[str, results.ClassScore]:
    first, sizes = group_means(top1, groups.labels, len(groups))
    five, _ = group_means(top5, groups.labels, len(groups))
    return {
        groups.names[label]: results.ClassScore(n=int(sizes[label]), top1=first[label], top5=five[label])
        for label in np.flatnonzero(sizes)
    }


def result_of(predictions: Predictions, where: str) -> results.Result:
    """Return the result of predictions that carry their provenance.

    Args:
        predictions: what a model said, with provenance.
        where: the file they came from, for errors.

    Raises:
        ResultError: the provenance is not what benchmark.run writes.
    """
    facts = results.provenance(predictions.provenance, where)
    return results.Result(
        model=facts.model,
        dataset=facts.dataset,
        metrics=score(predictions, facts.dataset.backgrounds),
        environment=facts.environment,
        seconds=facts.seconds,
    )


def table(metrics: results.Metrics) -> str:
    """Return the metrics as text for a terminal, in percent."""
    try:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        raise MissingExtra("rich", "benchmark") from None
    grid = Table(box=SIMPLE_HEAD, show_footer=True, pad_edge=False)
    total = _cells("all images", metrics.n, metrics.top1, metrics.ci95, metrics.top5)
    for heading, footer in zip(("background", "n", "top-1", "95 % interval", "top-5"), total, strict=True):
        grid.add_column(heading, footer, justify="left" if heading == "background" else "right")
    for name, each in metrics.by_background.items():
        grid.add_row(*_cells(name, each.n, each.top1, each.ci95, each.top5, "*" if _few(each) else ""))
    text = io.StringIO()
    Console(file=text, width=100).print(grid)
    return "\n".join([*(line.rstrip() for line in text.getvalue().splitlines() if line.strip()), *_notes(metrics)])


def _cells(
    name: str, n: int, top1: float | None, ci95: tuple[float | None, float | None], top5: float | None, flag: str = ""
) -> list[str]:
    low, high = ci95
    between = "-" if low is None or high is None else f"{_percent(low)} to {_percent(high)}{flag}"
    return [name, str(n), _percent(top1), between, _percent(top5)]


def _notes(metrics: results.Metrics) -> list[str]:
    lines = []
    if metrics.worst_background:
        lowest = metrics.worst_background
        lines.append(f"worst background: {lowest.name}, {_percent(lowest.top1)} % top-1")
        lines.append(f"gap (all images minus worst background): {_percent(metrics.gap)} points")
    if any(_few(each) for each in metrics.by_background.values()):
        lines.append(f"* fewer than {FEW_PHOTOS} background photos: the interval is likely too narrow")
    return lines


def _few(each: results.BackgroundScore) -> bool:
    """Say whether too few background photos are shared by too many images for a bootstrap over them."""
    return each.background_sources < min(FEW_PHOTOS, each.n)


def _percent(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{100 * value:.1f}"


def parser() -> Parser:
    """Return the command's parser."""
    answer = Parser(prog="python -m benchmark.score", description="Metrics from predictions, without torch.")
    answer.add_argument("predictions", type=Path, metavar="PREDICTIONS", help="Parquet file that benchmark.run wrote")
    answer.add_argument("--out", type=Path, default=Path("results"), help="folder for the result")
    return answer


def main(argv: Sequence[str] | None = None) -> None:
    """Score predictions, print the table, write the result."""
    args = parser().parse_args(argv)
    predictions = predictions_.read(args.predictions)
    if not predictions.provenance:
        say(table(score(predictions, background_names())))
        say(f"{args.predictions} does not say which model and data set it is of: no result written")
        return
    result = result_of(predictions, str(args.predictions))
    path = args.out / f"{results.stem(result.model, result.dataset)}.json"
    results.make_folder(args.out)
    results.write(path, result)
    say(table(result.metrics))
    say(f"result {path}")


if __name__ == "__main__":
    run_command(main)
