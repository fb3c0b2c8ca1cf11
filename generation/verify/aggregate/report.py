"""Verification report: a self-contained HTML file with plots; annotators are anonymised."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

from d3s_dataset.utils.pages import environment
from generation.verify.aggregate.rules import RULES
from generation.verify.aggregate.verdicts import Verdict, Verdicts
from generation.verify.aggregate.worker_quality import Limits, Quality
from generation.verify.prepare.questions import NAMES
from generation.verify.prepare.tasks import Tasks

_Z = 1.959964  # of a 95 % interval


def render(held: Tasks, found: Verdicts, people: dict[str, Quality], limits: Limits) -> str:
    """Render the report.

    Args:
        held: the tasks.
        found: the verdicts.
        people: anonymous name -> quality of this annotator.
        limits: exclusion thresholds.
    """
    verdicts = list(found.rows.values())
    return (
        environment([Path(__file__).parent], "verify")
        .get_template("report.html")
        .render(
            about=found.verification,
            name=f"{held.name} {held.release[:16]}",
            wanted=len(held.images),
            known=len(held.items) - len(held.images),
            verdict=_shares(verdicts),
            rules=RULES,
            backgrounds=_backgrounds(held, found),
            spread={question: _spread(verdicts, question) for question in NAMES},
            people=sorted(people.items(), key=lambda pair: -pair[1].answers),
            left_out=found.left_out,
            limits=limits.lines(),
        )
    )


def _shares(verdicts: list[Verdict]) -> dict[str, int]:
    counts = Counter(each.verified for each in verdicts)
    return {"verified": counts[True], "not verified": counts[False], "no verdict": counts[None]}


def _backgrounds(held: Tasks, found: Verdicts) -> list[dict[str, Any]]:
    """Return per background the share of verified images among those with a verdict, and its 95 % interval."""
    rows = []
    for label, name in enumerate(held.backgrounds):
        keys = [item.key for item in held.images if item.background == label and item.key in found.rows]
        verdicts = [found.rows[key].verified for key in keys if key is not None]
        decided = [verdict for verdict in verdicts if verdict is not None]
        if decided:
            share, (low, high) = sum(decided) / len(decided), _wilson(sum(decided), len(decided))
            rows.append({"name": name, "n": len(decided), "share": share, "low": low, "high": high})
    return rows


def _wilson(good: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share (Wilson, JASA 22, 1927)."""
    share, square = good / n, _Z**2
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = _Z * math.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def _spread(verdicts: list[Verdict], question: str) -> list[tuple[str, int, float]]:
    """Return the histogram of yes answers per image: label (`3 of 5`), images, and share of the largest bar."""
    counts = Counter((getattr(each, question), each.votes) for each in verdicts)
    most = max(counts.values(), default=1)
    return [(f"{yes} of {n}", count, count / most) for (yes, n), count in sorted(counts.items(), key=_by_people)]


def _by_people(pair: tuple[tuple[int, int], int]) -> tuple[int, int]:
    (yes, people), _ = pair
    return people, yes
