"""The edge of an object's mask, drawn on its image."""

from PIL import Image, ImageChops, ImageFilter

from d3s_dataset.utils.pixels import rgb

EDGE = (255, 0, 255)  # no colour that photos have


def outlined(picture: Image.Image, mask: bytes | None) -> Image.Image:
    """Return a picture with the inner edge of a mask drawn on it, one pixel wide.

    Args:
        picture: RGB, of any size; it is changed.
        mask: the object's pixels, an encoded image; None draws nothing.

    Raises:
        ValueError: the mask cannot be read.
    """
    if mask is None:
        return picture
    inside = rgb(mask).convert("L").resize(picture.size).point([255 * (level >= 128) for level in range(256)])
    edge = ImageChops.subtract(inside, inside.filter(ImageFilter.MinFilter(3)))
    picture.paste(EDGE, mask=edge)
    return picture
