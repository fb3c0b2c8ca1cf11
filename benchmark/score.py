"""Metrics from predictions, without torch: `python -m benchmark.score PREDICTIONS [PREDICTIONS ...] [--out results]`.

`benchmark.run` computes its numbers by the same `measure.score`, so a result can be made again from its predictions,
byte for byte.

Predictions made elsewhere, by any framework, become a result where `--dataset` says which images they are of and
`--model-name` what to call the model (`benchmark.data.external` has the forms). It is declared as of predictions only:
`benchmark.compare`, `report` and `submit` take it, and no board ranks it, for nobody can run it again. A Parquet file
with the columns of `benchmark.run` but without provenance is scored and shown alone.

Several files of one model, on a release and its control sets, are also set against each other image by image: how much
of the drop is paste and scale, how much the generator, how much the background. That lives here and not in
`benchmark.compare`, which sets two models against each other on one set of images: a chain is a number about one model.
"""

from collections.abc import Sequence
from pathlib import Path

from benchmark.data.external import made_elsewhere
from benchmark.data.split import open_split
from benchmark.metrics.compute import result_of, score
from benchmark.metrics.paired import chain
from benchmark.reports.text import between, describe, grid, points, table
from benchmark.schemas import predictions as predictions_
from benchmark.schemas import result as results
from benchmark.schemas.identity import check_chain, labels, release_of, stem, write_files
from benchmark.schemas.metrics import Change
from benchmark.schemas.predictions import Predictions
from d3s_dataset.utils.cli import Parser, record, run_command, say
from d3s_dataset.utils.extras import require


def parser() -> Parser:
    """Return the command's parser."""
    examples = (
        "results/PREDICTIONS.parquet",
        "results/DEFAULT.parquet results/CONTROL.parquet --out scored",
        "preds.csv --dataset d3s --model-name mine --out results",
    )
    about = "Metrics from predictions, without torch."
    answer = Parser("python -m benchmark.score", description=about, examples=examples, tables=True)
    answer.add_argument(
        "predictions",
        type=Path,
        nargs="+",
        metavar="PREDICTIONS",
        help="Parquet file that benchmark.run wrote; several of one model, on a release and its control sets, give "
        "the drop step by step; with --dataset a CSV, Parquet or NPZ file made elsewhere",
    )
    add = answer.add_argument
    add("--dataset", metavar="DIR_OR_REPO", help="release that predictions made elsewhere are of")
    add("--model-name", metavar="NAME", help="what to call the model of predictions made elsewhere")
    add("--config", default="default", metavar="NAME", help="config of the release that was predicted")
    add("--split", default="validation", metavar="NAME", help="split that was predicted, all of it")
    answer.only_with("--dataset", "--model-name", "--config", "--split")
    answer.add_argument("--out", type=Path, default=Path("results"), help="folder for the result")
    return answer


def main(argv: Sequence[str] | None = None) -> None:
    """Score predictions, print the tables, write the results."""
    made = parser()
    args = made.parse_args(argv)
    require("score", "scipy", "rich")
    if args.dataset:
        if len(args.predictions) > 1 or not args.model_name:
            made.error("--dataset is for predictions made elsewhere: expected one file and --model-name NAME")
        path, split = args.predictions[0], open_split(args.dataset, args.config, args.split)
        _show(*_written(made_elsewhere(path, split, args.model_name), path, args.out))
        return
    for path in args.predictions:
        if path.suffix in (".csv", ".npz"):
            made.error(f"{path} was made elsewhere: pass --dataset and --model-name")
    read = {path: predictions_.read(path, ordered=True) for path in args.predictions}
    if not any(each.provenance for each in read.values()):
        made.refuse_typed("takes results, and these predictions do not state their model and data set", "--out")
    steps = _chain_of(read) if len(args.predictions) > 1 else None
    for path in args.predictions:
        _score_one(path, read, args.out)
    if steps:
        path = args.out / f"{_chain_stem(steps)}.json"
        results.write(path, steps)
        say(chain_table(steps.steps))
        say(f"drop step by step {path}")
        record(chain=steps, path=path)


def _score_one(path: Path, read: dict[Path, Predictions], out: Path) -> None:
    if not read[path].provenance:
        say(f"{path} does not say which model and data set it is of, or whether its images are D3S: no result written,")
        say("backgrounds by number")
        metrics = score(read[path], _numbered(read[path]))
        say(table(metrics))
        record(metrics=metrics)
        say("pass --dataset and --model-name for a result")
        return
    result = result_of(read.pop(path), str(path))  # nothing holds on to what it is done with
    path = out / f"{stem(result.model, result.dataset)}.json"
    results.make_folder(out)
    results.write(path, result)
    _show(result, path)


def _written(predictions: Predictions, path: Path, out: Path) -> tuple[results.Result, Path]:
    result = result_of(predictions, str(path))
    return result, write_files(out, result, predictions)


def _show(result: results.Result, path: Path) -> None:
    say(f"{labels([result.model])[0]} on {describe(result.dataset)}")
    say(table(result.metrics))
    say(f"result {path}")
    record(result=result, path=path)


def _numbered(predictions: Predictions) -> list[str]:
    """Return neutral names of the backgrounds: labels alone do not identify the release whose names they have."""
    return [f"background {label}" for label in range(int(predictions.background.max(initial=-1)) + 1)]


def _chain_of(read: dict[Path, Predictions]) -> results.Chain:
    """Return the chain of several files.

    Raises:
        ResultError: not one model, precision, split and release, a config twice, or no step between the configs.
    """
    facts = {path: results.provenance(each.provenance, str(path)) for path, each in read.items()}
    check_chain([(str(path), each.model, each.dataset) for path, each in facts.items()])
    tables = {facts[path].dataset.config: each for path, each in read.items()}
    first, *_ = facts.values()
    steps = chain(tables, first.dataset.backgrounds, first.dataset.kind)
    return results.Chain(model=first.model, datasets=[each.dataset for each in facts.values()], steps=steps)


def _chain_stem(steps: results.Chain) -> str:
    facts = steps.datasets[0]
    return stem(steps.model, facts.model_copy(update={"config": "chain", "digest": release_of(facts)}))


def chain_table(steps: dict[str, dict[str, Change]]) -> str:
    """Return the drop step by step as text: the change of top-1 at each step, in points, with 95 % intervals."""
    names = list(next(iter(steps.values())))
    rows = [
        (name, str(next(iter(steps.values()))[name].n), *(_change(step[name]) for step in steps.values()))
        for name in names
    ]
    flagged = any(each.doubts for step in steps.values() for each in step.values() if each.change is not None)
    note = ["* the interval may not cover 95 %: too few images or photos"] if flagged else []
    heading = "change of top-1 at each step in points, negative: lower accuracy; with 95 % intervals"
    return "\n".join([heading, grid(("background", "n", *steps), rows[:-1], rows[-1]), *note])


def _change(change: Change) -> str:
    ends, text = between(change.ci95, points), points(change.change)
    return text if ends == "-" else f"{text} ({ends}){'*' * bool(change.doubts)}"


if __name__ == "__main__":
    run_command(main)
