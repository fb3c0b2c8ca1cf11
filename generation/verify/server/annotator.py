"""One annotator for the owner: gold questions, speed, agreement, answers, comments, images. Pure but for the store.

Every number is rounded here, and sent as text.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from generation.verify.aggregate.worker_quality import Limits, Quality, majority, qualities
from generation.verify.crowds.colleagues import shown_name
from generation.verify.prepare.questions import ANSWERS, NAMES
from generation.verify.prepare.tasks import Item, Tasks, thing
from generation.verify.votes import annotators
from generation.verify.votes.assignments import Desk
from generation.verify.votes.secret import anonymous
from generation.verify.votes.sittings import Sitting
from generation.verify.votes.vote import Vote

_RECENT = 12  # images that are shown
_DAY = 86_400.0

Counts = dict[tuple[str, str], Counter[str]]


def annotator(desk: Desk, key: bytes, worker: str) -> dict[str, Any]:
    """Return what the page about an annotator shows.

    Args:
        desk: tasks and votes.
        key: the secret of the tasks folder.
        worker: id of the annotator.
    """
    tasks, store = desk.tasks, desk.store
    excluded = annotators.excluded(store)
    own = store.last(worker)
    items = {vote.item for vote in own}
    shared = [vote for vote in store.last() if vote.item in items]
    quality = qualities(tasks, shared, excluded=excluded).get(worker) or Quality(0, 0, 0, 0, 0, None)
    counts: Counts = defaultdict(Counter)
    for vote in shared:
        if vote.worker not in excluded and vote.worker != worker:
            counts[vote.item, vote.question][vote.answer] += 1
    sittings = [each for each in desk.sittings() if each.worker == worker]
    return {
        "person": shown_name(key, worker, annotators.names(store)),
        "pseudonym": anonymous(key, worker),
        "excluded": excluded.get(worker),
        "history": [(_date(each.at), "counted again" if each.undone else "excluded", each.reason)
                    for each in annotators.history(store, worker)],
        "agreements": [(_date(at), text[:16], age) for text, age, at in annotators.agreements(store, worker)],
        "flags": quality.flags(Limits()) + too_fast(store.fast(), worker),
        "totals": _totals(quality, sittings, own),
        "questions": [_question(tasks, name, own, counts) for name in NAMES],
        "comments": [each.comment for each in sittings if each.comment],
        "failures": _failures(tasks, own),
        "recent": _recent(tasks, own, counts),
        "most": _RECENT,
    }  # fmt: skip


def too_fast(fast: Mapping[str, float], worker: str) -> list[str]:
    """Return why an annotator's votes are held for review, if they are; `fast` as in `Store.fast`."""
    return [f"submitted a task at {fast[worker]:.1f} s per image: held for review"] if worker in fast else []


def _totals(quality: Quality, sittings: Sequence[Sitting], own: Sequence[Vote]) -> list[tuple[str, str]]:
    """Return the headline figures as pairs of name and value."""
    submitted = sum(1 for each in sittings if each.finished)
    today = sum(vote.at > time.time() - _DAY for vote in own)
    return [
        ("gold questions correct", _share(quality.known_right, quality.known, "none asked")),
        ("answers equal to the others' majority", _share(quality.agreed, quality.compared, "none to compare")),
        ("median time per image", "not measured" if quality.seconds is None else f"{quality.seconds:.1f} s"),
        ("answers", f"{quality.answers:,} ({today:,} in the last 24 hours)"),
        ("assignments submitted", f"{submitted} ({len(sittings) - submitted} in progress)"),
    ]


def _share(part: int, whole: int, none: str) -> str:
    return f"{part} of {whole} ({100 * part / whole:.1f} %)" if whole else none


def _question(tasks: Tasks, name: str, own: Sequence[Vote], counts: Counts) -> dict[str, Any]:
    given = [vote for vote in own if vote.question == name and tasks.by_id[vote.item].key is not None]
    best = [(vote.answer, majority(counts[vote.item, name])) for vote in given]
    compared = [pair for pair in best if pair[1] is not None]
    agreed = _share(sum(answer == other for answer, other in compared), len(compared), "-")
    return {"name": name, "answers": [sum(vote.answer == each for vote in given) for each in ANSWERS], "agreed": agreed}


def _failures(tasks: Tasks, own: Sequence[Vote]) -> list[dict[str, Any]]:
    """Return the gold questions that were answered wrong, by item."""
    wrong: dict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for vote in own:
        expected = tasks.by_id[vote.item].expected.get(vote.question)
        if expected is not None and expected != vote.answer:
            wrong[vote.item].append((vote.question, vote.answer, f"expected {ANSWERS[expected].lower()}"))
    return [_card(tasks, tasks.by_id[item], answers) for item, answers in wrong.items()]


def _recent(tasks: Tasks, own: Sequence[Vote], counts: Counts) -> list[dict[str, Any]]:
    """Return the images that were answered last, each answer with the majority of the others."""
    latest: dict[str, float] = {}
    for vote in own:
        if tasks.by_id[vote.item].key is not None:
            latest[vote.item] = max(vote.at, latest.get(vote.item, 0.0))
    cards = []
    for item in sorted(latest, key=lambda item: (-latest[item], item))[:_RECENT]:
        answers = [(vote.question, vote.answer, _others(counts[vote.item, vote.question]))
                   for vote in own if vote.item == item]  # fmt: skip
        cards.append(_card(tasks, tasks.by_id[item], answers))
    return cards


def _others(counts: Counter[str]) -> str:
    return "the others: " + (", ".join(f"{counts[each]} {ANSWERS[each].lower()}" for each in ANSWERS if counts[each])
                             or "no answer yet")  # fmt: skip


def _card(tasks: Tasks, item: Item, answers: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    said = [{"question": question, "said": ANSWERS[answer].lower(), "others": others}
            for question, answer, others in answers]  # fmt: skip
    return {
        "image": item.image,
        "guide": item.guide,
        "title": f"{thing(item)}, {tasks.place(item)}",
        "answers": sorted(said, key=lambda each: NAMES.index(each["question"])),
    }


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
