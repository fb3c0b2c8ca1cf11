"""Storage of a test Hub: contents by checksum, repos of immutable commits with branches, pull requests and tags."""

import base64
import hashlib
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COMMIT = "c0ffee" * 6 + "c0ff"  # the only commit of a repo that is served from a folder
CREATED = "2026-01-01T00:00:00.000Z"  # of everything
ATTRIBUTES = b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"


class Refused(Exception):
    """An answer other than 200: status, the Hub's error code, its words."""

    def __init__(self, status: int, code: str = "", words: str = "") -> None:
        super().__init__(status, code, words)
        self.status, self.code, self.words = status, code, words or code


def is_lfs(path: str) -> bool:
    return path.endswith(".parquet")


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(frozen=True)
class Blob:
    """A file's content in a tree; LFS files are pointers in git."""

    path: str
    content: bytes
    sha256: str

    @property
    def oid(self) -> str:
        if not is_lfs(self.path):
            return git_oid(self.content)
        pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.sha256}\nsize {len(self.content)}\n"
        return git_oid(pointer.encode())

    def entry(self) -> dict[str, Any]:
        found: dict[str, Any] = {"type": "file", "path": self.path, "oid": self.oid, "size": len(self.content)}
        if is_lfs(self.path):
            found["lfs"] = {"oid": self.sha256, "size": len(self.content), "pointerSize": 134}
        return found


def blob(path: str, content: bytes) -> Blob:
    return Blob(path, content, hashlib.sha256(content).hexdigest())


@dataclass(frozen=True)
class Commit:
    oid: str
    parent: str | None
    tree: dict[str, Blob]
    title: str


@dataclass
class Repo:
    """A data set repo, or a model's, whose name starts with `models/`; `commits` in the order they were made."""

    name: str
    private: bool = False
    gated: str | bool = False
    commits: list[Commit] = field(default_factory=list)
    refs: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pulls: list[dict[str, Any]] = field(default_factory=list)

    def propose(self, files: dict[str, bytes | None], title: str = "proposed", author: str = "guest") -> int:
        """Open a pull request that adds or changes files, or deletes them (None); return its number."""
        base = self.at("main")
        kept = {path: each for path, each in base.tree.items() if path not in files}
        made = {path: blob(path, content) for path, content in files.items() if content is not None}
        number = len(self.pulls) + 1
        self.pulls.append({"num": number, "title": title, "author": author, "status": "open", "base": base.oid})
        self.refs[f"refs/pr/{number}"] = base.oid
        self.add(f"refs/pr/{number}", dict(sorted((kept | made).items())), title)
        return number

    def comment(self, number: int, author: str, text: str) -> dict[str, Any]:
        """Add a comment to a pull request; return it as the Hub does."""
        events = self.pulls[number - 1].setdefault("events", [])
        data = {"edited": False, "hidden": False, "latest": {"raw": text}}
        events.append({"id": f"{len(events):024x}", "type": "comment", "createdAt": CREATED,
                       "author": {"name": author}, "data": data})  # fmt: skip
        return events[-1]

    def at(self, revision: str) -> Commit:
        oid = self.refs.get(revision) or self.tags.get(revision) or revision
        found = next((each for each in self.commits if each.oid == oid), None)
        if found is None:
            raise Refused(404, "RevisionNotFound")
        return found

    @property
    def kind(self) -> str:
        return "model" if self.name.startswith("models/") else "dataset"

    @property
    def place(self) -> str:
        """Its part of an address."""
        return self.name.removeprefix("models/") if self.kind == "model" else f"datasets/{self.name}"

    @property
    def tree(self) -> dict[str, bytes]:
        """Path -> content at the head of main."""
        return {path: each.content for path, each in self.at("main").tree.items()}

    def add(self, ref: str, tree: dict[str, Blob], title: str, oid: str | None = None) -> Commit:
        parent = self.refs.get(ref)
        named = [str(len(self.commits)), str(parent), title, *(f"{path}:{each.oid}" for path, each in tree.items())]
        made = Commit(oid or hashlib.sha1("\0".join(named).encode()).hexdigest(), parent, tree, title)
        self.commits.append(made)
        self.refs[ref] = made.oid
        return made


class Store:
    """All repos and LFS contents of a Hub; `lock` before changing anything."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}

    def create(self, name: str, private: bool = False) -> Repo:
        if name in self.repos:
            raise Refused(409, words="You already created this dataset repo")
        self.repos[name] = repo = Repo(name, private)
        repo.add("main", {".gitattributes": blob(".gitattributes", ATTRIBUTES)}, "initial commit")
        return repo

    def hold(self, name: str, files: dict[str, bytes], oid: str | None = None) -> Repo:
        """Make a repo with these files in one commit."""
        self.repos[name] = repo = Repo(name)
        repo.add("main", {path: blob(path, content) for path, content in sorted(files.items())}, "files", oid)
        return repo

    def repo(self, name: str) -> Repo:
        if name not in self.repos:
            raise Refused(404, "RepoNotFound", "Repository not found")
        return self.repos[name]

    def commit(self, repo: Repo, revision: str, lines: list[dict[str, Any]], author: str, create_pr: bool) -> Any:
        """Apply the operations of a commit; return it and the number of its pull request, or None."""
        header, *operations = ((each["key"], each["value"]) for each in lines)
        head, title = repo.at(revision), header[1]["summary"]
        if header[1].get("parentCommit", head.oid) != head.oid:
            raise Refused(412, words="A commit has happened since. Please refresh and try again.")
        tree = dict(head.tree)
        for key, value in operations:
            self._apply(tree, key, value)
        number = None
        if create_pr:
            number = len(repo.pulls) + 1
            repo.pulls.append({"num": number, "title": title, "author": author, "status": "open", "base": head.oid})
            revision = f"refs/pr/{number}"
            repo.refs[revision] = head.oid
        return repo.add(revision, dict(sorted(tree.items())), title), number

    def merge(self, repo: Repo, number: int) -> None:
        """Bring what a pull request changed since it was opened to main."""
        pull = repo.pulls[number - 1]
        if pull["status"] != "open":
            raise Refused(409, words="This pull request is not open")
        proposed = repo.at(f"refs/pr/{number}")
        base = proposed
        while base.parent and base.oid != pull["base"]:
            base = repo.at(base.parent)
        added = {path: each for path, each in proposed.tree.items() if base.tree.get(path) != each}
        kept = {
            path: each for path, each in repo.at("main").tree.items() if path in proposed.tree or path not in base.tree
        }
        repo.add("main", dict(sorted((kept | added).items())), f"{pull['title']} (#{number})")
        pull["status"] = "merged"

    def _apply(self, tree: dict[str, Blob], key: str, value: dict[str, Any]) -> None:
        path = value["path"]
        if key == "file":
            tree[path] = blob(path, base64.b64decode(value["content"]))
        elif key == "lfsFile":
            if value["oid"] not in self.objects:
                raise Refused(400, words=f"Your push was rejected: LFS pointer {path} points to no content")
            tree[path] = Blob(path, self.objects[value["oid"]], value["oid"])
        elif key == "deletedFile":
            if path not in tree:
                raise Refused(404, "EntryNotFound", "A file with this name doesn't exist")
            del tree[path]
        else:
            raise Refused(400, words=f"unknown operation {key}")


def folder_files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
