"""The drop of a report on guides: the step of the background alone, its order, its sign; and the sentences about it."""

import shlex

import numpy as np
import pytest

from benchmark.metrics.paired import background_step, changes, control_of, join
from benchmark.reports import drops, headline
from benchmark.reports.inputs import divide
from benchmark.run import parser as run_parser
from benchmark.schemas.metrics import Change
from d3s_dataset.taxonomy import background_names


@pytest.fixture(scope="module")
def found(scene):
    return drops.drops(scene.about, scene.controls)


def test_guides_show_the_background_step(found, scene):
    """The numbers are those of `paired.changes` on the two tables."""
    one = found[0]
    assert (one.background, one.control) == ("background", "control_scale_guides")
    pair = join([scene.controls[0].predictions, scene.about[0].predictions], ["control", "default"]).tables
    assert one.by_background == changes(*pair, background_names())
    cell = one.by_background["grass"]
    assert (cell.before, cell.after, cell.change) == (0.8, 0.3, pytest.approx(-0.5))
    assert one.by_background[drops.ALL].change == pytest.approx(-0.05)


@pytest.mark.parametrize(
    ("configs", "kind", "config", "expected"),
    [
        (("default", "control_scale_guides"), "guides", "default", "background"),
        (("default", "control_scale"), "d3s", "default", "background"),
        (("default", "control_scale", "control_scale_guides", "guides"), "d3s", "guides", "background, on guides"),
        (("default", "control_scale_guides", "guides"), "d3s", "default", "background, on guides"),
        (("guides", "control_scale_guides"), "d3s", "guides", "background, on guides"),
        (("default", "control_original_guides"), "d3s", "default", None),
    ],
)
def test_the_step_that_changes_the_background_alone(configs, kind, config, expected):
    step = background_step(configs, kind, config)
    assert (step and step[0]) == expected
    if step and step[2] == config:
        assert control_of(config, kind) == step[1]


def test_a_report_of_guides_with_their_control_is_about_the_guides(planted):
    results = [planted(config=config, kind="d3s") for config in ("control_scale_guides", "guides")]
    about, controls = divide(results)
    assert [each.result.dataset.config for each in about] == ["guides"]
    assert [each.background for each in drops.drops(about, controls)] == ["background, on guides"]


def test_the_largest_loss_comes_first(found):
    assert drops.ordered(found)[0] == "grass"
    shown = drops.table(found[0])
    assert shown.headings == ("change of top-1, points", "n", "background")
    assert shown.rows[0][:2] == ("grass", "60")
    assert shown.rows[0][2].startswith("-50.0 (-")
    assert shown.rows[-1][0] == "all images"


def test_a_loss_is_negative_in_every_table(found):
    rows = drops.tables(found)[0].rows
    assert [row[6] for row in rows if row[0] == "one" and row[2] in ("grass", drops.ALL)] == ["-50.0", "-5.0"]
    assert drops.imagenet([]) == []


def change(mean, low, high, **more):
    facts = {"n": 100, "before": 0.5, "after": 0.5, "p": 0.5, "p_holm": 0.5, "gained": 0, "lost": 0}
    facts |= {"odds_ratio": None, "cohens_h": 0.0, "doubts": []} | more
    return Change(change=mean, ci95=(low, high), **facts)


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (change(-0.123, -0.145, -0.101), "loses 12.3 points (95 % interval 10.1 to 14.5)"),
        (change(0.0205, 0.001, 0.04), "gains 2.0 points (95 % interval 0.1 to 4.0)"),
        (change(-0.004, -0.02, 0.012), "neither loses nor gains measurably (-0.4 points, 95 % interval -2.0 to +1.2)"),
        (change(-0.5, None, None), "changes by -50.0 points (no interval: too few photos)"),
        (change(None, None, None), "was not measured"),
    ],
)
def test_a_verdict(cell, text):
    assert headline.verdict(cell) == text


def test_the_headline_is_a_sentence_with_the_finding(found, scene):
    one, two = headline.findings(scene.about, found)
    ends = found[0].by_background[drops.ALL].ci95
    low, high = (f"{-100 * each:.1f}" for each in ends)
    assert one.lead == f"loses 5.0 points of top-1 (95 % interval {high} to {low}) when the background alone changes"
    assert one.detail.startswith(
        "It is right on 80.0 % of the objects on grey and on 75.0 % here. Worst on grass, where it "
    )
    assert "loses 50.0 points (95 % interval" in one.detail
    assert two.lead.startswith("neither loses nor gains measurably (+0.0 points")
    assert headline.missing(scene.about, found, None) is None


def test_without_a_control_it_says_what_to_type(scene):
    bare = drops.drops(scene.about, [])
    assert [each.background for each in bare] == [None, None]
    one = headline.findings(scene.about, bare)[0]
    assert one.lead.startswith("classifies 75.0 % of the images correctly (95 % interval ")
    assert one.detail.startswith("Worst on grass: 30.0 % (95 % simultaneous interval ")
    assert one.detail.endswith("45.0 points below all images.")
    lacking = headline.missing(scene.about, bare, "my d3s")
    assert lacking.why.endswith("is not measured for one, two: it needs their results on config control_scale_guides.")
    assert len(lacking.commands) == 3
    words = shlex.split(lacking.commands[0])[3:]
    args = run_parser().parse_args(words)
    assert (args.model, args.dataset, args.config) == (["one"], "my d3s", ["control_scale_guides"])
    assert args.precision == "fp32"


def test_a_part_of_another_split_with_arguments_is_typed_as_such(planted):
    each = planted("one", split="train[:600]", kwargs={"pad_type": "same"})
    lacking = headline.missing([each], drops.drops([each], []), None)
    args = run_parser().parse_args(shlex.split(lacking.commands[0])[3:])
    assert (args.split, args.limit, args.dataset) == ("train", 600, "DIR_OR_REPO")
    assert "--model-kwargs pad_type=same" in lacking.commands[0]


def test_where_nothing_can_be_typed(planted):
    drawn = planted("one", kind="sample")
    assert headline.missing([drawn], drops.drops([drawn], []), None).commands == ()
    control = planted("one", config="control_scale", kind="d3s")
    assert "is itself a control set" in headline.missing([control], drops.drops([control], []), None).why


def test_the_figures_hold_the_numbers(found):
    made = drops.drawn(found)
    across, change = made["drop"].axes[0], made["changes"].axes[0]
    dots = [line.get_xydata()[0] for line in across.lines if line.get_marker() in "os"]
    np.testing.assert_allclose(dots, [[80, 75], [50, 50]])
    rows = [text.get_text() for text in change.get_yticklabels()]
    assert rows[0] == "grass"
    means = [line.get_xdata()[0] for line in change.lines if line.get_linestyle() == "--"]
    assert means == pytest.approx([-5, 0])
    assert drops.drawn(drops.drops([], [])) == {}
