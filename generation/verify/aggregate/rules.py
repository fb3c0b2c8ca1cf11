"""Decision rules: votes of one image -> verified, not verified, or no verdict. Pure.

An answer supports an image if it is `yes` for object or background, and anything but `yes` for nudity or violence.
`can't tell` never supports the object or the background.
"""

from collections import Counter
from collections.abc import Mapping

from generation.verify.prepare.questions import NAMES
from generation.verify.prepare.rounds import Rule

RULES = {
    "paper": "all see the object, nobody saw nudity or violence (the paper's rule)",
    "full": "all see the object and the background, nobody saw nudity or violence",
    "majority": "more than half support the image on each of the three questions",
    "dawid-skene": "the probability by Dawid-Skene that all three support the image is at least one half",
}
ASKED: dict[str, tuple[str, ...]] = {
    "paper": ("foreground", "unsafe"),
    "full": NAMES,
    "majority": NAMES,
    "dawid-skene": NAMES,
}


Tally = tuple[int, int]  # answers to one question that support the image, all answers


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
    given = tallies(counts, rule)
    if rule.name != "dawid-skene":
        return verdict(given, rule)
    few = any(total < rule.least for _, total in given)
    return None if few or probability is None else probability >= 0.5


def tallies(counts: Mapping[str, Counter[str]], rule: Rule) -> tuple[Tally, ...]:
    """Return (supporting, all) answers to each question that the rule asks."""
    return tuple(
        (
            sum(count for answer, count in counts.get(question, Counter()).items() if speaks_for(question, answer)),
            counts.get(question, Counter()).total(),
        )
        for question in ASKED[rule.name]
    )


def verdict(given: tuple[Tally, ...], rule: Rule) -> bool | None:
    """Return the verdict of a rule that counts votes; None for too few votes or an undecided tie.

    Never sinks (False, None, True) when an answer that does not support the image becomes one that does.
    """
    if any(total < rule.least for _, total in given):
        return None
    if rule.name != "majority":
        return all(good == total for good, total in given)
    if any(2 * good < total for good, total in given):
        return False
    if any(2 * good == total for good, total in given):
        return None if rule.ties is None else rule.ties == "yes"
    return True
