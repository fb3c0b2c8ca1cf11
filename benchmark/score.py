"""Metrics from predictions, without torch: `python -m benchmark.score PREDICTIONS [PREDICTIONS ...] [--out results]`.

`benchmark.run` computes its numbers by the same `measure.score`, so a result can be made again from its predictions,
byte for byte. Predictions from elsewhere, without provenance, are scored and shown; no result is written for them.

Several files of one model, on a release and its control sets, are also set against each other image by image: how much
of the drop is paste and scale, how much the generator, how much the background. That lives here and not in
`benchmark.compare`, which sets two models against each other on one set of images: a chain is a number about one model.
"""

from collections.abc import Sequence
from pathlib import Path

from benchmark import predictions as predictions_
from benchmark import results
from benchmark.measure import result_of, score
from benchmark.paired import chain
from benchmark.predictions import Predictions
from benchmark.scores import Change
from benchmark.tables import between, grid, points, table
from d3s_dataset.command import Parser, run_command, say
from d3s_dataset.errors import ResultError
from d3s_dataset.extras import require
from d3s_dataset.taxonomy import background_names

__all__ = ["result_of", "score", "table"]  # what benchmark.run takes from here


def parser() -> Parser:
    """Return the command's parser."""
    answer = Parser(prog="python -m benchmark.score", description="Metrics from predictions, without torch.")
    answer.add_argument(
        "predictions",
        type=Path,
        nargs="+",
        metavar="PREDICTIONS",
        help="Parquet file that benchmark.run wrote; several of one model, on a release and its control sets, give "
        "the drop step by step",
    )
    answer.add_argument("--out", type=Path, default=Path("results"), help="folder for the result")
    return answer


def main(argv: Sequence[str] | None = None) -> None:
    """Score predictions, print the tables, write the results."""
    made = parser()
    args = made.parse_args(argv)
    require("score", "scipy", "rich")
    read = {path: predictions_.read(path) for path in args.predictions}
    if not any(each.provenance for each in read.values()):
        made.refuse_typed("takes results, and these predictions do not state their model and data set", "--out")
    steps = _chain_of(read) if len(args.predictions) > 1 else None
    for path, predictions in read.items():
        _score_one(path, predictions, args.out)
    if steps:
        path = args.out / f"{_chain_stem(steps)}.json"
        results.write(path, steps)
        say(chain_table(steps.steps))
        say(f"drop step by step {path}")


def _score_one(path: Path, predictions: Predictions, out: Path) -> None:
    if not predictions.provenance:
        say(table(score(predictions, background_names())))
        say(f"{path} does not say which model and data set it is of: no result written")
        return
    result = result_of(predictions, str(path))
    path = out / f"{results.stem(result.model, result.dataset)}.json"
    results.make_folder(out)
    results.write(path, result)
    say(f"{result.model.name} on {result.dataset.name}, {result.dataset.config}, {result.dataset.split}")
    say(table(result.metrics))
    say(f"result {path}")


def _chain_of(read: dict[Path, Predictions]) -> results.Chain:
    """Return the chain of several files.

    Raises:
        ResultError: not one model, split and release, a config twice, or no step between the configs.
    """
    facts = {path: results.provenance(each.provenance, str(path)) for path, each in read.items()}
    first, *others = facts
    for path in others:
        _same("model", path, facts[path].model.digest, first, facts[first].model.digest)
        _same("model arguments", path, facts[path].model.kwargs, first, facts[first].model.kwargs)
        _same("split", path, facts[path].dataset.split, first, facts[first].dataset.split)
    tables = {facts[path].dataset.config: each for path, each in read.items()}
    if len(tables) < len(read):
        raise ResultError(
            f"expected files of different configs, got {', '.join(f.dataset.config for f in facts.values())}"
        )
    steps = chain(tables, facts[first].dataset.backgrounds)
    return results.Chain(model=facts[first].model, datasets=[each.dataset for each in facts.values()], steps=steps)


def _same(what: str, path: Path, found: object, first: Path, expected: object) -> None:
    if found != expected:
        raise ResultError(f"expected files of one {what}: {first} has {expected}, {path} has {found}")


def _chain_stem(steps: results.Chain) -> str:
    return results.stem(steps.model, steps.datasets[0].model_copy(update={"config": "chain"}))


def chain_table(steps: dict[str, dict[str, Change]]) -> str:
    """Return the drop step by step as text: points of top-1 lost at each step, with 95 % intervals."""
    names = list(next(iter(steps.values())))
    rows = [
        (name, str(next(iter(steps.values()))[name].n), *(_lost(step[name]) for step in steps.values()))
        for name in names
    ]
    flagged = any(each.doubts for step in steps.values() for each in step.values() if each.change is not None)
    note = ["* the interval may not cover 95 %: too few images or photos"] if flagged else []
    heading = "points of top-1 lost at each step, with 95 % intervals"
    return "\n".join([heading, grid(("background", "n", *steps), rows[:-1], rows[-1]), *note])


def _lost(change: Change) -> str:
    low, high = change.ci95
    ends = between((None if high is None else -high, None if low is None else -low), points)
    text = points(None if change.change is None else -change.change)
    return text if ends == "-" else f"{text} ({ends}){'*' * bool(change.doubts)}"


if __name__ == "__main__":
    run_command(main)
