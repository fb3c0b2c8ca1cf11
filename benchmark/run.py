"""Measure models on a release: `python -m benchmark.run --model NAME [NAME ...]`.

Writes one predictions Parquet and one result JSON per model and config, and prints its table. Cached predictions are
used without torch. Errors that cost nothing come first: arguments, then the data set, then (with torch loaded) the
models' names, then weights.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

from benchmark.cache.cache import PRECISIONS, Cache, Options
from benchmark.cache.decoded import Decoded
from benchmark.data.imagenet import Folder
from benchmark.data.split import Split, add_dataset_flags, open_split
from benchmark.distribute.flags import add_flags, check_engine, distribute
from benchmark.distribute.slurm import script
from benchmark.distribute.task import tasks_of
from benchmark.inference.ahead import in_turn, loads_ahead
from benchmark.inference.evaluate import Subject, measure_one, process_start
from benchmark.inference.features import features_of
from benchmark.inference.occlusion import attribute
from benchmark.inference.rerun import run_again
from benchmark.inference.subjects import add_model_flags, check_installed, subjects
from benchmark.models.registry import forms
from benchmark.models.specs import Entry, read_list
from benchmark.reports.attribution import show as show_attribution
from benchmark.reports.text import describe, percent, points, table
from benchmark.schemas import result as results
from benchmark.schemas.experiments import Attributed
from benchmark.schemas.identity import labels, write_files
from d3s_dataset.errors import ModelError
from d3s_dataset.manifest import to_json
from d3s_dataset.utils.atomic import write_atomic
from d3s_dataset.utils.cli import Parser, natural, record, run_command, say, warn


def measure(
    splits: Sequence[Split],
    models: Sequence[Entry],
    *,
    checkpoint: Path | None = None,
    options: Options | None = None,
    imagenet: Folder | None = None,
    attribution: int | None = None,
    cache: Cache | None = None,
    out: Path = Path("results"),
    started: float | None = None,
) -> Iterator[tuple[results.Result, Path]]:
    """Run models over splits, one model after the other, writing predictions and result of each on each.

    Args:
        splits: the images: of a config each.
        models: names, arguments and files of weights.
        checkpoint: a file of weights, for a single model without one of its own.
        options: precision, compilation, devices.
        imagenet: photos to measure the same models on.
        attribution: on how many images of each background to measure where a model looks (`inference.occlusion`).
        cache: predictions are read from it and stored in it; None for neither. Those of `MODULE:FUNCTION` never are.
        out: folder for the files.
        started: `time.monotonic()` of the process' start, from which the first model's seconds count.

    Yields:
        The result and its path; the predictions are next to it.

    Raises:
        ModelError: before any work, for a name that cannot be a model. A model that fails when its turn comes is
            told at once and not run on the splits left, the others go on, and the error at the end counts such models.
    """
    started = time.monotonic() if started is None else started
    results.make_folder(out)
    failed, options = [], options or Options()
    if len(models) > 1:
        options = replace(options, decoded=Decoded())
    found = subjects(models, checkpoint, cache, options.devices)
    for each in in_turn(found, lambda model: loads_ahead(model, splits, options)):
        try:
            for split in splits:
                result, predictions = measure_one(each, split, options, started, imagenet)
                path = write_files(out, result, predictions)
                if attribution:
                    looked = attribute(each, split, predictions, attribution, options)
                    write_atomic(attribution_path(path), to_json(looked))
                yield result, path
                started = time.monotonic()
        except ModelError as error:
            if len(models) == 1:
                raise
            failed.append(each.label)
            warn(str(error))
            started = time.monotonic()
    if failed:
        raise ModelError(f"{len(failed)} of {len(models)} models could not be measured: {', '.join(failed)}")


def attribution_path(result: Path) -> Path:
    """Return where it is written where a model looks, next to its result."""
    return result.with_name(f"{result.stem}-attribution.json")


def describe_run(run: results.Run) -> str:
    """Return how a model was run, and why in that precision, on one line."""
    parts = [f"precision {run.precision}"]
    if run.agreement is not None:
        tried, why = ("bf16", "too few") if run.precision == "fp32" else (run.precision, "enough")
        share = f"{percent(run.agreement)} % of the first images"
        parts = [f"precision {run.precision}: {tried} and fp32 give the same top-1 on {share}, {why} for {tried}"]
    parts.append(f"batch {run.batch_size} on {', '.join(run.devices)}")
    return "; ".join([*parts, *(["compiled"] if run.compiled else [])])


def parser() -> Parser:
    """Return the command's parser."""
    examples = (
        "--model convnext_base",
        "--model convnext_base resnet50.a1_in1k --dataset org/d3s --out results",
        "--model packaged:tf_efficientnet_lite0 --dataset demo/d3s",
        "--model local-dir:demo/model --dataset demo/d3s --config guides",
        "--model resnet50.a1_in1k --config default control_scale guides",
        "--from results/RESULT.json",
    )
    about = "Measure models on a release of D3S."
    answer = Parser("python -m benchmark.run", description=about, examples=examples, tables=True)
    add = answer.add_argument
    add("--model", nargs="+", metavar="NAME", help=forms(), default=None)
    lines = "paper, realism, or a file with one NAME [checkpoint=FILE] [K=V ...] per line"
    add("--models-file", metavar="FILE", help=lines, default=None)
    add_dataset_flags(answer, configs=True)
    add_model_flags(answer)
    add("--precision", choices=PRECISIONS, default="auto", help="auto: bf16, or tf32 on a GPU, where it changes little")
    add("--no-compile", action="store_true", help="never torch.compile, which long work on a machine tries")
    add("--imagenet", type=Path, metavar="DIR", help="ImageNet validation folder: measure on it too, and the drop")
    add("--attribution", type=natural, metavar="N",
        help="with N images of each background: which share of the answer's drop under occlusion lies on the object",
    )  # fmt: skip
    add("--from", type=Path, metavar="RESULT", dest="from_", help="run a result's model again; does it say the same?")
    add("--out", type=Path, default=Path("results"), metavar="DIR", help="folder for predictions and results")
    add_flags(answer)
    kept = ("--models-file", "--config", "--split", "--limit", "--model-kwargs", "--precision", "--imagenet", "--out",
            "--attribution", "--features", "--part", "--finish", "--engine", "--launch")  # fmt: skip
    answer.never_with("--from", *kept)  # the result says which images and how
    return answer


def main(argv: Sequence[str] | None = None) -> None:
    """Measure models and print a table of each."""
    started = process_start()
    made = parser()
    args = made.parse_args(argv)
    if args.launch:
        say(script(sys.argv[1:] if argv is None else argv, args.parts))
        return
    check_installed()
    check_engine(args.engine)
    options = Options(args.precision, not args.no_compile, args.devices)
    if args.from_:
        if len(args.model or ()) > 1:
            made.error("--from runs the model of one result: expected one name after --model, or no --model")
        said = run_again(args.from_, args.dataset, args.checkpoint, options, args.model and args.model[0])
        say(said)
        record(comparison=said)
        return
    if bool(args.model) == bool(args.models_file):
        made.error("expected one of the arguments --model, --models-file, --from")
    names = [Entry(name) for name in args.model or ()] or read_list(args.models_file)
    if again := sorted({name for name in args.config if args.config.count(name) > 1}):
        made.error(f"--config names {again[0]} twice: expected each once")
    splits = [open_split(args.dataset, config, args.split, args.limit) for config in args.config]
    for split in splits:
        say(describe(split.facts()))
    imagenet = Folder(args.imagenet) if args.imagenet else None
    models = [replace(each, kwargs=dict(args.model_kwargs) | each.kwargs) for each in names]
    cache = Cache()
    if args.features or args.part or args.finish is not None or args.engine == "ray":
        found = subjects(models, args.checkpoint, cache, args.devices)
        ready = distribute(tasks_of(found, splits, options, args.features), args)
        if ready and args.features:
            _compute_features(found, splits, options)
        if not ready or args.features:
            return
    sources = {"checkpoint": args.checkpoint, "imagenet": imagenet, "options": options, "cache": cache}
    for result, path in measure(splits, models, **sources, attribution=args.attribution, out=args.out, started=started):
        _show(result, path, result.dataset.config if len(splits) > 1 else None)
        if args.attribution:
            there = attribution_path(path)
            looked = results.parse(Attributed, results.content_of(there), str(there))
            say(show_attribution(looked))
            say(f"attribution {there}")
            record(attribution=looked, path=there)


def _compute_features(models: Sequence[Subject], splits: Sequence[Split], options: Options) -> None:
    for each, split in product(models, splits):
        found = features_of(replace(each), split, options)
        size = found.values.shape[1]
        say(f"{each.label}: {size} features of {split.n} images of {split.config}; {found.made.seconds:.1f} s")
        record(features=size, model=found.model, dataset=found.dataset, run=found.made.run)


def _show(result: results.Result, path: Path, config: str | None) -> None:
    used = f"; {describe_run(result.run)}" if result.run else ""
    file = f" with {result.model.checkpoint}" if result.model.checkpoint else ""
    where = f" on {config}" if config else ""
    say(f"\n{labels([result.model])[0]}{file}{where}{used}; {result.seconds:.1f} s")
    say(table(result.metrics))
    if result.imagenet and result.imagenet.top1 is not None and result.drop is not None:
        n, top1 = result.imagenet.n, result.imagenet.top1
        say(f"ImageNet ({n} photos): top-1 {percent(top1)} %; change here {points(-result.drop)} points")
    record(result=result, path=path)
    say(f"predictions {path.with_suffix('.parquet')}\nresult {path}")


if __name__ == "__main__":
    run_command(main)
