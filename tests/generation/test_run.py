"""The command: the same release whatever the workers, batches, order and kills; bad input is one clear line."""

import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from d3s_dataset.check import check_release
from d3s_dataset.errors import ReleaseError
from d3s_dataset.manifest import read
from d3s_dataset.taxonomy import background_names
from generation.execution.options import How
from generation.planning.plan import Plan
from generation.recipe.recipe import load_recipe
from generation.release.build import generate
from generation.run import open_sources
from tests.conftest import ROOT, one_line_error
from tests.support.processes import kill_when
from tests.support.releases import rows_of, same_bytes, small_plan

ROWS, SHARD = 120, 25


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    out = tmp_path_factory.mktemp("reference") / "d3s"
    generate(small_plan(), out, How(shard_rows=SHARD, workers=1))
    return out


def shuffled(tasks):
    random.Random(3).shuffle(tasks)
    return tasks


@pytest.mark.parametrize(
    ("options", "order"),
    [
        pytest.param({"batch_size": 1}, list, marks=pytest.mark.long),
        pytest.param({"batch_size": 64}, list, marks=pytest.mark.long),
        pytest.param({"workers": 2}, list, marks=pytest.mark.long),
        ({"workers": 3, "batch_size": 7}, shuffled),
    ],
    ids=["one by one", "large batches", "two workers", "shuffled shards"],
)
def test_the_release_does_not_depend_on_how_it_was_made(reference, tmp_path, options, order):
    generate(small_plan(), tmp_path / "d3s", How(shard_rows=SHARD, **{"workers": 1, **options}), order=order)
    assert same_bytes(tmp_path / "d3s", reference)


@pytest.mark.parametrize("limits", [pytest.param([60, ROWS], marks=pytest.mark.long), [7, 31, 65, ROWS]])
def test_a_larger_limit_extends_the_same_release(reference, tmp_path, limits):
    out, made = tmp_path / "d3s", set()
    for limit in limits:
        generate(small_plan(), out, How(shard_rows=SHARD, workers=1), limit=limit)
        assert check_release(out) == []
        keys = {key for path in out.glob("data/*") for key in pq.read_table(path)["key"].to_pylist()}
        assert len(keys) == limit
        assert made <= keys
        made = keys
    assert same_bytes(out, reference)


def test_a_larger_limit_makes_only_what_is_new(tmp_path, monkeypatch):
    from generation.images.rows import Maker

    out, composed = tmp_path / "d3s", []
    original = Maker.guide
    monkeypatch.setattr(Maker, "guide", lambda self, row: composed.append(row.key) or original(self, row))
    for limit in (50, ROWS):
        generate(small_plan(), out, How(shard_rows=SHARD, workers=1), limit=limit)
    assert len(composed) == len(set(composed)) == ROWS


def test_a_finished_release_is_left_alone(reference):
    before = {path: path.stat().st_mtime_ns for path in reference.rglob("*")}
    assert generate(small_plan(), reference, How(shard_rows=SHARD, workers=1)).already_finished
    assert {path: path.stat().st_mtime_ns for path in reference.rglob("*")} == before


def start(out: Path) -> subprocess.Popen[bytes]:
    line = [
        sys.executable,
        "-m",
        "generation.run",
        "--recipe",
        "sample",
        "--rows",
        ROWS,
        "--shard-rows",
        SHARD,
        "--out",
        out,
    ]
    return subprocess.Popen(
        [*map(str, line), "--workers", "2"], cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )


def kill_at(out: Path, shards: int) -> None:
    """Start the command and kill -9 it, and nothing else, when the given number of shards has appeared."""
    kill_when(start(out), lambda: len(list(out.glob("data/*-of-*.parquet"))) >= shards, 300)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    out = tmp_path_factory.mktemp("uninterrupted") / "d3s"
    assert start(out).wait() == 0
    return out


@pytest.mark.parametrize("stops", [(2,), pytest.param((1, 3, 4), marks=pytest.mark.long)], ids=["once", "thrice"])
def test_kill_9_and_the_same_command_give_the_same_bytes(uninterrupted, tmp_path, stops):
    out = tmp_path / "d3s"
    for shards in stops:
        kill_at(out, shards)
        assert not (out / "manifest.json").exists()
    assert start(out).wait() == 0
    assert same_bytes(out, uninterrupted)
    assert check_release(out) == []


def test_workers_end_with_a_killed_run(tmp_path):
    kill_at(tmp_path / "d3s", 1)
    deadline = time.time() + 20
    while time.time() < deadline and workers_of(tmp_path):
        time.sleep(0.1)
    assert workers_of(tmp_path) == []


def workers_of(folder: Path) -> list[int]:
    """Processes started by the killed run: spawned workers inherit its environment and command line."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((each / "stat").read_text().rpartition(")")[2].split()[1])
            spawned = b"multiprocessing.spawn" in (each / "cmdline").read_bytes()
        except (OSError, IndexError, ValueError):
            continue
        if spawned and parent == 1:
            found.append(int(each.name))
    return found


def test_a_finished_release_that_lost_a_shard_is_mended(reference, tmp_path):
    out = shutil.copytree(reference, tmp_path / "d3s")
    next(out.glob("data/train-00001-*")).unlink()
    lost = next(out.glob("data/validation-00000-*"))
    lost.write_bytes(lost.read_bytes()[:-9])
    assert not generate(small_plan(), out, How(shard_rows=SHARD, workers=1)).already_finished
    assert same_bytes(out, reference)


def test_a_shard_lost_or_cut_short_before_the_end_is_made_again(reference, tmp_path, monkeypatch):
    out = tmp_path / "d3s"

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("generation.release.build.finish", killed)
    with pytest.raises(KeyboardInterrupt):
        generate(small_plan(), out, How(shard_rows=SHARD, workers=1))
    monkeypatch.undo()
    assert not (out / "manifest.json").exists()
    next(out.glob("data/train-00000-*")).write_bytes(b"")
    next(out.glob("data/train-00002-*")).unlink()
    generate(small_plan(), out, How(shard_rows=SHARD, workers=1))
    assert same_bytes(out, reference)


@pytest.fixture
def photos(tmp_path):
    """Two classes with five photos each, one of them unreadable, and two photos of each background."""
    for number in range(5):
        for wnid in ("n01440764", "n01443537"):
            path = tmp_path / "objects" / wnid / f"{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 30), (50 * number, 0, 0)).save(path)
    (tmp_path / "objects" / "n01440764" / "2.jpg").write_bytes(b"no photo")
    for name in background_names():
        for number in range(2):
            path = tmp_path / "places" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (30, 40), (0, 99, number)).save(path)
    return tmp_path


def arguments(photos, *more):
    return ["--recipe", "paper", "--model", "none", "--foregrounds", photos / "objects",
            "--backgrounds", photos / "places", "--rows", "120", "--out", photos / "d3s", *more]  # fmt: skip


def test_an_unreadable_photo_is_a_failed_row_and_counted(photos, command):
    result = command("generation.run", *arguments(photos))
    assert result.returncode == 0, result.stderr
    manifest = read(photos / "d3s")
    assert 0 < len(manifest.failures) < 60
    assert f"{len(manifest.failures)} rows failed; see failures in" in result.stderr
    assert {(each.stage, each.reason.split(":")[0]) for each in manifest.failures} == {
        ("guide", "photo n01440764/2.jpg cannot be read")
    }
    rows = sum(shard.rows for shard in manifest.shards)
    assert rows + len(manifest.failures) == 160  # 120 images, and 20 in each of two configs of controls
    assert check_release(photos / "d3s") == []
    keys = {key for path in (photos / "d3s").glob("data/*") for key in pq.read_table(path)["key"].to_pylist()}
    assert not keys & {each.key for each in manifest.failures}


@pytest.mark.long
def test_failures_survive_an_extension(photos):
    recipe = load_recipe("paper").changed(rows=120, model="none")
    plan = Plan(recipe, *open_sources(recipe, str(photos / "objects"), str(photos / "places")))
    generate(plan, photos / "once", How(shard_rows=20, workers=1))
    for limit in (47, 120):
        generate(plan, photos / "twice", How(shard_rows=20, workers=1), limit=limit)
    assert same_bytes(photos / "once", photos / "twice")


def test_failed_rows_are_tried_again_by_the_same_command(photos):
    recipe = load_recipe("paper").changed(rows=120, model="none")
    plan = Plan(recipe, *open_sources(recipe, str(photos / "objects"), str(photos / "places")))
    assert generate(plan, photos / "d3s", How(workers=1)).failures > 0
    Image.new("RGB", (40, 30)).save(photos / "objects" / "n01440764" / "2.jpg")
    assert generate(plan, photos / "d3s", How(workers=1)).failures == 0
    generate(plan, photos / "whole", How(workers=1))
    assert same_bytes(photos / "d3s", photos / "whole")


def test_starting_up_reads_each_entry_a_fixed_number_of_times(reference, tmp_path, monkeypatch):
    from generation.release import state

    reads = []
    original = state.load_model
    monkeypatch.setattr(state, "load_model", lambda *given: reads.append(given) or original(*given))
    generate(small_plan(), tmp_path / "d3s", How(shard_rows=5, workers=1))
    assert len(reads) <= 5 * ROWS / 5


def test_when_every_row_fails_the_command_fails(photos, command):
    for path in (photos / "objects").rglob("*.jpg"):
        path.write_bytes(b"no photo")
    assert "all 160 rows failed; see failures in" in one_line_error(command("generation.run", *arguments(photos)))


PHOTOS = ["--recipe", "paper", "--backgrounds", "tests", "--out", "x"]
BAD = {
    "no photos named": (["--recipe", "paper", "--out", "x"], "needs photos: expected --foregrounds DIR"),
    "photos for a drawn recipe": (["--foregrounds", ".", "--out", "x"], "draws its own photos"),
    "a missing folder": ([*PHOTOS, "--foregrounds", "gone"], "--foregrounds: expected a folder of photos, got gone"),
    "an empty folder": ([*PHOTOS, "--foregrounds", "tests"], "--foregrounds: no photo found in tests"),
    "an unknown recipe": (
        ["--recipe", "papr", "--out", "x"],
        "no recipe 'papr': expected edit, fast, geography, keep-object",
    ),
    "a device for nothing": (["--devices", "cuda", "--out", "x"], "diffuses nothing: leave it out"),
    "no --out": ([], "expected --out DIR"),
    "rows of nothing": (["--rows", "0", "--out", "x"], "expected a whole number above 0, got '0'"),
    "a flag that is none": (["--nonsense"], "unrecognized arguments: --nonsense"),
}


@pytest.mark.parametrize(("given", "says"), BAD.values(), ids=BAD.keys())
def test_bad_input_is_one_clear_line(command, given, says):
    assert says in one_line_error(command("generation.run", *given))


def test_a_folder_of_something_else_is_refused_and_kept(reference, tmp_path, command):
    out = shutil.copytree(reference, tmp_path / "d3s")
    says = one_line_error(command("generation.run", "--recipe", "sample", "--rows", 60, "--out", out))
    assert "holds a release of recipe 'sample' with other settings or photos" in says
    for rows, limit, words in ((60, None, "was begun with --shard-rows 25"), (25, 60, "can only grow")):
        with pytest.raises(ReleaseError, match=words):
            generate(small_plan(), out, How(shard_rows=rows), limit=limit)
    assert same_bytes(out, reference)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    says = one_line_error(command("generation.run", "--rows", 60, "--out", tmp_path / "mine"))
    assert "is not empty and holds no release" in says
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_an_unwritable_folder_is_one_clear_line(tmp_path, command):
    (tmp_path / "file").write_text("in the way")
    says = one_line_error(command("generation.run", "--rows", 60, "--out", tmp_path / "file" / "d3s"))
    assert "cannot write" in says


def test_plan_only_writes_nothing(tmp_path, command):
    result = command("generation.run", "--rows", 600, "--plan-only", cwd=tmp_path, PYTHONPATH=str(ROOT))
    assert "validation: 100 rows" in result.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_release_of_guides_is_nowhere_called_redrawn(photos, command, tmp_path):
    """What the command prints, every file that can be read as text, every column of text, and the sheets' names."""
    out, sheets = tmp_path / "d3s", tmp_path / "sheets"
    line = arguments(photos, "--rows", 60, "--sheets", sheets)
    line[line.index("--out") + 1] = out
    made = command("generation.run", *line)
    assert made.returncode == 0, made.stderr
    checked = command("d3s_dataset.check", out)
    assert checked.returncode == 0, checked.stdout
    texts = [made.stdout, made.stderr, checked.stdout, *(path.name for path in sheets.iterdir())]
    texts += [(out / name).read_text() for name in ("README.md", "manifest.json", "croissant.json", "CITATION.cff")]
    for row in rows_of(out).values():
        texts += [text for text in row.values() if isinstance(text, str)]
    for text in texts:
        assert not re.search(r"stable.diffusion|(?<!not )redrawn by|diffusion model redraws", text, re.IGNORECASE), text


@pytest.mark.parametrize("ending", ["--plan-only", "--dry-run"])
def test_the_plan_of_guides_does_not_call_them_redrawn(photos, command, ending):
    line = arguments(photos, ending)
    if ending == "--plan-only":  # writes nothing, so takes no --out
        at = line.index("--out")
        del line[at : at + 2]
    shown = command("generation.run", *line).stdout
    assert re.match(
        r"plan \w+ of recipe paper: its guides alone, not redrawn by any model; guides \(no model .*\), not D3S", shown
    )
    assert "Stable Diffusion" not in shown


@pytest.mark.long
def test_kill_9_at_the_1st_4th_and_9th_shard(tmp_path):
    def run(out):
        line = ["--recipe", "sample", "--rows", "600", "--shard-rows", "50", "--out", str(out)]
        return subprocess.Popen([sys.executable, "-m", "generation.run", *line], cwd=ROOT, stdout=subprocess.DEVNULL)

    assert run(tmp_path / "once").wait() == 0
    made = tmp_path / "killed" / "data"
    for shards in (1, 4, 9):
        kill_when(run(tmp_path / "killed"), lambda least=shards: len(list(made.glob("*-of-*.parquet"))) >= least, 300)
    assert run(tmp_path / "killed").wait() == 0
    assert same_bytes(tmp_path / "once", tmp_path / "killed")
    assert check_release(tmp_path / "killed") == []
