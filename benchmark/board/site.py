"""A board -> the files people and tools read: JSON, CSV, Markdown, and a page, a static Space of the Hub."""

from pathlib import Path
from typing import Any

from benchmark.board.rules import Rules
from benchmark.board.schema import Board, Cell, Entry, rounded, to_bytes
from benchmark.metrics.registry import METRICS
from benchmark.reports.html import render
from benchmark.reports.text import between, metric, percent
from d3s_dataset.card.render import replace_block
from d3s_dataset.errors import ReleaseError
from d3s_dataset.utils.atomic import write_atomic
from d3s_dataset.utils.escape import markdown as escaped
from d3s_dataset.utils.tables import csv_bytes, markdown_table

BOARD = "board.json"
RESULTS = "results"  # the block of a README or card that holds the tables
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
    headings = {name: each.heading for name, each in METRICS.items()}
    data = {"entries": shown, "backgrounds": _backgrounds(board), "metrics": headings}
    page = {"rules": board.rules, "sections": SECTIONS, "data": data}
    return {
        BOARD: to_bytes(board),
        "board.csv": _csv(board),
        "board.md": tables(board).encode(),
        "index.html": render("board.html", counts=_counts(board), **page),
        "README.md": (_SPACE.format(name=board.rules.name) + tables(board)).encode(),
    }


def into(path: Path, board: Board) -> bytes:
    """Return a README or card with the board's tables in its block `results`, between `d3s_dataset.card`'s marks.

    Raises:
        ReleaseError: no such file, or not one such block.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ReleaseError(f"{path} cannot be read: {error.strerror}: expected a README or card") from None
    try:
        return replace_block(text, RESULTS, tables(board).rstrip()).encode()
    except ReleaseError as error:
        raise ReleaseError(f"{path}: {error}") from None


def eval_yaml(rules: Rules) -> bytes:
    """Return the `eval.yaml` that registers a release as a benchmark on the Hub, from the root of its repo.

    The fields are those of https://huggingface.co/docs/hub/eval-results ("Eval.yaml specification"): `name`,
    `description`, `evaluation_framework` and, of each task, `id`, `config` and `split` (`test` where it is left out).
    Scores name a task as `task_id` (`benchmark.submit`). Frameworks are a closed list, `EVALUATION_FRAMEWORKS` in
    `packages/tasks/src/eval.ts` of huggingface/huggingface.js: ours takes a pull request there, and the release a place
    on the Hub's list of benchmarks. The file has no field for a score's unit, so the description gives it.
    """
    import yaml

    told = {
        "name": rules.name.upper(),
        "description": "Objects of ImageNet in ten backgrounds. Scores are top-1 accuracy in percent (0-100).",
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
            headings = ("model", "rank", "tier", "top-1 %", "95 % interval", "worst background", "its top-1 %", "gap",
                        "weights from", "run again")  # fmt: skip
            parts.append(f"Models {title}:\n\n{markdown_table(headings, [_cells(each) for each in ranked])}\n")
    body = "\n".join(parts) or "No model has been run again by the board's owner yet, so none is ranked.\n"
    name, config, split, digest = map(escaped, (rules.name, rules.config, rules.split, rules.digest[:12]))
    where = f"{name}, config {config}, split {split}, {rules.n} images, digest {digest}"
    where += f"; {rules.warning}" if rules.warning else ""
    note = "Ranked are models that the board's owner has run again; one tier: no difference by the paired test."
    return f"{where}. {note}\n\n{body}"


def page_name(entry: Entry) -> str:
    """Return the path of an entry's report next to the page."""
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
    interval = _interval(numbers.all) or "-"
    top1 = percent(numbers.all.top1)
    shown = (entry.model, str(entry.rank), str(entry.tier), top1, interval, numbers.worst or "-", percent(worst))
    # The numbers are of all images, the evidence for them are those that were run again.
    return (*shown, percent(numbers.gap), entry.source, f"{entry.run_again} of {numbers.all.n}")


def _backgrounds(board: Board) -> list[str]:
    return next((list(each.numbers.by_background) for each in board.entries if each.numbers), [])


def _counts(board: Board) -> dict[str, int]:
    states = [each.state for each in board.entries]
    return {state: states.count(state) for state in dict.fromkeys(states)}


def _row(entry: Entry) -> dict[str, Any]:
    """Return what the page's script shows of an entry: shares as in the JSON, to sort by, and as text, to show."""
    told = {
        name: getattr(entry, name)
        for name in ("id", "model", "source", "state", "reason", "section", "rank", "tier", "run_again")
    }
    told |= {"notes": entry.notes, "page": page_name(entry) if entry.rank else None, "numbers": None}
    if numbers := entry.numbers:
        cells = {name: _shown(each.top1, _interval(each)) for name, each in numbers.by_background.items()}
        plain = {"gap": numbers.gap, "flips": numbers.flip_rate, "top5": numbers.top5}
        shares: dict[str, Any] = {name: _shown(value) for name, value in plain.items()}
        shares["metrics"] = {
            name: {"value": (value := numbers.metrics.get(name)), "shown": metric(name, value)} for name in METRICS
        }
        every = _shown(numbers.all.top1, _interval(numbers.all))
        told["numbers"] = {"all": every, "cells": cells, "worst": numbers.worst, **shares}
    return rounded(told)


def _shown(value: float | None, interval: str = "") -> dict[str, Any]:
    return {"value": value, "shown": percent(value), "ends": interval}


def _interval(cell: Cell) -> str:
    interval = between(cell.ci95)
    return "" if interval == "-" else interval + "*" * cell.doubtful


def _csv(board: Board) -> bytes:
    backgrounds = _backgrounds(board)
    headings = ["id", "model", "section", "state", "rank", "tier", "n", "right", "top1", "low", "high", "top5", "gap"]
    last = ["weights_from", "run_again"]
    rows = [[*headings, "worst_background", *(f"top1_{name}" for name in backgrounds), *last]]
    for each in board.entries:
        if numbers := each.numbers:
            ends = (numbers.all.top1, *numbers.all.ci95, numbers.top5, numbers.gap)
            row = [each.id, each.model, each.section, each.state, each.rank, each.tier, numbers.all.n]
            cells = [numbers.by_background[name].top1 for name in backgrounds]
            row += [numbers.all.right, *rounded(ends), numbers.worst, *rounded(cells), each.source, each.run_again]
            rows.append(row)
    return csv_bytes(rows)
