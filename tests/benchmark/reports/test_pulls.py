"""What backgrounds pull answers to: a planted pull, with a control and without, and pictures of it."""

import numpy as np
import pytest
from scipy import stats

from benchmark.reports import drops, pulls


@pytest.fixture(scope="module")
def found(scene):
    measured = drops.drops(scene.about, scene.controls)
    return pulls.pulls(scene.about, measured), measured


def test_a_planted_pull_is_found_against_the_control(found):
    first, *rest = found[0]
    assert (first.background, first.n, first.photos, first.more) == ("grass", 60, 30, 0)
    assert [answer.name.split(",")[0] for answer in first.answers] == ["rapeseed"]
    answer = first.answers[0]
    assert (answer.cells[0].here, answer.cells[0].there) == (42 / 60, 0.0)
    assert answer.cells[1].excess == 0
    assert (answer.certain, answer.largest) == ([True, False], 0)
    # Two wrong answers are tested on grass (rapeseed, and 901 which falls), one on each of the other nine.
    alone = stats.binomtest(42, 42, alternative="greater").pvalue
    assert answer.p[0] <= 20 * alone
    assert answer.truths.endswith(" and 8 more classes")
    assert all(each.answers == [] for each in rest)


def test_pictures_show_what_was_right_on_the_control_first(found):
    pictures = found[0][0].pictures
    assert len(pictures) == pulls.MOST_PICTURES
    assert {each.control for each in pictures} == {"right"}
    assert {(each.answer, each.model, each.confidence) for each in pictures} == {("rapeseed", "one", "50.0")}
    assert len({each.key for each in pictures}) == len(pictures)


def test_the_strongest_pull_as_a_sentence(found, scene):
    said = pulls.summary(found[0], scene.about, found[1])
    start = (
        "The strongest pull: on grass, one wrongly answers rapeseed for 70.0 % of the images, against 0.0 % of the same"
    )
    assert said.startswith(
        f"{start} objects on their controls (+70.0 points; p <0.001 on these "
        "30 background photos, Holm; 95 % interval over others like them +"
    )
    assert "; the objects: cash machine (4), " in said


def test_without_a_control_it_is_against_the_other_backgrounds(scene):
    bare = drops.drops(scene.about, [])
    first = pulls.pulls(scene.about, bare)[0]
    assert first.background == "grass"
    answer = first.answers[0]
    assert (answer.cells[0].here, answer.cells[0].there) == (42 / 60, 0.0)
    assert {each.control for each in first.pictures} == {None}
    assert "objects on the other backgrounds" in pulls.summary([first], scene.about, bare)


def test_where_nothing_is_pulled_it_says_so(planted):
    about = [planted("two", 0.5)]
    bare = drops.drops(about, [])
    found = pulls.pulls(about, bare)
    assert [each.answers for each in found] == [[]] * 10
    assert pulls.summary(found, about, bare).startswith("No class is over-predicted on any background")
    assert pulls.tables(about, found) == []


def test_the_table_has_a_row_per_model(found, scene):
    rows = pulls.tables(scene.about, found[0])[0].rows
    assert [row[:7] for row in rows] == [
        ("one", "grass", "rapeseed", "60", "70.0", "0.0", "+70.0"),
        ("two", "grass", "rapeseed", "60", "0.0", "0.0", "+0.0"),
    ]
    assert [row[8] for row in rows] == ["<0.001", "1.000"]


def test_a_pull_of_one_model_alone_is_not_one_of_the_other(found):
    assert [np.isclose(p, 1) for p in found[0][0].answers[0].p] == [False, True]
