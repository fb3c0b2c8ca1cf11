"""Release and verdicts -> new version of the release; the old one is read-only.

`validation` keeps the verified rows, `validation_rejected` gets the rest, in every config that has a validation split.
The votes become the config `votes`. Everything else is copied, byte for byte.
"""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from d3s_dataset import manifest as manifests
from d3s_dataset.card import files as describing
from d3s_dataset.check import REJECTED
from d3s_dataset.errors import ReleaseError, VerifyError
from d3s_dataset.identity import file_digest
from d3s_dataset.manifest import Manifest, Shard, shard_path
from d3s_dataset.schema import arrow_schema
from d3s_dataset.utils.atomic import new_folder
from d3s_dataset.utils.cli import progress
from d3s_dataset.utils.paths import inside, regular
from generation.release.shards import write_shard
from generation.verify.aggregate import verdicts as results
from generation.verify.aggregate.verdicts import Verdicts
from generation.verify.prepare import tasks as files
from generation.verify.prepare.images import SPLIT
from generation.verify.prepare.tasks import Tasks
from generation.verify.votes.secret import anonymous, secret
from generation.verify.votes.store import Vote

Record = dict[str, Any]


def apply(release: Path, folder: Path, out: Path, database: str | None = None) -> Manifest:
    """Write the verified version of a release into a new folder; return its manifest.

    Args:
        release: the release that the tasks were made from.
        folder: tasks folder with verdicts.
        out: the new folder.
        database: URL of the votes' database (`Store`).

    Raises:
        VerifyError: `out` exists, another release, no verdicts, or votes newer than the verdicts.
        ReleaseError: a shard of the release is damaged.
        WriteError: `out` cannot be written.
    """
    manifest, held, found = manifests.read(release), files.read(folder), results.read(folder)
    if out.exists():
        raise VerifyError(f"{out} exists already: expected --out to name a new folder")
    files.check_release(folder, held, release, manifest.digest)
    votes = results.current_votes(folder, found, database)
    with new_folder(out) as staging:
        return _write(release, manifest, staging, found, _ballots(held, votes, found, secret(folder)))


def _write(release: Path, manifest: Manifest, out: Path, found: Verdicts, ballots: list[Record]) -> Manifest:
    verified = {key for key, verdict in found.rows.items() if verdict.verified}
    shards = []
    with progress(total=len(manifest.shards), label="writing", unit="shard") as bar:
        for shard in manifest.shards:
            _check_whole(release, shard)
            if shard.split != SPLIT:
                target = inside(out, shard.path)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(inside(release, shard.path), target)
                shards.append(shard)
            bar.update()
    for config in [name for name in manifest.configs() if SPLIT in manifest.splits(name)]:
        for split, wanted in ((SPLIT, True), (SPLIT + REJECTED, False)):
            rows = _rows(release, manifest, config, lambda key, wanted=wanted: (key in verified) == wanted)
            told = (_tell(row, found) if config == "default" else row for row in rows)
            total = sum(1 for _ in _keys(release, manifest, config, verified, wanted))
            shards += _write_split(out, manifest, config, split, told, total)
    shards += _write_split(out, manifest, "votes", SPLIT, iter(ballots), len(ballots))
    made = manifest.model_copy(update={"shards": shards, "verification": found.verification})
    describing.write(out, made)
    manifests.write(out, made)
    return made


def _check_whole(release: Path, shard: Shard) -> None:
    path = regular(release, shard.path, shard.bytes)
    if file_digest(path) != shard.sha256:
        raise ReleaseError(f"{path} is damaged: `python -m d3s_dataset.check {release}` lists all problems")
    if pq.read_schema(path).names != arrow_schema(config=shard.config).names:
        raise ReleaseError(f"{path} has the columns of an older version: expected a release made by this one")


def _keys(release: Path, manifest: Manifest, config: str, verified: set[str], wanted: bool) -> Iterator[str]:
    for shard in manifest.select(config, SPLIT):
        keys = pq.read_table(inside(release, shard.path), columns=["key"])["key"].to_pylist()
        yield from (key for key in keys if (key in verified) == wanted)


def _rows(release: Path, manifest: Manifest, config: str, chosen: Callable[[str], bool]) -> Iterator[Record]:
    """Yield the chosen validation rows of a config, in order, a hundred in memory at a time."""
    for shard in manifest.select(config, SPLIT):
        for batch in pq.ParquetFile(inside(release, shard.path)).iter_batches(100):
            yield from (row for row in batch.to_pylist() if chosen(row["key"]))


def _tell(row: Record, found: Verdicts) -> Record:
    """Return a row with its verdict and vote counts; null where the image has no votes."""
    verdict = found.rows.get(row["key"])
    if verdict is None:
        return row
    return {
        **row,
        "verified": verdict.verified,
        "votes": verdict.votes,
        "votes_foreground": verdict.foreground,
        "votes_background": verdict.background,
        "votes_unsafe": verdict.unsafe,
        "votes_posterior": verdict.posterior,
        "votes_drawn": found.drawn,
    }


def _write_split(
    out: Path, manifest: Manifest, config: str, split: str, rows: Iterator[Record], total: int
) -> list[Shard]:
    per_shard = manifest.shard_rows if config != "votes" else max(manifest.shard_rows, total)
    shards, files_there = [], -(-total // per_shard)
    for index in range(files_there):
        part = [row for row, _ in zip(rows, range(min(per_shard, total - index * per_shard)), strict=False)]
        path = shard_path(config, split, index, files_there)
        size, checksum = write_shard(inside(out, path), part, manifest.backgrounds, config)
        shards.append(
            Shard(path=path, config=config, split=split, index=index, rows=len(part), bytes=size, sha256=checksum)
        )
    return shards


def _ballots(held: Tasks, votes: list[Vote], found: Verdicts, key: bytes) -> list[Record]:
    """Return the rows of the config `votes`: neither content nor order identifies the annotators."""
    rows = []
    for vote in votes:
        item, worker = held.by_id[vote.item], anonymous(key, vote.worker)
        rows.append(
            {
                "item": item.id,
                "key": item.key,
                "worker": worker,
                "question": vote.question,
                "answer": vote.answer,
                "expected": item.expected.get(vote.question),
                "counted": worker not in found.left_out,
            }
        )
    return sorted(rows, key=lambda row: (row["item"], row["worker"], row["question"]))
