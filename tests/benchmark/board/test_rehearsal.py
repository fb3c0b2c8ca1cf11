"""Rehearsal boards: on what is not D3S, marked on every page, and never one board with real submissions."""

import json
import shutil
from dataclasses import replace

import pytest

from benchmark import leaderboard, submit
from benchmark.board.rules import FILE_NAME, read_rules
from benchmark.board.schema import Board
from benchmark.board.submission import FOLDER
from benchmark.data.split import open_split
from d3s_dataset.errors import D3SError
from tests.benchmark.board.conftest import answers, provenance, refused, written
from tests.benchmark.board.test_board import reproduced

SAMPLE = "drawn sample, not D3S"
MARK = f"Rehearsal on {SAMPLE}: no number here is a result on D3S"


@pytest.fixture(scope="session")
def on_the_sample(toy):
    """Write a result on the drawn sample."""

    def write(out, name="toy", accuracy=0.6, seed=0, **facts):
        split = open_split(toy, "default", "validation")
        made = split.predictions(answers(split.foreground, accuracy, seed))
        return written(out, replace(made, provenance=provenance(split.facts(), name, **facts)))

    return write


@pytest.fixture(scope="module")
def rehearsal(toy, on_the_sample, tmp_path_factory):
    """A rehearsal of two models that were run again and one that was not, and its pages."""
    scratch = tmp_path_factory.mktemp("rehearsal")
    root, out = scratch / "submissions", scratch / "board"
    leaderboard.main([str(root), "--begin", "--rehearsal", "--dataset", str(toy)])
    for index, name in enumerate(["one", "two", "waiting"]):
        path = on_the_sample(scratch / "results", name, 0.3 + 0.3 * index, index, digest=f"{index}e" * 32)
        submit.main([str(path), "--repo-id", str(root), "--training-data", "imagenet", "--dataset", str(toy)])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.benchmark.board.test_board.IMAGES", 90)
        reproduced(root, "one", "two")
    leaderboard.main([str(root), "--rehearsal", "--dataset", str(toy), "--out", str(out)])
    return root, out


def test_every_page_and_file_is_marked(rehearsal, toy, capsys):
    root, out = rehearsal
    pages = [out / "index.html", *(out / "models").glob("*.html")]
    assert len(pages) == 3
    for path in pages:
        text = path.read_text()
        assert f"<strong>{MARK}.</strong>" in text, path
        assert "<title>Rehearsal: " in text, path
    for name in ("board.md", "README.md"):
        assert f"**{MARK}.**" in (out / name).read_text()
    board = json.loads((out / "board.json").read_bytes())
    assert (board["rules"]["rehearsal"], board["rules"]["kind"]) == (True, "sample")
    rows = [line.split(",") for line in (out / "board.csv").read_text().splitlines()]
    assert {row[rows[0].index("rehearsal")] for row in rows[1:]} == {"yes"}
    leaderboard.main([str(root), "--rehearsal", "--dataset", str(toy), "--out", str(out), "--check"])
    assert "byte for byte" in capsys.readouterr().out


def test_it_ranks_what_was_run_again_and_counts_what_waits(rehearsal, toy, capsys):
    root, out = rehearsal
    leaderboard.main([str(root), "--rehearsal", "--dataset", str(toy), "--out", str(out)])
    told = capsys.readouterr().out
    assert f"\n{MARK}\nOf 3 submissions, 2 are ranked, 1 waits to be reproduced.\n" in told
    board = Board.model_validate_json((out / "board.json").read_bytes())
    assert [(each.model, each.rank) for each in board.entries] == [("two", 1), ("one", 2), ("waiting", None)]


def test_a_real_board_refuses_a_rehearsal_s_submission_and_the_reverse(
    rehearsal, board, release, toy, measured, on_the_sample, tmp_path, send
):
    sample = on_the_sample(tmp_path / "sample")
    line = ["--training-data", "imagenet", "--repo-id"]
    told = refused(submit.main, sample, *line, board, "--dataset", release)
    assert told == f"expected a result on D3S, got one on {SAMPLE}: only a rehearsal board takes it"
    real = measured(tmp_path / "real")
    told = refused(submit.main, real, *line, rehearsal[0], "--dataset", toy)
    assert told == f"expected a result on {SAMPLE} (a rehearsal), got one on D3S: send it to a board"
    send(real, board)
    for folder in (rehearsal[0] / FOLDER).iterdir():  # by hand, past `submit`
        shutil.copytree(folder, board / FOLDER / folder.name)
    leaderboard.main([str(board), "--dataset", str(release), "--out", str(tmp_path / "board")])
    found = Board.model_validate_json((tmp_path / "board" / "board.json").read_bytes())
    assert [each.state for each in found.entries] == ["recomputed", "refused", "refused", "refused"]
    assert {each.reason for each in found.entries[1:]} == {
        f"expected a result on D3S, got one on {SAMPLE}: only a rehearsal board takes it"
    }


def test_the_flag_says_what_the_folder_is(rehearsal, board, release, toy, send, measured, tmp_path):
    root, out = rehearsal
    for more in ([], ["--check"], ["--reproduce", "x"]):
        told = refused(leaderboard.main, root, "--dataset", toy, "--out", out, *more)
        assert told == f"{root} is a rehearsal on {SAMPLE}: add --rehearsal"
        told = refused(leaderboard.main, board, "--dataset", release, "--rehearsal", *more)
        assert told.startswith(f"--rehearsal: {board} is a board about D3S: expected a rehearsal's folder; ")
    new = tmp_path / "new"
    told = refused(leaderboard.main, new, "--begin", "--dataset", toy)
    assert told == (
        f"{toy}, config default: {SAMPLE}: expected a release of D3S, or --rehearsal for a board that is marked as one"
    )
    told = refused(leaderboard.main, new, "--begin", "--rehearsal", "--dataset", release)
    assert told == f"--rehearsal: {release} is D3S: expected the drawn sample, guides or a control config"
    send(measured(tmp_path / "results"), board)
    told = refused(leaderboard.main, board, "--dataset", release, "--out", out)
    assert told == f"{out} holds a rehearsal, and this is a board about D3S: pass another --out"
    leaderboard.main([str(board), "--dataset", str(release), "--out", str(tmp_path / "site")])
    told = refused(leaderboard.main, root, "--rehearsal", "--dataset", toy, "--out", tmp_path / "site")
    assert told.endswith("holds a board about D3S, and this is a rehearsal: pass another --out")
    for damaged in ("{", '{"rules": 1}'):
        (tmp_path / "site" / "board.json").write_text(damaged)
        told = refused(leaderboard.main, board, "--dataset", release, "--out", tmp_path / "site")
        assert "board.json cannot be read: " in told


def test_no_score_and_no_table_leave_a_rehearsal(rehearsal, toy, on_the_sample, tmp_path, capsys):
    sample = on_the_sample(tmp_path / "sample")
    line = [sample, "--repo-id", rehearsal[0], "--training-data", "web", "--dataset", toy, "--model-repo", "a/b"]
    assert "it gives no score on D3S" in refused(submit.main, *line)
    for more in (["--into", "README.md"], ["--eval-yaml"]):
        with pytest.raises(SystemExit):
            leaderboard.main([str(rehearsal[0]), "--rehearsal", "--dataset", str(toy), *more])
        assert "--rehearsal" in capsys.readouterr().err


def test_rules_cannot_say_otherwise_and_older_ones_are_marked(rehearsal, tmp_path):
    given = json.loads((rehearsal[0] / FILE_NAME).read_bytes())
    path = tmp_path / FILE_NAME
    path.write_text(json.dumps(given | {"rehearsal": False}))
    with pytest.raises(D3SError, match="rehearsal: expected true: the images are drawn sample, not D3S"):
        read_rules(tmp_path)
    path.write_text(json.dumps(given | {"kind": "d3s"}))
    with pytest.raises(D3SError, match="rehearsal: expected false: the images are D3S's"):
        read_rules(tmp_path)
    del given["rehearsal"]
    for kind, config, marked in (("d3s", "default", False), ("d3s", "guides", True)):
        path.write_text(json.dumps(given | {"schema_version": 1, "kind": kind, "config": config}))
        assert read_rules(tmp_path).rehearsal is marked
