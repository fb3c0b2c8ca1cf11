"""Stopping: the images that votes still to come can change; the rounds of a study stop at the others. Pure.

For `paper`, `full` and `majority` this is exact: a verdict is open if some answers of the annotators still to come give
another one. A rule's verdict never sinks when an answer is changed into a supporting one, so the two extreme
completions (all support the image, nobody does) bound all others. `dawid-skene` stops at a stated posterior instead,
which is not exact: later votes change everybody's estimated reliability, and with it verdicts of finished images.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from generation.verify.aggregate.rules import ASKED, Tally, tallies, verdict
from generation.verify.prepare.rounds import Rule
from generation.verify.prepare.tasks import Tasks
from generation.verify.votes.vote import Vote


def still_open(given: tuple[Tally, ...], to_come: int, rule: Rule, probability: float | None = None) -> bool:
    """Return whether votes still to come can change the verdict of an image.

    Args:
        given: (supporting, all) answers to each question that the rule asks.
        to_come: annotators still to come, each of whom answers every question.
        rule: decision rule.
        probability: that the image is right, by Dawid-Skene; None where it is not known yet.
    """
    if to_come <= 0:
        return False
    if rule.name != "dawid-skene":
        return _open(given, to_come, rule)
    fewest = min(total for _, total in given)
    if fewest < rule.least:
        return fewest + to_come >= rule.least
    return probability is None or 1 - rule.posterior < probability < rule.posterior


@lru_cache(maxsize=1 << 16)
def _open(given: tuple[Tally, ...], to_come: int, rule: Rule) -> bool:
    now = verdict(given, rule)
    best = tuple((good + to_come, total + to_come) for good, total in given)
    worst = tuple((good, total + to_come) for good, total in given)
    return not verdict(best, rule) == verdict(worst, rule) == now


def fewest(rule: Rule, annotators: int) -> int:
    """Return the smallest number of votes after which an image can be decided."""
    if rule.name == "dawid-skene":
        return min(rule.least, annotators)
    asked = len(ASKED[rule.name])
    for votes in range(1, annotators):
        if any(not _open(((good, votes),) * asked, annotators - votes, rule) for good in (0, votes)):
            return votes
    return annotators


@dataclass(frozen=True)
class Progress:
    """Votes of a study with rounds.

    Attributes:
        wanted: images times annotators.
        saved: votes that decided images did without.
        decided: images that further votes cannot change.
        open: ids of the others, and the number of annotators still to come for each.
    """

    wanted: int
    saved: int
    decided: int
    open: dict[str, int]


def progress(tasks: Tasks, votes: Sequence[Vote], rule: Rule, posterior: Mapping[str, float]) -> Progress:
    """Return which images are open under a rule, by the votes that count.

    Args:
        tasks: all tasks.
        votes: the final votes of annotators who are not excluded.
        rule: decision rule.
        posterior: item -> probability that it is right, by Dawid-Skene.
    """
    counts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    answered: Counter[tuple[str, str]] = Counter()
    for vote in votes:
        if vote.question in ASKED[rule.name]:
            counts[vote.item][vote.question][vote.answer] += 1
            answered[vote.item, vote.worker] += 1
    complete = Counter(item for (item, _), number in answered.items() if number == len(ASKED[rule.name]))
    left = {item.id: max(0, tasks.workers - complete[item.id]) for item in tasks.images}
    found = {
        item: to_come
        for item, to_come in left.items()
        if still_open(tallies(counts[item], rule), to_come, rule, posterior.get(item))
    }
    saved = sum(to_come for item, to_come in left.items() if item not in found)
    return Progress(len(left) * tasks.workers, saved, len(left) - len(found), found)
