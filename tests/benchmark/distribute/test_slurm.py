"""The printed script is bash, and run by a stand-in for `sbatch` it gives the files of one run."""

import os
import subprocess
import sys

import pytest

from benchmark.distribute.slurm import script
from tests.conftest import ROOT
from tests.support.evaluations import same_files

# Runs each job where it is submitted; an array one after the other.
SBATCH = """#!/bin/bash
while [ $# -gt 1 ]; do
    case "$1" in --array=*) last="${1#--array=1-}";; --wrap) job="$2"; shift;; --dependency=*) echo "$1" >&2;; esac
    shift
done
[ -z "$job" ] && job="$1"
for id in $(seq "${last:-1}"); do SLURM_ARRAY_TASK_ID=$id sh -c "$job" >&2 || exit 1; done
echo "42;cluster"
"""


def test_the_script_quotes_what_was_typed(monkeypatch, tmp_path):
    monkeypatch.setenv("D3S_CACHE", str(tmp_path / "a cache"))
    words = ["--model", "a b", "--model-kwargs", "x='y'", "--launch=slurm", "--parts", "12", "--out", "my $results"]
    text = script(words, 12)
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    (tmp_path / "sbatch").write_text('#!/bin/bash\nprintf "%s\\n" "$@" >> calls\necho 7\n')
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    subprocess.run(["bash"], input=script(words, 12), text=True, check=True, env=environment, cwd=tmp_path)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert "--array=1-12" in calls
    assert "--gpus=1" in calls
    assert "--dependency=afterok:7" in calls
    jobs = [calls[at + 1] for at, word in enumerate(calls) if word == "--wrap"]
    seen = []
    for job in jobs:
        code = job.replace(f"{sys.executable} -m benchmark.run", 'printf "%s|"')
        environment = {"SLURM_ARRAY_TASK_ID": "5", "PATH": os.environ["PATH"]}
        seen.append(
            subprocess.run(["sh", "-c", code], env=environment, capture_output=True, text=True).stdout.split("|")
        )
    given = ["--model", "a b", "--model-kwargs", "x='y'"]
    assert seen == [[*given, "--part", "5/12", ""], [*given, "--out", "my $results", "--finish", ""]]


@pytest.mark.long
def test_its_jobs_in_order_give_the_files_of_one_run(line, evaluate, tmp_path):
    whole = evaluate("whole", *line)
    (tmp_path / "sbatch").write_text(SBATCH)
    (tmp_path / "sbatch").chmod(0o755)
    environment = os.environ | {"D3S_CACHE": str(tmp_path / "cache"), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    command = [sys.executable, "-m", "benchmark.run", *line, "--out", str(tmp_path / "slurm")]
    printed = subprocess.run(
        [*command, "--launch", "slurm", "--parts", "2"], cwd=ROOT, env=environment, capture_output=True, check=True
    )
    done = subprocess.run(["bash"], input=printed.stdout, cwd=ROOT, env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"afterok:42" in done.stderr
    assert same_files(whole, tmp_path / "slurm")
