import os
import re
import sys
import threading
from contextlib import suppress

import pytest

from d3s_dataset.errors import WriteError
from d3s_dataset.utils import atomic
from d3s_dataset.utils.atomic import new_folder, replacing, write_atomic
from tests.conftest import ROOT


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


def test_writing_never_changes_the_umask_of_other_threads(tmp_path):
    """A thread makes 20,000 files of mode 0666 & ~0077 beside three that begin atomic writes: all are private."""
    old, stop, interval = os.umask(0o077), threading.Event(), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    def write():
        while not stop.is_set():
            # Given up before anything is synced, which would take most of the time.
            with suppress(KeyError), replacing(tmp_path / "f"):
                raise KeyError
            with suppress(KeyError), new_folder(tmp_path / "folder"):
                raise KeyError

    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    try:
        modes = set()
        for number in range(20_000):
            descriptor = os.open(tmp_path / f"other-{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
            modes.add(os.fstat(descriptor).st_mode & 0o777)
            os.close(descriptor)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
        os.umask(old)
        sys.setswitchinterval(interval)
    assert modes == {0o600}


def test_no_code_of_ours_asks_for_the_umask_or_changes_the_working_directory():
    for package in ("d3s_dataset", "generation", "benchmark"):
        for path in (ROOT / package).rglob("*.py"):
            assert not re.search(r"os\.(umask|chdir|fchdir)\(|setlocale\(", path.read_text()), path


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
