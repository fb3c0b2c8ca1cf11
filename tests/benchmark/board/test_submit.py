"""Submitting: to a folder, and as pull requests to a Hub on this machine with the real client."""

import json
import os
import subprocess
import sys

import pytest
import yaml

from benchmark import leaderboard, submit
from benchmark.board.schema import Board
from benchmark.board.submission import FILES, FOLDER
from tests.benchmark.board.conftest import refused
from tests.conftest import ROOT
from tests.support.hub_server import READER, TOKEN, hub
from tests.support.hub_store import folder_files

REPO, MODEL = "lab/d3s-leaderboard", "guest/toy"
OWNER = """
import sys
from huggingface_hub import HfApi
api, board = HfApi(), {"repo_id": "lab/d3s-leaderboard", "repo_type": "dataset"}
(found,) = api.get_repo_discussions(**board, discussion_type="pull_request")
api.snapshot_download(**board, revision=found.git_reference, local_dir=sys.argv[1])
api.merge_pull_request(**board, discussion_num=found.num)
api.snapshot_download(**board, local_dir=sys.argv[2])
print(found.title, found.author)
"""


def line(result, board, release, *more):
    return [str(result), "--repo-id", str(board), "--training-data", "imagenet", "--dataset", str(release), *more]


@pytest.fixture
def result(measured, tmp_path):
    return measured(tmp_path / "results")


def test_into_a_folder_and_again(result, board, release, capsys):
    submit.main(line(result, board, release, "--dry-run"))
    assert not (board / FOLDER).exists()
    assert "dry run: nothing was sent" in capsys.readouterr().out
    submit.main(line(result, board, release, "--notes", "a toy"))
    (folder,) = (board / FOLDER).iterdir()
    assert {each.name for each in folder.iterdir()} == set(FILES)
    submit.main(line(result, board, release, "--notes", "a toy"))
    assert "nothing to do: " in capsys.readouterr().out


def test_what_is_bad_is_said_in_one_line(result, board, release, measured, tmp_path, toy):
    assert "no leaderboard" in refused(submit.main, *line(result, tmp_path, release))
    assert "other images" in refused(submit.main, *line(result, board, toy))
    assert "notes: " in refused(submit.main, *line(result, board, release, "--notes", "<b>"))
    half = measured(tmp_path / "half", precision="bf16")
    assert "run it with --precision fp32" in refused(submit.main, *line(half, board, release))
    assert "names no repo" in refused(submit.main, *line(result, board, release, "--model-repo", MODEL))
    submit.main(line(result, board, release))
    (old,) = (each.name for each in (board / FOLDER).iterdir())
    other = measured(tmp_path / "other", "other", digest="9d" * 32)
    assert "--supersedes nope: expected the id" in refused(
        submit.main, *line(other, board, release, "--supersedes", "nope")
    )
    for each in (other, result):
        assert "older submission of the same model" in refused(
            submit.main, *line(each, board, release, "--supersedes", old)
        )
    newer = measured(tmp_path / "newer", kwargs={"pad_type": "same"})
    assert "expected a model of a Hub repo" in refused(submit.main, *line(newer, board, release, "--supersedes", old))
    said = json.loads(result.read_bytes())
    said["metrics"]["top5"] = 1.0
    result.write_text(json.dumps(said))
    assert "metrics.top5 is 1.0, recomputed" in refused(submit.main, *line(result, board, release))
    result.with_suffix(".parquet").unlink()
    assert "no predictions at" in refused(submit.main, *line(result, board, release))


@pytest.fixture(scope="module")
def server():
    with hub() as running:
        yield running


@pytest.fixture(scope="module")
def environment(server, tmp_path_factory):
    made = os.environ | {"HF_ENDPOINT": server.endpoint, "HF_HUB_DISABLE_XET": "1", "PYTHONPATH": str(ROOT)}
    return made | {"HF_HOME": str(tmp_path_factory.mktemp("hf"))}


@pytest.fixture(scope="module")
def submits(environment):
    """Run submit with each list of arguments as a user; return what it said."""
    process = subprocess.Popen([sys.executable, "-m", "tests.support.submit_driver"], env=environment, cwd=ROOT,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)  # fmt: skip

    def run(argv, token=READER):
        process.stdin.write(json.dumps({"argv": argv, "token": token}) + "\n")
        said = json.loads(process.stdout.readline())
        assert TOKEN not in str(said)
        assert READER not in str(said)
        return said

    with process:
        yield run
        process.stdin.close()


def on_hub(server, board, release):
    """Put an empty board and a model on a Hub."""
    server.reset()
    path = board / "leaderboard.json"
    rules = json.loads(path.read_bytes()) | {"repo": "lab/d3s"}
    path.write_text(json.dumps(rules))
    server.store.hold(REPO, folder_files(board))
    server.store.hold(f"models/{MODEL}", {"config.json": b"{}"})
    server.store.hold("lab/other", {"README.md": b"a data set"})


def test_a_pull_request_from_opening_to_the_board(server, submits, environment, result, board, release, tmp_path):
    on_hub(server, board, release)
    argv = line(result, REPO, release, "--model-repo", MODEL)
    dry = submits([*argv, "--dry-run"])
    assert (dry["code"], dry["out"].count("dry run")) == (0, 1), dry
    assert "value: 60.0" in dry["out"]
    repo, model = server.store.repos[REPO], server.store.repos[f"models/{MODEL}"]
    assert (repo.pulls, model.pulls) == ([], [])

    first, again = submits(argv), submits(argv)  # a user without write access
    assert first["code"] == again["code"] == 0, first["err"] + again["err"]
    assert first["out"].count("proposed: ") == 2
    assert again["out"].count("nothing to do: it is proposed already at") == 2
    assert len(repo.pulls) == len(model.pulls) == 1
    (score,) = yaml.safe_load(model.at("refs/pr/1").tree[".eval_results/d3s.yaml"].content)
    assert score["dataset"] == {"id": "lab/d3s", "task_id": "default_validation"}
    assert score["value"] == 60.0

    seen, merged = tmp_path / "seen", tmp_path / "merged"
    owner = environment | {"HF_TOKEN": TOKEN}
    said = subprocess.run([sys.executable, "-c", OWNER, seen, merged], env=owner, text=True, capture_output=True)
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("Submission toy--")
    assert said.stdout.endswith("guest\n")
    assert len(list((seen / FOLDER).iterdir())) == 1
    leaderboard.main([str(merged), "--out", str(tmp_path / "board"), "--dataset", str(release)])
    (entry,) = Board.model_validate_json((tmp_path / "board" / "board.json").read_bytes()).entries
    assert entry.state == "recomputed"
    last = submits(line(result, REPO, release))
    assert "has it already" in last["out"], last
    for older, says in (("nope", "expected the id of a submission"), (entry.id, "expected an older submission")):
        refusal = submits([*line(result, REPO, release), "--supersedes", older])
        assert (refusal["code"], says in refusal["err"]) == (1, True), refusal


def test_repos_that_are_no_boards_and_users_without_a_token(server, submits, result, board, release):
    on_hub(server, board, release)
    cases = {
        "lab/other is no leaderboard: it has no leaderboard.json": submits(line(result, "lab/other", release)),
        "lab/none does not exist": submits(line(result, "lab/none", release)),
        "no Hub token": submits(line(result, REPO, release), token=None),
        "the Hub does not accept the token": submits(line(result, REPO, release), token="hf_bad"),
        "guest/none does not exist": submits(line(result, REPO, release, "--model-repo", "guest/none")),
    }
    for words, said in cases.items():
        assert (said["code"], said["err"].count("\n")) == (1, 1), said
        assert words in said["err"]
