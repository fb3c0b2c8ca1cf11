"""Content-addressed cache: predictions and features of models, digests of files, facts about models.

    CACHE/                                   $D3S_CACHE, else ~/.cache/d3s
      files/<place>.json                     a file's digest, valid while size and time of change are the same
      models/<question>.json                 a model's facts, valid while every file it was read from is the same
      images/<content>/alike.npz             which rows of a split hold the same image
      predictions/<content>/                 of weights, arguments, data, transform, precision and --no-compile
        run.json, finished-<n>.json          how it is run; how all of n rows were
        00000000-00000256.npz                predictions on a span of rows; of a part, how they were made
      best/<content>/                        the same for best classes alone
      features/<content>/                    the same for pooled features, and head.npz, the model's own

A part that cannot be read counts as missing. Every file appears whole (`d3s_dataset.utils.atomic`), so processes may
share a cache, and a killed run resumes. Needs no torch.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.cache.blocks import BLOCK, Best, Pooled, Store, load
from benchmark.cache.decoded import Decoded
from benchmark.schemas.metrics import Strict
from benchmark.schemas.predictions import Answers
from d3s_dataset.errors import ModelError
from d3s_dataset.identity import digest, file_digest
from d3s_dataset.manifest import to_json
from d3s_dataset.utils.atomic import write_atomic
from d3s_dataset.utils.paths import cache_folder

TRIAL_IMAGES = BLOCK  # `auto` compares precisions on the first part; fewer images make another choice
PRECISIONS = ("auto", "fp32", "tf32", "bf16")  # tf32: of GPUs, named in the result as any
_FORMAT = 1  # raised when what a part means changes
_RACY_SECONDS = 2  # a file changed so lately can change again without its time telling


@dataclass(frozen=True)
class Options:
    """Options of inference: precision (of `PRECISIONS`), whether to compile, devices by name or None.

    `decoded` holds images for the next model that prepares them alike; None: nothing.
    """

    precision: str = "auto"
    compile: bool = True
    devices: Sequence[str] | None = None
    decoded: Decoded | None = None

    def __post_init__(self) -> None:
        """Raise ModelError for an unknown precision."""
        if self.precision not in PRECISIONS:
            raise ModelError(f"expected a precision of {', '.join(PRECISIONS)}, got {self.precision!r}")


class KnownFile(Strict):
    """A file's digest, and the size and time of change at which it was taken."""

    path: str
    size: int
    changed: int
    digest: str


class KnownModel(Strict):
    """Facts about a model that a result records, and the files they were read from.

    `files` is the digest of all its files; `hub` names those that lie on the Hub (repo, revision, file).
    """

    files: str
    hub: list[tuple[str, str | None, str]]
    architecture: str | None
    tag: str | None
    digest: str
    transform: dict[str, Any]
    left_out: tuple[str, ...] = ()


class Cache:
    """The folder of a cache (module docstring); nothing is made before something is kept."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or cache_folder()

    def digest_of(self, path: Path) -> str:
        """Return the SHA-256 of a file, computed again only where its size or time of change is another."""
        place = path.resolve()
        facts = place.stat()
        note = self._folder / "files" / f"{digest(str(place))}.json"
        known = load(KnownFile, note)
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
        """Return a model's facts as last stored; the caller compares `files`."""
        return load(KnownModel, self._note(question))

    def keep_model(self, question: dict[str, Any], known: KnownModel) -> None:
        """Keep a model's facts."""
        write_atomic(self._note(question), to_json(known))

    def predictions(self, **content: Any) -> Store[Answers]:
        """Return the parts computed from `content`, any JSON values that name all of it."""
        return Store(Answers, self._place("predictions", content))

    def features(self, **content: Any) -> Store[Pooled]:
        """Return the pooled features computed from `content`."""
        return Store(Pooled, self._place("features", content))

    def best(self, **content: Any) -> Store[Best]:
        """Return the best classes computed from `content`."""
        return Store(Best, self._place("best", content))

    def images(self, **content: Any) -> Store[Best]:
        """Return where it is kept which images of `content` are alike: no parts, one array of all rows."""
        return Store(Best, self._place("images", content))

    def _place(self, kind: str, content: dict[str, Any]) -> Path:
        return self._folder / kind / digest({"format": _FORMAT, **content})

    def _note(self, question: dict[str, Any]) -> Path:
        return self._folder / "models" / f"{digest({'format': _FORMAT, **question})}.json"
