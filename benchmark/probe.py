"""Probes of a model's features: `python -m benchmark.probe --model NAME`.

The foreground and the background label from the foreground and the background features (from all, where nothing is
split), by probes of several kinds on cuts by photos, with chance, a control task and the retention of the object.
Parsing arguments loads no torch.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmark import erasers
from benchmark.cache.cache import Cache, Options
from benchmark.data.split import add_dataset_flags, open_split
from benchmark.inference.evaluate import process_start
from benchmark.inference.features import Features, features_of
from benchmark.inference.subjects import add_model_flags, check_installed, subjects
from benchmark.models.registry import forms
from benchmark.models.specs import Entry, argument
from benchmark.probing.folds import CUTS
from benchmark.probing.registry import PROBES
from benchmark.reports.probe_text import show
from benchmark.reports.text import describe
from benchmark.schemas import experiments, result
from benchmark.schemas.identity import stem
from d3s_dataset.errors import ResultError
from d3s_dataset.manifest import to_json
from d3s_dataset.utils.atomic import write_atomic
from d3s_dataset.utils.cli import Parser, permutations, progress, record, run_command, say, seed, warn

if TYPE_CHECKING:
    from benchmark.probing.erasure import Erasing
    from benchmark.probing.leakage import Asked

_LABELS = ("foreground", "background")
_DONE = "none"
_ERASED = ("background", "photo")
_CUTS = ("seen", "unseen")


def probe(features: Features, asked: "Asked", erasing: "Erasing | None", started: float) -> experiments.Probed:
    """Fit every probe on every cut of the features.

    Args:
        features: of one model on one split.
        asked: probes, seed, device.
        erasing: which eraser, and how; None measures no erasure.
        started: `time.monotonic()` from which the result's seconds count.

    Raises:
        ResultError: a split with one class or background, too few photos, or images without a background photo.
    """
    from benchmark.probing.erasure import erasures
    from benchmark.probing.readable import read_family
    from benchmark.probing.retention import columns, kept
    from benchmark.probing.targets import target, targets

    for label in _LABELS:
        target(label, features)  # reported before the work
    notes: list[str] = []
    parts = ("all",) if features.partition is None else _LABELS
    found, best = [], []
    cells = [(part, label, name) for part in parts for label in _LABELS for name in CUTS]
    for part, label, name in progress(cells, label="probes", unit="cell"):
        values = features.values[:, columns(features, part)]
        for wanted, rows in targets(features, label, name, notes):
            try:
                readings, most = read_family(features, part, values, wanted, rows, name, asked)
                found, best = [*found, *readings], [*best, most]
            except ResultError as error:
                if wanted.name in _LABELS:
                    raise
                notes.append(f"{name} of the {wanted.name} is not measured: {error}")
    notes += [
        f"{each.cut} of the {each.label} has no null: to permute labels there is to rename them"
        for each in best
        if asked.null and each.null is None
    ]
    every = np.arange(len(features.key))
    erased = [] if erasing is None else list(erasures(erasing, features, asked, notes))
    fits = [*found, *(each for one in erased for each in (*one.raw, *one.erased))]
    return experiments.Probed(
        model=features.model,
        dataset=features.dataset,
        features=features.values.shape[1],
        partition=features.partition and (features.partition.foreground, features.partition.background),
        seed=asked.seed,
        readings=found,
        readable=tuple(best),
        kept=[kept(features, part, features.values, every, asked.device) for part in parts],
        erasure=erased,
        notes=list(dict.fromkeys(notes)),
        converged=all(each.converged for each in fits),
        environment=features.made.environment,
        run=features.made.run,
        seconds=time.monotonic() - started,
    )


def parser() -> Parser:
    """Return the command's parser."""
    examples = (
        "--model convnext_base",
        "--model local-dir:demo/parts --dataset demo/d3s --probes linear knn --erase leace",
    )
    about = "Foreground and background accuracy of probes on a model's frozen features."
    answer = Parser("python -m benchmark.probe", description=about, examples=examples, tables=True)
    add = answer.add_argument
    add("--model", required=True, metavar="NAME", help=forms())
    add_dataset_flags(answer)
    add_model_flags(answer)
    add("--no-compile", action="store_true", help="never torch.compile, which long work on a machine tries")
    add("--probes", nargs="+", default=list(PROBES), metavar="NAME", help=f"which of {', '.join(PROBES)}")
    add("--erase", default=_DONE, metavar="ERASER", help=f"one of {', '.join(erasers.ERASERS)}: leakage after it too")
    add("--erase-label", choices=_ERASED, default=_ERASED[0], help="erase the background label, or which photo it is")
    add(
        "--cut",
        nargs="+",
        choices=_CUTS,
        default=[_CUTS[0]],
        help="background photos of the test: whether eraser and probe have seen them",
    )
    add("--erase-kwargs", type=argument, nargs="+", default=[], metavar="K=V", help="constants of the eraser")
    add(
        "--null", type=permutations, default=20, metavar="N", help="permutations of the null, LDA's 10 N; 0 for no null"
    )
    add("--allow-unconverged", action="store_true", help="write a result although a probe did not converge")
    add("--seed", type=seed, default=0, metavar="N", help="of all that is drawn")
    add("--out", type=Path, default=Path("results"), metavar="DIR", help="folder for the result")
    why = "goes with an --erase that erases"
    answer.only_where(lambda args: args.erase != _DONE, why, "--erase-label", "--cut", "--erase-kwargs")
    return answer


def main(argv: Sequence[str] | None = None) -> None:
    """Probe a model, print the tables, write the result."""
    started = process_start()
    args = parser().parse_args(argv)
    kinds = tuple(dict.fromkeys(args.probes))
    for each in kinds:
        if each not in PROBES:
            raise ResultError(f"unknown probe {each!r}: expected --probes of {', '.join(PROBES)}")
    _check_eraser(args.erase, args.erase_label, dict(args.erase_kwargs))
    check_installed(*([] if args.erase == _DONE else ["concept_erasure"]))
    split = open_split(args.dataset, args.config, args.split, args.limit)
    say(describe(split.facts()))
    result.make_folder(args.out)
    (subject,) = subjects([Entry(args.model, dict(args.model_kwargs))], args.checkpoint, Cache(), args.devices)
    features = features_of(subject, split, Options("fp32", not args.no_compile, args.devices))
    from benchmark.inference.devices import choose_devices
    from benchmark.probing.erasure import Erasing
    from benchmark.probing.leakage import Asked

    asked = Asked(kinds, args.seed, str(choose_devices(args.devices)[0]), null=args.null)
    cuts, options = tuple(dict.fromkeys(args.cut)), dict(args.erase_kwargs)
    erasing = None if args.erase == _DONE else Erasing(args.erase, args.erase_label, cuts, options)
    found = probe(features, asked, erasing, started)
    say(f"\n{found.model.tag or found.model.name}; {found.features} features; {found.seconds:.1f} s")
    say(show(found))
    _finish(found, args.out, erasing, args.allow_unconverged)


def _check_eraser(name: str, label: str, options: dict[str, object]) -> None:
    if name not in erasers.ERASERS:
        raise ResultError(f"unknown eraser {name!r}: expected --erase of {', '.join(erasers.ERASERS)}")
    erasers.check(name, options)
    if label == "photo" and name in erasers.UNLABELLED:
        labelled = ", ".join(each for each in erasers.ERASERS if each not in erasers.UNLABELLED)
        raise ResultError(
            f"--erase {name} uses no label of the background: for --erase-label photo type --erase of {labelled}"
        )


def _finish(found: experiments.Probed, out: Path, erasing: "Erasing | None", allowed: bool) -> None:
    if not found.converged:
        fits = [*found.readings, *(each for one in found.erasure for each in (*one.raw, *one.erased))]
        bad = [f"{each.probe} ({each.label} on {each.cut}: {each.endings[0]})" for each in fits if not each.converged]
        line = f"{len(bad)} probes did not converge, first {bad[0]}: their low accuracy shows nothing"
        if not allowed:
            raise ResultError(f"{line}; type --allow-unconverged to have the result all the same")
        warn(line)
    settings: list[object] = [found.seed, sorted({each.probe for each in found.readings})]
    settings += [sorted(erasing.options.items())] if erasing and erasing.options else []
    path = out / f"{stem(found.model, found.dataset, *settings)}-probe{_mark(erasing)}.json"
    write_atomic(path, to_json(found))
    say(f"result {path}")
    record(probed=found, path=path)


def _mark(erasing: "Erasing | None") -> str:
    """Return the end of a file's name: the eraser, and what differs from the label's erasure on seen backgrounds."""
    if erasing is None:
        return ""
    cuts = [] if erasing.cuts == ("seen",) else erasing.cuts
    return "-".join(["", erasing.name, *["photo"] * (erasing.label == "photo"), *cuts])


if __name__ == "__main__":
    run_command(main)
