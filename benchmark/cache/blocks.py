"""Predictions or features of one model on one source of images, in parts, so that a killed run resumes. No torch."""

import io
import time
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from filelock import FileLock
from pydantic import ValidationError

from benchmark.schemas.metrics import Strict
from benchmark.schemas.result import Run
from d3s_dataset.errors import ResultError
from d3s_dataset.manifest import to_json
from d3s_dataset.utils.atomic import write_atomic
from d3s_dataset.utils.nested import parse_json

BLOCK = 256  # rows a part holds; what a kill can cost
SETTINGS = ("precision", "agreement", "compiled")  # of a `Run`: what must be one for all parts
_MADE = "made"  # the array of a part that says how it was made, as JSON
_RUN = "run.json"
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)

M = TypeVar("M", bound=Strict)
P = TypeVar("P")  # a part: a dataclass of arrays, one row per image
Span = tuple[int, int]


def spans(n: int) -> list[Span]:
    """Return how n rows are cut into parts: (start, stop) of each."""
    return [(start, min(start + BLOCK, n)) for start in range(0, n, BLOCK)]


class Finished(Strict):
    """Facts about a finished run that a result records in addition to model and data."""

    run: Run
    environment: dict[str, str]
    seconds: float


class Made(Strict):
    """Conditions under which a block was computed: settings, machine, seconds, and of how many parts it was a block."""

    run: Run
    environment: dict[str, str]
    seconds: float
    of: int | None = None


@dataclass(frozen=True, eq=False)
class Pooled:
    """Pooled features of n images, the input of a model's head: (n, d) float32 `values`."""

    values: np.ndarray


@dataclass(frozen=True, eq=False)
class Best:
    """The best class of each of n images: (n,) int64 `prediction`, where no more is needed."""

    prediction: np.ndarray


class Store(Generic[P]):
    """Parts of one model's predictions or features on one source of images, in a folder, or in memory without one.

    A part is a dataclass of arrays with one row per image: `Answers`, `Pooled`, `Best`.
    """

    def __init__(self, kind: type[P], folder: Path | None = None) -> None:
        self.kind = kind
        self._folder = folder
        self._parts: dict[Span, P] = {}
        self._arrays: dict[str, dict[str, np.ndarray]] = {}
        self._run: Run | None = None
        self._signature: dict[str, Any] | None = None
        self._since = 0.0

    @property
    def folder(self) -> Path | None:
        """Where the parts are; None: in memory."""
        return self._folder

    @property
    def run(self) -> Run | None:
        """Settings of the run that makes the parts; None before the first."""
        return self._run if self._folder is None else load(Run, self._folder / _RUN)

    def begin(self, run: Run, before: Run | None = None) -> Run:
        """Record the settings of the parts that follow; parts whose settings are not recorded are deleted.

        Args:
            run: the settings.
            before: those that were recorded when `run` was chosen. Where another process has recorded others since,
                they hold: of two that begin together, the first decides.

        Returns:
            The settings that hold.
        """
        self._run = run
        if self._folder is None:
            return run
        with self._alone():
            now = self.run
            if now is not None and (now != before or _same(now, run)):
                self._run = run.model_copy(update={name: getattr(now, name) for name in SETTINGS})
                return now
            if now is None:
                for each in self._folder.glob("*-*.npz"):
                    each.unlink(missing_ok=True)
            write_atomic(self._folder / _RUN, to_json(run))
        return run

    def sign(self, environment: dict[str, str], since: float, of: int | None = None) -> None:
        """Have the parts written from now on carry how they were made (`Made`); seconds count from `since`."""
        self._signature, self._since = {"environment": environment, "of": of}, since

    def signature(self) -> Made | None:
        """Return how the part that is finished now was made; None before `sign`."""
        if self._signature is None or self._run is None:
            return None
        before, self._since = self._since, time.monotonic()
        return Made(run=self._run, seconds=self._since - before, **self._signature)

    def write(self, span: Span, part: P, made: Made | None = None) -> None:
        """Keep what a span of rows gave, and how it was made: `made`, else the store's own signature."""
        if self._folder is None:
            self._parts[span] = part
            return
        made = made or self.signature()
        note = {} if made is None else {_MADE: np.frombuffer(to_json(made), np.uint8)}
        write_atomic(self.path(span), _packed(vars(part) | note))

    def made(self, span: Span) -> Made | None:
        """Return how a part was made; None where it does not say so."""
        found = None if self._folder is None else _unpacked(self.path(span), [_MADE])
        return None if found is None else Made.model_validate_json(found[_MADE].tobytes())

    def read(self, span: Span) -> P | None:
        """Return what a span of rows gave, or None where there is nothing that can be read."""
        if self._folder is None:
            return self._parts.get(span)
        content = _unpacked(self.path(span), [each.name for each in _fields(self.kind)])
        whole = content is not None and {len(values) for values in content.values()} == {span[1] - span[0]}
        return self.kind(**content) if content is not None and whole else None

    def keep(self, name: str, **arrays: np.ndarray) -> None:
        """Keep arrays that belong to no row, under a name."""
        if self._folder is None:
            self._arrays[name] = arrays
        else:
            write_atomic(self._folder / f"{name}.npz", _packed(arrays))

    def kept(self, name: str, *arrays: str) -> dict[str, np.ndarray] | None:
        """Return the arrays kept under a name, or None where they cannot be read."""
        return self._arrays.get(name) if self._folder is None else _unpacked(self._folder / f"{name}.npz", arrays)

    def missing(self, n: int) -> list[Span]:
        """Return the spans of n rows without parts; all of them if no settings of the others are recorded."""
        unsaid = self.run is None
        return [span for span in spans(n) if unsaid or self.read(span) is None]

    def all(self, n: int) -> P:
        """Return what all n rows gave, in one.

        Raises:
            ResultError: one is missing.
        """
        parts = [self.read(span) for span in spans(n)]
        there = [each for each in parts if each is not None]
        if len(there) < len(parts):
            raise ResultError(f"{self._folder} lost parts while they were used: type the same command again")
        names = [each.name for each in _fields(self.kind)]
        return self.kind(*(np.concatenate([getattr(part, name) for part in there]) for name in names))

    def finish(self, n: int, finished: Finished) -> None:
        """Record that all n rows are finished, and with which settings."""
        if self._folder is not None:
            write_atomic(self._folder / f"finished-{n}.json", to_json(finished))

    def finished(self, n: int) -> Finished | None:
        """Return the settings of all n rows, or None if a row is missing."""
        found = None if self._folder is None else load(Finished, self._folder / f"finished-{n}.json")
        return None if self.missing(n) else found

    def path(self, span: Span) -> Path:
        """Return the file of a part."""
        assert self._folder is not None
        return self._folder / f"{span[0]:08d}-{span[1]:08d}.npz"

    @contextmanager
    def _alone(self) -> Iterator[None]:
        assert self._folder is not None
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / "run.lock"):
            yield


def _same(one: Run, other: Run) -> bool:
    return all(getattr(one, name) == getattr(other, name) for name in SETTINGS)


def load(model: type[M], path: Path) -> M | None:
    """Return a small file's content, or None where there is none that can be read."""
    try:
        return model.model_validate(parse_json(path.read_bytes()))
    except (OSError, ValueError, ValidationError):
        return None


def _packed(arrays: dict[str, np.ndarray]) -> bytes:
    sink = io.BytesIO()
    np.savez(sink, **arrays)  # pyright: ignore[reportArgumentType] - one of them may not be named allow_pickle
    return sink.getvalue()


def _unpacked(path: Path, names: Iterable[str]) -> dict[str, np.ndarray] | None:
    try:
        # NumPy leaves a damaged file open, so it gets the bytes.
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as content:
            return {name: content[name] for name in names}
    except _UNREADABLE:
        return None


def _fields(kind: Any) -> tuple[Any, ...]:
    return fields(kind)
