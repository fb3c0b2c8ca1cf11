"""Replay of votes through the rounds: the page's own index of open images decides who votes on what, wave by wave.

In a wave everybody who may come does so at once: every free place is taken before the first vote of the wave counts, so
a round saves no more than it would with all of its annotators at work at the same time.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from generation.verify.aggregate.rules import decide
from generation.verify.aggregate.votes_to_verdicts import posteriors
from generation.verify.aggregate.worker_quality import Limits
from generation.verify.prepare.rounds import Rule
from generation.verify.prepare.tasks import Item, Task, Tasks
from generation.verify.rounds.standing import Standing
from generation.verify.votes.vote import Vote

Crowd = Mapping[str, Mapping[str, Mapping[str, str]]]  # item -> annotator -> question -> answer
ALL = Limits(gold=0, agreement=0, seconds=0)


@dataclass(frozen=True)
class Replayed:
    """A replay: share of the votes that were saved, and images whose verdict differs from that of all votes."""

    saved: float
    differing: int


def study(crowd: Crowd, rounds: tuple[int, ...], rule: Rule) -> Tasks:
    """Return the tasks of a crowd's images."""
    items = [Item(id=item, key=item, image="a.jpg", guide=None, foreground=0, background=0) for item in crowd]
    task = Task(id="t", items=list(crowd))
    return Tasks(release="replay", name="replay", drawn="all", workers=sum(rounds), rounds=list(rounds), rule=rule,
                 backgrounds=["grass"], examples={}, items=items, tasks=[task])  # fmt: skip


def ballots(crowd: Crowd, worker: str, items: list[str]) -> list[Vote]:
    """Return an annotator's votes on some items."""
    return [Vote(worker, item, question, said) for item in items for question, said in crowd[item][worker].items()]


def replay(crowd: Crowd, rounds: tuple[int, ...], rule: Rule, left_out: frozenset[str] = frozenset()) -> Replayed:
    """Replay a crowd's votes.

    Args:
        crowd: as many annotators per item as all rounds have.
        rounds: annotators per round.
        rule: decision rule.
        left_out: annotators whom the owner excludes after the first wave.
    """
    held = study(crowd, rounds, rule)
    standing, chance = Standing(held, ALL), random.Random(0)
    own: dict[str, set[str]] = defaultdict(set)
    for item, people in crowd.items():
        for worker in people:
            own[worker].add(item)
    workers, cast = sorted(own), list[Vote]()
    while wave := _wave(standing, own, chance.sample(workers, len(workers))):
        new = [vote for worker, items in wave for vote in ballots(crowd, worker, items)]
        cast += new
        standing.add(new)
        standing.exclude((), left_out)
        if rule.name == "dawid-skene":
            standing.judge_all(posteriors(standing.counted()))
    every = [vote for item, people in crowd.items() for worker in people for vote in ballots(crowd, worker, [item])]
    some, whole = (verdicts(held, [v for v in votes if v.worker not in left_out], rule) for votes in (cast, every))
    return Replayed(1 - len(cast) / len(every), sum(some[item] != whole[item] for item in crowd))


def _wave(standing: Standing, own: Mapping[str, set[str]], workers: list[str]) -> list[tuple[str, list[str]]]:
    """Let everybody come once for all they may have; return who votes on what."""
    under_way: list[tuple[str, str]] = []
    found = []
    for worker in workers:
        without = (standing.tasks.by_id.keys() - own[worker]) | standing.seen(worker)
        if worker in standing.excluded:
            continue
        items = standing.choose(standing.places(under_way), without, len(own[worker]))
        under_way += [(worker, item) for item in items]
        found += [(worker, items)] if items else []
    return found


def verdicts(held: Tasks, votes: list[Vote], rule: Rule) -> dict[str, bool | None]:
    """Return the verdict of every image by some votes, as `aggregate` finds it."""
    counts: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
    for vote in votes:
        counts[vote.item][vote.question][vote.answer] += 1
    posterior = posteriors(votes) if rule.name == "dawid-skene" else {}
    return {item.id: decide(counts[item.id], posterior.get(item.id), rule) for item in held.images}


def simulated(images: int, accuracy: float, asked: tuple[str, ...], careless: float = 0.1, seed: int = 0) -> Crowd:
    """Return a crowd of 40 annotators, 5 of them per image; four images in five are right.

    Args:
        images: number of images.
        accuracy: probability of a right answer; the careless answer at random.
        asked: questions that can be answered wrongly; the others are answered rightly by everybody.
        careless: share of annotators.
        seed: random seed.
    """
    chance, found = random.Random(f"{accuracy} {seed}"), {}
    for number in range(images):
        item = f"i{number}"
        truth = {q: chance.random() < 0.8 for q in asked}
        found[item] = {}
        for worker in chance.sample(range(40), 5):
            right = {q: chance.random() < (0.5 if worker < 40 * careless else accuracy) for q in asked}
            supports = {q: truth[q] == right[q] for q in asked}
            found[item][f"w{worker}"] = answers(supports)
    return found


def answers(supports: Mapping[str, bool]) -> dict[str, str]:
    """Return the answers to all questions; those that are not named support the image."""
    good = {"foreground": True, "background": True, "unsafe": True} | dict(supports)
    return {question: "yes" if each != (question == "unsafe") else "no" for question, each in good.items()}


def real(text: str, images: int | None = None) -> Crowd:
    """Return real votes (lines of worker, object, label) as answers to the question about the object."""
    found: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
    for line in text.splitlines():
        worker, item, label = line.split("\t")
        found[item][worker] = answers({"foreground": label == "1"})
    return dict(list(found.items())[:images])
