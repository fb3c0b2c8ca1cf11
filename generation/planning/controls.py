"""Row of the default config -> row of a control config with the same key. Pure.

Controls separate, image by image, effects that accuracy on D3S mixes: pasting and shrinking the photo, the generator,
and the background. `d3s_dataset.schema.CONFIGS` describes the configs.
"""

from collections.abc import Callable

from d3s_dataset.taxonomy import classes
from generation.planning.plan import Row, make_prompt
from generation.recipe.recipe import Recipe


def derive(row: Row, config: str, recipe: Recipe) -> Row:
    """Return the row of a control config; labels, key and seed are the same as in `row`.

    Args:
        row: a row of the default config, as planned.
        config: a config of the recipe, or `default`.
        recipe: defines the image size and the control prompt.
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
