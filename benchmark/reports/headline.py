"""Headline of a report: one sentence per model with the finding and its interval, and what to type for the rest."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from benchmark.metrics.paired import control_of
from benchmark.reports.differences import LEVEL, Difference
from benchmark.reports.drops import ALL, CONTROLS, Drop
from benchmark.reports.sections import Measured
from benchmark.reports.text import between, p_value, percent, points
from benchmark.schemas.metrics import Change, Metrics
from benchmark.schemas.result import ELSEWHERE


@dataclass(frozen=True)
class Finding:
    """Finding of a report about one model.

    Attributes:
        label: the model's in the report.
        lead: what it loses, or its accuracy where no control set was given, with the interval; goes on after the label.
        detail: further sentences. A star marks an interval that may not cover 95 %.
    """

    label: str
    lead: str
    detail: str


def findings(about: Sequence[Measured], drops: Sequence[Drop]) -> list[Finding]:
    """Return one finding per model, in the order of the report.

    Args:
        about: the models' results.
        drops: theirs (`drops.drops`), in the same order.
    """
    pairs = zip(about, drops, strict=True)
    return [_lost(drop) if drop.background else _accuracy(each.label, each.metrics) for each, drop in pairs]


def _lost(drop: Drop) -> Finding:
    whole = drop.by_background[ALL]
    cells = {name: each for name, each in drop.by_background.items() if name != ALL and each.change is not None}
    where = CONTROLS.get(drop.control or "", drop.control)
    place = " of the guides" if drop.background != "background" else ""
    lead = f"{verdict(whole, ' of top-1')} when the background alone{place} changes"
    detail = f"It is right on {percent(whole.before)} % of the objects {where} and on {percent(whole.after)} % here."
    if cells:
        lowest = min(cells, key=lambda name: cells[name].change or 0)
        detail += f" Worst on {lowest}, where it {verdict(cells[lowest])}."
    return Finding(drop.label, lead, detail)


def verdict(change: Change, what: str = "") -> str:
    """Return a change as a verb phrase with its interval: loses, gains, or neither measurably.

    Args:
        change: after minus before.
        what: goes on after "points", such as ` of top-1`.
    """
    star = "*" * bool(change.doubts)
    low, high = change.ci95
    if change.change is None:
        return "was not measured"
    if low is None or high is None:
        return f"changes by {points(change.change)} points{what} (no interval: too few photos)"
    if high < 0:
        return f"loses {percent(-change.change)} points{what} (95 % interval {between((-high, -low))}){star}"
    if low > 0:
        return f"gains {percent(change.change)} points{what} (95 % interval {between((low, high))}){star}"
    ends = between((low, high), points)
    return f"neither loses nor gains measurably ({points(change.change)} points{what}, 95 % interval {ends}){star}"


def _accuracy(label: str, metrics: Metrics) -> Finding:
    """Return what can be said without a control set: accuracy, the worst background, and how far it lies below."""
    worst = metrics.worst_background
    ends = between(metrics.ci95)
    interval = f" (95 % interval {ends})" + "*" * bool(metrics.doubts) if ends != "-" else ""
    lead = f"classifies {percent(metrics.top1)} % of the images correctly{interval}"
    if worst is None:
        return Finding(label, lead, "")
    ends = between(worst.ci95)
    simultaneous = f" (95 % simultaneous interval {ends})" if ends != "-" else ""
    detail = (
        f"Worst on {worst.name}: {percent(worst.top1)} %{simultaneous}, {percent(metrics.gap)} points below all images."
    )
    return Finding(label, lead, detail)


@dataclass(frozen=True)
class Missing:
    """Measurement that is missing: a sentence, and the commands that measure it (none where nothing can)."""

    why: str
    commands: tuple[str, ...] = ()


def missing(about: Sequence[Measured], drops: Sequence[Drop], dataset: str | None) -> Missing | None:
    """Return what to type to measure what the background alone costs; None where it was measured for every model.

    Args:
        about: the models' results.
        drops: theirs, in the same order.
        dataset: where the images lie, as it was typed.
    """
    lacking = [each for each, drop in zip(about, drops, strict=True) if not drop.background]
    if not lacking:
        return None
    facts = lacking[0].result.dataset
    control = control_of(facts.config, facts.kind)
    if control is None:
        return Missing(f"Config {facts.config} is itself a control set: give the results on config default too.")
    if facts.kind == "sample":
        return Missing(f"What the background alone costs is not measured: the drawn sample has no config {control}.")
    names = ", ".join(each.label for each in lacking)
    why = f"What the background alone costs is not measured for {names}: it needs their results on config {control}."
    lines = [_run(each, dataset, control) for each in lacking]
    return Missing(why, (*lines, f"python -m benchmark.report results/*.json --dataset {_place(dataset)}"))


def _run(each: Measured, dataset: str | None, config: str) -> str:
    """Return the command that runs a model in the same way on another config; capitals are for the reader to fill."""
    model, facts = each.result.model, each.result.dataset
    split, _, part = facts.split.partition("[:")
    if model.elsewhere:
        name = shlex.quote(model.name.removeprefix(ELSEWHERE))
        words = f"PREDICTIONS --dataset {_place(dataset)} --config {config} --split {shlex.quote(split)}"
        return f"python -m benchmark.score {words} --model-name {name}"
    words = ["--model", shlex.quote(model.name)]
    if model.kwargs:
        words += ["--model-kwargs", *(shlex.quote(f"{name}={value}") for name, value in model.kwargs.items())]
    words += ["--checkpoint", shlex.quote(model.checkpoint)] if model.checkpoint else []
    words += ["--dataset", _place(dataset), "--config", config]
    words += ["--split", shlex.quote(split)] if split != "validation" else []
    words += ["--limit", part.rstrip("]")] if part else []
    return f"python -m benchmark.run {' '.join(words)} --precision {model.precision}"


def _place(dataset: str | None) -> str:
    return shlex.quote(dataset) if dataset else "DIR_OR_REPO"


def between_models(found: Sequence[Difference]) -> str | None:
    """Return the sentence about the two best models on all images; None with one model."""
    if not found:
        return None
    first, whole = found[0], found[0].changes[ALL]
    ends = f"{whole.n} images, 95 % interval {between(whole.ci95, points)}; p {p_value(whole.p_holm)}, Holm"
    if whole.change is not None and whole.p_holm is not None and whole.p_holm < LEVEL:
        return f"{first.better} is {percent(whole.change)} points better than {first.other} ({ends})."
    return f"{first.better} and {first.other} do not differ measurably ({points(whole.change)} points on {ends})."
