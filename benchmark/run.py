"""Measure models on a release: `python -m benchmark.run --model NAME [NAME ...]`.

Writes one predictions Parquet and one result JSON a model, and prints its table. What the cache holds is answered
without torch. Errors that cost nothing come first: arguments, then the data set, then (with torch loaded) the models'
names, then weights.
"""

import ast
import time
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmark import results
from benchmark.again import run_again
from benchmark.cache import Cache, Options
from benchmark.data import Split, open_split
from benchmark.imagenet import Folder
from benchmark.job import Subject, measure_one, process_start
from benchmark.score import table
from d3s_dataset.command import Parser, natural, run_command, say
from d3s_dataset.errors import MissingExtra, ModelError

_NEEDED = ("rich", "timm", "torchvision")


def measure(
    split: Split,
    models: Sequence[str],
    *,
    checkpoint: Path | None = None,
    kwargs: dict[str, Any] | None = None,
    options: Options | None = None,
    imagenet: Folder | None = None,
    cache: Cache | None = None,
    out: Path = Path("results"),
    started: float | None = None,
) -> Iterator[tuple[results.Result, Path]]:
    """Run models over a split, one after the other, writing predictions and result of each.

    Args:
        split: the images.
        models: timm names, `hf-hub:ORG/NAME` or `local-dir:PATH`.
        checkpoint: a file of weights, for a single model.
        kwargs: arguments of the models.
        options: precision, compilation, devices.
        imagenet: photos to measure the same models on.
        cache: answers are taken from it and kept in it; None for neither.
        out: folder for the files.
        started: `time.monotonic()` of the process' start, from which the first model's seconds count.

    Yields:
        The result and its path; the predictions lie beside it.

    Raises:
        ModelError: before any work, for a name that cannot be a model; else when its turn comes.
    """
    if checkpoint and len(models) > 1:
        raise ModelError(f"--checkpoint holds the weights of one model, got {len(models)} models")
    started = time.monotonic() if started is None else started
    results.make_folder(out)
    subjects = [Subject(name, checkpoint, kwargs or {}, cache) for name in models]
    for each in subjects:
        if each.recalled is None:
            from benchmark.models import check

            check(each.name, pretrained=checkpoint is None)
    for each in subjects:
        yield measure_one(each, split, options or Options(), out, started, imagenet)
        started = time.monotonic()


def describe(facts: results.Dataset) -> str:
    """Return the line that says what is measured on, and how far it can be trusted."""
    parts = [f"{facts.name} ({facts.kind}), config {facts.config}, split {facts.split}: {facts.n} images"]
    if facts.kind == "sample":
        parts.append("drawn sample, not D3S")
    share = facts.verified_fraction
    parts.append("nobody has verified them" if share is None else f"{100 * share:.1f} % verified by people")
    return "; ".join(parts)


def describe_run(run: results.Run) -> str:
    """Return how a model was run, and why in that precision, on one line."""
    parts = [f"precision {run.precision}"]
    if run.agreement is not None:
        why = "too few" if run.precision == "fp32" else "enough"
        share = f"{100 * run.agreement:.1f} % of the first images"
        parts = [f"precision {run.precision}: bf16 and fp32 give the same top-1 on {share}, {why} for bf16"]
    parts.append(f"batch {run.batch_size} on {', '.join(run.devices)}")
    return "; ".join([*parts, *(["compiled"] if run.compiled else [])])


def _argument(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not key.isidentifier() or not equals:
        raise ArgumentTypeError(f"expected KEY=VALUE, got {text!r}")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value


def parser() -> Parser:
    """Return the command's parser."""
    answer = Parser(prog="python -m benchmark.run", description="Measure models on a release of D3S.")
    add = answer.add_argument
    names = "timm names, hf-hub:ORG/NAME or local-dir:PATH"
    add("--model", nargs="+", metavar="NAME", help=names, default=None)
    add("--dataset", default="d3s", metavar="DIR_OR_REPO", help="folder or Hub repo of a release")
    add("--config", default="default", metavar="NAME", help="which images of the release")
    add("--split", default="validation", metavar="NAME", help="train, validation, ...")
    add("--checkpoint", type=Path, metavar="FILE", help="weights in place of the pretrained ones")
    add("--model-kwargs", type=_argument, nargs="+", default=[], metavar="K=V", help="arguments of the model")
    add("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="auto: bf16 where it changes little")
    add("--no-compile", action="store_true", help="never torch.compile, which long work on a machine tries")
    add("--devices", metavar="D,...", help="such as cuda:0,cuda:1; default: all GPUs, else the CPU")
    add("--imagenet", type=Path, metavar="DIR", help="ImageNet validation folder: measure on it too, and the drop")
    add("--from", type=Path, metavar="RESULT", dest="from_", help="run a result's model again; does it say the same?")
    add("--limit", type=natural, metavar="N", help="measure the first N images only")
    add("--out", type=Path, default=Path("results"), metavar="DIR", help="folder for predictions and results")
    return answer


def main(argv: Sequence[str] | None = None) -> None:
    """Measure models and print a table of each."""
    started = process_start()
    made = parser()
    args = made.parse_args(argv)
    if bool(args.model) == bool(args.from_):
        made.error("the following arguments are required: --model, or --from alone")
    options = Options(args.precision, not args.no_compile, args.devices)
    if args.from_:
        say(run_again(args.from_, args.dataset, args.checkpoint, options))
        return
    split = open_split(args.dataset, args.config, args.split, args.limit)
    say(describe(split.facts()))
    imagenet = Folder(args.imagenet) if args.imagenet else None
    _check_installed()
    sources = {"checkpoint": args.checkpoint, "kwargs": dict(args.model_kwargs), "imagenet": imagenet}
    for result, path in measure(
        split, args.model, **sources, options=options, cache=Cache(), out=args.out, started=started
    ):
        _show(result, path)


def _check_installed() -> None:
    for each in _NEEDED:
        if find_spec(each) is None:
            raise MissingExtra(each, "benchmark")


def _show(result: results.Result, path: Path) -> None:
    used = f"; {describe_run(result.run)}" if result.run else ""
    say(f"\n{result.model.tag or result.model.name}{used}; {result.seconds:.1f} s")
    say(table(result.metrics))
    if result.imagenet and result.imagenet.top1 is not None and result.drop is not None:
        n, top1 = result.imagenet.n, result.imagenet.top1
        say(f"ImageNet ({n} photos): top-1 {100 * top1:.1f} %; drop {100 * result.drop:.1f} points")
    say(f"predictions {path.with_suffix('.parquet')}\nresult {path}")


if __name__ == "__main__":
    run_command(main)
