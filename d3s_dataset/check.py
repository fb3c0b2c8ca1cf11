"""python -m d3s_dataset.check DIR_OR_REPO: check a release against its manifest, card and columns.

Every value in the manifest, the card and the columns is recomputed from the files: checksums, counts, schema, labels,
keys, images, boxes; and the guarantees of the plan: balanced, disjoint, crossed.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from d3s_dataset import manifest as manifests
from d3s_dataset.card import files
from d3s_dataset.check_factors import check_factors
from d3s_dataset.check_image import check_image
from d3s_dataset.check_kept import check_kept
from d3s_dataset.errors import ReleaseError, one_line
from d3s_dataset.load import fetch_all
from d3s_dataset.manifest import Manifest, Shard, open_shard
from d3s_dataset.schema import CONFIGS, CONTROLS, arrow_schema, lacking, required_columns
from d3s_dataset.taxonomy import classes
from d3s_dataset.utils.cli import Parser, progress, record, run_command, say
from d3s_dataset.utils.paths import is_name

_MOST = 20  # problems that are listed
REJECTED = "_rejected"  # suffix of the split with the images that were not verified
_QUESTIONS = ("foreground", "background", "unsafe")
_ANSWERS = ("yes", "no", "unsure")
_COLUMNS = ["key", "verified", "votes", *(f"votes_{question}" for question in _QUESTIONS)]


@dataclass
class Tally:
    """Counts over the rows of one split."""

    cells: Counter[tuple[int, int]] = field(default_factory=Counter[tuple[int, int]])
    pairs: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])
    foregrounds: set[str] = field(default_factory=set[str])
    backgrounds: set[str] = field(default_factory=set[str])
    # key -> (foreground photo, background)
    photos: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])

    def add(self, row: dict[str, Any]) -> None:
        """Count one row."""
        self.photos[row["key"]] = (row["foreground_source"], row["background"])
        self.cells[row["foreground"], row["background"]] += 1
        self.pairs[row["foreground_source"], row["background"]] += 1
        self.foregrounds.add(row["foreground_source"])
        if row["background_source"] is not None:
            self.backgrounds.add(row["background_source"])


def check_release(folder: Path) -> list[str]:
    """Return every problem of a release, one line per problem; an empty list means that all checks passed.

    Raises:
        ReleaseError: the folder has no manifest, or one that cannot be read.
    """
    manifest = manifests.read(folder)
    problems = [*_check_recipe(manifest), *_check_files(folder, manifest)]
    tallies: dict[tuple[str, str], Tally] = {}
    total = sum(shard.rows for shard in manifest.shards)
    with progress(total=total, label="checking") as bar:
        for shard in manifest.shards:
            try:
                # Rejected images were planned with the others: the guarantees hold for both together.
                whole = shard.split.removesuffix(REJECTED)
                tally = tallies.setdefault((shard.config, whole), Tally())
                problems += _check_shard(folder, manifest, shard, tally, bar)
            except ReleaseError as error:
                problems += [] if str(error) in problems else [str(error)]
            except (OSError, pa.ArrowException) as error:
                problems.append(f"{shard.path}: cannot be read as Parquet: {one_line(error)}")
    if not problems:  # the plan's guarantees hold for whole releases
        images = {split: tally for (config, split), tally in tallies.items() if config == "default"}
        problems += _check_promises(manifest, images)
        for (config, split), tally in tallies.items():
            problems += _check_control(manifest, config, split, tally, images.get(split, Tally()))
        problems += check_votes(folder, manifest)
        problems += check_kept(folder, manifest)
        problems += check_factors(folder, manifest)
    if not problems:  # these follow from shards and manifest
        problems += files.check(folder, manifest)
    return problems + list(_check_card(folder, manifest))


def _check_recipe(manifest: Manifest) -> Iterator[str]:
    missing = [
        name for name in ("name", "kind", "description", "seed", "rows", "generator") if not _has(manifest, name)
    ]
    if missing:
        yield f"{manifests.FILE_NAME}: the recipe lacks {', '.join(missing)}"
    for config in manifest.configs():
        if config not in CONFIGS:
            yield f"{manifests.FILE_NAME}: config {config} is none of {', '.join(CONFIGS)}"


def _has(manifest: Manifest, name: str) -> bool:
    return manifest.recipe.get(name) not in (None, "", {})


def _check_files(folder: Path, manifest: Manifest) -> Iterator[str]:
    named = {shard.path for shard in manifest.shards}
    for config in ("default", *manifest.configs()):
        parent = "data" if config == "default" else config
        for path in sorted((folder / parent).glob("*.parquet")):
            if path.relative_to(folder).as_posix() not in named:
                yield f"{parent}/{path.name}: not in {manifests.FILE_NAME}"
    for shard in (*manifest.shards, *manifest.differences):
        try:
            manifests.verify(folder, shard)
        except ReleaseError as error:
            yield str(error)


def _check_shard(folder: Path, manifest: Manifest, shard: Shard, tally: Tally, bar: Any) -> Iterator[str]:
    file = manifests.open_shard(folder, shard)
    older = lacking(file.schema_arrow.names)
    if not file.schema_arrow.equals(arrow_schema(manifest.backgrounds, shard.config, older), check_metadata=True):
        yield f"{shard.path}: columns or their types differ from the schema"
        return
    if file.metadata.num_rows != shard.rows:
        yield f"{shard.path}: expected {shard.rows} rows, got {file.metadata.num_rows}"
    for batch in file.iter_batches(batch_size=100) if shard.config != "votes" else ():
        for row in batch.to_pylist():
            name = row["key"] if row["key"] is None or is_name(row["key"]) else repr(row["key"][:200])
            empty = [column for column in required_columns() if row[column] is None]
            found = [f"its {column} is null" for column in empty] or _check_row(row, manifest, tally)
            yield from (f"{shard.path}: row {name}: {problem}" for problem in found)
            if not empty:
                tally.add(row)
        bar.update(batch.num_rows)


def _check_row(row: dict[str, Any], manifest: Manifest, tally: Tally) -> Iterator[str]:
    if row["key"] in tally.photos:
        yield "its key stands twice"
    if not is_name(row["key"]):
        yield "its key is no name of A-Z a-z 0-9 _ . -"
    label: int = row["foreground"]
    if not 0 <= label < len(classes()):
        yield f"foreground {label} is out of range"
    elif classes()[label].wnid != row["wnid"]:
        yield f"wnid {row['wnid']} is not that of foreground {label}"
    if not 0 <= row["background"] < len(manifest.backgrounds):
        yield f"background {row['background']} is out of range"
    left, top, right, bottom = sides = [row["box"][side] for side in ("left", "top", "right", "bottom")]
    if None in sides:
        yield "its box has a side that is null"
    elif not (0 <= left < right <= manifest.image_size and 0 <= top < bottom <= manifest.image_size):
        yield f"box {(left, top, right, bottom)} leaves the image"
    yield from check_image(row, manifest.image_size)


def _check_promises(manifest: Manifest, tallies: dict[str, Tally]) -> Iterator[str]:
    lost = Counter(failure.split for failure in manifest.failures if failure.config == "default")
    made = sum(shard.rows for shard in manifest.shards if shard.config == "default")
    if made + lost.total() != manifest.limit:
        yield f"{made} rows and {lost.total()} failures: expected {manifest.limit} together"
    for split, tally in tallies.items():
        yield from _uneven("class x background cells", split, tally.cells, manifest, lost[split])
    if "validation" in tallies:
        pairs = tallies["validation"].pairs
        own: dict[str, Counter[Any]] = {}
        for (photo, background), count in pairs.items():
            own.setdefault(photo, Counter())[photo, background] = count
        for photo, counts in sorted(own.items()):
            yield from _uneven(f"the backgrounds of photo {photo}", "validation", counts, manifest, lost["validation"])
    if {"train", "validation"} <= tallies.keys():
        train, validation = tallies["train"], tallies["validation"]
        for kind in ("foregrounds", "backgrounds"):
            shared = getattr(train, kind) & getattr(validation, kind)
            if shared:
                yield f"{len(shared)} {kind[:-1]} photos stand in train and validation, such as {min(shared)}"


def _check_control(manifest: Manifest, config: str, split: str, tally: Tally, images: Tally) -> Iterator[str]:
    """Compare a control config with the images that it is matched to, key by key."""
    if config == "default" or config not in CONTROLS:
        return
    failed = {each.key for each in manifest.failures if each.split == split}
    for key, photo in tally.photos.items():
        if key not in failed and images.photos.get(key) != photo:
            yield f"{config}: row {key} has no image of the same photo and background under its key"
    missing = images.photos.keys() - tally.photos.keys() - failed
    if missing:
        yield f"{config}: {len(missing)} {split} images have no row, such as {min(missing)}"


def _uneven(what: str, split: str, counts: Counter[Any], manifest: Manifest, lost: int) -> Iterator[str]:
    """Compare the counts over all backgrounds, the pairs that never occur included; a failed row may leave a gap."""
    groups = {group for group, _ in counts}
    every = [counts[group, background] for group in groups for background in range(len(manifest.backgrounds))]
    if every and max(every) - min(every) > 1 + lost:
        yield f"{split}: {what} hold {min(every)} to {max(every)} rows: expected counts that differ by at most one"


def _check_card(folder: Path, manifest: Manifest) -> Iterator[str]:
    path = folder / "README.md"
    if not path.is_file():
        yield "README.md: missing"
        return
    try:
        head = yaml.safe_load(path.read_text(encoding="utf-8").split("---\n", 2)[1])
        listed = {
            (info["config_name"], split["name"]): split["num_examples"]
            for info in head["dataset_info"]
            for split in info["splits"]
        }
    except (yaml.YAMLError, ValueError, RecursionError, IndexError, KeyError, TypeError):
        yield "README.md: invalid front matter: expected a dataset card with dataset_info"
        return
    held = {(config, split): manifest.rows(config, split) for config in manifest.configs()
            for split in manifest.splits(config)}  # fmt: skip
    for config, split in sorted(listed.keys() | held.keys()):
        rows, written = held.get((config, split)), listed.get((config, split))
        if rows != written:
            yield f"README.md: lists {written} {split} rows of config {config}, {manifests.FILE_NAME} lists {rows}"


def parser() -> Parser:
    """Return the command's parser."""
    about = "Check a release against its manifest and card."
    parser = Parser("python -m d3s_dataset.check", description=about, examples=("demo/d3s", "org/d3s"), tables=True)
    parser.add_argument("release", help="folder or Hub repo such as org/d3s")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, check the release and report problems."""
    folder = fetch_all(parser().parse_args(argv).release)
    problems = check_release(folder)
    for problem in problems[:_MOST]:
        say(problem)
    if problems:
        record(release=folder, problems=problems)
        raise ReleaseError(f"{folder}: {len(problems)} problem{'s' if len(problems) > 1 else ''} (listed above)")
    manifest = manifests.read(folder)
    counts = {split: manifest.rows("default", split) for split in manifest.splits()}
    rows = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    failed, short = len(manifest.failures), manifest.digest[:16]
    if manifest.differences:
        say(manifests.how_to_rebuild(folder, manifest))
    record(release=folder, problems=[], rows=counts, failures=failed, digest=manifest.digest)
    say(f"{folder}: all checks passed ({rows} rows; {failed} failures listed; digest {short})")


def check_votes(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Compare the columns and splits of the images with the raw votes; yield one line per problem."""
    splits = manifest.splits("votes")
    if not splits:
        return
    ballots = [row for split in splits for row in _rows(folder, manifest, "votes", split, None)]
    yield from _check_ballots(ballots)
    counted = [ballot for ballot in ballots if ballot["counted"] and ballot["key"] is not None]
    people = Counter(key for key, _ in {(ballot["key"], ballot["worker"]) for ballot in counted})
    yes = Counter((ballot["key"], ballot["question"]) for ballot in counted if ballot["answer"] == "yes")
    known: set[str] = set()
    for split in manifest.splits():
        for row in _rows(folder, manifest, "default", split, _COLUMNS):
            known.add(row["key"])
            yield from (f"{split}: row {row['key']}: {text}" for text in _check_sums(row, split, manifest, people, yes))
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


def _check_sums(
    row: dict[str, Any], split: str, manifest: Manifest, people: Counter[str], yes: Counter[tuple[str, str]]
) -> Iterator[str]:
    key = row["key"]
    if (row["votes"] or 0) != people[key]:
        yield f"lists {row['votes']} annotators, config votes has {people[key]}"
    for question in _QUESTIONS:
        if (count := row[f"votes_{question}"] or 0) != yes[key, question]:
            yield f"lists {count} yes votes for {question}, config votes has {yes[key, question]}"
    if split + REJECTED in manifest.splits() and not row["verified"]:
        yield f"is not verified: expected it in {split}{REJECTED}"
    if split.endswith(REJECTED) and row["verified"]:
        yield f"is verified: expected it in {split.removesuffix(REJECTED)}"


def _rows(
    folder: Path, manifest: Manifest, config: str, split: str, columns: list[str] | None
) -> Iterator[dict[str, Any]]:
    for shard in manifest.select(config, split):
        yield from open_shard(folder, shard).read(columns).to_pylist()


if __name__ == "__main__":
    run_command(main)
