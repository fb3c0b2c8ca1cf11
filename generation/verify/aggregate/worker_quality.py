"""Annotator quality: gold questions, agreement with the majority, speed; exclusion by fixed thresholds. Pure."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from generation.verify.prepare.tasks import Tasks
from generation.verify.votes.vote import Vote


@dataclass(frozen=True)
class Limits:
    """Exclusion thresholds. Each applies only to annotators with enough answers.

    Attributes:
        gold: minimum accuracy on gold questions, over at least `known` of them.
        agreement: minimum agreement with the others' majority, over at least `compared` answers.
        seconds: minimum median time per image, over at least `compared` answers.
    """

    gold: float = 0.7
    agreement: float = 0.5
    seconds: float = 1.0
    known: int = 4
    compared: int = 20

    def lines(self) -> list[str]:
        """Return one line per threshold."""
        return [
            f"gold questions: accuracy below {self.gold:.0%} (at least {self.known} answers)",
            f"agreement with the majority below {self.agreement:.0%} (at least {self.compared} answers)",
            f"median time below {self.seconds:g} s per image (at least {self.compared} answers)",
        ]


@dataclass(frozen=True)
class Quality:
    """Quality of one annotator; shares are None without answers."""

    answers: int
    known: int
    known_right: int
    compared: int
    agreed: int
    seconds: float | None

    @property
    def gold(self) -> float | None:
        """Accuracy on gold questions."""
        return self.known_right / self.known if self.known else None

    @property
    def agreement(self) -> float | None:
        """Share of answers that equal the others' majority."""
        return self.agreed / self.compared if self.compared else None

    def flags(self, limits: Limits) -> list[str]:
        """Return every threshold that this annotator misses, in words; none for a good one."""
        found = []
        if self.gold is not None and self.known >= limits.known and self.gold < limits.gold:
            found.append(f"{self.known_right} of {self.known} gold questions correct")
        if self.agreement is not None and self.compared >= limits.compared and self.agreement < limits.agreement:
            found.append(f"{self.agreed} of {self.compared} answers agree with the majority")
        if self.seconds is not None and self.answers >= limits.compared and self.seconds < limits.seconds:
            found.append(f"median time {self.seconds:.1f} s per image")
        return found

    def why_not(self, limits: Limits) -> str | None:
        """Return why this annotator is excluded, by the first threshold missed; None if included."""
        return next(iter(self.flags(limits)), None)


def left_out(
    quality: Mapping[str, Quality],
    limits: Limits,
    fast: Mapping[str, float] | None = None,
    excluded: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the annotators whose votes do not count: worker -> reason.

    Args:
        quality: of every annotator.
        limits: exclusion thresholds.
        fast: worker -> seconds per image, for submissions that are held until reviewed.
        excluded: worker -> the owner's reason.
    """
    found = {worker: why for worker, each in quality.items() if (why := each.why_not(limits))}
    for worker, pace in (fast or {}).items():
        found[worker] = f"submitted a task at {pace:.2f} s per image: held until reviewed (--count-fast NAME)"
    found |= {worker: f"excluded by the owner: {reason}" for worker, reason in (excluded or {}).items()}
    return {worker: why for worker, why in found.items() if worker in quality}


def qualities(
    tasks: Tasks, votes: Sequence[Vote], compare: bool = True, excluded: Collection[str] = ()
) -> dict[str, Quality]:
    """Return the quality of every annotator from the final votes.

    Args:
        tasks: all tasks.
        votes: the final votes.
        compare: also compare each answer with the others' majority, which takes most of the time.
        excluded: annotators who are no part of the others' majority.
    """
    counts: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    own: dict[str, list[Vote]] = defaultdict(list)
    for vote in votes:
        if compare and vote.worker not in excluded:
            counts[vote.item, vote.question][vote.answer] += 1
        own[vote.worker].append(vote)
    given = counts if compare else None
    return {worker: _quality(tasks, own[worker], given, worker in excluded) for worker in sorted(own)}


def majority(counts: Mapping[str, int], own: str | None = None) -> str | None:
    """Return the most frequent answer, without one's own where it is among them; None for a tie or no answer."""
    most, best = 0, None
    for answer, count in counts.items():
        others = count - (answer == own)
        if others >= most:
            best = answer if others > most else None
            most = others
    return best


def _quality(
    tasks: Tasks, votes: list[Vote], counts: dict[tuple[str, str], Counter[str]] | None, excluded: bool
) -> Quality:
    known = right = compared = agreed = 0
    for vote in votes:
        item = tasks.by_id[vote.item]
        if vote.question in item.expected:
            known += 1
            right += item.expected[vote.question] == vote.answer
        if counts is None:
            continue
        best = majority(counts[vote.item, vote.question], None if excluded else vote.answer)
        if item.key is not None and best is not None:
            compared += 1
            agreed += best == vote.answer
    return Quality(len(votes), known, right, compared, agreed, seconds_per_item(votes))


def seconds_per_item(votes: list[Vote]) -> float | None:
    """Return one annotator's median time from showing an item to its last answer; None where not measured."""
    longest: dict[str, float] = {}
    for vote in votes:
        if vote.seconds is not None:
            longest[vote.item] = max(vote.seconds, longest.get(vote.item, 0.0))
    return statistics.median(longest.values()) if longest else None
