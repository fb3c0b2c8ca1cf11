"""Check of a pull request against a board: whether it may be merged, and what it would do.

Faults are what the board would refuse, and what no submitter may touch; remarks are what its owner should know. All of
a stranger's bytes are read in processes of their own, with bounds (`benchmark.board.intake`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmark.board.fold import entries_of
from benchmark.board.intake import SECONDS, digest_or_none, measured
from benchmark.board.names import skeleton
from benchmark.board.ranking import placed, read_records
from benchmark.board.reuse import Reuse
from benchmark.board.rules import Rules, Truth
from benchmark.board.safe_read import bounded_memory
from benchmark.board.schema import Entry
from benchmark.board.submission import DESCRIPTION, FOLDER, PREDICTIONS
from benchmark.board.upkeep.changes import Changes
from benchmark.board.workers import Lost, in_processes
from benchmark.metrics.paired import changes, join
from benchmark.metrics.power import ALL
from benchmark.schemas import predictions as predictions_
from benchmark.schemas.metrics import Number, Strict
from d3s_dataset.utils.escape import terminal

MOST = 20  # submissions of one pull request
_LONGEST = 300  # characters of a sentence


class Finding(Strict):
    """One sentence on a pull request; `id` is the submission it is about, empty for the whole."""

    id: str
    text: str


class Older(Strict):
    """The change of top-1 on all images against the same model's older entry: paired, with its 95 % interval."""

    id: str
    change: Number
    ci95: tuple[Number, Number]
    p: Number


class Verdict(Strict):
    """Verdict on a pull request: its faults (none: it may be merged), remarks, and what its entries would be."""

    faults: list[Finding]
    remarks: list[Finding]
    entries: list[Entry]
    older: dict[str, Older]

    @property
    def mergeable(self) -> bool:
        """True if there are no faults."""
        return not self.faults


def check_pull(
    base: Path,
    proposed: Path,
    made: Changes,
    rules: Rules,
    truth: Truth,
    reuse: Reuse | None = None,
    large: dict[str, str] | None = None,
) -> Verdict:
    """Check a pull request.

    Args:
        base: the board's folder as it is.
        proposed: a folder with the submissions that are proposed.
        made: what the pull request changes.
        rules: of the board as it is, whatever is proposed.
        truth: the labels of its images.
        reuse: what this machine computed of the board before.
        large: submissions that were too large to fetch, and why.

    Raises:
        ResultError: a record of the board's owner cannot be read.
    """
    faults, remarks = [Finding(id="", text=_shown(each)) for each in made.faults], []
    ids = made.ids
    if not ids and not faults:
        faults.append(Finding(id="", text="changes nothing: expected a new submission, or a change of one"))
    if len(ids) > MOST:
        text = f"touches {len(ids):,} submissions, expected at most {MOST}: only the first {MOST} were checked"
        faults.append(Finding(id="", text=text))
        ids = ids[:MOST]
    faults += [Finding(id=each, text=_shown(why)) for each, why in (large or {}).items()]
    new = _measured(proposed, [each for each in ids if each not in (large or {})], rules, truth)
    there = [each for each in sorted((base / FOLDER).glob("*")) if each.name not in ids]
    known = entries_of(there, rules, truth, reuse) if there else []
    states = {each.id: each for each in placed([*known, *new], read_records(base))}
    entries = [states[each.id] for each in new]
    names = {each.name for each in (base / FOLDER).glob("*")}
    for each in entries:
        faults += [Finding(id=each.id, text=_shown(text)) for text in _faults(each, names)]
        remarks += [Finding(id=each.id, text=_shown(text)) for text in _remarks(each, made, known, names)]
    older, failed = _older(base, proposed, [each for each in entries if each.numbers], known, made)
    return Verdict(faults=faults, remarks=[*remarks, *failed], entries=entries, older=older)


def _shown(text: str) -> str:
    return terminal(" ".join(text.split()))[:_LONGEST]


def _measured(proposed: Path, ids: Sequence[str], rules: Rules, truth: Truth) -> list[Entry]:
    folders = [proposed / FOLDER / each for each in ids]
    pending = [(each, digest_or_none(each, len(truth)) or "") for each in folders]
    return measured(pending, rules, truth) if pending else []


def _faults(entry: Entry, names: set[str]) -> list[str]:
    """Return why an entry cannot be merged."""
    if entry.state == "refused":
        return [entry.reason]
    found = [f"{entry.reason}, so it would be a duplicate"] if entry.state == "duplicate" else []
    if entry.state == "incomplete" and entry.id not in names:
        found.append(entry.reason)
    if entry.supersedes and entry.supersedes not in names:
        found.append(f"supersedes {entry.supersedes}: expected the id of a submission on the board")
    return found


def _remarks(entry: Entry, made: Changes, known: Sequence[Entry], names: set[str]) -> list[str]:
    if entry.state == "refused":
        return []
    found = [f"was withdrawn: {entry.withdrawn}"] if entry.withdrawn else []
    if entry.id in names:
        mine = {path.rpartition("/")[2] for path in made.changed if path.split("/")[1] == entry.id}
        what = "its description" if mine <= {DESCRIPTION} else "its predictions or result"
        found.append(
            f"is on the board: this changes {what}, so its owner should agree, and a record of --reproduce no longer "
            "counts"
        )
    if entry.state == "incomplete":
        found.append(entry.reason)
    if entry.license is None:
        found.append("states no licence of its weights (benchmark.submit --license)")
    alike = [each for each in known if each.model and skeleton(each.model) == skeleton(entry.model)]
    other = next((each for each in alike if each.model != entry.model or each.source != entry.source), None)
    if other:
        found.append(f"its name looks like that of {other.id}, which nobody has run again yet")
    if entry.supersedes and not entry.repo:
        found.append("supersedes another, which counts for a model of a Hub repo only")
    return found


def _older(
    base: Path, proposed: Path, entries: Sequence[Entry], known: Sequence[Entry], made: Changes
) -> tuple[dict[str, Older], list[Finding]]:
    """Return the differences to the same model's older entries, by id of the newer, and why others have none."""
    pairs = []
    for each in entries:
        before = _before(base, each, known, made)
        if before:
            pairs.append((each.id, before, base / FOLDER / before, proposed / FOLDER / each.id))
    found: dict[str, Older] = {}
    failed: list[Finding] = []
    for index, outcome in in_processes(_difference, (), pairs, 1, SECONDS) if pairs else ():
        name, before, *_ = pairs[index]
        if isinstance(outcome, Older):
            found[name] = outcome
        else:
            why = outcome.reason if isinstance(outcome, Lost) else outcome
            failed.append(Finding(id=name, text=_shown(f"could not be compared with {before}: {why}")))
    return dict(sorted(found.items())), failed


def _before(base: Path, entry: Entry, known: Sequence[Entry], made: Changes) -> str | None:
    """Return the older entry: the one that is replaced or superseded, else the last of the same name and source."""
    if f"{FOLDER}/{entry.id}/{PREDICTIONS}" in made.changed:
        return entry.id
    if entry.id in {each.name for each in (base / FOLDER).glob("*")}:
        return None  # the same predictions
    same = [each for each in known if each.numbers and (each.model, each.source) == (entry.model, entry.source)]
    named = [each.id for each in same if each.id == entry.supersedes]
    return (named or [each.id for each in same] or [None])[-1]


def _difference(pair: tuple[str, str, Path, Path]) -> Older:
    """Compare an entry with its older one; in another process."""
    _, older, *folders = pair
    with bounded_memory():
        tables = [predictions_.read(each / PREDICTIONS) for each in folders]
        joined: Any = join(tables, ["the older entry", "the newer"])
        found = changes(joined.tables[0], joined.tables[1], tables[0].provenance["dataset"]["backgrounds"])[ALL]
    return Older(id=older, change=found.change, ci95=found.ci95, p=found.p)
