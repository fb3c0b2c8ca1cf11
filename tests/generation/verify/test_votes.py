"""The file of votes: whatever comes, in whatever order, nobody counts twice and the last answer is the one."""

import sqlite3
import stat

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d3s_dataset.errors import VerifyError
from generation.verify.prepare import tasks as files
from generation.verify.prepare.tasks import Item, Task, Tasks
from generation.verify.votes.assignments import Desk
from generation.verify.votes.secret import anonymous, secret
from generation.verify.votes.sittings import Closed
from generation.verify.votes.store import Kept, Store, Vote

ANSWERS = st.sampled_from(["yes", "no", "unsure"])
VOTES = st.builds(
    Vote,
    worker=st.sampled_from("ab"),
    item=st.sampled_from(["i", "j"]),
    question=st.sampled_from(["foreground", "unsafe"]),
    answer=ANSWERS,
    revision=st.integers(1, 3),
    source=st.sampled_from(["page", "x", "y"]),
)


STORES = []


@pytest.fixture(autouse=True)
def closed():
    yield
    while STORES:
        STORES.pop().close()


@settings(max_examples=10, deadline=None)
@given(st.lists(VOTES, max_size=15))
def test_votes_sent_again_count_once(tmp_path_factory, new_database, votes):
    store = opened(tmp_path_factory.mktemp("votes"), new_database())
    kept = [store.record([vote])[0] for vote in votes]
    before = store.last(), store.revisions()
    names = [(vote.worker, vote.item, vote.question) for vote in before[0]]
    assert len(names) == len(set(names))
    for vote, first in zip(votes, kept, strict=True):
        (again,) = store.record([vote])
        assert again.how == ("conflict" if first.how == "conflict" else "there")
    assert (store.last(), store.revisions()) == before
    store.close()


@settings(max_examples=10, deadline=None)
@given(st.lists(st.lists(VOTES, max_size=8), max_size=4))
def test_files_imported_again_add_nothing(tmp_path_factory, new_database, imports):
    store = opened(tmp_path_factory.mktemp("votes"), new_database())
    for votes in imports:
        store.add_all(votes)
    before = store.last()
    for votes in imports:
        assert store.add_all(votes) == (0, len(votes))
    assert store.last() == before
    store.close()


def test_a_changed_answer_is_a_revision_and_the_last_one_counts(tmp_path, new_database):
    store = opened(tmp_path, new_database())
    for revision, answer in enumerate(["yes", "no", "unsure"], 1):
        assert store.record([Vote("a", "i", "unsafe", answer, revision)])[0].how == "new"
    assert [(vote.answer, vote.revision) for vote in store.last()] == [("unsure", 3)]
    assert store.revisions() == 3
    late = store.record([Vote("a", "i", "unsafe", "yes", 2)])[0]
    assert (late.how, late.answer, late.revision) == ("conflict", "unsure", 3)


def desk(folder, url=None, workers=2, tasks=2):
    held = write_tasks(folder, workers, tasks)
    STORES.append(Store(folder, url))
    return Desk(held, STORES[-1])


def opened(folder, url):
    write_tasks(folder)
    STORES.append(Store(folder, url))
    return STORES[-1]


def write_tasks(folder, workers=2, tasks=2):
    items = [Item(id=f"i{n}", key=f"k{n}", image="a.jpg", guide=None, foreground=0, background=0) for n in range(tasks)]
    made = [Task(id=f"t{n}", items=[f"i{n}"]) for n in range(tasks)]
    held = Tasks(
        release="r", name="n", drawn="d", workers=workers, backgrounds=["grass"], examples={}, items=items, tasks=made
    )
    files.write(folder, held)
    return held


def test_tasks_go_to_as_many_people_as_were_asked_for(tmp_path, new_database):
    office = desk(tmp_path, new_database())
    seats = [office.seat(f"person:{n}") for n in range(4)]
    assert sorted(seat.task for seat in seats if seat) == ["t0", "t0", "t1", "t1"]
    assert office.seat("person:9") is None
    assert office.seat("person:0") == seats[0]  # who comes again goes on


def test_a_place_that_was_left_goes_to_somebody_else(tmp_path, new_database, monkeypatch):
    office = desk(tmp_path, new_database(), workers=1, tasks=1)
    assert office.seat("person:a")
    assert office.seat("person:b") is None
    monkeypatch.setattr("generation.verify.votes.sittings._PATIENCE", -1.0)
    assert office.seat("person:b")


def test_a_session_is_one_persons(tmp_path, new_database):
    office = desk(tmp_path, new_database())
    first = office.seat("mturk:a", "mturk:S1")
    assert office.seat("mturk:a", "mturk:S1") == first
    with pytest.raises(Closed):
        office.seat("mturk:b", "mturk:S1")
    second = office.seat("mturk:a", "mturk:S2")
    assert first
    assert second
    assert second.task != first.task


def test_a_task_is_submitted_whole_and_once(tmp_path, new_database):
    office = desk(tmp_path, new_database(), tasks=1)
    assert office.seat("person:a")
    assert office.finish("t0", "person:a", "") == 3
    for question in ("foreground", "background", "unsafe"):
        office.vote([Vote("person:a", "i0", question, "yes")])
    assert office.finish("t0", "person:a", "fine") == 0
    with pytest.raises(Closed):
        office.finish("t0", "person:a", "")
    (late,) = office.vote([Vote("person:a", "i0", "unsafe", "no", 2)])
    assert isinstance(late, Closed)
    assert {vote.answer for vote in office.store.last()} == {"yes"}


def test_the_secret_is_its_owners_alone(tmp_path):
    key = secret(tmp_path)
    assert secret(tmp_path) == key
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600
    assert anonymous(key, "person:anna") == anonymous(key, "person:anna") != anonymous(b"x" * 32, "person:anna")
    (tmp_path / "secret").write_text("short")
    with pytest.raises(VerifyError, match="no secret of 32 bytes"):
        secret(tmp_path)


def test_a_file_that_is_no_database_is_told(tmp_path):
    (tmp_path / "votes.sqlite").write_text("no database at all, but long enough to be read as one, perhaps" * 20)
    with pytest.raises(VerifyError, match="cannot be used as a file of votes"):
        Store(tmp_path)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_votes_are_their_owners_alone_and_in_one_file_once_closed(tmp_path):
    (tmp_path / "votes.sqlite").touch(0o644)
    store = Store(tmp_path)
    store.record([Vote("a", "i", "unsafe", "no")])
    assert {path.name: mode(path) for path in tmp_path.glob("votes.sqlite*")} == {
        "votes.sqlite": 0o600, "votes.sqlite-wal": 0o600, "votes.sqlite-shm": 0o600
    }  # fmt: skip
    store.close()
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "votes.sqlite").write_bytes((tmp_path / "votes.sqlite").read_bytes())
    copy = Store(tmp_path / "copy")
    assert [vote.answer for vote in copy.last()] == ["no"]
    copy.close()


@pytest.mark.parametrize("change", ["middle", "cut short"])
def test_a_damaged_file_of_votes_is_one_clear_line(tmp_path, change):
    store = Store(tmp_path)
    store.record(Vote(f"worker {number}", "i", "unsafe", "no") for number in range(2000))
    store.close()
    path = tmp_path / "votes.sqlite"
    content = bytearray(path.read_bytes())
    if change == "middle":
        content[8192 : len(content) - 4096] = b"\x07" * (len(content) - 12288)
    path.write_bytes(content[: len(content) // 2] if change == "cut short" else content)
    with pytest.raises(VerifyError, match="cannot be used as a file of votes") as caught:
        Store(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_task_that_was_not_begun_comes_back_soon_and_one_under_way_does_not(tmp_path, new_database, monkeypatch):
    monkeypatch.setattr("generation.verify.votes.sittings._LEASE", -1.0)
    office = desk(tmp_path, new_database(), workers=1, tasks=1)
    assert office.seat("prolific:a", "prolific:1")
    assert office.seat("prolific:b", "prolific:2")  # the first one has answered nothing
    office.vote([Vote("prolific:b", "i0", "unsafe", "no", seconds=9.0)])
    assert office.seat("prolific:c", "prolific:3") is None


OLDER = """
CREATE TABLE votes (worker TEXT NOT NULL, item TEXT NOT NULL, question TEXT NOT NULL, revision INTEGER NOT NULL,
    answer TEXT NOT NULL, seconds REAL, source TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (worker, item, question, revision)) {0};
CREATE TABLE sittings (task TEXT NOT NULL, worker TEXT NOT NULL, session TEXT NOT NULL UNIQUE, begun REAL NOT NULL,
    finished REAL, comment TEXT NOT NULL DEFAULT '', PRIMARY KEY (task, worker)) {0};
CREATE TABLE imported (worker TEXT NOT NULL, item TEXT NOT NULL, question TEXT NOT NULL, source TEXT NOT NULL,
    PRIMARY KEY (worker, item, question, source)) {0};
INSERT INTO votes VALUES ('person:a', 'i0', 'unsafe', 1, 'no', 2.5, 'page', 17e8);
INSERT INTO sittings (task, worker, session, begun) VALUES ('t0', 'person:a', 'person:a:t0', 17e8);
"""


@pytest.mark.parametrize("options", ["STRICT, WITHOUT ROWID", ""])
def test_a_file_of_an_older_version_opens_and_goes_on(tmp_path, options):
    base = sqlite3.connect(tmp_path / "votes.sqlite")
    base.executescript(OLDER.format(options))
    before = base.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    base.close()
    office = desk(tmp_path)
    assert office.store.last() == [Vote("person:a", "i0", "unsafe", "no", 1, 2.5, "page", 17e8)]
    assert [seat.answered for seat in office.sittings()] == [True]  # it has no visit
    assert office.sitting("t0", "person:a") == office.sittings()[0]
    assert office.sitting("t1", "person:a") is None
    assert office.vote([Vote("person:a", "i0", "unsafe", "yes", 2)])[0] == Kept("new", "yes", 2)
    assert office.seat("person:a").task == "t0"  # it goes on
    office.store.close()
    base = sqlite3.connect(tmp_path / "votes.sqlite")
    assert set(before) <= set(base.execute("SELECT name, sql FROM sqlite_master").fetchall())
    base.close()
