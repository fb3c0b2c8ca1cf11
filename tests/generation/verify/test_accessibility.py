"""Every page for everybody: axe-core finds nothing, light and dark, on a desk and on a phone, by thumb and by keys."""

import re
import shutil

import pytest

from generation.verify.prepare import tasks as files
from generation.verify.prepare.questions import NAMES
from generation.verify.votes.annotators import agree, excluded
from generation.verify.votes.assignments import Desk
from generation.verify.votes.secret import anonymous, secret
from generation.verify.votes.store import Store
from generation.verify.votes.vote import Vote
from tests.conftest import DESK, PHONE
from tests.generation.verify.conftest import start
from tests.generation.verify.test_disagreements import votes_of

TEXT = "Study of pictures\n\nYou may stop at any time. Contact: study@example.org"
THUMB = 44  # pixels, of WCAG 2.5.5
# Elements to touch, by the label around them where there is one; links inside of sentences are exempt.
SMALL = """(least) => [...document.querySelectorAll('a, button, select, textarea, input')]
    .filter((each) => each.checkVisibility() && !(document.querySelector('dialog[open]') && !each.closest('dialog')))
    .map((each) => [each.outerHTML.slice(0, 80), (each.closest('label') ?? each).getBoundingClientRect()])
    .filter(([, box]) => box.width < least || box.height < least).map(([html]) => html)"""
AXE = "axe.run().then((found) => found.violations.map((each) => [each.id, each.nodes.map((node) => node.html)]))"


@pytest.fixture(scope="module")
def study(prepared, tmp_path_factory):
    """A study with consent and an age gate; anna has agreed before, cleo fails gold questions."""
    folder = shutil.copytree(prepared, tmp_path_factory.mktemp("study") / "tasks")
    (folder / "consent.md").write_text(TEXT)
    held = files.read(folder)
    # Gold questions first, so that few items tell who fails them.
    order = [sorted(task.items, key=lambda item: held.by_id[item].key is not None) for task in held.tasks]
    short = [task.model_copy(update={"items": items[:4]}) for task, items in zip(held.tasks, order, strict=True)]
    files.write(folder, held.model_copy(update={"tasks": short, "workers": 50, "pay": 0.9, "fee": 20.0}))
    store = Store(folder)
    known = {item for task in short for item in task.items}
    store.add_all(vote for vote in votes_of(folder) if vote.worker != "person:ben" and vote.item in known)
    agree(store, "person:anna", TEXT, 0)
    store.close()
    extra = ("--mturk", "--completion-code", "C0DE", "--consent", str(folder / "consent.md"), "--minimum-age", "18")
    page = start(folder, *extra)
    yield page
    page.kill()


@pytest.fixture(scope="module")
def window(browser):
    """One window for all pages. Its content security policy is off, as axe-core is no script of the page."""
    context = browser.new_context(bypass_csp=True, has_touch=True)
    opened = context.new_page()
    opened.set_default_timeout(15_000)
    yield opened
    context.close()


def found(window):
    """What is wrong with the page as it is, in every mode: by axe-core, and with its width and targets on a phone."""
    from axe_playwright_python.base import AXE_SCRIPT

    wrong = []
    window.evaluate(AXE_SCRIPT)
    for size in (DESK, PHONE):
        window.set_viewport_size(size)
        if size is PHONE:
            assert window.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
            assert window.evaluate(SMALL, THUMB) == []
        for scheme in ("light", "dark"):
            window.emulate_media(color_scheme=scheme)
            dark = sum(map(int, re.findall(r"\d+", window.evaluate("getComputedStyle(document.body).backgroundColor"))))
            assert (dark < 200) == (scheme == "dark")
            wrong += [(size["width"], scheme, *each) for each in window.evaluate(AXE)]
    window.set_viewport_size(DESK)
    return wrong


def test_a_fault_would_be_found(window, study):
    window.goto(study.base)
    window.evaluate("document.querySelector('main').append(new Image(), document.createElement('button'))")
    window.evaluate("document.querySelector('button').style = 'width: 20px'")
    with pytest.raises(AssertionError, match="button"):
        found(window)
    window.evaluate("document.querySelector('button').style = 'width: 50px'")
    assert {each[2] for each in found(window)} == {"image-alt", "button-name"}


def test_pages_before_the_first_task(window, study):
    turk = re.search("<ExternalURL>(.*?)</ExternalURL>", study.links["mturk"])[1]
    preview = f"{turk}?assignmentId=ASSIGNMENT_ID_NOT_AVAILABLE&hitId=h&workerId=&turkSubmitTo=https://www.mturk.com"
    for address in (study.base, f"{study.base}/privacy", preview, f"{study.base}/p/forged"):
        window.goto(address)
        assert found(window) == []


def test_the_task_from_the_instructions_to_the_end(window, study):
    window.goto(study.links["anna"])
    window.locator("#instructions[open], #item:not([hidden]), #end:not([hidden])").first.wait_for()
    for state in ("help", "item", "end"):
        window.evaluate(
            {"help": "help()", "item": "$('instructions').close(); show(0)", "end": "show(items.length)"}[state]
        )
        assert found(window) == [], state


def test_consent_by_keyboard_and_by_touch(window, study):
    window.goto(study.links["ben"])
    assert found(window) == []
    assert window.locator("#age").count() == 0  # a colleague
    window.locator("#agree").focus()
    window.keyboard.press("Enter")
    window.wait_for_selector("#instructions[open]")
    window.set_viewport_size(PHONE)
    window.goto(study.links["prolific"].split("?")[0] + "?PROLIFIC_PID=p1&STUDY_ID=s&SESSION_ID=s1")
    assert found(window) == []
    window.set_viewport_size(PHONE)
    assert window.get_by_role("button", name="I agree").is_disabled()
    window.get_by_text("I am at least 18 years old.").tap()
    window.get_by_role("button", name="I agree").tap()
    window.wait_for_selector("#instructions[open]")


def test_submitted_with_a_further_task_a_completion_code_or_a_form(window, study):
    turk = re.search("<ExternalURL>(.*?)</ExternalURL>", study.links["mturk"])[1]
    arrivals = {
        "person:ben": (study.links["ben"], "Next task"),
        "prolific:p1": (study.links["prolific"].split("?")[0] + "?PROLIFIC_PID=p1&STUDY_ID=s&SESSION_ID=s1", "C0DE"),
        "mturk:w": (f"{turk}?assignmentId=a&hitId=h&workerId=w&turkSubmitTo=https://www.mturk.com", "Submit"),
    }
    for worker, (link, shown) in arrivals.items():
        window.goto(link)
        if window.locator("#agree").count():
            window.get_by_text("I am at least 18 years old.").click()
            window.locator("#agree").click()
            window.wait_for_selector("#instructions[open]")
        hand_in(study.folder, worker)
        window.reload()
        assert "Submitted" in window.title()
        assert shown in window.locator("main").inner_text()
        assert found(window) == [], worker


def hand_in(folder, worker):
    """Answer all of the worker's task and submit it."""
    store = Store(folder)
    desk = Desk(files.read(folder), store)
    (seat,) = [each for each in desk.sittings() if each.worker == worker]
    desk.vote([Vote(worker, item, name, "yes") for item in desk.items(seat.task) for name in NAMES])
    assert desk.finish(seat.task, worker, "") == 0
    store.close()


def test_the_owners_pages_and_an_exclusion_by_keyboard(window, study):
    window.goto(study.links["review"])
    window.wait_for_selector("#people tr.flagged")
    assert found(window) == []
    assert "135.00" in window.locator("#outlook").inner_text()
    cleo = window.get_by_role("link", name="cleo", exact=True)
    assert cleo.get_attribute("href").endswith(anonymous(secret(study.folder), "person:cleo"))
    cleo.focus()
    window.keyboard.press("Enter")
    window.wait_for_selector("#decide")
    window.evaluate(
        "Promise.all([...document.images].filter((each) => each.loading !== 'lazy').map((each) => each.decode()))"
    )
    assert found(window) == []
    window.locator("#reason").focus()
    window.keyboard.type("fails <b>gold</b> questions")
    window.keyboard.press("Tab")
    window.keyboard.press("Enter")
    window.get_by_text("Excluded: fails <b>gold</b> questions", exact=True).wait_for()
    assert found(window) == []
    store = Store(study.folder)
    assert excluded(store) == {"person:cleo": "fails <b>gold</b> questions"}
    window.get_by_role("link", name="Progress").click()
    window.wait_for_selector("#people tr.gone")
    assert "excluded: fails <b>gold</b> questions" in window.locator("#people tr.gone").inner_text()
    window.get_by_role("link", name="cleo", exact=True).click()
    window.get_by_role("button", name="Count the votes again").click()
    window.get_by_role("button", name="Exclude all votes of this annotator").wait_for()
    assert excluded(store) == {}
    store.close()
