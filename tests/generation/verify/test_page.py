"""The page as a stranger would try it: what a link opens and what it does not, and what is refused."""

import json
import re
import shutil
import threading
import time

import pytest

from generation.verify.aggregate.rules import Rule
from generation.verify.aggregate.votes_to_verdicts import aggregate
from generation.verify.aggregate.worker_quality import Limits
from generation.verify.prepare import tasks as files
from generation.verify.server.tokens import BadLink, Links
from generation.verify.votes.secret import anonymous, secret
from tests.generation.verify.conftest import last_votes, refused, start, start_for_all


@pytest.fixture(scope="module")
def served(prepared, tmp_path_factory, new_database):
    folder = shutil.copytree(prepared, tmp_path_factory.mktemp("served") / "tasks")
    page = start_for_all(folder, new_database())
    yield page
    page.kill()


PRO = "?PROLIFIC_PID={}&STUDY_ID=s&SESSION_ID={}"
TURK = "?assignmentId={}&hitId=h&workerId={}&turkSubmitTo={}"


def prolific(page, worker, session):
    return page.links["prolific"].split("?")[0] + PRO.format(worker, session)


def mturk(page, worker, assignment, back="https://www.mturk.com"):
    address = re.search("<ExternalURL>(.*?)</ExternalURL>", page.links["mturk"])[1]
    return address + TURK.format(assignment, worker, back)


def data_of(page, task):
    status, text, _ = page.ask(task)
    assert status == 200, text
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def answer(item, question="unsafe", said="no", revision=1):
    return {"item": item, "question": question, "answer": said, "revision": revision, "seconds": 2.5}


def answer_all(page, task, but=0):
    items = data_of(page, task)["items"]
    todo = [(item["id"], question["name"]) for item in items for question in item["questions"]]
    for item, question in todo[: len(todo) - but]:
        assert page.ask(f"{task}/votes", answer(item, question, "yes"))[0] == 200
    return items


def hand_in(page, address):
    """Complete a task; return its address."""
    task = page.enter(address)
    answer_all(page, task, but=1)
    status, text, _ = page.ask(f"{task}/finish", {"comment": ""})
    assert (status, json.loads(text)) == (409, {"missing": 1})
    answer_all(page, task)
    assert page.ask(f"{task}/finish", {"comment": "<script>alert(1)</script> a comment"})[0] == 200
    return task


def test_prolific_comes_in_and_goes_back(served):
    address = prolific(served, "pid1", "s1")
    first = [item["id"] for item in data_of(served, served.enter(address))["items"]]
    again = [item["id"] for item in data_of(served, served.enter(address))["items"]]
    assert first == again  # the same session gets the same task
    _, text, headers = served.ask(hand_in(served, address))
    assert "https://app.prolific.com/submissions/complete?cc=C0DE" in text
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_mechanical_turk_comes_in_and_goes_back(served):
    _, text, headers = served.ask(hand_in(served, mturk(served, "A1", "AS1")))
    assert 'action="https://www.mturk.com/mturk/externalSubmit"' in text
    assert 'value="AS1"' in text
    assert "form-action https://www.mturk.com" in headers["content-security-policy"]
    assert "frame-ancestors https://*.mturk.com" in headers["content-security-policy"]


def test_a_colleague_goes_on_with_the_next_task(served):
    task = hand_in(served, "anna")
    _, text, _ = served.ask(task)
    (address,) = re.findall(r'href="(/p/[^"]+)"', text)
    following = data_of(served, served.enter(address))["items"]
    held = files.read(served.folder)
    done = {held.task_of[vote.item] for vote in last_votes(served.folder, "person:anna", database=served.database)}
    assert {held.task_of[item["id"]] for item in following} == {task.id for task in held.tasks} - done


def test_a_submitted_task_takes_no_more_votes(served):
    task = served.enter(prolific(served, "pid7", "s7"))
    items = answer_all(served, task)
    assert served.ask(f"{task}/finish", {})[0] == 200
    assert served.ask(f"{task}/votes", answer(items[0]["id"], said="no", revision=2))[0] == 410
    assert served.ask(f"{task}/finish", {})[0] == 410
    last = {
        (v.item, v.question): v.answer for v in last_votes(served.folder, "prolific:pid7", database=served.database)
    }
    assert last[items[0]["id"], "unsafe"] == "yes"


def test_mechanical_turks_preview_shows_the_instructions_only(served):
    status, text, headers = served.ask(mturk(served, "", "ASSIGNMENT_ID_NOT_AVAILABLE"))
    assert status == 200
    assert "Accept the task to begin" in text
    assert 'id="data"' not in text
    assert "frame-ancestors https://*.mturk.com" in headers["content-security-policy"]


def test_an_answer_sent_again_counts_once_and_a_change_is_a_revision(served):
    task = served.enter("ben")
    item = data_of(served, task)["items"][0]["id"]
    for _ in range(3):
        assert served.ask(f"{task}/votes", answer(item))[0] == 200
    status, text, _ = served.ask(f"{task}/votes", answer(item, said="yes"))
    assert (status, json.loads(text)) == (409, {"answer": "no", "revision": 1})
    assert served.ask(f"{task}/votes", answer(item, said="yes", revision=2))[0] == 200
    assert data_of(served, task)["given"] == {item: {"unsafe": ["yes", 2]}}
    assert served.enter("ben").count("/t/") == 1
    assert data_of(served, served.enter("ben"))["given"] == {item: {"unsafe": ["yes", 2]}}


def test_a_link_opens_only_its_own_task(served):
    task = served.enter("anna")
    held = files.read(served.folder)
    own = {item["id"] for item in data_of(served, task)["items"]}
    # A gold question may show a picture of another item.
    other = next(item for item in held.items if item.id not in own and item.image not in held.pictures(own))
    assert served.ask(f"{task}/votes", answer(other.id))[0] == 403
    assert served.ask(f"{task}/votes", answer("0123456789ab"))[0] == 403
    mine = data_of(served, task)["items"][0]["image"]
    assert served.ask(mine)[0] == 200
    assert served.ask(f"{task}/images/{other.image}")[0] == 403
    person = served.links["anna"].rpartition("/")[2]
    for kind in ("t", "review", "prolific", "mturk"):
        assert served.ask(f"/{kind}/{person}")[0] == 403


def test_no_page_tells_a_known_pair(served):
    status, text, _ = served.ask(served.enter("anna"))
    assert status == 200
    held = files.read(served.folder)
    assert "expected" not in text
    assert not [item.key for item in held.images if item.key in text]


@pytest.mark.parametrize("path", ["/t/{}", "/t/{}/votes", "/p/{}", "/review/{}", "/review/{}/figures", "/prolific/{}"])
def test_forged_links_are_refused(served, path):
    good = served.enter("anna").rpartition("/")[2]
    said, _, signature = good.rpartition(".")
    altered = ("A" if signature[0] != "A" else "B") + signature[1:]  # the last character has bits that do not count
    forged = [f"{said}.{altered}", "x" + good, good[: len(good) // 2], "nonsense", "a.b.c"]
    other = Links(b"another secret of thirty-two byte").sign(
        "task", worker="person:anna", task="x", session="", back=""
    )
    for token in [*forged, other]:
        body = answer("x") if path.endswith("votes") else None
        status, text, _ = served.ask(path.format(token), body)
        assert status == 403, (path, token)
        assert "not valid" in text


def test_expired_links_are_refused(prepared, tmp_path):
    key, clock = b"k" * 32, [1000.0]
    links = Links(key, days=2, now=lambda: clock[0])
    token = links.sign("task", worker="w")
    assert links.read("task", token) == {"worker": "w", "until": 1000 + 2 * 86400}
    following = links.sign("person", links.read("task", token)["until"], name="w")
    clock[0] += 2 * 86400 + 1
    with pytest.raises(BadLink, match="has expired"):
        links.read("task", token)
    with pytest.raises(BadLink, match="has expired"):
        links.read("person", following)


def test_an_expired_link_is_refused_by_the_page(served):
    old = Links(secret(served.folder), days=-1).sign("person", name="anna")
    status, text, _ = served.ask(f"/p/{old}")
    assert status == 403
    assert "has expired" in text


def test_a_session_replayed_by_somebody_else_is_refused(served):
    served.enter(mturk(served, "A5", "AS5"))
    assert served.ask(mturk(served, "A6", "AS5"))[0] == 410


@pytest.mark.parametrize(
    "name",
    ["../tasks.json", "..%2ftasks.json", "%2e%2e/secret", "....//secret", "/etc/passwd", "..%5csecret", "secret"],
)
def test_path_traversal_is_refused(served, name):
    task = served.enter("anna")
    for path in (f"{task}/images/{name}", f"/static/{name}", f"/static/../{name}"):
        status, text, _ = served.ask(path)
        assert status in (400, 403, 404), path
        assert "schema_version" not in text
        assert secret(served.folder).hex() not in text


@pytest.mark.parametrize("worker", ["<script>alert(1)</script>", "%3Cscript%3E", "a b", "", "x" * 65, "a'--", "%00"])
def test_script_in_a_worker_id_is_refused(served, worker):
    for address in (prolific(served, worker.replace(" ", "%20"), "s"), mturk(served, worker.replace(" ", "+"), "AS9")):
        status, text, _ = served.ask(address)
        assert status == 400
        assert "<script>alert" not in text


def test_tasks_are_sent_back_to_mechanical_turk_only(served):
    for back in ("https://evil.example", "https://www.mturk.com.evil.example", "javascript:alert(1)", ""):
        assert served.ask(mturk(served, "A7", "AS7", back))[0] == 400


def test_cross_site_posts_are_refused(served):
    task = served.enter("cleo")
    item = data_of(served, task)["items"][0]["id"]
    body, path = answer(item), f"{task}/votes"
    assert served.ask(path, body, Origin="https://evil.example")[0] == 403
    assert served.ask(path, body, Origin="null")[0] == 403
    assert served.ask(path, body, Sec_Fetch_Site="cross-site")[0] == 403
    assert served.ask(path, body, Sec_Fetch_Site="same-site")[0] == 403
    assert served.ask(path, json.dumps(body).encode(), Content_Type="text/plain")[0] == 415
    assert served.ask(path, b"item=x", Content_Type="application/x-www-form-urlencoded")[0] == 415
    assert served.ask(path, body, Host="evil.example")[0] == 400
    assert served.ask(path, method="DELETE")[0] == 405
    assert served.ask(path, body, Origin=served.base, Sec_Fetch_Site="same-origin")[0] == 200
    assert len(data_of(served, task)["given"]) == 1


def test_oversized_bodies_are_refused(served):
    task = served.enter("cleo")
    assert served.ask(f"{task}/votes", b"x" * 8193)[0] == 413
    assert served.ask(f"{task}/votes", b"x" * 9000, Content_Length="10")[0] in (400, 413, 422)
    chunked = (b"x" * 4096 for _ in range(10))
    assert served.ask(f"{task}/votes", b"".join(chunked), Transfer_Encoding="identity")[0] in (400, 413)
    assert served.ask(f"{task}/finish", {"comment": "x" * 1001})[0] == 422


@pytest.mark.parametrize(
    "change",
    [{"answer": "maybe"}, {"question": "colour"}, {"revision": 0}, {"seconds": -1}, {"more": 1}, {"item": 3}],
)
def test_answers_outside_the_options_are_refused(served, change):
    task = served.enter("cleo")
    assert served.ask(f"{task}/votes", answer(data_of(served, task)["items"][0]["id"]) | change)[0] == 422
    assert served.ask(f"{task}/votes", b"{half")[0] == 422


def test_every_answer_carries_the_security_headers(served):
    for path in ("/", "/static/task.js", served.enter("anna"), served.links["review"], "/nowhere"):
        _, _, headers = served.ask(path)
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in headers


def test_the_reviewer_sees_figures_and_no_worker(served):
    task = served.enter("cleo")
    assert served.ask(f"{task}/votes", answer(data_of(served, task)["items"][0]["id"]))[0] in (200, 409)
    status, text, _ = served.ask(served.links["review"] + "/figures")
    found = json.loads(text)
    assert status == 200
    assert found["answers"]["given"] == len(last_votes(served.folder, database=served.database))
    assert float(found["per_minute"]) > 0
    assert "<script>alert(1)</script> a comment" in found["comments"] or found["comments"] == []
    assert not [name for name in ("pid1", "A1") if re.search(rf"\b{name}\b", text)]
    assert "cleo" in {each["person"] for each in found["people"]}  # a colleague, by name


def test_the_reviewer_s_pictures_are_for_the_reviewer(served):
    name = files.read(served.folder).images[0].image
    review = served.links["review"]
    status, _, headers = served.ask(f"{review}/images/{name}")
    assert (status, headers["content-type"]) == (200, "image/jpeg")
    for path in ("secret", "votes.sqlite", "tasks.json", "..%2Fsecret", "none.jpg"):
        assert served.ask(f"{review}/images/{path}")[0] in (403, 404)
    person = served.links["anna"].rpartition("/")[2]
    assert served.ask(f"{served.base}/review/{person}/images/{name}")[0] == 403


def test_nothing_of_a_visitor_is_logged(tmp_path, tasks_folder):
    page = start(tasks_folder)
    lines = []
    reader = threading.Thread(target=lambda: lines.extend(page.process.stdout))
    reader.start()
    task = page.enter("anna")
    page.ask(f"{task}/votes", answer("x"))
    page.ask("/p/forged")
    time.sleep(0.3)
    page.process.terminate()
    page.process.wait()
    reader.join()
    page.process.stdout.close()
    assert "".join(lines) == ""


BAD = {
    "no tasks": (["nowhere"], "has no tasks.json"),
    "a port that is taken": (["{}", "--port", "{port}"], "cannot bind"),
    "open to all without an address": (["{}", "--host", "0.0.0.0"], "expected --url as well"),
    "a name that is none": (["{}", "--port", "0", "--people", "<b>"], "expected 1 to 64 letters"),
    "no address": (["{}", "--port", "0", "--url", "verify"], "--url: expected a URL such as"),
}


@pytest.mark.parametrize(("given", "says"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_clear_line(served, given, says):
    port = served.base.rpartition(":")[2]
    line = [each.format(served.folder, port=port) for each in given]
    assert says in refused("serve", *line)


@pytest.mark.parametrize("number", ["NaN", "1e400", "Infinity", "-1e400"])
def test_a_number_that_is_none_is_one_line(served, number):
    task = served.enter("cleo")
    body = json.dumps(answer(data_of(served, task)["items"][0]["id"])).replace("2.5", number).encode()
    status, text, headers = served.ask(f"{task}/votes", body)
    assert (status, len(text.splitlines())) == (422, 1)
    assert "default-src 'none'" in headers["content-security-policy"]


def test_a_lone_surrogate_is_one_line(served):
    task = served.enter("cleo")
    for path, body in (("votes", answer("\ud800")), ("finish", {"comment": "\ud800"})):
        status, text, _ = served.ask(f"{task}/{path}", body)
        assert (status, len(text.splitlines())) == (422, 1)
    assert served.ask(f"{task}/finish", b"[" * 8000)[0] in (400, 422)


def test_refusals_carry_the_security_headers(served):
    asked = [("/", None, {"Host": "evil.example"}), ("/t/x/votes", b"x" * 9000, {}), ("/", b"{}", {"Origin": "null"})]
    for path, body, headers in asked:
        status, _, got = served.ask(path, body, **headers)
        assert status in (400, 403, 413)
        assert "default-src 'none'" in got["content-security-policy"]
        assert got["x-content-type-options"] == "nosniff"


@pytest.fixture
def strict(tasks_folder):
    held = files.read(tasks_folder)
    files.write(tasks_folder, held.model_copy(update={"workers": 50}))
    page = start(tasks_folder, "--completion-code", "C0DE", "--mturk", "--open-per-address", "3")
    yield page
    page.kill()


def test_a_name_is_its_first_browsers_and_another_claim_is_shown_to_the_owner(strict):
    for address in (prolific(strict, "victim", "s1"), mturk(strict, "VICTIM", "AS1")):
        task = strict.enter(address)
        item = data_of(strict, task)["items"][0]["id"]
        assert strict.ask(f"{task}/votes", answer(item))[0] == 200
        for again in (address, address.replace("=s1", "=s2").replace("=AS1", "=AS2")):
            status, text, headers = strict.ask(again)
            assert (status, headers["location"]) == (409, None)
            assert "another browser" in text
        assert strict.ask(address, Cookie="d3s_holder=forged")[0] == 409
        mine = strict.enter(address)
        assert data_of(strict, mine)["given"] == {item: {"unsafe": ["no", 1]}}
    found = json.loads(strict.ask(strict.links["review"] + "/figures")[1])
    assert list(found["refused"].values()) == [3, 3]
    assert "ictim" not in json.dumps(found).lower()


def test_one_visitor_with_many_names_takes_few_tasks(strict):
    first = prolific(strict, "p0", "s0")
    strict.enter(first)
    status, text, _ = strict.ask(prolific(strict, "p1", "s1"), Cookie=strict.cookies[first])
    assert status == 410
    assert "nother task is open in this browser" in text
    got = [strict.ask(prolific(strict, f"q{n}", f"s{n + 2}"))[0] for n in range(30)]
    assert got == [303] * 2 + [410] * 28
    assert strict.enter("anna")  # a link of one's own is not a stranger's


def test_a_submission_faster_than_a_person_is_held_for_review(strict, few_rounds):
    task = strict.enter(prolific(strict, "bot", "s1"))
    items = data_of(strict, task)["items"]
    for item in items:
        for question in item["questions"]:
            said = answer(item["id"], question["name"], "yes") | {"seconds": 8.0}
            assert strict.ask(f"{task}/votes", said)[0] == 200
    assert strict.ask(f"{task}/finish", {})[0] == 200
    votes = last_votes(strict.folder, "prolific:bot")
    assert len(votes) == 3 * len(items)  # nothing is deleted
    assert max(vote.seconds for vote in votes) < 8  # the server's clock, not the page's
    name = anonymous(secret(strict.folder), "prolific:bot")
    assert json.loads(strict.ask(strict.links["review"] + "/figures")[1])["fast"] == [name]
    limits = Limits(gold=0, agreement=0, seconds=0)
    found = aggregate(strict.folder, Rule(), limits)
    assert "held until reviewed" in found.left_out[name]
    assert found.rows == {}
    assert aggregate(strict.folder, Rule(), limits, [name]).left_out == {}
    assert "no annotator nobody" in refused("aggregate", strict.folder, "--count-fast", "nobody")
