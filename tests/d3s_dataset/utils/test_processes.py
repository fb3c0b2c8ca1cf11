"""Memory of commands and workers: what is freed is used again, not fetched from the system anew."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, threading
import numpy as np
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

if sys.argv[1:]:
    {"keep": keep_freed_memory, "worker": begin_worker}[sys.argv[1]]()
images()
print(faults())
"""


def faults(*arguments: str) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS, *arguments], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.parametrize("how", ["keep", "worker"])
def test_freed_memory_is_used_again_in_all_threads(how):
    kept = faults(how)
    if platform.libc_ver()[0] == "glibc":
        assert kept < faults() / 20
    else:
        assert kept >= 0  # nothing to set, and no error
