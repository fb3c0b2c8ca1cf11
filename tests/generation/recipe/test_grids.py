"""Grids of sizes and places and levels of severity in a recipe: what is refused, and what is left out of a digest."""

import pytest

from d3s_dataset.errors import RecipeError
from generation.recipe.recipe import load_recipe, parse_recipe

SMALL = 'name = "a"\nkind = "d3s"\ndescription = "d"\nrows = 10\nseed = 1\n'
MODEL = '[generator]\nmodel = "m"\n'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[guide]\nsizes = []\n", "guide.sizes: .* at least 1 item"),
        ("[guide]\nsizes = [0.5, 1.5]\n", "guide.sizes.1: .* less than or equal to 1, got 1.5"),
        ("[guide]\nsizes = [0.5, 0.0]\n", "guide.sizes.1: .* greater than 0"),
        ("[guide]\nsizes = [0.5, 0.5]\n", "guide: expected sizes that differ, got .0.5, 0.5."),
        ("[guide]\nsizes = [0.5]\nscale = [0.2, 0.4]\n", "guide: expected scale .a range. or sizes .a grid., got both"),
        ("[guide]\nsizes = [0.001]\n", "guide.sizes 0.001 of 512 pixels is less than one pixel"),
        ("[guide]\nplaces = []\n", "guide.places: .* at least 1 item"),
        ("[guide]\nplaces = [[0.5, 1.2]]\n", "guide.places.0.1: .* less than or equal to 1, got 1.2"),
        ("[guide]\nplaces = [[0.5]]\n", "key 'guide.places.0.1' is missing"),
        ('[severity]\nof = "background"\nlevels = []\n', "severity.levels: .* at least 2 items"),
        ('[severity]\nof = "background"\nlevels = [0.5, 1.1]\n', "severity.levels.1: .* less than or equal to 1"),
        ('[severity]\nof = "background"\nlevels = [0.5, 0.2]\n', "severity: expected levels in ascending order"),
        ('[severity]\nof = "size"\nlevels = [0.5, 1.0]\n', "severity.of: .* 'strength' or 'background', got 'size'"),
        ('[severity]\nof = "strength"\nlevels = [0.5, 1.0]\n', "severity.of 'strength' is the generator's"),
        (MODEL + '[severity]\nof = "strength"\nlevels = [0.0, 1.0]\n', "severity: expected strengths above 0"),
        (MODEL + '[severity]\nof = "strength"\nlevels = [0.01, 1.0]\n', "less than one step"),
        ('[guide]\nbackground = "none"\n[severity]\nof = "background"\nlevels = [0.5, 1.0]\n', "needs a photo"),
    ],
    ids=range(17),
)
def test_a_grid_that_cannot_be_is_one_line(text, says):
    with pytest.raises(RecipeError, match=says) as caught:
        parse_recipe(SMALL + text, "mine.toml")
    assert "\n" not in str(caught.value)


def test_taking_the_generator_from_levels_of_its_strength_is_one_line():
    recipe = parse_recipe(SMALL + MODEL + '[severity]\nof = "strength"\nlevels = [0.5, 1.0]\n', "mine.toml")
    assert [recipe.strength_of(level) for level in (0.5, 1.0, None)] == [0.5, 1.0, 0.9]
    with pytest.raises(RecipeError, match=r"--model none: severity\.of 'strength' of recipe 'a' is the generator's"):
        recipe.changed(model="none")


def test_what_a_recipe_does_not_have_is_not_in_its_digest():
    assert not {"sizes", "places"} & load_recipe("paper").to_json()["guide"].keys()
    assert "severity" not in load_recipe("paper").to_json()
    text = '[guide]\nsizes = [0.5]\nplaces = [[0.5, 0.5]]\n[severity]\nof = "background"\nlevels = [0.5, 1.0]\n'
    held = parse_recipe(SMALL + text, "mine.toml").to_json()
    assert held["guide"] == {"size": 512, "sizes": [0.5], "places": [[0.5, 0.5]], "background": "photo"}
    assert held["severity"] == {"of": "background", "levels": [0.5, 1.0]}
