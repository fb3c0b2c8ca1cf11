"""Compare images with their guides: whether objects were kept pixel for pixel, and the columns `fidelity_*`."""

import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from d3s_dataset.manifest import Manifest, Shard, open_shard
from d3s_dataset.schema import lacking
from d3s_dataset.utils.fidelity import fidelity

_BLOCK = 8  # side of JPEG's blocks: without subsampling, equal pixels of a whole block are decoded to equal pixels
_READ = 64  # rows decoded at a time
# Fidelity is measured before an image is encoded: by how much it may differ afterwards, without loss and in JPEG of a
# high quality. On drawn guides, noise and blurs JPEG of quality 90 moves it by 0.07, 4.6 and 3 at most; lower ones by
# anything, and are not compared.
_APART = {"fidelity_ssim": (1e-3, 0.1), "fidelity_colour": (1e-2, 6.0), "fidelity_seam": (1e-3, 4.0)}
_HIGH = 90  # quality
_COLUMNS = ("key", "image", "mask", "generator", *_APART)


def check_kept(folder: Path, manifest: Manifest) -> Iterator[str]:
    """Yield one line per image that does not stand to its guide as its row claims; none for a release without guides.

    In a release of mode inpaint the objects are those of the guides: images in PNG are compared under the whole mask;
    of JPEG images those blocks are compared that lie under the mask entirely, which are encoded from the same pixels
    and so decoded to the same ones. In releases of all modes the fidelity is measured again, but for JPEG of a low
    quality.

    Args:
        folder: of a release whose files are whole.
        manifest: its manifest.
    """
    images = _shards(manifest, "default")
    keys = [set(_keys(folder, shard)) for shard in images]
    for each in _shards(manifest, "guides"):
        guides = _guides(folder, each)
        for shard in (shard for shard, own in zip(images, keys, strict=True) if own & guides.keys()):
            yield from (f"{shard.path}: {text}" for text in _check_shard(folder, shard, guides, manifest))


def _shards(manifest: Manifest, config: str) -> list[Shard]:
    return [shard for split in manifest.splits(config) for shard in manifest.select(config, split)]


def _keys(folder: Path, shard: Shard) -> list[str]:
    return open_shard(folder, shard).read(["key"])["key"].to_pylist()


def _guides(folder: Path, shard: Shard) -> dict[str, bytes]:
    """Return the encoded guides of a shard by key."""
    batches = open_shard(folder, shard).iter_batches(_READ, columns=["key", "image"])
    return {row["key"]: row["image"]["bytes"] for batch in batches for row in batch.to_pylist()}


def _check_shard(folder: Path, shard: Shard, guides: Mapping[str, bytes], manifest: Manifest) -> Iterator[str]:
    file = open_shard(folder, shard)
    older = lacking(file.schema_arrow.names)
    for batch in file.iter_batches(_READ, columns=[name for name in _COLUMNS if name not in older]):
        for row in batch.to_pylist():
            if row["generator"] is not None and row["key"] in guides:
                yield from (f"row {row['key']}: {text}" for text in _check_row(row, guides[row["key"]], manifest))


def _check_row(row: Mapping[str, Any], guide: bytes, manifest: Manifest) -> Iterator[str]:
    kept = manifest.recipe["generator"].get("mode") == "inpaint"
    if row.get("mask") is None:
        if kept:
            yield "its object was kept and its mask is null"
        return
    lossy = manifest.recipe["image"]["format"] != "png"
    coarse = lossy and manifest.recipe["image"]["quality"] < _HIGH
    claims = {name: row[name] for name in _APART if row.get(name) is not None and not coarse}
    if kept or claims:
        image, given, mask = (_pixels(each) for each in (row["image"]["bytes"], guide, row["mask"]["bytes"]))
        if kept:
            yield from _differ(image, given, mask, _BLOCK if lossy else 1)
        if claims:
            yield from _moved(claims, fidelity(image, given, mask), lossy)


def _differ(image: np.ndarray, guide: np.ndarray, mask: np.ndarray, block: int) -> Iterator[str]:
    """Yield what an image has under its mask that its guide has not."""
    inside = _whole_blocks(mask, block)
    other = int(((image != guide).any(axis=2) & inside).sum())
    if other:
        yield f"{other} of the {int(inside.sum())} pixels of its object differ from its guide's"


def _moved(claims: Mapping[str, float], found: Mapping[str, float], lossy: bool) -> Iterator[str]:
    for name, claimed in claims.items():
        if not abs(claimed - found[name]) <= _APART[name][lossy]:
            yield f"{name} is {claimed:.4g}, its image and guide have {found[name]:.4g}"


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
