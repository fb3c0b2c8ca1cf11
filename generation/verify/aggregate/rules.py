"""Decision rules: votes of one image -> verified, not verified, or no verdict. Pure.

An answer supports an image if it is `yes` for object or background, and anything but `yes` for nudity or violence.
`can't tell` never supports the object or the background.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from generation.verify.prepare.questions import NAMES

RULES = {
    "paper": "all see the object, nobody saw nudity or violence (the paper's rule)",
    "full": "all see the object and the background, nobody saw nudity or violence",
    "majority": "more than half support the image on each of the three questions",
    "dawid-skene": "the probability by Dawid-Skene that all three support the image is at least one half",
}
_ASKED = {"paper": ("foreground", "unsafe"), "full": NAMES, "majority": NAMES, "dawid-skene": NAMES}


@dataclass(frozen=True)
class Rule:
    """Decision rule and its parameters.

    Attributes:
        name: one of `RULES`.
        least: minimum votes per image; fewer give no verdict.
        ties: for `majority`: `yes` verifies a tie, `no` does not, None leaves it without a verdict.
    """

    name: str = "full"
    least: int = 3
    ties: str | None = None


def speaks_for(question: str, answer: str) -> bool:
    """Return whether an answer supports an image."""
    return answer != "yes" if question == "unsafe" else answer == "yes"


def decide(counts: Mapping[str, Counter[str]], probability: float | None, rule: Rule) -> bool | None:
    """Return whether an image is verified; None for too few votes or an undecided tie.

    Args:
        counts: question -> answer -> number of votes.
        probability: that the image is right, by Dawid-Skene.
        rule: decision rule.
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
