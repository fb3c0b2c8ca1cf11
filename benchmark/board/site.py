"""A board -> the files people and tools read: JSON, CSV, Markdown, and a page, a static Space of the Hub."""

import csv
import io
from pathlib import Path
from typing import Any

from benchmark.board.standing import Board, Entry, rounded, to_bytes
from benchmark.pages import render
from benchmark.pages.sections import markdown
from benchmark.submission.truth import Rules
from benchmark.tables import between, percent
from d3s_dataset.atomic import write_atomic
from d3s_dataset.card import replace_block
from d3s_dataset.errors import ReleaseError

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
    page = {"rules": board.rules, "sections": SECTIONS, "data": {"entries": shown, "backgrounds": _backgrounds(board)}}
    return {
        BOARD: to_bytes(board),
        "board.csv": _csv(board),
        "board.md": tables(board).encode(),
        "index.html": render("board.html", counts=_counts(board), **page),
        "README.md": (_SPACE.format(name=board.rules.name) + tables(board)).encode(),
    }


def into(path: Path, board: Board) -> bytes:
    """Return a README or card with the board's tables in its block `results`, between the marks of `d3s_dataset.card`.

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
    on the Hub's list of benchmarks. The file has no field for a score's unit, so the description says it.
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
            headings = ("model", "rank", "tier", "top-1 %", "95 % interval", "worst background", "its top-1 %", "gap")
            parts.append(f"Models {title}:\n\n{markdown(headings, [_cells(each) for each in ranked])}")
    body = "\n".join(parts) or "No model has been run again by the board's owner yet, so none is ranked.\n"
    where = f"{rules.name}, config {rules.config}, split {rules.split}, {rules.n} images, digest {rules.digest[:12]}"
    where += f"; {rules.warning}" if rules.warning else ""
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
