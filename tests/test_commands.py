"""The console script: every command by its word, the same as by `python -m`; JSON, silence, completion."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmark.data.split import open_split
from d3s_dataset.utils.commands import COMMANDS
from tests.conftest import one_line_error
from tests.test_docs import MODULES

D3S = Path(sys.executable).with_name("d3s")


def d3s(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([D3S, *map(str, words)], capture_output=True, text=True, timeout=100)


def test_it_lists_every_command_and_so_do_the_packages(command):
    assert {each.module for each in COMMANDS.values()} == set(MODULES)
    shown = d3s().stdout
    assert [line.split()[1] for line in shown.splitlines()[1:]] == list(COMMANDS)
    for package in ("benchmark", "generation"):
        own = [line for line in shown.splitlines() if f"python -m {package}." in line]
        assert own
        assert [line.split() for line in command(package).stdout.splitlines()[1:]] == [line.split() for line in own]


def test_help_and_errors_say_what_was_typed():
    assert d3s("run", "--help").stdout.startswith("usage: d3s run ")
    assert "  d3s run --model convnext_base\n" in d3s("run", "--help").stdout
    assert one_line_error(d3s("compare", "a")).startswith("d3s compare: the following arguments are required")
    assert d3s("verify", "apply", "--help").stdout.startswith("usage: d3s verify apply ")
    assert "unknown command 'rnu'; did you mean run" in one_line_error(d3s("rnu"))
    assert d3s("--version").stdout.startswith("d3s ")


@pytest.fixture(scope="module")
def predictions(sample_release, tmp_path_factory):
    split = open_split(sample_release, "default", "validation")
    path = tmp_path_factory.mktemp("predictions") / "p.csv"
    rows = zip(split.key, split.foreground, strict=True)
    path.write_text("\n".join(["key,prediction", *(f"{key},{label}" for key, label in rows)]) + "\n")
    return path


def test_json_is_all_that_is_printed_and_quiet_is_nothing(sample_release, predictions, tmp_path):
    score = ["score", predictions, "--dataset", sample_release, "--model-name", "mine", "--out", tmp_path]
    done = d3s(*score, "--json")
    (line,) = done.stdout.splitlines()
    said = json.loads(line)
    assert said["result"] == json.loads(Path(said["path"]).read_text())
    assert said["result"]["metrics"]["top1"] == 1.0
    compared = d3s("compare", said["path"], said["path"], "--json").stdout
    assert json.loads(compared)["comparison"]["changes"]["all images"]["change"] == 0
    checked = json.loads(d3s("check", sample_release, "--json").stdout)
    assert (checked["problems"], checked["rows"]["validation"]) == ([], said["result"]["dataset"]["n"])
    silent = d3s(*score, "--quiet")
    assert (silent.returncode, silent.stdout) == (0, "")
    assert "not allowed with argument" in one_line_error(d3s(*score, "--quiet", "--json"))
    assert one_line_error(d3s("compare", "no.json", "no.json", "--quiet")).startswith("error: no result at no.json")


COMPLETE = """
source {script}
COMP_WORDS=({words}) COMP_CWORD=$(({count} - 1))
_shtab_d3s d3s {last} {before}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "expected"),
    [(["d3s", "sc"], {"score"}), (["d3s", "run", "--mod"], {"--model", "--models-file", "--model-kwargs"})],
)
def test_bash_completes_commands_and_flags(tmp_path, words, expected):
    script = tmp_path / "d3s.bash"
    script.write_text(d3s("--completion", "bash").stdout)
    code = COMPLETE.format(script=script, words=" ".join(words), count=len(words), last=words[-1], before=words[-2])
    done = subprocess.run(["bash", "-c", code], capture_output=True, text=True)
    assert set(done.stdout.split()) == expected, done.stderr
