"""Images on which annotators disagree, question by question, the most disputed first. Pure."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from generation.verify.prepare.questions import ANSWERS, QUESTIONS
from generation.verify.prepare.tasks import Item, Tasks, thing
from generation.verify.votes.vote import Vote


@dataclass(frozen=True)
class Dispute:
    """One question about one image, with answers that differ.

    Attributes:
        item: the image.
        question: name of the question.
        ask: the question as it was asked.
        object: first synonym of the image's class.
        background: name of its background.
        given: (annotator as shown, answer as shown), sorted by answer.
    """

    item: Item
    question: str
    ask: str
    object: str
    background: str
    given: list[tuple[str, str]]

    @property
    def split(self) -> float:
        """Share of the answers that are not the most frequent one."""
        counts = Counter(answer for _, answer in self.given)
        return 1 - max(counts.values()) / counts.total()


def disputes(tasks: Tasks, votes: Sequence[Vote], shown: Callable[[str], str]) -> dict[str, list[Dispute]]:
    """Return the disputes of every question, the most evenly split first; gold questions are left out.

    Args:
        tasks: all tasks.
        votes: the final votes.
        shown: annotator's id -> the name to show.
    """
    given: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for vote in votes:
        given[vote.question, vote.item].append((shown(vote.worker), vote.answer))
    found: dict[str, list[Dispute]] = {each.name: [] for each in QUESTIONS}
    for each in QUESTIONS:
        for item in tasks.images:
            answers = given.get((each.name, item.id), [])
            if len({answer for _, answer in answers}) > 1:
                said = sorted(answers, key=lambda pair: (list(ANSWERS).index(pair[1]), pair[0]))
                told = [(name, ANSWERS[answer].lower()) for name, answer in said]
                ask = each.ask(thing(item), tasks.place(item))
                found[each.name].append(
                    Dispute(item, each.name, ask, thing(item), tasks.backgrounds[item.background], told)
                )
        found[each.name].sort(key=lambda dispute: (-dispute.split, dispute.item.id))
    return found
