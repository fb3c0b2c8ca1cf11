"""Many pushes in one process, for tests: a process start costs more than a push to a server on this machine.

    python -m tests.support.push_driver

Each line of stdin is JSON, {"argv": [...], "token": ..., "files_per_commit": ..., "tries": ...}, one command line of
generation.push; a line {"code", "out", "err"} answers it. Waits, ours and the client's, are a thousandth.
"""

import contextlib
import functools
import io
import json
import os
import random
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from d3s_dataset.hub.retry import Patience
from d3s_dataset.utils.cli import run_command
from generation.push import main


def briefly(seconds: float) -> None:
    time.sleep(seconds / 1000)


def impatient_client() -> None:
    from huggingface_hub.utils import _http

    kept = {name: getattr(time, name) for name in dir(time) if not name.startswith("_")}
    _http.time = SimpleNamespace(**kept | {"sleep": briefly})


def run(job: dict[str, Any], command: Callable[..., None]) -> dict[str, Any]:
    """Run one command line of `command`, which takes `argv` and `patience`."""
    os.environ.pop("HF_TOKEN", None)
    os.environ.update({"HF_TOKEN": job["token"]} if job.get("token") else {})
    patience = Patience(tries=job.get("tries", 4), sleep=briefly, chance=random.Random(0))
    called = functools.partial(command, patience=patience)
    out, err = io.StringIO(), io.StringIO()
    code: Any = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            run_command(called, job["argv"])
        except SystemExit as end:
            code = end.code
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


if __name__ == "__main__":
    impatient_client()
    for line in sys.stdin:
        job = json.loads(line)
        pushed = functools.partial(main, files_per_commit=job.get("files_per_commit", 100))
        print(json.dumps(run(job, pushed)), flush=True)  # noqa: T201
