"""One repo on the Hub with huggingface_hub, and its files with the two checksums that the Hub lists.

Temporary failures are retried (`d3s_dataset.hub.retry`).
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, cast

from d3s_dataset.errors import HubError, one_line
from d3s_dataset.hub.offline import answers
from d3s_dataset.hub.retry import Patience

_CHUNK = 1 << 20
_THREADS = 8  # uploads at a time
_GROUP = 16  # files per pair of upload requests
MAIN = "main"


@dataclass(frozen=True)
class File:
    """One file: path in the repo, local path or bytes, size in bytes and SHA-256."""

    path: str
    source: Path | bytes
    size: int
    sha256: str

    @cached_property
    def git_oid(self) -> str:
        """Git's blob SHA-1 of the content, which the Hub lists for files outside LFS."""
        hashed = hashlib.sha1(b"blob %d\0" % self.size)
        for chunk in chunks(self.source):
            hashed.update(chunk)
        return hashed.hexdigest()


def file_of(path: str, content: bytes) -> File:
    """Return a file that is held in memory."""
    return File(path, content, len(content), hashlib.sha256(content).hexdigest())


def chunks(source: Path | bytes) -> Iterable[bytes]:
    """Yield the bytes of a file piece by piece."""
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


@dataclass(frozen=True)
class Listed:
    """One file as the Hub lists it: bytes, git's name of its blob, and for LFS files the content's SHA-256."""

    size: int
    git_oid: str
    sha256: str | None

    def holds(self, file: File) -> bool:
        """Return whether the content is the file's, by checksum."""
        return self.size == file.size and (
            self.sha256 == file.sha256 if self.sha256 is not None else self.git_oid == file.git_oid
        )


@dataclass(frozen=True)
class Remote:
    """A repo at one commit, its `head`; without a head it does not exist."""

    head: str | None = None
    revision: str = MAIN
    private: bool = False
    gated: bool = False
    files: dict[str, Listed] = field(default_factory=dict[str, Listed])


def connect(
    repo_id: str, patience: Patience, repo_type: str = "dataset", flag: str = "--repo-id", *, writes: bool = True
) -> "Repo":
    """Return a repo to push to, whether it exists or not.

    Args:
        repo_id: ORG/NAME.
        patience: retry policy.
        repo_type: `dataset` or `model`.
        flag: flag that the name was passed with, for errors.
        writes: False for read-only access, which needs no token for public repos.

    Raises:
        HubError: invalid name, no token, invalid token, or the Hub cannot be reached.
    """
    from huggingface_hub import HfApi, constants, get_token
    from huggingface_hub.utils import HFValidationError, validate_repo_id

    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise HubError(f"{flag}: {one_line(error)}") from None
    if repo_id.count("/") != 1:
        raise HubError(f"{flag}: expected ORG/NAME, such as org/d3s, got {repo_id!r}")
    if writes and get_token() is None:
        raise HubError("no Hub token on this machine: type `hf auth login`, or set HF_TOKEN")
    if constants.HF_HUB_OFFLINE:
        raise HubError("HF_HUB_OFFLINE is set, so nothing can be sent: unset it")
    if not any(answers(constants.ENDPOINT) for _ in range(2)):
        raise HubError(f"the Hub at {constants.ENDPOINT} cannot be reached: nothing was sent")
    api = HfApi()
    whoami = cast(Callable[[], dict[str, Any]], api.whoami)  # pyright: ignore[reportUnknownMemberType] - a bare `dict`
    me = patience.call(whoami)["name"] if get_token() else None
    return Repo(repo_id, patience, api, me, repo_type)


@dataclass(frozen=True)
class Repo:
    """One repo, accessed as a user (`me`), or anonymously (None)."""

    repo_id: str
    patience: Patience
    api: Any
    me: str | None
    repo_type: str = "dataset"

    @property
    def url(self) -> str:
        """URL of the repo's web page."""
        return f"{self.api.endpoint}/{'datasets/' if self.repo_type == 'dataset' else ''}{self.repo_id}"

    def look(self, revision: str = MAIN) -> Remote:
        """Return the current state of a revision; raises HubError where the Hub denies access."""
        return self.patience.call(partial(self._look, revision))

    def _look(self, revision: str) -> Remote:
        from huggingface_hub.errors import DisabledRepoError, GatedRepoError, RepositoryNotFoundError

        try:
            info = self.api.repo_info(self.repo_id, revision=revision, repo_type=self.repo_type, timeout=60)
        except (DisabledRepoError, GatedRepoError):
            raise
        except RepositoryNotFoundError:
            return Remote(revision=revision)
        listed = self.api.list_repo_tree(self.repo_id, recursive=True, revision=info.sha, repo_type=self.repo_type)
        files = {
            each.path: Listed(each.size, each.blob_id, each.lfs.sha256 if each.lfs else None)
            for each in listed
            if hasattr(each, "blob_id")  # folders have none
        }
        return Remote(info.sha, revision, bool(info.private), bool(info.gated), files)

    def read(self, path: str, head: str) -> bytes:
        """Return a small file's content at a commit."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import (
            build_hf_headers,  # pyright: ignore[reportUnknownVariableType] - a bare `dict`
            get_session,
            hf_raise_for_status,
        )

        url = hf_hub_url(self.repo_id, path, repo_type=self.repo_type, revision=head, endpoint=self.api.endpoint)

        def fetch() -> bytes:
            response = get_session().get(url, headers=build_hf_headers())
            hf_raise_for_status(response)
            return response.content

        return self.patience.call(fetch)

    def create(self, private: bool) -> None:
        """Create the repo if it does not exist."""

        def make() -> None:
            if self._look(MAIN).head is None:
                # Not exist_ok, which takes every 409 for "is there".
                self.api.create_repo(self.repo_id, repo_type=self.repo_type, private=private)

        self.patience.call(make)

    def gate(self) -> None:
        """Gate the repo: users must accept the card's terms."""
        change = partial(self.api.update_repo_settings, self.repo_id, gated="auto", repo_type=self.repo_type)
        self.patience.call(change)

    def upload(self, files: Sequence[File], revision: str, create_pr: bool, bar: Any) -> list[Any]:
        """Upload contents in parallel; return the operations of a commit.

        Contents are addressed by checksum: those on the Hub, from a killed push or under another name, are reused.
        """
        additions = [_addition(file) for file in files]
        for start in range(0, len(additions), _GROUP):
            group = additions[start : start + _GROUP]
            send = partial(self.api.preupload_lfs_files, self.repo_id, additions=group, repo_type=self.repo_type)
            self.patience.call(
                partial(send, revision=revision, create_pr=create_pr, num_threads=_THREADS, free_memory=False)
            )
            bar.update(sum(file.size for file in files[start : start + _GROUP]))
        return additions

    def commit(self, operations: list[Any], title: str, onto: Remote, create_pr: bool) -> str:
        """Commit once, without a retry: the caller checks the head first."""
        answer = self.api.create_commit(
            self.repo_id,
            operations,
            commit_message=title,
            repo_type=self.repo_type,
            revision=onto.revision,
            parent_commit=onto.head,
            create_pr=create_pr,
        )
        return answer.oid

    def open_pull_request(self, title: str) -> str | None:
        """Return the revision of our open pull request of this title, or None."""
        if self.me is None:
            return None

        def find() -> str | None:
            found = self.api.get_repo_discussions(
                self.repo_id, repo_type=self.repo_type, author=self.me, discussion_type="pull_request"
            )
            ours = [each for each in found if each.title == title and each.status in ("open", "draft")]
            return f"refs/pr/{ours[0].num}" if ours else None

        return self.patience.call(find)

    def tag(self, name: str, head: str, described: File) -> bool:
        """Tag a commit; return whether the tag is new or moved.

        An existing tag stays if its commit has the same `described` file, and moves otherwise.
        """

        def give() -> bool:
            tags = self.api.list_repo_refs(self.repo_id, repo_type=self.repo_type).tags
            if held := next((each.target_commit for each in tags if each.name == name), None):
                there = self._look(held).files.get(described.path)
                if held == head or (there and there.holds(described)):
                    return False
                self.api.delete_tag(self.repo_id, tag=name, repo_type=self.repo_type)
            self.api.create_tag(self.repo_id, tag=name, revision=head, repo_type=self.repo_type)
            return True

        return self.patience.call(give)


def _addition(file: File) -> Any:
    from huggingface_hub import CommitOperationAdd

    addition = CommitOperationAdd(file.path, file.source)
    addition.upload_info.sha256 = bytes.fromhex(file.sha256)  # known from verification
    return addition


def silence_client() -> None:
    """Disable the Hub client's own warnings and progress bars per file: `retry` reports retries."""
    from huggingface_hub.utils import disable_progress_bars, logging

    logging.set_verbosity_error()
    disable_progress_bars()
