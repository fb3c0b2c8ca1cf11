"""A file -> one photo: upright, RGB or RGBA, or a reason why not."""

from typing import Any

from PIL import Image, ImageOps

from d3s_dataset.errors import PhotoError

_UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)  # all that Pillow's plugins raise


def read_photo(file: Any, name: str) -> Image.Image:
    """Decode an image file fully: upright, RGB, or RGBA where it has transparency.

    Raises:
        PhotoError: the file is missing, cut short, no image, or too large to be a photo.
    """
    try:
        with Image.open(file) as image:
            ImageOps.exif_transpose(image, in_place=True)
            transparent = "A" in image.getbands() or "transparency" in image.info
            return image.convert("RGBA" if transparent else "RGB")
    except _UNREADABLE as error:
        text = str(error).splitlines() or [""]
        # Without the path: a reason in the manifest must not depend on where the photos lay.
        reason = "no such file" if isinstance(error, FileNotFoundError) else text[0].split(" '/")[0].split(" <")[0]
        raise PhotoError(f"photo {name} cannot be read: {type(error).__name__}: {reason}") from None
