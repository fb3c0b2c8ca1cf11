"""Votes in PostgreSQL: two servers at once, a server that restarts, and every bad URL as one line."""

import shutil
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from d3s_dataset.errors import VerifyError
from generation.verify.__main__ import main
from generation.verify.prepare import tasks as files
from generation.verify.votes.assignments import Desk
from generation.verify.votes.errors import Unavailable
from generation.verify.votes.postgresql import parsed, shown
from generation.verify.votes.store import Store, Vote
from tests.conftest import ROOT, one_line_error
from tests.generation.verify.conftest import PEOPLE, all_opinions, last_votes, refused, start
from tests.generation.verify.postgres import running


def test_two_servers_give_no_place_twice(tasks_folder, postgres):
    url, held = postgres.new(), files.read(tasks_folder)
    desks = [Desk(held, Store(tasks_folder, url)) for _ in range(2)]
    with ThreadPoolExecutor(16) as people:
        seats = list(people.map(lambda number: desks[number % 2].seat(f"person:{number}"), range(24)))
    assert Counter(seat.task for seat in seats if seat) == dict.fromkeys(held.task_by_id, held.workers)
    item = held.tasks[0].items[0]
    worker = next(seat.worker for seat in seats if seat and seat.task == held.tasks[0].id)
    with ThreadPoolExecutor(16) as servers:  # the same answer by both, as after a lost acknowledgement
        votes = [Vote(worker, item, "unsafe", "no", revision) for revision in range(1, 13)]
        kept = list(servers.map(lambda vote: [desk.vote([vote])[0] for desk in desks], [*votes, *votes]))
    assert desks[0].store.revisions() == sum(each.how == "new" for both in kept for each in both) <= len(votes)
    for desk in desks:
        desk.store.close()


def test_votes_outlive_a_crash_of_the_database_and_the_page_goes_on(tasks_folder):
    with running() as server:
        held, url = files.read(tasks_folder), server.url()
        page = start(tasks_folder, database=url)
        task = page.enter("anna")
        seat = held.task_by_id[Desk(held, store := Store(tasks_folder, url)).sittings()[0].task]
        vote = {"item": seat.items[0], "question": "unsafe", "answer": "no", "revision": 1, "seconds": 2.0}
        assert page.ask(f"{task}/votes", vote)[0] == 200
        server.stop(signal.SIGQUIT)
        status, text, _ = page.ask(f"{task}/votes", vote | {"revision": 2})
        assert (status, "try again" in text, str(server.folder) in text) == (503, True, False)
        with pytest.raises(Unavailable, match="cannot be used for votes"):
            store.last()
        server.start()
        assert [each.revision for each in store.last()] == [1]
        assert page.ask(f"{task}/votes", vote | {"revision": 2})[0] == 200
        assert [each.revision for each in store.last()] == [2]
        with store.transaction() as base:
            settings = base.exec_driver_sql("SELECT current_setting('synchronous_commit'), current_setting('fsync')")
            assert settings.one() == ("on", "on")
        store.close()
        page.kill()


def test_commands_find_the_votes_of_a_database(few_rounds, redrawn, tasks_folder, postgres, tmp_path, capsys):
    url, other = postgres.new(), postgres.new()
    store = Store(tasks_folder, url)
    store.record(Vote(worker, item, question, answer, seconds=5.0)
                 for worker, _, item, question, answer in all_opinions(tasks_folder))  # fmt: skip
    store.close()
    main(["export", str(tasks_folder), "--to", "csv", "--out", str(tmp_path), "--database", url])
    for _ in range(2):
        main(["import", str(tasks_folder), str(tmp_path / "votes.csv"), "--database", other])
    assert "0 new answers" in capsys.readouterr().out
    votes = {(*vote.key, vote.answer) for vote in last_votes(tasks_folder, database=url)}
    assert {(*vote.key, vote.answer) for vote in last_votes(tasks_folder, database=other)} == votes
    main(["aggregate", str(tasks_folder), "--database", url])
    assert "another --database" in refused("apply", redrawn, tasks_folder, "--out", tmp_path / "new")
    main(["apply", str(redrawn), str(tasks_folder), "--out", str(tmp_path / "new"), "--database", other])
    assert f"{len(votes):,} votes" in capsys.readouterr().out
    assert len({vote[0] for vote in votes}) == len(PEOPLE)


def test_a_database_is_of_one_tasks_folder(tasks_folder, postgres, tmp_path):
    url, held = postgres.new(), files.read(tasks_folder)
    Store(tasks_folder, url).close()
    more = shutil.copytree(tasks_folder, tmp_path / "more workers")
    files.write(more, held.model_copy(update={"workers": 9}))
    Store(more, url).close()  # the images and tasks are the same
    files.write(more, held.model_copy(update={"tasks": held.tasks[:1]}))
    assert "create a database of its own (createdb NAME)" in refused("export", more, *CSV, "--database", url)
    copy = shutil.copytree(tasks_folder, tmp_path / "copy")
    (copy / "secret").unlink()
    assert "expected the file 'secret' of the first server" in refused("export", copy, *CSV, "--database", url)


CSV = ("--to", "csv", "--out", "nowhere")
BAD = {
    "another database": ("mysql://root:sesame@host/votes", "--database: expected postgresql://USER@HOST/DATABASE"),
    "no URL": ("root:sesame@host/votes", "--database: expected postgresql://USER@HOST/DATABASE"),
    "an @ in the password": ("postgresql://root:open@sesame@host/votes", "%40 for an @ in a password"),
    "an odd port": ("postgresql://root:sesame@host:port/votes", "a whole number as port"),
    "no server": ("postgresql://root:sesame@localhost:1/votes", "localhost:1/votes cannot be used for votes"),
    "an unknown parameter": ("postgresql://root:sesame@localhost:1/votes?sslmod=x", "invalid connection option"),
}


@pytest.mark.parametrize(("url", "says"), BAD.values(), ids=BAD.keys())
def test_a_bad_url_is_one_line_without_the_password(tasks_folder, url, says):
    said = refused("export", tasks_folder, *CSV, "--database", url)
    assert says in said
    assert "sesame" not in said


def test_a_refused_login_is_one_line_without_the_password(tasks_folder, postgres):
    for user, database, says in [
        ("locked:open sesam", "postgres", 'password authentication failed for user "locked"'),
        ("locked:sesame", "nowhere", 'database "nowhere" does not exist'),
    ]:
        said = refused("export", tasks_folder, *CSV, "--database", postgres.url(user, database))
        assert says in said
        assert "sesam" not in said
    with psycopg.connect(postgres.url("locked:sesame")) as base:  # the right one
        assert base.execute("SELECT 1").fetchone() == (1,)


def test_a_message_that_repeats_the_password_is_masked(tasks_folder):
    with pytest.raises(VerifyError) as caught:
        Store(tasks_folder, "postgresql://u:sesame@localhost:1/db?options=sesame&service=sesame")
    assert "sesame" not in str(caught.value)


def test_a_url_is_shown_without_password_and_parameters():
    assert shown(parsed("postgres://u:pw@host:5433/db?password=pw")) == "postgresql://u@host:5433/db"


def test_a_missing_driver_names_its_extra():
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from generation.verify.votes.store import Store\n"
        "from d3s_dataset.utils.cli import run_command\n"
        "run_command(lambda _: Store(None, 'postgresql://host/db'))"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "the package 'psycopg', which is not installed" in one_line_error(result)
    assert "pip install '.[postgresql]'" in result.stderr
