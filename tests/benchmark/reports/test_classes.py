"""Classes of a report: their change, their spread, the superclass table that fades what is few."""

import numpy as np
import pytest

from benchmark.reports import classes, drops
from benchmark.reports.sections import bins, confidence, drawn, hardest_first, headline
from benchmark.reports.text import between, percent
from benchmark.schemas.metrics import Metrics
from d3s_dataset.taxonomy import SUPERCLASSES


def test_classes_by_their_loss_to_the_background(scene):
    """Photos 18 to 47 of `one` are lost on grass: of a class' 5 photos, 2 or 3, each one of ten images."""
    found = classes.changes(drops.drops(scene.about, scene.controls))
    assert len(found.labels) == 12
    assert found.n.tolist() == [50] * 12
    lost = 100 * (found.before - found.after)
    assert lost[0].sum() == pytest.approx(30 / 50 * 100)
    assert lost[1].sum() == 0
    assert (np.diff(lost.mean(0)) <= 1e-9).all()
    made = classes.drawn(scene.about, drops.drops(scene.about, scene.controls))
    assert set(made) == {"classes", "class-changes"}
    rows = [text.get_text() for text in made["class-changes"].axes[0].get_yticklabels()]
    assert all(each.endswith(" (50)") for each in rows)
    assert set(classes.drawn(scene.about, drops.drops(scene.about, []))) == {"classes"}


def test_spread_says_how_many_are_never_right(planted):
    made = planted("one", 0.5)
    assert classes.never([made]) == ["one: of 12 classes, 0 (0.0 %) are never right and 0 (0.0 %) always."]
    none = planted("one", right=np.zeros(600, dtype=bool))
    assert "12 (100.0 %) are never right" in classes.never([none])[0]


def test_superclasses_without_images_are_left_out_and_few_are_marked(scene):
    rows = classes.superclasses(scene.about[0].metrics)
    assert 0 < len(rows) < len(SUPERCLASSES)
    for name, cells in rows:
        scores = scene.about[0].metrics.by_superclass_background[name].values()
        assert [cell.n for cell in cells] == [*(each.n for each in scores), sum(each.n for each in scores)]
        assert [cell.few for cell in cells] == [cell.n < 30 for cell in cells]
        right = sum(each.n * each.top1 for each in scores)
        assert float(cells[-1].text) == pytest.approx(100 * right / cells[-1].n, abs=0.05)
    assert {cell.few for _, cells in rows for cell in cells} == {True, False}


def test_plain_and_shrunk_accuracies_stand_next_to_each_other(scene):
    metrics = scene.about[0].metrics
    plain, pulled = classes.superclasses(metrics), classes.shrunk(metrics)
    assert [name for name, _ in pulled] == [name for name, _ in plain]
    assert metrics.interaction > 0
    for (name, cells), (_, others) in zip(plain, pulled, strict=True):
        own = metrics.by_superclass_background[name].values()
        assert [each.n for each in others] == [each.n for each in cells[:-1]]
        assert [each.ends for each in others] == [between(each.shrunk.ci95) for each in own]
        assert [each.text for each in others] == [percent(each.shrunk.top1) for each in own]
    assert {classes.tables([each])[0].headings[2::2] for each in scene.about} == {("plain %", "shrunk %")}
    older = metrics.model_dump(mode="json")
    for cells in older["by_superclass_background"].values():
        for each in cells.values():
            del each["shrunk"]
    del older["interaction"]
    assert classes.shrunk(Metrics.model_validate(older)) == []


def test_the_table_of_classes_is_collapsed_where_cells_hold_few(scene, make_predictions):
    assert classes.collapsed(scene.about[0].metrics) == ""  # five photos of each class
    metrics = scene.about[0].metrics
    one = next(iter(metrics.by_foreground.values())).model_copy(update={"n_by_background": [1] * 10})
    assert classes.collapsed(metrics.model_copy(update={"by_foreground": {"x": one}})) == "a cell holds 1 image"


def test_backgrounds_are_sorted_and_each_model_has_its_mean(scene):
    assert hardest_first(scene.about)[0] == "grass"
    axes = drawn(scene.about)["backgrounds"].axes[0]
    assert axes.get_yticklabels()[0].get_text() == "grass"
    assert [line.get_xdata()[0] for line in axes.lines if line.get_linestyle() == "--"] == pytest.approx([75, 50])


def test_calibration_shows_how_many_images_a_bin_has(scene):
    shown = bins(scene.about)
    counts = [int(row[1]) for row in shown.rows]
    assert sum(counts) == 600
    assert [row[0] for row, count in zip(shown.rows, counts, strict=True) if count] == ["46.7 to 53.3"]
    assert len(drawn(scene.about)["calibration"].axes) == 2
    said = confidence(scene.about)
    assert said[0] == (
        "one is 50.0 % confident on average and 75.0 % of its answers are right: underconfident by 25.0 points."
    )


def test_the_worst_background_lies_below_with_a_minus(scene):
    assert headline(scene.about)[0][-3:] == ("grass", "30.0", "-45.0")
