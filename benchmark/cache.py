"""What was computed once, kept by what it was computed from: answers of models, digests of files, models' facts.

    CACHE/                                   $D3S_CACHE, else ~/.cache/d3s
      files/<place>.json                     a file's digest, believed while size and time of change are the same
      models/<question>.json                 a model's facts, believed while every file it was read from is the same
      predictions/<content>/                 of weights, arguments, data, transform and precision
        run.json, finished-<n>.json          how it is run; how all of n rows were
        00000000-00000256.npz                answers on a span of rows

A part that cannot be read counts as missing. Every file appears whole (`d3s_dataset.atomic`), so processes may share a
cache, and a killed run goes on where it was. Other kinds (features) get a folder beside `predictions`. Needs no torch.
"""

import io
import json
import os
import time
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from benchmark.predictions import Answers, join
from benchmark.results import Run
from benchmark.scores import Strict
from d3s_dataset.atomic import write_atomic
from d3s_dataset.errors import ResultError
from d3s_dataset.identity import digest, file_digest
from d3s_dataset.manifest import to_json

VARIABLE = "D3S_CACHE"
BLOCK = 256  # rows a part holds; what a kill can cost
_FORMAT = 1  # raised when what a part means changes
_RACY_SECONDS = 2  # a file changed so lately can change again without its time telling
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)

M = TypeVar("M", bound=Strict)
Span = tuple[int, int]


def spans(n: int) -> list[Span]:
    """Return how n rows are cut into parts: (start, stop) of each."""
    return [(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]


class Finished(Strict):
    """How all answers were made: what a result says beside model and data."""

    run: Run
    environment: dict[str, str]
    seconds: float


@dataclass(frozen=True)
class Options:
    """How to run a model: precision (`auto`, `fp32`, `bf16`), whether it may be compiled, devices `D,...` or None."""

    precision: str = "auto"
    compile: bool = True
    devices: str | None = None


class Store:
    """The answers of one model on one source of images, part by part: in a folder, or in memory where there is none."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._parts: dict[Span, Answers] = {}
        self._run: Run | None = None

    @property
    def run(self) -> Run | None:
        """How the parts are made; None before the first."""
        return self._run if self._folder is None else _load(Run, self._folder / "run.json")

    def begin(self, run: Run) -> None:
        """Keep how the parts are made."""
        self._run = run
        if self._folder is not None:
            write_atomic(self._folder / "run.json", to_json(run))

    def write(self, span: Span, answers: Answers) -> None:
        """Keep the answers on a span of rows."""
        if self._folder is None:
            self._parts[span] = answers
            return
        sink = io.BytesIO()
        np.savez(sink, **vars(answers))
        write_atomic(self._path(span), sink.getvalue())

    def read(self, span: Span) -> Answers | None:
        """Return the answers on a span of rows, or None where there are none that can be read."""
        if self._folder is None:
            return self._parts.get(span)
        try:
            # NumPy leaves a damaged file open, so it gets the bytes.
            with np.load(io.BytesIO(self._path(span).read_bytes()), allow_pickle=False) as content:
                answers = Answers(**{each.name: content[each.name] for each in fields(Answers)})
        except _UNREADABLE:
            return None
        whole = {len(values) for values in vars(answers).values()} == {span[1] - span[0]}
        return answers if whole else None

    def missing(self, n: int) -> list[Span]:
        """Return the spans of n rows without answers."""
        return [span for span in spans(n) if self.read(span) is None]

    def all(self, n: int) -> Answers:
        """Return the answers on all n rows.

        Raises:
            ResultError: one is missing.
        """
        parts = [self.read(span) for span in spans(n)]
        there = [each for each in parts if each is not None]
        if len(there) < len(parts):
            raise ResultError(f"{self._folder} lost parts while they were used: type the same command again")
        return join(there)

    def finish(self, n: int, finished: Finished) -> None:
        """Say that all n rows are answered, and how."""
        if self._folder is not None:
            write_atomic(self._folder / f"finished-{n}.json", to_json(finished))

    def finished(self, n: int) -> Finished | None:
        """Return how all n rows were answered, or None where an answer is missing."""
        found = None if self._folder is None else _load(Finished, self._folder / f"finished-{n}.json")
        return None if self.missing(n) else found

    def _path(self, span: Span) -> Path:
        assert self._folder is not None
        return self._folder / f"{span[0]:08d}-{span[1]:08d}.npz"


class KnownFile(Strict):
    """A file's digest, and the size and time of change at which it was taken."""

    path: str
    size: int
    changed: int
    digest: str


class KnownModel(Strict):
    """What a result says of a model, and what it was read from.

    `files` is the digest of all its files; `hub` names those that lie on the Hub (repo, revision, file).
    """

    files: str
    hub: list[tuple[str, str | None, str]]
    architecture: str | None
    tag: str | None
    digest: str
    transform: dict[str, Any]


class Cache:
    """The folder of a cache (module docstring); nothing is made before something is kept."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or default_folder()

    def digest_of(self, path: Path) -> str:
        """Return the SHA-256 of a file, computed again only where its size or time of change is another."""
        place = path.resolve()
        facts = place.stat()
        note = self._folder / "files" / f"{digest(str(place))}.json"
        known = _load(KnownFile, note)
        if known and (known.path, known.size, known.changed) == (str(place), facts.st_size, facts.st_mtime_ns):
            return known.digest
        answer = file_digest(place)
        if time.time() - facts.st_mtime > _RACY_SECONDS:
            found = KnownFile(path=str(place), size=facts.st_size, changed=facts.st_mtime_ns, digest=answer)
            write_atomic(note, to_json(found))
        return answer

    def digest_of_all(self, paths: Iterable[Path]) -> str:
        """Return one digest of the names and contents of files."""
        return digest([[path.name, self.digest_of(path)] for path in paths])

    def model(self, question: dict[str, Any]) -> KnownModel | None:
        """Return a model's facts as last kept: whoever asks compares `files`."""
        return _load(KnownModel, self._note(question))

    def keep_model(self, question: dict[str, Any], known: KnownModel) -> None:
        """Keep a model's facts."""
        write_atomic(self._note(question), to_json(known))

    def predictions(self, **content: Any) -> Store:
        """Return the answers computed from `content`, any JSON values that name all of it."""
        return Store(self._folder / "predictions" / digest({"format": _FORMAT, **content}))

    def _note(self, question: dict[str, Any]) -> Path:
        return self._folder / "models" / f"{digest({'format': _FORMAT, **question})}.json"


def default_folder() -> Path:
    """Return the folder named by D3S_CACHE, else one under the user's own cache."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "d3s"


def _load(model: type[M], path: Path) -> M | None:
    try:
        return model.model_validate(json.loads(path.read_bytes()))
    except (OSError, ValueError, ValidationError):
        return None
