"""Foreground + background + box (+ mask) -> guide (the composite image). Pure: same pixels, same guide.

As in the paper (arXiv 2211.10370, section 3): the background photo is centre-cropped to a square and resized; the
foreground photo likewise to the box, pasted as a rectangle. A cut-out keeps its shape and is pasted with its mask.
"""

from PIL import Image

from d3s_dataset.errors import PhotoError

GREY = (128, 128, 128)
Box = tuple[int, int, int, int]


def compose(foreground: Image.Image, background: Image.Image | None, box: Box, size: int) -> Image.Image:
    """Return the guide: RGB, `size` x `size`.

    Args:
        foreground: RGB, or RGBA with the object's mask in alpha.
        background: RGB photo; None is neutral grey.
        box: (left, top, right, bottom), a square in pixels.
        size: side of the guide in pixels.

    Raises:
        PhotoError: a cut-out that is transparent everywhere.
    """
    canvas = Image.new("RGB", (size, size), GREY) if background is None else square(background.convert("RGB"), size)
    left, top, right, _ = box
    side = right - left
    if foreground.mode != "RGBA" or _opaque(foreground):
        canvas.paste(square(foreground.convert("RGB"), side), (left, top))
        return canvas
    cut = _fit(foreground, side)
    canvas.paste(cut, (left + (side - cut.width) // 2, top + (side - cut.height) // 2), cut)
    return canvas


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
