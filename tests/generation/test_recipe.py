import pytest

from d3s_dataset.errors import RecipeError
from d3s_dataset.taxonomy import background_names
from generation.recipe import load_recipe, parse_recipe, shipped

SMALL = 'name = "a"\nkind = "d3s"\ndescription = "d"\nrows = 10\nseed = 1\n'
PLACE = '[[backgrounds]]\nname = "desert"\nphrase = "in a desert"\n'


def test_all_shipped_recipes_are_read():
    assert shipped() == ["fast", "geography", "paper", "sample", "time"]
    assert {name: load_recipe(name).release_kind for name in shipped()} == {
        "fast": "d3s",
        "geography": "shift",
        "paper": "d3s",
        "sample": "sample",
        "time": "shift",
    }


def test_paper_is_the_papers():
    paper = load_recipe("paper")
    settings = paper.generator
    assert (paper.rows, paper.guide.size, paper.guide.scale) == (120_000, 512, (0.4, 0.4))
    assert paper.background_names() == list(background_names())
    assert (settings.model, settings.scheduler) == ("CompVis/stable-diffusion-v1-4", "DDIMScheduler")
    assert (settings.steps, settings.strength, settings.guidance_scale, settings.eta) == (50, 0.9, 5.0, 0.0)


def test_shifts_use_no_background_photo():
    assert {name: load_recipe(name).guide.background for name in ("geography", "time")} == {
        "geography": "none",
        "time": "none",
    }
    assert len(load_recipe("geography").backgrounds) == 10


def test_without_a_model_photos_give_guides():
    assert load_recipe("paper").changed(model="none").release_kind == "guides"


def test_a_description_that_names_another_generator_is_not_repeated():
    paper = load_recipe("paper")
    assert paper.changed(rows=5, clip="none", model=paper.generator.model).summary == paper.description
    none, other = paper.changed(model="none").changed(rows=5), paper.changed(model="lab/sd")
    assert (none.summary, other.summary) == ("its guides alone, not redrawn by any model", "redrawn by lab/sd")
    # The description stays part of what keys follow from.
    assert none.to_json()["description"] == other.to_json()["description"] == paper.description
    assert load_recipe("paper").changed(rows=7).rows == 7
    other = load_recipe("paper").changed(model="runwayml/stable-diffusion-v1-5")
    assert other.generator.strength == 0.9
    assert other != load_recipe("paper")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SMALL + "[generator]\nstrenght = 0.5\n", r"unknown key 'generator.strenght'; did you mean 'strength'\?"),
        (SMALL + "colour = 1\n", "unknown key 'colour'; it takes name, kind"),
        (
            SMALL + "[generator]\nstrength = 1.9\n",
            "generator.strength: .* less than or equal to 1, got 1.9",
        ),
        (SMALL.replace("rows = 10", "rows = 0"), "rows: Input should be greater than or equal to 1, got 0"),
        (SMALL.replace('"d3s"', '"cats"'), "kind: Input should be 'd3s', 'sample' or 'shift', got 'cats'"),
        (SMALL.replace("seed = 1\n", ""), "key 'seed' is missing"),
        (SMALL + "[guide]\nscale = [0.7, 0.2]\n", r"expected scale = \[least, greatest\], got \[0.7, 0.2\]"),
        (SMALL + '[prompt]\ntemplate = "a {thing}"\n', "expected only {synonym}, {gloss} and {phrase}"),
        (SMALL + '[generator]\nscheduler = "fast"\n', "generator.scheduler"),
        (SMALL + '[generator]\nmodel = "a/b"\nsteps = 1\nstrength = 0.5\n', "less than one step"),
        (SMALL + "[guide]\nsize = 32\nscale = [0.001, 0.5]\n", "is less than one pixel"),
        (SMALL + '[guide]\nsize = 100\n[generator]\nmodel = "a/b"\n', "needs a multiple of 8"),
        (SMALL + '[[backgrounds]]\nname = "a"\nphrase = "b"\n' * 2, "two backgrounds share a name"),
        (SMALL + "[drawn]\ninstances = 2\ntemplates = 2\n" + PLACE, "has only D3S's ten backgrounds"),
        (SMALL.replace('"d3s"', '"sample"'), "is for drawn recipes"),
        ("name = ", "is no valid TOML"),
    ],
)
def test_a_bad_recipe_is_one_clear_line(text, says):
    with pytest.raises(RecipeError, match=says) as caught:
        parse_recipe(text, "mine.toml")
    assert str(caught.value).startswith("recipe mine.toml")
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_names_those_there_are(tmp_path):
    with pytest.raises(RecipeError, match="expected fast, geography, paper, sample, time, or the path of a TOML file"):
        load_recipe("papr")
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="is no text"):
        load_recipe(str(tmp_path / "a.toml"))


def test_a_local_model_is_named_by_its_content_not_its_path(tmp_path):
    for place in ("here", "there"):
        (tmp_path / place / "sd").mkdir(parents=True)
        (tmp_path / place / "sd" / "weights").write_bytes(b"one")
    here, there = (load_recipe("paper").changed(model=str(tmp_path / place / "sd")) for place in ("here", "there"))
    assert here.to_json() == there.to_json()
    assert str(tmp_path) not in str(here.to_json())
    (tmp_path / "there" / "sd" / "weights").write_bytes(b"two")
    assert here.to_json() != there.to_json()
