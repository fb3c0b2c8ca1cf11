"""Rounds: an image is open exactly as long as votes still to come can change its verdict."""

import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.verify.aggregate.rules import ASKED, decide, tallies
from generation.verify.aggregate.stopping import fewest, progress, still_open
from generation.verify.aggregate.worker_quality import Limits, qualities
from generation.verify.prepare.questions import ANSWERS, NAMES
from generation.verify.prepare.rounds import Rule, room, round_of
from generation.verify.prepare.tasks import Item, Task, Tasks
from generation.verify.rounds.next_votes import next_votes
from generation.verify.rounds.running import Running
from generation.verify.rounds.standing import Standing
from generation.verify.votes.store import Vote

RULES = st.builds(
    Rule,
    name=st.sampled_from(["paper", "full", "majority"]),
    least=st.integers(1, 4),
    ties=st.sampled_from([None, "yes", "no"]),
)
COUNTS = st.fixed_dictionaries({q: st.builds(Counter, st.lists(st.sampled_from(list(ANSWERS)), max_size=4))
                                for q in NAMES})  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(COUNTS, st.integers(0, 3), RULES)
def test_open_is_what_brute_force_over_all_completions_finds(counts, to_come, rule):
    """Every way in which the annotators still to come can answer: of their answers only the counts play a part."""
    now = decide(counts, None, rule)
    more = [Counter(each) for each in itertools.combinations_with_replacement(ANSWERS, to_come)]
    found = {
        decide({q: counts[q] + new for q, new in zip(NAMES, each, strict=True)}, None, rule)
        for each in itertools.product(more, repeat=len(NAMES))
    }
    assert still_open(tallies(counts, rule), to_come, rule) == (found != {now})


@settings(max_examples=60, deadline=None)
@given(RULES, st.integers(1, 6))
def test_the_fewest_votes_are_what_brute_force_finds(rule, annotators):
    ways = {
        votes: itertools.product(range(votes + 1), repeat=len(ASKED[rule.name])) for votes in range(1, annotators + 1)
    }
    decided = [
        votes
        for votes, goods in ways.items()
        if not all(still_open(tuple((good, votes) for good in each), annotators - votes, rule) for each in goods)
    ]
    assert fewest(rule, annotators) == decided[0]


def test_dawid_skene_stops_at_its_posterior():
    rule, given_ = Rule("dawid-skene", 2, posterior=0.95), ((2, 2),) * 3
    found = [still_open(given_, 3, rule, p) for p in (None, 0.5, 0.949, 0.051, 0.95, 0.05, 0.99)]
    assert found == [True, True, True, True, False, False, False]
    assert still_open(((1, 1),) * 3, 3, rule, 0.99)  # fewer than the minimum
    assert not still_open(given_, 0, rule, 0.5)


def test_an_image_takes_as_many_people_as_its_rounds_so_far():
    assert [room([3, 2], complete) for complete in range(6)] == [3, 3, 3, 5, 5, 5]
    assert [room([1] * 3, complete) for complete in range(4)] == [1, 2, 3, 3]
    assert [round_of([3, 2], complete) for complete in range(6)] == [1, 1, 1, 2, 2, 2]


def study(images=3, gold=2, rounds=(1, 1, 1), rule=None, per_task=2):
    rule = rule or Rule("majority", 1)
    items = [
        Item(id=f"i{n}", key=f"k{n}", image="a.jpg", guide=None, foreground=0, background=0) for n in range(images)
    ]
    items += [
        Item(id=f"g{n}", key=None, image="a.jpg", guide=None, foreground=0, background=0,
             expected={"foreground": "yes", "background": "no"})
        for n in range(gold)
    ]  # fmt: skip
    return Tasks(
        release="r", name="n", drawn="d", workers=sum(rounds), rounds=list(rounds), rule=rule, per_task=per_task,
        gold=min(gold, 1), backgrounds=["grass"], examples={}, items=items,
        tasks=[Task(id="t", items=[item.id for item in items])],
    )  # fmt: skip


def votes(worker, *items, answer="yes", **said):
    """One annotator's answers to all questions about some items; nobody sees anything unsafe."""
    given_ = {"foreground": answer, "background": answer, "unsafe": "no"} | said
    return [Vote(worker, item, question, each) for item in items for question, each in given_.items()]


STREAM = st.lists(
    st.builds(
        Vote,
        worker=st.sampled_from("abcd"),
        item=st.sampled_from(["i0", "i1", "i2", "g0", "g1"]),
        question=st.sampled_from(NAMES),
        answer=st.sampled_from(list(ANSWERS)),
        seconds=st.sampled_from([None, 0.5, 3.0]),
    ),
    max_size=40,
)
STRICT = Limits(gold=0.7, agreement=0.5, seconds=1.0, known=2, compared=4)


def final(stream):
    last = {(vote.worker, vote.item, vote.question): vote for vote in stream}
    return sorted(last.values(), key=lambda vote: (vote.item, vote.question, vote.worker))


@settings(max_examples=100, deadline=None)
@given(STREAM)
def test_quality_vote_by_vote_is_the_quality_of_all_votes(stream):
    held = study()
    running = Running(held)
    for vote in stream:
        running.add(vote)
    found = qualities(held, final(stream))
    assert {worker: running.quality(worker) for worker in found} == found


@settings(max_examples=100, deadline=None)
@given(STREAM, st.sets(st.sampled_from("abcd")), st.integers(1, 40), RULES)
def test_the_index_is_what_a_look_at_all_votes_finds(stream, apart, cut, rule):
    """In whatever order votes and exclusions come: the index is the aggregate's own progress."""
    held = study(rule=rule, rounds=(2, 1, 1))
    standing = Standing(held, STRICT)
    standing.add(stream[:cut])
    standing.exclude({"a"}, {"a", "b"})
    standing.add(stream[cut:])
    standing.exclude({"a"}, apart)
    figures = qualities(held, final(stream), excluded=apart)
    out = {"a"} | apart | {name for name, each in figures.items() if each.why_not(STRICT)}
    assert standing.excluded >= apart
    counted = [vote for vote in final(stream) if vote.worker not in out]
    found = progress(held, counted, rule, {})
    assert {item: held.workers - complete for item, complete in standing.open().items()} == found.open


def test_the_next_assignment_is_open_images_with_a_free_place_the_fewest_votes_first():
    standing = Standing(study(images=4, rounds=(1, 1, 1), rule=Rule("majority", 1)))
    order = list(standing.open())
    assert standing.choose({}, (), 9) == order
    assert standing.choose({order[0]: 1, "g0": 1}, {order[1]}, 1) == order[2:3]
    standing.add(votes("a", order[0]))
    assert standing.choose({}, (), 9) == [*order[1:], order[0]]
    assert standing.choose({order[0]: 1}, (), 9) == order[1:]  # the second round has one place
    standing.add(votes("b", order[0]))
    assert order[0] not in standing.open()  # two of three


def test_an_excluded_annotator_opens_images_again_and_an_undo_closes_them():
    standing = Standing(study(images=1, rounds=(1, 1, 1)))
    standing.add(votes("a", "i0") + votes("b", "i0"))
    assert standing.open() == {}
    standing.exclude((), {"a"})
    assert standing.open() == {"i0": 1}
    assert standing.places([("a", "i0"), ("b", "i0"), ("c", "i0")]) == {"i0": 1}  # only c's vote will count
    standing.exclude((), ())
    assert standing.open() == {}


def test_failing_gold_questions_opens_images_again():
    standing = Standing(study(images=1, gold=2), Limits(known=4))
    standing.add(votes("a", "i0") + votes("b", "i0"))
    assert standing.open() == {}
    standing.add(votes("a", "g0", "g1", background="yes"))
    assert standing.excluded == {"a"}
    assert standing.open() == {"i0": 1}
    standing.add([Vote("a", item, "background", "no", 2) for item in ("g0", "g1")])
    assert standing.open() == {}


@pytest.mark.parametrize(("complete", "most"), [(0, 3), (3, 2)])
def test_a_round_has_as_many_places_as_it_says(complete, most):
    standing = Standing(study(images=1, rounds=(3, 2), rule=Rule("majority", 3)))
    for worker in range(complete):
        standing.add(votes(str(worker), "i0", answer="yes" if worker else "no"))
    assert standing.choose({"i0": most - 1}, (), 1) == ["i0"]
    assert standing.choose({"i0": most}, (), 1) == []


def test_what_a_vote_changes_is_a_martingale_and_the_disputed_image_comes_first():
    """By hand: one question matters, a majority of three, after one vote each way the next decides."""
    rule, sure = Rule("majority", 1), ((2, 2), (2, 2))
    given_ = {"even": ((1, 2), *sure), "ahead": ((1, 1), (1, 1), (1, 1))}
    found = {each.item: each for each in next_votes(given_, {"even": 2, "ahead": 1}, 3, rule, {})}
    assert next(iter(found)) == "even"
    share = 0.6  # three supporting answers of two and one, and the prior's two
    chance = (1 + 2 * share) / 4
    assert found["even"].verified == pytest.approx(chance)
    assert found["even"].change == pytest.approx(2 * chance * (1 - chance))
    assert found["even"].left == pytest.approx(1)
    assert 1 < found["ahead"].left < 2


def test_dawid_skene_s_next_votes_go_by_the_posterior():
    rule, given_ = Rule("dawid-skene", 1), dict.fromkeys("abc", ((2, 3),) * 3)
    found = next_votes(given_, dict.fromkeys("abc", 3), 5, rule, {"a": 0.9, "b": 0.45, "c": 0.02})
    assert [each.item for each in found] == ["b", "a", "c"]
    assert found[0].change == pytest.approx(2 * 0.45 * 0.55 * 0.6)
    assert found[0].left == 2
