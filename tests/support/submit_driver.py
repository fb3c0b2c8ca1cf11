"""benchmark.submit, or MODULE, in a process of its own, for tests: the real client, whose waits are a thousandth.

    python -m tests.support.submit_driver [MODULE]

Each line of stdin is JSON, {"argv": [...], "token": ...}; a line {"code", "out", "err"} answers it.
"""

import importlib
import json
import sys

from tests.support.push_driver import impatient_client, run

if __name__ == "__main__":
    impatient_client()
    main = importlib.import_module(sys.argv[1] if len(sys.argv) > 1 else "benchmark.submit").main
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line), main)), flush=True)  # noqa: T201
