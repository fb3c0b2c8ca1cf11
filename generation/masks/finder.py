"""Rows -> masks of their photos, found once per photo and before any guide is composed of it."""

from collections.abc import Callable, Iterable

from PIL import Image

from d3s_dataset.errors import ModelError, PhotoError
from d3s_dataset.utils.cli import progress
from generation.masks.store import MaskStore, is_exact
from generation.planning.plan import Row
from generation.sources.base import ImageSource

Segment = Callable[[Image.Image], tuple[Image.Image, float]]


class MaskFinder:
    """Finds and stores the masks that rows need.

    Args:
        source: the photos, as the recipe's plan names them.
        store: where masks are kept.
        segment: RGB photo -> greyscale mask of its size, and the confidence in it, 0 to 1.
    """

    def __init__(self, source: ImageSource, store: MaskStore, segment: Segment) -> None:
        self._source, self._store, self._segment = source, store, segment
        self._done: set[str] = set()

    def __call__(self, rows: Iterable[Row]) -> None:
        """Find the masks of the rows' photos; a photo that cannot be read is left to the row's own failure.

        Raises:
            ModelError: a mask has another size than its photo.
            WriteError: the cache cannot be written.
        """
        missing = {row.foreground_source: row.box[2] - row.box[0] for row in rows}
        missing = {photo: size for photo, size in missing.items() if photo not in self._done}
        for photo, size in progress(missing.items(), label="masks") if missing else ():
            self._find(photo, size)
            self._done.add(photo)

    def _find(self, photo: str, size: int) -> None:
        try:
            image = self._source.open(photo, size)
        except PhotoError:
            return
        if is_exact(image) or self._store.path(image).is_file():
            return
        mask, confidence = self._segment(image.convert("RGB"))
        if mask.size != image.size:
            raise ModelError(
                f"mask.model {self._store.model} gave a mask of {mask.width} x {mask.height} for photo {photo}: "
                f"expected {image.width} x {image.height}"
            )
        self._store.put(image, mask, confidence)
