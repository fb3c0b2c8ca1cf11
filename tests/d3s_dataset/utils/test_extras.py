"""A package that is missing is one line with its extra; a module of ours that is missing is a bug and stays one."""

import sys

import pytest

from d3s_dataset.errors import D3SError, MissingExtra
from d3s_dataset.utils.extras import late, require


@pytest.fixture
def modules(tmp_path, monkeypatch):
    """Write a module with this text and make it importable; returns its name."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def write(name: str, text: str) -> str:
        (tmp_path / f"{name}.py").write_text(text)
        return name

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_a_module_whose_packages_are_there_is_imported(modules):
    assert late(modules("plain_module", "answer = 41 + 1"), "score").answer == 42


def test_a_missing_package_is_named_with_its_extra(modules):
    name = modules("needs_it", "import a_package_that_nobody_has.part")
    with pytest.raises(MissingExtra, match=r"'a_package_that_nobody_has'.*pip install '\.\[verify\]'"):
        late(name, "verify")
    with pytest.raises(MissingExtra, match=r"'another_one'.*pip install '\.\[score\]'"):
        require("score", "pathlib", "another_one")


@pytest.mark.parametrize(
    "text",
    ["import benchmark.no_such_module", "from benchmark.metrics.accuracy import no_such_name"],
    ids=["module", "name"],
)
def test_a_missing_module_of_ours_is_no_missing_package(modules, text):
    with pytest.raises(ImportError, match=r"no_such") as caught:
        late(modules("needs_ours", text), "verify")
    assert not isinstance(caught.value, D3SError)


@pytest.mark.parametrize(
    "text", ["raise ImportError('libgpu.so: no such file')", "import broken_package.gone"], ids=["library", "part"]
)
def test_a_package_that_is_there_but_broken_is_not_called_missing(modules, text):
    with pytest.raises(D3SError, match="'broken_package' is installed, but cannot be imported") as caught:
        late(modules("broken_package", text), "score")
    assert not isinstance(caught.value, MissingExtra)
    assert "pip install --force-reinstall '.[score]'" in str(caught.value)


def test_a_module_that_was_made_by_hand_counts_as_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "made_by_hand", type(sys)("made_by_hand"))
    require("score", "made_by_hand")
