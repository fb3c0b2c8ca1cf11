"""The state of every submission: what the owner has run again comes first, in the order in which it was run first.

A submission's claims about others are ignored. Only the owner's records count, each of one content.
"""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from benchmark.board.names import OWNED, skeleton
from benchmark.board.schema import Entry, Record
from benchmark.schemas.result import first_wrong
from d3s_dataset.errors import ResultError

REPRODUCED = "reproduced"  # the folder of the owner's records
_NEVER = 1 << 62


def read_records(root: Path) -> dict[str, Record]:
    """Return the owner's records by submission; raises ResultError with the name of a file that is none."""
    found = {}
    for path in sorted((root / REPRODUCED).glob("*.json")):
        try:
            record = Record.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise ResultError(f"{path} cannot be read as a record: {first_wrong(error)}") from None
        if path.stem != record.id:
            raise ResultError(f"{path} is the record of {record.id[:80]!r}: expected the id as the file's name")
        found[record.id] = record
    return found


def placed(entries: Sequence[Entry], records: dict[str, Record]) -> list[Entry]:
    """Return entries with their states."""
    recorded = [_with_record(each, records.get(each.id)) for each in entries]
    order = sorted((each for each in recorded if each.numbers), key=_precedence)
    refused = _impostors(order)
    standing = [each for each in order if each.id not in refused and not each.withdrawn]
    heirs = _heirs(standing)
    copies = _copies([each for each in standing if each.id not in heirs])
    return [_stated(each, records, refused, heirs, copies) for each in recorded]


def _with_record(entry: Entry, record: Record | None) -> Entry:
    if entry.numbers is None or not _counts(entry, record):
        return entry
    assert record is not None
    return entry.model_copy(update={"sequence": record.sequence if record.sound else None, "run_again": record.rows})


def _counts(entry: Entry, record: Record | None) -> bool:
    """Return whether a record is of this content, and of a comparison of whole rows."""
    return record is not None and record.content == entry.content and record.tolerance is not None


def _precedence(entry: Entry) -> tuple[int, str]:
    return (_NEVER if entry.sequence is None else entry.sequence), entry.id


def _impostors(order: Sequence[Entry]) -> dict[str, str]:
    """Return the ids of those whose name looks like that of a model run again before, of another source; and its id."""
    owners: dict[str, Entry] = {}
    found = {}
    for each in order:
        name = skeleton(each.model)
        first = owners.get(name)
        if first is None:
            if each.sequence is not None:  # what nobody has run again keeps no name from others
                owners[name] = each
            continue
        owned = first.model == each.model and first.source == each.source and each.source in OWNED
        same_weights = each.sequence is not None and first.weights == each.weights
        if not owned and not same_weights:
            found[each.id] = first.id
    return found


def _heirs(standing: Sequence[Entry]) -> dict[str, str]:
    """Return older submissions and what supersedes each.

    An heir was run again, after the older one was, from the present state of the same Hub repo with the same arguments:
    so it is what that repo's owner now publishes, by whichever submitter. No other claim can be checked. As an heir's
    sequence is the higher, there are no cycles.
    """
    by_id = {each.id: each for each in standing}
    found = {}
    for each in standing:
        older = by_id.get(each.supersedes or "")
        if older is None or older.id == each.id or each.sequence is None:
            continue
        same = each.repo is not None and (each.repo, each.arguments) == (older.repo, older.arguments)
        if same and (older.sequence is None or older.sequence < each.sequence):
            found[older.id] = each.id
    return found


def _copies(standing: Sequence[Entry]) -> dict[str, str]:
    """Return later submissions of the same predictions, or of the same weights and arguments, and the first of each."""
    first: dict[tuple[str, ...], Entry] = {}
    found = {}
    for each in standing:
        assert each.numbers is not None
        keys = [("answers", each.numbers.answers), ("weights", each.weights, each.arguments)]
        originals = [first[key] for key in keys if key in first]
        # The digest of weights is a claim until they are run again.
        if originals and (each.sequence is not None or first.get(keys[0])):
            found[each.id] = originals[0].id
            continue
        for key in keys:
            first.setdefault(key, each)
    return found


def _stated(
    entry: Entry, records: dict[str, Record], refused: dict[str, str], heirs: dict[str, str], copies: dict[str, str]
) -> Entry:
    if entry.numbers is None:
        return entry
    record = records.get(entry.id)
    if entry.id in refused:
        reason = f"its name looks like that of {refused[entry.id]}"
        return entry.model_copy(update={"state": "refused", "reason": reason, "numbers": None, "run_again": None})
    if entry.withdrawn:
        state, reason = "withdrawn", entry.withdrawn
    elif entry.id in heirs:
        state, reason = "superseded", f"by {heirs[entry.id]}"
    elif entry.id in copies:
        state, reason = "duplicate", f"the same answers or weights as {copies[entry.id]}"
    elif entry.lacks:
        state, reason = "incomplete", entry.lacks
    elif record and _counts(entry, record):
        state = "reproduced" if record.sound else "not reproduced"
        reason = f"{record.same} of {record.rows} images run again agree"
    elif record and record.content == entry.content:
        state, reason = "recomputed", "its record compares the best class only: run --reproduce again"
    else:
        state, reason = "recomputed", ""
    return entry.model_copy(update={"state": state, "reason": reason})
