"""A row of the images -> the row of a control config with the same key. Pure.

Controls tell apart what an accuracy on D3S mixes, image by image: what pasting and shrinking the photo does, what the
generator does, and what the background does. The configs are described in `d3s_dataset.schema.CONFIGS`.
"""

from collections.abc import Callable

from d3s_dataset.taxonomy import classes
from generation.planning.plan import Row
from generation.planning.prompts import make_prompt
from generation.recipe.recipe import Recipe


def derive(row: Row, config: str, recipe: Recipe) -> Row:
    """Return the row that stands for `row` in a config; its labels, key and seed are the same.

    Args:
        row: a row of the default config, as planned.
        config: a config of the recipe, or `default`.
        recipe: gives the image size and the control's sentence.
    """
    return _DERIVE[config.removesuffix("_guides")](row, recipe)


def _same(row: Row, recipe: Recipe) -> Row:
    return row


def _on_grey(row: Row, recipe: Recipe) -> Row:
    prompt = make_prompt(recipe.prompt.control, classes()[row.foreground], "")
    return row._replace(background_source=None, prompt=prompt)


def _whole(row: Row, recipe: Recipe) -> Row:
    return row._replace(background_source=None, box=(0, 0, recipe.guide.size, recipe.guide.size))


_DERIVE: dict[str, Callable[[Row, Recipe], Row]] = {
    "default": _same,
    "guides": _same,
    "control_scale": _on_grey,
    "control_original": _whole,
}
