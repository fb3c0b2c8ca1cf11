"""A board -> the files people and tools read: JSON, CSV, Markdown, and a page, a static Space of the Hub."""

import html
from pathlib import Path

from benchmark.board.page import PAGES, SECTIONS, backgrounds, interval, page_name, power_line, states, values
from benchmark.board.rules import Rules
from benchmark.board.schema import Board, Entry, rounded, to_bytes
from benchmark.reports.html import render
from benchmark.reports.text import percent
from d3s_dataset.card.render import replace_block
from d3s_dataset.errors import ReleaseError
from d3s_dataset.utils.atomic import write_atomic
from d3s_dataset.utils.escape import markdown as escaped
from d3s_dataset.utils.tables import csv_bytes, markdown_table

BOARD = "board.json"
RESULTS = "results"  # the block of a README or card that holds the tables
_SPACE = """---
title: {title}
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
    return {
        BOARD: to_bytes(board),
        "board.csv": _csv(board),
        "board.md": tables(board).encode(),
        "index.html": render("board.html", **values(board)),
        "README.md": (_SPACE.format(title=board.rules.title) + tables(board)).encode(),
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


def marked(page: bytes, rules: Rules) -> bytes:
    """Return a report with the mark of a rehearsal as its first line and in its title; on a board, as it is."""
    if rules.mark is None:
        return page
    head, title, rest = page.decode().partition("<title>")
    before, main, after = rest.partition("<main>")
    assert title, "a page without <title>"
    assert main, "a page without <main>"
    banner = f'<p class="warn" role="note"><strong>{html.escape(rules.mark)}.</strong></p>'
    return f"{head}<title>Rehearsal: {before}<main>\n{banner}\n{after}".encode()


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
    note = "Ranked are models that the board's owner has run again; one tier: no difference by the paired test."
    mark = f"**{escaped(rules.mark)}.**\n\n" if rules.mark else ""
    line = " ".join(filter(None, (states(board), power_line(board))))
    return f"{mark}{where}. {note} {line}\n\n{body}"


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
    ends = interval(numbers.all) or "-"
    top1 = percent(numbers.all.top1)
    shown = (entry.model, str(entry.rank), str(entry.tier), top1, ends, numbers.worst or "-", percent(worst))
    # The numbers are of all images, the evidence for them are those that were run again.
    return (*shown, percent(numbers.gap), entry.source, f"{entry.run_again} of {numbers.all.n}")


def _csv(board: Board) -> bytes:
    names = backgrounds(board)
    headings = ["id", "model", "section", "state", "rank", "tier", "n", "right", "top1", "low", "high", "top5", "gap"]
    last = ["weights_from", "run_again", "rehearsal", "license"]
    rows = [[*headings, "worst_background", *(f"top1_{name}" for name in names), *last]]
    for each in board.entries:
        if numbers := each.numbers:
            ends = (numbers.all.top1, *numbers.all.ci95, numbers.top5, numbers.gap)
            row = [each.id, each.model, each.section, each.state, each.rank, each.tier, numbers.all.n]
            cells = [numbers.by_background[name].top1 for name in names]
            row += [numbers.all.right, *rounded(ends), numbers.worst, *rounded(cells), each.source, each.run_again]
            row += ["yes" if board.rules.rehearsal else "no", each.license]
            rows.append(row)
    return csv_bytes(rows)
