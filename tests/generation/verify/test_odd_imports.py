"""Files of answers as strangers make them: trimmed, nobody's rows left out, and one line for what cannot be read."""

import json
import os

import pytest

from generation.verify.__main__ import main
from generation.verify.crowds.exchange import take_file
from generation.verify.prepare import tasks as files
from tests.generation.verify.conftest import last_votes, refused

UNTRIMMED = "\ufeffworker,task,label\r\nw1,t1,1\r\nw2,t1,1\r\nw1,t2, 2\r\nw2,t2,2\r\nw1,t1,2\r\n,t3,1\r\nw1,t4,\r\n"


@pytest.mark.parametrize("method", ["majority", "dawid-skene"])
def test_cells_are_trimmed_and_a_row_without_a_worker_counts_for_nobody(tmp_path, capsys, few_rounds, method):
    (tmp_path / "votes.csv").write_bytes(UNTRIMMED.encode())
    line = ["aggregate", "--votes", tmp_path / "votes.csv", "--method", method, "--out", tmp_path / "out.csv"]
    main([str(each) for each in line])
    told = capsys.readouterr().err
    assert "1 rows without a worker or a task were skipped" in told
    assert "1 votes without a label were skipped" in told
    found = {line.split(",")[0]: line.split(",")[1] for line in (tmp_path / "out.csv").read_text().split()[1:]}
    assert found["t2"] == "2"
    assert found.keys() == {"t1", "t2"}
    if method == "majority":
        assert found["t1"] == ""  # a tie, after w1 changed to 2


def plain(held, **change):
    row = {"release": held.release, "worker": "person:anna", "item": held.items[0].id, "question": "unsafe",
           "answer": "no", "seconds": "2"} | change  # fmt: skip
    return ",".join(row) + "\n" + ",".join(row.values()) + "\n"


def studio(held, **change):
    result = {"from_name": "unsafe", "type": "choices", "value": {"choices": ["no"]}}
    annotation = {"id": 1, "completed_by": 4, "result": [result], "lead_time": 3.0}
    data = {"release": held.release, "item": held.items[0].id}
    for name, value in change.items():
        place = next(each for each in (annotation, data, result) if name in each)
        place[name] = value
    return json.dumps([{"data": data, "annotations": [annotation]}])


def taken(folder, name, text):
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return take_file(folder, folder / name)


def test_imported_answers_are_trimmed(tasks_folder):
    held = files.read(tasks_folder)
    spaced = plain(held, worker=" person:anna ", answer=" no", item=f" {held.items[0].id} ", question="unsafe ")
    assert taken(tasks_folder, "a.csv", spaced).new == 1
    assert taken(tasks_folder, "b.csv", plain(held)).there == 1
    assert taken(tasks_folder, "c.json", studio(held, from_name=" unsafe ", completed_by=" 4 ")).new == 1
    assert {vote.worker for vote in last_votes(tasks_folder)} == {"person:anna", "label-studio:4"}


@pytest.mark.parametrize("worker", ["", "  "])
def test_imported_answers_of_nobody_are_left_out(tasks_folder, worker):
    held = files.read(tasks_folder)
    for name, text in (("a.csv", plain(held, worker=worker)), ("a.json", studio(held, completed_by=worker or None))):
        found = taken(tasks_folder, name, text)
        assert (found.new, found.left_out) == (0, ["1 rows without a worker were skipped"])
    assert taken(tasks_folder, "b.csv", plain(held, item=worker)).left_out == ["1 answers without an item were skipped"]
    assert last_votes(tasks_folder) == []


ODD = {
    "brackets": ("a.json", lambda held: "[" * 100_000),
    "an item that is a list": ("a.json", lambda held: studio(held, item=["x"])),
    "a release that is a number": ("a.json", lambda held: studio(held, release=7.5)),
    "a choice that is an object": ("a.json", lambda held: studio(held, value={"choices": [{}]})),
    "a worker that is a list": ("a.json", lambda held: studio(held, completed_by=[1])),
    "a lone surrogate": ("a.json", lambda held: studio(held, completed_by="\ud800")),
    "another encoding": ("a.json", lambda held: studio(held).encode("utf-16")),
    "a column twice": ("a.csv", lambda held: plain(held).replace("seconds", "worker")),
    "no text": ("a.csv", lambda held: b"\xff\xfe\x00"),
}


@pytest.mark.parametrize(("name", "text"), ODD.values(), ids=ODD.keys())
def test_odd_files_are_one_clear_line(tasks_folder, name, text):
    content = text(files.read(tasks_folder))
    (tasks_folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert name in refused("import", tasks_folder, tasks_folder / name)
    assert last_votes(tasks_folder) == []


@pytest.mark.parametrize("seconds", ["²", "1e400", "nan", "-1", "much", ""])
def test_a_time_that_is_none_is_unknown(tasks_folder, seconds):
    held = files.read(tasks_folder)
    assert taken(tasks_folder, "a.csv", plain(held, seconds=seconds)).new == 1
    assert [vote.seconds for vote in last_votes(tasks_folder)] == [None]


def test_a_pipe_is_no_file_of_answers(tasks_folder):
    os.mkfifo(tasks_folder / "a.json")
    assert "is not a regular file" in refused("import", tasks_folder, tasks_folder / "a.json")
    assert "does not exist" in refused("import", tasks_folder, tasks_folder / "nowhere.csv")
