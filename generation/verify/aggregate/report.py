"""Verification report: a self-contained HTML file with plots and pictures, rounded once, in Python.

Colleagues are shown by name, crowd workers by pseudonym.
"""

import base64
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from d3s_dataset.manifest import Agreement
from d3s_dataset.utils.pages import environment
from generation.verify.aggregate.disagreements import Dispute
from generation.verify.aggregate.prediction_powered import wilson
from generation.verify.aggregate.rules import RULES
from generation.verify.aggregate.verdicts import Verdict, Verdicts
from generation.verify.aggregate.worker_quality import Limits, Quality
from generation.verify.prepare.questions import NAMES
from generation.verify.prepare.tasks import IMAGES, Tasks

_MOST = 12  # disputed images per question that are shown
_SIDE = 192  # pixels of a picture's longer side


@dataclass(frozen=True)
class Study:
    """All that a report shows.

    Attributes:
        folder: of the tasks, with their pictures.
        held: the tasks.
        found: the verdicts.
        people: pseudonym -> quality of this annotator.
        shown: pseudonym -> the name to show.
        limits: exclusion thresholds.
        disputed: question -> images on which annotators disagree, the most evenly split first.
    """

    folder: Path
    held: Tasks
    found: Verdicts
    people: Mapping[str, Quality]
    shown: Mapping[str, str]
    limits: Limits
    disputed: Mapping[str, list[Dispute]]


def render(study: Study) -> str:
    """Render the report.

    Raises:
        OSError: a picture of the tasks is missing, or none.
    """
    held, found = study.held, study.found
    verdicts = list(found.rows.values())
    return (
        environment([Path(__file__).parent], "verify")
        .get_template("report.html")
        .render(
            about=found.verification,
            rounds=found.rounds.lines() if found.rounds else [],
            name=f"{held.name} {held.release[:16]}",
            wanted=len(held.images),
            known=len(held.items) - len(held.images),
            lead=_lead(verdicts),
            verdict=_shares(verdicts),
            rules=RULES,
            backgrounds=_backgrounds(held, found),
            spread={question: _spread(verdicts, question) for question in NAMES},
            agreement={name: _alpha(each) for name, each in found.verification.agreement.items()},
            people=_people(study),
            limits=study.limits.lines(),
            disputed={name: [_picture(study.folder, each) for each in given[:_MOST]]
                      for name, given in study.disputed.items()},
            split={name: len(given) for name, given in study.disputed.items()},
        )
    )  # fmt: skip


def _lead(verdicts: list[Verdict]) -> str:
    """Return the headline sentence: the share of verified images among those with a verdict, with its interval."""
    decided = [each.verified for each in verdicts if each.verified is not None]
    if not decided:
        return "No image has a verdict yet: the rule needs more votes per image."
    good, n = sum(decided), len(decided)
    low, high = map(float, wilson(good / n, n))
    return (
        f"{_percent(good / n)} % of the images with a verdict are verified "
        f"({good} of {n}; 95 % interval {_percent(low)} to {_percent(high)})."
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _alpha(each: Agreement) -> tuple[str, str]:
    """Return alpha and its interval as text."""
    if each.alpha is None:
        return "not defined", "fewer than two answers per image, or all the same"
    return f"{each.alpha:.3f}", "-" if each.low is None or each.high is None else f"{each.low:.3f} to {each.high:.3f}"


def _people(study: Study) -> list[dict[str, Any]]:
    """Return the annotators' rows, the excluded first, then by answers."""
    rows = []
    for name, each in study.people.items():
        why = [study.found.left_out[name]] if name in study.found.left_out else []
        why += [flag for flag in each.flags(study.limits) if flag not in why]
        rows.append(
            {
                "name": study.shown[name],
                "answers": each.answers,
                "gold": f"{each.known_right} of {each.known}" if each.known else "none asked",
                "agreement": "-" if each.agreement is None else f"{_percent(each.agreement)} %",
                "seconds": "-" if each.seconds is None else f"{each.seconds:.1f}",
                "why": "; ".join(why),
                "out": name in study.found.left_out,
                "at": None if each.gold is None or each.agreement is None else (each.agreement, each.gold),
            }
        )
    return sorted(rows, key=lambda row: (not row["out"], -row["answers"], row["name"]))


def _picture(folder: Path, each: Dispute) -> dict[str, Any]:
    """Return a disputed image as the page shows it: question, answers, picture and guide as `data:` addresses."""
    names = [name for name in (each.item.image, each.item.guide) if name]
    answers: dict[str, list[str]] = {}
    for person, answer in each.given:
        answers.setdefault(answer, []).append(person)
    pictures = [_embedded(folder / IMAGES / name) for name in names]
    return {"ask": each.ask, "alt": f"{each.object}, {each.background}", "answers": answers, "pictures": pictures}


def _embedded(path: Path) -> str:
    buffer = io.BytesIO()
    with Image.open(path) as image:
        small = image.convert("RGB")
        small.thumbnail((_SIDE, _SIDE))
        small.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


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
            share = sum(decided) / len(decided)
            low, high = map(float, wilson(share, len(decided)))
            rows.append({"name": name, "n": len(decided), "share": share, "low": low, "high": high,
                         "text": f"{_percent(share)} %"})  # fmt: skip
    return rows


def _spread(verdicts: list[Verdict], question: str) -> list[tuple[str, int, float]]:
    """Return the histogram of yes answers per image: label (`3 of 5`), images, and share of the largest bar."""
    counts = Counter((getattr(each, question), each.votes) for each in verdicts)
    most = max(counts.values(), default=1)
    return [(f"{yes} of {n}", count, count / most) for (yes, n), count in sorted(counts.items(), key=_by_people)]


def _by_people(pair: tuple[tuple[int, int], int]) -> tuple[int, int]:
    (yes, people), _ = pair
    return people, yes
