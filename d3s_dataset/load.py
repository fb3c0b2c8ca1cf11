"""Loading of a release by name: a local folder, or a dataset repo on the Hub.

`d3s` is the folder `./d3s` if it exists, else the Hub repo named by the variable `D3S_REPO`. There is no silent
fallback: if neither exists, the error names the command to type.
"""

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from d3s_dataset import manifest as manifests
from d3s_dataset.errors import DatasetNotFound, ReleaseError, did_you_mean, one_line
from d3s_dataset.manifest import locate, shard_path
from d3s_dataset.schema import default_columns

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

    _Data = Dataset | DatasetDict | IterableDataset | IterableDatasetDict

DEFAULT = "d3s"
REPO_VARIABLE = "D3S_REPO"


@dataclass(frozen=True)
class Location:
    """Location of a release: a local `folder`, or a Hub `repo` (exactly one of them is set)."""

    folder: Path | None = None
    repo: str | None = None

    def __str__(self) -> str:
        return str(self.folder or self.repo)


def resolve(dataset: str | Path = DEFAULT) -> Location:
    """Return the location of a release.

    Raises:
        DatasetNotFound: no folder of that name and no Hub name either.
    """
    name = str(dataset)
    if Path(name).is_dir():
        return Location(folder=Path(name))
    if name == DEFAULT:
        repo = os.environ.get(REPO_VARIABLE)
        if not repo:
            raise DatasetNotFound(
                f"no data set found: there is no folder ./{DEFAULT} here and {REPO_VARIABLE} is not set; make one with "
                f"`python -m generation.run --recipe sample --out {DEFAULT}`, or name a folder or Hub repo"
            )
        return Location(repo=repo)
    if name.count("/") == 1 and not name.startswith((".", "/", "~")) and not name.endswith("/"):
        return Location(repo=name)
    raise DatasetNotFound(f"no data set found: expected a folder or a Hub repo `org/name`, got {name!r}{_near(name)}")


def _near(name: str) -> str:
    """Return a suggestion for errors if a folder of a similar name holds a release; else nothing."""
    path = Path(name)
    try:
        there = [each.name for each in path.parent.iterdir() if manifests.is_finished(each)]
    except OSError:
        there = []
    found = difflib.get_close_matches(path.name, there, 1)
    return f" (did you mean {path.parent / found[0]}?)" if found else ""


def load(
    dataset: str | Path = DEFAULT,
    split: str | None = None,
    config: str = "default",
    *,
    columns: Sequence[str] | Literal["all"] | None = None,
    streaming: bool = False,
    revision: str | None = None,
) -> "_Data":
    """Load a release with `datasets.load_dataset`.

    `load(...).with_format("torch")` goes into a `torch.utils.data.DataLoader` as it is, without a collate function.

    Args:
        dataset: `d3s`, a folder, or a Hub repo.
        split: `train`, `validation`, ...; None gives all as a dict.
        config: `default`, or one of the release's others.
        columns: names, in the order wanted; `all` for every column; None for those that are never null
            (`schema.default_columns`): a batch of tensors cannot hold a null.
        streaming: read rows on the fly instead of from a prepared copy.
        revision: branch, tag or commit of a Hub repo.

    Raises:
        DatasetNotFound: no release of that name.
        ReleaseError: the folder is unfinished, or has no such config, split or column.
    """
    from datasets import load_dataset

    wanted = default_columns(config) if columns is None else columns
    location = resolve(dataset)
    parts = [] if split is None else [part.strip() for part in split.split("+")]
    options: dict[str, Any] = {"split": "+".join(parts) or None, "streaming": streaming}
    if location.folder is None:
        try:
            data = load_dataset(str(location.repo), config, revision=revision, **options)
        except (ValueError, FileNotFoundError):  # no such config, or no file that it can read
            _refuse_unbuilt(str(location.repo), config, revision)
            raise
        return _select(data, wanted, location)
    has = _check_config(location.folder, config)
    for part in parts:
        _check_split(location.folder, has, config, part.split("[")[0])
    folder = location.folder.resolve()
    files = {
        part: [escape(str(locate(folder, each))) for each in has.select(config, part)] for part in has.splits(config)
    }
    # The manifest's files, not those that the folder's card or a script names.
    return _select(load_dataset("parquet", config, data_files=files, **options), wanted, location)


def _refuse_unbuilt(repo: str, config: str, revision: str | None) -> None:
    """Raise ReleaseError where a Hub repo holds a config as differences from photos."""
    manifest = manifests.read(_download(repo, [manifests.FILE_NAME], revision), unbuilt=True)
    if config in manifest.unbuilt():
        raise ReleaseError(manifests.how_to_rebuild(repo, manifest))


def _select(data: "_Data", columns: Sequence[str], location: Location) -> "_Data":
    """Return a data set, or a dict of its splits, with some of its columns.

    Raises:
        ReleaseError: it has no such column.
    """
    if columns == "all":
        return data
    names = [columns] if isinstance(columns, str) else list(columns)
    first = next(iter(data.values())) if isinstance(data, dict) else data
    there = list(first.features or ())
    for name in names:
        if name not in there:
            near = did_you_mean(difflib.get_close_matches(name, there, 1))
            raise ReleaseError(f"{location} has no column {name!r}; it has {', '.join(there)}{near}")
    return data.select_columns(names)


def fetch(dataset: str | Path, config: str, split: str, revision: str | None = None) -> Path:
    """Return a local folder that holds the manifest and one split of a release, downloading what is missing.

    Raises:
        DatasetNotFound: nothing lies under that name, or the Hub cannot be reached.
        ReleaseError: the release is unfinished, or has no such config or split.
    """
    location = resolve(dataset)
    shards = shard_path(config, split, 0, 0).replace("00000-of-00000", "*")
    folder = location.folder or _download(str(location.repo), [manifests.FILE_NAME, shards], revision)
    check_split(folder, config, split)
    return folder


def fetch_all(dataset: str | Path, revision: str | None = None) -> Path:
    """Return a local folder that holds a whole release, downloading it where it lies on the Hub.

    Raises:
        DatasetNotFound: nothing lies under that name, or the Hub cannot be reached.
    """
    location = resolve(dataset)
    return location.folder or _download(str(location.repo), None, revision)


def check_split(folder: Path, config: str, split: str) -> manifests.Manifest:
    """Return the manifest of a folder that has this split of this config, else raise ReleaseError."""
    manifest = _check_config(folder, config)
    _check_split(folder, manifest, config, split)
    return manifest


def _check_config(folder: Path, config: str) -> manifests.Manifest:
    manifest = manifests.read(folder)
    if config in manifest.unbuilt():
        raise ReleaseError(manifests.how_to_rebuild(folder, manifest))
    if config not in manifest.configs():
        raise ReleaseError(f"{folder} has no config {config!r}; it has {', '.join(manifest.configs()) or 'none'}")
    return manifest


def _check_split(folder: Path, manifest: manifests.Manifest, config: str, split: str) -> None:
    if split not in manifest.splits(config):
        raise ReleaseError(f"{folder} has no split {split!r}; it has {', '.join(manifest.splits(config))}")


def _download(repo: str, patterns: list[str] | None, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download  # pyright: ignore[reportUnknownVariableType] - a bare `dict` or `tqdm` in its signature
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    nowhere = f"there is no folder {repo}{_near(repo)}, and"
    try:
        return Path(snapshot_download(repo, repo_type="dataset", revision=revision, allow_patterns=patterns))
    except RepositoryNotFoundError:
        raise DatasetNotFound(f"{nowhere} no data set repo {repo!r} on the Hub (if private: `hf auth login`)") from None
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        raise DatasetNotFound(f"{nowhere} the Hub repo {repo!r} cannot be reached: {one_line(error)}") from None
