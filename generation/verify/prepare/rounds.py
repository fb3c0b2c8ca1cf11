"""Plan of a study: the decision rule and the rounds of votes, both recorded in `tasks.json`. Pure."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

from d3s_dataset.errors import VerifyError

ANNOTATORS = 5


@dataclass(frozen=True)
class Rule:
    """Decision rule and its parameters.

    Attributes:
        name: one of `aggregate.rules.RULES`.
        least: minimum votes per image; fewer give no verdict.
        ties: for `majority`: `yes` verifies a tie, `no` does not, None leaves it without a verdict.
        posterior: for `dawid-skene`: probability of the verdict at which an image gets no further votes.
    """

    name: Literal["paper", "full", "majority", "dawid-skene"] = "full"
    least: int = 3
    ties: str | None = None
    posterior: float = 0.99


def rounds(text: str) -> list[int]:
    """Parse `3+2`: annotators per round (an argparse type)."""
    parts = text.split("+")
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"expected annotators per round, such as 3+2 or 1+1+1+1+1, got {text!r}")
    return [int(part) for part in parts]


def probability(text: str) -> float:
    """Parse a probability from one half to below 1 (an argparse type)."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.5 < value < 1:
        raise argparse.ArgumentTypeError(f"expected a probability above 0.5 and below 1, got {text!r}")
    return value


def annotators(planned: Sequence[int] | None, given: int | None, rule: Rule) -> int:
    """Return the number of annotators per image.

    Args:
        planned: annotators per round; None for a single round.
        given: `--annotators`, None where it was not typed.
        rule: decision rule.

    Raises:
        VerifyError: the two contradict each other, or all rounds give fewer votes than the rule needs.
    """
    if planned is None:
        return given or ANNOTATORS
    total = sum(planned)
    text = "+".join(map(str, planned))
    if given not in (None, total):
        raise VerifyError(f"--rounds {text} are {total} annotators, --annotators says {given}: leave one out")
    if rule.least > total:
        raise VerifyError(f"--rounds {text} are {total} annotators: expected --least of at most that, got {rule.least}")
    return total


def chosen(recorded: Rule | None, name: str | None, least: int | None, ties: str | None) -> Rule:
    """Return the recorded rule with what was typed in its place; raises VerifyError for ties of another rule."""
    base = recorded or Rule()
    rule = replace(base, name=name or base.name, least=least or base.least)
    if rule.name != "majority":
        if ties is not None:
            raise VerifyError(f"--ties goes with --rule majority, not with {rule.name}: leave it out")
        return replace(rule, ties=None)
    return rule if ties is None else replace(rule, ties=ties)


def told(rule: Rule) -> str:
    """Return a rule as it is typed."""
    more = f" --ties {rule.ties}" if rule.ties else ""
    more += f" --posterior {rule.posterior:g}" if rule.name == "dawid-skene" else ""
    return f"--rule {rule.name} --least {rule.least}{more}"


def room(planned: Sequence[int], complete: int) -> int:
    """Return how many annotators an image may have at this moment: the sum of its rounds up to the present one.

    Args:
        planned: annotators per round.
        complete: its annotators whose votes count; a round begins when the one before is complete.
    """
    return next((total for total in accumulate(planned) if total > complete), sum(planned))


def round_of(planned: Sequence[int], complete: int) -> int:
    """Return the present round of an image, from 1, by the annotators whose votes count."""
    return min(len(planned), 1 + sum(total <= complete for total in accumulate(planned)))
