"""Parts of an evaluation give the files of one run, and what is missing, damaged or different is reported."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from benchmark import run
from benchmark.cache.blocks import Store
from benchmark.cache.cache import Cache, Options
from benchmark.data.split import open_split
from benchmark.distribute.task import tasks_of
from benchmark.inference import predict
from benchmark.inference.evaluate import Subject, answers, store_of
from benchmark.schemas.predictions import Answers
from benchmark.schemas.result import Run
from tests.conftest import ROOT
from tests.support.evaluations import same_files

pytestmark = pytest.mark.usefixtures("small_blocks")


def parts_of(cache) -> list:
    return sorted(cache.glob("predictions/*/*-*.npz"))


def test_parts_on_one_disk_give_the_files_of_one_run(two, evaluate, tmp_path, capsys):
    whole = evaluate("whole", *two)
    for part in ("2/3", "3/3", "1/3"):
        evaluate("parts", *two, "--part", part, out=False)
    assert "part 1 of 3: 4 blocks, 0 there already" in capsys.readouterr().out
    assert len(parts_of(tmp_path / "caches" / "parts")) == 12
    assert same_files(whole, evaluate("parts", *two, "--finish"))
    content = json.loads(next((tmp_path / "parts").glob("*.json")).read_text())
    assert content["environment"] == json.loads(next(whole.glob("*.json")).read_text())["environment"]
    evaluate("parts", *two, "--part", "1/3", out=False)
    assert "part 1 of 3: 4 blocks, 4 there already" in capsys.readouterr().out


def test_parts_of_several_disks_are_brought_together(line, evaluate, fails, tmp_path, capsys, monkeypatch):
    whole = evaluate("whole", *line)
    for part in (1, 2, 3):
        evaluate(f"c{part}", *line, "--part", f"{part}/3", out=False)
    caches = [tmp_path / "caches" / f"c{part}" for part in (1, 2, 3)]
    monkeypatch.setenv("D3S_CACHE", str(tmp_path / "caches" / "here"))
    # Part 2 is missing, then damaged.
    said = fails(run.main, [*line, "--finish", str(caches[0]), str(caches[2])])
    assert "2 of 6 of local-dir" in said
    assert "(part 2/3): type the same command with --part 2/3" in said
    damaged = parts_of(caches[1])[0]
    before = damaged.read_bytes()
    damaged.write_bytes(before[:-20])
    with pytest.raises(SystemExit):
        run.run_command(run.main, [*line, "--finish", str(caches[1])])
    said = capsys.readouterr().err
    assert f"{damaged} is damaged, so rows 32 to 47 of" in said
    assert "1 of 6 of" in said
    damaged.write_bytes(before)
    assert "no block of these models" in fails(run.main, [*line, "--finish", str(tmp_path)])
    capsys.readouterr()
    assert same_files(whole, evaluate("here", *line, "--finish", *map(str, caches)))
    assert "1 blocks copied" in capsys.readouterr().out


def test_parts_of_other_settings_are_refused(line, evaluate, fails, tmp_path):
    evaluate("one", *line, "--part", "1/2", out=False)
    evaluate("two", *line, "--part", "2/2", out=False)
    (note,) = (tmp_path / "caches" / "two").glob("predictions/*/run.json")
    note.write_text(note.read_text().replace("fp32", "bf16"))
    said = fails(run.main, [*line, "--finish", str(tmp_path / "caches" / "one")])
    assert "was run with precision fp32 there, bf16 in this cache: expected the same settings" in said


def test_auto_is_tried_on_the_first_block_whichever_part_begins(line, evaluate, tmp_path, monkeypatch):
    monkeypatch.setattr(predict, "fast_bf16", lambda device: True)
    line = line[:-2]
    whole = evaluate("whole", *line)
    evaluate("parts", *line, "--part", "2/2", out=False)
    rows = [path.name[:8] for path in parts_of(tmp_path / "caches" / "parts")]
    assert rows == ["00000000", "00000048", "00000064", "00000080"]
    evaluate("parts", *line, "--part", "1/2", out=False)
    assert same_files(whole, evaluate("parts", *line, "--finish"))


def test_the_first_to_record_settings_decides_for_all(tmp_path):
    """Two processes chose on their own, from no record; the second takes what the first recorded."""
    run_ = Run(precision="bf16", agreement=0.99, compiled=False, batch_size=32, devices=["cpu"])
    stores = [Store(Answers, tmp_path / "store") for _ in range(2)]
    assert stores[0].begin(run_, None) == run_
    kept = stores[1].begin(run_.model_copy(update={"precision": "fp32", "devices": ["cuda:0"]}), None)
    assert kept == run_ == stores[1].run
    stores[1].sign({"device": "x"}, 0.0, 2)
    part = Answers(np.zeros((2, 5), np.int32), np.zeros((2, 5)), np.zeros(2), np.zeros(2))
    stores[1].write((0, 2), part)
    made = stores[0].made((0, 2))
    assert made is not None
    assert (made.run.precision, made.run.devices, made.of) == ("bf16", ["cuda:0"], 2)


def test_a_run_that_another_overtook_takes_its_settings(toy, small, tmp_path, monkeypatch):
    """`auto` finds bf16, but while it tried another process has recorded fp32: the blocks are fp32's."""
    monkeypatch.setattr(predict, "fast_bf16", lambda device: True)
    monkeypatch.setattr(predict, "LEAST_AGREEMENT", 0.0)
    split, options = open_split(toy, "default", "validation"), Options("auto")
    subject = Subject(f"local-dir:{small}", cache=Cache(tmp_path / "cache"))
    fp32, _ = answers(Subject(f"local-dir:{small}"), split, Options("fp32"), 0.0)
    tried = predict._try

    def overtaken(runner, *others):
        found = tried(runner, *others)
        first = Run(precision="fp32", agreement=0.5, compiled=False, batch_size=32, devices=["cpu"])
        store_of(subject, split, options).begin(first, None)
        return found

    monkeypatch.setattr(predict, "_try", overtaken)
    found, finished = answers(subject, split, options, 0.0)
    assert finished.run.precision == "fp32"
    np.testing.assert_array_equal(found.probability, fp32.probability)


def test_a_task_looks_up_what_is_missing_and_whether_settings_are_decided(toy, small, tmp_path):
    split, subject = open_split(toy, "default", "validation"), Subject(f"local-dir:{small}", cache=Cache(tmp_path))
    (task,) = tasks_of([subject], [split], Options("auto"), features=False)
    assert len(task.missing) == 6
    assert not task.decided
    task.compute(task.missing[:2])
    assert len(task.missing) == 4
    assert task.decided  # by what the first block recorded
    for options, features in ((Options("fp32"), False), (Options("auto"), True)):
        (other,) = tasks_of([replace(subject, cache=Cache(tmp_path / "other"))], [split], options, features)
        assert other.decided


def test_features_in_parts_are_those_of_one_run(line, evaluate, tmp_path, capsys):
    line = [*line[:-2], "--features"]
    evaluate("whole", *line, out=False)
    for part in ("1/2", "2/2"):
        evaluate("parts", *line, "--part", part, out=False)
    evaluate("parts", *line, "--finish", out=False)
    assert "features of 90 images of default" in capsys.readouterr().out
    values = []
    for name in ("whole", "parts"):
        (folder,) = (tmp_path / "caches" / name / "features").iterdir()
        assert (folder / "finished-90.json").is_file()
        files = {path.name: np.load(path) for path in sorted(folder.glob("*.npz"))}
        values.append({name: {key: each[key] for key in each.files if key != "made"} for name, each in files.items()})
    assert values[0].keys() == values[1].keys()
    for name, arrays in values[0].items():
        for key, each in arrays.items():
            np.testing.assert_array_equal(each, values[1][name][key])


def test_code_cannot_be_run_in_parts(toy, fails, tmp_path, monkeypatch):
    (tmp_path / "some_code.py").write_text("def make(): ...")
    monkeypatch.syspath_prepend(tmp_path)
    said = fails(run.main, ["--model", "some_code:make", "--dataset", str(toy), "--part", "1/2"])
    assert "some_code:make is code, whose predictions are never cached, so it runs on one machine" in said


KILLED = """
import sys, time
from benchmark.cache import blocks
blocks.BLOCK = 16
write = blocks.Store.write
def slow(self, span, part, made=None):
    write(self, span, part, made)
    print("block", flush=True)
    time.sleep({wait})
blocks.Store.write = slow
from benchmark.run import main
main(sys.argv[1:])
"""


@pytest.mark.long
def test_killed_parts_go_on_and_two_may_run_at_once(two, evaluate, tmp_path):
    whole = evaluate("whole", *two)
    environment = os.environ | {"D3S_CACHE": str(tmp_path / "caches" / "parts")}

    def start(part: str, wait: float) -> subprocess.Popen[str]:
        call = [sys.executable, "-c", KILLED.format(wait=wait), *two, "--part", part]
        return subprocess.Popen(call, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)

    killed = [start("1/2", 5), start("2/2", 5)]
    for each in killed:
        assert each.stdout is not None
        while "block" not in each.stdout.readline():
            assert each.poll() is None
        each.send_signal(signal.SIGKILL)
        each.communicate(timeout=60)
    kept = len(parts_of(tmp_path / "caches" / "parts"))
    assert 2 <= kept < 12
    for each in [start("1/2", 0), start("2/2", 0), start("2/2", 0)]:
        each.communicate(timeout=200)
        assert each.returncode == 0
    assert same_files(whole, evaluate("parts", *two, "--finish"))
