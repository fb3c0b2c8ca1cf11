"""Work in processes that may die of it."""

import os
import time

import pytest

from benchmark.board.safe_read import bounded_memory
from benchmark.board.workers import Lost, alone, in_processes
from d3s_dataset.errors import ResultError

SECONDS = 6  # a process begins in less


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
