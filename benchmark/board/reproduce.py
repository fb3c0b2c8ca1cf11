"""Run the weights that a submission names on some of its images, and compare: `benchmark.leaderboard --reproduce ID`.

The rows are drawn now, after the predictions were sent, so that no submitter can predict which are checked. Nothing
comes from the cache, and no code that a submission names is run. A model from a stranger's config is loaded in
a process of its own, with bounds on memory and time. Loads torch, in that process alone.
"""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmark.board.intake import digest_or_none
from benchmark.board.ranking import REPRODUCED, read_records
from benchmark.board.rules import Rules, truth_of
from benchmark.board.safe_read import bounded_memory
from benchmark.board.schema import Record
from benchmark.board.submission import FOLDER
from benchmark.board.validation import check
from benchmark.board.workers import Lost, alone
from benchmark.cache.cache import Options
from benchmark.data.split import Rows, open_split
from benchmark.inference.evaluate import Subject, answers
from benchmark.models.registry import name_from_data
from benchmark.schemas.predictions import Predictions, take
from benchmark.schemas.result import Model
from d3s_dataset.errors import ModelError, ResultError
from d3s_dataset.manifest import to_json
from d3s_dataset.utils.atomic import write_atomic

ARGUMENTS = ("pad_type", "img_size", "templates")  # what changes how weights are used, not how large a network is
_LARGEST_SIDE = 1024  # pixels of img_size
_LOAD_BYTES = 16 << 30  # 4 billion weights in fp32
TOLERANCE = 0.05  # of log probabilities and losses, in nats; fp32 on two machines differs by about 0.001
_LEAST = 1e-6  # probabilities below are equal: float32 keeps little of them
_SECONDS, _SECONDS_PER_ROW = 3600.0, 60.0  # for loading, download included; and for each image


@dataclass(frozen=True)
class _Run:
    """Arguments of the other process: a model, and the images to run it on."""

    name: str
    checkpoint: Path | None
    model: Model
    dataset: str
    rules: Rules
    chosen: np.ndarray
    devices: Sequence[str] | None


def reproduce(
    root: Path,
    name: str,
    rules: Rules,
    dataset: str,
    rows: int,
    checkpoint: Path | None = None,
    devices: Sequence[str] | None = None,
    typed: str | None = None,
) -> str:
    """Run a submission's model again and write the record of it.

    Args:
        root: the board's folder.
        name: the submission's id.
        rules: which images the board is about.
        dataset: where they lie.
        rows: how many images, drawn at random; all where there are fewer.
        checkpoint: the file of weights, if the result was made with one.
        devices: see `benchmark.run`.
        typed: where the owner has the weights, in place of the name in the submission, such as `local-dir:FOLDER`.

    Returns:
        The line with the number of images on which both runs agree.

    Raises:
        ResultError: no such submission, or one that is refused.
        ModelError: the weights cannot be loaded, or are others than named, or loading them leaves the bounds.
    """
    folder = next((each for each in (root / FOLDER).glob("*") if each.name == name), None)
    content = digest_or_none(folder, rules.n) if folder else None
    if folder is None or content is None:
        raise ResultError(f"no submission {name!r} in {root / FOLDER}: expected the name of a folder there")
    records = read_records(root)
    found = check(folder, rules, truth_of(dataset, rules))
    model = found.result.model
    source = typed or name_from_data(model.name, f"{name}, result.json,")
    _check_arguments(model, checkpoint, name)
    split, seed = open_split(dataset, rules.config, rules.split), secrets.randbits(63)
    chosen = np.sort(np.random.default_rng(seed).permutation(split.n)[:rows])
    asked = _Run(source, checkpoint, model, dataset, rules, chosen, devices)
    outcome = alone(_run, asked, _SECONDS + _SECONDS_PER_ROW * len(chosen))
    if isinstance(outcome, Lost):
        raise ModelError(f"{source}, run again for {name}, {outcome.reason}")
    said, device = outcome
    sent = _sent(found.predictions, split.key[chosen])
    same = int(agree(sent, replace(sent, **said)).sum())
    made = {"rows": len(chosen), "same": same, "passed": same == len(chosen), "tolerance": TOLERANCE}
    record = Record(id=name, content=content, seed=seed, device=device, sequence=_sequence(name, content, records),
                    **made)  # fmt: skip
    write_atomic(root / REPRODUCED / f"{name}.json", to_json(record))
    verdict = (
        "reproduced" if record.sound else "not reproduced: the weights named give other predictions than those sent"
    )
    return f"{name}: {same} of {len(chosen)} images agree; {verdict}"


def _sequence(name: str, content: str, records: dict[str, Record]) -> int:
    """Return the place in the order in which submissions were reproduced first: kept where it is run once more."""
    known = records.get(name)
    if known and known.content == content and known.sound:
        return known.sequence
    return max((each.sequence for each in records.values()), default=0) + 1


def _check_arguments(model: Model, checkpoint: Path | None, name: str) -> None:
    if model.checkpoint and checkpoint is None:
        raise ModelError(f"{name} was made with the weights in {model.checkpoint}: pass it as --checkpoint FILE")
    for key, value in model.kwargs.items():
        sides = value if isinstance(value, list) else [value]
        if key not in ARGUMENTS:
            raise ModelError(f"{name} sets the model's argument {key}: a board runs {', '.join(ARGUMENTS)} only")
        if key == "img_size" and not all(isinstance(each, int) and 0 < each <= _LARGEST_SIDE for each in sides):
            raise ModelError(f"{name} sets img_size {value}: expected at most {_LARGEST_SIDE} pixels")


def _run(asked: _Run) -> tuple[dict[str, np.ndarray], str]:
    """Return the columns of predictions, and the device; in another process."""
    subject = Subject(asked.name, asked.checkpoint, asked.model.kwargs, devices=asked.devices)
    import torch  # noqa: F401 - its own memory is not the model's

    with bounded_memory(_LOAD_BYTES):
        facts = subject.facts
    if facts.digest != asked.model.digest:
        got = facts.digest[:8]
        raise ModelError(f"the weights of {asked.name} are others (digest {got}) than named ({asked.model.digest[:8]})")
    if asked.name == asked.model.name and facts.tag != asked.model.tag:
        raise ModelError(f"the weights of {asked.name} have the tag {facts.tag}, the submission has {asked.model.tag}")
    split = open_split(asked.dataset, asked.rules.config, asked.rules.split)
    options = Options("fp32", devices=asked.devices)
    said, finished = answers(subject, Rows(split, asked.chosen), options, time.monotonic())
    return vars(said), finished.environment["device"]


def _sent(predictions: Predictions, keys: np.ndarray) -> Predictions:
    """Return what was sent for some images, in their order."""
    names = predictions.key.astype(str)
    order = np.argsort(names)
    return take(predictions, order[np.searchsorted(names[order], keys.astype(str))])


def agree(sent: Predictions, again: Predictions) -> np.ndarray:
    """Return for each image whether both runs agree, (n,) bool.

    Sorted probabilities and losses lie within the tolerance. Classes are the same place by place, but where the second
    run gives both a probability within the tolerance: equal ones come in any order, and the fifth may be the sixth.

    Args:
        sent: what was sent, (n,) images.
        again: the same images, run again.
    """
    (one, loss), (two, loss_again) = (_outputs(each) for each in (sent, again))
    one, two = _log(one), _log(two)
    near = (np.abs(one - two) <= TOLERANCE).all(1)
    near &= np.abs(loss.astype(np.float64) - loss_again) <= TOLERANCE + 0.01 * loss_again
    return near & _same_classes(sent, again, two)


def _outputs(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Return the probabilities and losses of predictions that have both."""
    if predictions.probability is None or predictions.loss is None:
        raise ResultError("predictions made elsewhere hold no probabilities and losses that could be compared")
    return predictions.probability, predictions.loss


def _same_classes(sent: Predictions, again: Predictions, log: np.ndarray) -> np.ndarray:
    """Return whether each image has the same classes place by place, but for ties of the second run, (n,)."""
    # (n, sent place, place when run again)
    where = sent.prediction[:, :, None] == again.prediction[:, None, :]
    listed = where.any(2)
    # What the second run gives a class that was sent; one beyond its five has at most the fifth's.
    given = np.where(listed, (log[:, None, :] * where).sum(2), log[:, -1:])
    truth = sent.prediction == again.foreground[:, None]
    given = np.where(truth & ~listed, np.maximum(-_outputs(again)[1], np.log(_LEAST))[:, None], given)
    return np.asarray((np.abs(given - log) <= TOLERANCE).all(1))


def _log(probability: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probability.astype(np.float64), _LEAST))
