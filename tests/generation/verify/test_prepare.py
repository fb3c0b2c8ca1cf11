"""Sampling of images (random, reproducible per seed), gold questions with their answers, cost estimate."""

import io
import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from d3s_dataset import manifest as manifests
from d3s_dataset.identity import file_digest
from d3s_dataset.taxonomy import BACKGROUNDS, background_names, superclass_of
from generation.verify.prepare import tasks as files
from generation.verify.prepare.attention_checks import known_pairs
from generation.verify.prepare.cost import Terms, estimate
from generation.verify.prepare.folder import Wish, prepare
from generation.verify.prepare.sampling import Candidate, deal, sample
from tests.conftest import one_line_error
from tests.generation.verify.conftest import refused
from tests.support.releases import same_bytes


def test_the_same_release_and_seed_give_the_same_bytes(redrawn, prepared, tmp_path):
    wish = Wish(images=40, per_task=20, gold=2, workers=3, seed=1)
    prepare(redrawn, tmp_path / "again", wish)
    assert same_bytes(prepared, tmp_path / "again")
    prepare(redrawn, tmp_path / "other", Wish(images=40, per_task=20, gold=2, workers=3, seed=2))
    assert not same_bytes(prepared, tmp_path / "other")


def test_tasks_hold_every_image_once_with_known_pairs_among_them(prepared, redrawn):
    held = files.read(prepared)
    assert held.release == manifests.read(redrawn).digest
    assert held.drawn == "random:40 of 80, seed 1"
    assert [len(task.items) for task in held.tasks] == [22, 22]
    shown = [item for task in held.tasks for item in task.items]
    assert sorted(shown) == sorted(held.by_id)
    assert len({item.key for item in held.images}) == 40
    assert len(held.items) - len(held.images) == 4
    for item in held.items:
        assert (prepared / "images" / item.image).is_file()
        assert item.guide
        assert (prepared / "images" / item.guide).is_file()
        assert held.examples[item.foreground]


def test_an_image_is_shown_with_its_own_guide(prepared, redrawn):
    held = files.read(prepared)
    for config, name in (("data", "image"), ("guides", "guide")):
        (path,) = (redrawn / config).glob("validation-*")
        stored = {row["key"]: row["image"]["bytes"] for row in pq.read_table(path).to_pylist()}
        for item in held.images:
            with Image.open(prepared / "images" / getattr(item, name)) as shown:
                before = Image.open(io.BytesIO(stored[item.key])).convert("RGB")
                difference = np.abs(np.asarray(shown, int) - np.asarray(before, int))
            assert difference.mean() < 1  # encoded again, with the same tables: nobody sees it


def test_nothing_but_tasks_json_tells_a_known_pair(prepared):
    held = files.read(prepared)
    page = json.dumps([item.model_dump(include={"id", "image", "guide"}) for item in held.items])
    assert "expected" not in page
    known = [item for item in held.items if item.key is None]
    for kind in (known, held.images):
        assert {(len(item.id), len(item.image), bool(item.guide)) for item in kind} == {(12, 24, True)}


candidates = st.lists(
    st.builds(
        Candidate,
        key=st.text("0123456789abcdef", min_size=8, max_size=8),
        foreground=st.integers(0, 999),
        background=st.integers(0, 9),
        photo=st.just("a.jpg"),
        box=st.just((0, 0, 1, 1)),
    ),
    unique_by=lambda row: row.key,
    max_size=40,
)


@given(candidates, st.integers(1, 50), st.integers(0, 3), st.randoms())
def test_a_draw_depends_on_seed_and_rows_alone_and_grows_at_its_end(rows, wanted, seed, chance):
    mixed = list(rows)
    chance.shuffle(mixed)
    first, _ = sample(rows, wanted, seed)
    assert first == sample(mixed, wanted, seed)[0]
    assert sample(rows, wanted + 5, seed)[0][: len(first)] == first
    assert len(first) == min(wanted, len(rows)) == len({row.key for row in first})


def test_a_draw_prefers_no_background():
    rows = [Candidate(f"{i:08x}", i % 7, i % 10, "a.jpg", (0, 0, 1, 1)) for i in range(2000)]
    counts = [sum(row.background == label for row in sample(rows, 1000, 3)[0]) for label in range(10)]
    assert min(counts) > 75
    assert max(counts) < 125


@given(candidates, st.integers(0, 30), st.integers(0, 3))
def test_known_pairs_are_what_they_say(rows, wanted, seed):
    for pair in known_pairs(rows, background_names(), wanted, seed):
        same_class = pair.asked.foreground == pair.shown.foreground
        same_place = pair.asked.background == pair.shown.background
        assert pair.expected == {
            "foreground": "yes" if same_class else "no",
            "background": "yes" if same_place else "no",
        }
        assert same_class or superclass_of(pair.asked.foreground) != superclass_of(pair.shown.foreground)
        names = {BACKGROUNDS[row.background].name for row in (pair.asked, pair.shown)}
        assert same_place or not names & {"rain", "night"}
        assert pair.asked.key != pair.shown.key


@given(st.lists(st.integers(), max_size=200), st.integers(1, 40))
def test_tasks_are_as_equal_as_can_be(items, per_task):
    dealt = deal(items, per_task)
    assert sorted(item for task in dealt for item in task) == sorted(items)
    sizes = [len(task) for task in dealt]
    assert not sizes or (max(sizes) <= per_task and max(sizes) - min(sizes) <= 1)


def test_costs_are_the_sums_they_say():
    lines = "\n".join(estimate(40, 1120, 3, Terms(pay=1.5, fee=20, seconds=9)))
    assert "120 assignments (40 tasks x 3 annotators), 10,080 answers" in lines
    assert "4.2 minutes per task, 2.8 hours per annotator who does all tasks, 8.4 hours in total" in lines
    assert "180.00, with a fee of 20 % 216.00 (a worker earns 21.43 per hour)" in lines
    assert not any("cost" in line for line in estimate(40, 1120, 3, Terms(pay=0, fee=0)))


def test_an_image_that_was_not_redrawn_is_its_own_guide(sample_release, tmp_path):
    made = prepare(sample_release, tmp_path / "tasks", Wish(images=10, gold=0, workers=1))
    assert {item.guide for item in made.items} == {None}
    assert made.drawn == "random:10 of 80, seed 0"


def test_examples_from_a_folder(redrawn, tmp_path, shared_data):
    made = prepare(redrawn, tmp_path / "tasks", Wish(images=5, gold=0, examples=str(shared_data / "foregrounds")))
    real = {label for label in {item.foreground for item in made.items} if label % 5 == 0}
    assert made.examples.keys() == real


def test_bad_releases_are_one_clear_line(redrawn, tmp_path):
    without = shutil.copytree(redrawn, tmp_path / "without")
    manifest = json.loads((without / "manifest.json").read_text())
    manifest["shards"] = [shard for shard in manifest["shards"] if shard["config"] != "guides"]
    (without / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "there").mkdir()
    cases = {
        (without, tmp_path / "a"): "has no config 'guides' for its redrawn images",
        (tmp_path / "there", tmp_path / "b"): "expected a finished release",
        (redrawn, tmp_path / "there"): "exists already: expected --out to name a new folder",
    }
    for (release, out), says in cases.items():
        assert says in refused("prepare", release, "--out", out)
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.parametrize("option", [("--images", "0"), ("--gold", "-1"), ("--pay", "much")])
def test_bad_numbers_are_one_clear_line(option, command):
    assert "expected a" in one_line_error(command("generation.verify", "prepare", "x", "--out", "y", *option))


def png(size=(8, 8)):
    buffer = io.BytesIO()
    Image.new("RGB", size, (200, 10, 10)).save(buffer, "png")
    return buffer.getvalue()


def changed(release, out, change):
    """A copy of a release whose first validation row was changed, with a manifest to match."""
    copy = shutil.copytree(release, out)
    manifest = json.loads((copy / "manifest.json").read_text())
    for entry in manifest["shards"]:
        if (entry["config"], entry["split"]) == ("default", "validation"):
            path = copy / entry["path"]
            table = pq.read_table(path)
            rows = table.to_pylist()
            rows[0] |= change
            pq.write_table(type(table).from_pylist(rows, schema=table.schema), path)
            entry.update(bytes=path.stat().st_size, sha256=file_digest(path))
    (copy / "manifest.json").write_text(json.dumps(manifest))
    return copy


BOX = {"left": 0, "top": 0, "right": 8, "bottom": 8}
ODD_ROWS = {
    "no key": {"key": None},
    "no class": {"foreground": None},
    "no background": {"background": None},
    "no photo": {"foreground_source": None},
    "no box": {"box": None},
    "half a box": {"box": BOX | {"top": None}},
    "a box inside out": {"box": BOX | {"right": 0}},
    "a class that is none": {"foreground": 1000},
    "a background that is none": {"background": -1},
    "no image": {"image": None},
    "an image without bytes": {"image": {"bytes": None, "path": "a.jpg"}},
    "no picture": {"image": {"bytes": b"<script>alert(1)</script>", "path": "a.html"}},
    "half a picture": {"image": {"bytes": png()[:-30], "path": "a.png"}},
    "a picture of a mile": {"image": {"bytes": png((9000, 1)), "path": "a.png"}},
}


@pytest.mark.parametrize("change", ODD_ROWS.values(), ids=ODD_ROWS.keys())
def test_a_row_that_nobody_can_be_asked_about_is_one_clear_line(redrawn, tmp_path, change):
    assert refused("prepare", changed(redrawn, tmp_path / "d3s", change), "--out", tmp_path / "tasks", "--gold", "0")
    assert not (tmp_path / "tasks").exists()


@pytest.mark.parametrize("suffix", [".html", ".js", ".svg", ""])
def test_what_a_release_calls_a_picture_decides_nothing(redrawn, tmp_path, suffix):
    script = png() + b"<script>alert(1)</script>"
    odd = changed(redrawn, tmp_path / "d3s", {"image": {"bytes": script, "path": "a" + suffix}})
    made = prepare(odd, tmp_path / "tasks", Wish(gold=0))
    written = list((tmp_path / "tasks" / "images").iterdir())
    assert {path.suffix for path in written} <= {".jpg", ".png"}
    assert len({item.image for item in made.images if item.image.endswith(".png")}) == 1
    for path in written:
        assert b"<script" not in path.read_bytes()
        with Image.open(path) as image:
            assert image.format == {".jpg": "JPEG", ".png": "PNG"}[path.suffix]
