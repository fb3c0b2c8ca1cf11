"""Paired invariance: the features of one photo must be the same whatever it is composed with.

Torch half. A release shows the same foreground photo on several backgrounds, and the same background photo under
several objects. The foreground part is made invariant over images of one foreground photo, the background part over
images of one background photo. Alone that would be met by features that are constant or copies of each other: batch
norm without affine excludes the first, and the covariance term of VICReg (Bardes et al., arXiv 2105.04906, eq. 3) the
second.

That term is divided by the number of features once more, to the mean squared covariance: its least value in a batch of
P photos grows with their number d as d / (P - 1) when the features are invariant, and as d / (n - 1) when all n images
differ, so that in wide features VICReg's own weights (25 and 1) reward variance within photos.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from benchmark.models.training_record import Partition
from benchmark.training.objectives.penalty import Penalty, Side, normalised

if TYPE_CHECKING:
    from jaxtyping import Float, Int

LEAST = 4  # images: two photos in two images each


def within(features: Float[torch.Tensor, "n d"], photo: Int[torch.Tensor, " n"]) -> Float[torch.Tensor, ""]:
    """Return the variance within photos: the mean over features, and over images of photos that have two or more.

    Args:
        features: (n, d); normalised, the answer is the share of the variance that is not the photo's.
        photo: (n,) codes. Without a photo in two images the variance is 0.
    """
    means, index, count = _means(features, photo)
    several = count[index] > 1
    if not several.any():
        return features.new_zeros(())
    # Divided by the degrees of freedom, so that few images of a photo do not look more alike than many.
    freedom = several.sum() - (count > 1).sum()
    return (features - means[index])[several].square().sum() / (freedom * features.shape[1])


def covariance(features: Float[torch.Tensor, "n d"]) -> Float[torch.Tensor, ""]:
    """Return VICReg's covariance term: the squared covariances of different features, summed, over d (eq. 3).

    Args:
        features: (n, d), n of 2 or more.
    """
    centred = features - features.mean(0)
    matrix = centred.T @ centred / (len(features) - 1)
    return (matrix.square().sum() - matrix.diagonal().square().sum()) / features.shape[1]


class Pair(Penalty):
    """The sum over both parts of the variance within photos and the weighted covariance term of the photos' means.

    Args:
        partition: not needed: there are no weights.
        labels: not needed.
        seed: not needed: nothing is drawn.
    """

    def __init__(self, partition: Partition, labels: tuple[int, int], seed: int) -> None:
        super().__init__(seed)

    def forward(self, both: tuple[Side, Side], weight: float, done: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the weighted sum of both parts' terms, and the sum of the variances within photos."""
        terms = [self._terms(side) for side in both]
        total = torch.stack([variance + alike for variance, alike in terms]).sum()
        return weight * total, torch.stack([variance for variance, _ in terms]).sum().detach()

    def _terms(self, side: Side) -> tuple[torch.Tensor, torch.Tensor]:
        assert side.photo is not None
        features = normalised(side.features)
        return within(features, side.photo), covariance(features) / features.shape[1]


def _means(features: torch.Tensor, photo: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return each photo's mean, the place of each row's photo among them, and how many rows a photo has."""
    _, index, count = torch.unique(photo, return_inverse=True, return_counts=True)
    sums = features.new_zeros(len(count), features.shape[1]).index_add(0, index, features)
    return sums / count[:, None], index, count
