"""Power of a planned release: the smallest difference of two models' accuracies that its validation split can show."""

from d3s_dataset.utils.power import DISCORDANCE, POWER, SIGNIFICANCE, Photos, assumed, planned
from generation.planning.plan import Plan


def photos(plan: Plan, limit: int | None = None) -> tuple[Photos, Photos] | None:
    """Return the photos behind one background, and behind all images, of the validation split.

    They follow from the plan's guarantees: it is balanced, and each photo is used as often as the others. The
    background with the fewest photos stands for all. None where a background has fewer than two images.

    Args:
        plan: the rows.
        limit: number of rows of the plan that are made.
    """
    split, backgrounds = plan.splits["validation"], len(plan.recipe.backgrounds)
    rows = plan.split_rows(limit)["validation"]
    if rows < 2 * backgrounds:
        return None
    visits = -(-plan.photo_pairs("validation", rows) // backgrounds)  # one foreground photo on all backgrounds
    scenes = min(map(len, split.backgrounds)) if split.backgrounds else 0
    return planned(rows, backgrounds, min(visits, sum(map(len, split.photos))), scenes)


def lines(plan: Plan, limit: int | None = None) -> list[str]:
    """Return the power as lines of text; none where the validation split is too small."""
    found = photos(plan, limit)
    if found is None:
        return []
    names = ("on one background", "on all images")
    parts = [f"{_points(each)} {name} ({each.images:,.0f} images)" for each, name in zip(found, names, strict=True)]
    about = f"smallest difference of two models in validation, {100 * POWER:.0f} % power at {100 * SIGNIFICANCE:.0f} %"
    return [f"  {about}, two-sided: {', '.join(parts)}", f"    {assumed()}"]


def _points(each: Photos) -> str:
    found = each.detectable()
    return f"none up to {100 * DISCORDANCE:g} points" if found is None else f"{100 * found:.1f} points"
