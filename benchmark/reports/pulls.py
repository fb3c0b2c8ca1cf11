"""Over-predicted classes of a report: what each background pulls answers to, and pictures of it.

Against the control of the same objects where it was measured, else against the model's own answers on the other
backgrounds; `metrics.over_predicted` has the statistics.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest

import numpy as np

from benchmark.metrics.accuracy import hits
from benchmark.metrics.over_predicted import Excess, Matched, excess, excess_tests, matched, shares, truths
from benchmark.metrics.statistics import holm
from benchmark.reports.drops import Drop
from benchmark.reports.error_gallery import confidence
from benchmark.reports.sections import Measured, Table
from benchmark.reports.text import between, p_value, percent, points
from benchmark.schemas.predictions import Predictions, take
from d3s_dataset.taxonomy import classes

LEVEL = 0.05
MOST_CLASSES, MOST_PICTURES, MOST_TRUTHS = 5, 6, 4  # shown per background; classes behind an answer
HEADINGS = (
    "model", "background", "answer", "n", "here %", "compared with %", "excess, points", "95 % interval", "p (Holm)",
    "true classes",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Seen:
    """One model on one background.

    Attributes:
        label: the model's in the report.
        pair: its images with those that they are compared with.
        p: Holm-corrected p of every class that is a wrong answer here, over all classes and backgrounds of the model.
        against_control: whether the images compared with are of a control set; they have the same keys then.
    """

    label: str
    pair: Matched
    p: dict[int, float]
    against_control: bool

    def over_predicted(self) -> list[int]:
        """Return the classes that are over-predicted by the corrected test."""
        return [label for label, p in self.p.items() if p < LEVEL]


@dataclass(frozen=True)
class Answer:
    """One over-predicted class on a background: its name, one excess and corrected p per model, the true classes.

    `truths` is of the model with the largest excess; `p` is 1 where a model never answers wrongly with the class.
    """

    name: str
    cells: list[Excess]
    p: list[float]
    truths: str

    @property
    def certain(self) -> list[bool]:
        """For which models the corrected test finds it."""
        return [each < LEVEL for each in self.p]

    @property
    def largest(self) -> int:
        """The place of the model with the largest excess among those that the test finds it for."""
        return max(range(len(self.cells)), key=lambda i: (self.certain[i], self.cells[i].excess))


@dataclass(frozen=True)
class Picture:
    """One image that a background pulled: its labels, the answer, whose, and the answer to the control."""

    key: str
    truth: str
    answer: str
    model: str
    confidence: str
    control: str | None


@dataclass(frozen=True)
class Pulled:
    """One background: images per model, background photos, over-predicted classes, how many more, pictures."""

    background: str
    n: int
    photos: int
    answers: list[Answer]
    more: int
    pictures: list[Picture]


def pulls(about: Sequence[Measured], drops: Sequence[Drop]) -> list[Pulled]:
    """Return what each background pulls answers to, the strongest pull first.

    Args:
        about: the models' results.
        drops: theirs, in the same order.
    """
    seen = [_seen(each, drop) for each, drop in zip(about, drops, strict=True)]
    names = about[0].result.dataset.backgrounds
    found = [_pulled(name, [each[place] for each in seen]) for place, name in enumerate(names)]
    return sorted(found, key=lambda each: -_strength(each))


def _strength(found: Pulled) -> float:
    return sum(each.cells[each.largest].excess for each in found.answers)


def _seen(each: Measured, drop: Drop) -> list[Seen]:
    """Return a model on every background, with p-values corrected over all of them."""
    pairs = [_pair(each, drop, label) for label in range(len(each.result.dataset.backgrounds))]
    found = [excess_tests(pair) for pair in pairs]
    corrected = iter(holm(np.concatenate([p for _, p in found])).tolist())
    return [
        Seen(each.label, pair, {int(label): next(corrected) for label in labels}, drop.tables is not None)
        for pair, (labels, _) in zip(pairs, found, strict=True)
    ]


def _pair(each: Measured, drop: Drop, background: int) -> Matched:
    if drop.tables is None:
        table = each.predictions
        here = table.background == background
        return matched(take(table, np.flatnonzero(here)), take(table, np.flatnonzero(~here)))
    before, after = drop.tables
    common = np.intersect1d(after.key[after.background == background].astype(str), before.key.astype(str))
    here, there = (take(table, np.flatnonzero(np.isin(table.key.astype(str), common))) for table in (after, before))
    return matched(here, there)


def _pulled(background: str, seen: Sequence[Seen]) -> Pulled:
    labels = dict.fromkeys(chain.from_iterable(each.over_predicted() for each in seen))
    order = sorted(labels, key=lambda label: (-max(_excess(each, label) for each in seen), label))
    made = {label: _answer(label, seen) for label in order[:MOST_CLASSES]}
    pictures = [_pictures(label, seen[made[label].largest]) for label in made]
    mixed = dict.fromkeys(each for row in zip_longest(*pictures) for each in row if each)
    once = {each.key: each for each in reversed(mixed)}
    source = seen[0].pair.here.background_source
    return Pulled(
        background=background,
        n=len(seen[0].pair.here),
        photos=len({each for each in source.tolist() if each is not None}),
        answers=list(made.values()),
        more=len(order) - len(made),
        pictures=list(reversed(once.values()))[:MOST_PICTURES],
    )


def _excess(each: Seen, label: int) -> float:
    """Return the excess of a class for a model that the corrected test finds it for; below every excess for others."""
    here, there = shares(each.pair, label)
    return float((here - there).mean()) if each.p.get(label, 1.0) < LEVEL else -1.0


def _answer(label: int, seen: Sequence[Seen]) -> Answer:
    cells = [excess(each.pair, label) for each in seen]
    made = Answer(classes()[label].name, cells, [each.p.get(label, 1.0) for each in seen], "")
    return replace(made, truths=_truths(label, seen[made.largest]))


def _truths(label: int, seen: Seen) -> str:
    found = truths(seen.pair, label)
    alone = all(count == 1 for _, count in found)
    names = [short(classes()[truth].name) + (f" ({count})" if not alone else "") for truth, count in found]
    more = len(found) - MOST_TRUTHS
    return ", ".join(names[:MOST_TRUTHS]) + (
        f" and {more} more {'class' if more == 1 else 'classes'}" if more > 0 else ""
    )


def _pictures(label: int, seen: Seen) -> list[Picture]:
    """Return images wrongly answered with a class: those right on the control first, then by confidence."""
    here = seen.pair.here
    rows = np.flatnonzero(seen.pair.wrongly(label)[0])
    control = _controls(seen) if seen.against_control else {}
    answered = [control.get(str(here.key[row])) for row in rows]
    right = np.array([answer is not None and answer[1] for answer in answered], dtype=bool)
    sure = confidence(here)
    order = np.lexsort((here.key[rows].astype(str), -sure[rows], ~right))[:MOST_PICTURES]
    names = classes()
    return [
        Picture(
            key=str(here.key[rows[place]]),
            truth=short(names[here.foreground[rows[place]]].name),
            answer=short(names[label].name),
            model=seen.label,
            confidence=percent(float(sure[rows[place]])),
            control=_control_text(answered[place]),
        )
        for place in order
    ]


def _controls(seen: Seen) -> dict[str, tuple[int, bool]]:
    """Return key -> (answer, whether it is right) on the control."""
    there: Predictions = seen.pair.there
    right = hits(there.foreground, there.prediction)
    return {
        str(key): (int(best), bool(fine))
        for key, best, fine in zip(there.key, there.prediction[:, 0], right, strict=True)
    }


def _control_text(answer: tuple[int, bool] | None) -> str | None:
    if answer is None:
        return None
    return "right" if answer[1] else short(classes()[answer[0]].name)


def short(name: str) -> str:
    """Return the first synonym of a class."""
    return name.split(",")[0]


def interval(cell: Excess) -> str:
    """Return the interval of an excess in points, a star where it may not cover 95 %; a dash where there is none."""
    ends = between(cell.ci95, points)
    return ends + "*" * bool(ends != "-" and cell.doubts)


def summary(found: Sequence[Pulled], about: Sequence[Measured], drops: Sequence[Drop]) -> str:
    """Return the strongest pull as a sentence."""
    strongest = max((one for one in found if one.answers), key=lambda one: _first(one).excess, default=None)
    if strongest is None:
        return "No class is over-predicted on any background by the corrected test."
    answer, cell = strongest.answers[0], _first(strongest)
    place = answer.largest
    where = "on their controls" if drops[place].tables else "on the other backgrounds"
    ends = between(cell.ci95, points)
    photos = f"{strongest.photos} background photo{'s' * (strongest.photos != 1)}"
    tested = f"p {p_value(answer.p[place])} on these {photos}, Holm" if strongest.photos else ""
    interval = f"; {tested}" + (f"; 95 % interval over others like them {ends}" if ends != "-" else "")
    return (
        f"The strongest pull: on {strongest.background}, {about[place].label} wrongly answers {short(answer.name)} for "
        f"{percent(cell.here)} % of the images, against {percent(cell.there)} % of the same objects {where} "
        f"({points(cell.excess)} points{interval}); the objects: {answer.truths}."
    )


def _first(found: Pulled) -> Excess:
    return found.answers[0].cells[found.answers[0].largest]


def tables(about: Sequence[Measured], found: Sequence[Pulled]) -> list[Table]:
    """Return the table for a paper: one row per model and over-predicted class."""
    rows = [
        (each.label, one.background, answer.name, str(cell.n), percent(cell.here), percent(cell.there),
         points(cell.excess), between(cell.ci95, points), p_value(p), answer.truths)
        for one in found
        for answer in one.answers
        for each, cell, p in zip(about, answer.cells, answer.p, strict=True)
    ]  # fmt: skip
    return [Table("pulls", "Over-predicted classes per background", HEADINGS, rows)] if rows else []
