import pytest

from d3s_dataset.taxonomy import BACKGROUNDS, classes
from generation.planning.plan import make_prompt
from generation.recipe.recipe import load_recipe, shipped

PAPER = load_recipe("paper").prompt.template


def test_the_papers_prompt():
    tench = "a photo of a tench, freshwater dace-like game fish of Europe and western Asia noted for ability to survive"
    assert make_prompt(PAPER, classes()[0], "in a cave") == f"{tench} outside water, in a cave"


def test_classes_that_share_a_synonym_differ_by_their_gloss():
    prompts = {make_prompt(PAPER, each, place.phrase) for each in classes() for place in BACKGROUNDS}
    assert len(prompts) == 10_000
    assert make_prompt(PAPER, classes()[517], "").startswith("a photo of a crane, lifts and moves")


@pytest.mark.parametrize("name", shipped())
def test_no_prompt_is_cut_by_the_real_tokenizer(shared_data, name):
    from transformers import CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(shared_data / "tokenizer")
    recipe = load_recipe(name)
    prompts = [make_prompt(recipe.prompt.template, c, b.phrase) for c in classes() for b in recipe.backgrounds]
    assert max(len(ids) for ids in tokenizer(prompts).input_ids) <= 77
