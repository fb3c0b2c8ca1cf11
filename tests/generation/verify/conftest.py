"""Fixtures for human verification: a redrawn release with guides, simulated annotators, a served page."""

import http.client
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps

from d3s_dataset import manifest as manifests
from d3s_dataset.card import files as describing
from d3s_dataset.check_image import measure
from d3s_dataset.errors import D3SError
from d3s_dataset.identity import digest
from d3s_dataset.manifest import Shard, shard_path
from generation.release.shards import write_shard
from generation.verify.__main__ import main
from generation.verify.prepare import tasks as files
from generation.verify.prepare.folder import Wish, prepare
from generation.verify.prepare.questions import NAMES
from generation.verify.prepare.tasks import Tasks
from generation.verify.votes.store import Store, Vote
from tests.conftest import ROOT
from tests.generation.verify.postgres import Postgres, running

PEOPLE = ("anna", "ben", "cleo")


def refused(*line: object) -> str:
    """Run the command in this process, as bad input; return the one line that it says."""
    with pytest.raises(D3SError) as caught:
        main([str(each) for each in line])
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


@pytest.fixture(scope="module")
def few_rounds() -> Iterator[None]:
    """Dawid-Skene in 4 rounds in place of 50, a second each: where it is called, not what it finds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("generation.verify.aggregate.consensus._ROUNDS", 4)
        yield


def inverted(image: dict[str, Any]) -> dict[str, Any]:
    buffer = io.BytesIO()
    ImageOps.invert(Image.open(io.BytesIO(image["bytes"])).resize((64, 64)).resize((256, 256))).save(buffer, "jpeg")
    return {"bytes": buffer.getvalue(), "path": image["path"]}


def inverted_row(row: dict[str, Any]) -> dict[str, Any]:
    image = inverted(row["image"])
    return {**row, "image": image, "generator": "inverter", **measure(Image.open(io.BytesIO(image["bytes"])))}


@pytest.fixture(scope="session")
def redrawn(sample_release: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn sample with validation images that differ from their guides, and with the guides."""
    out = tmp_path_factory.mktemp("redrawn") / "d3s"
    shutil.copytree(sample_release, out)
    manifest = manifests.read(out)
    shards = [shard for shard in manifest.shards if shard.split != "validation"]
    for shard in manifest.select("default", "validation"):
        rows = pq.read_table(out / shard.path).to_pylist()
        images = [inverted_row(row) for row in rows]
        for config, records in (("default", images), ("guides", rows)):
            path = shard_path(config, "validation", 0, 1)
            size, checksum = write_shard(out / path, records, manifest.backgrounds)
            shards.append(Shard(path=path, config=config, split="validation", index=0, rows=len(rows), bytes=size,
                                sha256=checksum))  # fmt: skip
    made = manifest.model_copy(update={"shards": shards})
    describing.write(out, made)
    manifests.write(out, made)
    return out


@pytest.fixture(scope="session")
def prepared(redrawn: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tasks over 40 of its 80 validation images, two tasks of 20 and two gold questions each. Copy them to vote."""
    out = tmp_path_factory.mktemp("prepared") / "tasks"
    prepare(redrawn, out, Wish(images=40, per_task=20, gold=2, workers=3, seed=1))
    return out


@pytest.fixture
def tasks_folder(prepared: Path, tmp_path: Path) -> Path:
    return shutil.copytree(prepared, tmp_path / "tasks")


def opinion(held: Tasks, worker: str, item: str, question: str) -> str:
    """A simulated annotator's answer: right on gold questions, else yes to four in five; deterministic."""
    expected = held.by_id[item].expected
    if question in expected:
        return expected[question]
    shared, own = (int(digest([who, item, question])[:4], 16) % 20 for who in ("all", worker))
    odd = shared == 0 or own == 0
    return ("no" if odd else "yes") if question != "unsafe" else ("yes" if shared == 1 else "no")


def all_opinions(folder: Path, people: tuple[str, ...] = PEOPLE) -> list[tuple[str, str, str, str, str]]:
    """(worker, task, item, question, answer) of everybody."""
    held = files.read(folder)
    return [
        (worker, task.id, item, question, opinion(held, worker, item, question))
        for worker in people
        for task in held.tasks
        for item in task.items
        for question in NAMES
    ]


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running() as server:
        yield server


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def new_database(request: pytest.FixtureRequest) -> Callable[[], str | None]:
    """A function: -> the URL of an empty database, None for the file in the folder."""
    return request.getfixturevalue("postgres").new if request.param == "postgresql" else lambda: None


def last_votes(folder: Path, worker: str | None = None, database: str | None = None) -> list[Vote]:
    """The votes of a folder that count."""
    store = Store(folder, database)
    found = store.last(worker)
    store.close()
    return found


@dataclass
class Served:
    """A page that is being served by a process of its own."""

    process: subprocess.Popen[str]
    base: str
    links: dict[str, str]
    folder: Path
    database: str | None = None
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        port = urlsplit(self.base).port
        assert port
        return port

    def ask(self, path: str, body: Any = None, method: str | None = None, **headers: str) -> tuple[int, str, Any]:
        """Return (status, text, headers) of a request; a body is posted as JSON, bytes as they are."""
        path = path.removeprefix(self.base)
        connection = http.client.HTTPConnection(urlsplit(self.base).netloc, timeout=20)
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if body is not None else {}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method or ("GET" if body is None else "POST"), path, content, sent | named)
        reply = connection.getresponse()
        text = reply.read().decode(errors="replace")
        connection.close()
        return reply.status, text, reply.headers

    def enter(self, who: str) -> str:
        """Open a link, such as a colleague's, each in a browser of its own; return the address of its task."""
        status, _, headers = self.ask(self.links.get(who, who), Cookie=self.cookies.get(who, ""))
        if "set-cookie" in headers:
            self.cookies[who] = headers["set-cookie"].partition(";")[0]
        assert status == 303, status
        return str(headers["location"])

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def start(
    folder: Path,
    *more: str,
    port: int = 0,
    program: Sequence[str] = ("-m", "generation.verify"),
    preexec_fn: Callable[[], None] | None = None,
    database: str | None = None,
) -> Served:
    """Serve a folder; wait until the links are printed."""
    line = [sys.executable, *program, "serve", str(folder), "--port", str(port), "--people", *PEOPLE, *more]
    line += ["--database", database] if database else []
    process = subprocess.Popen(
        line,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ,
        preexec_fn=preexec_fn,
    )
    links = {}
    assert process.stdout is not None
    for text in process.stdout:
        if "links expire after" in text:
            break
        name, _, address = text.strip().partition(": ")
        links[name.split(" (")[0]] = re.sub(r"\{\{%.*?%\}\}", "", address)
    assert links.get("review"), f"the page did not start: {links}"
    base = links["review"].partition("/review/")[0]
    return Served(process, base, links, folder, database)


def start_for_all(folder: Path, database: str | None = None) -> Served:
    """Serve tasks that colleagues and all crowds may do, as many as come."""
    files.write(folder, files.read(folder).model_copy(update={"workers": 50}))
    return start(folder, "--completion-code", "C0DE", "--mturk", "--open-per-address", "50", database=database)


@pytest.fixture(scope="module")
def served(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    page = start_for_all(shutil.copytree(prepared, tmp_path_factory.mktemp("served") / "tasks"))
    yield page
    page.kill()
