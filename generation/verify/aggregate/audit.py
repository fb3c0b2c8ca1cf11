"""Audit of a release: the share of right images, overall and per background, from verdicts on a random sample.

The screens of all rows narrow the interval where they predict the verdicts; the plain interval is reported with it.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from d3s_dataset.errors import VerifyError
from generation.verify.aggregate import screens
from generation.verify.aggregate import verdicts as results
from generation.verify.aggregate.prediction_powered import Estimate, Interval, estimates, wilson
from generation.verify.prepare import tasks as files
from generation.verify.prepare.images import SPLIT, open_release
from generation.verify.prepare.sampling import Candidate

ALL = "all"
_SHARES, _CORRELATIONS = (0.6, 0.8, 0.9, 0.97), (0.0, 0.5, 0.7)


@dataclass(frozen=True)
class Audit:
    """Result of an audit.

    Attributes:
        name: of the release.
        drawn: how the images were sampled.
        rule: when an image is right.
        votes: mean number of annotators per image.
        screens: names of the columns that predict the verdicts; empty where the interval is the plain one.
        notes: what was left out and why, one line each.
        rows: `all`, then every background, with its estimate; None for one without a verdict.
    """

    name: str
    drawn: str
    rule: str
    votes: float
    screens: list[str]
    notes: list[str]
    rows: dict[str, Estimate | None]

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the values of every row as JSON has them."""
        for name, each in self.rows.items():
            about = {"audit": self.name, "group": name, "drawn": self.drawn, "rule": self.rule}
            if each is None:
                yield {**about, "verdicts": 0}
                continue
            numbers = {"images": each.images, "verdicts": each.voted, "votes_per_image": round(self.votes, 4)}
            intervals = {"estimate": _plain_json(each.powered), "plain": _plain_json(each.plain)}
            saved = {"lambda": each.lam, "images_saved": each.saved, "votes_saved": each.saved * self.votes}
            yield {**about, **numbers, **intervals, **saved, "screens": self.screens, "notes": self.notes}

    def lines(self) -> Iterator[str]:
        """Yield the audit as text."""
        whole = self.rows[ALL]
        assert whole is not None
        yield (
            f"audit of {self.name}: {whole.voted:,} of {whole.images:,} {SPLIT} images have a verdict ({self.drawn}; "
            f"{self.votes:.1f} votes per image)"
        )
        yield f"right: {self.rule}"
        yield f"predicted from: {', '.join(self.screens) or 'nothing, so the interval is the plain one'}"
        yield from (f"note: {each}" for each in self.notes)
        yield _row("", "images", "verdicts", "right %", "95 % interval", "plain interval", "votes saved")
        for name, each in self.rows.items():
            if each is None:
                yield _row(name, "", "0", "", "", "", "")
                continue
            shown = (f"{each.images:,}", f"{each.voted:,}", f"{100 * each.powered.share:.1f}")
            yield _row(name, *shown, *map(_range, (each.powered, each.plain)), f"{each.saved * self.votes:,.0f}")
        yield "plain interval: from the verdicts alone; votes saved: what it needs in addition to be as narrow"


def audit(release: Path, folder: Path, database: str | None = None) -> Audit:
    """Return the audit of a release by the verdicts of a tasks folder; `database` as in `votes.store.Store`.

    Raises:
        VerifyError: tasks of another release, no verdicts, or votes newer than them.
        ReleaseError: the release cannot be read.
    """
    origin, rows, _ = open_release(release)
    held, found = files.read(folder), results.read(folder)
    files.check_release(folder, held, release, origin.manifest.digest)
    results.current_votes(folder, found, database)
    place = {row.key: number for number, row in enumerate(rows)}
    verdicts = {item.key: found.rows.get(item.key) for item in held.images if item.key is not None}
    known = {key: each for key, each in verdicts.items() if each is not None and each.verified is not None}
    if not known:
        raise VerifyError(f"{folder} has no image with a verdict: expected votes on the images that were drawn")
    right = np.array([float(bool(each.verified)) for each in known.values()])
    drawn = np.array([place[key] for key in known])
    columns, notes = screens.read(release, origin.manifest, SPLIT, [row.key for row in rows])
    notes = [f"not used: {each}" for each in notes]
    predicted = screens.predictions(columns, drawn, right)
    if columns and predicted is None:
        notes.append("nearly all verdicts are the same, so that no screen can predict them")
    if undecided := len(verdicts) - len(known):
        notes.append(_undecided(undecided, right))
    whole, each = np.zeros(len(rows), int), np.array([row.background for row in rows])
    names = origin.manifest.backgrounds
    found_rows = estimates(right, drawn, whole, 1, predicted) + estimates(right, drawn, each, len(names), predicted)
    return Audit(
        name=held.name,
        drawn=held.drawn,
        rule=found.verification.rule_text,
        votes=float(np.mean([each.votes for each in known.values()])),
        screens=list(columns) if predicted else [],
        notes=notes,
        rows=dict(zip((ALL, *names), found_rows, strict=True)),
    )


def _undecided(count: int, right: np.ndarray) -> str:
    total, good = count + len(right), right.sum()
    return (
        f"{count:,} of {total:,} images drawn have no verdict and are left out; with them the sample's share is "
        f"{100 * good / total:.1f} % if none is right, {100 * (good + count) / total:.1f} % if all are"
    )


@dataclass(frozen=True)
class Plan:
    """Expected precision of an audit: half widths of 95 % intervals by share and correlation of the screens."""

    name: str
    rows: list[Candidate]
    images: int
    backgrounds: int
    screens: list[str]

    def half(self, share: float, correlation: float, parts: int = 1) -> float:
        """Return half the expected width: of the whole, or of one of `parts` equal parts of the release."""
        n, total = self.images / parts, len(self.rows) / parts
        left = (1 - n / total) * (1 - correlation**2)
        low, high = wilson(np.array([share]), np.array([n / left if left else np.inf]))
        return float(high[0] - low[0]) / 2

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the half widths as JSON has them."""
        for share in _SHARES:
            for correlation in _CORRELATIONS:
                halves = {"all": self.half(share, correlation)}
                halves["background"] = self.half(share, correlation, self.backgrounds)
                yield {"audit": self.name, "images": self.images, "share": share, "correlation": correlation, **halves}

    def lines(self) -> Iterator[str]:
        """Yield the plan as text."""
        yield f"plan of an audit of {self.name}: {self.images:,} of {len(self.rows):,} {SPLIT} images, drawn at random"
        yield f"screens in it: {', '.join(self.screens) or 'none, so the intervals will be the plain ones'}"
        yield "half width of the 95 % interval in points, of all images / per background, by correlation of the screens"
        columns = ["plain", *(f"correlation {each}" for each in _CORRELATIONS[1:])]
        yield f"  {'share right':<12}" + "".join(f"{each:>18}" for each in columns)
        for share in _SHARES:
            cells = [[self.half(share, each, parts) for parts in (1, self.backgrounds)] for each in _CORRELATIONS]
            yield f"  {share:<12}" + "".join(f"{100 * a:>11.1f} / {100 * b:<4.1f}" for a, b in cells)


def plan(release: Path, images: int) -> Plan:
    """Return the plan of an audit.

    Raises:
        VerifyError: more images than the release has, or a release that cannot be verified.
        ReleaseError: the release cannot be read.
    """
    origin, rows, _ = open_release(release)
    if images > len(rows):
        raise VerifyError(f"--images: expected at most the {len(rows):,} {SPLIT} images of {release}, got {images:,}")
    columns, _ = screens.read(release, origin.manifest, SPLIT, [row.key for row in rows])
    return Plan(origin.manifest.name, rows, images, len(origin.manifest.backgrounds), list(columns))


def _plain_json(interval: Interval) -> dict[str, float | None]:
    """Return an interval's values; infinity is null, since JSON has none."""
    return {name: value if np.isfinite(value) else None for name, value in asdict(interval).items()}


def _range(interval: Interval) -> str:
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"


def _row(name: str, *cells: str) -> str:
    return f"  {name:<12}" + "".join(f"{each:>{width}}" for each, width in zip(cells, (8, 10, 9, 16, 16, 13)))  # noqa: B905
