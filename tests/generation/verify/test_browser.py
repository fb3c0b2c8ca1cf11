"""The page in a real browser: by keyboard alone, by touch on a phone, with a reload and a change of mind."""

import re
import shutil

import pytest

from generation.verify.aggregate.rules import Rule
from generation.verify.aggregate.votes_to_verdicts import aggregate
from generation.verify.aggregate.worker_quality import Limits
from generation.verify.prepare import tasks as files
from generation.verify.prepare.questions import NAMES
from generation.verify.votes.store import Store
from tests.conftest import DESK, PHONE
from tests.generation.verify.conftest import last_votes, opinion, start
from tests.generation.verify.test_disagreements import votes_of

KEYS = {"yes": "y", "no": "n", "unsure": "t"}


@pytest.fixture(scope="module")
def short(prepared, tmp_path_factory):
    """Tasks of five items, so that a person is done in seconds."""
    folder = shutil.copytree(prepared, tmp_path_factory.mktemp("short") / "tasks")
    held = files.read(folder)
    tasks = [task.model_copy(update={"items": task.items[:5]}) for task in held.tasks]
    files.write(folder, held.model_copy(update={"tasks": tasks, "workers": 9}))
    page = start(folder, "--completion-code", "C0DE")
    yield page
    page.kill()


@pytest.fixture
def visit(browser, short):
    """Open a link in a window of its own; at the end, nothing went wrong and nothing was asked of another host."""
    windows, wrong = [], []

    def opened(address, size, host=None, **more):
        context = browser.new_context(viewport=size, **more)
        window = context.new_page()
        window.set_default_timeout(15_000)
        window.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        window.on("pageerror", lambda error: wrong.append(str(error)))
        home = host or short.base
        window.on(
            "request", lambda request: None if request.url.startswith((home, "data:")) else wrong.append(request.url)
        )
        window.goto(address)
        windows.append(context)
        return window

    yield opened
    for context in windows:
        context.close()
    assert wrong == []


def begin(window):
    window.wait_for_selector("#instructions[open]")
    window.keyboard.press("Enter")  # the button that begins has the focus
    window.wait_for_selector("#instructions:not([open])", state="hidden")


def at(window, number):
    window.get_by_text(f"Picture {number} of 5", exact=True).wait_for()


def shown_item(window):
    return window.evaluate("items[at].id")


def answer_by_keys(window, held, who, number):
    at(window, number)
    for question in NAMES:
        window.keyboard.press(KEYS[opinion(held, who, shown_item(window), question)])


def saved(window):
    window.locator("#saved.saved").wait_for()


def hand_in(window):
    window.wait_for_selector("#end:not([hidden])")
    saved(window)
    window.keyboard.press("Enter")
    window.wait_for_selector("text=this task is submitted", state="attached")


def expected(held, who, task):
    return {(item, question): opinion(held, who, item, question) for item in held.task_by_id[task].items
            for question in NAMES}  # fmt: skip


def given(short, worker):
    return {(vote.item, vote.question): vote.answer for vote in last_votes(short.folder, worker)}


def test_by_keyboard_alone(visit, short):
    held = files.read(short.folder)
    window = visit(short.links["anna"], DESK)
    begin(window)
    task = held.task_of[shown_item(window)]
    for number in range(1, 6):
        answer_by_keys(window, held, "anna", number)
    hand_in(window)
    assert given(short, "person:anna") == expected(held, "anna", task)
    assert window.get_by_role("link", name="Next task").is_visible()


def test_by_touch_on_a_phone(visit, short):
    held = files.read(short.folder)
    address = short.links["prolific"].split("?")[0] + "?PROLIFIC_PID=ben1&STUDY_ID=s&SESSION_ID=b1"
    window = visit(address, PHONE, has_touch=True, is_mobile=True)
    window.get_by_role("button", name="Begin").tap()
    task = held.task_of[shown_item(window)]
    for number in range(1, 6):
        at(window, number)
        assert window.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        item = shown_item(window)
        for question in NAMES:
            said = opinion(held, "ben", item, question)
            target = window.locator(f"label:has(input[name={question}][value={said}])")
            box = target.bounding_box()
            assert box["height"] >= 44  # large enough for a thumb, and in view without scrolling
            assert box["y"] + box["height"] <= PHONE["height"]
            target.tap()
    window.wait_for_selector("#end:not([hidden])")
    window.locator("#comment").fill('<img src="https://evil.example/x" onerror="alert(1)">')
    saved(window)
    window.get_by_role("button", name="Submit").tap()
    window.wait_for_selector("text=C0DE")
    assert given(short, "prolific:ben1") == expected(held, "ben", task)
    review = visit(short.links["review"], DESK)
    review.wait_for_selector("text=<img src=")  # the comment, as text
    assert review.locator("#comments img").count() == 0


def test_reload_go_back_and_change_an_answer(visit, short):
    held = files.read(short.folder)
    window = visit(short.links["cleo"], DESK)
    begin(window)
    task = held.task_of[shown_item(window)]
    for number in (1, 2):
        answer_by_keys(window, held, "cleo", number)
    at(window, 3)
    window.keyboard.press("y")
    saved(window)
    window.reload()
    at(window, 3)  # goes on where it was, and the half of an answer is there
    assert window.locator("input[name=foreground][value=yes]").is_checked()
    window.keyboard.press("b")
    at(window, 2)
    item = shown_item(window)
    before = opinion(held, "cleo", item, "background")
    changed = "no" if before == "yes" else "yes"
    window.keyboard.press("ArrowDown")
    window.keyboard.press("ArrowDown")
    window.keyboard.press("ArrowUp")
    window.keyboard.press(KEYS[changed])
    assert window.locator(f"input[name=background][value={changed}]").is_checked()
    saved(window)
    window.keyboard.press("Enter")
    at(window, 3)
    third = shown_item(window)
    for question in NAMES[1:]:
        window.keyboard.press(KEYS[opinion(held, "cleo", third, question)])
    for number in (4, 5):
        answer_by_keys(window, held, "cleo", number)
    hand_in(window)
    said = expected(held, "cleo", task) | {(item, "background"): changed, (third, "foreground"): "yes"}
    assert given(short, "person:cleo") == said


def test_answers_given_without_a_network_arrive_later(visit, short):
    window = visit(short.links["prolific"].split("?")[0] + "?PROLIFIC_PID=dora&STUDY_ID=s&SESSION_ID=d1", DESK)
    begin(window)
    item = shown_item(window)
    window.evaluate("() => { window.fetch = () => Promise.reject(new TypeError('offline')); }")
    window.keyboard.press("y")
    window.wait_for_selector("text=No connection")
    assert given(short, "prolific:dora") == {}
    window.reload()  # the answer was kept in the browser
    saved(window)
    assert given(short, "prolific:dora") == {(item, "foreground"): "yes"}
    assert window.locator("input[name=foreground][value=yes]").is_checked()


def test_a_key_too_many_changes_no_answer(visit, short):
    window = visit(short.links["prolific"].split("?")[0] + "?PROLIFIC_PID=fast&STUDY_ID=s&SESSION_ID=f1", DESK)
    begin(window)
    first = shown_item(window)
    for key in "yynnt":  # the last two before the next picture is there
        window.keyboard.press(key)
    at(window, 2)
    saved(window)
    said = {(first, "foreground"): "yes", (first, "background"): "yes", (first, "unsafe"): "no"}
    assert given(short, "prolific:fast") == said
    window.keyboard.press("y")  # and from here on keys count again
    saved(window)
    assert len(given(short, "prolific:fast")) == 4


def test_everything_has_a_name_and_enough_contrast(visit, short):
    window = visit(short.links["ben"], DESK)
    begin(window)
    assert window.locator("img:not([alt])").count() == 0
    for group in window.get_by_role("group").all():
        assert group.get_by_role("radio").count() == 3
    for selector in ("#gloss", ".hint", "figcaption", "#saved", ".answers span", "#help"):
        assert contrast(window, selector) >= 4.5, selector


SIZES = [(DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")]
READ = ("h1", ".lead", ".soft", "dt", "dd", "th", "td", "select", "#state")


def fits(window, size):
    return window.evaluate("document.documentElement.scrollWidth") <= size["width"]


def is_dark(window):
    back = window.evaluate("getComputedStyle(document.body).backgroundColor")
    return sum(map(int, re.findall(r"\d+", back)[:3])) < 200


@pytest.fixture(scope="module")
def monitored(prepared, tmp_path_factory):
    """The monitor of a study in which one annotator fails gold questions, and another answers in 0.3 s."""
    folder = shutil.copytree(prepared, tmp_path_factory.mktemp("monitored") / "tasks")
    store = Store(folder)
    store.add_all(votes_of(folder))
    store.close()
    page = start(folder)
    yield page
    page.kill()


@pytest.mark.parametrize(("size", "scheme"), SIZES)
def test_the_monitor(visit, monitored, size, scheme):
    window = visit(monitored.links["review"], size, color_scheme=scheme, host=monitored.base)
    window.wait_for_selector("#people tr.flagged")
    assert (fits(window, size), is_dark(window)) == (True, scheme == "dark")
    assert "2 annotators need a look" in window.locator("#lead").inner_text()
    assert window.locator("#people tr.flagged").count() == 2
    assert window.get_by_role("cell", name="anna", exact=True).is_visible()
    for selector in (*READ, ".flagged .why", ".disputes h3", ".disputes li"):
        assert contrast(window, selector) >= 4.5, selector
    pictures = window.locator(".disputes img")
    pictures.first.scroll_into_view_if_needed()
    pictures.first.evaluate("(each) => each.decode()")  # to wait for a function is an eval, which the page forbids
    shown = window.locator(".disputes article").count()
    window.locator("#question").select_option("background")
    assert 0 < window.locator(".disputes article").count() <= shown
    assert window.locator(".disputes h3", has_text="Is the place right").count() > 0
    assert window.locator(".disputes h3", has_text="Is the object there").count() == 0
    assert fits(window, size)


def test_a_monitor_without_votes_says_so(visit, tasks_folder):
    page = start(tasks_folder)
    try:
        window = visit(page.links["review"], PHONE, host=page.base)
        for text in (
            "Nobody has voted yet: send the links that serve printed.",
            "Nobody has voted yet, so nobody disagrees.",
            "Nobody has left a comment yet.",
        ):
            window.get_by_text(text).wait_for()
        assert window.get_by_role("cell", name="not defined yet").count() == 3
    finally:
        page.kill()


@pytest.mark.parametrize(("size", "scheme"), SIZES)
def test_the_report(visit, monitored, few_rounds, size, scheme):
    aggregate(monitored.folder, Rule(), Limits())
    window = visit((monitored.folder / "report.html").as_uri(), size, color_scheme=scheme, host="file://")
    assert (fits(window, size), is_dark(window)) == (True, scheme == "dark")
    assert " % of the images with a verdict are verified (" in window.locator(".lead").inner_text()
    for selector in ("h1", ".lead", ".soft", "th", "td", ".out .why", "summary", ".disputes strong"):
        assert contrast(window, selector) >= 4.5, selector
    assert window.locator("tr.out").count() == 2
    picture = window.locator(".disputes img").first
    assert picture.evaluate("each => each.naturalWidth") > 0
    window.locator("summary").nth(1).click()
    assert fits(window, size)


@pytest.mark.parametrize("size", [DESK, PHONE])
def test_voting_in_the_dark(visit, short, size):
    address = (
        short.links["prolific"].split("?")[0]
        + f"?PROLIFIC_PID=dark{size['width']}&STUDY_ID=s&SESSION_ID=k{size['width']}"
    )
    window = visit(address, size, color_scheme="dark")
    begin(window)
    assert (fits(window, size), is_dark(window)) == (True, True)
    window.keyboard.press("y")
    window.locator("input[name=foreground][value=yes]:checked").wait_for()
    for selector in (
        "#what",
        "#gloss",
        "figcaption",
        "#saved",
        ".answers input:checked + span",
        ".answers span",
        "#help",
    ):
        assert contrast(window, selector) >= 4.5, selector


def contrast(window, selector):
    """The WCAG contrast of an element's text against what is behind it."""
    return window.evaluate(
        """(selector) => {
        const channels = (text) => text.match(/[\\d.]+/g).map(Number);
        const light = (rgb) => rgb.slice(0, 3).map((c) => c / 255)
            .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
        let element = document.querySelector(selector);
        const front = light(channels(getComputedStyle(element).color));
        let back = [0, 0, 0, 0];
        for (; element && back[3] === 0; element = element.parentElement) {
            back = channels(getComputedStyle(element).backgroundColor);
            if (back.length === 3) back.push(1);
        }
        const other = light(back);
        return (Math.max(front, other) + 0.05) / (Math.min(front, other) + 0.05);
    }""",
        selector,
    )
