"""Progress monitor for the reviewer: assignments, speed, agreement, annotators to look at, disputed images.

Colleagues are shown by name, crowd workers by pseudonym. Every number is rounded here, and sent as text.
"""

import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from generation.verify.aggregate.agreement import alpha, table
from generation.verify.aggregate.disagreements import Dispute, disputes
from generation.verify.aggregate.worker_quality import Limits, qualities
from generation.verify.crowds.colleagues import shown_name
from generation.verify.prepare.questions import ANSWERS, NAMES
from generation.verify.prepare.tasks import Tasks
from generation.verify.rounds.assigner import AdaptiveAssigner
from generation.verify.server.annotator import too_fast
from generation.verify.server.outlook import Left, outlook
from generation.verify.server.what_next import what_next
from generation.verify.votes import annotators
from generation.verify.votes.assignments import Desk
from generation.verify.votes.secret import anonymous
from generation.verify.votes.vote import Vote

_RECENT = 600.0  # seconds over which the speed is measured
_MOST = 24  # disputed images per question that are sent
_LIMITS = Limits()


def figures(desk: Desk, key: bytes) -> dict[str, Any]:
    """Return the figures of the reviewer's view as JSON values (null where there are no data)."""
    tasks, everything, sittings = desk.tasks, desk.store.last(), desk.sittings()
    now, shown = time.time(), cache(partial(shown_name, key, names=annotators.names(desk.store)))
    excluded = annotators.excluded(desk.store)
    votes = [vote for vote in everything if vote.worker not in excluded]
    counted = [each for each in sittings if each.worker not in excluded]
    finished = [each for each in counted if each.finished]
    wanted = len(tasks.tasks) * tasks.workers
    answers = sum(len(task.items) for task in tasks.tasks) * tasks.workers * len(NAMES)
    recent = sum(vote.at > now - _RECENT for vote in votes) / _RECENT * 60
    left = answers - len(votes)
    rounds = None
    if isinstance(desk.assigner, AdaptiveAssigner):
        rounds, expected = what_next(desk.assigner)
        left = round(expected * len(NAMES))
        answers, wanted = len(votes) + left, len(finished) + -(-round(expected) // tasks.per_task)
    people = _people(tasks, everything, desk.store.fast(), excluded, shown)
    gold, _, pace = _LIMITS.lines()  # agreement with the majority takes too long to be computed at every look
    flagged = {each["worker"] for each in people if each["flags"]}
    disputed = disputes(tasks, [vote for vote in votes if vote.worker not in flagged], shown)
    return {
        "release": f"{tasks.name} {tasks.release[:16]}",
        "drawn": tasks.drawn,
        "sittings": {"finished": len(finished), "open": len(counted) - len(finished), "wanted": wanted},
        "answers": {"given": len(votes), "wanted": answers},
        "per_minute": f"{recent:.1f}",
        "hours_left": f"{left / recent / 60:.1f}" if recent and left > 0 else None,
        "done": left <= 0,
        "outlook": outlook(tasks, everything, sittings, Left(left, max(0, wanted - len(finished))), now),
        "rounds": rounds,
        "questions": [_question(name, tasks, votes) for name in NAMES],
        "people": [_shown(key, each) for each in people],
        "limits": [gold, pace, f"a task submitted below {desk.bounds.floor:g} s per image"],
        "disputed": {name: {"n": len(found), "shown": [_dispute(each) for each in found[:_MOST]]}
                     for name, found in disputed.items()},
        "fast": sorted(map(shown, desk.store.fast())),
        "refused": {shown(worker): times for worker, times in desk.store.refused().items()},
        "comments": [each.comment for each in finished if each.comment],
    }  # fmt: skip


def _question(name: str, tasks: Tasks, votes: list[Vote]) -> dict[str, Any]:
    own = [vote for vote in votes if vote.question == name and tasks.by_id[vote.item].key is not None]
    agreed = alpha(table(((vote.item, vote.answer) for vote in own), tuple(ANSWERS)))
    shares = {answer: sum(vote.answer == answer for vote in own) for answer in ANSWERS}
    return {"name": name, "answers": shares, "alpha": None if agreed != agreed else f"{agreed:.3f}"}


def _people(
    tasks: Tasks,
    votes: list[Vote],
    fast: dict[str, float],
    excluded: dict[str, str],
    shown: Callable[[str], str],
) -> list[dict[str, Any]]:
    """Return the annotators, those to look at first; `flags` say why, in words. The excluded ones come last."""
    found = []
    for worker, each in qualities(tasks, votes, compare=False).items():
        flags = each.flags(_LIMITS) + too_fast(fast, worker)
        found.append(
            {
                "worker": worker,
                "person": shown(worker),
                "excluded": excluded.get(worker),
                "answers": each.answers,
                "known_right": each.known_right,
                "known": each.known,
                "seconds": None if each.seconds is None else f"{each.seconds:.1f}",
                "flags": flags,
            }
        )
    return sorted(found, key=_by_need)


def _by_need(each: dict[str, Any]) -> tuple[bool, bool, int, str]:
    return each["excluded"] is not None, not each["flags"], -each["answers"], each["person"]


def _shown(key: bytes, each: dict[str, Any]) -> dict[str, Any]:
    """Return an annotator's row as it is sent: the page about them is found by the pseudonym."""
    return {"id": anonymous(key, each["worker"]), **{name: value for name, value in each.items() if name != "worker"}}


def _dispute(each: Dispute) -> dict[str, Any]:
    return {"image": each.item.image, "guide": each.item.guide, "ask": each.ask, "object": each.object,
            "background": each.background, "given": each.given}  # fmt: skip
