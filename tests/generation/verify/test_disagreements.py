"""What the monitor and the report show of annotators: colleagues by name, flags in words, disputed images."""

import json
import re
import shutil
from dataclasses import replace
from functools import partial

import pytest

from generation.verify.aggregate.disagreements import disputes
from generation.verify.aggregate.rules import Rule
from generation.verify.aggregate.votes_to_verdicts import aggregate
from generation.verify.aggregate.worker_quality import Limits, qualities
from generation.verify.crowds.colleagues import shown_name
from generation.verify.prepare import tasks as files
from generation.verify.server.monitor import figures
from generation.verify.votes.assignments import Desk
from generation.verify.votes.secret import anonymous, secret
from generation.verify.votes.store import Store, Vote
from tests.generation.verify.conftest import all_opinions

WRONG, FAST, CROWD = "person:cleo", "prolific:5f00bot", "prolific:5f01good"
PEOPLE = ("person:anna", "person:ben", CROWD, WRONG, FAST)


def votes_of(folder):
    """Two colleagues and a crowd worker, a colleague who fails gold questions, a crowd worker at 0.3 s per image."""
    held = files.read(folder)
    found = []
    for worker, _, item, question, answer in all_opinions(folder, PEOPLE):
        wrong = worker == WRONG and held.by_id[item].key is None
        answer = {"yes": "no", "no": "yes"}[answer] if wrong else answer
        found.append(Vote(worker, item, question, answer, seconds=0.3 if worker == FAST else 6.0, at=1.0))
    return found


@pytest.fixture(scope="module")
def voted(prepared, tmp_path_factory, few_rounds):
    folder = shutil.copytree(prepared, tmp_path_factory.mktemp("voted") / "tasks")
    store = Store(folder)
    store.add_all(votes_of(folder))
    store.close()
    # Four gold questions times three at 0.75: only the one who answers all of them wrong is below 0.7.
    aggregate(folder, Rule(), Limits())
    return folder


@pytest.fixture
def told(voted):
    store = Store(voted)
    yield json.loads(json.dumps(figures(Desk(files.read(voted), store), secret(voted))))
    store.close()


def test_colleagues_are_shown_by_name_and_crowd_workers_are_not(voted, told):
    key = secret(voted)
    assert shown_name(key, "person:anna") == "anna"
    assert shown_name(key, CROWD) == anonymous(key, CROWD)
    assert shown_name(key, "person:") == anonymous(key, "person:")
    names = {each["person"] for each in told["people"]}
    assert names == {"anna", "ben", "cleo", anonymous(key, CROWD), anonymous(key, FAST)}
    report = (voted / "report.html").read_text()
    for text in (report, json.dumps(told)):
        assert all(name in text for name in ("anna", "ben", "cleo"))
        assert "5f00bot" not in text
        assert "5f01good" not in text
    # What leaves the house holds pseudonyms alone.
    assert not re.search(r"anna|ben\b|cleo", (voted / "verdicts.json").read_text())


def test_who_fails_gold_questions_or_answers_at_once_is_flagged_and_comes_first(voted, told):
    flagged = [each for each in told["people"] if each["flags"]]
    assert flagged == told["people"][:2]
    flags = {each["person"]: each["flags"] for each in flagged}
    assert flags["cleo"][0].startswith("0 of ")
    assert flags["cleo"][0].endswith(" gold questions correct")
    assert flags[anonymous(secret(voted), FAST)] == ["median time 0.3 s per image"]
    assert told["limits"][1] == "median time below 1 s per image (at least 20 answers)"
    report = (voted / "report.html").read_text()
    assert re.search(r'<tr class="out"><td>cleo</td><td class="text why">0 of \d+ gold questions correct', report)
    assert report.index("<td>cleo</td>") < report.index("<td>anna</td>")
    assert "median time 0.3 s per image" in report


def test_every_threshold_that_is_missed_is_said(prepared):
    held = files.read(prepared)
    both = [replace(vote, worker=WRONG, seconds=0.3) for vote in votes_of(prepared) if vote.worker == WRONG]
    (quality,) = qualities(held, both, compare=False).values()
    assert [each.split()[-1] for each in quality.flags(Limits())] == ["correct", "image"]
    assert quality.why_not(Limits()) == quality.flags(Limits())[0]


def test_disputes_are_those_of_a_count_by_hand(prepared):
    held, votes = files.read(prepared), votes_of(prepared)
    found = disputes(held, votes, partial(shown_name, b"k" * 32))
    for question, given in found.items():
        answers = {}
        for vote in votes:
            if vote.question == question and held.by_id[vote.item].key is not None:
                answers.setdefault(vote.item, []).append(vote.answer)
        wanted = {item for item, each in answers.items() if len(set(each)) > 1}
        assert {each.item.id for each in given} == wanted
        assert len(given) == len(wanted)
        splits = [1 - max(answers[each.item.id].count(one) for one in ("yes", "no")) / 5 for each in given]
        assert splits == sorted(splits, reverse=True)
        assert [each.split for each in given] == pytest.approx(splits)
    assert sum(map(len, found.values())) > 0
    assert disputes(held, [], str) == {"foreground": [], "background": [], "unsafe": []}


def test_the_report_shows_disputed_pictures_and_asks_nothing_of_anywhere(voted):
    report = (voted / "report.html").read_text()
    assert 0 < report.count("<article>") == report.count("</article>")
    assert report.count('src="data:image/jpeg;base64,') >= report.count("<article>")
    assert not re.search(r'(src|href)="(?!data:)', report)
    held = files.read(voted)
    counted = [vote for vote in votes_of(voted) if vote.worker not in (WRONG, FAST)]
    for question, given in disputes(held, counted, str).items():
        shown = f"<summary>{question}: {min(len(given), 12)} of {len(given)} shown" if given else f"{question}: no two"
        assert shown in report


def test_a_study_without_a_verdict_says_so(prepared, tmp_path, few_rounds):
    folder = shutil.copytree(prepared, tmp_path / "tasks")
    store = Store(folder)
    store.add_all(vote for vote in votes_of(folder) if vote.worker == "person:anna")
    store.close()
    aggregate(folder, Rule(), Limits())
    report = (folder / "report.html").read_text()
    for text in ("No image has a verdict yet", "No background has an image with a verdict yet", "not defined",
                 "foreground: no two annotators disagree", "No plot: "):  # fmt: skip
        assert text in report
