"""The spurious-correlation task: `python -m benchmark.correlate --model NAME [NAME ...]`.

Groups of classes are each paired with one background in training; linear heads learn the groups from a model's frozen
features and are tested on aligned images (D3S_cor) and conflicting ones (D3S_anticorr) of the validation split. One
table compares several methods against the shortcut, with intervals over photos and seeds. Unlike in the paper, a model
that was trained on a release must not have seen conflicting images of these groups, unless `--as-paper` is given.
"""

from collections.abc import Sequence
from pathlib import Path

from benchmark.cache.cache import Cache, Options
from benchmark.data.pairing import read
from benchmark.data.split import add_dataset_flags, open_split
from benchmark.erasers import ERASERS
from benchmark.inference.subjects import add_model_flags, check_installed, subjects
from benchmark.models.specs import Entry
from benchmark.reports.text import describe, grid, over_seeds, points, worst_cells
from benchmark.schemas import result
from benchmark.schemas.experiments import Correlation
from benchmark.schemas.identity import stem
from benchmark.spurious.task import Task, correlate
from d3s_dataset.manifest import to_json
from d3s_dataset.utils.atomic import write_atomic
from d3s_dataset.utils.cli import Parser, natural, record, run_command, say, share, warn

_REPEATS = 5
_WORST = (
    "intervals over photos and seeds; worst group: of those with 30 images or more, 95 % interval of the lowest "
    "whichever it is; split-sample: chosen and scored on different photos"
)


def table(correlation: Correlation) -> str:
    """Return the rows as a table, in percent with 95 % intervals over photos and seeds."""
    headings = (
        "model, method",
        "aligned",
        "conflicting",
        "aligned - conflicting",
        "conflicting - plain",
        "worst group",
        "split-sample",
        "which",
    )
    rows = [
        (
            f"{each.model}, {each.method}",
            *(over_seeds(part) for part in (each.scores.aligned, each.scores.conflicting)),
            over_seeds(each.scores.drop, points),
            "-" if each is correlation.rows[0] else over_seeds(each.scores.gain, points),
            *worst_cells(each.scores.worst_group),
        )
        for each in correlation.rows
    ]
    doubts = dict.fromkeys(text for each in correlation.rows for text in each.scores.doubts())
    note = [f"* the interval may not cover 95 %: {'; '.join(doubts)}"] if doubts else []
    return "\n".join([grid(headings, rows), _WORST, *note])


def groups_table(correlation: Correlation) -> str:
    """Return the accuracy of each group, aligned and conflicting: one table per model, one column per method."""
    tables = []
    for model in dict.fromkeys(each.model for each in correlation.rows):
        methods = {each.method: each.scores.groups for each in correlation.rows if each.model == model}
        rows = [
            (name, *(over_seeds(groups[name]) for groups in methods.values()))
            for name in correlation.rows[0].scores.groups
        ]
        tables.append(f"{model}\n{grid(('group', *methods), rows)}")
    return "\n".join(tables)


def parser() -> Parser:
    """Return the command's parser."""
    about = "Spurious-correlation benchmark: accuracy on aligned and conflicting images, by method."
    examples = (
        "--model local-dir:demo/parts --dataset demo/d3s",
        "--model convnext_base resnet50.a1_in1k --erase leace inlp --rho 0.95",
    )
    answer = Parser("python -m benchmark.correlate", description=about, examples=examples, tables=True)
    add = answer.add_argument
    add("--model", required=True, nargs="+", metavar="NAME", help="as in benchmark.run", default=None)
    add_dataset_flags(answer, split=False)
    add_model_flags(answer)
    add("--pairing", metavar="PAIRING", help="paper, sample, a seed or a JSON file; without, the release's own kind")
    add("--rho", type=share, default=1.0, metavar="X", help="correlation in training: 1 as in the paper, 0 none")
    add(
        "--erase",
        nargs="*",
        choices=ERASERS,
        default=["leace", "splince"],
        metavar="NAME",
        help=f"of {', '.join(ERASERS)}",
    )
    add("--as-paper", action="store_true", help="also a model whose own training saw conflicting images")
    add("--repeats", type=natural, default=_REPEATS, metavar="N", help="draws of training images, seeds 0 to N - 1")
    add("--out", type=Path, default=Path("results"), metavar="DIR", help="folder for the result")
    return answer


def main(argv: Sequence[str] | None = None) -> None:
    """Run the task, print its table, write its result."""
    args = parser().parse_args(argv)
    check_installed(*(["concept_erasure"] if args.erase else []))
    train, test = (open_split(args.dataset, args.config, split) for split in ("train", "validation"))
    say(describe(test.facts()))
    pairing = read(args.pairing or ("sample" if test.manifest.kind == "sample" else "paper"))
    entries = [Entry(name, dict(args.model_kwargs)) for name in args.model]
    models = subjects(entries, args.checkpoint, Cache(), args.devices)
    task = Task(pairing, args.rho, range(args.repeats), args.erase, args.as_paper, Options(devices=args.devices))
    result.make_folder(args.out)
    correlation = correlate(models, (train, test), task)
    sizes = " and ".join(f"{correlation.n[kind]} {kind}" for kind in ("aligned", "conflicting"))
    say(f"rho {correlation.rho:g}; {sizes} test images; {args.repeats} seeds")
    say(table(correlation))
    say(groups_table(correlation))
    for kind in (kind for kind, disjoint in correlation.disjoint.items() if not disjoint):
        warn(f"test images share {kind} photos with the train split")
    settings = correlation.model_dump(mode="json", include={"models", "datasets", "pairing", "as_paper", "seeds"})
    first = stem(correlation.models[0], correlation.datasets[1], settings, args.erase)
    path = args.out / f"{first}--rho{correlation.rho:g}.correlation.json"
    write_atomic(path, to_json(correlation))
    say(f"result {path}")
    record(correlation=correlation, path=path)


if __name__ == "__main__":
    run_command(main)
