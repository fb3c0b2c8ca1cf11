"""Row -> guide -> record: work of the CPU processes before and after the generator."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from d3s_dataset.errors import PhotoError
from generation.images.compose import compose
from generation.planning.plan import Row
from generation.recipe.recipe import Recipe
from generation.screening.checks import failed_screens, screen
from generation.sources.base import ImageSource


@dataclass(frozen=True)
class Failed:
    """Failure of a row: stage and reason."""

    stage: str
    reason: str


Record = dict[str, Any]
Made = Record | Failed
Guide = np.ndarray | Failed


@dataclass(frozen=True)
class Redrawn:
    """One image from the generator: pixels (height, width, 3) uint8, and scores by column."""

    pixels: np.ndarray
    judged: dict[str, Any]


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

    def guide(self, row: Row) -> Image.Image | Failed:
        """Return the guide of a row, or its failure."""
        size = self.recipe.guide.size
        try:
            foreground = self.foregrounds.open(row.foreground_source, row.box[2] - row.box[0])
            return compose(foreground, self._scene(row, size), row.box, size)
        except PhotoError as error:
            return Failed("guide", str(error))

    def _scene(self, row: Row, size: int) -> Image.Image | None:
        if self.backgrounds is None or row.background_source is None:
            return None
        return self.backgrounds.open(row.background_source, size)

    def guides(self, rows: Sequence[Row]) -> list[Guide]:
        """Return the guides of a batch of rows, uint8 (height, width, 3)."""
        guides = [self.guide(row) for row in rows]
        return [each if isinstance(each, Failed) else np.asarray(each) for each in guides]

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
            "strength": settings.strength,
            "guidance_scale": settings.guidance_scale,
        }
        return [
            each
            if isinstance(each, Failed)
            else self._record(row, Image.fromarray(each.pixels), {**made, **each.judged})
            for row, each in zip(rows, images, strict=True)
        ]

    def _record(self, row: Row, image: Image.Image, more: Record) -> Record:
        """Return a row's record (`d3s_dataset.schema.Record`), image encoded and screened."""
        fields = {name: value for name, value in row._asdict().items() if name not in ("split", "box")}
        box = dict(zip(("left", "top", "right", "bottom"), row.box, strict=True))
        stored = {"bytes": self._encode(image), "path": f"{row.key}.{self._suffix}"}
        record = {"image": stored, **fields, "box": box, "generator": None, **more, **screen(image)}
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


def mark_screens(record: Record, recipe: Recipe) -> Record:
    """Return a record with `screen_failed`, the screens that it fails under the recipe's limits."""
    return {**record, "screen_failed": ",".join(failed_screens(record, recipe.screen))}
