"""The output of `benchmark.realism` as text."""

from benchmark.reports.text import between, describe, grid, percent, points, ratio
from benchmark.schemas.validity import Realism, RealResult

_SHOWN = 5  # of the things left out


def realism_table(found: Realism) -> str:
    """Return a comparison with published accuracies as text: one table per quantity, the rule, and what is left out."""
    families = {each.family for each in found.models}
    lines = [
        describe(found.dataset),
        f"{len(found.models)} models of {len(families)} families; published: {found.published}",
    ]
    for quantity in dict.fromkeys(each.quantity for each in found.correlations):
        rows = [each for each in found.correlations if each.quantity == quantity]
        cells = [
            (each.against, str(each.models), str(each.families),
             ratio(each.spearman), between(each.spearman_ci95, ratio),
             ratio(each.residual), between(each.residual_ci95, ratio), each.baseline[1])
            for each in rows
        ]  # fmt: skip
        heading = (
            quantity,
            "models",
            "families",
            "Spearman",
            "95 % interval",
            "residual",
            "95 % interval",
            "taken out",
        )
        lines.append(grid(heading, cells))
    lines.append(
        "residual: Spearman of what is left of the log odds after a line in those on ImageNet; intervals over families"
    )
    lines += [_verdict(found), *_left_out(found.left_out)]
    return "\n".join(lines)


def _verdict(found: Realism) -> str:
    answer = {True: "yes", False: "no", None: "cannot be decided"}[found.convincing]
    return f"agreement beyond ImageNet accuracy by the rule stated in advance: {answer} ({'; '.join(found.reasons)})"


def _left_out(left_out: dict[str, str]) -> list[str]:
    shown = [f"left out: {what}: {why}" for what, why in list(left_out.items())[:_SHOWN]]
    return shown + [f"left out: {len(left_out) - _SHOWN} more"] * (len(left_out) > _SHOWN)


def real_table(result: RealResult) -> str:
    """Return a result on a real set as text."""
    rows = [(name, str(each.n), percent(each.top1), between(each.ci95)) for name, each in result.groups.items()]
    among = f"the best of {result.classes} classes" if result.among else "the best of all 1000 classes"
    lines = [f"{result.model.name} on {result.real_set} (arXiv {result.paper}): answers are {among}",
             grid(("group", "n", "top-1", "95 % interval"), rows)]  # fmt: skip
    return "\n".join(lines + [f"{name}: {points(value)} points" for name, value in result.differences.items()])
