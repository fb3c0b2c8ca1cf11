"""Row -> guide -> record: work of the CPU processes before and after the generator."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from d3s_dataset.errors import PhotoError
from d3s_dataset.utils.fidelity import fidelity
from generation.images.compose import Composite, compose, faded, square
from generation.planning.plan import Row
from generation.recipe.recipe import Recipe
from generation.screening.checks import failed_screens, screen
from generation.sources.base import ImageSource


@dataclass(frozen=True)
class Failed:
    """Failure of a row: stage and reason."""

    stage: str
    reason: str


NO_MASK = (
    "has no mask: generator.mode inpaint expects cut-outs, with transparency around the object, or a recipe with [mask]"
)
FULL_MASK = "covers the whole image: generator.mode inpaint has nothing to make around it"
Record = dict[str, Any]
Made = Record | Failed


@dataclass(frozen=True)
class Guide:
    """A guide for the generator, and the confidence in its mask (`Composite`).

    `pixels` are uint8 (height, width, 3), or with the object's mask, 0 or 255, as a fourth channel.
    """

    pixels: np.ndarray
    confidence: float | None = None

    @property
    def mask(self) -> np.ndarray | None:
        """The object's mask, (height, width) bool, if there is one."""
        return self.pixels[..., 3] > 0 if self.pixels.shape[2] > 3 else None


@dataclass(frozen=True)
class Redrawn:
    """One image from the generator: pixels (height, width, 3) uint8, scores by column, its guide if that has a mask."""

    pixels: np.ndarray
    judged: dict[str, Any]
    guide: Guide | None = None


@dataclass(frozen=True)
class Maker:
    """Factory of guides and records, picklable for worker processes.

    Args:
        recipe: image format and generator settings.
        foregrounds: photos of the objects.
        backgrounds: photos of the backgrounds; None where the recipe uses none.
        generator: value of the column `generator`, `model@revision`; None where nothing is redrawn.
    """

    recipe: Recipe
    foregrounds: ImageSource
    backgrounds: ImageSource | None
    generator: str | None = None

    def guide(self, row: Row) -> Composite | Failed:
        """Return the guide of a row and its mask, or its failure."""
        size = self.recipe.guide.size
        try:
            foreground = self.foregrounds.open(row.foreground_source, row.box[2] - row.box[0])
            found = compose(foreground, self._scene(row, size), row.box, size)
        except PhotoError as error:
            return Failed("guide", str(error))
        if self.recipe.generator.keeps_object:
            if found.mask is None:
                return Failed("guide", f"photo {row.foreground_source} {NO_MASK}")
            if found.mask.getextrema() == (255, 255):
                return Failed("guide", f"photo {row.foreground_source} {FULL_MASK}")
        return found

    def _scene(self, row: Row, size: int) -> Image.Image | None:
        if self.backgrounds is None or row.background_source is None:
            return None
        scene = self.backgrounds.open(row.background_source, size)
        severity = self.recipe.severity
        if severity is None or severity.of != "background" or row.severity is None:
            return scene
        return faded(square(scene.convert("RGB"), size), row.severity)

    def guides(self, rows: Sequence[Row]) -> list[Guide | Failed]:
        """Return the guides of a batch of rows, with their masks where a photo has one."""
        guides = [self.guide(row) for row in rows]
        return [each if isinstance(each, Failed) else _stacked(each) for each in guides]

    def guide_records(self, rows: Sequence[Row]) -> list[Made]:
        """Return a batch of records whose images are their guides."""
        guides = zip(rows, (self.guide(row) for row in rows), strict=True)
        return [each if isinstance(each, Failed) else self._record(row, each, {}) for row, each in guides]

    def records(self, rows: Sequence[Row], images: Sequence[Redrawn | Failed]) -> list[Made]:
        """Return a batch of records of redrawn images."""
        settings = self.recipe.generator
        made = {
            "generator": self.generator,
            "scheduler": settings.scheduler,
            "steps": settings.steps,
            "guidance_scale": settings.guidance_scale,
        }
        return [
            each
            if isinstance(each, Failed)
            else self._record(row, _composite(each), {**more, **each.judged, **_measured(each)})
            for row, each in zip(rows, images, strict=True)
            for more in [{**made, "strength": self._strength(row)}]
        ]

    def _strength(self, row: Row) -> float | None:
        """Return the strength that a row was made at; models that edit by instruction have none."""
        return None if self.recipe.generator.mode == "edit" else self.recipe.strength_of(row.severity)

    def _record(self, row: Row, found: Composite, more: Record) -> Record:
        """Return a row's record (`d3s_dataset.schema.Record`), image and mask encoded and screened."""
        image, mask, confidence = found
        fields = {name: value for name, value in row._asdict().items() if name not in ("split", "box")}
        box = dict(zip(("left", "top", "right", "bottom"), row.box, strict=True))
        stored = {"bytes": self._encode(image), "path": f"{row.key}.{self._suffix}"}
        shape = None if mask is None else {"bytes": _encode_mask(mask), "path": f"{row.key}.mask.png"}
        record = {"image": stored, **fields, "box": box, "mask": shape, "generator": None, **more, **screen(image)}
        record["mask_confidence"] = confidence
        return mark_screens(record, self.recipe)

    @property
    def _suffix(self) -> str:
        return {"jpeg": "jpg", "png": "png"}[self.recipe.image.format]

    def _encode(self, image: Image.Image) -> bytes:
        buffer = io.BytesIO()
        # 4:4:4 keeps the edge of a red object on grass.
        jpeg = {"quality": self.recipe.image.quality, "subsampling": 0}
        image.save(buffer, self.recipe.image.format, **(jpeg if self.recipe.image.format == "jpeg" else {}))
        return buffer.getvalue()


def _stacked(guide: Composite) -> Guide:
    """Return a guide's pixels, with its mask as fourth channel if it has one."""
    pixels = np.asarray(guide.image)
    if guide.mask is not None:
        pixels = np.dstack([pixels, np.asarray(guide.mask.convert("L"))])
    return Guide(pixels, guide.confidence)


def _composite(redrawn: Redrawn) -> Composite:
    image, guide = Image.fromarray(redrawn.pixels), redrawn.guide
    mask = None if guide is None else guide.mask
    return Composite(image, None if mask is None else Image.fromarray(mask), guide and guide.confidence)


def _measured(redrawn: Redrawn) -> Record:
    """Return the columns `fidelity_*` of an image, null where nothing says which pixels are the object's."""
    guide, mask = redrawn.guide, None if redrawn.guide is None else redrawn.guide.mask
    return {} if guide is None or mask is None else fidelity(redrawn.pixels, guide.pixels[..., :3], mask)


def _encode_mask(mask: Image.Image) -> bytes:
    buffer = io.BytesIO()
    mask.save(buffer, "png")
    return buffer.getvalue()


def mark_screens(record: Record, recipe: Recipe) -> Record:
    """Return a record with `screen_failed`, the screens that it fails under the recipe's limits."""
    return {**record, "screen_failed": ",".join(failed_screens(record, recipe.screen))}
