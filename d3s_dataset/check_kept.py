"""Check that the objects of an inpainted release are those of its guides, pixel for pixel."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from d3s_dataset.manifest import Manifest, Shard, open_shard

_BLOCK = 8  # side of JPEG's blocks: without subsampling, equal pixels of a whole block are decoded to equal pixels
_READ = 64  # rows decoded at a time


def check_kept(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Yield one line per image whose object differs from its guide's; nothing where the release has no guides.

    Images in PNG are compared under the whole mask. Of JPEG images those blocks are compared that lie under the mask
    entirely, which are encoded from the same pixels and so decoded to the same ones.

    Args:
        folder: of a release whose files are whole.
        manifest: its manifest.
    """
    if manifest.recipe["generator"].get("mode") != "inpaint":
        return
    block = 1 if manifest.recipe["image"]["format"] == "png" else _BLOCK
    images = _shards(manifest, "default")
    keys = [set(_keys(folder, shard)) for shard in images]
    for each in _shards(manifest, "guides"):
        guides = _guides(folder, each)
        for shard in (shard for shard, own in zip(images, keys, strict=True) if own & guides.keys()):
            yield from (f"{shard.path}: {text}" for text in _check_shard(folder, shard, guides, block))


def _shards(manifest: Manifest, config: str) -> list[Shard]:
    return [shard for split in manifest.splits(config) for shard in manifest.select(config, split)]


def _keys(folder: Path, shard: Shard) -> list[str]:
    return open_shard(folder, shard).read(["key"])["key"].to_pylist()


def _guides(folder: Path, shard: Shard) -> dict[str, bytes]:
    """Return the encoded guides of a shard by key."""
    batches = open_shard(folder, shard).iter_batches(_READ, columns=["key", "image"])
    return {row["key"]: row["image"]["bytes"] for batch in batches for row in batch.to_pylist()}


def _check_shard(folder: Path, shard: Shard, guides: Mapping[str, bytes], block: int) -> Iterator[str]:
    for batch in open_shard(folder, shard).iter_batches(_READ, columns=["key", "image", "mask", "generator"]):
        for row in batch.to_pylist():
            if row["generator"] is not None and row["key"] in guides:
                yield from (f"row {row['key']}: {text}" for text in _differ(row, guides[row["key"]], block))


def _differ(row: Mapping[str, Any], guide: bytes, block: int) -> Iterator[str]:
    """Yield what a row's image has under its mask that its guide has not."""
    if row["mask"] is None:
        yield "its object was kept and its mask is null"
        return
    image, given = (_pixels(content) for content in (row["image"]["bytes"], guide))
    inside = _whole_blocks(_pixels(row["mask"]["bytes"]) > 0, block)
    other = int(((image != given).any(axis=2) & inside).sum())
    if other:
        yield f"{other} of the {int(inside.sum())} pixels of its object differ from its guide's"


def _whole_blocks(mask: np.ndarray, block: int) -> np.ndarray:
    """Return an (n, n) mask without the blocks that it covers in part; a rest at the right and below is left out."""
    n = len(mask) // block
    covered = mask[: n * block, : n * block].reshape(n, block, n, block).all(axis=(1, 3))
    whole = np.zeros_like(mask)
    whole[: n * block, : n * block] = covered.repeat(block, 0).repeat(block, 1)
    return whole


def _pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image)
