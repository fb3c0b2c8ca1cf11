"""Finished shards, by size or by checksum; and the files of a folder that belong to a run."""

import shutil

import pyarrow.parquet as pq
import pytest

from d3s_dataset.errors import ReleaseError
from generation.execution.options import How
from generation.release.build import generate
from tests.conftest import one_line_error
from tests.support.releases import same_bytes, small_plan

ROWS = 60


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "d3s"
    generate(small_plan(ROWS), out, How(25, workers=1))
    return out


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_flipped_byte_is_found_and_mended_by_verify_only(release, tmp_path):
    out = shutil.copytree(release, tmp_path / "d3s")
    flip(out / "data" / "train-00001-of-00002.parquet")
    assert generate(small_plan(ROWS), out, How(25, workers=1)).already_finished
    assert not generate(small_plan(ROWS), out, How(25, workers=1, verify=True)).already_finished
    assert same_bytes(out, release)
    assert generate(small_plan(ROWS), out, How(25, workers=1, verify=True)).already_finished


def test_a_release_begun_by_a_version_with_other_columns_is_not_continued(release, tmp_path):
    out = shutil.copytree(release, tmp_path / "d3s")
    path = out / "data" / "train-00000-of-00002.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["mask"]), path)
    kept = path.read_bytes()
    next(out.glob("data/validation-*")).unlink()
    with pytest.raises(ReleaseError, match="was begun by a version without the column mask: expected a new folder"):
        generate(small_plan(ROWS), out, How(25, workers=1))
    assert path.read_bytes() == kept


def test_a_folder_of_work_that_no_run_wrote_is_left_alone(tmp_path):
    theirs = tmp_path / "d3s" / ".work" / "thesis.tex"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("years")
    with pytest.raises(ReleaseError, match=r"\.work holds 'thesis\.tex', which no run has written"):
        generate(small_plan(ROWS), tmp_path / "d3s", How(25, workers=1))
    assert theirs.read_text() == "years"
    assert [path.name for path in (tmp_path / "d3s").iterdir()] == [".work"]


def test_a_finished_release_does_not_take_a_foreign_work_folder_with_it(release, tmp_path):
    out = shutil.copytree(release, tmp_path / "d3s")
    (out / ".work").mkdir()
    (out / ".work" / "photos").mkdir()
    with pytest.raises(ReleaseError, match="holds 'photos'"):
        generate(small_plan(ROWS), out, How(25, workers=1))
    assert (out / ".work" / "photos").is_dir()


def test_a_work_folder_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "d3s").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "d3s" / ".work").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ReleaseError, match="is a link"):
        generate(small_plan(ROWS), tmp_path / "d3s", How(25, workers=1))


@pytest.mark.parametrize("other", ["--dry-run", "--plan-only"])
def test_verify_is_refused_where_it_would_do_nothing(command, tmp_path, other):
    out = ("--out", tmp_path / "d3s") if other == "--dry-run" else ()
    result = command("generation.run", "--rows", 60, *out, "--verify", other)
    assert f"--verify does nothing with {other}: leave it out" in one_line_error(result)
