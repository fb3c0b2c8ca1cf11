"""A board -> the values of its page: rows whose numbers are text, rounded once; sentences; links.

The text of a number is that of a report (`benchmark.reports.text`), so that both show the same.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from benchmark.board.links import OUR_PAPER, dataset_page, paper_page, weights_page
from benchmark.board.names import PREDICTIONS_ONLY
from benchmark.board.schema import Board, Cell, Entry, rounded
from benchmark.metrics.registry import METRICS
from benchmark.reports.text import between, metric, percent

PAGES = "models"  # the folder of reports, one a ranked model
SECTIONS = {
    "imagenet": "trained on ImageNet only",
    "web": "trained on data of the web",
    "d3s": "trained on D3S",
}
_IN_WORDS = {
    "reproduced": ("is ranked", "are ranked"),
    "recomputed": ("waits to be reproduced", "wait to be reproduced"),
    PREDICTIONS_ONLY: ("holds predictions only and is never ranked", "hold predictions only and are never ranked"),
    "incomplete": ("lacks what the protocol needs", "lack what the protocol needs"),
    "not reproduced": ("was not reproduced", "were not reproduced"),
    "duplicate": ("is a duplicate", "are duplicates"),
    "superseded": ("is superseded", "are superseded"),
    "withdrawn": ("was withdrawn", "were withdrawn"),
    "refused": ("was refused", "were refused"),
}  # fmt: skip
_LONGEST = 48  # characters of a name that is shown whole


def values(board: Board) -> dict[str, Any]:
    """Return the values of the template `board.html`."""
    names = short_names(board.entries)
    rules, waiting = board.rules, [each for each in board.entries if _in_word(each) == "recomputed"]
    ranked = Counter(each.section for each in board.entries if each.rank)
    return {
        "rules": rules,
        "states": states(board),
        "power": power_line(board),
        "sections": {name: f"{title} ({ranked[name]})" for name, title in SECTIONS.items()},
        "chosen": next((name for name in SECTIONS if ranked[name]), next(iter(SECTIONS))),
        "waiting": [{"name": names[each.id], "id": each.id, "section": SECTIONS[each.section or ""],
                     "why": each.reason} for each in waiting],
        "paper": OUR_PAPER,
        "dataset_page": dataset_page(rules.repo),
        "data": {
            "entries": [_row(each, names[each.id]) for each in board.entries],
            "backgrounds": backgrounds(board),
            "metrics": {name: each.heading for name, each in METRICS.items()},
            "leads": {name: lead(board.entries, name) for name in SECTIONS},
        },
    }  # fmt: skip


def states(board: Board) -> str:
    """Return how many submissions are in which state, as a sentence: `Of 3 submissions, 2 are ranked, 1 waits ...`."""
    counts = Counter(map(_in_word, board.entries))
    parts = [f"{counts[state]} {_IN_WORDS[state][counts[state] != 1]}" for state in _IN_WORDS if counts[state]]
    total = len(board.entries)
    return f"Of {total} submission{'s' * (total != 1)}, {', '.join(parts)}." if parts else "No submissions yet."


def power_line(board: Board) -> str:
    """Return the sentence on the difference below which two entries share a tier; empty where none can be known."""
    power = board.power
    if power is None or power.detectable is None or power.discordance is None:
        return ""
    seen = f"{power.n:,} images show with 80 % power"
    if not power.pairs:
        return (
            f"Two models less than {100 * power.detectable:.1f} points of top-1 apart usually share a tier: no smaller "
            f"difference do {seen}, if they disagree on {percent(power.discordance)} % of them (assumed: no two ranked "
            "models have been compared yet)."
        )
    return (
        f"Two models less than {100 * power.detectable:.1f} points of top-1 apart usually share a tier: no smaller "
        f"difference do {seen} (median of {power.pairs:,} paired test{'s' * (power.pairs != 1)}; there, exactly one of "
        f"two models is right on {percent(power.discordance)} % of the images)."
    )


def _in_word(entry: Entry) -> str:
    """Return an entry's state as a key of `_IN_WORDS`: what nothing can run again waits for nothing."""
    only = entry.state == "recomputed" and entry.source == PREDICTIONS_ONLY
    return PREDICTIONS_ONLY if only else entry.state


def lead(entries: Sequence[Entry], section: str) -> str:
    """Return a section's headline sentence: its first model, with the interval and its worst background."""
    mine = [each for each in entries if each.section == section]
    ranked = [each for each in mine if each.rank]
    waiting = sum(_in_word(each) == "recomputed" for each in mine)
    if not ranked:
        rest = f"; {waiting} {_IN_WORDS['recomputed'][waiting != 1]}" if waiting else ""
        return f"No model {SECTIONS[section]} is ranked yet{rest}."
    first = ranked[0]
    numbers = first.numbers
    assert numbers is not None  # ranked
    ends = between(numbers.all.ci95)
    doubt = ", which may cover less than 95 %" if numbers.all.doubtful else ""
    text = f"{short_names([first])[first.id]} is first with {percent(numbers.all.top1)} % top-1"
    text += f" (95 % interval {ends}{doubt})" if ends != "-" else ""
    if numbers.worst:
        text += f"; {percent(numbers.by_background[numbers.worst].top1)} % on {numbers.worst}, its worst background"
    same = sum(each.tier == 1 for each in ranked) - 1
    return (
        f"{text}. {same} other{'s do' if same != 1 else ' does'} not differ from it by the paired test."
        if same
        else f"{text}."
    )


def short_names(entries: Sequence[Entry]) -> dict[str, str]:
    """Return the name of each entry, by id: long ones lose their middle, unless two would then look alike.

    Entries of one name get the first characters of their ids' digests.
    """
    whole = {each.id: each.model or each.id for each in entries}
    times = Counter(whole.values())
    cut = {name: _cut(name) for name in times}
    alike = Counter(cut.values())
    return {
        entry: (cut[name] if alike[cut[name]] == 1 else name)
        + (f" ({entry.rpartition('--')[2][:6]})" if times[name] > 1 else "")
        for entry, name in whole.items()
    }


def _cut(name: str) -> str:
    half = _LONGEST // 2 - 1
    return name if len(name) <= _LONGEST else f"{name[:half]}…{name[-half:]}"


def backgrounds(board: Board) -> list[str]:
    """Return the names of a board's backgrounds in the release's order; none where nothing has numbers."""
    return next((list(each.numbers.by_background) for each in board.entries if each.numbers), [])


def page_name(entry: Entry) -> str:
    """Return the path of an entry's report next to the page."""
    return f"{PAGES}/{entry.id}.html"


def interval(cell: Cell) -> str:
    """Return a cell's 95 % interval as text, with a star where it is in doubt; empty for none."""
    ends = between(cell.ci95)
    return "" if ends == "-" else ends + "*" * cell.doubtful


def _row(entry: Entry, name: str) -> dict[str, Any]:
    """Return what the page's script shows of an entry: shares as in the JSON, to sort by, and as text, to show."""
    row = {
        name: getattr(entry, name)
        for name in (
            "id",
            "model",
            "source",
            "state",
            "reason",
            "section",
            "rank",
            "tier",
            "run_again",
            "notes",
            "license",
        )
    }
    row |= {"name": name, "page": page_name(entry) if entry.rank else None, "numbers": None}
    # Nothing of a refused submission is linked: its name may be another's.
    if entry.state != "refused":
        row |= {"weights_page": weights_page(entry), "paper": entry.paper, "paper_page": paper_page(entry.paper)}
    if numbers := entry.numbers:
        cells = {each: _shown(cell.top1, interval(cell)) for each, cell in numbers.by_background.items()}
        plain = {"gap": numbers.gap, "flips": numbers.flip_rate, "top5": numbers.top5}
        shares: dict[str, Any] = {each: _shown(value) for each, value in plain.items()}
        shares["metrics"] = {
            each: {"value": (value := numbers.metrics.get(each)), "shown": metric(each, value)} for each in METRICS
        }
        every = _shown(numbers.all.top1, interval(numbers.all))
        row["numbers"] = {"all": every, "cells": cells, "worst": numbers.worst, **shares}
    return rounded(row)


def _shown(value: float | None, ends: str = "") -> dict[str, Any]:
    return {"value": value, "shown": percent(value), "ends": ends}
