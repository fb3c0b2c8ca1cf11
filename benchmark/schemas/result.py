"""A result: what one model scored on one split of a release, with all it takes to judge the number. Typed JSON.

The numbers themselves are typed in `scores`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from pydantic import ValidationError

from benchmark.schemas import predictions as predictions_
from benchmark.schemas.metrics import Change, Metrics, Number, Strict
from benchmark.schemas.predictions import Predictions
from benchmark.schemas.versions import Upgrade, Versioned
from d3s_dataset.errors import ResultError, WriteError
from d3s_dataset.manifest import to_json
from d3s_dataset.utils.atomic import write_atomic

Kind = TypeVar("Kind", bound=Strict)


ELSEWHERE = "predictions:"  # begins the name of a model of which there are predictions alone


class Model(Strict):
    """Model of a result: its name as typed, timm's tag of its weights, their digest, how it was run.

    `checkpoint` is the name of the file that the weights came from, null where they came with the model; `left_out`
    the auxiliary heads in it that the model has not. Of predictions made elsewhere the name begins with `predictions:`,
    and the digest is that of the predictions.
    """

    name: str
    architecture: str | None
    tag: str | None
    kwargs: dict[str, Any]
    digest: str
    precision: str
    transform: dict[str, Any]
    checkpoint: str | None = None
    left_out: tuple[str, ...] = ()

    @property
    def elsewhere(self) -> bool:
        """True if there are predictions alone: nothing that could be run again."""
        return self.name.startswith(ELSEWHERE)


class Dataset(Strict):
    """Images of a result: release, config, split, their number, and the share that people verified (or null).

    `digest` is that of the config's shards; `release` that of the release, whatever the config (older files lack it).
    """

    name: str
    kind: str
    revision: str | None
    digest: str
    config: str
    split: str
    n: int
    verified_fraction: float | None
    backgrounds: list[str]
    release: str | None = None


class Run(Strict):
    """Conditions under which predictions were computed.

    `agreement` is the share of the first images on which bf16 and fp32 gave the same top-1 (null: not compared);
    `compiled` whether torch.compile was used; `batch_size` the largest that fitted into the memory.
    """

    precision: str
    agreement: Number
    compiled: bool
    batch_size: int
    devices: list[str]


class ImageNet(Strict):
    """The same model on an ImageNet validation folder, with the same transform: how many photos, and its accuracies."""

    n: int
    top1: Number
    top5: Number


class Provenance(Strict):
    """Provenance of predictions: everything in a result but what follows from their rows.

    Of predictions made elsewhere `environment` is empty and `seconds` is 0: neither is known.
    """

    model: Model
    dataset: Dataset
    environment: dict[str, str]
    seconds: float
    run: Run | None = None
    imagenet: ImageNet | None = None


class Comparison(Versioned):
    """Output of `benchmark.compare`: two models on the images both have, and how many each lacks.

    Version 1 lacks `detectable` in its changes.
    """

    VERSION: ClassVar[int] = 2
    UPGRADES: ClassVar[Mapping[int, Upgrade]] = {1: lambda fields: fields}

    first: Model
    second: Model
    datasets: tuple[Dataset, Dataset]
    n: int
    first_lacks: int
    second_lacks: int
    changes: dict[str, Change]


class Chain(Versioned):
    """Output of `benchmark.score` for one model on a release and its controls: the drop step by step.

    Version 1 lacks `detectable` in its changes.
    """

    VERSION: ClassVar[int] = 2
    UPGRADES: ClassVar[Mapping[int, Upgrade]] = {1: lambda fields: fields}

    model: Model
    datasets: list[Dataset]
    steps: dict[str, dict[str, Change]]


class Result(Versioned):
    """The file `<model>--<dataset>-<config>-<split>--<precision>--<digest>.json` (`identity.stem`).

    `drop` is the top-1 on ImageNet minus that on this split. Older files lack `run`, `imagenet` and `drop`; version 1
    lacks `further` in its metrics, version 2 `shrunk` and `interaction`, version 3 `factors` and `severity`.
    """

    VERSION: ClassVar[int] = 4
    UPGRADES: ClassVar[Mapping[int, Upgrade]] = dict.fromkeys((1, 2, 3), lambda fields: fields)

    model: Model
    dataset: Dataset
    metrics: Metrics
    environment: dict[str, str]
    seconds: float
    run: Run | None = None
    imagenet: ImageNet | None = None
    drop: Number = None


def make_folder(out: Path) -> None:
    """Make a folder, before the work that fills it.

    Raises:
        WriteError: it cannot be made.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"cannot make the folder {out}: {error.strerror}") from None


def write(path: Path, result: Result | Comparison | Chain) -> None:
    """Write a result, a comparison or a chain, atomically."""
    write_atomic(path, to_json(result))


def read(path: Path) -> Result:
    """Read a result.

    Raises:
        ResultError: in one line, the file and the first thing wrong with it.
    """
    return parse(Result, content_of(path), str(path))


def provenance(facts: dict[str, Any], where: str) -> Provenance:
    """Return what predictions carry as a typed value.

    Raises:
        ResultError: `facts`, found in the file `where`, is not what benchmark.run writes.
    """
    try:
        return Provenance.model_validate(facts)
    except ValidationError as error:
        raise ResultError(f"{where} has a provenance that cannot be read: {first_wrong(error)}") from None


def parse(kind: type[Kind], content: bytes, where: str) -> Kind:
    """Return a file's content as a value of a kind; raises ResultError that names the file where it is none."""
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        wrote = ": expected the JSON file that benchmark.run writes" if kind is Result else ""
        raise ResultError(f"{where} cannot be read as a result: {first_wrong(error)}{wrote}") from None


def content_of(path: Path) -> bytes:
    """Return a file's bytes; raises ResultError where it cannot be read."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ResultError(f"no result at {path}: expected the JSON file that benchmark.run writes") from None
    except OSError as error:
        raise ResultError(f"{path} cannot be read as a result: {error.strerror}") from None
    if content.startswith(b"PAR1"):
        raise ResultError(f"{path} is a Parquet file: expected the result next to it, {path.with_suffix('.json')}")
    return content


def first_wrong(error: ValidationError) -> str:
    """Return the first thing wrong with a file: the field, and why."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "the whole file"
    return f"{where[:80]}: {first['msg']}"


def beside(path: Path, result: Result, what: str, *, best: bool = False) -> Predictions:
    """Return the predictions next to a result.

    Args:
        path: of the result.
        result: its content.
        what: the caller that needs them, for errors.
        best: sorted by key, and only the best class of each row (`predictions.read`).

    Raises:
        ResultError: none are there, or they are of another model or of other images.
    """
    there = path.with_suffix(".parquet")
    if not there.is_file():
        raise ResultError(f"no predictions at {there}: {what} needs them next to {path}, as benchmark.run leaves them")
    found = predictions_.read(there, ordered=best, best=best)
    facts = provenance(found.provenance, str(there))
    for name, own, other in (("model", result.model, facts.model), ("dataset", result.dataset, facts.dataset)):
        if own != other:
            raise ResultError(
                f"{there} is of another {name} ({other.name}, {other.digest[:8]}) than {path} ({own.name}, "
                f"{own.digest[:8]}): expected the two files of one benchmark.run"
            )
    return found
