"""Expected effect of one further vote on an image, and the expected number of votes that it still needs. Pure.

The model: the next annotator's answer to a question supports the image with probability (g + 2 s) / (n + 2), by g of n
supporting answers so far and the share s of supporting answers to this question over all images (a beta prior that
weighs two votes); questions are independent. The probability that the image ends up verified follows by recursion over
the annotators still to come, with the study's own rule and stopping; it is a martingale, so its expected absolute
change by one vote is the value of that vote. Every vote costs the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

from generation.verify.aggregate.rules import Tally, verdict
from generation.verify.aggregate.stopping import still_open
from generation.verify.prepare.rounds import Rule

_ACCURACY = 0.8  # of a further annotator, where Dawid-Skene's posterior is known
_WEIGHT = 2.0  # of the prior, in votes


@dataclass(frozen=True)
class Next:
    """Value of further votes on an image.

    Attributes:
        item: the image.
        votes: annotators whose votes count.
        verified: probability that it ends up verified; for `dawid-skene` that it is right.
        change: expected absolute change of this probability by one further vote.
        left: expected number of further votes; for `dawid-skene` the most there can be.
    """

    item: str
    votes: int
    verified: float
    change: float
    left: float


def next_votes(
    given: Mapping[str, tuple[Tally, ...]],
    votes: Mapping[str, int],
    annotators: int,
    rule: Rule,
    posterior: Mapping[str, float],
) -> list[Next]:
    """Return the open images, those on which a further vote changes most first.

    Args:
        given: open image -> (supporting, all) answers to each question that the rule asks.
        votes: open image -> annotators whose votes count.
        annotators: annotators per image.
        rule: decision rule.
        posterior: item -> probability that it is right, by Dawid-Skene.
    """
    shares = _shares(given)
    found = []
    for item, each in given.items():
        to_come = annotators - votes[item]
        if rule.name == "dawid-skene":
            p = posterior.get(item, 0.5)
            # An annotator of accuracy a moves p by p (1 - p) (2 a - 1) in each direction, by Bayes' rule.
            verified, change, left = p, 2 * p * (1 - p) * (2 * _ACCURACY - 1), float(to_come)
        else:
            verified, left = _outlook(each, to_come, rule, shares)
            ways = _ways(each, shares)
            change = sum(p * abs(_outlook(new, to_come - 1, rule, shares)[0] - verified) for p, new in ways)
        found.append(Next(item, votes[item], verified, change, left))
    return sorted(found, key=lambda each: (-each.change, each.item))


def _shares(given: Mapping[str, tuple[Tally, ...]]) -> tuple[float, ...]:
    """Return the share of supporting answers per question, rounded so that few cases differ."""
    sums = [[sum(part) for part in zip(*question, strict=True)] for question in zip(*given.values(), strict=True)]
    return tuple(round((good + 1) / (total + 2), 2) for good, total in sums)


@lru_cache(maxsize=1 << 16)
def _outlook(given: tuple[Tally, ...], to_come: int, rule: Rule, shares: tuple[float, ...]) -> tuple[float, float]:
    """Return the probability that an image ends up verified, and the expected number of votes until it is decided."""
    if not still_open(given, to_come, rule):
        return float(verdict(given, rule) is True), 0.0
    verified = left = 0.0
    for p, new in _ways(given, shares):
        ends, more = _outlook(new, to_come - 1, rule, shares)
        verified, left = verified + p * ends, left + p * (1 + more)
    return verified, left


def _ways(given: tuple[Tally, ...], shares: tuple[float, ...]) -> list[tuple[float, tuple[Tally, ...]]]:
    """Return every outcome of one further vote: its probability, and the tallies after it."""
    chances = [(good + _WEIGHT * s) / (total + _WEIGHT) for (good, total), s in zip(given, shares, strict=True)]
    found = []
    for answers in product((0, 1), repeat=len(given)):
        p = 1.0
        for yes, chance in zip(answers, chances, strict=True):
            p *= chance if yes else 1 - chance
        found.append((p, tuple((good + yes, total + 1) for (good, total), yes in zip(given, answers, strict=True))))
    return found
