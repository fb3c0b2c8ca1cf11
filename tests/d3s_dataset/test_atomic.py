import os

import pytest

from d3s_dataset import atomic
from d3s_dataset.atomic import new_folder, replacing, write_atomic
from d3s_dataset.errors import WriteError


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_content(tmp_path, monkeypatch, step):
    path = tmp_path / "f"
    write_atomic(path, b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os if step == "fsync" else atomic.Path, step, full)
    with pytest.raises(WriteError, match=r"cannot write .*/f: No space left on device; nothing half-written was kept"):
        write_atomic(path, b"new")
    monkeypatch.undo()
    assert [each.name for each in tmp_path.iterdir()] == ["f"]
    assert path.read_bytes() == b"old"


def test_a_bug_inside_the_block_keeps_its_type_and_the_old_content(tmp_path):
    write_atomic(tmp_path / "f", b"old")
    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "f") as temporary:
        temporary.write_bytes(b"half" * (1 // 0))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"f": b"old"}


def test_files_have_the_umasks_rights(tmp_path):
    old = os.umask(0o027)
    try:
        write_atomic(tmp_path / "f", b"x")
    finally:
        os.umask(old)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o640


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with new_folder(tmp_path / "in" / "whole") as folder:
        (folder / "f").write_bytes(b"x")
        assert not (tmp_path / "in" / "whole").exists()
    assert [each.name for each in (tmp_path / "in" / "whole").iterdir()] == ["f"]

    def fill(folder):
        (folder / "f").write_bytes(b"x")
        raise OSError(28, "No space left on device")

    with pytest.raises(WriteError, match=r"cannot write .*/half: .*No space left on device"):  # noqa: SIM117
        with new_folder(tmp_path / "half") as folder:
            fill(folder)
    assert [each.name for each in tmp_path.iterdir()] == ["in"]
