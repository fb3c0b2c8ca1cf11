"""A repo of a board on the Hub as folders: its main branch, and what a pull request proposes, read within bounds."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmark.board.safe_read import most_bytes
from benchmark.board.submission import FILES, FOLDER, PREDICTIONS
from benchmark.board.upkeep.changes import Changes, between_commits
from benchmark.board.validation import SMALL
from d3s_dataset.errors import HubError
from d3s_dataset.hub.repo import MAIN, Remote, Repo
from d3s_dataset.utils.paths import cache_folder


@dataclass(frozen=True)
class Pull:
    """A pull request: number, head commit, what it changes since it left main."""

    number: int
    head: Remote
    changes: Changes


def mirror(repo: Repo) -> Path:
    """Return a folder with the present main branch of a board's repo, kept in the cache.

    Raises:
        HubError: no such repo.
    """
    here = repo.look()
    if here.head is None:
        raise HubError(f"{repo.repo_id} does not exist, or is hidden: expected the repo of a leaderboard")
    folder = cache_folder() / "boards" / repo.repo_id.replace("/", "--")
    _fetch(repo, here.head, folder, ["*"])
    for path in sorted(folder.rglob("*"), reverse=True):  # what main no longer has
        inside = path.relative_to(folder)
        if path.is_file() and inside.parts[0] != ".cache" and inside.as_posix() not in here.files:
            path.unlink()
    for path in (folder / FOLDER).glob("*"):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    return folder


def pull_request(repo: Repo, number: int) -> Pull:
    """Return a pull request and what it changes.

    Raises:
        HubError: no such pull request, or one that is not open, or one that shares no commit with main.
    """
    from huggingface_hub.errors import HfHubHTTPError

    try:
        told = repo.api.get_discussion_details(repo.repo_id, number, repo_type=repo.repo_type)
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        raise HubError(f"--check-pr {number}: {repo.repo_id} has no such pull request (HTTP {status})") from None
    if not told.is_pull_request or told.status not in ("open", "draft"):
        kind = f"a pull request that is {told.status}" if told.is_pull_request else "a discussion"
        raise HubError(f"--check-pr {number}: expected an open pull request, got {kind}")
    revision = f"refs/pr/{number}"
    head = repo.look(revision)
    main = {each.commit_id for each in _commits(repo, MAIN)}
    root = next((each.commit_id for each in _commits(repo, revision) if each.commit_id in main), None)
    if head.head is None or root is None:
        raise HubError(f"--check-pr {number}: its commits share none with {MAIN} of {repo.repo_id}")
    return Pull(number, head, between_commits(repo.look(root), head))


def fetch(repo: Repo, pull: Pull, ids: Sequence[str], rows: int, folder: Path) -> dict[str, str]:
    """Download what a pull request proposes of some submissions; return what is too large to, and why, by id."""
    large = {}
    for name in ids:
        for each in FILES:
            size = pull.head.files[path].size if (path := f"{FOLDER}/{name}/{each}") in pull.head.files else 0
            most = most_bytes(rows) if each == PREDICTIONS else SMALL
            if size > most:
                large[name] = f"{each} has {size:,} bytes, expected at most {most:,}"
    wanted = [f"{FOLDER}/{name}/{each}" for name in ids if name not in large for each in FILES]
    if wanted:
        assert pull.head.head is not None
        _fetch(repo, pull.head.head, folder, wanted)
        shutil.rmtree(folder / ".cache", ignore_errors=True)
    return large


def comment(repo: Repo, number: int, text: str) -> None:
    """Post a comment on a pull request."""
    repo.patience.call(
        partial(repo.api.comment_discussion, repo.repo_id, number, comment=text, repo_type=repo.repo_type)
    )


def _commits(repo: Repo, revision: str) -> list:
    return repo.patience.call(
        partial(repo.api.list_repo_commits, repo.repo_id, revision=revision, repo_type=repo.repo_type)
    )


def _fetch(repo: Repo, head: str, folder: Path, patterns: list[str]) -> None:
    repo.patience.call(
        partial(
            repo.api.snapshot_download,
            repo.repo_id,
            repo_type=repo.repo_type,
            revision=head,
            local_dir=folder,
            allow_patterns=patterns,
        )
    )
