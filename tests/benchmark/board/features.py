"""Files as `benchmark.probe`, `correlate` and `sweep` write them, with numbers chosen by hand."""

from benchmark.schemas import result
from benchmark.schemas.experiments import (
    Correlation,
    Erasure,
    Kept,
    Null,
    Point,
    Probed,
    Read,
    Readable,
    Reading,
    Scores,
    Share,
    Sweep,
)
from benchmark.schemas.metrics import Spread, Worst

MODEL = result.Model(name="split|<i>", architecture=None, tag=None, kwargs={}, digest="ef" * 32, precision="fp32",
                      transform={})  # fmt: skip
PARTS, LABELS = ("foreground", "background"), ("foreground", "background")


def reading(part: str, label: str, cut: str, accuracy: float, probe: str = "linear") -> Reading:
    return Reading(
        features=part,
        label=label,
        probe=probe,
        cut=cut,
        n=120,
        classes=10,
        accuracy=accuracy,
        ci95=(accuracy - 0.05, accuracy + 0.05),
        doubts=["12 foreground photos"] if label == "background" else [],
        chance=0.1,
        majority=0.1,
        control=None if label in cut else 0.125,
        selectivity=None,
        entropy=2.3026,
        information=1.25,
        information_ci95=(1.0, 1.5),
        converged=True,
        endings=["gradient"],
    )


def null(accuracy: float) -> Null:
    return Null(repeats=20, mean=0.08, spread=0.02, difference=accuracy - 0.08, ci95=(accuracy - 0.13, accuracy - 0.02),
                p=1 / 21)  # fmt: skip


def readable(accuracy: float) -> Readable:
    return Readable(features="foreground", label="background", cut="unseen_background", n=120, classes=10, probe="knn",
                    held={"linear": 0.3, "knn": 0.4}, accuracy=accuracy, ci95=(accuracy - 0.06, accuracy + 0.06),
                    picked=0.75, upper=accuracy + 0.02, upper_probe="linear", doubts=[], null=null(accuracy),
                    codelength=2.1, uniform=2.3026, converged=True)  # fmt: skip


def kept(part: str, recall: float) -> Kept:
    share = Share(n=120, value=recall, ci95=(recall - 0.1, recall + 0.1), doubts=[])
    return Kept(features=part, recall=share, head=share if part == "foreground" else None)


def probed(dataset: result.Dataset, *erasers: str) -> Probed:
    """Return the 2 x 2 table: each part tells its own label at 0.9, the other one's at 0.3, at 0.15 after an eraser."""
    cuts = ("seen", "unseen_background")
    found = [
        reading(part, label, cut, 0.9 if part == label else 0.3)
        for part in PARTS
        for label in LABELS
        for cut in cuts
    ]  # fmt: skip
    raw = [reading("foreground", "background", "unseen_foreground", 0.35)]
    erasures = [
        Erasure(eraser=each, erases="background", rank=71, size=72, photos=(4, 4, 4), raw=raw,
                erased=[reading("foreground", "background", "unseen_foreground", 0.15)],
                raw_kept=kept("foreground", 0.8), erased_kept=kept("foreground", 0.7))
        for each in erasers
    ]  # fmt: skip
    return Probed(model=MODEL, dataset=dataset, features=96, partition=(72, 24), seed=0, readings=found,
                  readable=(readable(0.34),),
                  kept=[kept(part, 0.6) for part in PARTS], erasure=erasures, notes=["a note"], converged=True,
                  environment={}, seconds=1.0)  # fmt: skip


def spread(mean: float, half: float = 0.02) -> Spread:
    return Spread(mean=mean, ci95=(mean - half, mean + half))


def correlation(dataset: result.Dataset) -> Correlation:
    def scores(low: float) -> Scores:
        groups = {
            "dog, aligned": spread(0.95),
            "dog, conflicting": spread(low - 0.1),
            "bird, conflicting": spread(low),
        }
        lowest = Worst(name="dog, conflicting", top1=low - 0.1, ci95=(low - 0.12, low - 0.08), split_sample=low,
                       picked=0.9)  # fmt: skip
        return Scores(aligned=spread(0.95), conflicting=spread(low), drop=spread(0.95 - low), worst_group=lowest,
                      gain=spread(low - 0.5), groups=groups)  # fmt: skip

    return Correlation(
        models=[MODEL],
        datasets=(dataset, dataset),
        pairing={"dog": {"classes": [151], "background": "forest"}, "bird": {"classes": [7], "background": "water"}},
        rho=1.0,
        as_paper=False,
        seeds=[0, 1, 2],
        disjoint={"foreground": True, "background": False},
        n={"aligned": 40, "conflicting": 80},
        rows=[Read(model=MODEL.name, method=method, scores=scores(low)) for method, low in
              [("plain", 0.5), ("erased: leace", 0.45), ("foreground part", 0.7)]],
    )  # fmt: skip


def sweep(dataset: result.Dataset) -> Sweep:
    points = [(0.0, 0.9, 0.8, True), (1.0, 0.85, 0.82, False), (10.0, 0.8, 0.3, True)]
    return Sweep(
        model=MODEL, datasets=(dataset, dataset), objective="hsic", probe="linear", seeds=[0, 1, 2], chance=0.1,
        points=[Point(weight=weight, accuracy=spread(right), leakage=spread(read), pareto=pareto)
                for weight, right, read, pareto in points],
    )  # fmt: skip
