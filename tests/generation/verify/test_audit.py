"""An audit's estimate and interval: against ppi_py, by simulation with a known truth, and through the command."""

import importlib
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from d3s_dataset import manifest as manifests
from d3s_dataset.card import files as describing
from d3s_dataset.identity import digest
from d3s_dataset.manifest import Shard
from generation.release.shards import write_shard
from generation.verify.__main__ import main
from generation.verify.aggregate import screens
from generation.verify.aggregate.prediction_powered import QUANTILE, Predictions, estimates, wilson
from generation.verify.prepare import tasks as files
from generation.verify.prepare.folder import Wish, prepare
from generation.verify.votes.store import Store, Vote
from tests.generation.verify.conftest import PEOPLE, refused
from tests.support.audits import ROWS, measure, screened

ONE = np.zeros(ROWS, int)
ppi_py: Any = importlib.import_module("ppi_py")  # its names come by a star that type checkers do not follow


def own(screen: np.ndarray, votes: int) -> Predictions:
    return Predictions(screen[None], np.zeros(votes, int))


@pytest.mark.parametrize(("correlation", "votes"), [(0.0, 300), (0.5, 300), (0.8, 2000)])
def test_the_estimate_is_that_of_ppi_py_where_the_population_is_infinite(correlation, votes):
    generator = np.random.default_rng(3)
    right, screen = screened(0.8, correlation, generator)
    drawn = generator.choice(ROWS, votes, replace=False)
    (found,) = estimates(right[drawn], drawn, ONE, 1, own(screen, votes))
    assert found is not None
    rest = np.delete(screen, drawn)
    theirs = ppi_py.ppi_mean_pointestimate(right[drawn], screen[drawn], rest)[0]
    low, high = (each[0] for each in ppi_py.ppi_mean_ci(right[drawn], screen[drawn], rest, alpha=0.05))
    assert found.powered.share == pytest.approx(theirs, abs=1e-4)
    # Their variance, of images that the recipe could make, is ours with the part that the finite release has not.
    left = 1 - votes / ROWS
    ratio = votes / left / found.powered.effective
    error = np.sqrt(right[drawn].var() * (ratio * left / votes + 1 / ROWS))
    assert found.powered.share - QUANTILE * error == pytest.approx(low, abs=2e-4)
    assert found.powered.share + QUANTILE * error == pytest.approx(high, abs=2e-4)


def test_the_plain_interval_is_that_of_statsmodels_where_the_release_is_large():
    from statsmodels.stats.proportion import proportion_confint

    for good, n in ((17, 20), (20, 20), (0, 7), (970, 1000)):
        low, high = wilson(np.array([good / n]), np.array([float(n)]))
        assert (low[0], high[0]) == pytest.approx(proportion_confint(good, n, method="wilson"), abs=1e-6)


@pytest.mark.parametrize(("share", "correlation", "votes"), [(0.97, 0.8, 200), (0.6, 0.5, 600), (0.9, 0.7, 200)])
def test_intervals_cover_and_are_as_narrow_as_the_correlation_allows(share, correlation, votes):
    for found in measure(partial(screened, share, correlation), votes, 150):
        assert found.covered > 0.9
        assert found.width < np.sqrt(1 - correlation**2) + 0.04


def test_a_screen_without_information_costs_nothing():
    for found in measure(partial(screened, 0.9, 0.0), 200, 100):
        assert found.covered > 0.9
        assert found.width < 1.02


def test_combined_screens_are_narrower_and_cover():
    def draw(generator):
        right, screen = screened(0.8, 0.7, generator)
        noise = generator.normal(size=ROWS)
        return right, np.stack([screen + 0.3 * noise, -noise, generator.normal(size=ROWS)], axis=1)

    def predict(given, drawn, verdicts):
        return screens.predictions({str(number): each for number, each in enumerate(given.T)}, drawn, verdicts, 5)

    overall, each = measure(draw, 400, 40, predict)
    assert overall.covered > 0.85
    assert each.covered > 0.92
    assert overall.width < 0.8


def test_all_voted_is_known_and_one_verdict_or_none_gives_no_more_than_it_says():
    generator = np.random.default_rng(0)
    right, screen = screened(0.9, 0.5, generator)
    (all_voted,) = estimates(right, np.arange(ROWS), ONE, 1, own(screen, ROWS))
    assert all_voted is not None
    assert (all_voted.powered.low, all_voted.powered.high) == (right.mean(), right.mean())
    assert all_voted.saved == 0
    group = np.array([0, 0, 0, 1])
    seen, unseen = estimates(np.ones(2), np.array([0, 1]), group, 2, None)
    assert unseen is None
    assert seen is not None
    assert seen.plain.low >= 2 / 3  # two of three are right, whatever the third is
    assert seen.powered == seen.plain


def test_verdicts_that_are_all_the_same_or_no_screens_predict_nothing():
    drawn, screen = np.arange(20), {"a": np.random.default_rng(0).normal(size=50)}
    one_wrong = np.ones(20)
    one_wrong[0] = 0
    assert screens.predictions(screen, drawn, np.ones(20)) is None
    assert screens.predictions(screen, drawn, one_wrong) is None
    assert screens.predictions({}, drawn, np.tile([0.0, 1.0], 10)) is None


def right(key: str) -> bool:
    """The truth of the simulated release."""
    return int(digest(["truth", key])[:4], 16) % 10 < 7


def with_screens(release: Path, out: Path) -> Path:
    """A copy whose validation rows have one screen that knows the truth, one that is constant and one that is null."""
    shutil.copytree(release, out)
    manifest, shards = manifests.read(out), []
    for shard in manifest.shards:
        if (shard.config, shard.split) != ("default", "validation"):
            shards.append(shard)
            continue
        rows = pq.read_table(out / shard.path).to_pylist()
        for number, row in enumerate(rows):
            row |= {"screen_clip_foreground": 0.9 * right(row["key"]) + 0.001 * number, "screen_clip_background": 0.5}
            row |= {"fidelity_ssim": 0.3 if number == 0 else None}
        size, checksum = write_shard(out / shard.path, rows, manifest.backgrounds)
        shards.append(Shard(**shard.model_dump() | {"bytes": size, "sha256": checksum}))
    made = manifest.model_copy(update={"shards": shards})
    describing.write(out, made)
    manifests.write(out, made)
    return out


def voted(folder: Path, undecided: int = 0) -> None:
    """Votes of three people on all images of a tasks folder but the last few, by `right`; then the verdicts."""
    held = files.read(folder)
    images = held.images[: len(held.images) - undecided]
    store = Store(folder)
    store.record(
        Vote(f"person:{who}", item.id, question, "no" if question == "unsafe" or not right(str(item.key)) else "yes")
        for item in images
        for who in PEOPLE
        for question in ("foreground", "background", "unsafe")
    )
    store.close()
    main(["aggregate", str(folder), "--rule", "majority"])


@pytest.fixture(scope="module")
def audited(few_rounds, redrawn, tmp_path_factory):
    """The release with screens, and tasks over 40 of its 80 images, two of them without votes."""
    at = tmp_path_factory.mktemp("audited")
    release = with_screens(redrawn, at / "d3s")
    prepare(release, at / "tasks", Wish(images=40, per_task=20, gold=0, workers=3, seed=1))
    voted(at / "tasks", undecided=2)
    return release, at / "tasks"


def test_the_command_prints_the_share_its_intervals_and_what_was_left_out(audited, capsys):
    capsys.readouterr()
    main(["audit", *map(str, audited)])
    text = capsys.readouterr().out
    assert "38 of 80 validation images have a verdict (random:40 of 80, seed 1; 3.0 votes per image)" in text
    assert "predicted from: screen_clip_foreground\n" in text
    assert "screen_clip_background: the same in all rows" in text
    assert "fidelity_ssim: null in more than half of the rows" in text
    assert "fidelity_colour" in text
    assert "2 of 40 images drawn have no verdict and are left out" in text
    main(["audit", *map(str, audited), "--json"])
    rows = {each["group"]: each for each in map(json.loads, capsys.readouterr().out.splitlines())}
    whole, held = rows["all"], files.read(audited[1])
    assert len(rows) == 1 + len(held.backgrounds)
    assert sum(row["verdicts"] for name, row in rows.items() if name != "all") == whole["verdicts"] == 38
    truth = np.mean([right(key) for key in validation_keys(audited[0])])
    estimate, plain = whole["estimate"], whole["plain"]
    assert plain["low"] <= truth <= plain["high"]
    assert plain["low"] < estimate["low"] < estimate["high"] < plain["high"]
    assert whole["votes_saved"] == pytest.approx(3 * whole["images_saved"])
    assert whole["images_saved"] > 10


def validation_keys(release: Path) -> set[str]:
    manifest = manifests.read(release)
    paths = [release / shard.path for shard in manifest.select("default", "validation")]
    return {key for path in paths for key in pq.read_table(path, columns=["key"])["key"].to_pylist()}


def test_a_release_without_screens_has_the_plain_interval_alone(few_rounds, redrawn, prepared, tmp_path, capsys):
    folder = shutil.copytree(prepared, tmp_path / "tasks")
    voted(folder)
    capsys.readouterr()
    main(["audit", str(redrawn), str(folder)])
    text = capsys.readouterr().out
    assert "predicted from: nothing, so the interval is the plain one" in text
    assert "not in this release" in text
    main(["audit", str(redrawn), str(folder), "--json"])
    for line in capsys.readouterr().out.splitlines():
        row = json.loads(line)
        assert row["estimate"] == row["plain"]


def test_a_plan_needs_no_tasks_and_what_cannot_be_audited_is_one_line(audited, redrawn, prepared, tmp_path, capsys):
    release, tasks = audited
    main(["audit", str(release), "--images", "20"])
    text = capsys.readouterr().out
    assert "20 of 80 validation images, drawn at random" in text
    assert f"python -m generation.verify prepare {release} --out tasks --images 20" in text
    main(["audit", str(release), "--images", "80", "--json"])
    assert {json.loads(line)["all"] for line in capsys.readouterr().out.splitlines()} == {0.0}  # all are voted on
    assert "expected the tasks folder with votes, or --images N" in refused("audit", release)
    with pytest.raises(SystemExit):
        main(["audit", str(release), str(tasks), "--images", "20"])
    assert "does nothing with a tasks folder" in capsys.readouterr().err
    assert "expected at most the 80 validation images" in refused("audit", release, "--images", 81)
    assert "was prepared from release" in refused("audit", redrawn, tasks)
    assert "aggregate" in refused("audit", redrawn, prepared)
    copied = shutil.copytree(tasks, tmp_path / "tasks")
    store = Store(copied)
    store.record([Vote("person:dora", files.read(copied).images[0].id, "unsafe", "no")])
    store.close()
    assert "votes newer than the verdicts" in refused("audit", release, copied)
