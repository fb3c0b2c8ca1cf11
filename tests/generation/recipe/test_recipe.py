import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d3s_dataset.errors import RecipeError
from d3s_dataset.identity import digest
from d3s_dataset.taxonomy import background_names
from generation import run
from generation.recipe.recipe import Recipe, load_recipe, parse_recipe, shipped
from generation.recipe.sections import MOST_ROWS

SMALL = 'name = "a"\nkind = "d3s"\ndescription = "d"\nrows = 10\nseed = 1\n'
EDIT = '[generator]\nmode = "edit"\n[prompt]\ninstruction = "put it {phrase}"\n'
PLACE = '[[backgrounds]]\nname = "desert"\nphrase = "in a desert"\n'


def test_all_shipped_recipes_are_read():
    assert shipped() == [
        "edit",
        "fast",
        "geography",
        "keep-object",
        "paper",
        "sample",
        "sample-pairs",
        "severity",
        "size",
        "time",
    ]
    assert {name: load_recipe(name).release_kind for name in shipped()} == {
        "edit": "d3s",
        "fast": "d3s",
        "geography": "shift",
        "keep-object": "d3s",
        "paper": "d3s",
        "sample": "sample",
        "sample-pairs": "sample",
        "severity": "d3s",
        "size": "d3s",
        "time": "shift",
    }


def test_paper_is_the_papers():
    paper = load_recipe("paper")
    settings = paper.generator
    assert (paper.rows, paper.guide.size, paper.guide.scale) == (120_000, 512, (0.4, 0.4))
    assert paper.background_names() == list(background_names())
    assert (settings.model, settings.scheduler) == ("CompVis/stable-diffusion-v1-4", "DDIMScheduler")
    assert (settings.steps, settings.strength, settings.guidance_scale, settings.eta) == (50, 0.9, 5.0, 0.0)


def test_edit_stands_on_the_papers_photos_with_an_instruction():
    edit, paper = load_recipe("edit"), load_recipe("paper")
    assert (edit.seed, edit.rows, edit.splits, edit.guide) == (paper.seed, paper.rows, paper.splits, paper.guide)
    assert edit.prompt.planned.startswith("Turn this collage into one natural photo")
    one_step = parse_recipe(SMALL + EDIT.replace('"edit"', '"edit"\nsteps = 1', 1), "mine")
    assert (one_step.generator.mode, one_step.generator.steps) == ("edit", 1)
    assert "instruction" not in paper.to_json()["prompt"]
    assert digest(paper.to_json()) == digest(Recipe.model_validate(paper.to_json()).to_json())
    assert Recipe.model_validate(edit.to_json()).to_json() == edit.to_json()


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
        (
            SMALL + '[drawn]\ninstances = 2\ntemplates = 2\n[mask]\nmodel = "a/b"\n',
            r"\[drawn\] has exact masks: leave out \[mask\]",
        ),
        (SMALL + '[generator]\nmode = "edit"\n', "expected prompt.instruction, such as"),
        (
            SMALL + '[prompt]\ninstruction = "put it {phrase}"\n',
            "is for generator.mode 'edit': expected prompt.template",
        ),
        (SMALL + '[prompt]\ninstruction = "put {it}"\n', "expected only {synonym}, {gloss} and {phrase}"),
        (
            SMALL + EDIT + '[controls]\nconfigs = ["control_scale"]\n',
            "needs an instruction of its own, in prompt.control",
        ),
        (SMALL + '[generator]\nmodel = "a/b"\nsteps = 1\nstrength = 0.5\n', "less than one step"),
        (SMALL + "[guide]\nsize = 32\nscale = [0.001, 0.5]\n", "is less than one pixel"),
        (SMALL + '[guide]\nsize = 100\n[generator]\nmodel = "a/b"\n', "needs a multiple of 8"),
        (SMALL + '[[backgrounds]]\nname = "a"\nphrase = "b"\n' * 2, "two backgrounds share a name"),
        (SMALL + "[drawn]\ninstances = 2\ntemplates = 2\n" + PLACE, "has only D3S's ten backgrounds"),
        (SMALL.replace('"d3s"', '"sample"'), "is for drawn recipes"),
        ("name = ", "is not valid TOML"),
    ],
)
def test_a_bad_recipe_is_one_clear_line(text, says):
    with pytest.raises(RecipeError, match=says) as caught:
        parse_recipe(text, "mine.toml")
    assert str(caught.value).startswith("recipe mine.toml")
    assert "\n" not in str(caught.value)


def test_an_unknown_recipe_names_those_there_are(tmp_path):
    with pytest.raises(
        RecipeError,
        match="edit, fast, geography, keep-object, paper, sample, sample-pairs, severity, size, time, or the path",
    ):
        load_recipe("papr")
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="is not text"):
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


ENOUGH = "ABCDEFGHIJKLMNOPQRSTUVWXYZ" * 400_000  # ten megabytes


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (SMALL.replace("rows = 10", f"rows = {10**12}"), "rows: .* less than or equal to 100000000, got 1000000000000"),
        (SMALL.replace("rows = 10", "rows = " + "9" * 5000), "is not valid TOML"),
        (SMALL.replace("seed = 1", f"seed = {2**63}"), "seed: .* less than 9223372036854775808"),
        (SMALL.replace("seed = 1", "seed = -1"), "seed: .* greater than or equal to 0"),
        (SMALL.replace('"a"', f'"{ENOUGH.lower()}"'), r"name: .*at most 64 characters, got 'abc.*\.\.\."),
        (SMALL + f"{ENOUGH} = 1\n", "unknown key 'ABC"),
        (SMALL + "[guide]\nsize = 1000000\n", "guide.size: .* less than or equal to 4096"),
        (SMALL + "[guide]\nscale = [nan, 0.5]\n", "guide.scale.0: Input should be a finite number"),
        (SMALL + "[guide]\nscale = []\n", "guide.scale.0"),
        (SMALL + "[generator]\nstrength = inf\n", "generator.strength: Input should be a finite number"),
        (SMALL + f"[generator]\nsteps = {10**9}\n", "generator.steps: .* less than or equal to 1000"),
        (SMALL + "[generator]\nguidance_scale = nan\n", "generator.guidance_scale: Input should be a finite number"),
        (SMALL + "[drawn]\ninstances = 1000000000\ntemplates = 2\n", "drawn.instances: .* or equal to 10000"),
        (SMALL + "[drawn]\ninstances = 2\ntemplates = 2\ncolor = 1\n", "unknown key 'drawn.color'; it takes instances"),
        (SMALL + PLACE + "phrse = 1\n", r"unknown key 'backgrounds.0.phrse'; did you mean 'phrase'\?"),
        (SMALL + "backgrounds = []\n", "backgrounds: .* at least 1 item"),
        (SMALL + '[prompt]\ntemplate = "{synonym:>9999999999}"\n', "expected only {synonym}, {gloss} and {phrase}"),
        (SMALL + '[prompt]\ntemplate = "{synonym.__class__}"\n', "expected only {synonym}, {gloss} and {phrase}"),
        (SMALL + '[prompt]\ntemplate = "{synonym"\n', "expected only {synonym}, {gloss} and {phrase}"),
        (SMALL + "[controls]\nsplits = []\n", "controls.splits: .* at least 1 item"),
        ("a = " + "[" * 100_000, "is not valid TOML: nested too deeply"),
    ],
    ids=range(21),
)
def test_a_value_beyond_all_bounds_is_one_short_line(text, says):
    with pytest.raises(RecipeError, match=says) as caught:
        parse_recipe(text, "mine.toml")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


FIELDS = [
    (section, name)
    for section, model in [("", Recipe), *((name, each.annotation) for name, each in Recipe.model_fields.items())]
    for name in getattr(model, "model_fields", {})
    if not (section == "" and hasattr(Recipe.model_fields[name].annotation, "model_fields"))
]
VALUES = st.one_of(
    st.integers(-(2**70), 2**70),
    st.sampled_from(["nan", "inf", "-inf", "1e400", "[]", "[[]]", "{}", "true", "1979-05-27", '""', '"{}"', "'{0}'"]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(codec="ascii", exclude_characters="'", categories=["L", "N", "P"])).map("'{}'".format),
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(FIELDS), VALUES)
def test_any_value_in_any_field_is_taken_or_refused_in_one_line(field, value):
    section, name = field
    lines = {line.split(" =")[0]: line for line in SMALL.splitlines()}
    written = f"{name} = {value}"
    text = "\n".join((lines | {name: written}).values() if not section else [*lines.values(), f"[{section}]", written])
    try:
        recipe = parse_recipe(text, "mine.toml")
    except RecipeError as error:
        message = str(error)
    else:
        message = digest(recipe.to_json())
    assert "\n" not in message
    assert len(message) < 1000


@pytest.mark.parametrize(
    "flags",
    [
        ("--rows", 10**12),
        ("--rows", "9" * 5000),
        ("--limit", 10**30),
        ("--limit", "000"),
        ("--workers", 10**6),
        ("--batch-size", 10**9),
        ("--shard-rows", 10**15),
        ("--resample", 10**9),
        ("--rows", "²"),
    ],
)
def test_numbers_beyond_their_bounds_are_one_line(flags, capsys):
    with pytest.raises(SystemExit) as ended:
        run.main([flags[0], str(flags[1]), "--plan-only"])
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert f"{flags[0]}: expected a whole number above 0" in said
    assert said.count("\n") == 1
    assert len(said) < 300


def test_the_largest_plan_is_described_at_once(capsys):
    run.main(["--rows", str(MOST_ROWS), "--plan-only"])
    assert "rows" in capsys.readouterr().out
