"""python -m d3s_dataset.rebuild RELEASE --foregrounds DIR: make a release whole that was pushed as differences.

A copy pushed with `generation.push --as-diffs` holds guides and the like as differences from photos
(`d3s_dataset.hub.differences`). With the same photos it becomes the release that was pushed, byte for byte.
"""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from d3s_dataset import manifest as manifests
from d3s_dataset.card import files
from d3s_dataset.errors import D3SError, PhotoError, ReleaseError
from d3s_dataset.hub.differences import Photos, restore
from d3s_dataset.manifest import DIFFERENCES, Difference, Manifest
from d3s_dataset.utils.cli import Parser, progress, run_command, say


def rebuild(release: Path, roots: Mapping[str, Path]) -> Manifest:
    """Make a release whole, in its folder; return its manifest. Shards that are there already are not made again.

    The manifest is written when everything else is there, and the differences are removed last: an interrupted call is
    continued by the next.

    Args:
        release: folder of a copy that was pushed as differences; a whole release is left as it is.
        roots: role (`foregrounds`, `backgrounds`) -> folder of photos.

    Raises:
        PhotoError: names a photo that is missing or another one; all shards without such a photo are made.
        ReleaseError: a damaged file, or photos of a role without a folder.
        WriteError: the disk is full, or the folder cannot be written.
    """
    manifest = manifests.read(release, unbuilt=True)
    if manifest.differences:
        _restore_all(release, manifest.differences, Photos(roots))
        manifest = manifest.whole()
        files.write(release, manifest)
        manifests.write(release, manifest)
    if (release / DIFFERENCES).is_dir() and not (release / DIFFERENCES).is_symlink():
        shutil.rmtree(release / DIFFERENCES)
    return manifest


def _restore_all(release: Path, differences: Sequence[Difference], photos: Photos) -> None:
    failed: list[D3SError] = []
    total = sum(each.bytes for each in differences)
    with progress(total=total, label="rebuilding", unit="B", scale=True) as bar:
        for each in differences:
            try:
                if not _is_there(release, each):
                    restore(release, each, photos)
            except PhotoError as error:
                failed.append(error)
            bar.update(each.bytes)
    if failed:
        more = f"; {len(failed)} of {len(differences)} shards lack a photo" if len(failed) > 1 else ""
        raise PhotoError(f"{failed[0]}{more}: the other shards are made; type the same command again to continue")


def _is_there(release: Path, difference: Difference) -> bool:
    try:
        manifests.verify(release, difference.shard)
    except ReleaseError:
        return False
    return True


def parser() -> Parser:
    """Return the command's parser."""
    about = "Make a release whole that was pushed as differences from photos (generation.push --as-diffs)."
    examples = ("d3s --foregrounds imagenet/train", "d3s --foregrounds imagenet/train --backgrounds places")
    parser = Parser("python -m d3s_dataset.rebuild", description=about, examples=examples)
    parser.add_argument("release", type=Path, help="folder of a downloaded copy, which is changed in place")
    parser.add_argument("--foregrounds", type=Path, metavar="DIR", help="photos of the objects, a subfolder per class")
    parser.add_argument("--backgrounds", type=Path, metavar="DIR", help="photos of the backgrounds, if it needs them")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, rebuild the release and report it."""
    args = parser().parse_args(argv)
    roots = {role: getattr(args, role) for role in ("foregrounds", "backgrounds") if getattr(args, role) is not None}
    for role, root in roots.items():
        if not root.is_dir():
            raise ReleaseError(f"--{role}: expected a folder of photos, got {root}, which is not a folder")
    before = manifests.read(args.release, unbuilt=True)
    manifest = rebuild(args.release, roots)
    made = f"{len(before.differences)} shards made from their differences" if before.differences else "nothing to make"
    say(f"{args.release} is whole: {made}; digest {manifest.digest[:16]}, as released")


if __name__ == "__main__":
    run_command(main)
