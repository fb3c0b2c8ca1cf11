"""A second round in a real browser: by keyboard and by touch it shows undecided images alone, and the owner sees it."""

import shutil

import pytest

from generation.verify.prepare import tasks as files
from generation.verify.prepare.questions import NAMES
from generation.verify.prepare.rounds import Rule
from generation.verify.votes.store import Store
from tests.conftest import DESK, PHONE
from tests.generation.verify.conftest import last_votes, start
from tests.generation.verify.test_rounds import votes


@pytest.fixture
def second(prepared, tmp_path):
    """Six images in rounds of 3 + 2; the first round is over, and its annotators differ on two of them."""
    folder = shutil.copytree(prepared, tmp_path / "tasks")
    held = files.read(folder)
    images = held.images[:6]
    task = held.tasks[0].model_copy(update={"items": [item.id for item in images]})
    change = {"items": images, "tasks": [task], "workers": 5, "rounds": [3, 2], "rule": Rule("majority")}
    files.write(folder, held.model_copy(update={**change, "per_task": 5, "gold": 0}))
    store, names = Store(folder), [item.id for item in images]
    store.add_all(votes("person:x", *names) + votes("person:y", *names) + votes("person:z", *names[2:]))
    store.add_all(votes("person:z", *names[:2], answer="no"))
    store.close()
    page = start(folder, "--completion-code", "C0DE", "--floor", "0")
    yield page, set(names[:2])
    page.kill()


def visit(browser, address, size, **more):
    window = browser.new_context(viewport=size, **more).new_page()
    window.set_default_timeout(15_000)
    window.goto(address)
    return window


def pictures(window, answer):
    """Answer both pictures of the second round by `answer(question, said)`."""
    for number in (1, 2):
        window.get_by_text(f"Picture {number} of 2", exact=True).wait_for()
        for question in NAMES:
            answer(question, "no" if question == "unsafe" else "yes")
    window.wait_for_selector("#end:not([hidden])")
    window.locator("#saved.saved").wait_for()


def test_a_second_round_by_keyboard_and_by_touch(browser, second):
    page, disputed = second
    desk = visit(browser, page.links["anna"], DESK)
    desk.wait_for_selector("#instructions[open]")
    desk.keyboard.press("Enter")
    desk.wait_for_selector("#instructions:not([open])", state="hidden")
    address = page.links["prolific"].split("?")[0] + "?PROLIFIC_PID=ben1&STUDY_ID=s&SESSION_ID=b1"
    phone = visit(browser, address, PHONE, has_touch=True, is_mobile=True)  # at the same time: two places
    phone.get_by_role("button", name="Begin").tap()
    review = visit(browser, page.links["review"], DESK)
    review.wait_for_selector("#rounds:not([hidden])")
    assert review.locator("#round").inner_text().split("\n").count("2 of 6") == 1
    assert review.locator("#next tr").count() == 2
    pictures(desk, lambda question, said: desk.keyboard.press(said[0]))
    desk.keyboard.press("Enter")
    desk.wait_for_selector("text=this task is submitted", state="attached")
    pictures(phone, lambda question, said: phone.locator(f"label:has(input[name={question}][value={said}])").tap())
    phone.get_by_role("button", name="Submit").tap()
    phone.wait_for_selector("text=C0DE")
    for worker in ("person:anna", "prolific:ben1"):
        assert {vote.item for vote in last_votes(page.folder, worker)} == disputed
    review.wait_for_selector("text=Every image is decided.")
