"""Rounds through the served page: what a second round holds, what opens images again, and a server killed in it."""

import json
import re

import pytest

from generation.verify.prepare import tasks as files
from generation.verify.prepare.rounds import Rule
from generation.verify.votes import annotators
from generation.verify.votes.store import Store
from tests.generation.verify.conftest import last_votes, start
from tests.generation.verify.test_page import answer, data_of, prolific

IMAGES = 4  # with two gold questions 18 answers, too few for a median time per image


@pytest.fixture
def folder(tasks_folder):
    """Four images and six gold questions in rounds of 2 + 1, a majority of three."""
    held = files.read(tasks_folder)
    gold = [item for item in held.items if item.key is None]
    task = held.tasks[0].model_copy(update={"items": [item.id for item in held.images[:IMAGES] + gold]})
    change = {"items": held.images[:IMAGES] + gold, "tasks": [task], "rounds": [2, 1], "rule": Rule("majority", 2)}
    files.write(tasks_folder, held.model_copy(update={**change, "per_task": 9, "gold": 2}))
    return tasks_folder


@pytest.fixture
def pages():
    found = []
    yield found
    for page in found:
        page.kill()


def served(folder, pages, port=0):
    pages.append(start(folder, "--floor", "0", "--completion-code", "C0DE", "--open-per-address", "50", port=port))
    return pages[-1]


def vote_on(page, task, said, right=True, but=()):
    """Answer a task's images by `said` and its gold questions rightly or not; return the ids of the images."""
    held, own = files.read(page.folder), []
    for item in (each["id"] for each in data_of(page, task)["items"]):
        expected = held.by_id[item].expected
        if not expected:
            own.append(item)
        if item in but:
            continue
        for question in ("foreground", "background", "unsafe"):
            known = expected.get(question, "no") if right else "unsure"
            good = said.get(item, "yes") if question == "foreground" else "no" if question == "unsafe" else "yes"
            assert page.ask(f"{task}/votes", answer(item, question, known if expected else good))[0] == 200
    return own


def hand_in(page, who, said=None, right=True):
    task = page.enter(who)
    own = vote_on(page, task, said or {}, right)
    assert page.ask(f"{task}/finish", {})[0] == 200
    return own


def nothing_left(page, who):
    status, text, _ = page.ask(page.links.get(who, who), Cookie=page.cookies.get(who, ""))
    return status == 200 and "no more tasks for you" in text


def test_the_second_round_holds_undecided_images_only_and_an_exclusion_opens_more(folder, pages):
    page = served(folder, pages)
    first = hand_in(page, "anna")
    assert len(first) == IMAGES
    hand_in(page, "ben", {first[0]: "no"})
    assert nothing_left(page, "anna")  # nobody gets an image twice
    task = page.enter("cleo")
    assert [item for item in (each["id"] for each in data_of(page, task)["items"]) if item in first] == [first[0]]
    shown = json.loads(page.ask(page.links["review"] + "/figures")[1])["rounds"]
    assert ["open images", f"1 of {IMAGES}"] in shown["lines"]
    assert ["in round 2", "1"] in shown["lines"]
    assert ["expected votes left", "about 1"] in shown["lines"]
    assert [row[1] for row in shown["next"]] == ["2"]
    store = Store(folder)
    annotators.exclude(store, "person:ben", "asked to leave")
    store.close()
    dora = hand_in(page, prolific(page, "dora", "s1"))
    assert sorted(dora) == sorted(first[1:])  # the first image has one vote, and cleo at it
    store = Store(folder)
    annotators.exclude(store, "person:ben", "", undo=True)
    store.close()
    assert nothing_left(page, prolific(page, "emil", "s2"))


def test_failed_gold_questions_open_images_again(folder, pages):
    page = served(folder, pages)
    first = hand_in(page, prolific(page, "good", "s1"))
    assert sorted(hand_in(page, prolific(page, "careless", "s2"), right=False)) == sorted(first)
    assert sorted(hand_in(page, prolific(page, "another", "s3"))) == sorted(first)
    assert nothing_left(page, prolific(page, "late", "s4"))


def test_a_link_shows_and_takes_its_own_items_only(folder, pages):
    page = served(folder, pages)
    held = files.read(folder)
    task = page.enter("anna")
    own = {each["id"] for each in data_of(page, task)["items"]}
    other = next(item for item in held.items if item.id not in own)  # a gold question that is not anna's
    assert page.ask(f"{task}/votes", answer(other.id))[0] == 403
    assert page.ask(f"{task}/images/{other.image}")[0] == 403
    assert page.ask(f"{task}/images/{held.by_id[min(own)].image}")[0] == 200
    vote_on(page, task, {}, but=[min(own)])
    status, text, _ = page.ask(f"{task}/finish", {})
    assert (status, json.loads(text)) == (409, {"missing": 3})


def test_kill_9_in_the_second_round_loses_nothing(folder, pages):
    page = served(folder, pages)
    first = hand_in(page, "anna")
    hand_in(page, "ben", dict.fromkeys(first[:2], "no"))
    task = page.enter("cleo")
    before = data_of(page, task)["items"]
    acknowledged = answer(next(each["id"] for each in before if each["id"] in first), "foreground", "yes")
    assert page.ask(f"{task}/votes", acknowledged)[0] == 200
    page.kill()
    again = served(folder, pages, port=int(re.search(r":(\d+)$", page.base)[1]))
    assert data_of(again, task)["items"] == before
    assert again.enter("cleo").startswith("/t/")
    assert data_of(again, task)["given"] == {acknowledged["item"]: {"foreground": ["yes", 1]}}
    assert nothing_left(again, prolific(again, "dora", "s1"))  # cleo's two images are all that is open
    vote_on(again, task, {}, but=[acknowledged["item"]])
    for question, said in (("background", "yes"), ("unsafe", "no")):
        assert again.ask(f"{task}/votes", answer(acknowledged["item"], question, said))[0] == 200
    assert again.ask(f"{task}/finish", {})[0] == 200
    per_image = [len({vote.worker for vote in last_votes(folder) if vote.item == item}) for item in first]
    assert per_image == [3, 3, 2, 2]
