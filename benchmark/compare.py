"""Two models on the same images: `python -m benchmark.compare RESULT_A RESULT_B [--out FILE]`.

Differences are taken image by image on the images both have, joined by key, and tested on every background with the
photos resampled both ways (`intervals.difference_intervals`), Holm-corrected for the number of backgrounds.
"""

from collections.abc import Sequence
from pathlib import Path

from benchmark.metrics.paired import comparison
from benchmark.reports.text import DETECTABLE, between, describe, grid, percent, points, ratio
from benchmark.schemas import predictions as predictions_
from benchmark.schemas import result
from benchmark.schemas.identity import labels
from benchmark.schemas.metrics import Change
from benchmark.schemas.predictions import Predictions
from benchmark.schemas.result import beside
from d3s_dataset.utils.cli import Parser, record, run_command, say
from d3s_dataset.utils.extras import require


def compare(first: Path, second: Path) -> result.Comparison:
    """Compare two results, whose predictions are next to them.

    Args:
        first: a result (JSON) of benchmark.run, or its predictions (Parquet).
        second: another.

    Raises:
        ResultError: a file that cannot be read, no image in common, or images that differ under the same key.
    """
    return comparison(_predictions(first), _predictions(second), [str(first), str(second)])


def _predictions(path: Path) -> Predictions:
    if path.suffix == ".json":
        return beside(path, result.read(path), "a comparison", best=True)
    return predictions_.read(path, ordered=True, best=True)


def compare_table(found: result.Comparison) -> str:
    """Return a comparison as text."""
    rows = [_row(name, each) for name, each in found.changes.items()]
    headings = ("background", "n", "A", "B", "B - A", "95 % interval", "p", "p (Holm)", "gained", "lost", "odds", "h")
    lines = [
        *(
            f"{letter} {label}: {describe(facts)}"
            for letter, label, facts in zip("AB", labels([found.first, found.second]), found.datasets, strict=True)
        ),
        *_other_images(*found.datasets),
        f"{found.n} images in both; A lacks {found.first_lacks}, B lacks {found.second_lacks}",
        grid((*headings, "detectable"), rows[:-1], rows[-1]),
        "top-1 in %, differences in points; odds: images gained over lost; h: Cohen's effect size; "
        f"detectable: {DETECTABLE}",
    ]
    flagged = any(each.doubts for each in found.changes.values())
    return "\n".join(lines + ["* the interval may not cover 95 %: too few images or photos"] * flagged)


def _other_images(first: result.Dataset, second: result.Dataset) -> list[str]:
    """Return a warning if equal keys may be of different images of the same config."""
    if first.config != second.config or first.digest == second.digest:
        return []
    digests = f"digests {first.digest[:8]}, {second.digest[:8]}"
    return [f"A and B are of different releases ({digests}): images with the same key may differ"]


def _row(name: str, each: Change) -> tuple[str, ...]:
    interval = between(each.ci95, points)
    return (
        *(name, str(each.n), percent(each.before), percent(each.after), points(each.change)),
        interval + "*" * bool(interval != "-" and each.doubts),
        *(_p(each.p), _p(each.p_holm), str(each.gained), str(each.lost), ratio(each.odds_ratio), ratio(each.cohens_h)),
        percent(each.detectable),
    )


def _p(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def parser() -> Parser:
    """Return the command's parser."""
    examples = ("results/A.json results/B.json", "results/A.json results/B.json --out comparison.json")
    about = "Paired comparison of two models on the images that both classified."
    answer = Parser("python -m benchmark.compare", description=about, examples=examples, tables=True)
    for name in ("first", "second"):
        text = "JSON that benchmark.run wrote, with its predictions next to it"
        answer.add_argument(name, type=Path, metavar=f"RESULT_{'A' if name == 'first' else 'B'}", help=text)
    answer.add_argument("--out", type=Path, help="also write the comparison to this JSON file")
    return answer


def main(argv: Sequence[str] | None = None) -> None:
    """Compare two results, print the table, write it if `--out` is given."""
    args = parser().parse_args(argv)
    require("score", "scipy", "rich")
    found = compare(args.first, args.second)
    say(compare_table(found))
    record(comparison=found)
    if args.out:
        result.make_folder(args.out.parent)
        result.write(args.out, found)
        say(f"comparison {args.out}")


if __name__ == "__main__":
    run_command(main)
