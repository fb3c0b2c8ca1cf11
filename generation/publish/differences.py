"""Release -> copy without photos that may not be passed on; see `d3s_dataset.hub.differences`."""

from collections.abc import Mapping
from pathlib import Path

from d3s_dataset.errors import ReleaseError
from d3s_dataset.hub.differences import Photos, subtract
from d3s_dataset.identity import file_digest
from d3s_dataset.manifest import Difference, Manifest
from d3s_dataset.utils.cli import progress
from generation.publish.staging import photo_configs


def as_differences(release: Path, manifest: Manifest, roots: Mapping[str, Path | None], folder: Path) -> Manifest:
    """Write the differences of a release's shards with photos to a folder; return the manifest of the copy.

    The release is read only. The same release and photos give the same bytes, so that a push is resumed.

    Args:
        release: folder of the release.
        manifest: its manifest.
        roots: role (`foregrounds`, `backgrounds`) -> folder of the photos that it was made from.
        folder: where the files go, under their paths in the copy.

    Raises:
        ReleaseError: every photo may be passed on, or a role has no folder.
        PhotoError: a photo is missing or cannot be read.
        WriteError: the disk is full.
    """
    photos, configs = Photos(_closed_roots(manifest, roots)), photo_configs(manifest)
    plain, differences = [], []
    wanted = [shard for shard in manifest.shards if shard.config in configs]
    with progress(total=sum(each.bytes for each in wanted), label="subtracting", unit="B", scale=True) as bar:
        for place, shard in enumerate(manifest.shards):
            path = folder / Difference(shard=shard, place=place, bytes=0, sha256="0" * 64).path
            if shard.config in configs and subtract(release, shard, photos, path):
                found = {"bytes": path.stat().st_size, "sha256": file_digest(path)}
                differences.append(Difference(shard=shard, place=place, **found))
                bar.update(shard.bytes)
            else:
                plain.append(shard)
    return manifest.model_copy(update={"shards": plain, "differences": differences})


def _closed_roots(manifest: Manifest, roots: Mapping[str, Path | None]) -> dict[str, Path]:
    """Return the folder of each role whose photos may not be passed on."""
    closed = [source for source in manifest.sources if not source.redistribution]
    if not closed:
        raise ReleaseError("--as-diffs: every photo of this release may be passed on: leave it out")
    found = {source.role: roots.get(source.role) for source in closed}
    for source in closed:
        root = found[source.role]
        if root is None or not root.is_dir():
            got = "none" if root is None else f"{root}, which is not a folder"
            raise ReleaseError(
                f"--as-diffs reads the photos of {source.name}: expected --{source.role} DIR with them, got {got}"
            )
    return {role: root for role, root in found.items() if root is not None}
