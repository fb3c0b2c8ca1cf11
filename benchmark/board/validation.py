"""Checks of a submission, identical for the submitter and the board: everything shown is recomputed.

A submission comes from a stranger. Every read is bounded before it is made: bytes by the file system, rows and
uncompressed bytes by the Parquet footer, strings by their dictionaries, memory by the operating system. Nothing is
unpacked or unpickled, and no name of the submission becomes a path.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import BaseModel, ValidationError

from benchmark.board.names import check_arguments, check_names
from benchmark.board.rules import Rules, Truth
from benchmark.board.safe_read import bounded_memory, check_footer, most_bytes
from benchmark.board.submission import DESCRIPTION, FILES, PREDICTIONS, RESULT, Description, Submission, id_of
from benchmark.metrics.compute import result_of
from benchmark.schemas import predictions as predictions_
from benchmark.schemas import result as results
from benchmark.schemas.metrics import Number
from benchmark.schemas.predictions import FACTORS, Predictions, replaced
from benchmark.schemas.versions import Upgrade, Versioned
from d3s_dataset.errors import ResultError, one_line
from d3s_dataset.identity import digest, file_digest

SMALL = 1 << 24  # bytes of a JSON file; a result of all 1000 classes has 300,000
_TOLERANCE = 1e-6  # how far a number recomputed elsewhere may lie from the one that was sent
_SUM = 1e-4  # how far float32 sums of probabilities may exceed 1
_NATS = 1e-3  # how far a float32 loss may lie from the logarithm of a float32 probability, plus that share of it
_SMALLEST = 1e-30  # probabilities below lose float32's precision; their logarithm is not compared


class _Group(BaseModel):
    """The numbers of a group that are compared: counts of correct predictions, whatever else a version computes."""

    n: int
    top1: Number
    top5: Number


class _Compared(_Group):
    by_background: dict[str, _Group]


class _Sent(results.Provenance, Versioned):
    """Fields read from a submitted result; metrics that are not compared may be missing, new or of another method.

    A board shows recomputed numbers alone, so a result of an older version is as good as its predictions.
    """

    VERSION: ClassVar[int] = results.Result.VERSION
    UPGRADES: ClassVar[Mapping[int, Upgrade]] = results.Result.UPGRADES

    metrics: _Compared
    drop: Any = None


def content_of(folder: Path, rows: int) -> str:
    """Return the digest of a submission's files.

    Args:
        folder: of the three files.
        rows: how many images the board has, which bounds what is read.

    Raises:
        ResultError: other files than a submission's, or larger ones.
    """
    _check_files(folder, rows)
    return digest([[name, file_digest(folder / name)] for name in FILES])


def check(folder: Path, rules: Rules, truth: Truth) -> Submission:
    """Read a submission and recompute everything that a board shows of it.

    Args:
        folder: of the three files.
        rules: what the board takes.
        truth: the labels of its images.

    Raises:
        ResultError: why it is refused.
    """
    _check_files(folder, len(truth))
    description = _description(folder / DESCRIPTION)
    sent = results.parse(_Sent, results.content_of(folder / RESULT), RESULT)
    _check_facts(sent, rules)
    # Older results do not hold the digest of their release.
    claimed = sent.dataset.model_copy(update={"release": sent.dataset.release or truth.facts.release})
    for said in _differences(_about(claimed), _about(truth.facts), "dataset"):
        raise ResultError(f"{RESULT} says otherwise than the release: {said}")
    if folder.name != id_of(sent):
        raise ResultError(f"expected its folder to be named {id_of(sent)}")
    predictions = _predictions(folder / PREDICTIONS, truth)
    if not predictions.whole and not sent.model.elsewhere:
        raise ResultError(f"{PREDICTIONS} lacks what benchmark.run writes: five classes, their probabilities, the loss")
    made = result_of(predictions, PREDICTIONS, fine=False)
    for said in _differences(_told(sent), _told(_Sent.model_validate(made.model_dump(mode="json")))):
        raise ResultError(f"{RESULT} says otherwise than {PREDICTIONS}: {said}")
    return Submission(folder.name, made, predictions, description)


def _predictions(path: Path, truth: Truth) -> Predictions:
    with bounded_memory():
        check_footer(path, len(truth))
        try:
            predictions = predictions_.read(path)
        except (MemoryError, KeyError) as error:
            raise ResultError(f"{path.name} cannot be read within bounds: {one_line(error)}") from None
    truth.check(predictions)
    check_rows(predictions)
    return replaced(predictions, **dict.fromkeys(FACTORS.names))  # a board shows nothing of them, and checks nothing


def _check_files(folder: Path, rows: int) -> None:
    if not stat.S_ISDIR(folder.lstat().st_mode):
        raise ResultError("expected a folder, got a file or a link")
    found = {each.name: each.stat(follow_symlinks=False) for each in os.scandir(folder)}
    if set(found) != set(FILES):
        odd = sorted(set(found) ^ set(FILES))[0]
        raise ResultError(f"expected {', '.join(FILES)} and nothing else: {odd!r} is {_there(odd in found)}")
    for name, facts in found.items():
        if not stat.S_ISREG(facts.st_mode):
            raise ResultError(f"{name} is a link or no file")
        most = most_bytes(rows) if name == PREDICTIONS else SMALL
        if facts.st_size > most:
            raise ResultError(f"{name} has {facts.st_size:,} bytes, expected at most {most:,}")


def _there(there: bool) -> str:
    return "too many" if there else "missing"


def _description(path: Path) -> Description:
    try:
        return Description.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ResultError(f"{path.name}: {results.first_wrong(error)}") from None


def _check_facts(sent: _Sent, rules: Rules) -> None:
    """Raise ResultError where a result is not on the board's images, not in fp32, or has names that are no names.

    How predictions made elsewhere were computed is unknown; nothing can reproduce them, so they are never ranked.
    """
    rules.check(sent.dataset)
    if sent.model.precision != "fp32" and not sent.model.elsewhere:
        raise ResultError(f"expected a result in fp32, got {sent.model.precision}: run it with --precision fp32")
    check_names(sent.model)
    check_arguments(sent.model.kwargs)


def _about(facts: results.Dataset) -> dict[str, Any]:
    return facts.model_dump(mode="json", exclude={"revision"})  # a folder has none


def _told(result: _Sent) -> dict[str, Any]:
    return result.model_dump(mode="json", exclude={"drop"})


def _differences(sent: Any, made: Any, where: str = "") -> Iterator[str]:
    """Yield the places where two JSON values differ by more than rounding, with both values."""
    if isinstance(sent, dict) and isinstance(made, dict):
        for name in sorted(set(sent) | set(made)):
            yield from _differences(sent.get(name), made.get(name), f"{where}.{name}".strip("."))
    elif isinstance(sent, list | tuple) and isinstance(made, list | tuple) and len(sent) == len(made):
        for index, pair in enumerate(zip(sent, made, strict=True)):
            yield from _differences(*pair, f"{where}[{index}]")
    elif not _equal(sent, made):
        yield f"{where} is {str(sent)[:80]}, recomputed {str(made)[:80]}"


def _equal(sent: Any, made: Any) -> bool:
    if isinstance(sent, float) and isinstance(made, float):
        return abs(sent - made) <= _TOLERANCE * max(1.0, abs(made))
    return type(sent) is type(made) and sent == made


def check_rows(predictions: Predictions) -> None:
    """Raise ResultError if a row's probabilities and loss are not of one distribution over all classes.

    Predictions made elsewhere may lack them, and have nothing to check.

    The five probabilities sum to 1 at most. Where the label is among the five, the loss is minus the logarithm of its
    probability; where it is not, the loss is no lower than the fifth's. `squares` hold those of the five, at least.
    """
    if predictions.probability is None or predictions.loss is None:
        return
    probability = predictions.probability.astype(np.float64)
    loss, truth = predictions.loss.astype(np.float64), predictions.prediction == predictions.foreground[:, None]
    listed = truth.any(1)
    own = np.where(listed, (probability * truth).sum(1), probability[:, -1])
    expected = -np.log(np.maximum(own, _SMALLEST))
    slack = _NATS * (1 + expected)
    comparable = own > _SMALLEST
    total = probability.sum(1)
    checks = {
        "its five probabilities sum to more than 1": total > 1 + _SUM,
        "its loss is not minus the logarithm of the label's probability":
            listed & comparable & (np.abs(loss - expected) > slack),
        "its loss is lower than the fifth class leaves room for": ~listed & (loss < expected - slack),
        "its loss leaves the label more than the five classes leave over":
            ~listed & (np.exp(-loss) > np.maximum(1 - total, 0) + _SUM),
    }  # fmt: skip
    if predictions.squares is not None:
        checks["its sum of squared probabilities is less than that of the five"] = (
            predictions.squares < (probability**2).sum(1) - _SUM
        )
    for text, wrong in checks.items():
        if wrong.any():
            raise ResultError(f"image {predictions.key[int(wrong.argmax())]}: {text}")
