"""The owner's pages and consent, asked in this process: who may see and change what, and what is on record."""

import json
import re
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from d3s_dataset.errors import VerifyError
from generation.verify.prepare import tasks as files
from generation.verify.server.app import create
from generation.verify.server.consent import read_text
from generation.verify.server.office import Gate, Office
from generation.verify.server.outlook import Left, outlook
from generation.verify.server.security import Guard
from generation.verify.server.tokens import Links
from generation.verify.votes import annotators
from generation.verify.votes.assignments import Desk
from generation.verify.votes.secret import anonymous, secret
from generation.verify.votes.sittings import Sitting
from generation.verify.votes.store import Store, Vote
from tests.generation.verify.conftest import refused
from tests.generation.verify.test_disagreements import votes_of

BASE = "http://verify.test"
TEXT = "Study\n\n<b>Please</b> read."


@pytest.fixture
def office(tasks_folder):
    key = secret(tasks_folder)
    desk = Desk(files.read(tasks_folder), Store(tasks_folder))
    yield Office(desk, tasks_folder, Links(key), key, "C0DE")
    desk.store.close()


def browser(office):
    """A browser with cookies of its own."""
    return TestClient(Guard(create(office), BASE), base_url=BASE, follow_redirects=False)


@pytest.fixture
def voted(office):
    office.desk.store.add_all(votes_of(office.folder))
    return office


def page_of(office, worker):
    return f"/review/{office.links.sign('review')}/people/{anonymous(office.key, worker)}"


def test_the_page_about_an_annotator_holds_gold_speed_agreement_and_pictures(voted):
    client = browser(voted)
    text = client.get(page_of(voted, "person:cleo")).text
    for wanted in ("0 of 8 (0.0 %)", "6.0 s", "132 (0 in the last 24 hours)", "Counted, but: 0 of 8 gold questions"):
        assert wanted in text
    held, store = voted.desk.tasks, voted.desk.store
    gold = [item for item in held.items if item.key is None]
    wrong, recent = text.split("Gold questions answered wrong")[1].split("Recent answers")
    assert all(item.image in wrong for item in gold)  # cleo fails all four
    first = re.findall(r'<div class="pair">\s*<img src="[^"]+/images/([^"]+)"', recent)
    assert len(first) == 12
    assert not {item.image for item in gold} & set(first)
    assert recent.count("<article>") == 12
    name = re.search(r'src="([^"]+/images/[^"]+)"', recent)[1]
    assert client.get(name).headers["content-type"] == "image/jpeg"
    good = client.get(page_of(voted, "person:anna")).text
    assert "8 of 8 (100.0 %)" in good
    assert "expected" not in good
    own = [vote for vote in store.last("person:anna") if vote.question == "background"]
    yes = sum(vote.answer == "yes" and held.by_id[vote.item].key is not None for vote in own)
    assert f'<th scope="row">background</th><td>{yes}</td><td>{40 - yes}</td><td>0</td>' in good
    for path in (page_of(voted, "person:nobody"), page_of(voted, "person:anna").replace("/review/", "/review/x")):
        assert client.get(path).status_code == 403


def test_an_exclusion_on_the_page_is_recorded_with_its_reason_and_undone(voted):
    client, page = browser(voted), page_of(voted, "person:anna")
    assert client.post(f"{page}/exclude", json={"reason": " <i>guessed</i>\n twice "}).status_code == 200
    assert annotators.excluded(voted.desk.store) == {"person:anna": "<i>guessed</i> twice"}
    text = client.get(page).text
    assert "Excluded: &lt;i&gt;guessed&lt;/i&gt; twice" in text
    assert "Count the votes again" in text
    again = client.post(f"{page}/exclude", json={"reason": "x"})
    assert (again.status_code, again.json()) == (400, {"error": "This annotator is excluded already."})
    assert client.post(f"{page}/undo", json={}).status_code == 200
    assert annotators.excluded(voted.desk.store) == {}
    assert len(re.findall(r"<li>[-\d: ]+UTC: (?:excluded|counted again)", client.get(page).text)) == 2


def test_a_decision_is_the_owners_alone(voted):
    client, page = browser(voted), page_of(voted, "person:anna")
    path, said = f"{page}/exclude", {"reason": "x"}
    person = voted.links.sign("person", name="anna")
    asked = [
        (client.get(path), 405),
        (client.post(path, json=said, headers={"origin": "https://evil.example"}), 403),
        (client.post(path, json=said, headers={"sec-fetch-site": "cross-site"}), 403),
        (client.post(path, data=said), 415),
        (client.post(path, content=json.dumps(said), headers={"content-type": "text/plain"}), 415),
        (client.post(path, json={"reason": " "}), 400),
        (client.post(path, json={"reason": "x" * 501}), 422),
        (client.post(path.replace("/review/", "/review/x"), json=said), 403),
        (client.post(re.sub("/review/[^/]+", f"/review/{person}", path), json=said), 403),
    ]
    assert [reply.status_code for reply, _ in asked] == [wanted for _, wanted in asked]
    assert annotators.history(voted.desk.store, "person:anna") == []
    assert client.post(path, json=said, headers={"origin": BASE}).status_code == 200


def test_time_and_cost_to_the_end_are_those_of_a_count_by_hand(prepared):
    held = files.read(prepared).model_copy(update={"pay": 0.9, "fee": 20.0})
    item = held.tasks[0].items[0]
    votes = [Vote("prolific:a", item, name, "yes", seconds=seconds, at=1000.0 + 60 * n)
             for n, (name, seconds) in enumerate([("foreground", 4.0), ("background", 9.0)])]  # fmt: skip
    done = [Sitting("t", worker, worker, 0.0, 1.0, "") for worker in ("prolific:a", "person:b")]
    told = dict(outlook(held, votes, done, Left(600, 5), now=1300.0))
    assert told == {
        "median time per image, over all annotators": "9.0 s",
        "work left, at this time per image": "30 minutes",  # 200 images
        "time left, at the speed of the last ten minutes": "2.1 days",  # 2 in ten
        "time left, at the speed of the last 24 hours": "2.1 days",
        "paid so far, with the fee": "1.08 (1 assignments at 0.90)",  # a colleague is not paid
        "to pay to the end, with the fee": "5.40 (5 assignments)",
        "pay per hour, at this time per image": "16.36",  # 22 images at 9 s
    }
    bare = dict(outlook(held.model_copy(update={"pay": None}), [], [], Left(600, 5), now=0.0))
    assert list(bare.values()) == ["not measured yet", "no answers", "no answers"]


def prolific(office, worker="pid1"):
    return f"/prolific/{office.links.sign('prolific')}?PROLIFIC_PID={worker}&STUDY_ID=s&SESSION_ID=s-{worker}"


def test_nothing_is_stored_before_the_agreement_and_it_is_on_record_after(office):
    office = replace(office, gate=Gate(TEXT, 18))
    store, client, address = office.desk.store, browser(office), prolific(office)
    first = client.get(address)
    assert (first.status_code, first.headers.get("set-cookie")) == (200, None)
    assert "&lt;b&gt;Please&lt;/b&gt; read." in first.text  # as plain text
    assert "I am at least 18 years old." in first.text
    assert annotators.everybody(store) == set()
    post = re.search(r'data-post="([^"]+)"', first.text)[1]
    for wrong in ({"agreed": True}, {"agreed": False, "of_age": True}, {}):
        assert client.post(post, json=wrong).status_code in (400, 422)
    assert client.post(post, data={"agreed": "true"}).status_code == 415
    assert annotators.everybody(store) == set()
    assert client.post(post, json={"agreed": True, "of_age": True}).status_code == 200
    ((digest, age, at),) = annotators.agreements(store, "prolific:pid1")
    assert (digest, age, at > 1.7e9) == (annotators.text_digest(TEXT), 18, True)
    task = client.get(address)
    assert task.status_code == 303
    assert "Annotation task" in client.get(task.headers["location"]).text
    thief = browser(office)  # the agreement binds the id to the browser
    assert thief.post(post, json={"agreed": True, "of_age": True}).status_code == 409
    assert thief.get(address).status_code == 409


def test_a_changed_text_asks_again_and_colleagues_are_not_asked_their_age(office):
    asked = replace(office, gate=Gate(TEXT, 18))
    client, link = browser(asked), f"/p/{office.links.sign('person', name='anna')}"
    page = client.get(link).text
    assert "years old" not in page
    post = re.search(r'data-post="([^"]+)"', page)[1]
    assert client.post(post, json={"agreed": True}).status_code == 200
    task = client.get(link).headers["location"]
    assert client.get(link).headers["location"].split("/")[1] == "t"
    later = browser(replace(office, gate=Gate(TEXT + " More.", 18)))
    for address in (link, task):
        assert "Study" in later.get(address).text
        assert "Annotation task" not in later.get(address).text
    assert "Annotation task" in browser(replace(office, gate=Gate("", 18))).get(task).text  # nothing to agree to
    assert "Before you begin" in browser(replace(office, gate=Gate("", 18))).get(prolific(office)).text


def test_what_is_stored_is_said_to_everybody(office):
    text = browser(office).get("/privacy").text
    assert "a digest of the network address" in text
    assert "age" not in re.sub(r"pages?|language", "", text.split("About you")[1].split("Who sees it")[0])
    asked = browser(replace(office, gate=Gate(TEXT, 16))).get("/privacy").text
    assert "an age of at least 16" in asked


def test_a_text_that_is_none_is_one_line(tmp_path, tasks_folder):
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "long.md").write_text("x" * 70_000)
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "good.md").write_text("\ufeffHello\n", encoding="utf-8")
    assert read_text(tmp_path / "good.md") == "Hello"
    for name, says in {"empty.txt": "got 0 in", "long.md": "got 70,000 in", "binary.txt": "is not UTF-8",
                       "none.txt": "cannot be read", "text.pdf": "ending in .txt or .md"}.items():  # fmt: skip
        with pytest.raises(VerifyError, match=says):
            read_text(tmp_path / name)
    assert "is not UTF-8" in refused("serve", tasks_folder, "--consent", tmp_path / "binary.txt")
