"""Power of a paired comparison: the smallest difference of two accuracies that images and their photos can show.

Two models are compared image by image: d is 1 where only the second is right, -1 where only the first is, else 0. With
discordance q, the share of images with d != 0, and difference delta, the mean of d over n independent images has the
variance (q - delta^2) / n (McNemar's setting: Connor, Biometrics 43, 1987). Images that share photos are fewer: the
variance grows by the design effect D = 1 + r_f (n / m_f - 1) + r_b (n / m_b - 1), where m are the effective numbers of
photos (Kish, "Survey Sampling", 1965: (sum w)^2 / sum w^2 with w the images of a photo) and r is how much d correlates
between two images of one photo: exactly the variance of the mean under additive effects of both kinds of photo.

A two-sided test at 5 % whose statistic has Student's distribution has 80 % power where delta is t(0.975) + t(0.80)
standard errors, and since these shrink with delta, delta = c sqrt(q / (1 + c^2)), c = (t(0.975) + t(0.80)) sqrt(D / n).

Without scipy, so that planning a release needs none.
"""

import math
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np

SIGNIFICANCE, POWER = 0.05, 0.80
# Assumed where nothing was measured; where they come from is in benchmark/README.md, "Power".
DISCORDANCE = 0.13
CORRELATION = (0.08, 0.01)  # of d, on images of one foreground photo, and of one background photo
BACKGROUND_PHOTOS = 30  # per background: the fewest for which the intervals' coverage was measured

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(200)


@dataclass(frozen=True)
class Photos:
    """Images of a group and their effective numbers of photos; `freedom` is the degrees of freedom of its test."""

    images: float
    foregrounds: float
    backgrounds: float
    freedom: int

    def effect(self, correlation: tuple[float, float] = CORRELATION) -> float:
        """Return the design effect D, 1 or more.

        Args:
            correlation: of differences on images of one foreground photo, and of one background photo.
        """
        ways = zip(correlation, (self.foregrounds, self.backgrounds), strict=True)
        return 1 + sum(share * (self.images / photos - 1) for share, photos in ways)

    def detectable(
        self, discordance: float = DISCORDANCE, correlation: tuple[float, float] = CORRELATION
    ) -> float | None:
        """Return the smallest difference that these photos will show (`detectable`); None: none can be shown.

        The test estimates its design effect and takes none below 1, which costs power where photos matter little: D is
        replaced by the mean of max(1, X), X normal with mean E = D f / (f + 1), as the clustered variance has no factor
        for few photos, and with the variance of a variance, 2 E^2 / f, at f degrees of freedom.

        Args:
            discordance: share of images, in [0, 1], on which exactly one of the models is right.
            correlation: as in `effect`.
        """
        effect = self.effect(correlation)
        if min(self.foregrounds, self.backgrounds) < self.images:
            effect *= self.freedom / (self.freedom + 1)
            spread, normal = effect * math.sqrt(2 / self.freedom), NormalDist()
            above = (effect - 1) / spread
            effect = 1 + (effect - 1) * normal.cdf(above) + spread * normal.pdf(above)
        return detectable(self.images, discordance, effect, self.freedom)


def planned(images: int, backgrounds: int, foreground_photos: int, background_photos: int) -> tuple[Photos, Photos]:
    """Return the photos behind one background, and behind all images, of a balanced release.

    Args:
        images: in all.
        backgrounds: that they are evenly on.
        foreground_photos: in all, each as often as the others, on one background after the other.
        background_photos: of each background, each as often as the others; 0: no image shares one.
    """
    own = images / backgrounds
    foregrounds, scenes = min(foreground_photos, own), min(background_photos, own) or own
    one = Photos(own, foregrounds, scenes, _freedom(foregrounds, scenes))
    together = Photos(
        images,
        min(foreground_photos, images),
        scenes * backgrounds,
        _freedom(min(foreground_photos, images), backgrounds * (scenes - 1) + 1),
    )
    return one, together


def _freedom(*photos: float) -> int:
    return max(1, math.ceil(min(photos)) - 1)


def detectable(
    images: float, discordance: float, effect: float, freedom: int, quantile: float | None = None
) -> float | None:
    """Return the smallest difference that a paired test shows with 80 % power at 5 %, two-sided.

    None where that is more than the discordance: no difference can be.

    Args:
        images: how many.
        discordance: share of images, in [0, 1], on which exactly one of the models is right.
        effect: design effect, above 0.
        freedom: degrees of freedom, 1 or more.
        quantile: of |t|, beyond which the test rejects; None: Student's.
    """
    beyond = student(1 - SIGNIFICANCE / 2, freedom) if quantile is None else quantile
    wide = (beyond + student(POWER, freedom)) * math.sqrt(effect / images)
    found = wide * math.sqrt(discordance / (1 + wide**2))
    return found if 0 < found <= discordance else None


def assumed(discordance: float = DISCORDANCE, correlation: tuple[float, float] = CORRELATION) -> str:
    """Return the sentence that states the assumptions about two models."""
    foreground, background = correlation
    return (
        f"assumed: exactly one of the two is right on {100 * discordance:g} % of the images; differences correlate by "
        f"{foreground:g} between images of one foreground photo, {background:g} between those of one background photo"
    )


@cache
def student(p: float, freedom: int) -> float:
    """Return the quantile of Student's distribution at p in [0.5, 1), by bisection."""
    low, high = 0.0, 1.0
    while _above(high, freedom) < p:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _above(middle, freedom) < p else (low, middle)
    return high


def _above(t: float, freedom: int) -> float:
    """Return Student's distribution function at t >= 0: with t = sqrt(freedom) tan(a) its density is cos(a)^(f - 1)."""
    end = math.atan(t / math.sqrt(freedom))
    scale = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    values = np.cos((_NODES + 1) * end / 2) ** (freedom - 1)
    return 0.5 + scale * end / 2 * float(_WEIGHTS @ values)
