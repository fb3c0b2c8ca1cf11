"""A verdict on a pull request -> the comment that a bot posts, in Markdown.

Whatever a stranger wrote is shown as code, which neither GitHub nor the Hub reads for mentions, links or HTML.
"""

from collections.abc import Sequence

from benchmark.board.page import SECTIONS, interval
from benchmark.board.rules import Rules
from benchmark.board.schema import Entry
from benchmark.board.upkeep.pulls import Finding, Older, Verdict
from benchmark.reports.text import percent
from d3s_dataset.utils.escape import code_span
from d3s_dataset.utils.escape import markdown as escaped

_MOST = 30  # sentences of a kind


def markdown(verdict: Verdict, rules: Rules) -> str:
    """Return the comment."""
    count = len(verdict.faults)
    said = "may be merged" if not count else f"may not be merged: {count} fault{'s' * (count != 1)}"
    parts = [f"### {escaped(rules.title)}: {said}"]
    if rules.mark:
        parts.append(f"**{escaped(rules.mark)}.**")
    parts += _list("Faults", verdict.faults) + _list("Remarks", verdict.remarks)
    shown = [each for each in verdict.entries if each.numbers]
    if shown:
        parts.append("Recomputed from the predictions that were sent:\n\n" + "\n".join(map(_line, shown)))
    if verdict.older:
        lines = [_change(name, older) for name, older in verdict.older.items()]
        parts.append("Against the same model's older entry, image by image:\n\n" + "\n".join(lines))
    where = (f"{rules.n:,} images", f"config {rules.config}", f"split {rules.split}", f"digest {rules.digest[:12]}")
    parts.append(escaped(f"{', '.join(where)}, protocol {rules.protocol_version}.") + _NEXT)
    return "\n\n".join(parts) + "\n"


_NEXT = " A merged entry is ranked once the board's owner has run its weights again."


def _list(title: str, findings: Sequence[Finding]) -> list[str]:
    if not findings:
        return []
    lines = [f"- {code_span(each.id) + ': ' if each.id else ''}{code_span(each.text)}" for each in findings[:_MOST]]
    if len(findings) > _MOST:
        lines.append(f"- and {len(findings) - _MOST:,} more")
    return [f"**{title}**\n\n" + "\n".join(lines)]


def _line(entry: Entry) -> str:
    numbers = entry.numbers
    assert numbers is not None
    facts = [f"{percent(numbers.all.top1)} % top-1 (95 % interval {interval(numbers.all) or '-'})"]
    if numbers.worst:
        worst = numbers.by_background[numbers.worst].top1
        facts.append(f"{percent(worst)} % on {code_span(numbers.worst)}, its worst background")
    facts += [f"{SECTIONS[entry.section or 'imagenet']}", f"weights: {code_span(entry.source)}"]
    facts.append(f"licence: {code_span(entry.license)}" if entry.license else "no licence stated")
    return f"- {code_span(entry.model)} ({code_span(entry.id)}): {'; '.join(facts)}"


def _change(name: str, older: Older) -> str:
    ends = [None if each is None else 100 * each for each in older.ci95]
    told = "-" if None in ends else f"{ends[0]:+.1f} to {ends[1]:+.1f}"
    change = "-" if older.change is None else f"{100 * older.change:+.1f}"
    p = "" if older.p is None else f", p = {older.p:.2g}"
    return f"- {code_span(name)}: {change} points of top-1 against {code_span(older.id)} (95 % interval {told}{p})"
