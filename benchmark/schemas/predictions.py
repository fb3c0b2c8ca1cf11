"""Predictions: one Parquet file per model, one row per image. All metrics can be recomputed from it without torch.

The file also carries its provenance (which model, which data set, where it ran) as JSON in the schema's metadata,
so that a result can be made from the predictions alone. Predictions from elsewhere need only the columns.

Version 1 holds the five best classes with their probabilities and the loss. Version 2, in the metadata, is written only
where some of that is unknown, as for predictions made elsewhere (`benchmark.data.external`): fewer classes, and no
`probability` or `loss`. A reader of version 1 refuses it and never misreads it.
"""

import io
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.schemas.versions import check
from d3s_dataset.errors import ResultError, one_line
from d3s_dataset.taxonomy import classes
from d3s_dataset.utils.atomic import write_atomic

BEST = 5  # how many classes a row keeps

SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("foreground", pa.int64(), nullable=False),
        pa.field("background", pa.int64(), nullable=False),
        pa.field("foreground_source", pa.string(), nullable=False),
        pa.field("background_source", pa.string()),
        pa.field("prediction", pa.list_(pa.int32()), nullable=False),
        pa.field("probability", pa.list_(pa.float32()), nullable=False),
        pa.field("loss", pa.float32(), nullable=False),
        pa.field("squares", pa.float32()),
    ]
)
# What a release varies by plan; a file has those of them that its images differ in.
FACTORS = pa.schema(
    [
        pa.field("size", pa.float32()),
        pa.field("place", pa.float32()),
        pa.field("ladder", pa.string()),
        pa.field("severity", pa.float32()),
    ]
)
OPTIONAL = {1: {"squares"}, 2: {"probability", "loss", "squares"}}  # by version, the columns that a file may lack
_NAMES = (*SCHEMA.names, *FACTORS.names)
_METADATA_KEY = b"d3s"
_VERSION_KEY = b"d3s_schema_version"  # missing: 1
_VERSION = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """Predictions of a model on n images.

    Shapes: `key`, `foreground`, `background`, `foreground_source`, `background_source`, `loss` are (n,);
    `prediction` (the best classes, best first: five of `benchmark.run`, 1 to 5 from elsewhere) and `probability`
    (theirs, in [0, 1]) are (n, k). `background_source` holds None where no photo was used; `loss` is the cross-entropy
    in nats; `squares`, (n,), is the sum of all classes' squared probabilities: what the Brier score needs.
    `probability`, `loss` and `squares` are None where nobody kept them.

    What a release varies by plan is (n,) too, and None where all images are alike: `size` is the side of the object's
    box as a share of the image's, `place` how far its centre is from the image's, 0 centred to 1 at the edge, as a
    share of the room that its size leaves (NaN: none); `ladder` joins images that differ in `severity` alone.
    """

    key: np.ndarray
    foreground: np.ndarray
    background: np.ndarray
    foreground_source: np.ndarray
    background_source: np.ndarray
    prediction: np.ndarray
    probability: np.ndarray | None = None
    loss: np.ndarray | None = None
    squares: np.ndarray | None = None
    size: np.ndarray | None = None
    place: np.ndarray | None = None
    ladder: np.ndarray | None = None
    severity: np.ndarray | None = None
    provenance: dict[str, Any] = field(default_factory=dict[str, Any])

    def __len__(self) -> int:
        return len(self.key)

    @property
    def whole(self) -> bool:
        """True if each row holds five classes, their probabilities and the loss, as `benchmark.run` writes them."""
        return self.prediction.shape[1] == BEST and self.probability is not None and self.loss is not None


@dataclass(frozen=True, eq=False)
class Answers:
    """Outputs of a model on n images: the columns of `Predictions` that come from the model, same shapes."""

    prediction: np.ndarray
    probability: np.ndarray | None
    loss: np.ndarray | None
    squares: np.ndarray | None

    def __len__(self) -> int:
        return len(self.prediction)


def at(answers: Answers, rows: np.ndarray) -> Answers:
    """Return some rows of answers, in the given order, repeats included: `rows` is (m,) int."""
    return replace(answers, **{name: each[rows] for name, each in vars(answers).items() if each is not None})


def take(predictions: Predictions, rows: np.ndarray) -> Predictions:
    """Return some rows of predictions, in the given order: `rows` is (m,) int."""
    columns = {name: values[rows] for name in _NAMES if (values := getattr(predictions, name)) is not None}
    return replace(predictions, **columns)


def write(path: Path, predictions: Predictions) -> None:
    """Write predictions to a Parquet file, atomically."""
    sink = io.BytesIO()
    pq.write_table(_to_table(predictions), sink, compression="zstd")
    write_atomic(path, sink.getvalue())


def read(path: Path) -> Predictions:
    """Read predictions and check every value.

    Raises:
        ResultError: no such file, no Parquet, a missing or mistyped column, or a value out of range.
    """
    table = _open(path)
    version = _version(path, table)
    missing = [name for name in SCHEMA.names if name not in table.column_names and name not in OPTIONAL[version]]
    if missing:
        has = ", ".join(table.column_names)
        raise ResultError(f"{path} holds no predictions: it lacks {', '.join(missing)}; it has {has}")
    predictions = _from_table(path, table, version)
    problem = _problem(predictions)
    if problem:
        raise ResultError(f"{path}: {problem}")
    return predictions


def _open(path: Path) -> pa.Table:
    try:
        return pq.ParquetFile(path).read()
    except FileNotFoundError:
        raise ResultError(f"no predictions at {path}: expected the Parquet file that benchmark.run writes") from None
    except (pa.ArrowException, OSError) as error:
        if path.suffix == ".json":
            other = path.with_suffix(".parquet")
            raise ResultError(f"{path} is a JSON file: expected the predictions next to it, {other}") from None
        raise ResultError(f"{path} cannot be read as a Parquet file of predictions: {one_line(error)}") from None


def _version(path: Path, table: pa.Table) -> int:
    version = (table.schema.metadata or {}).get(_VERSION_KEY, b"1")
    try:
        check(int(version) if version.isdigit() else version.decode(errors="replace"), _VERSION)
    except ValueError as error:
        raise ResultError(f"{path}: {error}") from None
    return int(version)


def _from_table(path: Path, table: pa.Table, version: int) -> Predictions:
    metadata = (table.schema.metadata or {}).get(_METADATA_KEY, b"{}")
    optional, least = OPTIONAL[version], BEST if version == 1 else 1
    there = [each for each in SCHEMA if each.name not in optional or _is_filled(table, each.name)]
    there += [each for each in FACTORS if _is_filled(table, each.name)]
    columns = {each.name: _column(path, table[each.name], each, least) for each in there}
    try:
        provenance = json.loads(metadata)
    except (ValueError, RecursionError):
        raise ResultError(f"{path}: its provenance (metadata {_METADATA_KEY.decode()!r}) is no JSON") from None
    return Predictions(**columns, provenance=provenance)


def _is_filled(table: pa.Table, name: str) -> bool:
    return name in table.column_names and table[name].null_count < len(table)


def _column(path: Path, column: pa.ChunkedArray, wanted: pa.Field, least: int) -> np.ndarray:
    try:
        values = column.cast(wanted.type).combine_chunks()
    except pa.ArrowException:
        raise ResultError(f"{path}: expected {wanted.type} in column {wanted.name}, got {column.type}") from None
    if values.null_count and (not wanted.nullable or wanted.name in OPTIONAL[_VERSION]):
        raise ResultError(f"{path}: column {wanted.name} has {values.null_count} nulls, expected none")
    if not isinstance(values, pa.ListArray):
        return values.to_numpy(zero_copy_only=False)
    widths = set(values.value_lengths().to_pylist())
    if len(widths) > 1 or not widths <= set(range(least, BEST + 1)):
        lists = f"lists of {BEST}" if least == BEST else f"lists of one length, 1 to {BEST},"
        raise ResultError(f"{path}: expected {lists} in column {wanted.name}")
    return values.flatten().to_numpy(zero_copy_only=False).reshape(len(values), *widths or [BEST])


def _to_table(predictions: Predictions) -> pa.Table:
    columns: list[pa.Array] = []
    kept = [each for each in (*SCHEMA, *FACTORS) if getattr(predictions, each.name) is not None]
    for each in kept:
        values = getattr(predictions, each.name)
        if pa.types.is_list(each.type):
            flat = pa.array(values.reshape(-1), type=each.type.value_type)
            offsets = pa.array(np.arange(len(values) + 1, dtype=np.int32) * np.int32(values.shape[1]))
            columns.append(pa.ListArray.from_arrays(offsets, flat))
        else:
            unknown = np.isnan(values) if each.name == "place" else None
            columns.append(pa.array(values, type=each.type, mask=unknown))
    metadata = {_METADATA_KEY: json.dumps(predictions.provenance, allow_nan=False).encode()}
    if not predictions.whole:
        metadata[_VERSION_KEY] = str(_VERSION).encode()
    return pa.table(columns, schema=pa.schema(kept, metadata))


def _problem(predictions: Predictions) -> str | None:
    """Return what is wrong with the values, or None."""
    ordered = np.sort(predictions.prediction, axis=1)
    probability, loss = predictions.probability, predictions.loss
    last = len(classes()) - 1
    checks = {
        "expected at least one row, got none": len(predictions) > 0,
        "the same key stands in two rows": len(np.unique(predictions.key)) == len(predictions),
        f"expected foreground labels in 0..{last}": _within(predictions.foreground, 0, last),
        "expected background labels of 0 or more": _within(predictions.background, 0, np.inf),
        f"expected predicted classes in 0..{last}": _within(predictions.prediction, 0, last),
        "a row predicts the same class twice": bool((np.diff(ordered, axis=1) > 0).all()),
        "expected as many probabilities as classes in a row":
            probability is None or probability.shape == predictions.prediction.shape,
        "expected probabilities in [0, 1]": _within(_or_zero(probability), 0, 1 + 1e-5),
        "expected the best prediction first": bool((np.diff(_or_zero(probability)) <= 1e-6).all()),
        "expected sums of squared probabilities in [0, 1]": _within(_or_zero(predictions.squares), 0, 1 + 1e-5),
        "expected sizes in [0, 1]": _within(_or_zero(predictions.size), 0, 1 + 1e-5),
        "expected places in [0, 1], or none": _within(_known(predictions.place), 0, 1 + 1e-5),
        "expected levels of severity in [0, 1], and a ladder with each":
            _within(_or_zero(predictions.severity), 0, 1 + 1e-5) and _joined(predictions),
        "expected finite losses of 0 or more": _within(_or_zero(loss), -1e-6, float(np.finfo(np.float32).max)),
    }  # fmt: skip
    return next((text for text, fine in checks.items() if not fine), None)


def _or_zero(values: np.ndarray | None) -> np.ndarray:
    return np.zeros(0) if values is None else values


def _known(values: np.ndarray | None) -> np.ndarray:
    return np.zeros(0) if values is None else values[~np.isnan(values)]


def _joined(predictions: Predictions) -> bool:
    ladder, severity = predictions.ladder, predictions.severity
    if ladder is None or severity is None:
        return ladder is severity
    return all(each is not None for each in ladder)


def _within(values: np.ndarray, low: float, high: float) -> bool:
    # NaN compares false, so it is out of every range.
    return bool(((values >= low) & (values <= high)).all())
