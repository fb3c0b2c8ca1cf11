"""Time and money to the end of a study, from the measured seconds per image and speed. Pure.

Every number is rounded here, and sent as text; None where nothing was measured yet.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from generation.verify.crowds.colleagues import is_colleague
from generation.verify.prepare.questions import NAMES
from generation.verify.prepare.tasks import Tasks
from generation.verify.votes.sittings import Sitting
from generation.verify.votes.vote import Vote

_WINDOWS = (("the last ten minutes", 600.0), ("the last 24 hours", 86_400.0))
_LEAST = 600.0  # seconds over which a speed is measured at the least


@dataclass(frozen=True)
class Left:
    """Work that is left: answers, and assignments that are not submitted yet."""

    answers: int
    assignments: int


def outlook(
    tasks: Tasks, votes: Sequence[Vote], sittings: Sequence[Sitting], left: Left, now: float
) -> list[list[str]]:
    """Return the outlook as pairs of name and value.

    Args:
        tasks: all tasks, with the pay per task where `prepare` recorded it.
        votes: the final votes of everybody, as all of them took time.
        sittings: all assignments.
        left: work that is left.
        now: Unix time.
    """
    pace, bound = _pace(votes), ", if no image is decided earlier" if tasks.stops else ""
    lines = [["median time per image, over all annotators", "not measured yet" if pace is None else f"{pace:.1f} s"]]
    if left.answers <= 0:
        lines.append(["work left", "none"])
    else:
        if pace is not None:
            hours = left.answers / len(NAMES) * pace / 3600
            lines.append([f"work left, at this time per image{bound}", _hours(hours)])
        lines += [_time_left(votes, left, now, *window) for window in _WINDOWS]
    return [*lines, *(_money(tasks, sittings, left, pace, tasks.pay) if tasks.pay else [])]


def _pace(votes: Sequence[Vote]) -> float | None:
    """Return the median time from showing an image to the last answer about it."""
    longest: dict[tuple[str, str], float] = {}
    for vote in votes:
        if vote.seconds is not None:
            named = (vote.worker, vote.item)
            longest[named] = max(vote.seconds, longest.get(named, 0.0))
    return statistics.median(longest.values()) if longest else None


def _time_left(votes: Sequence[Vote], left: Left, now: float, window: str, seconds: float) -> list[str]:
    recent = [vote.at for vote in votes if vote.at > now - seconds]
    name = f"time left, at the speed of {window}"
    if not recent:
        return [name, "no answers"]
    return [name, _hours(left.answers / len(recent) * max(now - min(recent), min(_LEAST, seconds)) / 3600)]


def _hours(hours: float) -> str:
    if hours < 1:
        return "1 minute" if round(60 * hours) == 1 else f"{60 * hours:.0f} minutes"
    return f"{hours:,.1f} hours" if hours < 48 else f"{hours / 24:,.1f} days"


def _money(tasks: Tasks, sittings: Sequence[Sitting], left: Left, pace: float | None, pay: float) -> list[list[str]]:
    """Return what a crowd was and will be paid; excluded annotators were paid as well, colleagues are not."""
    with_fee = pay * (1 + (tasks.fee or 0.0) / 100)
    paid = sum(1 for each in sittings if each.finished and not is_colleague(each.worker))
    lines = [
        ["paid so far, with the fee", f"{paid * with_fee:,.2f} ({paid:,} assignments at {pay:.2f})"],
        ["to pay to the end, with the fee", f"{left.assignments * with_fee:,.2f} ({left.assignments:,} assignments)"],
    ]
    if pace:
        items = sum(len(task.items) for task in tasks.tasks) / len(tasks.tasks)
        lines.append(["pay per hour, at this time per image", f"{3600 * pay / (items * pace):.2f}"])
    return lines
