"""Submissions -> a board: every number recomputed, what does not agree refused with its reason, the rest ranked.

Only what the owner has run again (`reproduced`) is ranked: labels are public, and a file of them recomputes perfectly.
Sections (what was seen beyond ImageNet) are never mixed. A model shares the tier of the best one that it does not
differ from by the paired test; the next entries are tested ahead, in case the best one stays. What this machine
computed of the same bytes before is not computed again (`reuse`).
"""

from collections.abc import Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import nullcontext
from functools import lru_cache
from multiprocessing import get_context
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
from benchmark.metrics.bootstrap import draws_kept
from benchmark.metrics.paired import over_all
from benchmark.metrics.power import shown
from benchmark.schemas import predictions as predictions_
from benchmark.schemas.predictions import Predictions, by_key
from d3s_dataset.errors import ResultError
from d3s_dataset.utils.cli import cores
from d3s_dataset.utils.power import DISCORDANCE, Photos
from d3s_dataset.utils.processes import begin_worker

SAME_TIER = 0.05  # p of the paired test above which two models share a tier
_FEW = 8  # tests per process that are worth starting one
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
    count = sum(each.state == "reproduced" for each in entries)
    several = min(cores(), count // _FEW)
    spawn = get_context("spawn")
    with ProcessPoolExecutor(several, spawn, begin_worker) if several > 1 else nullcontext() as pool:
        tests = _Tests(root, reuse, pool, several)
        answer = [each for section in _ORDER for each in _section(section, entries, tests)]
    rest = [each for each in entries if each.state != "reproduced"]
    return answer + sorted(rest, key=lambda each: (_ORDER.get(each.section or "", len(_ORDER)), each.state, each.id))


def _section(section: str, entries: Sequence[Entry], tests: "_Tests") -> list[Entry]:
    mine = [each for each in entries if each.section == section and each.state == "reproduced"]
    mine.sort(key=lambda each: (-_right(each), each.sequence, each.id))
    answer, leader, tier = [], None, 0
    for rank, each in enumerate(mine, 1):
        versus = tests(leader, mine[rank - 1 :]) if leader else None
        if versus is None or (versus.p is not None and versus.p < SAME_TIER):
            leader, tier = each, tier + 1
        answer.append(each.model_copy(update={"rank": rank, "tier": tier, "versus": versus}))
    return answer


def _right(entry: Entry) -> int:
    return entry.numbers.all.right if entry.numbers else 0


class _Tests:
    """Paired tests of entries with their tier's first, in `count` processes where there is a pool."""

    def __init__(self, root: Path, reuse: Reuse | None, pool: Executor | None, count: int) -> None:
        self._root, self._reuse, self._pool, self._count = root, reuse, pool, count
        self._begun: dict[tuple[str, str], Future[Versus]] = {}

    def __call__(self, leader: Entry, others: Sequence[Entry]) -> Versus:
        """Return the test of the first of some entries; those after it, for which the leader may stay, are begun."""
        other = others[0]
        versus = self._known(leader, other)
        if versus is None:
            if self._pool:
                for each in others[: self._count]:
                    self._begin(self._pool, leader, each)
            begun = self._begun.pop((leader.id, other.id), None)
            versus = begun.result() if begun else _versus(self._root, leader, other)
            if self._reuse:
                self._reuse.keep_test(other.content, versus)
        return versus

    def _known(self, leader: Entry, other: Entry) -> Versus | None:
        return self._reuse.test(leader.content, other.content) if self._reuse else None

    def _begin(self, pool: Executor, leader: Entry, other: Entry) -> None:
        for pair in [pair for pair in self._begun if pair[0] != leader.id]:
            self._begun.pop(pair).cancel()  # the tier has ended
        pair = leader.id, other.id
        if pair not in self._begun and self._known(leader, other) is None:
            self._begun[pair] = pool.submit(_versus, self._root, leader, other)


@lru_cache(maxsize=4)
def _answers(path: Path, content: str) -> Predictions:
    """Return the predictions in a file; `content` is the submission's, for which they are kept."""
    del content
    return by_key(predictions_.read(path))


def _versus(root: Path, leader: Entry, entry: Entry) -> Versus:
    one, other = (_answers(root / FOLDER / each.id / PREDICTIONS, each.content) for each in (leader, entry))
    before, after = (hits(each.foreground, each.prediction) for each in (one, other))
    with draws_kept():
        found, discordance = over_all(before, after, one), float((before != after).mean())
    least = shown(found, -1, len(one), discordance)
    return Versus(content=leader.content, p=_rounded(float(found.p[-1])), discordance=_rounded(discordance),
                  detectable=_rounded(least))  # fmt: skip
