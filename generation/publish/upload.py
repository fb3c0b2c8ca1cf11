"""Release -> Hub repo: upload missing files, or update the repo.

The release is compared by checksum with the Hub's file list before each commit. So the same command resumes a killed
push, an unchanged release commits nothing, and the last comparison is the verification. New shards are uploaded first.
One last commit adds card, manifest and changed shards and removes obsolete shards: at no commit does the manifest name
a missing file.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from d3s_dataset import manifest as manifests
from d3s_dataset.errors import HubError
from d3s_dataset.hub.repo import MAIN, File, Remote, Repo
from d3s_dataset.hub.retry import PATIENCE, Patience, Tries
from d3s_dataset.manifest import Manifest
from d3s_dataset.utils.cli import progress
from d3s_dataset.utils.nested import parse_json
from generation.publish.staging import METADATA, Staged

FILES_PER_COMMIT = 100
_SHARD = re.compile(r"[a-z][a-z0-9_]*/[a-z_]+-\d{5}-of-\d{5}\.parquet")
_DIFFERENCE = re.compile(rf"{manifests.DIFFERENCES}/{_SHARD.pattern}\.xor")
_HARMLESS = {".gitattributes", ".gitignore", "LICENSE", *METADATA}  # what a repo without data may hold


@dataclass(frozen=True)
class Options:
    """Options of a push; `files_per_commit` bounds all commits but the last."""

    private: bool = False
    create_pr: bool = False
    gated: bool = False
    files_per_commit: int = FILES_PER_COMMIT
    patience: Patience = PATIENCE


@dataclass(frozen=True)
class Diff:
    """A release against a repo: files to send, files to replace, files that are there, paths to remove."""

    new: list[File]
    changed: list[File]
    same: list[File]
    gone: dict[str, int]

    def __bool__(self) -> bool:
        return bool(self.paths())

    def paths(self) -> set[str]:
        """Return the paths that differ from the release."""
        return {file.path for file in [*self.new, *self.changed]} | self.gone.keys()


@dataclass(frozen=True)
class Pushed:
    """Result of a push: commit and revision, whether they are new, and the tag, if new."""

    changed: bool
    head: str
    revision: str
    tag: str | None


def compare(staged: Staged, remote: Remote) -> Diff:
    """Return what must change in the repo; only shards, and what describes them, are ever removed."""
    there = remote.files
    new = [file for path, file in staged.files.items() if path not in there]
    same = [file for path, file in staged.files.items() if path in there and there[path].holds(file)]
    changed = [file for path, file in staged.files.items() if path in there and not there[path].holds(file)]
    gone = {path: there[path].size for path in there if path not in staged.files and _is_ours(path)}
    return Diff(new, changed, same, gone)


def _is_ours(path: str) -> bool:
    # A copy whose images are differences has no contact sheet, which an earlier push may have left.
    return path in METADATA or bool(_SHARD.fullmatch(path) or _DIFFERENCE.fullmatch(path))


def next_commit(diff: Diff, files_per_commit: int) -> tuple[list[File], list[str]]:
    """Return what the next commit adds and removes; it is the last one unless it adds new shards only."""
    shards = [file for file in diff.new if file.path not in METADATA]
    if shards:
        return shards[:files_per_commit], []
    return [*diff.changed, *diff.new], list(diff.gone)


def commits_needed(diff: Diff, files_per_commit: int) -> int:
    """Return in how many commits a difference would be sent."""
    shards = sum(file.path not in METADATA for file in diff.new)
    rest = bool(diff.changed or diff.gone or len(diff.new) > shards)
    return -(-shards // files_per_commit) + rest


def _refuse_other(repo: Repo, remote: Remote, release: Manifest, sent: Manifest) -> None:
    """Raise HubError where the repo holds something else than an older or unfinished copy of this release.

    A release of the same name, made anew or grown, replaces the older one. Without a manifest there may only be what
    a push of this release that was cut short left behind.
    """
    if remote.head is None:
        return
    advice = "expected an empty repo or an older release of the same name: pass another --repo-id"
    if manifests.FILE_NAME in remote.files:
        name = _name(repo.read(manifests.FILE_NAME, remote.head))
        if name != release.name:
            raise HubError(f"{repo.repo_id} holds {name or 'another data set'}, this is {release.name}: {advice}")
        return
    ours = {each.sha256 for each in (*release.shards, *sent.differences)}
    # The Hub keeps small files outside LFS, and lists no SHA-256 of them.
    small = {each.path: each.bytes for each in sent.differences}
    other = [
        path
        for path, listed in remote.files.items()
        if path not in _HARMLESS and listed.sha256 not in ours and small.get(path) != listed.size
    ]
    if other:
        raise HubError(f"{repo.repo_id} holds something else, such as {min(other)}: {advice}")


def _name(content: bytes) -> str | None:
    """Return the name of the release whose manifest this is, or None where it is no manifest."""
    try:
        held = parse_json(content)  # not as a Manifest: an older one may lack what today's has
    except ValueError:
        return None
    return held["name"] if isinstance(held, dict) and {"name", "plan_digest", "shards"} <= held.keys() else None


def title_of(manifest: Manifest) -> str:
    """Return the title of the last commit, and of a pull request."""
    return f"Release {manifest.name} {manifest.digest[:12]}"


def find(repo: Repo, release: Manifest, sent: Manifest, options: Options) -> Remote:
    """Return what the repo, or our open pull request on it, holds now; raises HubError where it cannot be taken."""
    remote = repo.look()
    if options.create_pr:
        if remote.head is None:
            raise HubError(f"{repo.repo_id} does not exist, or is hidden: --create-pr expects a repo that is there")
        pull_request = repo.open_pull_request(title_of(sent))
        remote = repo.look(pull_request) if pull_request else remote
    if options.private and remote.head and not remote.private:
        raise HubError(f"{repo.repo_id} is public: make it private in its settings, or leave out --private")
    _refuse_other(repo, remote, release, sent)
    return remote


def push(repo: Repo, release: Manifest, staged: Staged, before: Remote, options: Options) -> Pushed:
    """Send a release; see the module's docstring.

    Args:
        repo: where to.
        release: the manifest of the whole release, what is withheld included.
        staged: what is sent of it.
        before: what the repo holds (`find`).
        options: how.

    Raises:
        HubError: no permission, another data set's repo, a Hub that keeps failing, or lists other content than sent.
    """
    if before.head is None:
        repo.create(options.private)
    if options.gated and not before.gated and not options.create_pr:
        repo.gate()
    after = _send(repo, release, staged, options)
    head, tag = str(after.head), f"release-{staged.manifest.digest[:12]}"
    # Under the same digest of the images more or fewer configs may be sent: the tag is on what was sent last.
    given = not options.create_pr and repo.tag(tag, head, staged.files[manifests.FILE_NAME])
    return Pushed(before.head != after.head, head, after.revision, tag if given else None)


def _send(repo: Repo, release: Manifest, staged: Staged, options: Options) -> Remote:
    """Commit until the repo is the release; return what it holds then."""
    head, paths, tries = "", set[str](), Tries(options.patience)
    total = sum(file.size for file in staged.files.values())
    with progress(total=total, label="sending", unit="B", scale=True) as bar:
        while diff := compare(staged, remote := find(repo, release, staged.manifest, options)):
            wrong = paths & diff.paths()
            if wrong and remote.head == head:
                raise HubError(f"{repo.url} lists {min(wrong)} otherwise than it was sent; see its .gitignore")
            bar.update(sum(file.size for file in diff.same) - bar.n)
            adds, removes = next_commit(diff, options.files_per_commit)
            opens = options.create_pr and remote.revision == MAIN
            operations = repo.upload(adds, remote.revision, opens, bar) + _deletions(removes)
            last = commits_needed(diff, options.files_per_commit) == 1
            title = title_of(staged.manifest) + ("" if last or opens else f": {len(adds)} shards")
            # A commit whose answer is an error may have landed all the same: the loop looks before it tries again.
            with tries.attempt():
                head, paths = repo.commit(operations, title, remote, opens), {*removes, *(file.path for file in adds)}
    return remote


def _deletions(paths: Iterable[str]) -> list[Any]:
    from huggingface_hub import CommitOperationDelete

    return [CommitOperationDelete(path) for path in paths]
