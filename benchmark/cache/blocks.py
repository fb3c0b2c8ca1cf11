"""Predictions or features of one model on one source of images, in parts, so that a killed run resumes. No torch."""

import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from pydantic import ValidationError

from benchmark.schemas.metrics import Strict
from benchmark.schemas.result import Run
from d3s_dataset.errors import ResultError
from d3s_dataset.manifest import to_json
from d3s_dataset.utils.atomic import write_atomic
from d3s_dataset.utils.nested import parse_json

BLOCK = 256  # rows a part holds; what a kill can cost
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
        self._kind = kind
        self._folder = folder
        self._parts: dict[Span, P] = {}
        self._arrays: dict[str, dict[str, np.ndarray]] = {}
        self._run: Run | None = None

    @property
    def run(self) -> Run | None:
        """Settings of the run that makes the parts; None before the first."""
        return self._run if self._folder is None else load(Run, self._folder / "run.json")

    def begin(self, run: Run) -> None:
        """Store the settings of the parts; existing parts without recorded settings are deleted."""
        self._run = run
        if self._folder is not None:
            if self.run is None:
                for each in self._folder.glob("*-*.npz"):
                    each.unlink(missing_ok=True)
            write_atomic(self._folder / "run.json", to_json(run))

    def write(self, span: Span, part: P) -> None:
        """Keep what a span of rows gave."""
        if self._folder is None:
            self._parts[span] = part
        else:
            write_atomic(self._path(span), _packed(vars(part)))

    def read(self, span: Span) -> P | None:
        """Return what a span of rows gave, or None where there is nothing that can be read."""
        if self._folder is None:
            return self._parts.get(span)
        content = _unpacked(self._path(span), [each.name for each in _fields(self._kind)])
        whole = content is not None and {len(values) for values in content.values()} == {span[1] - span[0]}
        return self._kind(**content) if content is not None and whole else None

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
        names = [each.name for each in _fields(self._kind)]
        return self._kind(*(np.concatenate([getattr(part, name) for part in there]) for name in names))

    def finish(self, n: int, finished: Finished) -> None:
        """Record that all n rows are finished, and with which settings."""
        if self._folder is not None:
            write_atomic(self._folder / f"finished-{n}.json", to_json(finished))

    def finished(self, n: int) -> Finished | None:
        """Return the settings of all n rows, or None if a row is missing."""
        found = None if self._folder is None else load(Finished, self._folder / f"finished-{n}.json")
        return None if self.missing(n) else found

    def _path(self, span: Span) -> Path:
        assert self._folder is not None
        return self._folder / f"{span[0]:08d}-{span[1]:08d}.npz"


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
