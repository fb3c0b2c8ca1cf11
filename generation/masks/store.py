"""Found masks on disk, and the photo source that turns photos into cut-outs with them.

    CACHE/masks/<model>/<digest of the photo's pixels>.png      CACHE is $D3S_CACHE, else d3s in the user's cache folder

A mask is a greyscale PNG of the photo's size, white where the object is, its confidence in the PNG's text. Files appear
whole, so that several runs may share the folder. Nodes of a cluster compose guides too: they need the same folder.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from d3s_dataset.errors import PhotoError, one_line
from d3s_dataset.utils.atomic import replacing
from d3s_dataset.utils.pixels import UNREADABLE
from generation.sources.base import CONFIDENCE, HALF, ImageSource, Photos


def is_exact(photo: Image.Image) -> bool:
    """Return whether a photo has a mask of its own: transparency anywhere."""
    return photo.mode == "RGBA" and photo.getchannel("A").getextrema() != (255, 255)


@dataclass(frozen=True)
class MaskStore:
    """Masks of one segmenter by the digest of a photo's pixels, upright and decoded.

    Args:
        folder: of all masks.
        model: the segmenter's recorded name.
    """

    folder: Path
    model: str

    def path(self, photo: Image.Image) -> Path:
        """Return where the mask of a photo is kept."""
        pixels = photo.convert("RGB")
        found = hashlib.sha256(f"{pixels.width}x{pixels.height}:".encode() + pixels.tobytes()).hexdigest()
        return self.folder / re.sub(r"[^A-Za-z0-9@._-]", "_", self.model) / f"{found}.png"

    def put(self, photo: Image.Image, mask: Image.Image, confidence: float) -> None:
        """Keep a mask, greyscale of the photo's size, and its confidence; raises WriteError."""
        about = PngInfo()
        about.add_text(CONFIDENCE, repr(confidence))
        with replacing(self.path(photo)) as temporary:
            mask.save(temporary, "png", pnginfo=about)

    def get(self, photo: Image.Image, name: str) -> tuple[Image.Image, float]:
        """Return the mask of a photo and its confidence.

        Args:
            photo: the photo.
            name: its name, for errors.

        Raises:
            PhotoError: there is none, it cannot be read, it has another size, or it holds nothing or everything.
        """
        try:
            with Image.open(self.path(photo), formats=("PNG",)) as image:
                mask, confidence = image.convert("L"), float(image.info[CONFIDENCE])
        except FileNotFoundError:
            raise PhotoError(
                f"photo {name} has no mask of {self.model} here: expected D3S_CACHE to name a folder that all machines "
                "share"
            ) from None
        except UNREADABLE as error:
            raise PhotoError(f"the cached mask of photo {name} cannot be read: {one_line(error)}") from None
        if mask.size != photo.size:
            expected = f"expected {photo.width} x {photo.height}, as the photo"
            raise PhotoError(f"the mask of photo {name}: {expected}, got {mask.width} x {mask.height}")
        inside = mask.point([255 * (level >= HALF) for level in range(256)]).getbbox()
        outside = mask.point([255 * (level < HALF) for level in range(256)]).getbbox()
        if inside is None or outside is None:
            what = "is empty: no object was found" if inside is None else "is full: nothing is left around the object"
            raise PhotoError(f"the mask of photo {name} by {self.model} {what}")
        return mask, confidence


class MaskedSource:
    """A photo source whose photos are cut out by stored masks; photos with transparency stay as they are.

    Args:
        inner: the source of the photos.
        store: their masks.
    """

    def __init__(self, inner: ImageSource, store: MaskStore) -> None:
        self.inner, self.store, self.info = inner, store, inner.info

    def photos(self) -> Photos:
        """Return the photos' names by label."""
        return self.inner.photos()

    def open(self, photo: str, size: int) -> Image.Image:
        """Return one photo, RGBA with its mask; raises PhotoError as `MaskStore.get` and the source do."""
        image = self.inner.open(photo, size)
        if is_exact(image):
            return image
        mask, confidence = self.store.get(image, photo)
        cut = image.convert("RGB")
        cut.putalpha(mask)
        cut.info[CONFIDENCE] = confidence
        return cut
