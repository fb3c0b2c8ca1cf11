"""Health of a board: everything is read and computed anew, and what it points to is looked for where it should be.

What cannot be reached is "not checked", never "sound".
"""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from benchmark.board import site
from benchmark.board.fold import fold
from benchmark.board.links import paper_page, weights_page
from benchmark.board.ranking import read_records
from benchmark.board.rules import Rules, Truth
from benchmark.board.schema import Board, Entry
from benchmark.schemas.metrics import Strict
from d3s_dataset.errors import one_line
from d3s_dataset.hub.offline import answers
from d3s_dataset.utils.escape import terminal

Verdict = Literal["sound", "wrong", "not checked"]
_THREADS = 8
_SECONDS = 20
_DATA = re.compile(r'id="data">(.*?)</script>', re.S)


class Check(Strict):
    """One thing that was looked at: what, the verdict, and a sentence (of a wrong one: why)."""

    what: str
    verdict: Verdict
    text: str


def health(root: Path, rules: Rules, truth: Truth, out: Path) -> list[Check]:
    """Return what was checked of a board.

    Args:
        root: the board's folder.
        rules: of it.
        truth: the labels of its images.
        out: the folder of its page; where there is none, its files and links are not checked.

    Raises:
        ResultError: the folder has no submissions, or a record that cannot be read.
    """
    board = fold(root, rules, truth)  # nothing from the cache
    return [*_entries(board), *_records(root, board), *_files(board, out), *_elsewhere(board)]


def table(checks: Sequence[Check]) -> str:
    """Return the checks as a table, what is wrong first, and one line with the counts."""
    order: dict[Verdict, int] = {"wrong": 0, "not checked": 1, "sound": 2}
    found = sorted(checks, key=lambda each: order[each.verdict])
    width = max((len(each.what) for each in found), default=0)
    rows = [f"{each.verdict:<11}  {each.what:<{width}}  {each.text}" for each in found]
    counts = ", ".join(f"{sum(each.verdict == name for each in checks)} {name}" for name in order)
    return "\n".join([*rows, counts])


def _entries(board: Board) -> Iterator[Check]:
    for each in board.entries:
        if each.state in ("refused", "not reproduced", "incomplete"):
            yield Check(what=f"entry {each.id}", verdict="wrong", text=f"{each.state}: {each.reason}")
        else:
            yield Check(what=f"entry {each.id}", verdict="sound", text=f"its numbers hold; state {each.state}")


def _records(root: Path, board: Board) -> Iterator[Check]:
    """Yield the records that no longer count: of no submission, or of one that has changed since it was run."""
    contents = {each.id: each.content for each in board.entries}
    for name, record in read_records(root).items():
        what = f"record {name}"
        if name not in contents:
            yield Check(what=what, verdict="wrong", text="there is no such submission")
        elif contents[name] != record.content:
            yield Check(what=what, verdict="wrong", text="the submission has changed since: run --reproduce again")
        else:
            yield Check(what=what, verdict="sound", text="of the submission as it is")


def _files(board: Board, out: Path) -> Iterator[Check]:
    """Yield whether the board's files are what the folder gives, and whether its pages' links lead somewhere."""
    if not (out / site.BOARD).is_file():
        yield Check(what=f"board {out}", verdict="not checked", text=f"there is no {site.BOARD}: pass --out DIR")
        return
    made = site.files(board)
    differ = [name for name in made if not (out / name).is_file() or (out / name).read_bytes() != made[name]]
    text = f"{', '.join(differ)} differ from what the folder gives" if differ else "its files are what the folder gives"
    yield Check(what=f"board {out}", verdict="wrong" if differ else "sound", text=text)
    for page in sorted(out.rglob("*.html")):
        lost = sorted({each for each in _links(page) if not _resolves(page, each)})
        text = f"leads to {', '.join(lost)[:200]}, which is not there" if lost else "its links lead somewhere"
        name = page.relative_to(out).as_posix()
        yield Check(what=f"page {name}", verdict="wrong" if lost else "sound", text=text)


class _References(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.found.add(value)
            if value and name == "id":
                self.ids.add(value)


def _links(page: Path) -> set[str]:
    """Return the addresses on a page that are in its own folder; those of the board's rows are in its script's data."""
    text = page.read_text(encoding="utf-8")
    reader = _References()
    reader.feed(text)
    found = {each for each in reader.found if not urlsplit(each).scheme and each.lstrip("#") not in reader.ids}
    if data := _DATA.search(text):
        entries: list[dict[str, Any]] = json.loads(data[1]).get("entries", [])
        found |= {each["page"] for each in entries if isinstance(each, dict) and each.get("page")}
    return found


def _resolves(page: Path, address: str) -> bool:
    path = unquote(urlsplit(address).path)
    return bool(path) and (page.parent / path).is_file()


def _elsewhere(board: Board) -> Iterator[Check]:
    """Yield whether the release, the weights and the papers are where the board says."""
    from huggingface_hub import constants

    there = not constants.HF_HUB_OFFLINE and answers(constants.ENDPOINT)
    wanted = list(_on_hub(board))
    if there:
        with ThreadPoolExecutor(_THREADS) as threads:
            yield from threads.map(lambda each: _repo(*each), wanted)
    else:
        why = f"{constants.ENDPOINT} cannot be reached"
        yield from (Check(what=what, verdict="not checked", text=why) for what, *_ in wanted)
    papers = sorted({each.paper for each in board.entries if each.paper and each.state != "refused"})
    with ThreadPoolExecutor(_THREADS) as threads:
        yield from threads.map(_paper, papers)


def _on_hub(board: Board) -> Iterator[tuple[str, str, str, str | None]]:
    """Yield what is looked for on the Hub: its name here, the kind of repo, the repo, the revision."""
    rules = board.rules
    if rules.repo:
        yield f"release {rules.repo}", "dataset", rules.repo, rules.revision
    repos: dict[str, str | None] = {}
    for each in board.entries:
        if each.state not in ("refused", "withdrawn", "superseded") and (found := _weights(each)):
            repos.setdefault(*found)
    for repo, revision in sorted(repos.items()):
        yield f"weights {repo}", "model", repo, revision


def _weights(entry: Entry) -> tuple[str, str | None] | None:
    """Return the Hub repo of an entry's weights and the revision that it names; None for weights that are not there."""
    named = re.fullmatch(r"[a-z-]+:([\w.-]+/[\w.-]+)@([\w.-]+)", entry.model, re.ASCII)
    if named and entry.source == "Hub":
        return named[1], named[2]
    page = weights_page(entry)
    return ("/".join(page.rsplit("/", 2)[1:]), None) if page else None


def _repo(what: str, kind: str, repo: str, revision: str | None) -> Check:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        HfApi().repo_info(repo, revision=revision, repo_type=kind, timeout=_SECONDS)
    except GatedRepoError:
        return Check(what=what, verdict="sound", text="is there, behind its terms")
    except RevisionNotFoundError:
        return Check(what=what, verdict="wrong", text=f"has no revision {revision}")
    except RepositoryNotFoundError:
        return Check(what=what, verdict="wrong", text="no such repo, or it is hidden")
    except (HfHubHTTPError, OSError) as error:
        return Check(what=what, verdict="not checked", text=terminal(one_line(error))[:200])
    return Check(what=what, verdict="sound", text=f"is there{f', revision {revision}' if revision else ''}")


def _paper(name: str) -> Check:
    what, page = f"paper {name}", paper_page(name)
    assert page is not None
    try:
        asked = urllib.request.Request(page, method="HEAD", headers={"User-Agent": "d3s"})
        urllib.request.urlopen(asked, timeout=_SECONDS).close()
    except urllib.error.HTTPError as error:
        gone = error.code in (404, 410)
        return Check(what=what, verdict="wrong" if gone else "not checked", text=f"{page} answers {error.code}")
    except (OSError, ValueError) as error:
        return Check(what=what, verdict="not checked", text=f"{page}: {terminal(one_line(error))[:120]}")
    return Check(what=what, verdict="sound", text="is there")
