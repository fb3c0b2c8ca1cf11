"""The text of a GitHub workflow that looks after a board in a Git repo: `benchmark.leaderboard FOLDER --workflow`.

A pull request is checked by the code that is installed and the rules of the base branch; nothing of the pull request is
run, and no job that sees it may write. Values reach the shell through `env` alone. The page is a static Space as it is.
"""

import json
from pathlib import PurePosixPath

from d3s_dataset.errors import ResultError

# Tags can be moved, commits cannot.
_CHECKOUT = "actions/checkout@11bd71901bbe5b1630ceea73d27597364c9af683"  # v4.2.2
_PYTHON = "actions/setup-python@0b93645e9fea7318ecaed2b359559ac225c90a2b"  # v5.3.0
_UPLOAD = "actions/upload-artifact@ea165f8d65b6e75b540449e92b4886f43607fa02"  # v4.6.2

_INSTALL = f"""\
      - uses: {_PYTHON}
        with:
          python-version: "3.12"
      - run: python -m pip install "${{D3S:?set the variable D3S of this repo}}"
"""
# Of the jobs that no pull request starts.
_SET_UP = f"""\
    runs-on: ubuntu-latest
    timeout-minutes: 120
    permissions:
      contents: read
    steps:
      - uses: {_CHECKOUT}
        with:
          persist-credentials: false
{_INSTALL}"""
_TEXT = """\
# .github/workflows/board.yml, as benchmark.leaderboard --workflow wrote it.
name: board
on:
  pull_request:
  push:
    branches: [main]
  schedule:
    - cron: "17 5 * * 1"
  workflow_dispatch:
permissions: {{}}
env:
  BOARD: {board}
  DATASET: {dataset}
  OPTIONS: {options}
  D3S: ${{{{ vars.D3S }}}} # what pip installs, of a fixed commit: set it as a variable of the repo
jobs:
  check:
    if: github.event_name == 'pull_request'
    runs-on: ubuntu-latest
    timeout-minutes: 60
    permissions:
      contents: read
    steps:
      - uses: {checkout} # the merge of main and the pull request
        with:
          path: proposed
          fetch-depth: 2
          persist-credentials: false
      - name: base
        run: git -C proposed worktree add ../base HEAD^1
{install}      - name: check
        run: |
          code=0
          python -m benchmark.leaderboard "base/$BOARD" $OPTIONS --dataset "$DATASET" \\
            --check-pr "proposed/$BOARD" > comment.md || code=$?
          cat comment.md >> "$GITHUB_STEP_SUMMARY"
          exit "$code"
  build:
    if: github.event_name == 'push'
{set_up}      - name: build
        run: python -m benchmark.leaderboard "$BOARD" $OPTIONS --out site --dataset "$DATASET"
      - uses: {upload}
        with:
          name: site
          path: site
      - name: publish
        if: vars.SPACE != ''
        env:
          SPACE: ${{{{ vars.SPACE }}}}
          HF_TOKEN: ${{{{ secrets.HF_TOKEN }}}}
        run: hf upload "$SPACE" site . --repo-type space --delete "*"
  health:
    if: github.event_name == 'schedule' || github.event_name == 'workflow_dispatch'
{set_up}      - name: health
        run: |
          python -m benchmark.leaderboard "$BOARD" $OPTIONS --out site --dataset "$DATASET"
          python -m benchmark.leaderboard "$BOARD" $OPTIONS --health --out site --dataset "$DATASET"
"""


def workflow(board: str, dataset: str, rehearsal: bool) -> str:
    """Return the workflow of a board.

    Args:
        board: its folder in the Git repo.
        dataset: where the release is: on the Hub, or a folder of the Git repo.
        rehearsal: whether the board is one.

    Raises:
        ResultError: a folder that is not inside the repo.
    """
    path = PurePosixPath(board)
    if path.is_absolute() or ".." in path.parts:
        raise ResultError(f"--workflow: expected the board's folder as a path inside its Git repo, got {board}")
    return _TEXT.format(
        board=json.dumps(path.as_posix()),  # JSON's strings are YAML's
        dataset=json.dumps(dataset),
        options=json.dumps("--rehearsal" if rehearsal else ""),
        checkout=_CHECKOUT,
        install=_INSTALL,
        set_up=_SET_UP,
        upload=_UPLOAD,
    )
