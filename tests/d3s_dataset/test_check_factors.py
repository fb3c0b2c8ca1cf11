"""Sizes, places and levels are recomputed; what does not belong together is named; releases of before still pass."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from d3s_dataset.card import croissant
from d3s_dataset.check import check_release
from d3s_dataset.identity import file_digest
from d3s_dataset.load import load
from d3s_dataset.manifest import read
from d3s_dataset.schema import NEWER, arrow_schema


@pytest.fixture
def copy(ladder_release, tmp_path):
    return shutil.copytree(ladder_release, tmp_path / "d3s")


def rewrite(release, change, columns=None):
    """Change the rows of each shard, and the manifest with them."""
    manifest = json.loads((release / "manifest.json").read_text())
    for entry in manifest["shards"]:
        path = release / entry["path"]
        table = pq.read_table(path)
        rows = table.to_pylist()
        change(rows)
        pq.write_table(pa.Table.from_pylist(rows, schema=columns or table.schema), path)
        entry.update(bytes=path.stat().st_size, sha256=file_digest(path))
    (release / "manifest.json").write_text(json.dumps(manifest))
    (release / "croissant.json").write_bytes(croissant.to_bytes(read(release), NEWER if columns else ()))


def first(**values):
    return lambda rows: rows[0].update({name: each(rows[0]) for name, each in values.items()})


def moved(row):
    return {"left": 1, "top": 0, "right": 33, "bottom": 32}


def wider(row):
    return {"left": 0, "top": 0, "right": 40, "bottom": 40}


DAMAGE = {
    "another size": (first(box=wider), "box (0, 0, 40, 40) has none of the recipe's sizes"),
    "another place": (first(box=moved), "box (1, 0, 33, 32) has none of the recipe's places"),
    "another level": (first(severity=lambda row: 0.7), "severity 0.7 is none of the recipe's levels"),
    "no level": (first(severity=lambda row: None), "its severity None: expected both"),
    "another ladder": (lambda rows: rows[0].update(ladder=rows[-1]["ladder"]), "of its ladder"),
    "the same level": (lambda rows: [row.update(severity=1.0) for row in rows], "its severity is that of row"),
    "another seed": (first(seed=lambda row: 5), "its seed is another than that of row"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "says"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_row_that_is_not_the_recipe_s_is_named(copy, change, says):
    rewrite(copy, change)
    problems = check_release(copy)
    assert any(says in problem for problem in problems), problems


def test_a_whole_ladder_release_has_no_problem(ladder_release):
    assert check_release(ladder_release) == []


def test_a_grid_that_is_none_is_one_line(copy):
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["recipe"]["guide"]["sizes"] = "all"
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert "the recipe has sizes, places or severity that are no grid of numbers" in check_release(copy)


def without_severity(release):
    manifest = json.loads((release / "manifest.json").read_text())
    del manifest["recipe"]["severity"]
    (release / "manifest.json").write_text(json.dumps(manifest))


def test_levels_without_a_recipe_of_them_are_named(copy):
    without_severity(copy)
    assert any("expected neither, as the recipe has no severity" in problem for problem in check_release(copy))


def test_a_release_of_before_loads_and_passes(copy):
    """Its shards lack the columns that came later."""
    without_severity(copy)
    columns = arrow_schema(read(copy).backgrounds, without=NEWER)
    rewrite(copy, lambda rows: None, columns)
    assert not set(NEWER) & set(pq.read_schema(next(copy.glob("data/*.parquet"))).names)
    # its rows are those of a ladder, and differ in what it no longer says
    assert [each for each in check_release(copy) if "screen" not in each] == []
    assert not set(NEWER) & set(load(copy, split="validation", columns="all").column_names)


def test_a_release_of_two_versions_is_named(copy):
    path = next(copy.glob("data/validation-*"))
    table = pq.read_table(path)
    schema = arrow_schema(read(copy).backgrounds, without=NEWER)
    pq.write_table(pa.Table.from_pylist(table.to_pylist(), schema=schema), path)
    manifest = json.loads((copy / "manifest.json").read_text())
    entry = next(each for each in manifest["shards"] if each["path"].endswith(path.name))
    entry.update(bytes=path.stat().st_size, sha256=file_digest(path))
    (copy / "manifest.json").write_text(json.dumps(manifest))
    assert "shards differ in their columns: expected those of one version" in check_release(copy)
