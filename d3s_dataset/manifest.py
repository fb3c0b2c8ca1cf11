"""manifest.json: what a release holds, file by file, and how it was made. Written last, read first.

    release/
      README.md  manifest.json  CITATION.cff
      data/<split>-XXXXX-of-YYYYY.parquet        config `default`
      <config>/<split>-XXXXX-of-YYYYY.parquet    every other config

A folder without a manifest is no finished release: `read` says so. Nothing in a manifest depends on when or
where it was written, so that the same recipe gives the same bytes.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from d3s_dataset.atomic import write_atomic
from d3s_dataset.errors import ReleaseError
from d3s_dataset.identity import digest

FILE_NAME = "manifest.json"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shard(_Strict):
    """One Parquet file: where it lies, what it holds, its checksum."""

    path: str
    config: str
    split: str
    index: int
    rows: int
    bytes: int
    sha256: str


class Failure(_Strict):
    """One planned row that could not be made, and why.

    `index` is its position in the split's plan; `seed` is the last one tried and `attempt` its number, from 0.
    """

    key: str
    config: str
    split: str
    index: int
    seed: int
    attempt: int
    stage: str
    reason: str


class Source(_Strict):
    """Where photos came from: a name for people, the licence, and whether it allows passing them on."""

    role: str
    name: str
    licence: str
    redistribution: bool


class Agreement(_Strict):
    """Krippendorff's alpha of one question and its 95 % interval; None where it is undefined."""

    alpha: float | None
    low: float | None
    high: float | None


class Verification(_Strict):
    """How people verified a release.

    Attributes:
        release: digest of the release that they looked at.
        drawn: how its images were chosen.
        rule: what it took to be verified, by name, and `rule_text` in words.
        people: whose votes count; `left_out` are those whose do not.
        answers: that were given, by all of them.
        agreement: question -> Agreement.
    """

    release: str
    drawn: str
    rule: str
    rule_text: str
    people: int
    left_out: int
    answers: int
    agreement: dict[str, Agreement]


class Manifest(_Strict):
    """What a release holds and how it was made (module docstring); `withheld` names configs that a copy left out."""

    schema_version: Literal[1] = 1
    name: str
    kind: str
    recipe: dict[str, Any]
    plan_digest: str
    planned_rows: int
    limit: int
    shard_rows: int
    backgrounds: list[str]
    image_size: int
    sources: list[Source]
    environment: dict[str, str]
    resample: int = 0
    shards: list[Shard]
    failures: list[Failure]
    withheld: list[str] = []
    verification: Verification | None = None

    @property
    def digest(self) -> str:
        """SHA-256 over the checksums of the default config: two releases with the same digest hold the same images.

        The other configs are left out because a copy on the Hub may have to do without them.
        """
        return self.digest_of("default")

    def digest_of(self, config: str) -> str:
        """SHA-256 over the checksums of one config's shards."""
        return digest([[each.path, each.sha256] for each in self.shards if each.config == config])

    def configs(self) -> list[str]:
        """Return the configs that have files, `default` first."""
        return sorted({each.config for each in self.shards}, key=lambda name: (name != "default", name))

    def splits(self, config: str = "default") -> list[str]:
        """Return the splits of a config in file order."""
        return list(dict.fromkeys(each.split for each in self.shards if each.config == config))

    def select(self, config: str, split: str) -> list[Shard]:
        """Return the shards of one split, in order."""
        chosen = [each for each in self.shards if (each.config, each.split) == (config, split)]
        return sorted(chosen, key=lambda each: each.index)

    def rows(self, config: str, split: str) -> int:
        """Return how many rows a split holds."""
        return sum(each.rows for each in self.select(config, split))


def shard_path(config: str, split: str, index: int, count: int) -> str:
    """Return a shard's path inside its release (POSIX, as the Hub wants it)."""
    folder = "data" if config == "default" else config
    return f"{folder}/{split}-{index:05d}-of-{count:05d}.parquet"


def read(release: Path) -> Manifest:
    """Read a release's manifest.

    Raises:
        ReleaseError: no folder, no manifest (an unfinished release), or one that cannot be read.
    """
    path = release / FILE_NAME
    if not release.is_dir():
        raise ReleaseError(f"expected the folder of a release, got {release}, which is no folder")
    if not path.is_file():
        raise ReleaseError(
            f"{release} has no {FILE_NAME}: expected a finished release; if its making was interrupted, "
            "type the same generation.run command again"
        )
    return load_model(Manifest, path)


def is_finished(release: Path) -> bool:
    """Return whether a folder has a manifest, which is written last."""
    return (release / FILE_NAME).is_file()


def load_model(model: type[Any], path: Path) -> Any:
    """Read a JSON file into a pydantic model.

    Raises:
        ReleaseError: in one line, the file and the first thing wrong with it.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole file"
        raise ReleaseError(f"{path} cannot be read as a {model.__name__}: {where}: {first['msg']}") from None


def write(release: Path, manifest: Manifest) -> None:
    """Write a release's manifest, atomically."""
    write_atomic(release / FILE_NAME, to_json(manifest))


def to_json(model: BaseModel) -> bytes:
    """Return a model as indented JSON with a newline at its end; NaN is refused rather than written."""
    return (json.dumps(model.model_dump(mode="json"), indent=1, allow_nan=False) + "\n").encode()


def verified_fraction(values: Iterable[bool | None]) -> float | None:
    """Return the share of rows that people verified, or None where nobody has voted on any row."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
