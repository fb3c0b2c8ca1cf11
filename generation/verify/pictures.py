"""A release -> the rows that can be asked about, and the pictures of those that are.

The guide of a redrawn image lies in the config `guides`; an image that no model has redrawn is its own guide.
"""

import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from d3s_dataset import manifest as manifests
from d3s_dataset.command import progress
from d3s_dataset.errors import VerifyError
from d3s_dataset.identity import digest
from d3s_dataset.manifest import Manifest, Shard
from generation.verify.draw import Candidate

SPLIT = "validation"
_EXAMPLE = 192  # pixels of an example photo's side
_COLUMNS = ["key", "foreground", "background", "foreground_source", "box", "generator", "verified"]


@dataclass(frozen=True)
class Origin:
    """Where the pictures of a release are: its folder, its manifest, and the config that holds the guides."""

    folder: Path
    manifest: Manifest
    guides: str

    @property
    def redrawn(self) -> bool:
        """Whether images have guides beside them; else they are guides."""
        return self.guides != "default"


def open_release(folder: Path) -> tuple[Origin, list[Candidate], int]:
    """Return where a release's pictures are, its validation rows with guides, and how many have none.

    Raises:
        ReleaseError: no finished release.
        VerifyError: no validation split, images without guides, or people have voted already.
    """
    manifest = manifests.read(folder)
    if SPLIT not in manifest.splits():
        raise VerifyError(f"{folder} has no split {SPLIT!r} to verify; it has {', '.join(manifest.splits()) or 'none'}")
    rows = [row for shard in manifest.select("default", SPLIT) for row in _columns(folder, shard)]
    if any(row["verified"] is not None for row in rows):
        raise VerifyError(f"people have voted on {folder} already: expected the release that it was made from")
    redrawn = any(row["generator"] is not None for row in rows)
    if redrawn and SPLIT not in manifest.splits("guides"):
        raise VerifyError(
            f"{folder} has no config 'guides' for its redrawn images, and people judge an image beside its guide: "
            "expected a release whose recipe names it under [controls] configs"
            + (", not a copy that left it out" if "guides" in manifest.withheld else "")
        )
    origin = Origin(folder, manifest, "guides" if redrawn else "default")
    known = {row["key"] for shard in manifest.select(origin.guides, SPLIT) for row in _columns(folder, shard)}
    found = [
        Candidate(
            row["key"],
            row["foreground"],
            row["background"],
            row["foreground_source"],
            tuple(row["box"][side] for side in ("left", "top", "right", "bottom")),
        )
        for row in rows
        if row["key"] in known
    ]
    if not found:
        raise VerifyError(f"{folder} has no {SPLIT} image with a guide: expected at least one to ask about")
    return origin, found, len(rows) - len(found)


def _columns(folder: Path, shard: Shard) -> list[dict]:
    return manifests.open_shard(folder, shard).read(_COLUMNS).to_pylist()


def copy_pictures(origin: Origin, config: str, keys: Iterable[str], out: Path) -> dict[str, str]:
    """Write the pictures of some rows of a config into a folder; return each key's file name, made from its content."""
    wanted, found = set(keys), {}
    for key, content, suffix in _stored(origin, config, wanted, "pictures"):
        found[key] = _write(out, content, suffix)
    return found


def copy_examples(
    origin: Origin, rows: Sequence[Candidate], classes: Iterable[int], each: int, out: Path
) -> dict[int, list[str]]:
    """Write up to `each` photos of every class, cut from guides at the box where the photo was pasted.

    Returns:
        class -> file names, of different photos where there are as many.
    """
    chosen: dict[str, Candidate] = {}
    for label in sorted(set(classes)):
        photos = {row.photo: row for row in sorted(rows, key=lambda row: row.key) if row.foreground == label}
        chosen |= {row.key: row for row in [photos[name] for name in sorted(photos)][:each]}
    found: dict[int, list[str]] = defaultdict(list)
    for key, content, _ in _stored(origin, origin.guides, set(chosen), "examples"):
        row = chosen[key]
        with Image.open(io.BytesIO(content)) as guide:
            found[row.foreground].append(save_example(guide.convert("RGB").crop(row.box), out))
    return {label: sorted(set(names)) for label, names in sorted(found.items())}


def save_example(photo: Image.Image, out: Path) -> str:
    """Write a small copy of a photo; return its file name."""
    photo = photo.convert("RGB")
    photo.thumbnail((_EXAMPLE, _EXAMPLE))
    buffer = io.BytesIO()
    photo.save(buffer, "jpeg", quality=85)
    return _write(out, buffer.getvalue(), ".jpg")


def _stored(origin: Origin, config: str, wanted: set[str], label: str) -> Iterator[tuple[str, bytes, str]]:
    """Yield key, bytes and suffix of the wanted rows' images."""
    with progress(total=len(wanted), label=label) as bar:
        for shard in origin.manifest.select(config, SPLIT):
            for batch in manifests.open_shard(origin.folder, shard).iter_batches(100, columns=["key", "image"]):
                for row in batch.to_pylist():
                    if row["key"] in wanted:
                        yield row["key"], row["image"]["bytes"], Path(row["image"]["path"]).suffix
                        bar.update()


def _write(out: Path, content: bytes, suffix: str) -> str:
    """Write a file under a name made from its content, so that the name says nothing about the row."""
    name = digest(content.hex())[:20] + suffix
    out.mkdir(parents=True, exist_ok=True)
    (out / name).write_bytes(content)  # the whole folder appears at once, when all is there
    return name


def check_found(found: Mapping[str, str], wanted: Iterable[str], config: str) -> None:
    """Raise VerifyError where a row that was listed has no picture."""
    missing = set(wanted) - found.keys()
    if missing:
        raise VerifyError(f"{len(missing)} rows of config {config!r} have no picture, such as {min(missing)}")
