"""The parts of a report about features: leakage as a sentence, one sign, lambdas named; names that break."""

import pytest

from benchmark.reports import disentanglement, figures, probe_text
from benchmark.reports.html import breakable, glue
from tests.benchmark.board import features


@pytest.fixture
def facts(planted):
    return planted().result.dataset


def test_leakage_is_a_sentence_per_part_that_reads_the_other_label(facts):
    assert disentanglement.leakage(features.probed(facts)) == [
        "From the foreground part the best probe (knn) reads the background at 34.0 % (95 % interval 28.0 to 40.0); "
        "permuted labels at 8.0 %.",
        "From the background part the probe linear reads the foreground at 30.0 % (95 % interval 25.0 to 35.0); "
        "chance is 10.0 %.",
    ]


def test_what_is_readable_is_shown_with_its_null_and_a_single_probe_s_below_it(facts):
    made = features.probed(facts)
    rows = probe_text.readable_rows(made)
    expected = (
        "background <- foreground", "unseen background", "120", "34.0", "28.0 to 40.0", "knn", "36.0", "linear", "8.0",
        "+26.0", "+21.0 to +32.0", "0.048", "2.10", "2.30",
    )  # fmt: skip
    assert rows == [expected]
    other = features.reading("foreground", "background", "unseen_background", 0.3, "lda")
    other = other.model_copy(update={"null": features.null(0.3)})
    rows = probe_text.readable_rows(made.model_copy(update={"readings": [*made.readings, other]}))
    assert rows[1][3:6] == ("30.0", "25.0 to 35.0", "lda")
    assert all(len(row) == len(probe_text.READABLE) for row in rows)
    assert features.null(0.3).above == pytest.approx(0.22)
    assert features.null(0.05).above == 0
    assert probe_text.null_cells(None) == ("-",) * len(probe_text.NULL)


@pytest.mark.parametrize(("accuracy", "strength"), [(1.0, "1.000"), (0.55, "0.500"), (0.1, "0.000"), (0.02, "0.000")])
def test_a_colour_begins_at_chance(accuracy, strength):
    assert disentanglement.strength(features.reading("all", "background", "seen", accuracy)) == strength


def test_features_that_are_not_divided_do_not_leak():
    assert not disentanglement.leaks(features.reading("all", "background", "seen", 0.9))


def test_a_loss_on_conflicting_images_is_negative(facts):
    rows = disentanglement.methods(features.correlation(facts))
    assert disentanglement.METHODS[3] == "conflicting - aligned, points"
    assert [row[3] for row in rows] == [
        "-45.0 (-47.0 to -43.0)", "-50.0 (-52.0 to -48.0)", "-25.0 (-27.0 to -23.0)"
    ]  # fmt: skip


def test_points_of_a_sweep_are_named_lambda(facts):
    axes = figures.tradeoff(features.sweep(facts)).axes[0]
    assert [each.get_text() for each in axes.texts] == ["λ = 0", "λ = 1", "λ = 10"]
    assert [each.xy for each in axes.texts] == [pytest.approx(each) for each in ((90, 80), (85, 82), (80, 30))]


def test_names_break_after_an_underscore_and_stay_escaped():
    assert breakable("tf_net:<b>/x") == "tf_<wbr>net:<wbr>&lt;b&gt;/<wbr>x"
    assert glue("20.2 % of 5 %") == "20.2\u00a0% of 5\u00a0%"
