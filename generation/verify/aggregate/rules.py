"""Votes -> verdict: is an image what its labels say? Pure.

A question speaks for an image if the answer is `yes` to object and background, and anything but `yes` to nudity or
violence. `can't tell` never speaks for the object or the background.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from generation.verify.prepare.questions import NAMES

RULES = {
    "paper": "all see the object, nobody saw nudity or violence (the paper's rule)",
    "full": "all see the object and the background, nobody saw nudity or violence",
    "majority": "more than half speak for the image on each of the three questions",
    "dawid-skene": "the probability by Dawid-Skene that all three speak for the image is at least one half",
}
_ASKED = {"paper": ("foreground", "unsafe"), "full": NAMES, "majority": NAMES, "dawid-skene": NAMES}


@dataclass(frozen=True)
class Rule:
    """How votes are turned into a verdict.

    Attributes:
        name: one of `RULES`.
        least: people who must have answered, else there is no verdict.
        ties: for `majority`: `yes` verifies a tie, `no` does not, None leaves it without a verdict.
    """

    name: str = "full"
    least: int = 3
    ties: str | None = None


def speaks_for(question: str, answer: str) -> bool:
    """Return whether an answer speaks for an image."""
    return answer != "yes" if question == "unsafe" else answer == "yes"


def decide(counts: Mapping[str, Counter[str]], probability: float | None, rule: Rule) -> bool | None:
    """Return whether an image is verified; None where too few have answered, or a tie is left open.

    Args:
        counts: question -> answer -> how many people gave it.
        probability: that the image is right, by Dawid-Skene.
        rule: how to decide.
    """
    asked = _ASKED[rule.name]
    if any(counts.get(question, Counter()).total() < rule.least for question in asked):
        return None
    if rule.name == "dawid-skene":
        return None if probability is None else probability >= 0.5
    shares = []
    for question in asked:
        good = sum(count for answer, count in counts[question].items() if speaks_for(question, answer))
        shares.append(good / counts[question].total())
    if rule.name != "majority":
        return all(share == 1 for share in shares)
    if any(share < 0.5 for share in shares):
        return False
    if any(share == 0.5 for share in shares):
        return None if rule.ties is None else rule.ties == "yes"
    return True
