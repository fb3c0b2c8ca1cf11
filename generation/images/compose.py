"""Foreground + background + box (+ mask) -> guide (the composite image). Pure: same pixels, same guide.

As in the paper (arXiv 2211.10370, section 3): the background photo is centre-cropped to a square and resized; the
foreground photo likewise to the box, pasted as a rectangle. A cut-out keeps its shape and is pasted with its mask.
"""

from typing import NamedTuple

from PIL import Image

from d3s_dataset.errors import PhotoError
from generation.sources.base import CONFIDENCE, HALF

GREY = (128, 128, 128)
Box = tuple[int, int, int, int]


class Composite(NamedTuple):
    """The guide, RGB, and the object's mask in it, 1 bit per pixel; None where the foreground has no transparency.

    `confidence` is the segmenter's in the mask, 0 to 1; None where the mask is exact.
    """

    image: Image.Image
    mask: Image.Image | None
    confidence: float | None = None


def compose(foreground: Image.Image, background: Image.Image | None, box: Box, size: int) -> Composite:
    """Return the guide and the object's mask, both `size` x `size`.

    Args:
        foreground: RGB, or RGBA with the object's mask in alpha.
        background: RGB photo; None is neutral grey.
        box: (left, top, right, bottom), a square in pixels.
        size: side of the guide in pixels.

    Raises:
        PhotoError: a cut-out that is transparent everywhere, or nowhere opaque enough for a mask.
    """
    canvas = Image.new("RGB", (size, size), GREY) if background is None else square(background.convert("RGB"), size)
    left, top, right, _ = box
    side = right - left
    if foreground.mode != "RGBA" or _opaque(foreground):
        canvas.paste(square(foreground.convert("RGB"), side), (left, top))
        return Composite(canvas, None)
    cut = _fit(foreground, side)
    corner = left + (side - cut.width) // 2, top + (side - cut.height) // 2
    canvas.paste(cut, corner, cut)
    return Composite(canvas, _mask(cut, corner, size), foreground.info.get(CONFIDENCE))


def _mask(cut: Image.Image, corner: tuple[int, int], size: int) -> Image.Image:
    """Return where a pasted cut-out is opaque by half or more."""
    mask = Image.new("1", (size, size))
    mask.paste(cut.getchannel("A").point([255 * (alpha >= HALF) for alpha in range(256)], "1"), corner)
    if mask.getbbox() is None:
        raise PhotoError(f"the cut-out has no pixel of alpha {HALF} or more: expected an opaque object")
    return mask


def faded(photo: Image.Image, weight: float) -> Image.Image:
    """Return an RGB photo of some weight against neutral grey: 0 is grey alone, 1 the photo itself."""
    return photo if weight == 1 else Image.blend(Image.new("RGB", photo.size, GREY), photo, weight)


def square(image: Image.Image, side: int) -> Image.Image:
    """Return the central square of an image, resized (bicubic) to `side` x `side` pixels."""
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    return image.resize((side, side), Image.Resampling.BICUBIC, box=(left, top, left + edge, top + edge))


def _opaque(image: Image.Image) -> bool:
    return image.getchannel("A").getextrema() == (255, 255)


def _fit(cutout: Image.Image, side: int) -> Image.Image:
    """Return the object of a cut-out without its empty margin, as large as fits into `side` x `side`."""
    bounds = cutout.getchannel("A").getbbox()
    if bounds is None:
        raise PhotoError("the cut-out is transparent everywhere: expected an object in its alpha channel")
    width, height = bounds[2] - bounds[0], bounds[3] - bounds[1]
    scale = side / max(width, height)
    fitted = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cutout.resize(fitted, Image.Resampling.BICUBIC, box=bounds)
