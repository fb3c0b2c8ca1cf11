"""The workflow that is printed: its YAML, its permissions, and its shell lines, run in bash against folders."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from benchmark import leaderboard
from benchmark.board.submission import FOLDER
from benchmark.board.upkeep.workflow import workflow
from d3s_dataset.errors import ResultError
from tests.benchmark.board.conftest import refused
from tests.benchmark.board.upkeep.proposals import PROPOSALS, tree
from tests.conftest import ROOT


@pytest.fixture
def printed(base, release, capsys, tmp_path, monkeypatch):
    """The workflow of a board in the folder `board` of a Git repo."""
    shutil.copytree(base, tmp_path / "repo" / "board")
    monkeypatch.chdir(tmp_path / "repo")
    leaderboard.main(["board", "--dataset", str(release), "--workflow"])
    return yaml.safe_load(capsys.readouterr().out)


def steps(made, job):
    return {each["name"]: each for each in made["jobs"][job]["steps"] if "name" in each}


def bash(made, job, name, folder, **more):
    """Run a step's lines as GitHub does, with its variables; python is this one."""
    (folder / "bin").mkdir(exist_ok=True)
    python = folder / "bin" / "python"
    if not python.exists():
        python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
    variables = {name: value for name, value in made["env"].items() if "${{" not in value}
    environment = os.environ | variables | {"PATH": f"{python.parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    line = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", steps(made, job)[name]["run"]]
    return subprocess.run(line, cwd=folder, env=environment | more, text=True, capture_output=True)


def test_nothing_may_write_and_no_stranger_s_text_reaches_the_shell(printed):
    assert printed["permissions"] == {}
    # YAML 1.1 reads `on` as true.
    assert set(printed[True]) == {"pull_request", "push", "schedule", "workflow_dispatch"}
    assert printed["env"]["BOARD"] == "board"
    for job in printed["jobs"].values():
        assert job["permissions"] == {"contents": "read"}
        for step in job["steps"]:
            assert "${{" not in step.get("run", "")
            if "uses" in step:
                assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step["uses"])
            if "checkout" in step.get("uses", ""):
                assert step["with"]["persist-credentials"] is False
    assert "secrets" not in str(printed["jobs"]["check"])


@pytest.mark.parametrize("text", ['a"; rm -rf / #', "a\nrun: x", "${{ secrets.HF_TOKEN }}x", "it's"])
def test_what_is_typed_stays_a_value(text):
    made = yaml.safe_load(workflow("board", text, rehearsal=True))
    assert made["env"]["DATASET"] == text
    assert made["env"]["OPTIONS"] == "--rehearsal"


def test_a_board_outside_its_repo(base, release):
    assert "inside its Git repo" in refused(leaderboard.main, base, "--dataset", release, "--workflow")
    with pytest.raises(ResultError, match="inside its Git repo"):
        workflow("../board", "org/d3s", rehearsal=False)


@pytest.mark.long
def test_its_lines_run_in_bash(printed, base, fresh, tmp_path):
    """A Git repo whose pull request has a fault, then none; then the build and the weekly look."""
    repo, work = tmp_path / "repo", tmp_path / "work"
    work.mkdir()
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(repo)]
    subprocess.run([*git, "init", "-q"], check=True)
    for said in ("base", "proposed"):
        if said == "proposed":
            PROPOSALS["a good one"].change(repo / "board", fresh)
            PROPOSALS["the rules"].change(repo / "board", fresh)
        subprocess.run([*git, "add", "-A"], check=True)
        subprocess.run([*git, "commit", "-qm", said], check=True)
    shutil.copytree(repo, work / "proposed")
    assert bash(printed, "check", "base", work).returncode == 0
    assert tree(work / "base" / "board") == tree(base)
    summary = work / "summary.md"
    failed = bash(printed, "check", "check", work, GITHUB_STEP_SUMMARY=str(summary))
    assert failed.returncode == 1, failed.stderr
    assert "touches leaderboard.json" in summary.read_text()
    shutil.copy(base / "leaderboard.json", work / "proposed" / "board")
    passed = bash(printed, "check", "check", work, GITHUB_STEP_SUMMARY=str(summary))
    assert passed.returncode == 0, passed.stderr
    assert "may be merged" in summary.read_text()
    shutil.copytree(base, work / "board")
    built = bash(printed, "build", "build", work)
    assert built.returncode == 0, built.stderr
    assert (work / "site" / "README.md").read_text().startswith("---\n")
    assert "sdk: static" in (work / "site" / "README.md").read_text()
    assert bash(printed, "health", "health", work, HF_HUB_OFFLINE="1").returncode == 0
    shutil.rmtree(next((work / "board" / FOLDER).glob("toy--*")))
    looked = bash(printed, "health", "health", work, HF_HUB_OFFLINE="1")
    assert looked.returncode == 1
    assert "there is no such submission" in looked.stdout
