"""One annotator: excluded with a reason and counted again, both on record; forgotten, down to the bytes of the file."""

import json

import pytest

from generation.verify.__main__ import main
from generation.verify.aggregate import verdicts as results
from generation.verify.aggregate.rules import Rule
from generation.verify.aggregate.votes_to_verdicts import aggregate, judge
from generation.verify.aggregate.worker_quality import Limits, qualities
from generation.verify.prepare import tasks as files
from generation.verify.server.monitor import figures
from generation.verify.votes import annotators
from generation.verify.votes.assignments import Desk
from generation.verify.votes.forgetting import DELETED, RENAMED, without
from generation.verify.votes.secret import anonymous, secret
from generation.verify.votes.sittings import Client
from generation.verify.votes.store import Store, Vote
from generation.verify.votes.tables import ARRIVALS, ASSIGNED, METADATA, SITTINGS, VOTES
from tests.generation.verify.conftest import last_votes, refused
from tests.generation.verify.test_disagreements import CROWD, WRONG, votes_of

ID = "5f01good"  # of a crowd worker


@pytest.fixture
def voted(tasks_folder, few_rounds):
    store = Store(tasks_folder)
    store.add_all(votes_of(tasks_folder))
    store.close()
    return tasks_folder


def bytes_of(folder):
    """All bytes of the files beside the pictures, those that SQLite keeps while the file is open included."""
    return b"".join(path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file())


def test_excluded_votes_count_nowhere_until_the_undo_and_both_stay_on_record(voted, capsys):
    before = aggregate(voted, Rule(), Limits())
    main(["exclude", str(voted), "anna", "--reason", "guessed   throughout"])
    assert "count nowhere: guessed throughout; verdicts follow at the next" in capsys.readouterr().out
    name = anonymous(secret(voted), "person:anna")
    without_her = aggregate(voted, Rule(), Limits())
    assert without_her.left_out[name] == "excluded by the owner: guessed throughout"
    assert set(without_her.left_out) == {*before.left_out, name}
    votes = [vote for vote in last_votes(voted) if vote.worker != "person:anna"]
    alone, _ = judge(files.read(voted), votes, Rule(), Limits(), secret(voted))
    assert without_her.rows == alone.rows != before.rows
    assert without_her.votes_digest != before.votes_digest
    assert len(last_votes(voted)) == len(votes_of(voted))  # nothing is deleted
    assert "excluded already" in refused("exclude", voted, "anna", "--reason", "again")
    main(["exclude", str(voted), "anna", "--undo", "--reason", "she did not"])
    assert aggregate(voted, Rule(), Limits()) == before
    store = Store(voted)
    told = [(each.undone, each.reason) for each in annotators.history(store, "person:anna")]
    assert told == [(False, "guessed throughout"), (True, "she did not")]
    store.close()
    assert "is not excluded" in refused("exclude", voted, "anna", "--undo")
    assert "expected --reason TEXT, or --undo" in refused("exclude", voted, "anna", "--reason", "  ")
    assert "no annotator is called nobody" in refused("exclude", voted, "nobody", "--reason", "x")


def test_the_monitor_and_the_majority_are_without_the_excluded(voted):
    held, store = files.read(voted), Store(voted)
    desk, key = Desk(held, store), secret(voted)
    before = figures(desk, key)
    annotators.exclude(store, "person:anna", "x")
    after = figures(desk, key)
    assert before["answers"]["given"] - after["answers"]["given"] == 132
    assert [each["excluded"] for each in after["people"]] == [None, None, None, None, "x"]
    assert "anna" in json.dumps(before["disputed"])
    assert "anna" not in json.dumps(after["disputed"])
    assert desk.seat("person:anna") is None  # and no new task for somebody whose votes do not count
    votes = store.last()
    others = [vote for vote in votes if vote.worker != "person:anna"]
    found = qualities(held, votes, excluded={"person:anna"})
    assert found.pop("person:anna") == qualities(held, votes)["person:anna"]
    assert found == qualities(held, others)
    store.close()


def with_everything(folder, worker, database=None):
    """Give an annotator something in every table."""
    store = Store(folder, database)
    desk = Desk(files.read(folder), store)
    stranger = Client("digest-of-an-address", "content-of-a-cookie")
    seat = desk.seat(worker, f"prolific:session-of-{ID}", stranger)
    assert seat
    with pytest.raises(Exception, match="another browser"):
        desk.seat(worker, "x", Client("a", "b"))
    with store.transaction() as base:
        base.execute(SITTINGS.update().values(finished=2e9, comment=f"I am {ID}, call me"))
        base.execute(ARRIVALS.insert().values(number=9999, worker=worker, item="i", question="unsafe", revision=1))
        base.execute(ASSIGNED.insert().values(task="drawn", worker=worker, item="item", place=0))
        base.execute(VOTES.update().where(VOTES.c.worker == worker).values(source=f"mturk:{ID}"))
    annotators.agree(store, worker, "the text", 18)
    annotators.name(store, {worker: "Grace H."})
    annotators.exclude(store, worker, f"{ID} and Grace H. guessed")
    with store.transaction() as base:
        counts = {table.name: base.execute(table.select().where(table.c.worker == worker)).first() is not None
                  for table in METADATA.tables.values() if "worker" in table.c}  # fmt: skip
    assert all(counts.values()), counts
    return store


def test_every_table_with_people_is_one_that_forgets():
    named = {table for table in METADATA.tables.values() if "worker" in table.c}
    assert named == {*DELETED, *RENAMED}


@pytest.mark.parametrize("called", [CROWD, "the pseudonym"])
def test_forgotten_down_to_the_bytes_while_the_votes_stay(voted, capsys, called):
    key = secret(voted)
    with_everything(voted, CROWD).close()
    before, votes = aggregate(voted, Rule(), Limits()), last_votes(voted)
    server = Store(voted)  # a server may have the file open
    server.last()
    assert bytes_of(voted).count(ID.encode()) > 0
    pseudonym = anonymous(key, CROWD)
    main(["forget", str(voted), CROWD if called == CROWD else pseudonym])
    said = capsys.readouterr().out
    for traces in (ID, pseudonym, "Grace H", "digest-of-an-address", "content-of-a-cookie"):
        assert traces.encode() not in bytes_of(voted), traces
    assert "1 comment, 1 address digest, 1 browser, 1 count of other browsers, 132 import records, 1 agreement" in said
    assert "kept: 132 answers, 1 assignment, 1 decision, under the random name " in said
    assert "report.html" in said
    after = [vote for vote in server.last() if vote.worker.startswith("forgotten:")]
    assert len({vote.worker for vote in after}) == 1
    same = [(vote.item, vote.question, vote.answer, vote.seconds) for vote in votes if vote.worker == CROWD]
    assert [(vote.item, vote.question, vote.answer, vote.seconds) for vote in after] == same
    assert {vote.at % 86_400 for vote in after} == {0}
    assert {vote.source for vote in after} == {"forgotten"}
    server.close()
    found = results.read(voted)  # still the verdicts of these votes
    assert found.rows == before.rows
    assert list(found.left_out.values())[-1].endswith("forgotten and forgotten guessed")
    assert aggregate(voted, Rule(), Limits()).model_dump(exclude={"left_out"}) == found.model_dump(exclude={"left_out"})
    assert "no annotator is called" in refused("forget", voted, called if called == CROWD else pseudonym)


def test_forgotten_with_the_votes(voted, capsys):
    with_everything(voted, CROWD).close()
    before = last_votes(voted)
    main(["forget", str(voted), CROWD, "--with-votes"])
    assert "132 answers, 1 assignment, 1 decision\n" in capsys.readouterr().out
    assert ID.encode() not in bytes_of(voted)
    assert last_votes(voted) == [vote for vote in before if vote.worker != CROWD]


def test_forgotten_in_the_tables_and_files_of_postgresql(tasks_folder, few_rounds, postgres, capsys):
    database = postgres.new()
    store = Store(tasks_folder, database)
    store.add_all(votes_of(tasks_folder))
    store.close()
    with_everything(tasks_folder, CROWD, database).close()
    assert ID.encode() in postgres.tables()
    main(["forget", str(tasks_folder), CROWD, "--database", database])
    assert "kept: 132 answers, 1 assignment, 1 decision, under the random name " in capsys.readouterr().out
    for traces in (ID, "Grace H", "digest-of-an-address", "content-of-a-cookie"):
        assert traces.encode() not in postgres.tables(), traces
    assert sum(vote.worker.startswith("forgotten:") for vote in last_votes(tasks_folder, database=database)) == 132
    assert "no annotator is called" in refused("forget", tasks_folder, CROWD, "--database", database)


def test_what_left_the_house_before_holds_pseudonyms_alone(voted):
    with_everything(voted, WRONG).close()
    aggregate(voted, Rule(), Limits())
    verdicts = (voted / "verdicts.json").read_text()
    assert "Grace" in (voted / "report.html").read_text()  # a colleague, by the display name
    assert "cleo" not in verdicts.replace("5f01good and Grace H. guessed", "")


def test_a_name_that_two_people_have_is_refused(voted):
    store = Store(voted)
    store.record([Vote("person:x", files.read(voted).items[0].id, "unsafe", "no")])
    annotators.name(store, {"person:x": "anna"})
    store.close()
    assert "2 annotators are called anna" in refused("forget", voted, "anna")
    assert "expected a name of its own for each person" in refused("serve", voted, "--port", "0", "--people", "b=ben")
    assert "1 to 80 characters" in refused("serve", voted, "--port", "0", "--people", "b=")


def test_names_are_replaced_as_whole_words():
    assert without(["ann", "person:ann"], "Ann, person:ann and Annika") == "forgotten, forgotten and Annika"
