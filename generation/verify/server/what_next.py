"""Open round of a study, for the reviewer: open images, expected votes left, and where the next vote changes most.

Every number is rounded here, and sent as text.
"""

from collections import Counter
from typing import Any

from generation.verify.prepare.rounds import round_of, told
from generation.verify.prepare.tasks import Tasks, thing
from generation.verify.rounds.assigner import AdaptiveAssigner
from generation.verify.rounds.next_votes import Next

_MOST = 12  # images in the table


def what_next(assigner: AdaptiveAssigner) -> tuple[dict[str, Any], float]:
    """Return the figures as JSON values, and the expected number of votes that are left."""
    tasks, found = assigner.tasks, assigner.next_votes()
    rounds = Counter(round_of(tasks.rounds, each.votes) for each in found)
    rule, left = assigner.standing.rule, sum(each.left for each in found)
    how = "at most" if rule.name == "dawid-skene" else "about"
    lines = [
        ["rounds", f"{' + '.join(map(str, tasks.rounds))} annotators, {told(rule)}"],
        ["open images", f"{len(found):,} of {len(tasks.images):,}"],
        *([f"in round {number}", f"{count:,}"] for number, count in sorted(rounds.items())),
        ["expected votes left", f"{how} {left:,.0f}" if found else "none"],
    ]
    return {"lines": lines, "next": [_row(tasks, each) for each in found[:_MOST]]}, left


def _row(tasks: Tasks, each: Next) -> list[str]:
    item = tasks.by_id[each.item]
    what = f"{thing(item)}, {tasks.place(item)}"
    numbers = [f"{each.votes}", f"{100 * each.verified:.0f} %", f"{100 * each.change:.1f}", f"{each.left:.1f}"]
    return [f"{what} ({each.item})", *numbers]
