"""The numbers of a result, as types. They lie in [0, 1] unless a docstring states otherwise.

NaN (an empty group, an interval nobody can give) is null in a file and None here.
"""

import math
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


def _nan_to_none(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


Number = Annotated[float | None, BeforeValidator(_nan_to_none)]


class Strict(BaseModel):
    """A value without unknown fields that cannot be changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Accuracy(Strict):
    """Top-1 and top-5 of some images."""

    top1: Number
    top5: Number


class Spread(Strict):
    """A mean over seeds, and its 95 % interval over photos and seeds; no interval of a single seed.

    `doubts` as in `GroupScore`. Where a file's `intervals` are over seeds alone it is older: they are too narrow.
    """

    mean: Number
    ci95: tuple[Number, Number]
    doubts: list[str] = []


class Averages(Strict):
    """The three numbers that one word hides: over images, over backgrounds, over class x background as in training.

    `training_mix` weighs class x background equally: the mix of a training split that is balanced, as D3S's is.
    """

    per_image: Accuracy
    mean_of_backgrounds: Accuracy
    training_mix: Accuracy


class ClassScore(Accuracy):
    """Accuracies on one foreground class; the lists hold n and top-1 on each background, in the release's order."""

    n: int
    n_by_background: list[int]
    top1_by_background: list[Number]


class GroupScore(Accuracy):
    """Accuracies on one group, the 95 % interval of top-1, the number of photos behind it, and its doubts.

    `doubts` lists why the interval may not cover 95 % (`statistics.doubts`); it is empty where coverage was measured.
    """

    n: int
    ci95: tuple[Number, Number]
    foreground_sources: int
    background_sources: int
    doubts: list[str]


class Shrunk(Strict):
    """Top-1 of a cell, shrunk towards the sum of its row's and its column's effects, and its 95 % interval."""

    top1: Number
    ci95: tuple[Number, Number]


class CellScore(GroupScore):
    """One superclass on one background: plain, and `shrunk` (`metrics.shrunk`): null in an empty cell, in older files,
    and where rows and columns leave nothing to compare with.
    """

    shrunk: Shrunk | None = None


class Further(Strict):
    """Metrics of the table (`benchmark.metrics.registry`), which are those other than accuracies.

    `ece`: 15 bins of equal width, top-1; `brier` (in [0, 2]): over all classes, null where predictions lack `squares`;
    `loss`: mean negative log-likelihood in nats; `further` has the others by name, so that a new one changes no schema.
    """

    ece: Number
    brier: Number
    loss: Number
    further: dict[str, Number] = {}

    def metric(self, name: str) -> float | None:
        """Return a metric of the table by name; None where this was computed without it."""
        return getattr(self, name) if name in Further.model_fields else self.further.get(name)


class BackgroundScore(GroupScore, Further):
    """One background: also its error over that of all images."""

    error_ratio: Number


class Worst(Strict):
    """The group with the lowest top-1.

    `ci95` holds for the lowest accuracy whichever group has it (max-t); `split_sample` is the accuracy of the group
    chosen on one half of the photos and scored on the other: free of the choice's luck. `picked` is how often such
    halves choose the group named here.
    """

    name: str
    top1: float
    ci95: tuple[Number, Number]
    split_sample: Number
    picked: float


class Consistency(Strict):
    """The same foreground photo across backgrounds: how many there are, share always right, flip rate."""

    photos: int
    always_right: Number
    flip_rate: Number


class Binned(Strict):
    """Accuracies by size or by place of the object: bin -> score, on all images and on each background."""

    all_images: dict[str, GroupScore]
    by_background: dict[str, dict[str, GroupScore]]


class Factors(Strict):
    """Accuracies by size and place of the object (`Predictions.size`, `Predictions.place`); null where all are alike.

    `worst_group` is the lowest background x size x place with 30 images or more.
    """

    size: Binned | None
    place: Binned | None
    worst_group: Worst | None


class LevelScore(GroupScore):
    """Images at one level of severity, and the share of ladders whose failure point is there or below."""

    level: float
    failed: Number
    failed_ci95: tuple[Number, Number]


class LadderScore(Strict):
    """Ladders of one background or of all: their number and failure points, the lowest levels that are wrong.

    `censored` of them are right at every level: their failure point is beyond. `failure_point` is the median; it and
    the ends of its interval are null where they lie beyond the greatest level (or where `n` is 0).
    """

    n: int
    censored: int
    failure_point: Number
    ci95: tuple[Number, Number]
    levels: list[LevelScore]


class Severity(Strict):
    """Accuracies and failure points over levels of severity; `incomplete` ladders lack a level and have no point."""

    all_images: LadderScore
    by_background: dict[str, LadderScore]
    incomplete: int


class Metrics(Further):
    """Every number of a result, computed from predictions alone (`benchmark.score.score`).

    `top1`, `top5` are means over images; `gap` is `top1` minus the worst background's; `by_foreground` names the
    classes that occur; `by_superclass_background` the nine ImageNet-9 superclasses, each on every background, and
    `worst_group` the lowest of those with 30 images or more; `interval` describes how `ci95` (of top-1) was computed.
    `interaction` is the estimated standard deviation of cells' true top-1 from superclass + background effects.
    `factors` and `severity` are null where the release varies neither by plan, and in older files.
    """

    n: int
    top1: Number
    top5: Number
    ci95: tuple[Number, Number]
    doubts: list[str]
    averages: Averages
    consistency: Consistency
    by_background: dict[str, BackgroundScore]
    worst_background: Worst | None
    gap: Number
    by_superclass_background: dict[str, dict[str, CellScore]]
    interaction: Number = None
    worst_group: Worst | None
    by_foreground: dict[str, ClassScore]
    factors: Factors | None = None
    severity: Severity | None = None
    interval: dict[str, int | float | str]


class Change(Strict):
    """Change of top-1 on the same images, from `before` to `after`: `change` is after minus before.

    `p` is two-sided (paired, clustered both ways), `p_holm` corrected for the number of backgrounds. `gained` and
    `lost` count images that became right and wrong; `odds_ratio` is gained over lost, null where none was lost.
    `detectable` is the smallest change that these images show with 80 % power at 5 %, two-sided, uncorrected, where
    as many of them differ (`d3s_dataset.utils.power`); null where none is, and in older files.
    """

    n: int
    before: Number
    after: Number
    change: Number
    ci95: tuple[Number, Number]
    p: Number
    p_holm: Number
    gained: int
    lost: int
    odds_ratio: Number
    cohens_h: Number
    doubts: list[str]
    detectable: Number = None


class Power(Strict):
    """Smallest difference of top-1 between two models that n images show with 80 % power at 5 %, two-sided.

    `foregrounds` and `backgrounds` are effective numbers of photos; `effect` is the design effect, `discordance` the
    share of images on which exactly one model is right. `detectable` is null where no difference can be shown.
    """

    n: int
    foregrounds: float
    backgrounds: float
    effect: Number
    discordance: float
    detectable: Number
