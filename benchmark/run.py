"""Measure models on a release: `python -m benchmark.run --model NAME [NAME ...]`.

Writes one predictions Parquet and one result JSON a model, and prints its table. Errors that cost nothing come
first: arguments, then the data set, then (with torch loaded) the models' names, then weights.
"""

import os
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark import predictions as predictions_
from benchmark import results
from benchmark.data import Split, open_split
from benchmark.entries import Entry, argument, read_list
from benchmark.score import result_of, table
from d3s_dataset.command import Parser, cores, natural, run_command, say, warn
from d3s_dataset.errors import MissingExtra, ModelError

if TYPE_CHECKING:
    from benchmark.models import Classifier
    from benchmark.predict import Precision

_PACKAGES = ("torch", "torchvision", "timm", "transformers", "numpy", "pillow", "pyarrow")


def measure(
    split: Split,
    models: Sequence[Entry],
    *,
    checkpoint: Path | None = None,
    precision: str = "auto",
    out: Path = Path("results"),
    started: float | None = None,
) -> Iterator[tuple[results.Result, "Precision", Path]]:
    """Run models over a split, one after the other, writing predictions and result of each.

    Args:
        split: the images.
        models: names and arguments.
        checkpoint: a file of weights, for a single model.
        precision: `auto`, `fp32` or `bf16`.
        out: folder for the files.
        started: `time.monotonic()` of the process' start, from which the first model's seconds count.

    Yields:
        The result, the precision as chosen, and the path of the result; the predictions lie beside it.

    Raises:
        ModelError: before any work, for a name that cannot be a model. A model that fails when its turn comes is
            told at once, the others go on, and the error at the end counts such models.
    """
    if checkpoint and len(models) > 1:
        raise ModelError(f"--checkpoint holds the weights of one model, got {len(models)} models")
    from benchmark.models import check, load

    started = time.monotonic() if started is None else started
    results.make_folder(out)
    for each in models:
        check(each.name, pretrained=checkpoint is None)
    failed = []
    for each in models:
        try:
            answer = _measure_one(split, load(each.name, checkpoint, each.kwargs), precision, out, started)
        except ModelError as error:
            if len(models) == 1:
                raise
            failed.append(each.name)
            warn(str(error))
        else:
            yield answer
        started = time.monotonic()
    if failed:
        raise ModelError(f"{len(failed)} of {len(models)} models could not be measured: {', '.join(failed)}")


def _measure_one(
    split: Split, classifier: "Classifier", precision: str, out: Path, started: float
) -> tuple[results.Result, "Precision", Path]:
    from benchmark.predict import predict

    answers, used = predict(classifier, split, precision)
    facts = results.Provenance(
        model=_model_facts(classifier, used.name),
        dataset=split.facts(),
        environment=_environment(),
        seconds=time.monotonic() - started,
    )
    path = out / results.stem(facts.model, facts.dataset)
    answers = replace(answers, provenance=facts.model_dump(mode="json"))
    result = result_of(answers, str(path))
    predictions_.write(path.with_name(path.name + ".parquet"), answers)
    results.write(path.with_name(path.name + ".json"), result)
    return result, used, path.with_name(path.name + ".json")


def _model_facts(classifier: "Classifier", precision: str) -> results.Model:
    return results.Model(
        name=classifier.name,
        architecture=classifier.architecture,
        tag=classifier.tag,
        kwargs=classifier.kwargs,
        digest=classifier.digest,
        precision=precision,
        transform=classifier.preprocessing,
    )


def _environment() -> dict[str, str]:
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    facts = {"python": platform.python_version(), "platform": platform.platform(), "device": device}
    return facts | {"cores": str(cores())} | {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


def describe(facts: results.Dataset) -> str:
    """Return the line that says what is measured on, and how far it can be trusted."""
    parts = [f"{facts.name} ({facts.kind}), config {facts.config}, split {facts.split}: {facts.n} images"]
    if facts.kind == "sample":
        parts.append("drawn sample, not D3S")
    share = facts.verified_fraction
    parts.append("nobody has verified them" if share is None else f"{100 * share:.1f} % verified by people")
    return "; ".join(parts)


def _describe_precision(used: "Precision") -> str:
    if used.agreement is None:
        return f"precision {used.name}"
    return (
        f"precision {used.name}: bf16 and fp32 give the same top-1 on {100 * used.agreement:.1f} % of the first images"
    )


def _process_start() -> float:
    """Return `time.monotonic()` at the start of this process (Linux), or now where the system does not say."""
    now = time.monotonic()
    try:
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        return now - (time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))
    except (OSError, AttributeError):
        return now


def parser() -> Parser:
    """Return the command's parser."""
    answer = Parser(prog="python -m benchmark.run", description="Measure models on a release of D3S.")
    add = answer.add_argument
    names = "timm names, or hf-hub:, local-dir:, zero-shot:, transformers: and a place, or MODULE:FUNCTION"
    which = answer.add_mutually_exclusive_group(required=True)
    which.add_argument("--model", nargs="+", metavar="NAME", help=names, default=None)
    which.add_argument("--models-file", metavar="FILE", help="paper, or a file with a model a line", default=None)
    add("--dataset", default="d3s", metavar="DIR_OR_REPO", help="folder or Hub repo of a release")
    add("--config", default="default", metavar="NAME", help="which images of the release")
    add("--split", default="validation", metavar="NAME", help="train, validation, ...")
    add("--checkpoint", type=Path, metavar="FILE", help="weights in place of the pretrained ones")
    add("--model-kwargs", type=argument, nargs="+", default=[], metavar="K=V", help="arguments of the model")
    add("--precision", choices=("auto", "fp32", "bf16"), default="auto", help="auto: bf16 where it changes little")
    add("--limit", type=natural, metavar="N", help="measure the first N images only")
    add("--out", type=Path, default=Path("results"), metavar="DIR", help="folder for predictions and results")
    return answer


def main(argv: Sequence[str] | None = None) -> None:
    """Measure models and print a table of each."""
    started = _process_start()
    args = parser().parse_args(argv)
    names = [Entry(name) for name in args.model or ()] or read_list(args.models_file)
    split = open_split(args.dataset, args.config, args.split, args.limit)
    say(describe(split.facts()))
    models = [Entry(each.name, dict(args.model_kwargs) | each.kwargs) for each in names]
    options = {"checkpoint": args.checkpoint, "precision": args.precision}
    try:
        import rich  # noqa: F401
        import timm  # noqa: F401
        import torchvision  # noqa: F401
    except ImportError as error:
        raise MissingExtra(error.name or "timm", "benchmark") from None
    for result, used, path in measure(split, models, **options, out=args.out, started=started):
        say(f"\n{result.model.tag or result.model.name}; {_describe_precision(used)}; {result.seconds:.1f} s")
        say(table(result.metrics))
        say(f"predictions {path.with_suffix('.parquet')}\nresult {path}")


if __name__ == "__main__":
    run_command(main)
