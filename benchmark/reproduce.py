"""Run the weights that a submission names on some of its images, and compare: `benchmark.leaderboard --reproduce ID`.

The rows are drawn now, after the answers were sent: whoever sent them cannot know which will be looked at. Nothing
comes from the cache, and no code that a submission names is run. Loads torch.
"""

import re
import secrets
import time
from pathlib import Path

import numpy as np

from benchmark.board import REPRODUCED
from benchmark.board.intake import digest_or_none
from benchmark.board.standing import Record
from benchmark.cache import Options
from benchmark.data import Rows, open_split
from benchmark.job import Subject, answers
from benchmark.predictions import Predictions
from benchmark.submission import FOLDER, Submission, check
from benchmark.submission.truth import Rules, truth_of
from d3s_dataset.atomic import write_atomic
from d3s_dataset.errors import ModelError, ResultError
from d3s_dataset.manifest import to_json

_WEIGHTS = re.compile(r"(hf-hub|transformers|zero-shot|local-dir):.+|[\w.-]+")  # not MODULE:FUNCTION, a stranger's code
ENOUGH = 0.99  # share of images with the same best class: fp32 on two machines differs on fewer than one in a hundred


def reproduce(
    root: Path, name: str, rules: Rules, dataset: str, rows: int, checkpoint: Path | None, devices: str | None
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

    Returns:
        The line that says how many answers are the same.

    Raises:
        ResultError: no such submission, or one that is refused.
        ModelError: the weights cannot be had, or are others than named.
    """
    folder = next((each for each in (root / FOLDER).glob("*") if each.name == name), None)
    content = digest_or_none(folder, rules.n) if folder else None
    if folder is None or content is None:
        raise ResultError(f"no submission {name!r} in {root / FOLDER}: expected the name of a folder there")
    found = check(folder, rules, truth_of(dataset, rules))
    subject = _subject(found, checkpoint, devices)
    split, seed = open_split(dataset, rules.config, rules.split), secrets.randbits(63)
    chosen = np.sort(np.random.default_rng(seed).permutation(split.n)[:rows])
    source = Rows(split, chosen)
    said, finished = answers(subject, source, Options("fp32", devices=devices), time.monotonic())
    same = int((said.prediction[:, 0] == _sent(found.predictions, source.key)).sum())
    passed = same >= ENOUGH * source.n
    record = Record(id=name, content=content, seed=seed, rows=source.n, same=same, passed=passed,
                    device=finished.environment["device"])  # fmt: skip
    write_atomic(root / REPRODUCED / f"{name}.json", to_json(record))
    verdict = "reproduced" if passed else "not reproduced: the weights named say something else than what was sent"
    return f"{name}: {same} of {source.n} answers are the same; {verdict}"


def _subject(found: Submission, checkpoint: Path | None, devices: str | None) -> Subject:
    """Return the model named, after its weights were compared with those named."""
    model = found.result.model
    if not _WEIGHTS.fullmatch(model.name):
        raise ModelError(f"{found.id} names {model.name}: expected weights on the Hub or in a folder, not code")
    if model.checkpoint and checkpoint is None:
        raise ModelError(f"{found.id} was made with the weights in {model.checkpoint}: pass it as --checkpoint FILE")
    subject = Subject(model.name, checkpoint, model.kwargs, devices=devices)
    if subject.facts.digest != model.digest:
        got = subject.facts.digest[:8]
        raise ModelError(f"the weights of {model.name} are others (digest {got}) than named ({model.digest[:8]})")
    return subject


def _sent(predictions: Predictions, keys: np.ndarray) -> np.ndarray:
    """Return the best class that was sent for each of some images, (n,)."""
    names = predictions.key.astype(str)
    order = np.argsort(names)
    return predictions.prediction[order[np.searchsorted(names[order], keys.astype(str))], 0]
