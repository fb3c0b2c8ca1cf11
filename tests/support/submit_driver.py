"""benchmark.submit in a process of its own, for tests: the real client, whose waits are a thousandth.

    python -m tests.support.submit_driver

Each line of stdin is JSON, {"argv": [...], "token": ...}; a line {"code", "out", "err"} answers it.
"""

import json
import sys

from benchmark.submit import main
from tests.support.push_driver import impatient_client, run

if __name__ == "__main__":
    impatient_client()
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line), main)), flush=True)  # noqa: T201
