"""Do results on D3S agree with real images? `python -m benchmark.realism RESULT [RESULT ...] [--out FILE]`.

Results of several timm models on one release are compared with timm's published accuracies on real images, before and
after plain ImageNet accuracy is taken out. `--measure SET --folder DIR --model NAME` measures models on a set of real
images instead; the files it writes can be given next to the results.
"""

from argparse import ArgumentTypeError
from collections.abc import Sequence
from pathlib import Path

from benchmark.cache.cache import PRECISIONS, Cache, Options
from benchmark.inference.subjects import add_model_flags, check_installed, subjects
from benchmark.models.specs import Entry
from benchmark.schemas.result import make_folder
from benchmark.schemas.validity import Realism
from benchmark.validity.inputs import read_inputs, tabulate
from benchmark.validity.measure import measure_real, open_set, write_real
from benchmark.validity.published import read_folder, shipped
from benchmark.validity.real_sets import REAL_SETS
from benchmark.validity.text import real_table, realism_table
from benchmark.validity.verdict import compare_with_real
from d3s_dataset.errors import ModelError
from d3s_dataset.manifest import to_json
from d3s_dataset.utils.atomic import write_atomic
from d3s_dataset.utils.cli import Parser, record, run_command, say, warn
from d3s_dataset.utils.extras import require


def realism(
    paths: Sequence[Path], published: Path | None = None, alias: Sequence[tuple[str, str]] = (), seed: int = 0
) -> Realism:
    """Compare results on D3S with published accuracies on real images.

    Args:
        paths: results of benchmark.run on one release and its controls, and results of `--measure`.
        published: a copy of timm's folder `results/`; None for the shipped selection.
        alias: pairs of a result's model name and its name in timm's tables.
        seed: of the bootstrap over families.

    Raises:
        ResultError: files that cannot be compared, or too few models or families.
    """
    tables = read_folder(published) if published else shipped()
    measured, real = read_inputs(paths)
    return compare_with_real(tabulate(measured, real, tables, dict(alias)), tables, seed)


def _pair(text: str) -> tuple[str, str]:
    name, equals, other = text.rpartition("=")
    if not (name and equals and other):
        raise ArgumentTypeError(f"expected NAME=TIMM_NAME, got {text!r}")
    return name, other


def parser() -> Parser:
    """Return the command's parser."""
    examples = (
        "results/*--d3s-default-validation--*.json --out realism.json",
        "results/*.json --alias packaged:tf_efficientnet_lite0=tf_efficientnet_lite0.in1k",
        "--measure imagenet-9 --folder bg_challenge --model resnet50.a1_in1k --out results",
    )
    about = "Compare results of several models with their accuracies on real images, ImageNet accuracy taken out."
    made = Parser("python -m benchmark.realism", description=about, examples=examples, tables=True)
    add = made.add_argument
    add("results", nargs="*", type=Path, metavar="RESULT", help="JSON files that benchmark.run or --measure wrote")
    add("--published", type=Path, metavar="DIR", help="a copy of timm's results/; default: the shipped selection")
    add("--alias", type=_pair, nargs="+", default=[], metavar="NAME=TIMM_NAME",
        help="a model's name in timm's tables, where its result holds no tag of timm")  # fmt: skip
    add("--measure", choices=list(REAL_SETS), metavar="SET", help=f"measure models on one of {', '.join(REAL_SETS)}")
    add("--folder", type=Path, metavar="DIR", help="where that set lies, in its published layout")
    add("--model", nargs="+", metavar="NAME", help="as in benchmark.run")
    add_model_flags(made)
    add("--precision", choices=PRECISIONS, default="auto", help="auto: bf16, or tf32 on a GPU, where it changes little")
    add("--no-compile", action="store_true", help="never torch.compile, which long work on a machine tries")
    add("--out", type=Path, help="JSON file for the comparison; with --measure, folder for results (default: results)")
    made.only_with("--measure", "--folder", "--model", "--checkpoint", "--model-kwargs", "--devices", "--precision",
                   "--no-compile")  # fmt: skip
    made.never_with("--measure", "--published", "--alias")
    made.only_where(lambda args: not args.results, "measures models and takes no RESULT", "--measure")
    return made


def main(argv: Sequence[str] | None = None) -> None:
    """Compare results with real images, or measure models on a set of them; print tables and write files."""
    made = parser()
    args = made.parse_args(argv)
    if args.measure:
        if not args.folder or not args.model:
            made.error("--measure SET takes --folder DIR and --model NAME")
        _measure(args.measure, args.folder, [Entry(name, dict(args.model_kwargs)) for name in args.model],
                 args.checkpoint, Options(args.precision, not args.no_compile, args.devices),
                 args.out or Path("results"))  # fmt: skip
        return
    if not args.results:
        made.error("expected RESULT files, or --measure SET --folder DIR --model NAME")
    require("score", "scipy", "rich")
    found = realism(args.results, args.published, args.alias)
    say(realism_table(found))
    record(realism=found)
    if args.out:
        make_folder(args.out.parent)
        write_atomic(args.out, to_json(found))
        say(f"comparison {args.out}")


def _measure(
    name: str, folder: Path, models: Sequence[Entry], checkpoint: Path | None, options: Options, out: Path
) -> None:
    """Measure models on a real set, one after the other.

    Raises:
        ModelError: at the end, if one of several models could not be measured.
    """
    check_installed()
    opened, failed = open_set(name, folder), []
    for each in subjects(models, checkpoint, Cache(), options.devices):
        try:
            result = measure_real(each, opened, options)
        except ModelError as error:
            if len(models) == 1:
                raise
            failed.append(each.label)
            warn(str(error))
            continue
        path = write_real(out, result)
        say(real_table(result))
        say(f"result {path}")
        record(result=result, path=path)
    if failed:
        raise ModelError(f"{len(failed)} of {len(models)} models could not be measured: {', '.join(failed)}")


if __name__ == "__main__":
    run_command(main)
