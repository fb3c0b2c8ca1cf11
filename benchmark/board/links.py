"""Links on a board's pages. Names come from strangers, so no address does: each is built here from a checked name.

Weights lead to the Hub, papers to arXiv or the DOI resolver, and nowhere else. A name that does not fit is shown
without a link.
"""

import re
from typing import Annotated
from urllib.parse import quote

from pydantic import AfterValidator

from benchmark.board.schema import Entry

HUB = "https://huggingface.co"
OUR_PAPER = "https://arxiv.org/abs/2211.10370"
_PART = r"[A-Za-z0-9](?:[\w-]|\.(?!\.)){0,94}[A-Za-z0-9_-]|[A-Za-z0-9]"  # no dot at an end, no two in a row
_REPO = re.compile(rf"(?:{_PART})/(?:{_PART})", re.ASCII)
_TIMM = re.compile(r"[a-z0-9_]{1,80}\.[a-z0-9_]{1,80}", re.ASCII)
_ARXIV = re.compile(
    r"(?:arxiv:|https://arxiv\.org/(?:abs|pdf)/)(\d{4}\.\d{4,5}|[a-z-]{2,20}/\d{7})(v\d{1,2})?", re.I | re.A
)
_DOI = re.compile(r"(?:doi:|https://doi\.org/)(10\.\d{4,9}/[A-Za-z0-9][A-Za-z0-9._;()/:-]{0,120})", re.I | re.A)


def _paper(text: str) -> str:
    """Return a paper's canonical name, `arXiv:2211.10370` or `doi:10.1000/182`; raises ValueError for all else."""
    if found := _ARXIV.fullmatch(text):
        return f"arXiv:{found[1].lower()}{(found[2] or '').lower()}"
    found = _DOI.fullmatch(text)
    if found and not re.search(r"(^|/)\.{1,2}(/|$)", found[1]):
        return f"doi:{found[1]}"
    raise ValueError("expected arXiv:ID, doi:DOI or their address on arxiv.org or doi.org, such as arXiv:2211.10370")


Paper = Annotated[str, AfterValidator(_paper)]


def weights_page(entry: Entry) -> str | None:
    """Return the page of a model's weights: its Hub repo, or timm's repo of a name with timm's tag; else None."""
    if entry.repo:
        return _hub(entry.repo.partition(":")[2])
    return f"{HUB}/timm/{entry.model}" if entry.source == "timm" and _TIMM.fullmatch(entry.model) else None


def _hub(repo: str) -> str | None:
    return f"{HUB}/{repo}" if _REPO.fullmatch(repo) else None


def paper_page(paper: str | None) -> str | None:
    """Return the page of a paper, given by its canonical name; None for none."""
    if paper is None:
        return None
    kind, _, name = paper.partition(":")
    return f"https://arxiv.org/abs/{name}" if kind == "arXiv" else f"https://doi.org/{quote(name, safe='/:;().')}"


def dataset_page(repo: str | None) -> str | None:
    """Return the page of a release on the Hub; None for one that is not there."""
    return f"{HUB}/datasets/{repo}" if repo and _REPO.fullmatch(repo) else None
