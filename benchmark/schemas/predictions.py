"""Predictions: one Parquet file per model, one row per image. All metrics can be recomputed from it without torch.

The file also carries its provenance (which model, which data set, where it ran) as JSON in the schema's metadata,
so that a result can be made from the predictions alone. Predictions from elsewhere need only the columns.

Version 1 holds the five best classes with their probabilities and the loss. Version 2, in the metadata, is written only
where some of that is unknown, as for predictions made elsewhere (`benchmark.data.external`): fewer classes, and no
`probability` or `loss`. A reader of version 1 refuses it and never misreads it.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmark.schemas.columns import Reader
from benchmark.schemas.problems import KEYS, LEVELS, ROWS, WIDTHS, Problems
from benchmark.schemas.text import Text, order_of, stored, taken
from benchmark.schemas.versions import check
from d3s_dataset.errors import ResultError
from d3s_dataset.utils.atomic import replacing

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
_LABELS = ("foreground", "background")
_SCORES = ("probability", "loss", "squares")
_GROUP = 1 << 20  # rows of a row group, as PyArrow has it by default
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

    key: Text = Text()
    foreground: np.ndarray
    background: np.ndarray
    foreground_source: Text = Text()
    background_source: Text = Text()
    prediction: np.ndarray
    probability: np.ndarray | None = None
    loss: np.ndarray | None = None
    squares: np.ndarray | None = None
    size: np.ndarray | None = None
    place: np.ndarray | None = None
    ladder: Text = Text(None)
    severity: np.ndarray | None = None
    provenance: dict[str, Any] = field(default_factory=dict[str, Any])

    def __len__(self) -> int:
        return len(self.foreground)

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
    columns = {name: stored(predictions, name) for name in _NAMES}
    return replaced(predictions, **{name: taken(each, rows) for name, each in columns.items() if each is not None})


def replaced(predictions: Predictions, **fields: Any) -> Predictions:
    """Return predictions with other fields: as `dataclasses.replace`, but text stays as it is held."""
    own: dict[str, Any] = {name: stored(predictions, name) for name in _NAMES}
    own["provenance"] = predictions.provenance
    return Predictions(**own | fields)


def by_key(predictions: Predictions) -> Predictions:
    """Return predictions sorted by key."""
    order, _ = order_of(stored(predictions, "key"))
    return predictions if order is None else take(predictions, order)


def without_answers(predictions: Predictions) -> Predictions:
    """Return the images alone, for less memory: nothing that a model said, classes (n, 0), and no keys (None)."""
    n = len(predictions)
    nothing = dict.fromkeys(_SCORES) | {"prediction": np.empty((n, 0), dtype=np.int32), "key": pa.nulls(n)}
    return replaced(predictions, **nothing)


def write(path: Path, predictions: Predictions) -> None:
    """Write predictions to a Parquet file, atomically."""
    schema = _schema(predictions)
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as sink:
        for start in range(0, max(len(predictions), 1), _GROUP):
            sink.write_table(_to_table(predictions, schema, slice(start, start + _GROUP)), _GROUP)


def read(path: Path, *, ordered: bool = False, best: bool = False) -> Predictions:
    """Read predictions and check every value.

    Args:
        path: the file.
        ordered: sort rows by key, with less memory than it takes afterwards.
        best: keep only the best class of each row, and labels in 16 bits; the others, `probability`, `loss` and
            `squares` are checked alone.

    Raises:
        ResultError: no such file, no Parquet, a missing or mistyped column, or a value out of range.
    """
    file = Reader(path)
    version = _version(path, file)
    missing = [name for name in SCHEMA.names if name not in file.names and name not in OPTIONAL[version]]
    if missing:
        has = ", ".join(file.names)
        raise ResultError(f"{path} holds no predictions: it lacks {', '.join(missing)}; it has {has}")
    problems = Problems()
    columns = _columns(file, version, problems, ordered, best)
    try:
        provenance = json.loads(file.metadata.get(_METADATA_KEY, b"{}"))
    except (ValueError, RecursionError):
        raise ResultError(f"{path}: its provenance (metadata {_METADATA_KEY.decode()!r}) is no JSON") from None
    if problems.first:
        raise ResultError(f"{path}: {problems.first}")
    return Predictions(**columns, provenance=provenance)


def _version(path: Path, file: Reader) -> int:
    version = file.metadata.get(_VERSION_KEY, b"1")
    try:
        check(int(version) if version.isdigit() else version.decode(errors="replace"), _VERSION)
    except ValueError as error:
        raise ResultError(f"{path}: {error}") from None
    return int(version)


def _columns(file: Reader, version: int, problems: Problems, ordered: bool, best: bool) -> dict[str, Any]:
    optional, least = OPTIONAL[version], BEST if version == 1 else 1
    there = [each for each in SCHEMA if each.name not in optional or file.filled(each.name)]
    there += [each for each in FACTORS if file.filled(each.name)]
    columns: dict[str, Any] = {}
    widths: dict[str, int] = {}
    problems.see(ROWS, file.n > 0)
    for each in there:
        name, see, keep = each.name, problems.of(each.name), not (best and each.name in _SCORES)
        wanted = each.with_nullable(each.nullable and name not in OPTIONAL[_VERSION])
        if name == "key":
            columns[name], different = file.keys(wanted, ordered)
            problems.see(KEYS, different)
        elif pa.types.is_string(each.type):
            columns[name] = file.strings(wanted)
        elif pa.types.is_list(each.type):
            columns[name], widths[name] = file.lists(wanted, range(least, BEST + 1), see, (1 if best else BEST) * keep)
        else:
            columns[name] = file.numbers(wanted, see, keep, best and name in _LABELS)
    problems.see(WIDTHS, len(set(widths.values())) == 1)
    ladder, severity = columns.get("ladder"), columns.get("severity")
    problems.see(LEVELS, (ladder is None) == (severity is None) and (ladder is None or not ladder.null_count))
    return columns


def _schema(predictions: Predictions) -> pa.Schema:
    kept = [each for each in (*SCHEMA, *FACTORS) if stored(predictions, each.name) is not None]
    metadata = {_METADATA_KEY: json.dumps(predictions.provenance, allow_nan=False).encode()}
    if not predictions.whole:
        metadata[_VERSION_KEY] = str(_VERSION).encode()
    return pa.schema(kept, metadata)


def _to_table(predictions: Predictions, schema: pa.Schema, rows: slice) -> pa.Table:
    columns: list[pa.Array | pa.ChunkedArray] = []
    for each in schema:
        values = stored(predictions, each.name)[rows]
        if pa.types.is_list(each.type):
            flat = pa.array(values.reshape(-1), type=each.type.value_type)
            offsets = pa.array(np.arange(len(values) + 1, dtype=np.int32) * np.int32(values.shape[1]))
            columns.append(pa.ListArray.from_arrays(offsets, flat))
        elif isinstance(values, pa.Array | pa.ChunkedArray):
            whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
            columns.append(whole.cast(each.type))
        else:
            unknown = np.isnan(values) if each.name == "place" else None
            columns.append(pa.array(values, type=each.type, mask=unknown))
    return pa.table(columns, schema=schema)
