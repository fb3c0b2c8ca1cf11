"""Report and board in a real browser, from disk: no other request, no error; by mouse, by keyboard, on a phone."""

import re
import shutil

import pytest

from benchmark import leaderboard, report
from benchmark.board.submission import FOLDER
from benchmark.schemas import result
from d3s_dataset.manifest import to_json
from tests.benchmark.board import features
from tests.benchmark.board.test_board import reproduced
from tests.conftest import DESK, PHONE

SIZES = [(DESK, "light"), (DESK, "dark"), (PHONE, "light"), (PHONE, "dark")]


@pytest.fixture(scope="module")
def shown(release, measured, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    paths = [measured(out, name, accuracy, seed) for seed, (name, accuracy) in enumerate([("one", 0.7), ("two", 0.3)])]
    facts = result.read(paths[0]).dataset
    for name, each in (("probe", features.probed(facts, "leace")), ("aligned", features.correlation(facts)),
                       ("sweep", features.sweep(facts))):  # fmt: skip
        paths.append(out / f"{name}.json")
        paths[-1].write_bytes(to_json(each))
    report.main([*map(str, paths), "--out", str(out / "report.html"), "--dataset", str(release)])
    return out / "report.html"


@pytest.fixture(scope="module")
def page(empty_board, release, measured, send, copies, tmp_path_factory):
    """A board of four ranked models and one that is not."""
    scratch = tmp_path_factory.mktemp("page")
    root = shutil.copytree(empty_board, scratch / "submissions")
    names = ["alpha", "beta", "gamma", "delta"]
    for index, name in enumerate([*names, "unseen"]):
        send(measured(scratch / "results", name, 0.2 + 0.15 * index, index, digest=f"{index}d" * 32), root,
             "--paper", "arXiv:2211.10370")  # fmt: skip
    reproduced(root, *names)
    leaderboard.main([str(root), "--out", str(scratch / "board"), "--dataset", str(release)])
    return scratch / "board" / "index.html"


def fits(window, size):
    return window.evaluate("document.documentElement.scrollWidth") <= size["width"]


LONG = "zero-shot:laion/CLIP-ViT-B-32-xlm-roberta-base-laion5B-s13B-b90k"  # with no place to break in a phone's line


def test_a_report_of_one_model_of_a_long_name_fits_a_phone(visit, release, measured, tmp_path):
    path = measured(tmp_path, LONG, 0.5, 0)
    report.main([str(path), "--out", str(tmp_path / "report.html"), "--dataset", str(release)])
    assert fits(visit(tmp_path / "report.html", PHONE, "light"), PHONE)


@pytest.mark.parametrize(("size", "scheme"), SIZES)
def test_report(visit, shown, size, scheme):
    window = visit(shown, size, scheme)
    assert fits(window, size)
    assert window.locator("figure svg").count() == 5
    square = window.locator("table.square").first.bounding_box()
    assert square["x"] + square["width"] <= size["width"]  # the 2 x 2 table is seen whole on a phone too
    readings = window.get_by_text("all 8 readings")
    readings.focus()
    window.keyboard.press("Enter")
    assert window.get_by_text("foreground <- background").first.is_visible()
    pictures = window.locator("#gallery img")
    assert pictures.count() == 14
    window.locator("#gallery-more").click()
    count = pictures.count()
    assert count == 36  # of the first model: 30 % of 120 images
    assert window.locator("#gallery-more").is_hidden()
    assert window.locator("#gallery figcaption").first.inner_text().startswith("truth ")
    pictures.first.scroll_into_view_if_needed()  # only then it is loaded
    pictures.first.evaluate("(each) => each.decode()")
    assert pictures.first.evaluate("(each) => each.naturalWidth") == 32
    window.locator("#gallery-background").select_option("rain")
    assert 0 < pictures.count() < count
    window.locator("#gallery-background").select_option("")
    window.locator("#gallery-class").fill("no such class")
    assert pictures.count() == 0
    table = window.locator("#class-table")
    assert table.is_hidden()  # a cell holds one image
    window.get_by_text("every class on each background (a cell holds 1 image)").click()
    assert table.is_visible()
    window.locator("#class-filter").fill("tench")
    assert window.locator("#class-table tbody tr").count() == 1


def names(window):
    return window.locator("#board tbody tr .name").all_text_contents()


@pytest.mark.parametrize(("size", "scheme"), SIZES)
def test_board_by_mouse(visit, page, size, scheme):
    window = visit(page, size, scheme)
    assert fits(window, size)
    assert names(window) == ["delta", "gamma", "beta", "alpha"]
    window.get_by_role("button", name="model", exact=True).click()
    assert names(window) == ["alpha", "beta", "delta", "gamma"]
    window.get_by_role("button", name="model", exact=True).click()
    assert names(window) == ["gamma", "delta", "beta", "alpha"]
    window.locator("#filter").fill("ta")
    assert names(window) == ["delta", "beta"]
    window.locator("#filter").fill("")
    window.get_by_label("also what is not ranked").check()
    assert "unseen" in names(window)
    window.locator("#section").select_option("web")
    assert names(window) == []


@pytest.mark.parametrize(("size", "scheme"), SIZES)
def test_all_ten_backgrounds_are_reachable(visit, page, size, scheme):
    window = visit(page, size, scheme)
    last = window.locator("#board thead th").last
    assert last.inner_text() == window.evaluate("data.backgrounds.at(-1)")
    region = window.get_by_role("region", name="the board")
    if size == DESK:  # without a scroll
        box = last.bounding_box()
        assert box["x"] + box["width"] <= size["width"]
        assert region.evaluate("each => each.scrollWidth <= each.clientWidth")
    else:
        region.evaluate("each => { each.scrollLeft = each.scrollWidth; }")
        box = last.bounding_box()
        assert box["x"] + box["width"] <= size["width"]
        model = window.locator("#board tbody .model").first.bounding_box()  # the name stays in view
        assert 0 <= model["x"] < 30
    for name in window.locator("#board .name").all():  # whole, not cut
        assert name.evaluate("each => each.scrollWidth <= each.parentElement.clientWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_waits_what_is_linked_and_how_to_submit(visit, page, scheme):
    window = visit(page, PHONE, scheme)
    back = window.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", back))) < 200) == (scheme == "dark")
    assert window.get_by_text("Of 5 submissions, 4 are ranked, 1 waits to be reproduced.").is_visible()
    assert window.locator("#lead").inner_text().startswith("delta is first with 65.0 % top-1 (95 % interval ")
    window.get_by_role("link", name="Which wait").click()
    assert window.get_by_text("unseen").first.is_visible()
    window.get_by_role("link", name="Submit yours").click()
    assert window.get_by_text("python -m benchmark.submit").is_visible()
    addresses = window.locator("#board a").evaluate_all("all => all.map((each) => each.getAttribute('href'))")
    assert all(re.match(r"models/|https://(huggingface\.co|arxiv\.org|doi\.org)/", each) for each in addresses)
    assert "https://arxiv.org/abs/2211.10370" in addresses
    window.locator("#section").select_option("web")
    empty = "No model trained on data of the web is ranked yet."
    assert window.locator("#board .empty").inner_text() == window.locator("#lead").inner_text() == empty
    window.locator("#filter").fill("zz")
    assert window.locator("#board .empty").inner_text() == 'No model here has a name with "zz".'


def test_board_by_keyboard(visit, page):
    window = visit(page, DESK)
    head = window.get_by_role("columnheader", name="top-1", exact=True)
    head.get_by_role("button").focus()
    window.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert names(window)[0] == "delta"
    window.keyboard.press("Space")  # the focus stays where it was
    assert head.get_attribute("aria-sort") == "ascending"
    assert names(window)[0] == "alpha"
    window.locator("#filter").focus()
    window.keyboard.type("gam")
    assert names(window) == ["gamma"]
    window.get_by_role("link", name="gamma").focus()
    window.keyboard.press("Enter")
    window.wait_for_selector("h1:has-text('gamma')")


def test_a_thousand_rows_stay_usable(visit, page, tmp_path):
    text = page.read_text()
    head, data = text.split('id="data">')
    data, tail = data.split("</script>", 1)
    many = shutil.copytree(page.parent, tmp_path / "many") / "index.html"
    row = (
        "for (let i = 5; i < 1005; i++) data.entries.push({...data.entries[0], id: `m${i}`, model: `m${i}`, rank: i});"
    )
    parse = "textContent);\n"
    assert parse in tail
    many.write_text(f'{head}id="data">{data}</script>{tail.replace(parse, parse + row, 1)}')
    window = visit(many, DESK)
    assert len(names(window)) == 1004
    # Seconds of a core that the page's thread takes: other tests' processes have no part in them.
    clock = window.context.new_cdp_session(window)
    clock.send("Performance.enable", {"timeDomain": "threadTicks"})

    def taken():
        return {each["name"]: each["value"] for each in clock.send("Performance.getMetrics")["metrics"]}["TaskDuration"]

    begun = taken()
    window.evaluate(
        "() => { [...document.querySelectorAll('#board th button')][2].click(); document.body.offsetHeight; }"
    )
    assert 0.01 < taken() - begun < 1.5  # half a second on a quiet machine
    assert (page.parent / FOLDER).exists() is False
