"""The comparison of results on D3S with published accuracies, and the rule that says whether it convinces.

The rule was written before any result existed. That D3S says something of real images beyond plain ImageNet accuracy
is taken as shown if, for top-1 on the release,

1. the 95 % interval of the residual's correlation lies above `LEAST` on at least two of Sketch, ImageNet-R, ImageNet-A;
2. on these its estimate is above that for ImageNetV2, a set of ordinary photos: what it shares with them is no shift.

A raw correlation of 0.9 shows nothing: ImageNet accuracy alone has 0.87 to 0.98 with these sets.
"""

from collections.abc import Mapping

import numpy as np

from benchmark.schemas.validity import Agreement, Compared, Realism
from benchmark.validity.correlation import (
    LEAST_FAMILIES,
    LEAST_MODELS,
    Association,
    Quantity,
    associate,
    log_odds,
)
from benchmark.validity.families import family_of
from benchmark.validity.inputs import Table
from benchmark.validity.published import COMPARED, SETS, Published
from d3s_dataset.errors import ResultError

LEAST = 0.3  # of the interval's lower end
SHIFTED = ("sketch", "imagenet-r", "imagenet-a")
NEAR = "imagenetv2"
TOP1 = "top-1"


def compare_with_real(table: Table, published: Published, seed: int = 0) -> Realism:
    """Return how top-1, and its change from each control, go together with accuracies on real images.

    Raises:
        ResultError: fewer models or families than an interval needs.
    """
    families = [family_of(name) for name in table.published]
    _check_enough(table, families, published)
    quantities, others, baselines = _quantities(table, published), _others(table, published), _baselines(table)
    found = {(x.name, y.name): associate(x, y, families, seed) for x in quantities for y in others}
    correlations = [_typed(x, y, ("imagenet", baselines[y]), each) for (x, y), each in found.items()]
    convincing, reasons = decide({each.against: each for each in correlations if each.quantity == TOP1})
    return Realism(
        dataset=table.dataset,
        published=published.source,
        models=_compared(table, families),
        correlations=correlations,
        left_out=table.left_out | _without_odds(table, published),
        convincing=convincing,
        reasons=reasons,
    )


def decide(found: Mapping[str, Agreement]) -> tuple[bool | None, list[str]]:
    """Return whether the rule of this module holds, None where it cannot be decided, and what speaks for the answer.

    Args:
        found: published set -> the correlation of top-1 on the release with it.
    """
    near = found.get(NEAR)
    known = {name: found[name] for name in SHIFTED if name in found and found[name].residual is not None}
    if near is None or near.residual is None or len(known) < 2:
        return None, ["too few models or families on Sketch, ImageNet-R, ImageNet-A or ImageNetV2"]
    reasons, shown = [], 0
    for name, each in known.items():
        low, value = each.residual_ci95[0], each.residual
        above, beyond = low is not None and low > LEAST, value is not None and value > near.residual
        shown += above and beyond
        reasons.append(
            f"{name}: interval {'above' if above else 'not above'} {LEAST}, estimate "
            f"{'above' if beyond else 'not above'} that of {NEAR}"
        )
    return shown >= 2, reasons


def _check_enough(table: Table, families: list[str], published: Published) -> None:
    distinct = len(set(families))
    if len(families) < LEAST_MODELS or distinct < LEAST_FAMILIES:
        raise ResultError(
            f"expected results of at least {LEAST_MODELS} models of {LEAST_FAMILIES} families in {published.source}, "
            f"got {len(families)} of {distinct} ({len(table.left_out)} files left out): measure more, such as python "
            "-m benchmark.run --models-file realism"
        )


def _quantities(table: Table, published: Published) -> list[Quantity]:
    baseline = log_odds(published.column("imagenet", table.published))
    own = log_odds(table.top1)
    changes = [
        Quantity(f"{TOP1} against {config}", own - log_odds(values), baseline)
        for config, values in table.controls.items()
    ]
    return [Quantity(TOP1, own, baseline), *changes]


def _others(table: Table, published: Published) -> list[Quantity]:
    names, plain = table.published, log_odds(published.column("imagenet", table.published))
    known = [
        Quantity(
            name, log_odds(published.column(name, names)), log_odds(published.column(SETS[name].baseline or "", names))
        )
        for name in COMPARED
    ]
    return known + [Quantity(name, values, plain) for name, values in table.real.items()]


def _baselines(table: Table) -> dict[str, str]:
    return {name: SETS[name].baseline or "" for name in COMPARED} | dict.fromkeys(table.real, "imagenet")


def _typed(quantity: str, against: str, baseline: tuple[str, str], found: Association) -> Agreement:
    return Agreement(
        quantity=quantity,
        against=against,
        baseline=baseline,
        models=found.models,
        families=found.families,
        spearman=found.raw.value,
        spearman_ci95=(found.raw.low, found.raw.high),
        residual=found.residual.value,
        residual_ci95=(found.residual.low, found.residual.high),
    )


def _compared(table: Table, families: list[str]) -> list[Compared]:
    return [
        Compared(
            model=model,
            published=name,
            family=family,
            top1=float(table.top1[row]),
            controls={
                config: float(values[row]) for config, values in table.controls.items() if not np.isnan(values[row])
            },
        )
        for row, (model, name, family) in enumerate(zip(table.names, table.published, families, strict=True))
    ]


def _without_odds(table: Table, published: Published) -> dict[str, str]:
    """Return the values that count nowhere, because they are not published or are 0 or 1, which have no log odds."""
    found = {f"{table.published[row]} on the release": "top-1 is 0 or 1, which has no log odds"
             for row in np.flatnonzero(np.isnan(log_odds(table.top1)))}  # fmt: skip
    for name in SETS:
        column = published.column(name, table.published)
        for row in np.flatnonzero(~np.isfinite(log_odds(np.nan_to_num(column)))):
            why = "not published" if np.isnan(column[row]) else f"{100 * column[row]:g} %, which has no log odds"
            found[f"{table.published[row]} on {name}"] = why
    return found
