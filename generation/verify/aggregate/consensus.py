"""Label aggregation: majority vote with an explicit rule for ties, and Dawid-Skene from crowd-kit.

Answers are (worker, task, label). A worker's later answer to the same task replaces the earlier one; empty labels are
ignored.
"""

import math
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from d3s_dataset.errors import VerifyError
from d3s_dataset.utils.extras import late

Answers = Mapping[tuple[str, str], str]  # (worker, task) -> label
METHODS = ("majority", "dawid-skene")
_ROUNDS = 50  # of EM


@dataclass(frozen=True)
class Label:
    """Aggregated label of a task, empty for an undecided tie, and its probability."""

    label: str
    probability: float


def collect(answers: Iterable[tuple[str, str, str]]) -> tuple[dict[tuple[str, str], str], int, int]:
    """Return the answers that count, the number replaced by a later one, and the number of empty ones."""
    found: dict[tuple[str, str], str] = {}
    repeated = empty = 0
    for worker, task, label in answers:
        if not label:
            empty += 1
            continue
        repeated += (worker, task) in found
        found[worker, task] = label
    return found, repeated, empty


def majority(answers: Answers, ties: str | None = None) -> dict[str, Label]:
    """Return the most frequent label per task and its share of the answers.

    Args:
        answers: as `collect` returns them.
        ties: the label that wins where it is among the most frequent; None leaves a tie undecided.
    """
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for (_, task), label in answers.items():
        counts[task][label] += 1
    return {task: _most(counts[task], ties) for task in sorted(counts)}


def _most(counts: Counter[str], ties: str | None) -> Label:
    most = max(counts.values())
    best = [label for label, count in counts.items() if count == most]
    chosen = best[0] if len(best) == 1 else ties if ties in best else ""
    return Label(chosen or "", most / counts.total())


def dawid_skene(answers: Answers) -> dict[str, dict[str, float]]:
    """Return the label probabilities per task by Dawid and Skene (Applied Statistics 28, 1979), from crowd-kit.

    Every worker has a confusion matrix; EM is initialised with the vote shares. Needs the extra `verify`.
    """
    if not answers:
        return {}
    pandas, crowdkit = (late(each, "verify") for each in ("pandas", "crowdkit.aggregation"))
    columns = [(worker, task, label) for (worker, task), label in sorted(answers.items())]
    frame = pandas.DataFrame(columns, columns=["worker", "task", "label"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # crowd-kit's own use of pandas
        # crowd-kit's stopping rule ended after 3 rounds on 5,000 real votes, with labels other than the fixed point's.
        found = crowdkit.DawidSkene(n_iter=_ROUNDS, tol=-math.inf).fit_predict_proba(frame)
    return {str(task): {str(label): float(p) for label, p in row.items()} for task, row in found.iterrows()}


def label(answers: Answers, method: str, ties: str | None = None) -> dict[str, Label]:
    """Return the label per task by one of `METHODS`.

    Raises:
        VerifyError: `ties` with a method without ties.
    """
    if method == "majority":
        return majority(answers, ties)
    if ties is not None:
        raise VerifyError(f"--ties goes with majority, not with {method}")
    found = {}
    for task, shares in dawid_skene(answers).items():
        best = max(sorted(shares), key=lambda name: shares[name])
        found[task] = Label(best, shares[best])
    return found
