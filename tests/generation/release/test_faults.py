"""Fault tolerance: signals, two concurrent runs, parts, rows that fail, screens, images made again."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from d3s_dataset.check import check_release
from d3s_dataset.errors import GenerationError, RecipeError, ReleaseError
from d3s_dataset.manifest import read
from generation.execution.options import How
from generation.planning.plan import Plan
from generation.release.build import finish_parts, generate, make_again
from generation.release.shards import write_shard
from generation.sources.sample import DrawnForegrounds
from tests.conftest import ROOT, one_line_error
from tests.support.releases import CPU, apart, decoded, redrawn_plan, rows_of, same_bytes, small_plan

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
SHARDS = How(25, workers=1)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    out = tmp_path_factory.mktemp("reference") / "d3s"
    generate(small_plan(), out, SHARDS)
    return out


# The first shard takes long enough to be interrupted; the rest is short.
SAMPLE = ["--recipe", "sample", "--rows", "360", "--shard-rows", "300"]


def start(out: Path) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "generation.run", *SAMPLE, "--out", str(out)]
    return subprocess.Popen(line, cwd=ROOT, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A run that got SIGTERM in its first shard: its folder, exit code and stderr."""
    out, code, said = tmp_path_factory.mktemp("stopped") / "d3s", 0, ""
    for seconds in (4, 12, 36):  # on a busy machine the first row takes longer
        shutil.rmtree(out, ignore_errors=True)
        process = start(out)
        while not (out / ".work" / "run.lock").exists():
            time.sleep(0.01)
        time.sleep(seconds)
        assert process.poll() is None
        process.terminate()
        said, code = process.communicate(timeout=60)[1], process.returncode
        if list((out / ".work").glob("*.parquet")):
            break
    return out, code, said


def test_sigterm_keeps_what_was_made_and_says_so_in_one_line(stopped):
    out, code, said = stopped
    assert code == 143
    assert [line for line in said.splitlines() if not line.startswith("warning: ")] == [
        f"error: stopped; finished images are kept in {out}: type the same command to resume"
    ]
    assert not (out / "manifest.json").exists()
    kept = list((out / ".work").glob("*.parquet"))
    assert sum(pq.read_metadata(path).num_rows for path in kept) > 0


@pytest.mark.long
def test_after_sigterm_the_same_command_makes_only_the_rest(stopped, tmp_path, monkeypatch, command):
    from generation.images.rows import Maker

    out = shutil.copytree(stopped[0], tmp_path / "d3s")
    kept = {key for path in (out / ".work").glob("*.parquet") for key in pq.read_table(path)["key"].to_pylist()}
    made, original = set(), Maker.guide
    monkeypatch.setattr(Maker, "guide", lambda self, row: made.add(row.key) or original(self, row))
    from generation.recipe.recipe import load_recipe
    from generation.run import open_sources

    recipe = load_recipe("sample").changed(rows=360)
    generate(Plan(recipe, *open_sources(recipe, None, None)), out, How(300, workers=1))
    assert kept
    assert not kept & made
    assert len(kept | made) == 360
    assert check_release(out) == []
    assert command("generation.run", *SAMPLE, "--out", tmp_path / "once").returncode == 0
    assert same_bytes(out, tmp_path / "once")


def test_two_runs_on_one_folder_are_refused(tmp_path, command):
    process = start(tmp_path / "d3s")
    while not (tmp_path / "d3s" / ".work" / "plan.json").exists():
        time.sleep(0.01)
    line = one_line_error(command("generation.run", *SAMPLE, "--out", tmp_path / "d3s"))
    assert f"another run is making --out {tmp_path / 'd3s'}: wait for it, or stop it" in line
    process.kill()
    process.communicate()


def test_parts_and_finish_give_the_same_release(reference, tmp_path):
    out = tmp_path / "d3s"
    for part in (3, 1):
        summary = generate(small_plan(), out, How(25, workers=1, part=(part, 3)))
        assert not (out / "manifest.json").exists()
        assert sum(summary.rows.values()) > 0
    with pytest.raises(ReleaseError, match=r"lacks 2 of 5 shards.*without --finish"):
        finish_parts(small_plan(), out, SHARDS)
    generate(small_plan(), out, How(25, workers=1, part=(2, 3)))
    finish_parts(small_plan(), out, SHARDS)
    assert same_bytes(out, reference)
    assert finish_parts(small_plan(), out, SHARDS).already_finished


@pytest.mark.long
def test_finishing_again_is_harmless_also_where_rows_failed(broken_model, tmp_path):
    plan, out = redrawn_plan(broken_model, 6), tmp_path / "d3s"
    part = How(workers=1, devices=CPU, part=(1, 1))
    generate(plan, out, part)
    assert finish_parts(plan, out, How()).failures == 6
    before = (out / "manifest.json").read_bytes()
    assert finish_parts(plan, out, How()).already_finished
    assert generate(plan, out, part).already_finished  # a scheduler may start a part again
    assert (out / "manifest.json").read_bytes() == before


@pytest.mark.long
def test_parts_may_run_at_once(reference, tmp_path):
    line = [
        sys.executable,
        "-c",
        "import sys; from tests.generation.release.test_faults import part_in_process as p; p(*sys.argv[1:])",
    ]
    running = [subprocess.Popen([*line, str(tmp_path / "d3s"), str(part)], cwd=ROOT) for part in (1, 2)]
    assert [each.wait(timeout=300) for each in running] == [0, 0]
    finish_parts(small_plan(), tmp_path / "d3s", SHARDS)
    assert same_bytes(tmp_path / "d3s", reference)


def part_in_process(out: str, part: str) -> None:
    generate(small_plan(), Path(out), How(25, workers=1, part=(int(part), 2)))


def blanked(release: Path, key: str) -> None:
    """Put another image under a key, as a careless hand would, and make the manifest agree."""
    for path in release.glob("data/*.parquet"):
        records = pq.read_table(path).to_pylist()
        if key in {each["key"] for each in records}:
            other = next(each for each in records if each["key"] != key)["image"]["bytes"]
            for each in records:
                if each["key"] == key:
                    each["image"]["bytes"] = other
            write_shard(path, records, read(release).backgrounds)
            size = path.stat().st_size
            manifest = read(release)
            shards = [s.model_copy(update={"bytes": size}) if path.name in s.path else s for s in manifest.shards]
            (release / "manifest.json").write_text(manifest.model_copy(update={"shards": shards}).model_dump_json())


def test_only_makes_one_image_again(reference, tmp_path, monkeypatch):
    from generation.images.rows import Maker

    out = shutil.copytree(reference, tmp_path / "d3s")
    key = sorted(rows_of(out))[7]
    blanked(out, key)
    assert rows_of(out)[key] != rows_of(reference)[key]
    made, original = [], Maker.guide
    monkeypatch.setattr(Maker, "guide", lambda self, row: made.append(row.key) or original(self, row))
    (path,) = make_again(small_plan(), out, SHARDS, None, key)
    assert path.is_relative_to(out / "data")
    assert made == [key]
    assert same_bytes(out, reference)


def test_only_of_an_unknown_key_or_an_unmade_release_is_refused(reference, tmp_path):
    with pytest.raises(RecipeError, match="--only feed: expected the key of a row of this plan"):
        make_again(small_plan(), reference, SHARDS, None, "feed")
    key = next(iter(small_plan())).key
    with pytest.raises(ReleaseError, match="lacks 5 of 5 shards"):
        make_again(small_plan(), tmp_path / "d3s", SHARDS, None, key)


@pytest.fixture(scope="module")
def broken_model(tiny_model, tmp_path_factory):
    """The small Stable Diffusion, whose every image is not a number."""
    import torch
    from safetensors.torch import load_file, save_file

    broken = shutil.copytree(tiny_model, tmp_path_factory.mktemp("broken") / "model")
    weights = broken / "unet" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    tensors["conv_out.bias"] = torch.full_like(tensors["conv_out.bias"], float("nan"))
    save_file(tensors, weights, {"format": "pt"})
    return broken


def test_an_image_that_is_not_finite_is_tried_with_another_seed_and_then_listed(broken_model, tmp_path):
    plan = redrawn_plan(broken_model, 6)
    summary = generate(plan, tmp_path / "d3s", How(workers=1, devices=CPU))
    planned = {row.key: row for row in plan}
    failures = read(tmp_path / "d3s").failures
    assert summary.failures == len(failures) == 6
    for each in failures:
        assert (each.stage, each.attempt) == ("diffuse", 1)
        assert each.seed == planned[each.key].again(1).seed != planned[each.key].seed
        assert "not finite" in each.reason


def test_a_further_seed_that_gives_nothing_takes_nothing_away(tiny_model, tmp_path, monkeypatch):
    from generation.images.diffusion import ImageToImage

    plan = redrawn_plan(tiny_model, 6, min_contrast=127.0)  # nothing passes
    generate(plan, tmp_path / "d3s", How(workers=1, devices=CPU))
    before = rows_of(tmp_path / "d3s")
    asked = []

    def nothing(self, guides, prompts, seeds, strength):
        asked.extend(seeds)
        return [None] * len(guides)

    monkeypatch.setattr(ImageToImage, "__call__", nothing)
    generate(plan, tmp_path / "d3s", How(workers=1, devices=CPU, resample=3))
    assert rows_of(tmp_path / "d3s") == before
    assert sorted(asked) == sorted(row.again(n).seed for row in plan for n in (1, 2, 3))
    assert check_release(tmp_path / "d3s") == []


def test_only_that_gives_nothing_keeps_what_was_there(reference, tmp_path, monkeypatch):
    from generation.images.rows import Failed, Maker

    out = shutil.copytree(reference, tmp_path / "d3s")
    monkeypatch.setattr(Maker, "guide", lambda self, row: Failed("guide", "the camera is broken"))
    key = next(iter(small_plan())).key
    with pytest.raises(GenerationError, match="the camera is broken; the old image is kept"):
        make_again(small_plan(), out, SHARDS, None, key)
    assert same_bytes(out, reference)


def test_only_takes_the_limit_of_the_release(tmp_path):
    out = tmp_path / "d3s"
    generate(small_plan(), out, SHARDS, limit=30)
    before = rows_of(out)
    make_again(small_plan(), out, SHARDS, None, next(iter(before)))
    assert rows_of(out) == before
    assert generate(small_plan(), out, SHARDS, limit=30).already_finished


@pytest.mark.long
def test_a_finished_release_stays_finished_where_its_images_cannot_be_made(reference, tmp_path, command):
    out = shutil.copytree(reference, tmp_path / "d3s")
    recipe = [*SAMPLE, "--out", tmp_path / "other"]
    assert command("generation.run", *recipe, "--limit", 60).returncode == 0
    kept = shutil.copytree(tmp_path / "other", tmp_path / "kept")
    key = next(iter(rows_of(kept)))
    for more in (["--limit", "120"], ["--only", key]):
        line = command("generation.run", *recipe, *more, "--engine", "ray", RAY_ADDRESS="127.0.0.1:9")
        assert "cannot be reached" in one_line_error(line)
        assert same_bytes(tmp_path / "other", kept)
    assert same_bytes(out, reference)


@pytest.mark.long
def test_resample_draws_recorded_seeds_for_images_that_fail_a_screen(tiny_model, tmp_path):
    # A limit in the middle of what this model happens to draw, so that some images fail and some do not.
    generate(redrawn_plan(tiny_model, 24), tmp_path / "free", How(workers=1, devices=CPU))
    middle = float(np.median([row["screen_contrast"] for row in rows_of(tmp_path / "free").values()]))
    plan = redrawn_plan(tiny_model, 24, min_contrast=middle)
    generate(plan, tmp_path / "later", How(10, workers=1, devices=CPU))
    first = rows_of(tmp_path / "later")
    failing = {key for key, row in first.items() if row["screen_failed"]}
    assert 6 < len(failing) < 18
    for resample in (1, 2):
        generate(plan, tmp_path / "later", How(10, workers=1, devices=CPU, resample=resample))
    generate(plan, tmp_path / "at once", How(10, workers=1, devices=CPU, resample=2))
    assert apart(tmp_path / "later", tmp_path / "at once") <= 1
    last, planned = rows_of(tmp_path / "at once"), {row.key: row for row in plan}
    assert {key for key, row in last.items() if row["attempt"]} == failing
    for key, row in last.items():
        assert row["seed"] == planned[key].again(row["attempt"]).seed
        assert not row["screen_failed"] or row["attempt"] == 2
    assert any(not last[key]["screen_failed"] for key in failing)
    assert read(tmp_path / "at once").resample == 2
    assert generate(plan, tmp_path / "at once", How(10, workers=1, devices=CPU)).already_finished
    assert check_release(tmp_path / "later") == []


class Repeating(DrawnForegrounds):
    """Drawn foregrounds of which each class has one drawing, under every name."""

    def open(self, photo, size):
        return super().open(f"{photo.partition('/')[0]}/00000", size)


def test_near_duplicates_are_found_within_and_across_splits(tmp_path):
    plan = small_plan()
    alone = plan.recipe.model_copy(
        update={"guide": plan.recipe.guide.model_copy(update={"background": "none", "scale": (1.0, 1.0)})}
    )
    same = Plan(alone, Repeating(plan.foregrounds.instances), None)
    generate(same, tmp_path / "d3s", SHARDS)
    rows = rows_of(tmp_path / "d3s")
    split = {row.key: row.split for row in same}
    drawings = {row["wnid"]: [] for row in rows.values()}
    for key, row in rows.items():
        drawings[row["wnid"]].append(key)
    marked = {key: row["screen_duplicate_of"] for key, row in rows.items() if row["screen_duplicate_of"]}
    assert len(marked) >= len(rows) - len(drawings)  # all but the first of each class
    assert {(split[key], split[of]) for key, of in marked.items()} >= {
        ("train", "validation"),
        ("validation", "validation"),
    }
    assert not [key for key, of in marked.items() if split[key] == "validation" and split[of] == "train"]
    assert all("duplicate" in rows[key]["screen_failed"] for key in marked)
    assert check_release(tmp_path / "d3s") == []


def test_a_dry_run_measures_and_writes_nothing(tmp_path, command):
    result = command("generation.run", *SAMPLE, "--out", tmp_path / "d3s", "--dry-run", "--price", "36e9")
    assert result.returncode == 0, result.stderr
    rate, cost = (
        float(re.search(text, result.stdout)[1].replace(",", "")) for text in (r"([\d.]+) img/s", r"cost ([\d,.]+)")
    )
    assert cost == pytest.approx(360 / rate * 1e7, rel=0.02)  # the rate is rounded
    assert "left to make: 360 rows in 2 shards, on 1 worker" in result.stdout
    assert "360 plain guides:" in result.stdout
    assert "img/s" in result.stdout
    assert not (tmp_path / "d3s").exists()


def test_a_dry_run_of_what_is_there_has_nothing_left(reference, tmp_path):
    from generation.release.estimate import estimate

    assert estimate(small_plan(), reference, SHARDS, None) is None
    larger = estimate(small_plan(), tmp_path / "d3s", SHARDS, 50)
    assert larger is not None
    assert larger.guides.rows == 50
    assert larger.guides.per_second > 0


def test_a_contact_sheet_of_each_shard(tmp_path):
    from PIL import Image

    generate(small_plan(60), tmp_path / "d3s", How(50, workers=1, sheets=tmp_path / "sheets"))
    names = sorted(path.name for path in (tmp_path / "sheets").iterdir())
    assert names == ["data-train-00000-of-00001.jpg", "data-validation-00000-of-00001.jpg"]
    with Image.open(tmp_path / "sheets" / names[0]) as sheet:
        first = np.asarray(sheet.convert("RGB").crop((0, 0, 96, 96)).resize((8, 8))).astype(int)
    row = next(iter(pq.read_table(next((tmp_path / "d3s").glob("data/train-*"))).to_pylist()))
    shown = np.asarray(Image.fromarray(decoded(row).astype(np.uint8)).resize((8, 8))).astype(int)
    assert np.abs(first - shown).mean() < 12


def test_a_full_disk_is_one_line_and_nothing_is_half_written(tmp_path, command):
    """A file size limit stands in for a full disk: writing fails in the middle, with a signal ignored as shells do."""
    code = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000));"
        "from d3s_dataset.utils.cli import run_command; from generation.run import main;"
        "run_command(main, sys.argv[1:])"
    )
    few = ["--recipe", "sample", "--rows", "60", "--shard-rows", "300", "--out", str(tmp_path / "d3s")]
    line = [sys.executable, "-c", code, *few, "--workers", "1"]
    result = subprocess.run(
        line, cwd=ROOT, env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}, capture_output=True, text=True
    )
    assert "nothing half-written was kept" in one_line_error(result)
    assert not list((tmp_path / "d3s").rglob("*.parquet*"))
    assert command("generation.run", *few).returncode == 0
    assert check_release(tmp_path / "d3s") == []


BAD = {
    "a part of nothing": (["--part", "4/3"], "expected I/N such as 1/8, with I from 1 to N, got '4/3'"),
    "two things at once": (["--dry-run", "--finish"], "expected one of --dry-run, --finish"),
    "another seed for guides": (
        ["--resample", "2"],
        "--resample does nothing where the recipe diffuses nothing: leave it out",
    ),
    "Ray with devices of its own": (
        ["--engine", "ray", "--workers", "2"],
        "--workers does nothing with --engine ray: leave it out",
    ),
    "an unreachable cluster": (["--engine", "ray"], "the cluster cannot be reached: 127.0.0.1:9: Connection refused"),
}


@pytest.mark.parametrize(("given", "says"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_clear_line(command, tmp_path, given, says):
    result = command("generation.run", *SAMPLE, "--out", tmp_path / "d3s", *given, RAY_ADDRESS="127.0.0.1:9")
    assert says in one_line_error(result)
    assert not (tmp_path / "d3s" / ".work").exists()


def test_a_run_without_ray_names_the_extra(command, tmp_path):
    # A module that is None in sys.modules is one that is not installed.
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['ray'] = None")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    result = command("generation.run", *SAMPLE, "--out", tmp_path / "d3s", "--engine", "ray", PYTHONPATH=path)
    assert "'ray', which is not installed: in the project's folder type pip install '.[ray]'" in one_line_error(result)
    assert not (tmp_path / "d3s").exists()


def test_a_dead_engine_ends_in_a_line(tmp_path, monkeypatch):
    from generation.execution.scheduler import Engine
    from generation.execution.worker import LaneDied, LocalLane

    def die(*_):
        raise LaneDied("this machine")

    monkeypatch.setattr(LocalLane, "make", die)
    monkeypatch.setattr(Engine, "patience", 1)
    with pytest.raises(GenerationError, match="no device is left"):
        generate(small_plan(60), tmp_path / "d3s", SHARDS)


def test_the_stop_signal_is_left_as_it_was(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    generate(small_plan(60), tmp_path / "d3s", SHARDS)
    assert signal.getsignal(signal.SIGTERM) is before
