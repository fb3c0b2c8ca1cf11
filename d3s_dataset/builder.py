"""The `datasets` builder: `D3S(data_dir=...)` for a folder, `D3S(repo_id=...)` for a Hub repo.

A release also loads without this class, by `load_dataset("<folder or org/d3s>")`. The builder is for pipelines
that want one: `download_and_prepare`, `as_dataset`, `as_streaming_dataset`, with configs taken from the manifest.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import hf_hub_download  # pyright: ignore[reportUnknownVariableType] - a bare `dict` or `tqdm` in its signature

from d3s_dataset import manifest as manifests
from d3s_dataset.errors import DatasetNotFound, ReleaseError
from d3s_dataset.schema import CONFIGS, features

_HUB = "hf://"


class D3S(datasets.ArrowBasedBuilder):
    """Builder over a release.

    Args (keywords; those of `datasets.DatasetBuilder`, such as `cache_dir`, are passed on):
        data_dir: the folder of a release.
        repo_id: the Hub repo of a release, instead of `data_dir`.
        revision: branch, tag or commit of that repo.
        config_name: `default` (the default) or another config of the release.

    Raises:
        DatasetNotFound: neither `data_dir` nor `repo_id` was given.
        ReleaseError: the release is unfinished or has no such config.
    """

    BUILDER_CONFIGS = [datasets.BuilderConfig(name=name, description=text) for name, text in CONFIGS.items()]  # noqa: RUF012
    DEFAULT_CONFIG_NAME = "default"

    def __init__(
        self,
        *,
        data_dir: str | Path | None = None,
        repo_id: str | None = None,
        revision: str | None = None,
        config_name: str = "default",
        **kwargs: Any,
    ) -> None:
        if (repo_id is None) == (data_dir is None):
            got = "neither" if repo_id is None else "both"
            raise DatasetNotFound(f"expected D3S(data_dir=FOLDER) or D3S(repo_id='org/d3s'), got {got}")
        self._root, self._manifest = _local(Path(data_dir)) if data_dir else _remote(str(repo_id), revision)
        if config_name in self._manifest.unbuilt():
            raise ReleaseError(manifests.how_to_rebuild(self._root, self._manifest))
        if config_name not in self._manifest.configs():
            has = ", ".join(self._manifest.configs())
            raise ReleaseError(f"{self._root} has no config {config_name!r}; it has {has}")
        # The content digest identifies the prepared copy, so that another release is never used in its place.
        super().__init__(
            dataset_name="d3s", config_name=config_name, hash=self._manifest.digest_of(config_name)[:16], **kwargs
        )

    def _info(self) -> datasets.DatasetInfo:
        return datasets.DatasetInfo(features=features(self._manifest.backgrounds, self.config.name))

    def _split_generators(self, dl_manager: Any) -> list[Any]:
        config = self.config.name
        files = {
            split: [self._find(shard) for shard in self._manifest.select(config, split)]
            for split in self._manifest.splits(config)
        }
        local = dl_manager.download(files)
        return [datasets.SplitGenerator(name=split, gen_kwargs={"files": local[split]}) for split in files]

    def _find(self, shard: manifests.Shard) -> str:
        """Return the path of a shard after checks (`locate`), or its Hub URL."""
        if self._root.startswith(_HUB):
            return f"{self._root}/{shard.path}"
        return str(manifests.locate(Path(self._root), shard))

    # Its parameters are the gen_kwargs above.
    def _generate_tables(self, files: list[str]) -> Iterator[tuple[Any, pa.Table]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        for number, file in enumerate(files):
            with open(file, "rb") as stream:  # noqa: PTH123 - `datasets` swaps `open` for a remote one when streaming
                for part, batch in enumerate(pq.ParquetFile(stream).iter_batches(batch_size=100)):
                    # Tuples in 5.x, any sortable key before: a tuple is both.
                    yield (number, part), pa.Table.from_batches([batch])


def _local(folder: Path) -> tuple[str, manifests.Manifest]:
    return str(folder.resolve()), manifests.read(folder)


def _remote(repo_id: str, revision: str | None) -> tuple[str, manifests.Manifest]:
    path = hf_hub_download(repo_id, manifests.FILE_NAME, repo_type="dataset", revision=revision)
    root = f"{_HUB}datasets/{repo_id}@{revision or 'main'}"
    return root, manifests.load_model(manifests.Manifest, Path(path))
