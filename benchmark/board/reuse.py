"""Cached results of earlier folds, kept on the owner's machine only: a board holds nothing that was not recomputed.

    CACHE/board/<digest of rules and versions>/<digest of the question>.json

Another protocol asks for other entries; paired tests and reports of the same contents stay what they are.

A question holds the digest of a submission's content, so a changed file is another question; a mended metric raises
`METRICS_VERSION`, a new check `_CHECKS`, and everything is computed anew. Refusals are not kept.
"""

from pathlib import Path
from typing import Any

from benchmark.board.rules import Rules
from benchmark.board.schema import Entry, Versus
from benchmark.cache.blocks import load
from benchmark.metrics.compute import METRICS_VERSION
from benchmark.metrics.registry import versions
from benchmark.schemas.metrics import Strict
from d3s_dataset.identity import digest
from d3s_dataset.manifest import to_json
from d3s_dataset.utils.atomic import write_atomic
from d3s_dataset.utils.paths import cache_folder

_CHECKS = 4  # raised when submissions are checked for more, or an entry holds more


class _Page(Strict):
    digest: str


class Reuse:
    """Entries, paired tests and digests of pages that were computed for a board with these rules."""

    def __init__(self, rules: Rules, folder: Path | None = None) -> None:
        metrics = [METRICS_VERSION, versions()]
        about = {"metrics": metrics, "checks": _CHECKS, "rules": rules.model_dump(mode="json")}
        lasting = {**about, "rules": rules.model_dump(mode="json", exclude={"protocol_version"})}
        place = (folder or cache_folder()) / "board"
        self._folder, self._lasting = place / digest(about), place / digest(lasting)

    def entry(self, name: str, content: str) -> Entry | None:
        """Return the entry of a submission with this id and content."""
        return load(Entry, self._place("entry", name, content))

    def keep_entry(self, entry: Entry) -> None:
        """Keep an entry as it was measured."""
        if entry.state != "refused" and entry.content:
            write_atomic(self._place("entry", entry.id, entry.content), to_json(entry))

    def test(self, leader: str, other: str) -> Versus | None:
        """Return the comparison of two contents that was made before."""
        return load(Versus, self._place("test", leader, other))

    def keep_test(self, other: str, versus: Versus) -> None:
        """Keep the comparison of a content with that of a tier's first."""
        write_atomic(self._place("test", versus.content, other), to_json(versus))

    def page(self, content: str) -> str | None:
        """Return the digest of the page made of a content."""
        found = load(_Page, self._place("page", content))
        return found.digest if found else None

    def keep_page(self, content: str, made: str) -> None:
        """Keep the digest of the page made of a content."""
        write_atomic(self._place("page", content), to_json(_Page(digest=made)))

    def _place(self, *question: Any) -> Path:
        folder = self._folder if question[0] == "entry" else self._lasting
        return folder / f"{digest(question)}.json"
