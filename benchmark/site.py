"""A board -> the files people and tools read: JSON, CSV, Markdown, and a page, a static Space of the Hub."""

import csv
import io
from pathlib import Path
from typing import Any

from benchmark.page import render
from benchmark.sections import markdown
from benchmark.standing import Board, Entry, rounded, to_bytes
from benchmark.tables import between, percent
from benchmark.truth import Rules
from d3s_dataset.atomic import write_atomic

BOARD = "board.json"
PAGES = "models"  # the folder of reports, one a ranked model
SECTIONS = {
    "imagenet": "trained on ImageNet only",
    "web": "trained on data of the web",
    "d3s": "trained on D3S",
}
_SPACE = """---
title: {name} leaderboard
emoji: 🏞️
colorFrom: green
colorTo: blue
sdk: static
app_file: index.html
pinned: false
---

"""


def files(board: Board) -> dict[str, bytes]:
    """Return a board's files by name; they depend on the board alone."""
    shown = [_row(each) for each in board.entries]
    page = {"rules": board.rules, "sections": SECTIONS, "data": {"entries": shown, "backgrounds": _backgrounds(board)}}
    return {
        BOARD: to_bytes(board),
        "board.csv": _csv(board),
        "board.md": tables(board).encode(),
        "index.html": render("board.html", counts=_counts(board), **page),
        "README.md": (_SPACE.format(name=board.rules.name) + tables(board)).encode(),
    }


def eval_yaml(rules: Rules) -> bytes:
    """Return the `eval.yaml` that registers a release as a benchmark on the Hub, once its framework is listed there."""
    import yaml

    told = {
        "name": rules.name.upper(),
        "description": "Top-1 accuracy where objects of ImageNet stand in ten backgrounds",
        "evaluation_framework": "d3s",
        "tasks": [{"id": task_id(rules), "config": rules.config, "split": rules.split}],
    }
    return yaml.safe_dump(told, sort_keys=False).encode()


def task_id(rules: Rules) -> str:
    """Return the task's name on the Hub, such as `default_validation`."""
    return f"{rules.config}_{rules.split}"


def tables(board: Board) -> str:
    """Return the ranked entries as Markdown, a table a section."""
    rules, parts = board.rules, []
    for section, title in SECTIONS.items():
        ranked = [each for each in board.entries if each.section == section and each.rank]
        if ranked:
            headings = ("model", "rank", "tier", "top-1 %", "95 % interval", "worst background", "its top-1 %", "gap")
            parts.append(f"Models {title}:\n\n{markdown(headings, [_cells(each) for each in ranked])}")
    body = "\n".join(parts) or "No model has been run again by the board's owner yet, so none is ranked.\n"
    where = f"{rules.name}, config {rules.config}, split {rules.split}, {rules.n} images, digest {rules.digest[:12]}"
    note = "Ranked are models that the board's owner has run again; one tier: no difference by the paired test."
    return f"{where}. {note}\n\n{body}"


def page_name(entry: Entry) -> str:
    """Return the path of an entry's report beside the page."""
    return f"{PAGES}/{entry.id}.html"


def write_pages(board: Board, pages: dict[str, bytes], out: Path) -> None:
    """Write the reports of entries, and remove those of entries that are no longer ranked."""
    wanted = {page_name(each) for each in board.entries if each.rank}
    for name, content in pages.items():
        write_atomic(out / name, content)
    for path in sorted((out / PAGES).glob("*.html")):
        if f"{PAGES}/{path.name}" not in wanted:
            path.unlink()


def _cells(entry: Entry) -> tuple[str, ...]:
    numbers = entry.numbers
    assert numbers is not None  # ranked
    worst = numbers.by_background[numbers.worst].top1 if numbers.worst else None
    interval = between(numbers.all.ci95) + "*" * numbers.all.doubtful
    top1 = percent(numbers.all.top1)
    shown = (entry.model, str(entry.rank), str(entry.tier), top1, interval, numbers.worst or "-", percent(worst))
    return (*shown, percent(numbers.gap))


def _backgrounds(board: Board) -> list[str]:
    return next((list(each.numbers.by_background) for each in board.entries if each.numbers), [])


def _counts(board: Board) -> dict[str, int]:
    states = [each.state for each in board.entries]
    return {state: states.count(state) for state in dict.fromkeys(states)}


def _row(entry: Entry) -> dict[str, Any]:
    """Return what the page's script shows of an entry; shares as they are in the JSON."""
    told = {name: getattr(entry, name) for name in ("id", "model", "state", "reason", "section", "rank", "tier")}
    told |= {"notes": entry.notes, "page": page_name(entry) if entry.rank else None, "numbers": None}
    if numbers := entry.numbers:
        cells = {name: [each.top1, *each.ci95, each.n, each.doubtful] for name, each in numbers.by_background.items()}
        plain = {"gap": numbers.gap, "flips": numbers.flip_rate, "ece": numbers.ece, "top5": numbers.top5}
        every = [numbers.all.top1, *numbers.all.ci95, numbers.all.n, numbers.all.doubtful]
        told["numbers"] = {"all": every, "cells": cells, "worst": numbers.worst, **plain}
    return rounded(told)


def _csv(board: Board) -> bytes:
    backgrounds = _backgrounds(board)
    headings = ["id", "model", "section", "state", "rank", "tier", "n", "right", "top1", "low", "high", "top5", "gap"]
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow([*headings, "worst_background", *(f"top1_{name}" for name in backgrounds)])
    for each in board.entries:
        if numbers := each.numbers:
            ends = (numbers.all.top1, *numbers.all.ci95, numbers.top5, numbers.gap)
            row = [each.id, each.model, each.section, each.state, each.rank, each.tier, numbers.all.n]
            cells = [numbers.by_background[name].top1 for name in backgrounds]
            writer.writerow([*row, numbers.all.right, *rounded(ends), numbers.worst, *rounded(cells)])
    return sink.getvalue().encode()
