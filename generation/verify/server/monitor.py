"""Progress monitor for the reviewer: assignments, speed, agreement. Worker ids are anonymised."""

import time
from collections import defaultdict
from typing import Any

from generation.verify.aggregate.agreement import alpha, table
from generation.verify.aggregate.worker_quality import seconds_per_item
from generation.verify.prepare.questions import ANSWERS, NAMES
from generation.verify.prepare.tasks import Tasks
from generation.verify.votes.assignments import Desk
from generation.verify.votes.secret import anonymous
from generation.verify.votes.store import Vote

_RECENT = 600.0  # seconds over which the speed is measured


def figures(desk: Desk, key: bytes) -> dict[str, Any]:
    """Return the figures of the reviewer's view as JSON values (null where there are no data)."""
    tasks, votes, sittings = desk.tasks, desk.store.last(), desk.sittings()
    now = time.time()
    finished = [each for each in sittings if each.finished]
    wanted = len(tasks.tasks) * tasks.workers
    answers = sum(len(task.items) for task in tasks.tasks) * tasks.workers * len(NAMES)
    recent = sum(vote.at > now - _RECENT for vote in votes) / _RECENT * 60
    left = answers - len(votes)
    return {
        "release": f"{tasks.name} {tasks.release[:16]}",
        "drawn": tasks.drawn,
        "sittings": {"finished": len(finished), "open": len(sittings) - len(finished), "wanted": wanted},
        "answers": {"given": len(votes), "wanted": answers},
        "per_minute": round(recent, 1),
        "hours_left": round(left / recent / 60, 2) if recent and left > 0 else None,
        "questions": [_question(name, tasks, votes) for name in NAMES],
        "people": _people(tasks, votes, key),
        "fast": sorted(anonymous(key, worker) for worker in desk.store.fast()),
        "refused": {anonymous(key, worker): times for worker, times in desk.store.refused().items()},
        "comments": [each.comment for each in finished if each.comment],
    }


def _question(name: str, tasks: Tasks, votes: list[Vote]) -> dict[str, Any]:
    own = [vote for vote in votes if vote.question == name and tasks.by_id[vote.item].key is not None]
    agreed = alpha(table(((vote.item, vote.answer) for vote in own), tuple(ANSWERS)))
    shares = {answer: sum(vote.answer == answer for vote in own) for answer in ANSWERS}
    return {"name": name, "answers": shares, "alpha": None if agreed != agreed else round(agreed, 3)}


def _people(tasks: Tasks, votes: list[Vote], key: bytes) -> list[dict[str, Any]]:
    own: dict[str, list[Vote]] = defaultdict(list)
    for vote in votes:
        own[vote.worker].append(vote)
    found = []
    for worker, given in own.items():
        known = [(tasks.by_id[vote.item].expected.get(vote.question), vote.answer) for vote in given]
        known = [pair for pair in known if pair[0]]
        spent = seconds_per_item(given)
        found.append(
            {
                "person": anonymous(key, worker),
                "answers": len(given),
                "known_right": sum(right == answer for right, answer in known),
                "known": len(known),
                "seconds": None if spent is None else round(spent, 1),
            }
        )
    return sorted(found, key=lambda each: -each["answers"])
