"""Release -> rows that can be annotated, and the pictures of the sampled ones.

The guide of a redrawn image lies in the config `guides`; an image that no model has redrawn is its own guide.
"""

import io
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from d3s_dataset import manifest as manifests
from d3s_dataset.errors import VerifyError, one_line
from d3s_dataset.identity import digest
from d3s_dataset.manifest import Manifest, Shard
from d3s_dataset.taxonomy import classes
from d3s_dataset.utils.cli import progress
from d3s_dataset.utils.pixels import eight_bits
from generation.verify.prepare.sampling import Candidate

SPLIT = "validation"
_EXAMPLE = 192  # pixels of an example photo's side
_SIDES = ("left", "top", "right", "bottom")
_MOST_SIDE = 8192  # pixels; Pillow would allocate what a box or a header claims
_COLUMNS = ["key", "foreground", "background", "foreground_source", "box", "generator", "verified"]


@dataclass(frozen=True)
class Origin:
    """Source of a release's pictures: folder, manifest, and the config with the guides."""

    folder: Path
    manifest: Manifest
    guides: str

    @property
    def redrawn(self) -> bool:
        """True if the images are redrawn from guides; else they are guides."""
        return self.guides != "default"


def open_release(folder: Path) -> tuple[Origin, list[Candidate], int]:
    """Return a release's `Origin`, its validation rows with guides, and the number of rows without.

    Raises:
        ReleaseError: no finished release.
        VerifyError: no validation split, images without guides, or a release that is verified already.
    """
    manifest = manifests.read(folder)
    if SPLIT not in manifest.splits():
        raise VerifyError(f"{folder} has no split {SPLIT!r} to verify; it has {', '.join(manifest.splits()) or 'none'}")
    rows = [row for shard in manifest.select("default", SPLIT) for row in _columns(folder, shard, manifest)]
    if any(row["verified"] is not None for row in rows):
        raise VerifyError(f"{folder} is verified already: expected the release that it was made from")
    redrawn = any(row["generator"] is not None for row in rows)
    if redrawn and SPLIT not in manifest.splits("guides"):
        raise VerifyError(
            f"{folder} has no config 'guides' for its redrawn images, and annotators see an image with its guide: "
            "expected a release whose recipe names it under [controls] configs"
            + (", not a copy that left it out" if "guides" in manifest.withheld else "")
        )
    origin = Origin(folder, manifest, "guides" if redrawn else "default")
    known = {row["key"] for shard in manifest.select(origin.guides, SPLIT) for row in _columns(folder, shard, manifest)}
    found = [
        Candidate(
            row["key"],
            row["foreground"],
            row["background"],
            row["foreground_source"],
            tuple(row["box"][side] for side in _SIDES),
        )
        for row in rows
        if row["key"] in known
    ]
    if not found:
        raise VerifyError(f"{folder} has no {SPLIT} image with a guide: expected at least one")
    return origin, found, len(rows) - len(found)


def _columns(folder: Path, shard: Shard, manifest: Manifest) -> list[dict]:
    """Return a shard's rows without their images; raises VerifyError for an invalid row."""
    rows = manifests.open_shard(folder, shard).read(_COLUMNS).to_pylist()
    for number, row in enumerate(rows):
        if wrong := _why_not(row, len(manifest.backgrounds)):
            raise VerifyError(
                f"{folder / shard.path}, row {number}: {wrong}: `python -m d3s_dataset.check {folder}` lists problems"
            )
    return rows


def _why_not(row: dict, backgrounds: int) -> str | None:
    """Return why a row cannot be annotated, or None."""
    for name in ("key", "foreground", "background", "foreground_source", "box"):
        if row[name] is None:
            return f"expected {name}, got null"
    for name, count in (("foreground", len(classes())), ("background", backgrounds)):
        if not 0 <= row[name] < count:
            return f"expected {name} from 0 to {count - 1}, got {row[name]}"
    sides = [row["box"][side] for side in _SIDES]
    if None in sides or not (0 <= sides[0] < sides[2] <= _MOST_SIDE and 0 <= sides[1] < sides[3] <= _MOST_SIDE):
        return f"expected a box ({', '.join(_SIDES)}) with an area above 0, got {sides}"
    return None


def copy_pictures(origin: Origin, config: str, keys: Iterable[str], out: Path) -> dict[str, str]:
    """Write the pictures of some rows of a config into a folder; return key -> file name (a content digest)."""
    wanted, found = set(keys), {}
    for key, content in _stored(origin, config, wanted, "pictures"):
        found[key] = _write(out, *encoded(content, f"{origin.folder}, config {config}, {key}"))
    return found


def encoded(content: bytes, where: str) -> tuple[bytes, str]:
    """Decode and re-encode a picture; return its bytes and suffix.

    So a release's file names and bytes do not decide the type that a browser sees. JPEG keeps its tables (pixels stay
    within about 1/255 per channel), anything else becomes PNG with the same pixels.

    Raises:
        VerifyError: no JPEG, PNG or WebP, or a side above 8192 pixels.
    """
    with _decoded(content, where) as image:
        buffer = io.BytesIO()
        if image.format == "JPEG" and image.mode == "RGB":
            image.save(buffer, "jpeg", quality="keep")
            return buffer.getvalue(), ".jpg"
        eight_bits(image).convert("RGB").save(buffer, "png")
        return buffer.getvalue(), ".png"


@contextmanager
def _decoded(content: bytes, where: str) -> Iterator[Image.Image]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=("JPEG", "PNG", "WEBP")) as image:
                if max(image.size) > _MOST_SIDE:
                    raise VerifyError(f"{where}: expected at most {_MOST_SIDE} pixels per side, got {max(image.size)}")
                image.load()
                yield image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise VerifyError(f"{where}: expected a JPEG, PNG or WebP picture: {one_line(error)}") from None


def copy_examples(
    origin: Origin, rows: Sequence[Candidate], classes: Iterable[int], each: int, out: Path
) -> dict[int, list[str]]:
    """Write up to `each` photos per class, cropped from guides at the box where the photo was pasted.

    Returns:
        class -> file names, of different photos.
    """
    chosen: dict[str, Candidate] = {}
    for label in sorted(set(classes)):
        photos = {row.photo: row for row in sorted(rows, key=lambda row: row.key) if row.foreground == label}
        chosen |= {row.key: row for row in [photos[name] for name in sorted(photos)][:each]}
    found: dict[int, list[str]] = defaultdict(list)
    for key, content in _stored(origin, origin.guides, set(chosen), "examples"):
        row = chosen[key]
        with _decoded(content, f"{origin.folder}, config {origin.guides}, {key}") as guide:
            found[row.foreground].append(save_example(eight_bits(guide).convert("RGB").crop(row.box), out))
    return {label: sorted(set(names)) for label, names in sorted(found.items())}


def save_example(photo: Image.Image, out: Path) -> str:
    """Write a thumbnail of a photo; return its file name."""
    photo = photo.convert("RGB")
    photo.thumbnail((_EXAMPLE, _EXAMPLE))
    buffer = io.BytesIO()
    photo.save(buffer, "jpeg", quality=85)
    return _write(out, buffer.getvalue(), ".jpg")


def _stored(origin: Origin, config: str, wanted: set[str], label: str) -> Iterator[tuple[str, bytes]]:
    """Yield key and bytes of the wanted rows' images; raises VerifyError for a row without one."""
    with progress(total=len(wanted), label=label) as bar:
        for shard in origin.manifest.select(config, SPLIT):
            for batch in manifests.open_shard(origin.folder, shard).iter_batches(100, columns=["key", "image"]):
                for row in batch.to_pylist():
                    if row["key"] in wanted:
                        if row["image"] is None or row["image"]["bytes"] is None:
                            raise VerifyError(f"{origin.folder}, config {config}: the image of {row['key']} is null")
                        yield row["key"], row["image"]["bytes"]
                        bar.update()


def _write(out: Path, content: bytes, suffix: str) -> str:
    """Write a file named by its content digest, so that the name does not identify the row."""
    name = digest(content.hex())[:20] + suffix
    out.mkdir(parents=True, exist_ok=True)
    (out / name).write_bytes(content)  # not atomic: the whole folder is renamed when complete
    return name


def check_found(found: Mapping[str, str], wanted: Iterable[str], config: str) -> None:
    """Raise VerifyError where a listed row has no picture."""
    missing = set(wanted) - found.keys()
    if missing:
        raise VerifyError(f"{len(missing)} rows of config {config!r} have no picture, such as {min(missing)}")
