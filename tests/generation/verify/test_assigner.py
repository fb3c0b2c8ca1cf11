"""Assignments during the rounds: open images only, nobody twice, nothing beyond the rule, whoever comes at once."""

import threading

import pytest
from sqlalchemy import select

from generation.verify.aggregate.stopping import progress
from generation.verify.prepare.rounds import Rule
from generation.verify.rounds.assigner import AdaptiveAssigner
from generation.verify.votes.assignments import Desk
from generation.verify.votes.forgetting import forget
from generation.verify.votes.seating import Arrival
from generation.verify.votes.sittings import Client, Closed, Taken
from generation.verify.votes.store import Store, Vote
from generation.verify.votes.tables import METADATA
from tests.generation.verify.test_rounds import study, votes


def desk(folder, held):
    store = Store(folder)
    return Desk(held, store, assigner=AdaptiveAssigner(held, store))


def answer(office, seat, said="yes"):
    """Answer all of an assignment, gold questions rightly, and submit it."""
    items = office.items(seat.task)
    for item in items:
        right = office.tasks.by_id[item].expected
        office.vote(votes(seat.worker, item, **(right or {"answer": said})))
    assert office.finish(seat.task, seat.worker, "") == 0
    return set(items)


def images(items):
    return {item for item in items if item.startswith("i")}


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """No submission is too fast: these annotators take no time."""
    monkeypatch.setattr("generation.verify.votes.sittings.Bounds.__init__.__defaults__", (10, 0.0))


def test_the_second_round_holds_undecided_images_only(tmp_path):
    office = desk(tmp_path, study(images=4, gold=0, rounds=(2, 1), rule=Rule("majority", 2), per_task=9))
    for worker, said in (("a", "yes"), ("b", "yes")):
        seat = office.seat(worker)
        items = office.items(seat.task)
        for item in items:
            office.vote(votes(worker, item, answer="no" if (worker, item) == ("b", "i2") else said))
        assert office.finish(seat.task, worker, "") == 0
    third = office.seat("c")
    assert office.items(third.task) == ("i2",)
    answer(office, third)
    assert office.seat("d") is None


def test_nobody_gets_an_item_twice_and_gold_questions_are_fresh(tmp_path):
    office = desk(tmp_path, study(images=6, gold=2, rounds=(1, 1, 1), rule=Rule("full", 3), per_task=2))
    had = []
    while seat := office.seat("a"):
        had.append(sorted(answer(office, seat)))
    assert len(had) == 3
    assert [len(each) for each in had] == [3, 3, 2]  # two images each; the third finds no fresh gold question
    assert len({item for each in had for item in each}) == 8


def test_a_session_keeps_its_items_and_a_vote_on_another_one_is_refused(tmp_path):
    office = desk(tmp_path, study(images=4, gold=0, per_task=2))
    first, other = office.seat("mturk:a", "mturk:1"), office.seat("mturk:b", "mturk:2")
    assert office.seat("mturk:a", "mturk:1") == first
    assert not set(office.items(first.task)) & set(office.items(other.task))
    (said,) = office.vote([Vote("mturk:a", office.items(other.task)[0], "unsafe", "no")])
    assert isinstance(said, Closed)
    assert office.finish(first.task, "mturk:a", "") == 6


def test_who_comes_in_the_same_moment_is_assigned_one_after_the_other(tmp_path):
    office = desk(tmp_path, study(images=4, gold=0, rounds=(1, 1), per_task=2))
    client, other = Client("home", "hers"), Client("work", "his")
    first, second, thief, stolen, third, late = office.seat_all([
        Arrival("mturk:a", "mturk:1", client), Arrival("mturk:a", "mturk:2", Client("home", "hers")),
        Arrival("mturk:a", "mturk:3", other), Arrival("mturk:b", "mturk:1", other),
        Arrival("person:c"), Arrival("person:d"),
    ])  # fmt: skip
    assert len(set(office.items(first.task) + office.items(third.task))) == 4
    assert isinstance(second, Closed)
    assert "in this browser" in str(second)
    assert isinstance(thief, Taken)
    assert isinstance(stolen, Closed)
    assert office.store.refused() == {"mturk:a": 1}
    assert late is None
    assert office.seat("mturk:a", "mturk:1", client) == first
    assert [each.task for each in office.sittings()] == [first.task, third.task]


def test_nobody_gets_an_item_twice_in_the_same_moment(tmp_path):
    office = desk(tmp_path, study(images=4, gold=0, rounds=(2, 1), per_task=3))
    seats = office.seat_all([Arrival("mturk:a", f"mturk:{number}") for number in range(3)])
    assert [len(office.items(seat.task)) for seat in seats[:2]] == [3, 1]
    assert len(set(office.items(seats[0].task) + office.items(seats[1].task))) == 4
    assert seats[2] is None


def test_a_place_that_was_left_is_free_again(tmp_path, monkeypatch):
    office = desk(tmp_path, study(images=1, gold=0))
    assert office.seat("a")
    assert office.seat("b") is None
    monkeypatch.setattr("generation.verify.votes.sittings._LEASE", -1.0)
    assert office.seat("b")


def test_gold_failed_or_handed_in_too_fast_the_images_are_open_again(tmp_path, monkeypatch):
    held = study(images=1, gold=2, rounds=(1, 1), rule=Rule("majority", 1)).model_copy(update={"gold": 2})
    office = desk(tmp_path, held)
    seat = office.seat("bad")
    for item in office.items(seat.task):
        wrong = dict.fromkeys(held.by_id[item].expected, "unsure")
        office.vote(votes("bad", item, **wrong))
    answer(office, office.seat("good"))
    third = office.seat("c")  # bad's vote does not count, so a place is free
    assert images(office.items(third.task)) == {"i0"}
    monkeypatch.setattr("generation.verify.votes.sittings.Bounds.__init__.__defaults__", (10, 1.0))
    hasty = desk(tmp_path, held)
    for item in hasty.items(third.task):
        hasty.vote(votes("c", item, **held.by_id[item].expected))
    assert hasty.finish(third.task, "c", "") == 0
    assert hasty.seat("d")


def test_another_server_and_an_import_are_noticed(tmp_path):
    held = study(images=2, gold=0, rounds=(1, 1, 1), per_task=9)
    one, two = desk(tmp_path, held), desk(tmp_path, held)
    seat = one.seat("a")
    assert two.seat("b") is None
    answer(one, seat)
    assert len(two.items(two.seat("b").task)) == 2
    one.store.add_all(votes("c", "i0", "i1"))
    assert one.seat("d") is None  # two of three
    assert two.items(seat.task) == one.items(seat.task)


@pytest.mark.parametrize("gone", [True, False], ids=["with the votes", "the name alone"])
def test_who_is_forgotten_is_so_in_a_server_that_runs(tmp_path, gone):
    held = study(images=1, gold=0, rounds=(1, 1, 1))
    office = desk(tmp_path, held)
    for worker in ("a", "b"):
        answer(office, office.seat(worker))
    assert office.seat("c") is None  # two of three
    store = Store(tmp_path)
    forget(store, "b", ["b"], votes=gone)
    store.add_all(votes("d", "i0", answer="no") if gone else [])
    rows = [row for table in METADATA.sorted_tables for row in store.read(select(table))]
    assert rows
    assert not [row for row in rows if "b" in row]
    store.close()
    seat = office.seat("c")
    assert (seat is not None) == gone  # yes and no: the third one decides


def test_a_restart_finds_the_same_assignments_and_open_images(tmp_path):
    held = study(images=5, gold=2, rounds=(1, 1, 1), per_task=2)
    office = desk(tmp_path, held)
    answer(office, office.seat("a"))
    begun = office.seat("b")
    again = desk(tmp_path, held)
    assert again.seat("b") == begun
    assert again.items(begun.task) == office.items(begun.task)
    assert again.seat("c").task == office.seat("c").task


def test_twenty_at_once_get_nothing_beyond_the_rule(tmp_path):
    """Two servers, twenty annotators, rounds of one: never two people at an image, never more than its annotators."""
    held = study(images=30, gold=3, rounds=(1, 1, 1), rule=Rule("majority", 1), per_task=3)
    offices = [desk(tmp_path, held), desk(tmp_path, held)]
    at, most, lock, gate = dict.fromkeys(held.by_id, 0), {}, threading.Lock(), threading.Barrier(20)

    def come(number):
        office, said = offices[number % 2], "yes" if number % 3 else "no"
        gate.wait()
        while seat := office.seat(f"p{number}"):
            with lock:
                for item in images(office.items(seat.task)):
                    at[item] += 1
                    most[item] = max(most.get(item, 0), at[item])
            for item in office.items(seat.task):
                with lock:
                    at[item] -= item.startswith("i")
                office.vote(votes(seat.worker, item, **(held.by_id[item].expected or {"answer": said})))
            assert office.finish(seat.task, seat.worker, "") == 0

    people = [threading.Thread(target=come, args=(number,)) for number in range(20)]
    for each in people:
        each.start()
    for each in people:
        each.join()
    for number in range(20, 23):  # those who came while others were at the last images are gone
        while seat := offices[0].seat(f"p{number}"):
            answer(offices[0], seat)
    final = offices[0].store.last()
    assert set(most.values()) == {1}
    assert progress(held, final, held.rule, {}).open == {}
    assert {len({vote.worker for vote in final if vote.item == item.id}) for item in held.images} == {2, 3}
