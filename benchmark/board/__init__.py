"""Submissions -> a board: every number recomputed, what does not agree refused with its reason, the rest ranked.

Only what the owner has run again (`reproduced`) is ranked: labels are public, and a file of them recomputes perfectly.
Sections (what was seen beyond ImageNet) are never mixed. A model shares the tier of the best one that it does not
differ from by the paired test. A submission whose bytes are as on the board before is not computed again.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import get_args

import numpy as np
from pydantic import ValidationError

from benchmark import predictions as predictions_
from benchmark.board.intake import digest_or_none, measured
from benchmark.board.standing import PLACES, Board, Entry, Record, Section, Versus
from benchmark.metrics import hits
from benchmark.paired import overall
from benchmark.predictions import Predictions, take
from benchmark.results import first_wrong
from benchmark.submission import FOLDER, PREDICTIONS
from benchmark.submission.truth import Rules, Truth
from d3s_dataset.command import cores
from d3s_dataset.errors import ResultError

REPRODUCED = "reproduced"  # the folder of the owner's records
SAME_TIER = 0.05  # p of the paired test above which two models share a tier
_ORDER = {section: place for place, section in enumerate(get_args(Section))}


def fold(root: Path, rules: Rules, truth: Truth, before: Board | None = None) -> Board:
    """Return the board of a folder.

    Args:
        root: the folder, with `submissions` and `reproduced`.
        rules: which images the board is about.
        truth: their labels.
        before: a board made of this folder earlier, believed for submissions whose bytes are the same.

    Raises:
        ResultError: the folder has no submissions, or a record that cannot be read.
    """
    folders = {each.name: each for each in sorted((root / FOLDER).glob("*"))}
    if not folders:
        raise ResultError(f"{root / FOLDER} holds no submissions: expected a folder each")
    known = {each.id: each for each in before.entries} if before and before.rules == rules else {}
    with ThreadPoolExecutor(cores()) as threads:  # hashing leaves the interpreter free
        digests = threads.map(lambda folder: digest_or_none(folder, len(truth)), folders.values())
        contents = dict(zip(folders, digests, strict=True))
    kept = {
        name: _fresh(known[name])
        for name, content in contents.items()
        if content and name in known and known[name].content == content
    }
    pending = [(folders[name], content or "") for name, content in contents.items() if name not in kept]
    entries = kept | {entry.id: entry for entry in measured(pending, rules, truth)}
    placed = _states([entries[name] for name in folders], _records(root))
    return Board(rules=rules, entries=_ranked(root, placed, known))


def _fresh(entry: Entry) -> Entry:
    """Return an entry as it was measured, before it was placed among others."""
    refused = entry.state == "refused"
    changed = {"state": "refused" if refused else "recomputed", "reason": entry.reason if refused else ""}
    return entry.model_copy(update={**changed, "rank": None, "tier": None, "versus": None})


def _records(root: Path) -> dict[str, Record]:
    found = {}
    for path in sorted((root / REPRODUCED).glob("*.json")):
        try:
            record = Record.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise ResultError(f"{path} cannot be read as a record: {first_wrong(error)}") from None
        found[record.id] = record
    return found


def _states(entries: Sequence[Entry], records: dict[str, Record]) -> list[Entry]:
    by_id = {each.id: each for each in entries}
    heirs = {each.supersedes: each for each in entries if _inherits(each, by_id)}
    first: dict[str, str] = {}
    sound = [each for each in entries if each.numbers and not each.withdrawn and each.id not in heirs]
    for each in sorted(sound, key=lambda each: (not _passed(each, records), each.id)):
        first.setdefault(each.numbers.answers if each.numbers else "", each.id)
    return [_placed(each, records, heirs, first) for each in entries]


def _inherits(entry: Entry, by_id: dict[str, Entry]) -> bool:
    older = by_id.get(entry.supersedes or "")
    return bool(older and older.id != entry.id and older.model == entry.model and entry.numbers and not entry.withdrawn)


def _run_again(entry: Entry, records: dict[str, Record]) -> Record | None:
    record = records.get(entry.id)
    return record if record and record.content == entry.content else None


def _passed(entry: Entry, records: dict[str, Record]) -> bool:
    record = _run_again(entry, records)
    return record is not None and record.passed


def _placed(entry: Entry, records: dict[str, Record], heirs: dict[str | None, Entry], first: dict[str, str]) -> Entry:
    if entry.numbers is None:
        return entry
    record, original = _run_again(entry, records), first.get(entry.numbers.answers, entry.id)
    told = f"{record.same} of {record.rows} answers the same when run again" if record else ""
    if entry.withdrawn:
        state, reason = "withdrawn", entry.withdrawn
    elif entry.id in heirs:
        state, reason = "superseded", f"by {heirs[entry.id].id}"
    elif original != entry.id:
        state, reason = "duplicate", f"the same answers as {original}"
    elif record:
        state, reason = ("reproduced" if record.passed else "not reproduced"), told
    else:
        state, reason = "recomputed", ""
    return entry.model_copy(update={"state": state, "reason": reason})


def _ranked(root: Path, entries: Sequence[Entry], known: dict[str, Entry]) -> list[Entry]:
    """Return entries in a board's order, those that were run again with rank and tier in their section."""
    answer = [each for section in _ORDER for each in _section(root, section, entries, known)]
    rest = [each for each in entries if each.state != "reproduced"]
    return answer + sorted(rest, key=lambda each: (_ORDER.get(each.section or "", len(_ORDER)), each.state, each.id))


def _section(root: Path, section: str, entries: Sequence[Entry], known: dict[str, Entry]) -> list[Entry]:
    mine = [each for each in entries if each.section == section and each.state == "reproduced"]
    mine.sort(key=lambda each: (-_right(each), each.id))
    load = cache(lambda name: _answers(root / FOLDER / name / PREDICTIONS))
    answer, leader, tier = [], None, 0
    for rank, each in enumerate(mine, 1):
        versus = None
        if leader:
            before = known[each.id].versus if each.id in known and known[each.id].content == each.content else None
            same = before and before.content == leader.content
            versus = before if same else Versus(content=leader.content, p=_p(load(leader.id), load(each.id)))
        if versus is None or (versus.p is not None and versus.p < SAME_TIER):
            leader, tier = each, tier + 1
        answer.append(each.model_copy(update={"rank": rank, "tier": tier, "versus": versus}))
    return answer


def _right(entry: Entry) -> int:
    return entry.numbers.all.right if entry.numbers else 0


def _answers(path: Path) -> Predictions:
    table = predictions_.read(path)
    return take(table, np.argsort(table.key.astype(str)))


def _p(one: Predictions, other: Predictions) -> float | None:
    before, after = (hits(each.foreground, each.prediction) for each in (one, other))
    p = overall(before, after, one)
    return None if p is None else round(p, PLACES)  # as the board keeps it
