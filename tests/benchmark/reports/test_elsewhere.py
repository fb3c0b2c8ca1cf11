"""A report of predictions made elsewhere: a class per image, no probabilities. What cannot be said is not guessed."""

import shlex
from dataclasses import replace

import pytest

from benchmark.metrics.compute import result_of
from benchmark.reports import drops, headline, page, pulls, sections
from benchmark.reports.inputs import Given
from benchmark.reports.sections import Measured
from benchmark.score import parser as score_parser


@pytest.fixture(scope="module")
def elsewhere(scene):
    """The first model of the scene, its answers alone, and the second as it is."""
    own = scene.about[0].predictions
    facts = {**own.provenance, "model": {**own.provenance["model"], "name": "predictions:mine"}}
    alone = replace(own, prediction=own.prediction[:, :1], probability=None, loss=None, squares=None, provenance=facts)
    return [Measured("mine", result_of(alone, "here"), alone), scene.about[1]]


def test_calibration_leaves_it_out_and_says_so(elsewhere):
    assert sections.confidence(elsewhere)[0] == "mine: its predictions have no probabilities."
    assert sections.bins(elsewhere).headings == ("confidence, %", "two: images", "two sure %", "two right %")
    assert sections.bins(elsewhere[:1]) is None
    assert set(sections.drawn(elsewhere[:1])) == {"backgrounds"}
    assert set(sections.drawn(elsewhere)) == {"backgrounds", "calibration"}


def test_pictures_have_no_confidence(elsewhere):
    found = pulls.pulls(elsewhere, drops.drops(elsewhere, []))
    assert {each.confidence for each in found[0].pictures} == {"-"}


def test_what_to_type_is_a_command_that_takes_predictions(elsewhere):
    lacking = headline.missing(elsewhere, drops.drops(elsewhere, []), None)
    words = shlex.split(lacking.commands[0])
    assert words[:3] == ["python", "-m", "benchmark.score"]
    args = score_parser().parse_args(words[3:])
    assert (args.model_name, args.config) == ("mine", "control_scale_guides")


def test_the_page_is_whole_without_a_single_probability(elsewhere):
    text = page.page(Given(elsewhere[:1]), None).decode()
    assert "mine: its predictions have no probabilities." in text
    assert "nan" not in text.split('id="data"')[0].split("<main>")[1].replace("finance", "")
