"""The files of a release that describe it: card, Croissant metadata, contact sheet, citation."""

import io
from collections.abc import Iterable
from pathlib import Path

from d3s_dataset.card import croissant, render
from d3s_dataset.card.statistics import count
from d3s_dataset.errors import ReleaseError
from d3s_dataset.manifest import Manifest, open_shard
from d3s_dataset.schema import lacking
from d3s_dataset.sheet import contact_sheet
from d3s_dataset.utils.atomic import write_atomic
from d3s_dataset.utils.paths import regular
from d3s_dataset.utils.pixels import rgb

CITATION = "CITATION.cff"
NAMES = (CITATION, render.FILE_NAME, croissant.FILE_NAME, render.SHEET)
_ROWS, _CELL = 12, 96  # classes on the sheet; pixels of a cell's side


def describe(folder: Path, manifest: Manifest, *, gated: bool = False) -> dict[str, bytes]:
    """Return the describing files by name, computed from the shards in a folder.

    Of a copy whose images are differences from photos there is no sheet, which would show them, and no metadata of
    files to read.

    Args:
        folder: where the shards of the manifest are, those that it lists as differences included.
        manifest: the manifest that is or will be next to the files.
        gated: whether the card has the terms of a gated repo.

    Raises:
        ReleaseError: a shard that cannot be read.
    """
    described = {
        CITATION: render.shipped_file(CITATION).read_bytes(),
        render.FILE_NAME: render.render(manifest, count(folder, manifest.whole()), gated=gated).encode(),
    }
    if "default" in manifest.unbuilt():
        return described
    data = croissant.to_bytes(manifest, _older(folder, manifest))
    return described | {croissant.FILE_NAME: data, render.SHEET: _sheet(folder, manifest)}


def _older(folder: Path, manifest: Manifest) -> tuple[str, ...]:
    """Return the columns that a release of an earlier version lacks."""
    return lacking(open_shard(folder, manifest.shards[0]).schema_arrow.names) if manifest.shards else ()


def write(folder: Path, manifest: Manifest) -> None:
    """Write the describing files of a release whose shards are in the folder; raises ReleaseError as `describe`."""
    for name, content in describe(folder, manifest).items():
        write_atomic(folder / name, content)


def _sheet(folder: Path, manifest: Manifest) -> bytes:
    """Return the contact sheet as JPEG: validation, or the first split of a release without it."""
    splits = sorted(manifest.splits(), key=lambda name: (name != "validation", not manifest.rows("default", name)))
    sink = io.BytesIO()
    contact_sheet(folder, "default", splits[0], _ROWS, _CELL, manifest).save(sink, "JPEG", quality=88)
    return sink.getvalue()


def check(folder: Path, manifest: Manifest) -> Iterable[str]:
    """Compare what the card links to, and the Croissant metadata, with the release; yield one line per problem.

    A card of an older version links to none of these files: a release without them is no problem then.
    """
    card = folder / render.FILE_NAME
    linked = render.linked(card.read_text(encoding="utf-8", errors="replace")) if card.is_file() else []
    for name in dict.fromkeys(linked):
        try:
            path = regular(folder, name)
            if name == render.SHEET:
                rgb(path.read_bytes())
            elif name == croissant.FILE_NAME and path.read_bytes() != croissant.to_bytes(
                manifest, _older(folder, manifest)
            ):
                yield f"{name}: differs from what the manifest gives"
        except (ReleaseError, ValueError, OSError) as error:
            yield f"{name}: {error}"
