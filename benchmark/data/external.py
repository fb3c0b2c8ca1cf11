"""Predictions made elsewhere (JAX, TensorFlow, a service), in any common form, joined to a split of a release by key.

Taken are a CSV, Parquet or NPZ file, a DataFrame, a mapping from column to values, and an array. The columns are `key`,
which names the image, and one of

    prediction    the best class in 0..999, or up to five, best first; `probability`, if given too, holds theirs
    probability   (n, 1000), each row with sum 1
    logits        (n, 1000)

A column of several numbers a row is a list, a matrix, or numbered columns (`logits_0`, `logits_1`, ...) in the order
of their numbers. Without `key`, rows are the split's, in its order. Labels, backgrounds and photos are the release's
own. What cannot be computed (top-5 of one class, calibration without probabilities) is None: nothing is guessed.
"""

import re
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from benchmark.data.split import Split
from benchmark.schemas import result as results
from benchmark.schemas.predictions import BEST, Answers, Predictions
from d3s_dataset.errors import ResultError, one_line
from d3s_dataset.identity import digest
from d3s_dataset.taxonomy import classes

VALUES = ("prediction", "probability", "logits")
SUFFIXES = (".csv", ".parquet", ".npz")
_FORMS = f"expected a column key and one of {', '.join(VALUES)}"
_SUM = 1e-3  # how far the sum of a row's probabilities may be from 1: half precision gives 5e-4
_LEAST = 1e-45  # a probability of 0 has this instead in the loss, which stays finite: the least float32

Columns = dict[str, np.ndarray]


def made_elsewhere(given: Any, split: Split, model_name: str) -> Predictions:
    """Return predictions made elsewhere with the labels of their images, and a provenance.

    Args:
        given: a path, DataFrame, mapping or array, as above.
        split: the images they are of.
        model_name: what to call the model.

    Raises:
        ResultError: columns, classes or numbers other than expected; images that are doubled, missing or unknown.
    """
    if not model_name.strip() or not model_name.isprintable():
        raise ResultError(f"expected a name of the model, got {model_name!r}: pass --model-name (model_name=)")
    where = str(given) if isinstance(given, str | Path) else f"the {type(given).__name__}"
    columns = _columns(given, where)
    rows = _rows(columns, split, where)
    values = {name: values for name in VALUES if (values := _matrix(columns, name, where)) is not None}
    said = _answers({name: each[rows] for name, each in values.items()}, split.foreground, where)
    kept = [each for each in (said.prediction, said.probability, said.loss) if each is not None]
    model = results.Model(
        name=f"{results.ELSEWHERE}{model_name}",
        architecture=None,
        tag=None,
        kwargs={},
        digest=digest([each.tolist() for each in kept]),
        precision="unknown",
        transform={},
    )
    facts = results.Provenance(model=model, dataset=split.facts(), environment={}, seconds=0.0)
    return replace(split.predictions(said), provenance=facts.model_dump(mode="json"))


def from_logits(logits: np.ndarray, foreground: np.ndarray) -> Answers:
    """Return what a row keeps of a model's logits.

    Args:
        logits: (n, 1000), finite.
        foreground: (n,) true classes.
    """
    exact = logits.astype(np.float64)
    exact -= exact.max(1, keepdims=True)
    return _from_log(exact - np.log(np.exp(exact).sum(1, keepdims=True)), foreground)


def _from_log(log: np.ndarray, foreground: np.ndarray) -> Answers:
    # Stable: of equal classes the first comes first, whatever the machine.
    best = np.argsort(-log, axis=1, kind="stable")[:, :BEST]
    probability = np.exp(log)
    return Answers(
        prediction=best.astype(np.int32),
        probability=np.take_along_axis(probability, best, 1).astype(np.float32),
        loss=np.maximum(-log[np.arange(len(log)), foreground], 0).astype(np.float32),
        squares=np.square(probability).sum(1).astype(np.float32),
    )


def _answers(values: Columns, foreground: np.ndarray, where: str) -> Answers:
    """Return the answers of the one of `VALUES` that is given; all of them are checked."""
    match sorted(values):
        case ["logits"]:
            logits = _scores(values["logits"], "logits", where)
            return from_logits(logits, foreground)
        case ["probability"]:
            probability = _scores(values["probability"], "probability", where)
            _check_probability(probability, where)
            wrong = np.abs(probability.astype(np.float64).sum(1) - 1) > _SUM
            if wrong.any():
                total = float(probability[wrong][0].sum())
                raise ResultError(
                    f"{where}: expected rows of probability with sum 1, got {total:.4g}: pass unscaled scores as logits"
                )
            return _from_log(np.log(np.maximum(probability.astype(np.float64), _LEAST)), foreground)
        case ["prediction"] | ["prediction", "probability"]:
            return _best(values["prediction"], values.get("probability"), where)
        case names:
            raise ResultError(f"{where}: {_FORMS}, got {', '.join(names) or 'none of them'}")


def _best(prediction: np.ndarray, probability: np.ndarray | None, where: str) -> Answers:
    last = len(classes()) - 1
    if not np.issubdtype(prediction.dtype, np.integer):
        shown = prediction.flat[0] if prediction.size else prediction.dtype
        raise ResultError(
            f"{where}: expected whole numbers 0..{last} (class indices) in prediction, got {prediction.dtype} such as "
            f"{str(shown)[:40]}: pass scores as probability or logits"
        )
    if not 1 <= prediction.shape[1] <= BEST:
        raise ResultError(f"{where}: expected 1 to {BEST} classes a row in prediction, got {prediction.shape[1]}")
    if prediction.size and not (prediction.min() >= 0 and prediction.max() <= last):
        odd = prediction[(prediction < 0) | (prediction > last)][0]
        raise ResultError(f"{where}: expected classes 0..{last} in prediction, got {odd}")
    ordered = np.sort(prediction, axis=1)
    if (np.diff(ordered) == 0).any():
        raise ResultError(f"{where}: a row of prediction holds a class twice")
    if probability is not None:
        if probability.shape != prediction.shape:
            raise ResultError(
                f"{where}: expected as many numbers in probability as classes in prediction, got "
                f"{probability.shape[1]} and {prediction.shape[1]}"
            )
        _check_probability(probability, where)
        if (np.diff(probability) > 0).any():
            raise ResultError(f"{where}: expected the best class first, got a row whose probability rises")
        probability = probability.astype(np.float32)
    return Answers(prediction=prediction.astype(np.int32), probability=probability, loss=None, squares=None)


def _scores(values: np.ndarray, name: str, where: str) -> np.ndarray:
    count = len(classes())
    if values.shape[1] != count:
        hint = ": leave out the background class, which is TensorFlow's first" if values.shape[1] == count + 1 else ""
        raise ResultError(f"{where}: expected (n, {count}) numbers in {name}, got {values.shape}{hint}")
    if not np.issubdtype(values.dtype, np.floating) and not np.issubdtype(values.dtype, np.integer):
        raise ResultError(f"{where}: expected numbers in {name}, got {values.dtype}")
    bad = ~np.isfinite(values.astype(np.float64)).all(1)
    if bad.any():
        raise ResultError(f"{where}: {int(bad.sum())} rows of {name} hold NaN or infinity, expected finite numbers")
    return values


def _check_probability(probability: np.ndarray, where: str) -> None:
    if not np.issubdtype(probability.dtype, np.floating) and not np.issubdtype(probability.dtype, np.integer):
        raise ResultError(f"{where}: expected numbers in probability, got {probability.dtype}")
    # NaN compares false, so it is out of the range.
    fine = (probability >= 0) & (probability <= 1 + _SUM)
    if not fine.all():
        raise ResultError(f"{where}: expected numbers in [0, 1] in probability, got {probability[~fine][0]:.6g}")


def _rows(columns: Columns, split: Split, where: str) -> np.ndarray:
    """Return (n,) the row of each image of the split."""
    count = len(next(iter(columns.values())))
    odd = {name: len(each) for name, each in columns.items() if len(each) != count}
    if odd:
        raise ResultError(f"{where}: expected columns of one length, got {count} and {odd}")
    if "key" not in columns:
        if count != split.n:
            raise ResultError(
                f"{where}: expected a column key, or a row for each of the {split.n} images in their order, "
                f"got {count} rows"
            )
        return np.arange(count)
    keys = [each.decode() if isinstance(each, bytes) else str(each) for each in columns["key"].tolist()]
    place: dict[str, int] = {}
    for row, key in enumerate(keys):
        if place.setdefault(key, row) != row:
            raise ResultError(f"{where}: {_count(len(keys) - len(set(keys)), 'key')} twice, first {key[:60]!r}")
    wanted = [str(key) for key in split.key]
    unknown, missing = set(keys) - set(wanted), [key for key in wanted if key not in place]
    if unknown:
        first = next(key for key in keys if key in unknown)
        raise ResultError(
            f"{where}: {_count(len(unknown), 'key')} unknown to {_name(split)}, first {first[:60]!r}: are --dataset, "
            "--config and --split those that were predicted?"
        )
    if missing:
        raise ResultError(
            f"{where}: {_count(len(missing), 'image')} of {_name(split)} without a prediction, first {missing[0]}: "
            f"expected one for each of the {split.n}"
        )
    return np.array([place[key] for key in wanted])


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _name(split: Split) -> str:
    facts = split.facts()
    return f"{facts.name}, config {facts.config}, split {facts.split}"


def _columns(given: Any, where: str) -> Columns:
    if isinstance(given, str | Path):
        return _file(Path(given))
    if isinstance(given, Mapping):
        columns = {str(name): _array(values, where) for name, values in given.items()}
    elif hasattr(given, "columns") and hasattr(given, "__getitem__"):
        columns = {str(name): _array(given[name], where) for name in given.columns}
    else:
        values = _array(given, where)
        columns = {_kind(values, where): values}
    if not columns:
        raise ResultError(f"{where}: {_FORMS}, got nothing")
    return columns


def _kind(values: np.ndarray, where: str) -> str:
    """Return which of `VALUES` an array alone is: probabilities are non-negative with rows of sum 1, logits are not."""
    if values.ndim not in (1, 2):
        raise ResultError(f"{where}: expected (n,), (n, 5) or (n, {len(classes())}) numbers, got {values.shape}")
    if np.issubdtype(values.dtype, np.integer) or values.ndim == 1 or values.shape[1] <= BEST:
        return "prediction"
    scaled = (values >= 0).all() and (np.abs(values.astype(np.float64).sum(1) - 1) <= _SUM).all()
    return "probability" if scaled else "logits"


def _array(values: Any, where: str) -> np.ndarray:
    try:
        if hasattr(values, "detach"):  # a tensor of torch
            values = values.detach().cpu()
        made = np.asarray(values)
        return np.stack([np.asarray(each) for each in made]) if made.dtype == object and _lists(made) else made
    except (TypeError, ValueError) as error:
        raise ResultError(f"{where}: expected rows of one length: {one_line(error)}") from None


def _lists(values: np.ndarray) -> bool:
    return len(values) > 0 and isinstance(values[0], list | tuple | np.ndarray)


def _matrix(columns: Columns, name: str, where: str) -> np.ndarray | None:
    """Return (n, k) the values of a column, or of its numbered columns in the order of their numbers; None: neither."""
    if name in columns:
        values = columns[name]
        if values.ndim not in (1, 2):
            raise ResultError(f"{where}: expected one or several numbers a row in {name}, got shape {values.shape}")
        return values.reshape(len(values), -1)
    numbered = {int(found[1]): each for each in columns if (found := re.fullmatch(rf"{name}_(\d{{1,4}})", each))}
    return np.stack([columns[numbered[each]] for each in sorted(numbered)], axis=1) if numbered else None


def _file(path: Path) -> Columns:
    if path.suffix not in SUFFIXES:
        raise ResultError(f"{path}: expected a file {', '.join(SUFFIXES)} of predictions")
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                columns = {name: file[name] for name in file.files}
        else:
            table = _csv(path) if path.suffix == ".csv" else pq.ParquetFile(path).read()
            columns = {name: _array(table[name].to_numpy(), str(path)) for name in table.column_names}
    except FileNotFoundError:
        raise ResultError(f"no predictions at {path}") from None
    except (pa.ArrowException, zipfile.BadZipFile, OSError, ValueError, EOFError) as error:
        raise ResultError(f"{path} cannot be read as predictions: {one_line(error)}") from None
    if not columns or not len(next(iter(columns.values()))):
        raise ResultError(f"{path}: {_FORMS}, got no rows")
    return columns


def _csv(path: Path) -> pa.Table:
    # A key of digits, or such as 12e4, is text.
    options = pyarrow.csv.ConvertOptions(column_types={"key": pa.string()})
    return pyarrow.csv.read_csv(path, convert_options=options)
