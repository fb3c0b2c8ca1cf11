"""Leakage against accuracy over lambda: `python -m benchmark.sweep --model NAME --objective hsic --lambdas 0,1,10`.

A neck (a linear map cut in two parts) is trained on a model's frozen features for every lambda and seed. A fresh,
converged probe then reads the background from the foreground part, on background photos it has not seen, against its
permutation null; the neck's own head predicts the foreground. A CSV, a JSON and a plot.
"""

from collections.abc import Sequence
from pathlib import Path

from benchmark.cache.cache import Cache, Options
from benchmark.data.split import add_dataset_flags, open_split
from benchmark.inference.features import features_of
from benchmark.inference.subjects import add_model_flags, check_installed, subjects
from benchmark.models.specs import Entry
from benchmark.probing.registry import PROBES
from benchmark.probing.tradeoff import as_csv, sweep
from benchmark.reports import figures
from benchmark.reports.probe_text import NULL, null_cells
from benchmark.reports.text import describe, grid, over_seeds
from benchmark.schemas import result
from benchmark.schemas.experiments import Sweep
from benchmark.training.config import NECK
from benchmark.training.objectives.registry import OBJECTIVES
from d3s_dataset.manifest import to_json
from d3s_dataset.utils.atomic import write_atomic
from d3s_dataset.utils.cli import Parser, natural, permutations, record, run_command, say, weight


def table(found: Sweep) -> str:
    """Return one row per lambda, in percent with 95 % intervals over seeds."""
    rows = [
        (
            f"{each.weight:g}",
            *(over_seeds(part) for part in (each.accuracy, each.leakage)),
            *null_cells(each.null),
            "yes" if each.pareto else "",
        )
        for each in found.points
    ]
    return grid(("lambda", "foreground accuracy", "background read", *NULL, "none better in both"), rows)


def parser() -> Parser:
    """Return the command's parser."""
    examples = (
        "--model local-dir:demo/parts --dataset demo/d3s",
        "--model convnext_base --objective wasserstein --lambdas 0 0.1 1 10 --repeats 5",
    )
    about = "Leakage against accuracy over lambda."
    answer = Parser("python -m benchmark.sweep", description=about, examples=examples, tables=True)
    add = answer.add_argument
    add("--model", required=True, metavar="NAME", help="as in benchmark.probe", default=None)
    add_dataset_flags(answer, split=False)
    add_model_flags(answer)
    penalised = [name for name, each in OBJECTIVES.items() if each.make]
    add("--objective", choices=penalised, default="hsic", help="whose penalty")
    add("--lambdas", type=weight, nargs="+", default=[0.0, 10.0, 100.0], metavar="X", help="penalty weights, 2 or more")
    add("--width", type=natural, default=NECK, metavar="N", help="features of the neck, both parts together")
    add("--probe", choices=tuple(PROBES), default="linear", help="what reads the background")
    add("--null", type=permutations, default=20, metavar="N", help="permutations of the probe's null; 0 for no null")
    add("--repeats", type=natural, default=3, metavar="N", help="adapters trained per lambda, with seeds 0 to N - 1")
    add("--out", type=Path, default=Path("sweep"), metavar="DIR", help="folder for sweep.csv, sweep.json, sweep.png")
    return answer


def main(argv: Sequence[str] | None = None) -> None:
    """Sweep, print the table, write the files."""
    made = parser()
    args = made.parse_args(argv)
    lambdas = sorted(set(args.lambdas))
    if len(lambdas) < 2:
        made.error("--lambdas: expected two or more different values such as 0 0.1 1")
    check_installed("matplotlib")
    train, test = (open_split(args.dataset, args.config, split) for split in ("train", "validation"))
    say(describe(test.facts()))
    result.make_folder(args.out)
    (subject,) = subjects([Entry(args.model, dict(args.model_kwargs))], args.checkpoint, Cache(), args.devices)
    features = [features_of(subject, split, Options(devices=args.devices)) for split in (train, test)]
    found = sweep(
        features[0], features[1], args.objective, lambdas, range(args.repeats), args.probe, args.null, args.width
    )
    say(table(found))
    write_atomic(args.out / "sweep.csv", as_csv(found))
    write_atomic(args.out / "sweep.json", to_json(found))
    figures.save(figures.tradeoff(found), args.out / "sweep.png")
    record(sweep=found, path=args.out / "sweep.json")
    say(f"sweep {args.out / 'sweep.csv'}, {args.out / 'sweep.json'}, {args.out / 'sweep.png'}")


if __name__ == "__main__":
    run_command(main)
