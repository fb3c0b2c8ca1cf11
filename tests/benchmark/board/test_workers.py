"""Work in processes that may die of it."""

import os
import shutil
import time
from concurrent.futures import ProcessPoolExecutor

import pytest

from benchmark.board import fold
from benchmark.board.rules import read_rules, truth_of
from benchmark.board.safe_read import bounded_memory
from benchmark.board.workers import Lost, alone, in_processes
from d3s_dataset.errors import ResultError
from tests.benchmark.board.test_board import reproduced

SECONDS = 10  # a process begins in less, on a busy machine too


def work(shared, item):
    if item == "die":
        os._exit(7)
    if item == "hang":
        time.sleep(600)
    if item == "fail":
        raise KeyError("struct")
    if item == "refuse":
        raise ResultError("one line")
    if item == "grow":
        with bounded_memory(1 << 28):
            return len(bytearray(1 << 30))
    return shared + item


def ended(item):
    return work("", item)


def test_what_ends_a_process_costs_its_own_item():
    items = ["a", "die", "b", "hang", "c", "fail", "refuse", "grow", "d"]
    begun = time.monotonic()
    found = dict(in_processes(work, ("x",), items, 2, SECONDS))
    assert time.monotonic() - begun < 60
    shown = [found[index] for index in range(len(items))]
    assert [shown[index] for index in (0, 2, 4, 8)] == ["xa", "xb", "xc", "xd"]
    assert shown[1] == Lost("ended the process (exit code 7)")
    assert shown[3] == Lost(f"took more than {SECONDS} s")
    assert shown[5] == Lost("failed: KeyError: 'struct'")
    assert isinstance(shown[6], ResultError)
    assert shown[7].reason.startswith("failed: MemoryError")


def test_alone():
    assert alone(ended, "a", 60) == "a"
    assert alone(ended, "die", 60) == Lost("ended the process (exit code 7)")
    with pytest.raises(ResultError, match="one line"):
        alone(ended, "refuse", 60)


@pytest.mark.long
def test_tests_in_several_processes_rank_as_one_after_the_other(
    empty_board, release, measured, send, tmp_path, monkeypatch
):
    """Tiers of one entry and of many, so that tests that were begun ahead are needed and are not."""
    root = shutil.copytree(empty_board, tmp_path / "submissions")
    shares = [0.95, 0.94, 0.93, 0.92, 0.91, 0.9, 0.7, 0.69, 0.68, 0.67, 0.66, 0.4, 0.2, 0.19, 0.18, 0.02]
    names = [f"model-{index:02}" for index in range(len(shares))]
    for index, (name, share) in enumerate(zip(names, shares, strict=True)):
        send(measured(tmp_path / "results", name, share, index, digest=f"{index:064x}"), root)
    reproduced(root, *names)
    rules, boards, pools = read_rules(root), [], []
    monkeypatch.setattr(fold, "cores", lambda: 2)
    monkeypatch.setattr(fold, "ProcessPoolExecutor", lambda *given: pools.append(given) or ProcessPoolExecutor(*given))
    for few in (8, 1000):
        monkeypatch.setattr(fold, "_FEW", few)
        boards.append(fold.fold(root, rules, truth_of(release, rules)))
    assert boards[0] == boards[1]
    assert [each.rank for each in boards[0].entries] == list(range(1, 17))
    assert len({each.tier for each in boards[0].entries}) > 2
    assert len(pools) == 1
