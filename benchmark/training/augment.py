"""Images for training: decoded once, then a random view of each whenever it is used.

Torch half. A whole batch is cropped, flipped and recoloured by a few tensor operations, which leaves the processor
to the network. Not torchvision.transforms.v2, which draws once per call: one view for a whole batch, or a loop over its
images; nor would a process' share of a batch get the views that it has in the whole one.
"""

import math
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch.nn import functional

from benchmark.data.decode import blocks
from benchmark.data.split import Split
from d3s_dataset.utils.cli import progress

SCALE = (0.5, 1.0)  # share of the image's area that a crop keeps; the usual 0.08 would cut the object out
_RATIO = (3 / 4, 4 / 3)  # width : height of a crop
_COLOUR = 0.25  # brightness, contrast and saturation change by up to this share
_IN_MEMORY = 4 << 30  # bytes of decoded images; above it they lie in a temporary file
_DECODE_BATCH = 64


def decode(split: Split, side: int, folder: Path, place: Path | None = None) -> torch.Tensor:
    """Return all images of a split as (n, 3, side, side) uint8, decoded once.

    Args:
        split: the images.
        side: in pixels; images that are not square lose their longer sides' ends.
        folder: where the temporary file goes, if they are too many for the memory.
        place: a file to use instead, which other processes can map.

    Raises:
        ReleaseError: an image that cannot be read.
    """
    shape = (split.n, 3, side, side)
    if place:
        pixels = np.memmap(place, dtype=np.uint8, mode="w+", shape=shape)
    elif int(np.prod(shape)) <= _IN_MEMORY:
        pixels = np.empty(shape, dtype=np.uint8)
    else:
        with tempfile.TemporaryFile(dir=folder) as nameless:  # the map keeps it alive
            pixels = np.memmap(nameless, dtype=np.uint8, mode="w+", shape=shape)
    kept = torch.from_numpy(pixels)
    with progress(total=split.n, label="decode") as bar:
        spans = [(start, min(start + _DECODE_BATCH, split.n)) for start in range(0, split.n, _DECODE_BATCH)]
        for (start, stop), images in blocks(split, partial(resized, side=side), spans, ahead=2):
            pixels[start:stop] = images
            bar.update(stop - start)
    return kept


def resized(image: Image.Image, side: int) -> np.ndarray:
    """Return an RGB image as (3, side, side) uint8, its longer side's ends cut off."""
    return np.asarray(ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)).transpose(2, 0, 1)


def augment(
    images: torch.Tensor, size: int, generator: torch.Generator, part: tuple[int, int] | None = None
) -> torch.Tensor:
    """Return a random view of each image.

    Args:
        images: (b, 3, h, w) uint8.
        size: side of the views in pixels.
        generator: on the CPU; decides every draw, so the same seed gives the same views.
        part: (first, count) where the images are those from `first` on of a batch of `count`, whose draws are made.

    Returns:
        (b, 3, size, size) float32 in [0, 1].
    """
    values = images.float() / 255
    first, count = part or (0, len(images))
    own = slice(first, first + len(images))
    grid = functional.affine_grid(
        moved(_crops(count, generator)[own], images.device), [len(images), 3, size, size], align_corners=False
    )
    views = functional.grid_sample(values, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return _recolour(views, moved(_colours(count, generator)[:, own], images.device))


def moved(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Return a tensor on a device; a copy to a GPU does not wait for the work there, as one of pageable memory does."""
    if device.type != "cuda" or tensor.is_cuda:
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def _crops(count: int, generator: torch.Generator) -> torch.Tensor:
    """Draw (count, 2, 3) maps from view to image coordinates: a box inside the image, flipped half of the time."""
    draws = torch.rand(5, count, generator=generator)
    area = SCALE[0] + (SCALE[1] - SCALE[0]) * draws[0]
    ratio = torch.exp(math.log(_RATIO[0]) + math.log(_RATIO[1] / _RATIO[0]) * draws[1])
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    flip = torch.where(draws[2] < 0.5, -1.0, 1.0)
    zero = torch.zeros(count)
    across = torch.stack([width * flip, zero, (1 - width) * (2 * draws[3] - 1)], dim=1)
    down = torch.stack([zero, height, (1 - height) * (2 * draws[4] - 1)], dim=1)
    return torch.stack([across, down], dim=1)


def _colours(count: int, generator: torch.Generator) -> torch.Tensor:
    """Draw (3, count, 1, 1, 1) factors of brightness, contrast and saturation."""
    return 1 + _COLOUR * (2 * torch.rand(3, count, 1, 1, 1, generator=generator) - 1)


def _recolour(views: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    brightness, contrast, saturation = factors
    grey = views.mean(1, keepdim=True)
    views = grey + (views - grey) * saturation
    middle = grey.mean((2, 3), keepdim=True)
    return ((middle + (views - middle) * contrast) * brightness).clamp_(0, 1)
