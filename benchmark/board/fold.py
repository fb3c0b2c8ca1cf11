"""Submissions -> a board: every number recomputed, what does not agree refused with its reason, the rest ranked.

Only what the owner has run again (`reproduced`) is ranked: labels are public, and a file of them recomputes perfectly.
Sections (what was seen beyond ImageNet) are never mixed. A model shares the tier of the best one that it does not
differ from by the paired test. What this machine computed of the same bytes before is not computed again (`reuse`).
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np

from benchmark.board.intake import digest_or_none, measured, shown_id
from benchmark.board.ranking import placed, read_records
from benchmark.board.reuse import Reuse
from benchmark.board.rules import Rules, Truth
from benchmark.board.schema import PLACES, Board, Entry, PowerLine, Section, Versus
from benchmark.board.submission import FOLDER, PREDICTIONS
from benchmark.metrics.accuracy import hits
from benchmark.metrics.paired import over_all
from benchmark.metrics.power import shown
from benchmark.schemas import predictions as predictions_
from benchmark.schemas.predictions import Predictions, take
from d3s_dataset.errors import ResultError
from d3s_dataset.utils.cli import cores
from d3s_dataset.utils.power import DISCORDANCE, Photos

SAME_TIER = 0.05  # p of the paired test above which two models share a tier
_ORDER = {section: place for place, section in enumerate(get_args(Section))}


def fold(root: Path, rules: Rules, truth: Truth, reuse: Reuse | None = None) -> Board:
    """Return the board of a folder.

    Args:
        root: the folder, with `submissions` and `reproduced`.
        rules: which images the board is about.
        truth: their labels.
        reuse: what this machine computed before; None: everything is computed.

    Raises:
        ResultError: the folder has no submissions, or a record that cannot be read.
    """
    folders = sorted((root / FOLDER).glob("*"))
    if not folders:
        raise ResultError(f"{root / FOLDER} holds no submissions: expected a folder each")
    records = read_records(root)  # before the work
    entries = entries_of(folders, rules, truth, reuse)
    ranked = _ranked(root, placed(entries, records), reuse)
    return Board(rules=rules, power=power_line(ranked, truth), entries=ranked)


def entries_of(folders: Sequence[Path], rules: Rules, truth: Truth, reuse: Reuse | None = None) -> list[Entry]:
    """Return the entries of submissions as they were measured, without states that depend on others; as in `fold`."""
    with ThreadPoolExecutor(cores()) as threads:  # hashing leaves the interpreter free
        contents = list(threads.map(lambda folder: digest_or_none(folder, len(truth)) or "", folders))
    asked = list(zip(folders, contents, strict=True))
    kept = [reuse.entry(shown_id(folder), content) if reuse and content else None for folder, content in asked]
    fresh = iter(measured([each for each, known in zip(asked, kept, strict=True) if known is None], rules, truth))
    entries = []
    for known in kept:
        entry = known or next(fresh)
        if reuse and known is None:
            reuse.keep_entry(entry)
        entries.append(entry)
    return entries


def power_line(entries: Sequence[Entry], truth: Truth) -> PowerLine:
    """Return the difference of top-1 below which two entries usually share a tier.

    Args:
        entries: of the board; those that were tested against the first of their tier are what it is measured on.
        truth: the images, whose photos stand in where nothing was tested.
    """
    tested = [each.versus for each in entries if each.versus and each.versus.detectable is not None]
    if tested:
        found, discordance = (
            float(np.median([getattr(each, name) for each in tested])) for name in ("detectable", "discordance")
        )
    else:
        foregrounds, backgrounds = _effective(truth.foreground_source), _effective(truth.background_source)
        freedom = max(1, int(np.ceil(min(foregrounds, backgrounds))) - 1)
        photos = Photos(len(truth), foregrounds, backgrounds, freedom)
        found, discordance = photos.detectable(), DISCORDANCE
    return PowerLine(detectable=_rounded(found), discordance=_rounded(discordance), pairs=len(tested), n=len(truth))


def _effective(source: np.ndarray) -> float:
    """Return the effective number of photos (Kish): (sum w)^2 / sum w^2, w the images of each."""
    images = np.unique(source, return_counts=True)[1].astype(np.float64)
    return float(images.sum() ** 2 / (images**2).sum())


def _rounded(value: float | None) -> float | None:
    return None if value is None or np.isnan(value) else round(value, PLACES)  # as the board keeps it


def _ranked(root: Path, entries: Sequence[Entry], reuse: Reuse | None) -> list[Entry]:
    """Return entries in a board's order, those that were run again with rank and tier in their section."""
    answer = [each for section in _ORDER for each in _section(root, section, entries, reuse)]
    rest = [each for each in entries if each.state != "reproduced"]
    return answer + sorted(rest, key=lambda each: (_ORDER.get(each.section or "", len(_ORDER)), each.state, each.id))


def _section(root: Path, section: str, entries: Sequence[Entry], reuse: Reuse | None) -> list[Entry]:
    mine = [each for each in entries if each.section == section and each.state == "reproduced"]
    mine.sort(key=lambda each: (-_right(each), each.sequence, each.id))
    load = cache(lambda name: _answers(root / FOLDER / name / PREDICTIONS))
    answer, leader, tier = [], None, 0
    for rank, each in enumerate(mine, 1):
        versus = None
        if leader:
            versus = reuse.test(leader.content, each.content) if reuse else None
            if versus is None:
                versus = _versus(leader.content, load(leader.id), load(each.id))
                if reuse:
                    reuse.keep_test(each.content, versus)
        if versus is None or (versus.p is not None and versus.p < SAME_TIER):
            leader, tier = each, tier + 1
        answer.append(each.model_copy(update={"rank": rank, "tier": tier, "versus": versus}))
    return answer


def _right(entry: Entry) -> int:
    return entry.numbers.all.right if entry.numbers else 0


def _answers(path: Path) -> Predictions:
    table = predictions_.read(path)
    return take(table, np.argsort(table.key.astype(str)))


def _versus(leader: str, one: Predictions, other: Predictions) -> Versus:
    before, after = (hits(each.foreground, each.prediction) for each in (one, other))
    found, discordance = over_all(before, after, one), float((before != after).mean())
    least = shown(found, -1, len(one), discordance)
    return Versus(content=leader, p=_rounded(float(found.p[-1])), discordance=_rounded(discordance),
                  detectable=_rounded(least))  # fmt: skip
