"""Boards: states, ranks and tiers, the same bytes everywhere, nothing computed twice."""

import json
import re
import shutil

import pytest
import yaml

from benchmark import board as boards
from benchmark import leaderboard
from benchmark.board import intake, site
from benchmark.board.intake import digest_or_none
from benchmark.board.site import task_id
from benchmark.board.standing import Board, Record
from benchmark.submission import FOLDER
from benchmark.submission.truth import read_rules
from d3s_dataset.manifest import to_json
from tests.benchmark.board.conftest import IMAGES, refused
from tests.conftest import ROOT


def reproduced(root, *names, passed=True):
    """Write the owner's records."""
    for folder in sorted((root / FOLDER).iterdir()):
        if folder.name.split("--")[0] in names:
            content, same = digest_or_none(folder, IMAGES), 9 if passed else 1
            record = Record(id=folder.name, content=content, seed=1, rows=9, same=same, passed=passed, device="cpu")
            path = root / boards.REPRODUCED / f"{folder.name}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(to_json(record))


def build(root, release, out):
    leaderboard.main([str(root), "--out", str(out), "--dataset", str(release)])
    return Board.model_validate_json((out / "board.json").read_bytes())


def by_name(board):
    return {each.id.split("--")[0]: each for each in board.entries}


@pytest.fixture(scope="module")
def five(empty_board, release, measured, send, tmp_path_factory):
    """Two good models that do not differ, a poor one, one trained on the web, one that was not run again."""
    scratch = tmp_path_factory.mktemp("five")
    root = shutil.copytree(empty_board, scratch / "submissions")
    for index, (name, accuracy, training) in enumerate(
        [("best", 0.8, "imagenet"), ("nearly", 0.79, "imagenet"), ("poor", 0.2, "imagenet"),
         ("clip", 0.9, "web"), ("unseen", 1.0, "imagenet")]
    ):  # fmt: skip
        send(measured(scratch / "results", name, accuracy, index, digest=f"{index}a" * 32), root, training=training)
    reproduced(root, "best", "nearly", "poor", "clip")
    out = scratch / "board"
    return root, out, build(root, release, out)


def test_only_what_was_run_again_is_ranked_and_sections_do_not_mix(five):
    entries = by_name(five[2])
    assert {name: (each.rank, each.tier) for name, each in entries.items()} == {
        "best": (1, 1), "nearly": (2, 1), "poor": (3, 2), "clip": (1, 1), "unseen": (None, None)
    }  # fmt: skip
    assert entries["nearly"].versus.p > boards.SAME_TIER > entries["poor"].versus.p
    assert entries["unseen"].state == "recomputed"
    assert entries["best"].numbers.all.right == 96


def test_the_same_bytes_elsewhere_and_check(five, release, tmp_path, capsys):
    root, out, _ = five
    moved = shutil.copytree(root, tmp_path / "elsewhere")
    build(moved, release, tmp_path / "again")
    for name in ("board.json", "board.csv", "board.md", "index.html", "README.md"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes(), name
    leaderboard.main([str(moved), "--out", str(out), "--dataset", str(release), "--check"])
    assert "byte for byte" in capsys.readouterr().out
    text = (tmp_path / "again" / "board.json").read_text()
    assert "NaN" not in text
    (tmp_path / "again" / "board.json").write_text(text.replace('"right": 96', '"right": 97'))
    line = [moved, "--out", tmp_path / "again", "--dataset", release, "--check"]
    assert "board.json differ" in refused(leaderboard.main, *line)


def test_the_files_for_people(five):
    _, out, board = five
    assert (out / "README.md").read_text().startswith("---\ntitle: toy leaderboard\n")
    assert "sdk: static" in (out / "README.md").read_text()
    assert "| best | 1 | 1 | 80.0 |" in (out / "board.md").read_text()
    assert len((out / "board.csv").read_text().splitlines()) == 6
    pages = {path.name for path in (out / "models").iterdir()}
    assert pages == {f"{each.id}.html" for each in board.entries if each.rank}


def test_the_table_in_a_readme_and_a_card(five, release, tmp_path, capsys):
    root, out, _ = five
    paths = [tmp_path / "README.md", tmp_path / "card.md"]
    texts = [(ROOT / name).read_text() for name in ("README.md", "dataset_card.md")]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    line = [str(root), "--out", str(out), "--dataset", str(release), "--into", *map(str, paths)]
    for _ in range(2):  # the second time nothing changes
        leaderboard.main(line)
        for path, text in zip(paths, texts, strict=True):
            before, _, after = re.split(r"(?s)(?<=begin results -->\n)(.*)(?=\n<!-- d3s:end results)", text)
            assert path.read_text() == before + (out / "board.md").read_text().rstrip() + after
    leaderboard.main([*line, "--check"])
    assert "byte for byte" in capsys.readouterr().out
    paths[1].write_text(paths[1].read_text().replace("| best | 1 |", "| mine | 1 |"))
    assert "card.md differ" in refused(leaderboard.main, *line, "--check")
    (tmp_path / "none.md").write_text("# none")
    assert "none.md: expected one block 'results'" in refused(leaderboard.main, *line, tmp_path / "none.md")
    assert "missing.md cannot be read" in refused(leaderboard.main, *line, tmp_path / "missing.md")


def test_what_registers_a_benchmark_on_the_hub(five, release, tmp_path):
    root, out, board = five
    out = shutil.copytree(out, tmp_path / "board")
    leaderboard.main([str(root), "--out", str(out), "--dataset", str(release), "--eval-yaml"])
    said = yaml.safe_load((out / "eval.yaml").read_bytes())
    assert {name: type(each) for name, each in said.items()} == {
        "name": str, "description": str, "evaluation_framework": str, "tasks": list
    }  # fmt: skip
    assert said["tasks"] == [{"id": "default_validation", "config": "default", "split": "validation"}]
    assert said["tasks"][0]["id"] == task_id(board.rules)  # what scores name


def test_what_is_unchanged_is_not_computed_again(five, release, tmp_path, monkeypatch, measured, send):
    root, out, board = five
    root, out = shutil.copytree(root, tmp_path / "submissions"), shutil.copytree(out, tmp_path / "board")
    calls = []
    monkeypatch.setattr(intake, "check", lambda *given, **more: calls.append(given) or REAL(*given, **more))
    monkeypatch.setattr(boards, "overall", lambda *_: pytest.fail("a test was made again"))
    before = {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}
    assert build(root, release, out) == board
    assert {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()} == before
    assert calls == []
    send(measured(tmp_path / "results", "new", 0.1, 9, digest="9b" * 32), root)
    assert by_name(build(root, release, out))["new"].state == "recomputed"
    assert len(calls) == 1


REAL = intake.check


def test_withdrawn_superseded_duplicate_and_not_reproduced(empty_board, release, measured, send, tmp_path):
    root = shutil.copytree(empty_board, tmp_path / "submissions")
    out = tmp_path / "results"
    for index, name in enumerate(["old", "gone", "false"]):
        send(measured(out, name, 0.5, index, digest=f"{index}c" * 32), root)
    old = next(each.name for each in (root / FOLDER).glob("old--*"))
    send(measured(out, "old", 0.6, 7, digest="7c" * 32), root, "--supersedes", old)
    send(measured(out, "rival", 0.6, 8, digest="8c" * 32), root)
    claim = next((root / FOLDER).glob("rival--*")) / "model.json"  # as sent by hand: benchmark.submit refuses it
    claim.write_text(json.dumps(json.loads(claim.read_bytes()) | {"supersedes": old}))
    send(measured(out, "thief", 0.6, 7, digest="6c" * 32), root)  # the answers of the new `old`
    said = next((root / FOLDER).glob("gone--*")) / "model.json"
    said.write_text(json.dumps(json.loads(said.read_bytes()) | {"withdrawn": "trained on the test images"}))
    reproduced(root, "old", "gone")
    reproduced(root, "false", passed=False)
    board = build(root, release, tmp_path / "board")
    found = {each.id: (each.state, each.reason) for each in board.entries}
    new = next(each for each in found if each.startswith("old--") and each != old)
    assert found[old] == ("superseded", f"by {new}")  # the rival's claim is void: another model
    assert found[new][0] == "reproduced"
    short = {name.split("--")[0]: state for name, state in found.items()}
    assert short["gone"] == ("withdrawn", "trained on the test images")
    assert short["thief"] == ("duplicate", f"the same answers as {new}")
    assert short["false"] == ("not reproduced", "1 of 9 answers the same when run again")
    assert short["rival"][0] == "recomputed"
    folder = root / FOLDER / new
    said = folder / "model.json"
    said.write_text(json.dumps(json.loads(said.read_bytes()) | {"notes": "changed since"}))
    changed = build(root, release, tmp_path / "board")  # a record is of one content
    assert next(each.state for each in changed.entries if each.id == new) == "recomputed"


def test_twenty_submissions_in_processes(empty_board, release, measured, send, copies, tmp_path):
    root = shutil.copytree(empty_board, tmp_path / "submissions")
    send(measured(tmp_path / "results", "toy", 0.5), root)
    copies(next((root / FOLDER).iterdir()), 19)
    board = build(root, release, tmp_path / "board")
    assert sorted(each.state for each in board.entries) == ["duplicate"] * 19 + ["recomputed"]
    assert len({each.numbers for each in map(without_place, board.entries)}) == 1


def without_place(entry):
    return entry.model_copy(update={"numbers": entry.numbers.model_dump_json()})


@pytest.mark.parametrize("config", ["default", "guides"])
def test_a_board_on_guides_says_that_it_is_not_about_d3s(controlled, tmp_path, capsys, config):
    root, warning = tmp_path / "board", "guides (no model has redrawn them), not D3S"
    leaderboard.main([str(root), "--begin", "--dataset", str(controlled), "--config", config])
    empty = Board(rules=read_rules(root), entries=[])
    shown = [capsys.readouterr().out, *(content.decode() for content in site.files(empty).values())]
    assert (warning in shown[0], warning in site.tables(empty)) == (config == "guides",) * 2
    assert sum(warning in each for each in shown) == (4 if config == "guides" else 0)


def test_bad_input(board, release, tmp_path, toy):
    out = ["--out", tmp_path / "out", "--dataset", release]
    assert "no leaderboard" in refused(leaderboard.main, tmp_path, *out)
    assert "holds no submissions" in refused(leaderboard.main, board, *out)
    assert "is there already" in refused(leaderboard.main, board, "--begin", "--dataset", release)
    assert "kind sample: no board" in refused(leaderboard.main, tmp_path / "new", "--begin", "--dataset", toy)
    assert "no submission '../x'" in refused(leaderboard.main, board, *out, "--reproduce", "../x")
