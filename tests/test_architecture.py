"""The shape of the house: imports point one way and cost nothing unasked; the style holds; files stay short."""

import ast
import importlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import ROOT

BIN = Path(sys.executable).parent
PACKAGES = ("d3s_dataset", "generation", "benchmark")
HEAVY = {"torch", "timm", "diffusers", "transformers", "datasets", "sqlalchemy"}


def run(*line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=300)


# Types of what other code imports first: files, metrics, the data set; the other rooms take a minute.
STRICT = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pyright"]["strict"]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(("ruff", "check", "."), id="ruff"),
        pytest.param(("ruff", "format", "--check", "."), id="format"),
        pytest.param(("pyright", *STRICT), id="pyright, strict rooms"),
        pytest.param(("pyright",), id="pyright", marks=pytest.mark.long),
        pytest.param(("lint-imports",), id="import-linter"),
    ],
)
def test_tools_find_nothing(line):
    result = run(str(BIN / line[0]), *line[1:])
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]


# Which heavy packages are imported after each piece of code; all in one process, as none should import any. Each piece
# must work: one that fails early would import nothing.
AFTER = """
import contextlib, io, json, sys
heavy, codes = map(json.loads, sys.argv[1:])
found = {}
for name, code in codes.items():
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            exec(code, {})
        except SystemExit as end:
            assert not end.code, f"{name}: {end.code}"
    found[name] = sorted(set(heavy) & set(sys.modules))
print(json.dumps(found))
"""


def heavy_after(codes: dict[str, str]) -> dict[str, list[str]]:
    """Return which heavy packages a Python process has imported after running each piece of code."""
    result = run(sys.executable, "-c", AFTER, json.dumps(sorted(HEAVY)), json.dumps(codes))
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def helped(module: str) -> str:
    return f"from {module} import main; main(['--help'])"


CHEAP = {
    "import the data set": "import d3s_dataset, d3s_dataset.check, d3s_dataset.card.render, d3s_dataset.sheet",
    "rebuild": "import d3s_dataset.rebuild",
    "import generation": "import generation.run",
    "plan": "from generation.run import main; main(['--recipe', 'sample', '--plan-only'])",
    "generation --help": helped("generation.run"),
    "import push": "import generation.push",
    "push --help": helped("generation.push"),
    "verify --help": helped("generation.verify.__main__"),
    "benchmark --help": helped("benchmark.run"),
    "score": "import benchmark.score",
    "compare --help": helped("benchmark.compare"),
    "power": "from benchmark.power import main; main(['--n', '20000'])",
    "probe --help": helped("benchmark.probe"),
    "correlate --help": helped("benchmark.correlate"),
    "sweep --help": helped("benchmark.sweep"),
    "realism --help": helped("benchmark.realism"),
    "report, submit": "import benchmark.report, benchmark.submit",
    "leaderboard --help": helped("benchmark.leaderboard"),
    "train --help": helped("benchmark.train"),
}


def test_nothing_heavy_is_imported_unasked():
    assert heavy_after(CHEAP) == {name: [] for name in CHEAP}


def test_what_imports_something_heavy_is_seen():
    assert heavy_after({"cheap": "import json", "heavy": "import sqlalchemy"}) == {"cheap": [], "heavy": ["sqlalchemy"]}


def test_what_fails_is_not_taken_for_cheap():
    with pytest.raises(AssertionError, match="odd: no"):
        heavy_after({"odd": "raise SystemExit('no')"})


def test_the_drawn_sample_is_made_without_anything_heavy(tmp_path):
    line = ["--rows", "12", "--out", str(tmp_path / "d3s"), "--workers", "1"]
    assert heavy_after({"sample": f"from generation.run import main; main({line})"}) == {"sample": []}
    assert (tmp_path / "d3s" / "manifest.json").exists()


def test_files_stay_short():
    long = {
        str(path.relative_to(ROOT)): lines
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 350
    }
    assert long == {}


COMMANDS = {
    "benchmark": {
        *("run", "score", "compare", "power", "probe", "train", "correlate", "sweep", "report", "submit"),
        "leaderboard",
        "realism",
    },
    "generation": {"run", "push"},
}


@pytest.mark.parametrize("package", COMMANDS)
def test_the_top_of_a_package_holds_commands_documents_and_rooms(package):
    files = {path.name for path in (ROOT / package).iterdir() if path.is_file()}
    documents = {"__init__.py", "__main__.py", "README.md", "RESULTS.md", "metric.py", "py.typed", "quickstart.ipynb"}
    documents.add("size.png")  # README's figure, of benchmark.report
    assert files - documents == {f"{name}.py" for name in COMMANDS[package]}
    for name in COMMANDS[package]:
        text = (ROOT / package / f"{name}.py").read_text()
        assert "def main(" in text, f"{name} is no command"
        assert 'if __name__ == "__main__":' in text, f"{name} cannot be run as a module"


def test_files_are_neither_crumbs_nor_halls():
    """Rooms of 2 to 16 files; the median file has 80 to 200 lines."""
    lengths, rooms = [], {}
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if path.name != "__init__.py" and "drawn" not in path.parts:
                lengths.append(len(path.read_text().splitlines()))
                rooms.setdefault(path.parent, []).append(path.name)
    assert 80 <= sorted(lengths)[len(lengths) // 2] <= 200
    assert {str(room): len(names) for room, names in rooms.items() if not 2 <= len(names) <= 16} == {}


def test_tests_mirror_the_rooms():
    """A folder of tests has the name and the place of the room that it tests."""
    folders = [path for package in PACKAGES for path in (ROOT / "tests" / package).rglob("*") if path.is_dir()]
    rooms = {path.relative_to(ROOT / "tests") for path in folders if any(path.glob("test_*.py"))}
    assert {str(room) for room in rooms if not (ROOT / room).is_dir()} == set()
    for package, least in (("benchmark", 9), ("generation", 9), ("d3s_dataset", 2)):
        assert sum(room.parts[0] == package for room in rooms) >= least


@pytest.mark.parametrize("package", PACKAGES)
def test_what_a_package_s_init_holds_is_no_logic(package):
    """Re-exports; those of a whole package are late (`late_names`), so that importing it costs nothing."""
    allowed = (ast.Import, ast.ImportFrom, ast.Expr, ast.Assign, ast.AnnAssign, ast.If)
    for path in (ROOT / package).rglob("__init__.py"):
        odd = [each for each in ast.parse(path.read_text()).body if not isinstance(each, allowed)]
        assert odd == [], path


def test_nothing_shadows_the_folder_d3s():
    names = [path.name for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    assert not {"d3s", "d3s.py"} & set(names)


@pytest.mark.parametrize("stub", sorted((ROOT / "tests" / "stubs").rglob("*.pyi")), ids=lambda path: path.parent.name)
def test_stubs_name_what_their_library_has(stub):
    parts = stub.relative_to(ROOT / "tests" / "stubs").with_suffix("").parts
    module = importlib.import_module(".".join(part for part in parts if part != "__init__"))
    for node in ast.parse(stub.read_text()).body:
        name = getattr(node, "name", "")
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            assert hasattr(module, name), f"{module.__name__} has no {name}"
        for member in node.body if isinstance(node, ast.ClassDef) else ():
            if isinstance(member, ast.FunctionDef):
                there = getattr(module, name)
                assert hasattr(there, member.name) or member.name == "__buffer__", f"{name} has no {member.name}"
