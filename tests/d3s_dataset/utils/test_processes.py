"""Memory of commands and workers: what is freed is used again, not fetched from the system anew."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, threading
import numpy as np
from d3s_dataset.utils.cli import run_command
from d3s_dataset.utils.processes import begin_worker, keep_freed_memory

def images():
    for _ in range(20):
        np.ones((64, 3, 224, 224), np.float32)  # 37 MiB, as a network's inputs

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    thread = threading.Thread(target=images)
    thread.start()
    thread.join()
    images()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def main(argv=None):
    images()
    print(faults())

how = sys.argv[1]
if how == "command":
    run_command(main)
{"default": lambda: None, "keep": keep_freed_memory, "worker": begin_worker}[how]()
main()
"""


def faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.parametrize("how", ["keep", "worker", "command"])
def test_freed_memory_is_used_again_in_all_threads(how):
    kept, default = faults(how), faults("default")  # where another C library has nothing to set, no error either
    assert kept < default / 20 or platform.libc_ver()[0] != "glibc"
