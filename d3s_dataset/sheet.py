"""python -m d3s_dataset.sheet DIR --out FILE: a contact sheet, classes down and backgrounds across.

Each cell is the first image of its class and background; one without an image stays white. With --masks the edge of the
object's mask is drawn on each image that has one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from PIL import Image, ImageDraw, ImageFont

from d3s_dataset import manifest as manifests
from d3s_dataset.errors import ReleaseError
from d3s_dataset.load import fetch
from d3s_dataset.schema import lacking
from d3s_dataset.taxonomy import classes
from d3s_dataset.utils.atomic import replacing
from d3s_dataset.utils.cli import Parser, natural_to, run_command, say
from d3s_dataset.utils.outline import outlined
from d3s_dataset.utils.pixels import rgb

_MARGIN = 150  # pixels left of the first column, for the names


def contact_sheet(
    folder: Path,
    config: str,
    split: str,
    rows: int,
    cell: int,
    manifest: manifests.Manifest | None = None,
    masks: bool = False,
) -> Image.Image:
    """Return a contact sheet of one split of a release.

    Args:
        folder: the release.
        config: one of its configs.
        split: one of its splits.
        rows: maximum number of classes.
        cell: side of one image on the sheet, in pixels.
        manifest: that of the release, where it is not written yet.
        masks: draw the edges of the objects' masks.

    Raises:
        ReleaseError: an unfinished release, one without that split, or one without masks that are to be drawn.
    """
    manifest = manifest or manifests.read(folder)
    images = _first_images(folder, manifest, config, split, rows, cell, masks)
    labels = sorted({label for label, _ in images})
    header = 20
    sheet = Image.new("RGB", (_MARGIN + cell * len(manifest.backgrounds), header + cell * len(labels)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for column, name in enumerate(manifest.backgrounds):
        pen.text((_MARGIN + column * cell + 4, 2), name, "black", font)
        for row, label in enumerate(labels):
            if (label, column) in images:
                sheet.paste(images[label, column], (_MARGIN + column * cell, header + row * cell))
    for row, label in enumerate(labels):
        pen.text((4, header + row * cell + cell // 2 - 8), classes()[label].synonym, "black", font)
    return sheet


def shard_sheet(shard: Path, out: Path, columns: int = 10, cell: int = 96, most: int = 400) -> None:
    """Write a contact sheet of one shard's first images in row order: rows of a release cycle through the backgrounds.

    Args:
        shard: a Parquet file of a release.
        out: the picture's file; its folder is made where missing.
        columns: images across.
        cell: side of an image on the sheet, in pixels.
        most: maximum number of images.
    """
    file = pq.ParquetFile(shard)
    shown = min(most, file.metadata.num_rows)
    sheet = Image.new("RGB", (columns * cell, -(-max(shown, 1) // columns) * cell), "white")
    place = 0
    for batch in file.iter_batches(batch_size=100, columns=["key", "image"]):
        for row in batch.to_pylist()[: shown - place]:
            image = _cell(row, cell, shard)
            sheet.paste(image, (place % columns * cell, place // columns * cell))
            place += 1
    with replacing(out) as temporary, temporary.open("wb") as stream:
        sheet.save(stream, "JPEG", quality=88)


def _first_images(
    folder: Path, manifest: manifests.Manifest, config: str, split: str, rows: int, cell: int, masks: bool
) -> dict[tuple[int, int], Image.Image]:
    images: dict[tuple[int, int], Image.Image] = {}
    labels: set[int] = set()
    columns = ["key", "image", "foreground", "background", *(["mask"] if masks else [])]
    for shard in manifest.select(config, split):
        file = manifests.open_shard(folder, shard)
        if masks and "mask" in lacking(file.schema_arrow.names):
            raise ReleaseError(f"--masks: {folder} was made before releases had masks: expected a newer one")
        for batch in file.iter_batches(batch_size=100, columns=columns):
            for row in batch.to_pylist():
                place = (row["foreground"], row["background"])
                if place in images or (len(labels) == rows and row["foreground"] not in labels):
                    continue
                labels.add(row["foreground"])
                images[place] = _cell(row, cell, folder / shard.path)
                if len(images) == rows * len(manifest.backgrounds):
                    return images
    return images


def _cell(row: Mapping[str, Any], side: int, shard: Path) -> Image.Image:
    try:
        image: Mapping[str, Any] = row["image"] or {}
        mask: Mapping[str, Any] = row.get("mask") or {}
        picture = rgb(image.get("bytes")).resize((side, side))
        return outlined(picture, mask.get("bytes"))
    except ValueError as error:
        raise ReleaseError(f"{shard}, row {row['key']}: its image cannot be read: {error}") from None


def parser() -> Parser:
    """Return the command's parser."""
    examples = ("demo/d3s --out sheet.png", "org/d3s --split train --rows 50 --out sheet.jpg")
    about = "Draw a contact sheet of classes x backgrounds."
    parser = Parser("python -m d3s_dataset.sheet", description=about, examples=examples)
    parser.add_argument("release", help="folder or Hub repo such as org/d3s")
    parser.add_argument("--out", type=Path, required=True, help="output image, .png or .jpg")
    parser.add_argument("--config", default="default", help="dataset config")
    parser.add_argument("--split", default="validation", help="dataset split")
    parser.add_argument("--rows", type=natural_to(1000), default=24, help="maximum number of classes")
    parser.add_argument("--masks", action="store_true", help="draw the edges of the objects' masks")
    parser.add_argument("--cell", type=natural_to(1024), default=96, help="cell size in pixels")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the command line, draw the sheet and report its path."""
    args = parser().parse_args(argv)
    folder = fetch(args.release, args.config, args.split)
    sheet = contact_sheet(folder, args.config, args.split, args.rows, args.cell, masks=args.masks)
    try:
        sheet.save(args.out, quality=88)
    except (OSError, ValueError) as error:
        raise ReleaseError(f"--out {args.out}: expected a .png or .jpg that can be written: {error}") from None
    say(f"contact sheet: {args.out}")


if __name__ == "__main__":
    run_command(main)
