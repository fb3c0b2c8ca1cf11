"""A Hub on this machine: the part of its protocol that reading and pushing take, over real HTTP.

The real huggingface_hub client talks to it, in a subprocess with HF_ENDPOINT set (the client reads that once). It can
refuse writes, be slow, and fail at random: with a status, or by dropping the connection before or after it did what
was asked. It cannot cover Xet, so HF_HUB_DISABLE_XET must be set.
"""

import hashlib
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

from tests.support.hub_store import COMMIT, CREATED, Blob, Commit, Refused, Repo, Store, folder_files, is_lfs

__all__ = ["COMMIT", "READER", "TOKEN", "Hub", "hub", "serve"]
TOKEN = "hf_writerWRITERwriterWRITER"
READER = "hf_readerREADERreaderREADER"
USERS = {TOKEN: "lab-robot", READER: "guest"}
FAULTS = (409, 412, 429, 500, 503, "drop before", "drop after")


class Faults:
    """Injected failures: each request fails with probability `share`, sampled from `seed` and its repo."""

    def __init__(self, share: float, seed: int) -> None:
        self.share, self.seed = share, seed
        self.draws: dict[str, random.Random] = {}
        self.count = 0

    def draw(self, about: str) -> int | str | None:
        chance = self.draws.setdefault(about, random.Random(f"{self.seed} {about}"))
        fault = chance.choice(FAULTS) if chance.random() < self.share else None
        self.count += fault is not None
        return fault


@dataclass
class Hub:
    """A running server: its address, what it keeps, what it was asked, and how it behaves."""

    endpoint: str = ""
    store: Store = field(default_factory=Store)
    log: list[tuple[str, str, int]] = field(default_factory=list)
    faults: Faults | None = None
    delay: float = 0.0  # seconds that each upload and each commit takes
    before_commit: Callable[[Repo], None] | None = None
    words: str | None = None  # what a refusal says in place of its own words

    def reset(self) -> None:
        """Forget everything but the address."""
        self.__init__(self.endpoint)

    def asked(self, method: str, part: str) -> int:
        """Return how many requests of this method, answered with 200, had this in their path."""
        return sum((m, status) == (method, 200) and part in path for m, path, status in self.log)


@dataclass
class Reply:
    status: int
    content: bytes
    headers: dict[str, str]


def as_json(value: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(status, json.dumps(value).encode(), {"Content-Type": "application/json", **headers})


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: without, each answer waits 40 ms

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the test's output is not this server's log."""

    def answer(self) -> None:
        body = self.body()
        url = urlsplit(self.path)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        self.query = {name: values[0] for name, values in parse_qs(url.query).items()}
        with self.hub.store.lock:
            fault = self.hub.faults.draw(about(parts)) if self.hub.faults and parts != [""] else None
        if fault == "drop before":
            return self.drop()
        if isinstance(fault, int):
            reply = failure(fault)
        else:
            try:
                reply = self.route(parts, body)
            except Refused as refused:
                reply = self.refusal(refused)
        self.hub.log.append((self.command, url.path, reply.status))
        return self.drop() if fault == "drop after" else self.reply(reply)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    def body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def route(self, parts: list[str], body: bytes) -> Reply:
        if parts == [""]:
            return as_json({})
        if parts[0] == "lfs":
            return self.put(parts[1], body) if self.command == "PUT" else as_json({})
        if parts[-4:] == ["info", "lfs", "objects", "batch"]:
            return self.batch(json.loads(body))
        if parts[:2] == ["api", "whoami-v2"]:
            return as_json({"type": "user", "name": self.user(), "orgs": []})
        if parts[:2] == ["api", "validate-yaml"]:
            return validate(json.loads(body)["content"])
        if parts[:3] == ["api", "repos", "create"]:
            return self.create(json.loads(body))
        if parts[:2] == ["api", "datasets"] and len(parts) >= 4:
            return self.api(self.seen("/".join(parts[2:4])), parts[4:], body)
        if parts[:2] == ["api", "models"] and len(parts) >= 4:
            return self.api(self.seen("/".join(parts[1:4])), parts[4:], body)
        if parts[0] == "datasets" and len(parts) > 5 and parts[3] == "resolve":
            return self.resolve(self.seen("/".join(parts[1:3])), parts[4], "/".join(parts[5:]))
        raise Refused(404, "EntryNotFound")

    # Who asks.

    def user(self) -> str:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in USERS:
            raise Refused(401, words="Invalid credentials in Authorization header")
        return USERS[token]

    def writer(self) -> str:
        if self.user() != USERS[TOKEN]:
            raise Refused(403, words="You don't have the rights to write here")
        return self.user()

    def seen(self, name: str) -> Repo:
        repo = self.hub.store.repo(name)
        if repo.private and self.headers.get("Authorization", "") != f"Bearer {TOKEN}":
            raise Refused(401, "RepoNotFound", "Repository not found")
        return repo

    # Reading.

    def api(self, repo: Repo, rest: list[str], body: bytes) -> Reply:
        kind, revision = rest[0] if rest else "revision", rest[1] if len(rest) > 1 else "main"
        if kind == "refs":
            return as_json({"branches": refs(repo.refs), "converts": [], "tags": refs(repo.tags)})
        if kind == "discussions":
            return self.discussion(repo, rest[1:], body)
        if kind == "commits":
            return as_json(history(repo, revision) if self.query.get("p", "0") == "0" else [])
        if kind in ("preupload", "commit", "tag", "settings"):
            with self.hub.store.lock:
                return getattr(self, kind)(repo, revision, body)
        commit = repo.at(revision)
        if kind == "revision":
            files = [{"rfilename": path} for path in commit.tree]
            told = {"id": repo.name, "sha": commit.oid, "siblings": files, "tags": []}
            return as_json(told | {"private": repo.private, "gated": repo.gated}, **{"X-Repo-Commit": commit.oid})
        if kind == "tree":
            return as_json(tree(commit, "/".join(rest[2:]), self.query.get("recursive", "").lower() == "true"))
        if kind == "paths-info":
            wanted = json.loads(body)["paths"] if body.startswith(b"{") else parse_qs(body.decode()).get("paths", [])
            return as_json([commit.tree[path].entry() for path in wanted if path in commit.tree])
        raise Refused(404, "EntryNotFound")

    def resolve(self, repo: Repo, revision: str, name: str) -> Reply:
        commit = repo.at(revision)
        if name not in commit.tree:
            raise Refused(404, "EntryNotFound")
        found = commit.tree[name]
        content = found.content
        headers = {
            "ETag": f'"{found.sha256 if is_lfs(name) else found.oid}"',
            "X-Repo-Commit": commit.oid,
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
        }
        asked = self.headers.get("Range")
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, stop = int(first), min(int(last) + 1 if last else len(content), len(content))
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
            content = content[start:stop]
        return Reply(206 if asked else 200, content, headers)

    # Writing.

    def create(self, wanted: dict[str, Any]) -> Reply:
        self.writer()
        name = f"{wanted['organization'] or self.user()}/{wanted['name']}"
        with self.hub.store.lock:
            self.hub.store.create(name, wanted.get("visibility") == "private")
        return as_json({"url": f"{self.hub.endpoint}/datasets/{name}", "name": name, "id": name})

    def settings(self, repo: Repo, revision: str, body: bytes) -> Reply:
        self.writer()
        repo.gated = json.loads(body)["gated"]
        return as_json({"gated": repo.gated})

    def preupload(self, repo: Repo, revision: str, body: bytes) -> Reply:
        self.user() if "create_pr" in self.query or revision.startswith("refs/pr/") else self.writer()
        held = repo.at(revision).tree

        def ignored(path: str) -> bool:
            return ".gitignore" in held and path.startswith(held[".gitignore"].content.decode())

        def told(path: str) -> dict[str, Any]:
            mode = "lfs" if is_lfs(path) else "regular"
            oid = (held[path].sha256 if is_lfs(path) else held[path].oid) if path in held else None
            return {"path": path, "uploadMode": mode, "shouldIgnore": ignored(path), "oid": oid}

        return as_json({"files": [told(each["path"]) for each in json.loads(body)["files"]]})

    def batch(self, wanted: dict[str, Any]) -> Reply:
        self.user()
        objects = []
        for each in wanted["objects"]:
            href = f"{self.hub.endpoint}/lfs/{each['oid']}"
            missing = each["oid"] not in self.hub.store.objects
            actions = {"upload": {"href": href, "header": {}}, "verify": {"href": f"{href}/verify", "header": {}}}
            objects.append({"oid": each["oid"], "size": each["size"], **({"actions": actions} if missing else {})})
        return as_json({"transfer": "basic", "objects": objects})

    def put(self, oid: str, body: bytes) -> Reply:
        time.sleep(self.hub.delay)
        if hashlib.sha256(body).hexdigest() != oid:
            raise Refused(400, words="content and checksum differ")
        self.hub.store.objects[oid] = body
        return as_json({})

    def commit(self, repo: Repo, revision: str, body: bytes) -> Reply:
        create_pr = self.query.get("create_pr") == "1"
        author = self.user() if create_pr or revision.startswith("refs/pr/") else self.writer()
        time.sleep(self.hub.delay)
        if self.hub.before_commit:
            self.hub.before_commit(repo)
        lines = [json.loads(line) for line in body.splitlines()]
        made, number = self.hub.store.commit(repo, revision, lines, author, create_pr)
        url = f"{self.hub.endpoint}/{repo.place}"
        told = {"success": True, "commitOid": made.oid, "commitUrl": f"{url}/commit/{made.oid}", "hookOutput": ""}
        return as_json(told | ({"pullRequestUrl": f"{url}/discussions/{number}"} if number else {}))

    def discussion(self, repo: Repo, rest: list[str], body: bytes) -> Reply:
        if not rest:
            return as_json(discussions(repo, self.query))
        number = int(rest[0])
        if not 0 < number <= len(repo.pulls):
            raise Refused(404, words="Discussion not found")
        if rest[-1] == "merge":
            return self.merge(repo, number)
        if rest[-1] == "comment":
            with self.hub.store.lock:
                said = repo.comment(number, self.user(), json.loads(body)["comment"])
            return as_json({"newMessage": said})
        return as_json(details(repo, number))

    def merge(self, repo: Repo, number: int) -> Reply:
        self.writer()
        with self.hub.store.lock:
            self.hub.store.merge(repo, number)
        return as_json({})

    def tag(self, repo: Repo, revision: str, body: bytes) -> Reply:
        self.writer()
        if self.command == "DELETE":
            del repo.tags[revision]
            return as_json({})
        name = json.loads(body)["tag"]
        if name in repo.tags:
            raise Refused(409, words="Tag reference exists already")
        repo.tags[name] = repo.at(revision).oid
        return as_json({})

    # Answers.

    def refusal(self, refused: Refused) -> Reply:
        words = self.hub.words or refused.words
        return as_json({"error": words}, refused.status, **{"X-Error-Code": refused.code, "X-Error-Message": words})

    def reply(self, reply: Reply) -> None:
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.content)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.content)

    def drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


def about(parts: list[str]) -> str:
    """Return which repo or content a request is about."""
    if parts[:2] == ["api", "datasets"]:
        return "/".join(parts[2:4])
    return "/".join(parts[1:3]) if parts[0] in ("datasets", "lfs") else parts[-1]


def failure(status: int) -> Reply:
    """Return a failure as a gateway sends it: a page, no JSON."""
    page = b"<html><body>try again</body></html>"
    return Reply(status, page, {"Content-Type": "text/html"} | ({"Retry-After": "0"} if status == 429 else {}))


def validate(content: str) -> Reply:
    try:
        head = yaml.safe_load(content.split("---\n", 2)[1])
    except (yaml.YAMLError, IndexError) as error:
        return as_json({"errors": [{"message": str(error)}], "warnings": []}, 400)
    return as_json({"errors": [], "warnings": [] if head.get("license") else [{"message": "no license"}]})


def refs(names: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "ref": f"refs/x/{name}", "targetCommit": oid} for name, oid in names.items()]


def tree(commit: Commit, root: str, recursive: bool) -> list[dict[str, Any]]:
    prefix = f"{root}/" if root else ""
    inside: dict[str, Blob] = {path: each for path, each in commit.tree.items() if path.startswith(prefix)}
    if not inside:
        raise Refused(404, "EntryNotFound")
    folders = {path[:i] for path in inside for i, letter in enumerate(path) if letter == "/" and i >= len(prefix)}
    found = [each.entry() for each in inside.values()]
    found += [{"type": "directory", "path": path, "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0}
              for path in folders]  # fmt: skip
    deep = [each for each in found if recursive or "/" not in each["path"].removeprefix(prefix)]
    return sorted(deep, key=lambda each: each["path"])


def history(repo: Repo, revision: str) -> list[dict[str, Any]]:
    """Return the commits of a revision, newest first, as the Hub lists them."""
    found, each = [], repo.at(revision)
    while True:
        found.append({"id": each.oid, "title": each.title, "message": "", "authors": [], "date": CREATED})
        if each.parent is None:
            return found
        each = repo.at(each.parent)


def details(repo: Repo, number: int) -> dict[str, Any]:
    pull = repo.pulls[number - 1]
    told = {"author": {"name": pull["author"]}, "createdAt": CREATED, "isPullRequest": True,
            "repo": {"name": repo.name.removeprefix("models/"), "type": repo.kind}}  # fmt: skip
    return {**pull, **told, "events": pull.get("events", []), "filesWithConflicts": [], "changes": {"base": "main"}}


def discussions(repo: Repo, query: dict[str, str]) -> dict[str, Any]:
    found = [each for each in repo.pulls if query.get("author", each["author"]) == each["author"]]
    told = [
        {**each, "author": {"name": each["author"]}, "createdAt": CREATED, "isPullRequest": True,
         "repo": {"name": repo.name.removeprefix("models/"), "type": repo.kind}}
        for each in found
    ]  # fmt: skip
    return {"discussions": told, "count": len(told), "start": 0}


@contextmanager
def hub() -> Iterator[Hub]:
    """Run an empty Hub on a free port of this machine."""
    running = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"hub": running}))
    server.daemon_threads = True
    running.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def serve(repos: dict[str, Path]) -> Iterator[str]:
    """Serve folders as data set repos of one commit, `COMMIT`; yield the endpoint."""
    with hub() as running:
        for name, folder in repos.items():
            running.store.hold(name, folder_files(folder), COMMIT)
        yield running.endpoint
