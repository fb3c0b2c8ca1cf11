"""Wording: phrases that read oddly to whoever knows the field are found nowhere (`tests/words/phrases.txt`)."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

BIN = Path(sys.executable).parent

PHRASES = [
    tuple(line.split(" -> ", 1))
    for line in (ROOT / "tests" / "words" / "phrases.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
ENDINGS = (".py", ".md", ".html", ".js", ".toml", "Makefile")


def test_no_phrase_of_the_list_is_in_source_pages_or_documents():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    odd = []
    for name in listed.splitlines():
        path = ROOT / name
        if not name.endswith(ENDINGS) or name == "tests/test_words.py" or not path.is_file():
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            odd += [
                f"{name}:{number}: {found[0]!r}: write {instead}"
                for phrase, instead in PHRASES
                if (found := re.search(phrase, line, re.IGNORECASE))
            ]
    assert odd == []


ROOMS = ("benchmark", "benchmark/schemas", "benchmark/metrics", "generation", "d3s_dataset")


def room_of(name):
    return max((room for room in ROOMS if name.startswith(f"{room}/")), key=len)


@pytest.mark.parametrize("room", ROOMS)
def test_docstrings_begin_with_a_verb_or_a_noun_phrase(room):
    """Return, Fit, Raise for functions, a noun for classes and modules; never a question word."""
    odd = []
    for path in sorted((ROOT / room).rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if room_of(name) != room:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
                continue
            first = (ast.get_docstring(node) or "").partition("\n")[0]
            if re.match(r"(What|Which|Who|How|Whether)\b", first):
                odd.append(f"{name} {getattr(node, 'name', '')}: {first}")
    assert odd == []


def test_spelling():
    found = subprocess.run([str(BIN / "codespell")], cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout
