"""Typed results of `benchmark.realism`: accuracies on real sets, and how results on D3S go together with them."""

from benchmark.schemas.metrics import Number, Strict
from benchmark.schemas.result import Dataset, Model, Run
from benchmark.schemas.versions import Versioned


class RealScore(Strict):
    """Top-1 on n images, and Wilson's 95 % interval for independent images."""

    n: int
    top1: float
    ci95: tuple[float, float]


class RealResult(Versioned):
    """The file `<model>--<set>--<precision>--<digest>.real.json`: one model on a set of real images.

    `paper` is the arXiv id of the set, `digest` that of its photos' names, sizes and labels, `classes` how many classes
    they are of, `among` whether answers are the best of those classes alone. `differences` are between two groups.
    """

    model: Model
    real_set: str
    paper: str
    digest: str
    classes: int
    among: bool
    groups: dict[str, RealScore]
    differences: dict[str, Number]
    environment: dict[str, str]
    seconds: float
    run: Run


class Compared(Strict):
    """One model: its name in timm's tables, its family, its top-1 on the release and on the controls."""

    model: str
    published: str
    family: str
    top1: float
    controls: dict[str, float]


class Agreement(Strict):
    """Rank correlation of one quantity on D3S with one on real images, over `models` of `families`.

    `quantity`: `top-1`, or `top-1 against CONFIG`: the log odds of top-1 minus those on a control of the release.
    `baseline`: the ImageNet accuracies taken out of the residuals, of the quantity and of `against`. Intervals: 95 %,
    over families. Null where there are too few models or families.
    """

    quantity: str
    against: str
    baseline: tuple[str, str]
    models: int
    families: int
    spearman: Number
    spearman_ci95: tuple[Number, Number]
    residual: Number
    residual_ci95: tuple[Number, Number]


class Realism(Versioned):
    """The file of `benchmark.realism RESULT ... --out FILE`.

    `published` says where the published accuracies are from; `left_out` maps results and values to why they count
    nowhere. `convincing` is the rule of `validity.verdict`, null where it cannot be decided.
    """

    dataset: Dataset
    published: str
    models: list[Compared]
    correlations: list[Agreement]
    left_out: dict[str, str]
    convincing: bool | None
    reasons: list[str]
