"""Health of a board: what is wrong with it, what is not checked, and what is sound."""

import shutil

import pytest
from huggingface_hub import constants

from benchmark import leaderboard
from benchmark.board import site
from benchmark.board.fold import fold
from benchmark.board.page import page_name
from benchmark.board.ranking import REPRODUCED
from benchmark.board.rules import read_rules, truth_of
from benchmark.board.submission import DESCRIPTION, FOLDER
from benchmark.board.upkeep import health as looks
from d3s_dataset.utils.atomic import write_atomic
from tests.benchmark.board.conftest import refused
from tests.benchmark.board.upkeep.conftest import edit
from tests.support.hub_server import hub


@pytest.fixture(scope="module")
def page(base, release, tmp_path_factory):
    """The board's folder, its page with reports in a word, and how the fold looks: computed once for the tests here."""
    root = shutil.copytree(base, tmp_path_factory.mktemp("health") / "board")
    out = root.parent / "site"
    rules = read_rules(root)
    board = fold(root, rules, truth_of(release, rules))
    site.write_pages(board, {page_name(each): b"<p>" for each in board.entries if each.rank}, out)
    for name, content in site.files(board).items():
        write_atomic(out / name, content)
    return root, out, board


@pytest.fixture
def server(monkeypatch):
    """A Hub that is asked in place of the real one, and of arXiv."""
    with hub() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.endpoint)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        papers = f"{running.endpoint}/api/datasets/papers/arxiv/revision/"
        monkeypatch.setattr(looks, "paper_page", lambda name: papers + name.partition(":")[2])
        yield running


def verdicts(checks):
    return {each.what.split("--")[0]: each.verdict for each in checks}


def test_a_sound_board_and_what_it_points_to(page, server):
    root, out, board = page
    server.store.hold("models/lab/net", {"config.json": b"{}"})
    papers = server.store.hold("papers/arxiv", {"x": b""})
    papers.tags["2211.10370"] = papers.refs["main"]
    found = [*looks._entries(board), *looks._records(root, board), *looks._files(board, out), *looks._elsewhere(board)]
    assert {each.verdict for each in found} == {"sound"}, found
    assert {"weights lab/net", "paper arXiv:2211.10370"} <= {each.what for each in found}


def test_what_is_gone(page, server, tmp_path):
    _, out, board = page
    rules = board.rules.model_copy(update={"repo": "lab/d3s", "revision": "0" * 40})
    server.store.hold("lab/d3s", {"x": b""})
    found = verdicts(looks._elsewhere(board.model_copy(update={"rules": rules})))
    assert found == {"release lab/d3s": "wrong", "weights lab/net": "wrong", "paper arXiv:2211.10370": "wrong"}
    out = shutil.copytree(out, tmp_path / "site")
    shutil.rmtree(out / "models")
    (out / "board.csv").write_text("x")
    found = {each.what: each for each in looks._files(board, out)}
    assert (found[f"board {out}"].verdict, found["page index.html"].verdict) == ("wrong", "wrong")
    assert "board.csv differ" in found[f"board {out}"].text
    assert "models/toy--" in found["page index.html"].text


def test_what_cannot_be_reached_is_not_sound(page, monkeypatch, tmp_path):
    _, _, board = page
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(looks, "paper_page", lambda name: "http://127.0.0.1:9")  # where nothing listens
    assert set(verdicts(looks._elsewhere(board)).values()) == {"not checked"}
    (found,) = looks._files(board, tmp_path)
    assert found.verdict == "not checked"
    text = looks.table([*looks._elsewhere(board), found])
    assert text.endswith("0 wrong, 3 not checked, 0 sound")


@pytest.mark.long
def test_the_command_says_what_is_wrong(page, release, tmp_path, monkeypatch, capsys):
    root, out, _ = page
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(looks, "paper_page", lambda name: "http://127.0.0.1:9")  # where nothing listens
    root = shutil.copytree(root, tmp_path / "board")
    edit(next((root / FOLDER).glob("toy--*")) / DESCRIPTION, lambda said: said.update(notes="other"))
    (record,) = (root / REPRODUCED).iterdir()
    edit(shutil.copy(record, record.with_name(f"gone{record.name}")), lambda said: said.update(id=f"gone{record.stem}"))
    line = [root, "--out", out, "--dataset", release, "--health"]
    assert "3 of " in refused(leaderboard.main, *line)
    said = capsys.readouterr().out
    assert "the submission has changed since" in said
    assert "there is no such submission" in said
    assert "board.json" in said
