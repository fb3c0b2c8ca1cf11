"""Staging for the Hub: selection of configs and files, with checksums. The release folder is read-only.

Guides and controls contain photos. Where a source does not allow redistribution, they are not uploaded, or as
differences from the photos only, and the uploaded manifest and card state it.
"""

from dataclasses import dataclass
from pathlib import Path

from d3s_dataset import manifest as manifests
from d3s_dataset.card import files as describing
from d3s_dataset.card import render as card
from d3s_dataset.errors import ReleaseError
from d3s_dataset.hub.repo import File, file_of
from d3s_dataset.manifest import Manifest, Shard, to_json
from d3s_dataset.utils.cli import progress
from d3s_dataset.utils.paths import regular

METADATA = (*describing.NAMES, manifests.FILE_NAME)


@dataclass(frozen=True)
class Staged:
    """A release as it will be in the repo."""

    manifest: Manifest
    files: dict[str, File]


def photo_configs(manifest: Manifest) -> list[str]:
    """Return the configs that show photos which may not be passed on, by the licences of the sources.

    Guides and controls do. The images do where they are guides, or where the object was not redrawn with the rest. A
    mask is an outline without a pixel of its photo: it does not close its config.
    """
    closed = {source.role for source in manifest.sources if not source.redistribution}
    redrawn = manifest.kind != "guides" and manifest.recipe["generator"].get("mode", "redraw") == "redraw"
    shown = closed if manifest.kind == "guides" else closed & (set() if redrawn else {"foregrounds"})
    return [name for name in manifest.configs() if closed and name != "votes" and (shown or name != "default")]


def withheld(manifest: Manifest, with_guides: bool) -> list[str]:
    """Return the configs to withhold, by the licences of the sources.

    Raises:
        ReleaseError: the images themselves show such photos.
    """
    found = [] if with_guides else photo_configs(manifest)
    if "default" in found:
        why = "no model has redrawn the images" if manifest.kind == "guides" else "photos of objects show in the images"
        raise ReleaseError(
            f"{why} of this release, and the licence of {card.closed_sources(manifest)} does not allow passing photos "
            "on: pass --with-guides if you may, else --as-diffs"
        )
    return found


def outgoing(manifest: Manifest, with_guides: bool) -> Manifest:
    """Return the manifest to upload; raises ReleaseError like `withheld`."""
    left_out = withheld(manifest, with_guides)
    kept = [shard for shard in manifest.shards if shard.config not in left_out]
    return manifest.model_copy(update={"shards": kept, "withheld": left_out})


def stage(release: Path, manifest: Manifest, gated: bool, differences: Path | None = None) -> Staged:
    """Return the files to upload, after verifying each shard.

    Args:
        release: folder of the release.
        manifest: manifest to upload (`outgoing`, or `as_differences`).
        gated: whether the card has the fields of a gated repo.
        differences: folder of the files that the manifest lists as differences.

    Raises:
        ReleaseError: a shard is missing, or differs from the manifest.
    """
    files = _verified(release, manifest.shards)
    if differences is not None:
        files += [File(each.path, differences / each.path, each.bytes, each.sha256) for each in manifest.differences]
    contents = describing.describe(release, manifest, gated=gated) | {manifests.FILE_NAME: to_json(manifest)}
    if (release / describing.CITATION).exists():  # a symlink out of the release could upload a private file
        contents[describing.CITATION] = regular(release, describing.CITATION).read_bytes()
    files += [file_of(name, text) for name, text in contents.items()]
    return Staged(manifest, {file.path: file for file in files})


def _verified(release: Path, shards: list[Shard]) -> list[File]:
    with progress(total=sum(shard.bytes for shard in shards), label="verifying", unit="B", scale=True) as bar:
        found = []
        for shard in shards:
            found.append(_verify(release, shard))
            bar.update(shard.bytes)
    return found


def _verify(release: Path, shard: Shard) -> File:
    try:
        return File(shard.path, manifests.verify(release, shard), shard.bytes, shard.sha256)
    except ReleaseError as error:
        raise ReleaseError(f"{error}; nothing was sent") from None
