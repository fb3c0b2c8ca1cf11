"""The object kept pixel for pixel: its own pixels over an inpainted image, blended into it outside the mask only.

The seam may be made once more at a low strength (`generator.harmonise`): a band around the object, outside the mask.

Torch half.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

BAND = 16  # pixels around the mask that harmonising changes: two cells of the latents of most autoencoders


def paste_back(
    images: UInt8[torch.Tensor, "n h w 3"], guides: UInt8[torch.Tensor, "n h w 4"], feather: int
) -> UInt8[torch.Tensor, "n h w 3"]:
    """Return images with the objects' pixels of their guides, which are exact under the mask.

    Inpainting models change the pixels that they are asked to keep: an autoencoder does not return what it was given.

    Args:
        images: (n, height, width, 3) uint8, inpainted.
        guides: (n, height, width, 4) uint8, the fourth channel being the mask, 0 or 255.
        feather: pixels outside the mask over which guide and image are blended; 0 is a hard edge.
    """
    masks, pixels = guides[..., 3:] == 255, guides[..., :3]
    share = share_of_guide(masks[..., 0].float(), feather)[..., None]
    blended = (share * pixels + (1 - share) * images).round().to(torch.uint8)
    return torch.where(masks, pixels, blended)


def seam_band(guides: UInt8[torch.Tensor, "n h w 4"]) -> Float[torch.Tensor, "n 1 h w"]:
    """Return 1 at the pixels around each object that harmonising makes again: outside its mask, at most `BAND` away."""
    masks = (guides[..., 3] == 255).float()
    return ((share_of_guide(masks, BAND) > 0) & (masks == 0)).float()[:, None]


def blend_band(
    images: UInt8[torch.Tensor, "n h w 3"],
    harmonised: UInt8[torch.Tensor, "n h w 3"],
    guides: UInt8[torch.Tensor, "n h w 4"],
) -> UInt8[torch.Tensor, "n h w 3"]:
    """Return images with their harmonised bands, which fade into them with the distance from the object.

    Args:
        images: (n, height, width, 3) uint8, their objects pasted back.
        harmonised: the same after a pass over the band.
        guides: (n, height, width, 4) uint8, the fourth channel being the mask, 0 or 255.
    """
    band = seam_band(guides)[:, 0]
    share = (share_of_guide((guides[..., 3] == 255).float(), BAND) * band)[..., None]
    return (share * harmonised + (1 - share) * images).round().to(torch.uint8)


def share_of_guide(masks: Float[torch.Tensor, "n h w"], feather: int) -> Float[torch.Tensor, "n h w"]:
    """Return the guide's weight at each pixel: 1 under the mask, falling linearly to 0 at a distance of `feather` + 1.

    Distances are Chebyshev's (steps of a king in chess).

    Args:
        masks: (n, height, width) of 0 and 1.
        feather: in pixels.
    """
    share, reached = masks, masks
    for distance in range(1, feather + 1):
        reached = functional.max_pool2d(reached[:, None], 3, stride=1, padding=1)[:, 0]
        share = torch.maximum(share, reached * (1 - distance / (feather + 1)))
    return share
