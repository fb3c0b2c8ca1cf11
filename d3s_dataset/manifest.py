"""manifest.json: files and provenance of a release. Written last, read first.

    release/
      README.md  manifest.json  croissant.json  contact_sheet.jpg  CITATION.cff
      data/<split>-XXXXX-of-YYYYY.parquet        config `default`
      <config>/<split>-XXXXX-of-YYYYY.parquet    every other config
      differences/<path of a shard>.xor          in a copy for the Hub: a shard as its difference from photos

A folder without a manifest is not a finished release, and `read` raises an error. A manifest does not depend on the
time or place of writing, so that the same recipe gives the same bytes.

A manifest may be untrusted. Its names are validated on reading: every shard has the path given by `shard_path`, and is
listed once. Shards are opened with `open_shard` or `locate`, which check the file before its content.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_serializer, model_validator

from d3s_dataset.errors import ReleaseError, one_line
from d3s_dataset.identity import digest, file_digest
from d3s_dataset.utils.atomic import write_atomic
from d3s_dataset.utils.paths import is_name, regular

FILE_NAME = "manifest.json"
DIFFERENCES = "differences"  # folder of a copy
_COUNT = re.compile(r"-of-(\d{5,9})\.parquet$")


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError(f"expected a name of at most 128 of A-Z a-z 0-9 _ . -, got {text[:200]!r}")
    return text


def _line(text: str) -> str:
    if not text.isprintable():
        raise ValueError(f"expected one line without control characters, got {text[:200]!r}")
    return text


Name = Annotated[str, AfterValidator(_name)]
Line = Annotated[str, AfterValidator(_line)]
Natural = Annotated[int, Field(ge=0, lt=2**63)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shard(_Strict):
    """One Parquet file: path, content, checksum."""

    path: str
    config: Name
    split: Name
    index: Natural
    rows: Natural
    bytes: Natural
    sha256: Sha256

    @model_validator(mode="after")
    def _in_its_place(self) -> "Shard":
        count = _COUNT.search(self.path)
        expected = shard_path(self.config, self.split, self.index, int(count[1]) if count else 1)
        if self.path != expected:
            raise ValueError(f"path: expected {expected!r}, got {self.path[:200]!r}")
        return self


class Difference(_Strict):
    """One shard that a copy holds as its difference from photos only (`d3s_dataset.hub.differences`).

    Attributes:
        shard: the shard.
        place: its position among the release's shards.
        bytes: size of the file with the difference; `sha256` is its checksum.
    """

    shard: Shard
    place: Natural
    bytes: Natural
    sha256: Sha256

    @property
    def path(self) -> str:
        """The file's path inside the copy."""
        return f"{DIFFERENCES}/{self.shard.path}.xor"


class Failure(_Strict):
    """One planned row that failed, with the reason.

    `index` is its position in the split's plan; `seed` is the last one tried and `attempt` its number, from 0.
    """

    key: Name
    config: Name
    split: Name
    index: Natural
    seed: int
    attempt: int
    stage: str
    reason: str


class Source(_Strict):
    """Source of photos: name, licence, and whether redistribution is allowed."""

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
    """Summary of a release's human verification.

    Attributes:
        release: digest of the annotated release.
        drawn: how its images were sampled.
        rule: name of the decision rule; `rule_text` is its description.
        people: number of annotators whose votes count; `left_out` is the number excluded.
        answers: number of answers of all annotators.
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
    """Files and provenance of a release (module docstring).

    `withheld` names configs that a copy omits, and `differences` shards that it holds as differences from photos.
    """

    schema_version: Literal[1] = 1
    name: Name
    kind: Literal["d3s", "sample", "shift", "guides"]
    recipe: dict[str, Any]
    plan_digest: str
    planned_rows: Natural
    limit: Natural
    shard_rows: Annotated[int, Field(ge=1)]
    backgrounds: Annotated[list[Line], Field(min_length=1)]
    image_size: Annotated[int, Field(ge=1)]
    sources: list[Source]
    environment: dict[str, str]
    resample: int = 0
    shards: list[Shard]
    failures: list[Failure]
    withheld: list[Name] = []
    differences: list[Difference] = []
    verification: Verification | None = None

    @model_serializer(mode="wrap")
    def _with_what_it_has(self, handler: Any) -> dict[str, Any]:
        # The manifest of a whole release is the same bytes as before there were differences.
        return {name: value for name, value in handler(self).items() if name != "differences" or value}

    @model_validator(mode="after")
    def _each_shard_once(self) -> "Manifest":
        shards = [*self.shards, *(each.shard for each in self.differences)]
        places = Counter((each.config, each.split, each.index) for each in shards)
        for (config, split, index), times in places.items():
            if times > 1:
                raise ValueError(f"shard {index} of split {split!r} of config {config!r} is listed {times} times")
        return self

    @property
    def digest(self) -> str:
        """SHA-256 over the checksums of the default config: two releases with the same digest hold the same images.

        The other configs are excluded because a copy on the Hub may omit them.
        """
        return self.digest_of("default")

    def digest_of(self, config: str) -> str:
        """SHA-256 over the checksums of one config's shards, those that a copy holds as differences included."""
        return digest([[each.path, each.sha256] for each in self.whole().shards if each.config == config])

    def whole(self) -> "Manifest":
        """Return the manifest with every shard that it holds as a difference."""
        if not self.differences:
            return self
        shards = list(self.shards)
        for each in sorted(self.differences, key=lambda each: each.place):
            shards.insert(each.place, each.shard)
        return self.model_copy(update={"shards": shards, "differences": []})

    def unbuilt(self) -> list[str]:
        """Return the configs with shards that are differences from photos."""
        return list(dict.fromkeys(each.shard.config for each in self.differences))

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
        """Return the number of rows of a split."""
        return sum(each.rows for each in self.select(config, split))


def shard_path(config: str, split: str, index: int, count: int) -> str:
    """Return a shard's path inside its release (POSIX, as the Hub wants it)."""
    folder = "data" if config == "default" else config
    return f"{folder}/{split}-{index:05d}-of-{count:05d}.parquet"


def locate(release: Path, shard: Shard | Difference) -> Path:
    """Return a shard's path after checking file type and size; the content is not read.

    Raises:
        ReleaseError: no regular file inside the release, or not of the size that the manifest lists.
    """
    return regular(release, shard.path, shard.bytes)


def open_shard(release: Path, shard: Shard) -> pq.ParquetFile:
    """Open a shard (`locate`) by its Parquet footer; raises ReleaseError in one line where that cannot be read."""
    path = locate(release, shard)
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise ReleaseError(f"{path} cannot be read as Parquet: {one_line(error)}") from None


def verify(release: Path, shard: Shard | Difference) -> Path:
    """Return a shard's path (`locate`) after verifying its checksum; raises ReleaseError where it differs."""
    path = locate(release, shard)
    try:
        found = file_digest(path)
    except OSError as error:
        raise ReleaseError(f"{path} cannot be read: {error.strerror}") from None
    if found != shard.sha256:
        raise ReleaseError(f"{path} is damaged: its checksum differs from the one in {FILE_NAME}")
    return path


def read(release: Path, *, unbuilt: bool = False) -> Manifest:
    """Read a release's manifest.

    Args:
        release: its folder.
        unbuilt: whether its images may be differences from photos.

    Raises:
        ReleaseError: no folder, no manifest (an unfinished release), or one that cannot be read; unless `unbuilt`, a
            copy whose images are differences from photos.
    """
    path = release / FILE_NAME
    if not release.is_dir():
        raise ReleaseError(f"expected the folder of a release, got {release}, which is not a folder")
    if not path.is_file():
        raise ReleaseError(
            f"{release} has no {FILE_NAME}: expected a finished release; if its generation was interrupted, "
            "type the same generation.run command again"
        )
    manifest = load_model(Manifest, regular(release, FILE_NAME))
    if not unbuilt and "default" in manifest.unbuilt():
        raise ReleaseError(how_to_rebuild(release, manifest))
    return manifest


def how_to_rebuild(release: Path | str, manifest: Manifest) -> str:
    """Return what a copy holds as differences from photos, and what to type to get it whole."""
    closed = [source for source in manifest.sources if not source.redistribution]
    names, flags = " and ".join(each.name for each in closed), " ".join(f"--{each.role} DIR" for each in closed)
    return (
        f"{release} holds {', '.join(manifest.unbuilt())} as differences from the photos of {names}: with those, "
        f"type `python -m d3s_dataset.rebuild FOLDER {flags}`, where FOLDER is a downloaded copy"
    )


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
    """Return a model as indented JSON with a final newline; NaN is an error."""
    return (json.dumps(model.model_dump(mode="json"), indent=1, allow_nan=False) + "\n").encode()


def verified_fraction(values: Iterable[bool | None]) -> float | None:
    """Return the share of verified rows among annotated ones, or None without any."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
