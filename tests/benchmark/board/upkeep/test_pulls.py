"""Pull requests against a board: in folders, and on a Hub on this machine with the real client."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from benchmark import leaderboard
from benchmark.board.rules import read_rules, truth_of
from benchmark.board.submission import FOLDER
from benchmark.board.upkeep.changes import Changes, between_folders, id_in
from benchmark.board.upkeep.comment import markdown
from benchmark.board.upkeep.pulls import check_pull
from d3s_dataset.utils.escape import code_span
from tests.benchmark.board.conftest import refused
from tests.benchmark.board.upkeep.proposals import EVIL, PROPOSALS, difference
from tests.conftest import ROOT
from tests.support.hub_server import READER, TOKEN, hub
from tests.support.hub_store import folder_files

REPO = "lab/d3s-leaderboard"
SPANS = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)")


def proposed(base, fresh, name, place):
    root = shutil.copytree(base, place)
    PROPOSALS[name].change(root, fresh)
    return root


@pytest.mark.long
def test_many_faults_at_once_and_the_comment_is_ours(base, fresh, release, tmp_path):
    """One process reads all of them; the longer form has a pull request for each."""
    root = proposed(base, fresh, "a newer one", tmp_path / "proposed")
    for name in ("Markdown of its own", "the same predictions", "a look-alike", "the rules"):
        PROPOSALS[name].change(root, fresh)
    rules = read_rules(base)
    verdict = check_pull(base, root, between_folders(base, root), rules, truth_of(release, rules))
    assert not verdict.mergeable
    text = markdown(verdict, rules)
    for name in ("Markdown of its own", "the same predictions", "a look-alike", "the rules", "a newer one"):
        assert PROPOSALS[name].says in text, (name, text)
    assert EVIL[:9] in text
    outside = SPANS.sub("", text)
    for odd in ("@", "<", "](", "http", "evil"):
        assert odd not in outside, outside
    (older,) = verdict.older.values()
    assert older.change == pytest.approx(0.4)
    assert older.ci95[0] < 0.4 < older.ci95[1]
    assert older.p < 0.001


def test_what_a_pull_request_may_touch():
    assert id_in(f"{FOLDER}/toy--{'a' * 12}/result.json") == f"toy--{'a' * 12}"
    for path in ("result.json", f"{FOLDER}/toy/result.json", f"{FOLDER}/toy--{'a' * 12}/run.py",
                 f"{FOLDER}/../toy--{'a' * 12}/result.json", f"x/{FOLDER}/toy--{'a' * 12}/result.json"):  # fmt: skip
        assert id_in(path) is None
        assert Changes((path,), (), ()).faults
        assert Changes((), (), (path,)).faults


def test_links_lead_nowhere_and_git_is_no_part_of_a_board(base, tmp_path):
    root = shutil.copytree(base, tmp_path / "proposed")
    (root / ".git").mkdir()
    (root / ".git" / "HEAD").write_text("x")
    assert between_folders(base, root) == Changes((), (), ())
    (root / FOLDER / "link").symlink_to("/etc")
    path = root / "leaderboard.json"
    path.unlink()
    path.symlink_to(base / "leaderboard.json")
    assert between_folders(base, root) == Changes((f"{FOLDER}/link",), ("leaderboard.json",), ())


@pytest.mark.parametrize("text", ["a", "`", "``` x", " ", "", "a\nb", "x`"])
def test_a_code_span_holds_its_text(text):
    made = code_span(text)
    assert SPANS.fullmatch(made), made
    assert "\n" not in made


def test_what_is_typed_wrong_is_said_in_one_line(base, release, tmp_path):
    line = [base, "--dataset", release]
    assert "expected the folder that it proposes" in refused(leaderboard.main, *line, "--check-pr", tmp_path / "none")
    assert "--comment: expected a repo" in refused(leaderboard.main, *line, "--check-pr", base, "--comment")
    assert "expected the folder of a board or its repo" in refused(leaderboard.main, "a/b/c", "--check-pr", "1")


@pytest.fixture(scope="module")
def server():
    with hub() as running:
        yield running


@pytest.fixture(scope="module")
def checks(server, base, release, tmp_path_factory):
    """Run `leaderboard lab/d3s-leaderboard --check-pr N` with the real client; return what it said."""
    server.store.hold(REPO, folder_files(base))
    home = tmp_path_factory.mktemp("hf")
    environment = os.environ | {"HF_ENDPOINT": server.endpoint, "HF_HUB_DISABLE_XET": "1", "PYTHONPATH": str(ROOT),
                                "HF_HOME": str(home), "D3S_CACHE": str(home / "d3s")}  # fmt: skip
    driver = [sys.executable, "-m", "tests.support.submit_driver", "benchmark.leaderboard"]
    process = subprocess.Popen(driver, env=environment, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               text=True, bufsize=1)  # fmt: skip

    def run(number, *more, token=None):
        argv = [REPO, "--dataset", str(release), "--check-pr", str(number), *more]
        process.stdin.write(json.dumps({"argv": argv, "token": token}) + "\n")
        said = json.loads(process.stdout.readline())
        assert TOKEN not in str(said)
        return said

    with process:
        yield run
        process.stdin.close()


def test_a_pull_request_on_the_hub_gets_its_comment(server, checks, base, fresh, tmp_path):
    repo = server.store.repos[REPO]
    good = repo.propose(difference(base, proposed(base, fresh, "a good one", tmp_path / "good")))
    # Main has moved on since: what it got is not what the pull request deletes.
    repo.add("main", dict(repo.at("main").tree) | {"NEWS.md": repo.at("main").tree["leaderboard.json"]}, "news")
    said = checks(good, "--comment", token=READER)
    assert (said["code"], said["err"]) == (0, ""), said
    (event,) = repo.pulls[good - 1]["events"]
    assert event["data"]["latest"]["raw"].strip() == said["out"].strip()
    assert "may be merged" in said["out"]
    assert "70.0 % top-1" in said["out"]
    bad = repo.propose({"README.md": b"mine"})
    said = checks(bad)
    assert (said["code"], "touches README.md" in said["out"]) == (1, True), said
    assert said["err"].count("\n") == 1
    assert "events" not in repo.pulls[bad - 1]
    for number, words in ((99, "has no such pull request"), ("x", "expected the number of a pull request")):
        said = checks(number)
        assert (said["code"], words in said["err"]) == (1, True), said


@pytest.mark.long
@pytest.mark.parametrize("name", PROPOSALS)
def test_each_kind_of_fault(server, checks, base, fresh, tmp_path, name):
    wanted = PROPOSALS[name]
    changed = difference(base, proposed(base, fresh, name, tmp_path / "proposed"))
    number = server.store.repos[REPO].propose(changed, name)
    said = checks(number)
    assert said["code"] == (0 if wanted.mergeable else 1), said
    assert wanted.says in said["out"], said
    assert said["err"].count("\n") == (0 if wanted.mergeable else 1), said
