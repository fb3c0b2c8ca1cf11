"""Recompute what a verified release says of its votes: counts, splits, and that nobody counts twice."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from d3s_dataset.manifest import Manifest, open_shard

REJECTED = "_rejected"  # ends the name of the split that holds what was not verified
_QUESTIONS = ("foreground", "background", "unsafe")
_ANSWERS = ("yes", "no", "unsure")
_COLUMNS = ["key", "verified", "votes", *(f"votes_{question}" for question in _QUESTIONS)]


def check_votes(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Compare the columns and splits of the images with the raw votes; yield every problem, one line each."""
    splits = manifest.splits("votes")
    if not splits:
        return
    ballots = [row for split in splits for row in _rows(folder, manifest, "votes", split, None)]
    yield from _check_ballots(ballots)
    counted = [ballot for ballot in ballots if ballot["counted"] and ballot["key"] is not None]
    people = Counter(key for key, _ in {(ballot["key"], ballot["worker"]) for ballot in counted})
    yes = Counter((ballot["key"], ballot["question"]) for ballot in counted if ballot["answer"] == "yes")
    known = set()
    for split in manifest.splits():
        for row in _rows(folder, manifest, "default", split, _COLUMNS):
            known.add(row["key"])
            yield from (f"{split}: row {row['key']}: {text}" for text in _check_row(row, split, manifest, people, yes))
    strangers = {ballot["key"] for ballot in ballots} - known - {None}
    if strangers:
        yield f"votes: {len(strangers)} keys are no rows, such as {min(strangers)}"


def _check_ballots(ballots: list[dict[str, Any]]) -> Iterator[str]:
    seen = Counter((ballot["worker"], ballot["item"], ballot["question"]) for ballot in ballots)
    twice = [name for name, count in seen.items() if count > 1]
    if twice:
        yield f"votes: {len(twice)} answers stand twice, such as that of {twice[0][0]} on {twice[0][1]}"
    odd = [each for each in ballots if each["question"] not in _QUESTIONS or each["answer"] not in _ANSWERS]
    if odd:
        yield f"votes: {len(odd)} answers are none, such as {odd[0]['answer']!r} to {odd[0]['question']!r}"


def _check_row(
    row: dict[str, Any], split: str, manifest: Manifest, people: Counter[str], yes: Counter[tuple[str, str]]
) -> Iterator[str]:
    key = row["key"]
    if (row["votes"] or 0) != people[key]:
        yield f"says {row['votes']} people voted, config votes says {people[key]}"
    for question in _QUESTIONS:
        if (said := row[f"votes_{question}"] or 0) != yes[key, question]:
            yield f"says {said} yes votes for {question}, config votes says {yes[key, question]}"
    if split + REJECTED in manifest.splits() and not row["verified"]:
        yield f"is not verified: expected it in {split}{REJECTED}"
    if split.endswith(REJECTED) and row["verified"]:
        yield f"is verified: expected it in {split.removesuffix(REJECTED)}"


def _rows(
    folder: Path, manifest: Manifest, config: str, split: str, columns: list[str] | None
) -> Iterator[dict[str, Any]]:
    for shard in manifest.select(config, split):
        yield from open_shard(folder, shard).read(columns).to_pylist()
