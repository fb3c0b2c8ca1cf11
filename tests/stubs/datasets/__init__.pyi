"""Types of the part of `datasets` that this project uses; `datasets` has none of its own."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, overload

from datasets.features import ClassLabel as ClassLabel
from datasets.features import Features as Features
from datasets.features import Image as Image
from datasets.features import Value as Value

_T = TypeVar("_T")

class Dataset:
    features: Features
    column_names: list[str]
    @property
    def num_rows(self) -> int: ...
    def cast_column(self, column: str, feature: Any) -> Self: ...
    def select_columns(self, column_names: str | Sequence[str]) -> Self: ...
    def __getitem__(self, key: Any) -> Any: ...
    def __iter__(self) -> Iterator[dict[str, Any]]: ...
    def __len__(self) -> int: ...

class IterableDataset:
    features: Features | None
    column_names: list[str] | None
    def cast_column(self, column: str, feature: Any) -> Self: ...
    def select_columns(self, column_names: str | Sequence[str]) -> Self: ...
    def __iter__(self) -> Iterator[dict[str, Any]]: ...

class DatasetDict(dict[str, Dataset]):
    def select_columns(self, column_names: str | Sequence[str]) -> Self: ...

class IterableDatasetDict(dict[str, IterableDataset]):
    def select_columns(self, column_names: str | Sequence[str]) -> Self: ...

@overload
def load_dataset(path: str, *, split: str, streaming: Literal[False] = False) -> Dataset: ...
@overload
def load_dataset(
    path: str,
    name: str | None = None,
    *,
    data_files: Mapping[str, Sequence[str]] | None = None,
    revision: str | None = None,
    split: str | None = None,
    streaming: bool = False,
) -> Dataset | DatasetDict | IterableDataset | IterableDatasetDict: ...

class BuilderConfig:
    name: str
    description: str | None
    def __init__(self, name: str = "default", description: str | None = None) -> None: ...

class DatasetInfo:
    def __init__(self, features: Features | None = None) -> None: ...

class SplitGenerator:
    def __init__(self, name: str, gen_kwargs: Mapping[str, Any]) -> None: ...

class DownloadManager:
    def download(self, url_or_urls: _T) -> _T: ...

class ArrowBasedBuilder:
    BUILDER_CONFIGS: list[BuilderConfig]
    DEFAULT_CONFIG_NAME: str | None
    config: BuilderConfig
    def __init__(
        self,
        cache_dir: str | Path | None = None,
        *,
        dataset_name: str | None = None,
        config_name: str | None = None,
        hash: str | None = None,
        **kwargs: Any,
    ) -> None: ...
    def _info(self) -> DatasetInfo: ...
    def _split_generators(self, dl_manager: Any) -> list[Any]: ...
    def _generate_tables(self, **kwargs: Any) -> Iterator[tuple[Any, Any]]: ...
