"""Every kind of damage is named; a whole release has none."""

import io
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from d3s_dataset.check import check_release
from d3s_dataset.errors import ReleaseError
from d3s_dataset.identity import file_digest
from d3s_dataset.taxonomy import background_names
from generation.execution.options import How
from generation.planning.plan import Plan
from generation.recipe.recipe import load_recipe
from generation.release.build import generate
from generation.run import open_sources
from tests.conftest import one_line_error


@pytest.fixture
def copy(sample_release, tmp_path):
    return shutil.copytree(sample_release, tmp_path / "d3s")


def rewrite(release, change, split="train", index=0):
    """Change the rows of one shard, and its manifest entry with it, as a careless editor would."""
    path = next(release.glob(f"data/{split}-{index:05d}-*"))
    table = pq.read_table(path)
    rows = table.to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    manifest = json.loads((release / "manifest.json").read_text())
    entry = next(each for each in manifest["shards"] if each["path"].endswith(path.name))
    entry.update(bytes=path.stat().st_size, sha256=file_digest(path))
    (release / "manifest.json").write_text(json.dumps(manifest))


def test_whole_releases_have_no_problem(sample_release, guides_release, command):
    assert check_release(sample_release) == []
    assert check_release(guides_release) == []
    result = command("d3s_dataset.check", sample_release)
    assert result.returncode == 0
    assert "all checks passed (400 train, 80 validation rows" in result.stdout


def test_a_shard_cut_short_is_named(copy, command):
    path = next(copy.glob("data/train-00001-*"))
    path.write_bytes(path.read_bytes()[:-1000])
    result = command("d3s_dataset.check", copy)
    assert "problem" in one_line_error(result)
    assert f"{path.name}: expected" in result.stdout
    assert "cut short?" in result.stdout
    assert len(result.stdout.splitlines()) == 1  # one fault, one line: a file of another size is not opened


def set_first(name, value):
    return lambda rows: rows[0].update({name: value})


def png(size, mode="RGB"):
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "png")
    return {"bytes": buffer.getvalue(), "path": None}


ROW_DAMAGE = {
    "foreground out of range": (set_first("foreground", 1000), "foreground 1000 is out of range"),
    "background out of range": (set_first("background", -1), "background -1 is out of range"),
    "label without its wnid": (set_first("wnid", "n01440764"), "is not that of foreground"),
    "box outside": (set_first("box", {"left": 0, "top": 0, "right": 999, "bottom": 9}), "leaves the image"),
    "key twice": (lambda rows: rows[0].update(key=rows[1]["key"]), "its key stands twice"),
    "no image": (set_first("image", {"bytes": b"no image", "path": None}), "its image cannot be decoded"),
    "wrong size": (set_first("image", png((8, 8))), "expected image RGB of 256 x 256, got RGB of 8 x 8"),
    "no mask": (set_first("mask", {"bytes": b"no mask", "path": None}), "its mask cannot be decoded"),
    "mask of another size": (set_first("mask", png((8, 8), "1")), "expected mask 1 of 256 x 256, got 1 of 8 x 8"),
    "mask of another kind": (set_first("mask", png((256, 256))), "expected mask 1 of 256 x 256, got RGB of 256 x 256"),
    "empty mask": (set_first("mask", png((256, 256), "1")), "its mask is empty"),
    "row gone": (lambda rows: rows.pop(), "expected 150 rows, got 149"),
}


@pytest.mark.parametrize(("change", "says"), ROW_DAMAGE.values(), ids=ROW_DAMAGE.keys())
def test_a_damaged_row_is_named(copy, change, says):
    rewrite(copy, change)
    assert any(says in problem for problem in check_release(copy))


def test_a_flipped_byte_is_found(copy):
    path = next(copy.glob("data/validation-00000-*"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert any("checksum differs" in problem for problem in check_release(copy))


def test_files_too_many_or_too_few_are_named(copy):
    extra = next(copy.glob("data/train-00000-*"))
    shutil.copy(extra, copy / "data" / "train-00009-of-00003.parquet")
    next(copy.glob("data/validation-*")).unlink()
    problems = check_release(copy)
    assert any("train-00009-of-00003.parquet: not in manifest.json" in problem for problem in problems)
    assert any(problem.endswith(".parquet: missing") for problem in problems)


def test_a_photo_in_two_splits_is_found(copy, sample_release):
    photo = pq.read_table(next(sample_release.glob("data/validation-*")))["background_source"][0].as_py()
    rewrite(copy, set_first("background_source", photo))
    assert check_release(copy) == [f"1 background photos stand in train and validation, such as {photo}"]


def test_uneven_cells_are_found(copy):
    def crowd(rows):
        for row in rows:
            row["background"] = 0

    rewrite(copy, crowd, split="validation")
    assert any("class x background cells hold 0 to" in problem for problem in check_release(copy))


def test_a_card_with_other_numbers_is_found(copy):
    text = (copy / "README.md").read_text()
    (copy / "README.md").write_text(text.replace("num_examples: 400", "num_examples: 401"))
    assert check_release(copy) == ["README.md: lists 401 train rows of config default, manifest.json lists 400"]


@pytest.mark.parametrize("content", [b"", b"---\n: [\n---\n", b"---\n---\n", b"\xff\xfe---\n"])
def test_a_damaged_card_is_a_problem_not_a_crash(copy, content):
    (copy / "README.md").write_bytes(content)
    assert check_release(copy) == ["README.md: invalid front matter: expected a dataset card with dataset_info"]


def test_classes_with_few_photos_use_them_more_often(tmp_path):
    """A class with one validation photo shows it more often than others show theirs: crossed all the same."""
    for wnid, count in {"n01440764": 2, "n01443537": 20, "n01484850": 20}.items():
        for number in range(count):
            path = tmp_path / "objects" / wnid / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (9, 9)).save(path)
    for name in background_names():
        for number in range(2):
            path = tmp_path / "places" / name / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (9, 9)).save(path)
    recipe = load_recipe("paper").changed(rows=600, model="none")
    recipe = recipe.model_copy(update={"guide": recipe.guide.model_copy(update={"size": 32})})
    plan = Plan(recipe, *open_sources(recipe, str(tmp_path / "objects"), str(tmp_path / "places")))
    generate(plan, tmp_path / "d3s", How(workers=1))
    assert check_release(tmp_path / "d3s") == []


def test_no_release_is_an_error(tmp_path):
    with pytest.raises(ReleaseError, match=r"no manifest\.json"):
        check_release(tmp_path)
    with pytest.raises(ReleaseError, match="is not a folder"):
        check_release(tmp_path / "gone")
