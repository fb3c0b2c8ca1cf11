"""A small server that speaks the part of the Hub's protocol that reading takes, over real HTTP on this machine.

The real huggingface_hub client talks to it, in a subprocess with HF_ENDPOINT set: info, revision, tree, paths-info,
resolve (HEAD and GET, ranges included), and the Hub's own 404s. Files are served as they lie in folders.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "c0ffee" * 6 + "c0ff"


class Handler(BaseHTTPRequestHandler):
    """Answers for the data set repos in `repos`: name -> folder."""

    repos: dict[str, Path]
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer()

    def do_HEAD(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the test's output is not this server's log."""

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = [unquote(part) for part in urlsplit(self.path).path.strip("/").split("/")]
        if parts[:2] == ["api", "datasets"] and len(parts) >= 4:
            return self.api("/".join(parts[2:4]), parts[4:], body)
        if parts[:1] == ["datasets"] and len(parts) > 5 and parts[3] == "resolve":
            return self.resolve("/".join(parts[1:3]), parts[4], "/".join(parts[5:]))
        return self.fail(404, "EntryNotFound")

    def api(self, repo: str, rest: list[str], body: bytes) -> None:
        if repo not in self.repos:
            return self.fail(404, "RepoNotFound")
        if len(rest) > 1 and rest[1] not in ("main", COMMIT):
            return self.fail(404, "RevisionNotFound")
        folder = self.repos[repo]
        if not rest or rest[0] == "revision":
            files = [{"rfilename": path.relative_to(folder).as_posix()} for path in sorted(walk(folder))]
            return self.send({"id": repo, "sha": COMMIT, "siblings": files, "private": False, "tags": []})
        if rest[0] == "tree":
            root = folder / "/".join(rest[2:])
            if not root.exists():
                return self.fail(404, "EntryNotFound")
            found = walk(root) if "recursive=true" in self.path.lower() else root.iterdir()
            return self.send([entry(folder, path) for path in sorted(found)])
        if rest[0] == "paths-info":
            wanted = json.loads(body)["paths"] if body.startswith(b"{") else []
            return self.send([entry(folder, folder / path) for path in wanted if (folder / path).exists()])
        return self.fail(404, "EntryNotFound")

    def resolve(self, repo: str, revision: str, name: str) -> None:
        if repo not in self.repos:
            return self.fail(404, "RepoNotFound")
        path = self.repos[repo] / name
        if revision not in ("main", COMMIT) or not path.is_file():
            return self.fail(404, "EntryNotFound" if revision in ("main", COMMIT) else "RevisionNotFound")
        content = path.read_bytes()
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": COMMIT,
            "Accept-Ranges": "bytes",
        }
        asked = self.headers.get("Range")
        if asked:
            first, _, last = asked.removeprefix("bytes=").partition("-")
            start, stop = int(first), min(int(last) + 1 if last else len(content), len(content))
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{len(content)}"
            content = content[start:stop]
        self.reply(206 if asked else 200, content, "application/octet-stream", headers)

    def send(self, value: Any) -> None:
        self.reply(200, json.dumps(value).encode(), "application/json", {"X-Repo-Commit": COMMIT})

    def fail(self, status: int, code: str) -> None:
        self.reply(status, b"{}", "application/json", {"X-Error-Code": code, "X-Error-Message": code})

    def reply(self, status: int, content: bytes, kind: str, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def walk(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def entry(folder: Path, path: Path) -> dict[str, Any]:
    name = path.relative_to(folder).as_posix()
    if path.is_dir():
        return {"type": "directory", "path": name, "oid": hashlib.sha1(name.encode()).hexdigest(), "size": 0}
    return {
        "type": "file",
        "path": name,
        "oid": hashlib.sha1(path.read_bytes()).hexdigest(),
        "size": path.stat().st_size,
    }


@contextmanager
def serve(repos: dict[str, Path]) -> Iterator[str]:
    """Serve data set repos on a free port of this machine; yield the endpoint."""
    handler = type("Bound", (Handler,), {"repos": repos})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
