"""`--launch slurm`: the script that submits an evaluation as an array of parts and a job that finishes it."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from d3s_dataset.utils.paths import cache_folder

_OURS = {"--launch": 1, "--parts": 1}  # flags of the line that is typed, and how many values each has
_FINISH = {"--out": 1, "--imagenet": 1, "--attribution": 1, "--json": 0, "--quiet": 0}  # of the last job alone


def script(argv: Sequence[str], parts: int) -> str:
    """Return a bash script that submits `parts` jobs and, after them, one that writes the results.

    Args:
        argv: the command line's arguments, `--launch` and `--parts` among them.
        parts: the number of jobs of the array.
    """
    every = _without(argv, _OURS)
    command = [sys.executable, "-m", "benchmark.run"]
    part = f'{shlex.join([*command, *_without(every, _FINISH), "--part"])} "$SLURM_ARRAY_TASK_ID/{parts}"'
    finish = shlex.join([*command, *every, "--finish"])
    gpus = "" if "cpu" in argv else " --gpus=1"
    lines = [
        "#!/bin/bash",
        "# Submits an evaluation in parts: bash THIS_FILE. Cache and data set are on a disk that all nodes share.",
        "# More options of sbatch: export SBATCH_PARTITION=..., SBATCH_TIMELIMIT=..., or add them to both lines.",
        "set -euo pipefail",
        f"cd {shlex.quote(str(Path.cwd()))}",
        f"export D3S_CACHE={shlex.quote(str(cache_folder().resolve()))}",
        f"parts=$(sbatch --parsable --job-name=d3s-parts --array=1-{parts}{gpus} --wrap {shlex.quote(part)})",
        f'sbatch --job-name=d3s-finish --dependency="afterok:${{parts%%;*}}" --wrap {shlex.quote(finish)}',
    ]
    return "\n".join(lines)


def _without(argv: Sequence[str], flags: dict[str, int]) -> list[str]:
    kept, skip = [], 0
    for word in argv:
        flag, equals, _ = word.partition("=")
        if flag in flags:
            skip = 0 if equals else flags[flag]
        elif skip:
            skip -= 1
        else:
            kept.append(word)
    return kept
